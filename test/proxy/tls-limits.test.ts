// Handshakes under way are limited, and those that are given up count no more.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { clientHello } from '../../src/sim/tls-records.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { simOnly } from '../support/net.ts';
import type { Peer } from '../support/peer.ts';
import { answering, bodyText, get, ok, Rig } from './rig.ts';

simOnly(
  'who comes beyond the limit of handshakes under way is refused, and is served once others are gone',
  async (net) => {
    if (!net.tls) return;
    const rig = new Rig(net, [answering(net, (request) => ok(request.target))]);
    const slow: Peer[] = [];
    for (let i = 0; i < LIMITS.TLS_HANDSHAKES; i++) {
      const peer = await net.connectPlain(rig.listening as Parameters<typeof net.connectPlain>[0]);
      await peer.send(clientHello('', []));
      slow.push(peer);
    }
    await net.settle();
    await assert.rejects(rig.connect(), /alert 80/);
    assert.equal(rig.get(limitCell('TLS_HANDSHAKES')), 1);
    for (const peer of slow) peer.reset();
    await net.settle();
    const client = await rig.connect();
    await client.send(get('/later'));
    assert.equal(bodyText(await client.readMessage()), '/later');
    client.close();
    await rig.end();
  },
  { seeds: 0, sim: { arenaBytes: 256 * 1024 * 1024 } },
);

// A backend that keeps all its connections busy (a route that leads to its own listener does, with one request):
// whoever waits for one of them is answered in time.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { CELL, limitCell } from '../../src/telemetry/layout.ts';
import { get, Rig } from '../proxy/rig.ts';
import { type Peer, simOnly } from '../support/net.ts';

simOnly(
  'a request that waits too long for a connection is answered 503; those before it go on',
  async (net) => {
    const held: Peer[] = [];
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      held.push(peer);
    });
    const rig = new Rig(net, [backend]);
    const busy = await Promise.all(
      Array.from({ length: LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT }, async () => {
        const client = await rig.connect();
        await client.send(get());
        return client;
      }),
    );
    await net.settle();
    const late = await rig.connect();
    await late.send(get());
    await net.advance(LIMITS.UPSTREAM_PENDING_MS - 1_000);
    assert.equal(rig.get(limitCell('UPSTREAM_PENDING_MS')), 0);
    await net.advance(2_000);
    assert.equal((await late.readMessage()).status, 503);
    assert.equal(rig.records.last.flags, 'UO');
    assert.equal(rig.get(limitCell('UPSTREAM_PENDING_MS')), 1);
    assert.equal(rig.get(CELL.REQUESTS_ACTIVE), busy.length);
    // One that became free in time serves the next.
    await late.send(get());
    await net.settle();
    await held[0]?.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
    await busy[0]?.readMessage();
    await net.advance(LIMITS.UPSTREAM_PENDING_MS + 1_000);
    assert.equal(rig.get(limitCell('UPSTREAM_PENDING_MS')), 1);
    for (const client of [...busy, late]) client.close();
    await rig.end();
  },
  { seeds: 0 },
);

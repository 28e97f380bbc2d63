// What happens to connections with backends of TLS on their way, on the simulation, where time and order can be had.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { TrustEntry } from '../../src/ir/ir.ts';
import { backendTlsCell, limitCell } from '../../src/telemetry/layout.ts';
import { type RunOptions, simOnly } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig, rule } from './rig.ts';

const SECURED: RunOptions = { secured: true };
/** The authorities of the rig, and `others`. */
function trust(...others: readonly string[]): TrustEntry {
  return { kind: 'trust', key: 'trust/default/toy', authorities: ['dG95', ...others], revoked: [] };
}

simOnly(
  'a backend that is silent within the handshake has the time of a connect, and another one serves',
  async (net) => {
    const silent = net.servePlain(async (peer) => {
      while ((await peer.read()) !== null);
    });
    const rig = new Rig(net, [silent]);
    const client = await rig.connect();
    const answer = client.readMessage();
    await client.send(get());
    // Three attempts, each with its time and what the network takes.
    for (let i = 0; i < LIMITS.UPSTREAM_ATTEMPTS; i++) await net.advance(LIMITS.UPSTREAM_CONNECT_MS + 20);
    assert.equal((await answer).status, 503);
    await net.settle();
    assert.match(rig.records.last.endpoint, /"upstream_tls":"TLS_TIMEOUT"/);
    assert.equal(rig.get(backendTlsCell('TLS_TIMEOUT')), LIMITS.UPSTREAM_ATTEMPTS);
    assert.equal(rig.get(limitCell('UPSTREAM_CONNECT_MS')), LIMITS.UPSTREAM_ATTEMPTS);
    client.close();
    await rig.end();
  },
  SECURED,
);

simOnly(
  'what comes in answer to a ClientHello and is no handshake is named, and nothing of the request goes out',
  async (net) => {
    const seen: string[] = [];
    const odd = net.servePlain(async (peer) => {
      seen.push(Buffer.from((await peer.read()) ?? []).toString('latin1'));
      await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      while ((await peer.read().catch(() => null)) !== null);
    });
    const rig = new Rig(net, [odd]);
    const client = await rig.connect();
    await client.send(get('/secret'));
    const waits = client.readMessage();
    await net.advance(LIMITS.UPSTREAM_ATTEMPTS * (LIMITS.UPSTREAM_CONNECT_MS + 1));
    assert.equal((await waits).status, 503);
    assert.ok(seen.length > 0 && seen.every((text) => !text.includes('secret')));
    await net.settle();
    assert.match(rig.records.last.endpoint, /"upstream_tls":"TLS_/);
    client.close();
    await rig.end();
  },
  SECURED,
);

simOnly(
  'authorities that are replaced while a connection is on its way, or a request waits to be sent again, fail nothing',
  async (net) => {
    let asked = 0;
    const backend = answering(net, () =>
      ++asked % 2 === 1 ? 'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' : ok('good'),
    );
    const retry = { attempts: 1, codes: [503], backoffMs: 1000 };
    const rig = new Rig(net, [backend], [rule({ retry })]);
    for (let round = 0; round < 3; round++) {
      const client = await rig.connect();
      await client.send(get());
      // While the connection is dialed, or the first answer is on its way; then within the pause.
      rig.apply({ upserts: [trust(`b3RoZXI${round}`)], removals: [] });
      await net.settle();
      rig.apply({ upserts: [trust()], removals: [] });
      const answer = client.readMessage();
      await net.advance(2000);
      assert.equal(bodyText(await answer), 'good');
      client.close();
    }
    assert.equal(asked, 6);
    await rig.end();
  },
  SECURED,
);

simOnly(
  'other authorities than those of the backend: no request reaches it any more, also by connections that rest',
  async (net) => {
    let asked = 0;
    const backend = answering(net, () => {
      asked++;
      return ok('good');
    });
    const rig = new Rig(net, [backend]);
    const client = await rig.connect();
    await client.send(get());
    assert.equal((await client.readMessage()).status, 200);
    rig.apply({ upserts: [{ ...trust(), authorities: ['b3RoZXI='] }], removals: [] });
    await client.send(get());
    assert.equal((await client.readMessage()).status, 503);
    assert.equal(asked, 1);
    await net.settle();
    assert.match(rig.records.last.endpoint, /"upstream_tls":"TLS_UNKNOWN_CA"/);
    client.close();
    await rig.end();
  },
  SECURED,
);

simOnly(
  'many connections at once shake hands over several turns, and all are served',
  async (net) => {
    const rig = new Rig(net, [answering(net, () => ok('good'))]);
    const clients = await Promise.all(Array.from({ length: 24 }, () => rig.connect()));
    await net.settle();
    const before = rig.get(limitCell('TLS_HANDSHAKES_PER_TURN'));
    await Promise.all(clients.map((client) => client.send(get())));
    const answers = await Promise.all(clients.map((client) => client.readMessage()));
    assert.ok(answers.every((answer) => bodyText(answer) === 'good'));
    assert.ok(rig.get(limitCell('TLS_HANDSHAKES_PER_TURN')) > before);
    for (const client of clients) client.close();
    await rig.end();
  },
  // With faults they do not come at once.
  { ...SECURED, seeds: 0 },
);

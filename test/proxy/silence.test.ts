// Endpoints to which no connection stands: passed over until one does, as long as there are others.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { type Peer, plainly, simOnly, type TestNet } from '../support/net.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, relay, tcpListener } from './rig.ts';

const CONNECT = LIMITS.UPSTREAM_CONNECT_MS;

/** The milliseconds that each of `count` requests, one after another, takes. */
async function waits(net: TestNet, client: Peer, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = net.io.nowMs;
    let over = false;
    await client.send(get());
    const answer = client.readMessage().finally(() => {
      over = true;
    });
    while (!over) await net.advance(50);
    assert.equal(bodyText(await answer), 'good');
    took.push(net.io.nowMs - began);
  }
  return took;
}

const waited = (took: readonly number[]): number => took.filter((ms) => ms >= CONNECT).length;

simOnly('a silent endpoint costs its time once, and is asked again once a connection to it stands', async (net) => {
  const good = answering(net, () => ok('good'));
  const silent = net.silent();
  const rig = new Rig(net, [silent, good]);
  const client = await rig.connect();
  assert.equal(waited(await waits(net, client, 8)), 1);
  assert.equal(rig.get(limitCell('UPSTREAM_SILENT_MS')), 1);
  await net.advance(3 * CONNECT);
  assert.equal(waited(await waits(net, client, 4)), 0, 'nobody waits for it to come back');
  // Another cluster of the same endpoint knows, too.
  rig.apply({ upserts: [cluster('app', [endpoint(good), endpoint(silent)])], removals: [] });
  assert.equal(waited(await waits(net, client, 4)), 0);
  let served = 0;
  const serve = async (peer: Peer): Promise<void> => {
    while ((await peer.readMessage().catch(() => null)) !== null) {
      served++;
      await peer.send(ok('good'));
    }
  };
  net.serve(serve, { at: silent });
  await net.advance(CONNECT + 2 * LIMITS.UPSTREAM_SILENT_MS);
  assert.equal(waited(await waits(net, client, 8)), 0);
  assert.ok(served >= 3, `${served} of 8`);
  client.close();
  await rig.end();
});

simOnly('where most are silent, all are asked', async (net) => {
  const rig = new Rig(net, [net.silent(), answering(net, () => ok('good')), net.silent()]);
  const client = await rig.connect();
  const took = await waits(net, client, 12);
  assert.ok(waited(took) >= 4, took.join());
  client.close();
  await rig.end();
});

simOnly('an endpoint that is passed over and leaves is asked by nobody', async (net) => {
  const good = answering(net, () => ok('good'));
  const rig = new Rig(net, [net.silent(), good]);
  const client = await rig.connect();
  await waits(net, client, 2);
  rig.apply({ upserts: [cluster('app', [endpoint(good)])], removals: [] });
  const before = rig.get(limitCell('UPSTREAM_CONNECT_MS'));
  await net.advance(4 * CONNECT);
  assert.equal(rig.get(limitCell('UPSTREAM_CONNECT_MS')), before);
  client.close();
  await rig.end();
});

const plain = plainly('a header stands in front of TLS: proxy-protocol.test.ts');
for (const version of ['v1', 'v2'] as const) {
  plain.simOnly(
    `one that expects a PROXY header (${version}) is asked again by a connection of our own, and serves`,
    async (net) => {
      const named = async (peer: Peer, name: string): Promise<void> => {
        await (version === 'v1' ? peer.readUntil('\r\n') : peer.readExactly(28));
        await peer.send(`${name}\n`);
        await peer.readAll();
        peer.end();
      };
      const good = net.serve((peer) => named(peer, 'good'));
      const silent = net.silent();
      const app = cluster('app', [endpoint(silent), endpoint(good)], { protocol: 'tcp', proxyProtocol: version });
      const rig = new Rig(net, [], [tcpListener(), relay(), app]);
      const ask = async (): Promise<string> => {
        const client = await rig.connect();
        const name = client.readUntil('\n');
        let over = false;
        name.finally(() => {
          over = true;
        });
        while (!over) await net.advance(100);
        client.end();
        await client.readAll();
        client.close();
        return (await name).trim();
      };
      for (let i = 0; i < 3; i++) assert.equal(await ask(), 'good');
      assert.equal(rig.get(limitCell('UPSTREAM_SILENT_MS')), 1);
      const local = version === 'v1' ? 'PROXY UNKNOWN\r\n' : '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0';
      let [first, served] = ['', 0];
      const serve = async (peer: Peer): Promise<void> => {
        if (served++ > 0) return named(peer, 'back');
        first = Buffer.from(await peer.readAll()).toString('latin1');
        peer.end();
      };
      net.serve(serve, { at: silent });
      await net.advance(CONNECT + 2 * LIMITS.UPSTREAM_SILENT_MS);
      assert.equal(first, local);
      const names = [await ask(), await ask(), await ask(), await ask()];
      assert.ok(names.includes('back'), names.join());
      await rig.end();
    },
  );
}

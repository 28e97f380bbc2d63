// One client's connection, 3,000 calls, three backends of HTTP/2: the shares that the weights say, to the call, and not
// one call fails that may be repeated, whatever becomes of connections.

import assert from 'node:assert/strict';
import type { RuleEntry } from '../../src/ir/ir.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { type Asked, type Http2Backend, serveHttp2 } from '../support/http2-backend.ts';
import { nativeOnly } from '../support/net.ts';
import { cluster, clusterKey, endpoint, Rig, rule } from './rig.ts';

const CALLS = 3_000;
const AT_ONCE = 50;
const GRPC = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
] as const;

async function answer(asked: Asked): Promise<void> {
  await asked.end();
  await asked.head([
    [':status', '200'],
    ['content-type', 'application/grpc'],
  ]);
  await asked.data(asked.content);
  await asked.head([['grpc-status', '0']], true);
}

function weighted(backends: Readonly<Record<string, readonly [Http2Backend, number]>>): RuleEntry {
  const entry = rule({});
  const parts = Object.entries(backends).map(([name, [, weight]]) => ({
    cluster: clusterKey(name),
    backend: `default/${name}:80`,
    weight,
    filters: [],
  }));
  return { ...entry, action: { type: 'forward', backends: parts } };
}

/** Unary calls, AT_ONCE at a time; how many had which end. */
async function call(rig: Rig, method: string, after: (n: number) => void = () => {}): Promise<Map<string, number>> {
  const client = await Http2Client.open(await rig.connect());
  const ends = new Map<string, number>();
  let next = 1;
  const ask1 = async (): Promise<void> => {
    const id = next;
    next += 2;
    await client.send(head(id, ask('/pkg.Service/Call', GRPC, method), false), data(id, `message ${id}`, true));
  };
  for (let n = 0; n < AT_ONCE; n++) await ask1();
  for (let n = 0; n < CALLS; n++) {
    const { status, trailers, body } = await client.outcome(1 + 2 * n);
    const good = body.toString() === `message ${1 + 2 * n}`;
    const end = `${status} ${trailers?.get('grpc-status')} ${good ? 'whole' : body.toString()}`;
    ends.set(end, (ends.get(end) ?? 0) + 1);
    after(n);
    if (n + AT_ONCE < CALLS) await ask1();
  }
  client.peer.close();
  return ends;
}

nativeOnly('weights 5:3:2 to the call; one says GOAWAY every 100 streams, one allows one stream', async (net) => {
  const served = new Map<string, number>();
  const count = (name: string): void => {
    served.set(name, (served.get(name) ?? 0) + 1);
  };
  const plain = serveHttp2(net, async (asked) => {
    count('plain');
    await answer(asked);
  });
  const leaving = serveHttp2(net, async (asked) => {
    const { connection } = asked;
    // What is above the last stream is not worked on.
    if (asked.id > 199) return;
    count('leaving');
    await answer(asked);
    if (asked.id === 199) await connection.goAway(199);
  });
  const narrow = serveHttp2(
    net,
    async (asked) => {
      count('narrow');
      await answer(asked);
    },
    { settings: [[SETTING.MAX_CONCURRENT_STREAMS, 1]] },
  );
  const backends = { plain: [plain, 5], leaving: [leaving, 3], narrow: [narrow, 2] } as const;
  const clusters = Object.entries(backends).map(([name, [backend]]) =>
    cluster(name, [endpoint(backend.address)], { protocol: 'http2' }),
  );
  const rig = new Rig(net, [], [weighted(backends), ...clusters]);
  assert.deepEqual([...(await call(rig, 'POST'))], [['200 0 whole', CALLS]]);
  assert.deepEqual(Object.fromEntries(served), { plain: 1_500, leaving: 900, narrow: 600 });
  assert.equal(plain.connections.length, 1);
  assert.ok(leaving.connections.length >= 9, `${leaving.connections.length} connections`);
  for (const connection of narrow.connections) assert.ok(connection.streams.size > 0);
  await rig.end();
});

nativeOnly('an endpoint that dies: what may be repeated is, elsewhere', async (net) => {
  const backends = [0, 1, 2].map(() => serveHttp2(net, answer));
  const rig = new Rig(
    net,
    [],
    [
      rule({ to: ['h2'] }),
      cluster(
        'h2',
        backends.map(({ address }, i) => endpoint(address, { weight: [5, 3, 2][i] as number })),
        { protocol: 'http2' },
      ),
    ],
  );
  const ends = await call(rig, 'PUT', (n) => {
    if (n !== 1_000) return;
    const dying = backends[1] as Http2Backend;
    dying.address.close();
    for (const connection of dying.connections) connection.peer.reset();
  });
  assert.deepEqual([...ends], [['200 0 whole', CALLS]]);
  const counts = backends.map(({ requests }) => requests.length);
  assert.ok((counts[1] as number) > 250 && (counts[1] as number) < 400, `${counts}`);
  await rig.end();
});

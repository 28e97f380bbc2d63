// Attempts: stale connections, refused and silent endpoints, what may be sent twice and what never (RFC 9110 section
// 9.2.2).

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { ERRNO } from '../../src/io/io.ts';
import { CELL, ENDPOINT, limitCell, OTHER_ENDPOINT_BLOCK } from '../../src/telemetry/layout.ts';
import { onBoth, type Peer, simOnly, type TestNet } from '../support/net.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

interface Staleness {
  connections: number;
  requests: number;
}

/** Answers one request on its first connection, and ends it without a word when the second comes. */
function staleBackend(net: TestNet, seen: Staleness, how: 'close' | 'reset') {
  return net.serve(async (peer: Peer) => {
    const first = ++seen.connections === 1;
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      seen.requests++;
      if (first && seen.requests > 1) {
        if (how === 'close') peer.close();
        else peer.reset();
        return;
      }
      await peer.send(ok(`${seen.connections}:${bodyText(request)}`));
    }
  });
}

for (const how of ['close', 'reset'] as const) {
  onBoth(`a stale connection (${how}) is retried once on a fresh one for an idempotent request`, async (net) => {
    const seen = { connections: 0, requests: 0 };
    const rig = new Rig(net, [staleBackend(net, seen, how)]);
    const client = await rig.connect();
    await client.send(get());
    assert.equal(bodyText(await client.readMessage()), '1:');
    await client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
    assert.equal(bodyText(await client.readMessage()), '2:body');
    client.close();
    await rig.end();
    assert.equal(seen.connections, 2);
    assert.equal(rig.records.last.attempts, 2);
    assert.equal(rig.get(CELL.UPSTREAM_RETRIES_TOTAL), 1);
  });

  onBoth(`a backend that ends its stale connection (${how}), then the new one, leaves it to another`, async (net) => {
    let connections = 0;
    const leaving = net.serve(async (peer) => {
      const first = ++connections === 1;
      for (let n = 0; ; n++) {
        if ((await peer.readMessage().catch(() => null)) === null) return;
        if (!first || n > 0) break;
        await peer.send(ok('leaving'));
      }
      if (how === 'close') peer.close();
      else peer.reset();
    });
    const rig = new Rig(net, [leaving, answering(net, () => ok('other'))]);
    const client = await rig.connect();
    const seen: string[] = [];
    for (let i = 0; i < 3; i++) {
      await client.send(get());
      seen.push(bodyText(await client.readMessage()));
    }
    // Two get one each; the third goes to the first of them again.
    assert.deepEqual([...seen.slice(0, 2).sort(), seen[2]], ['leaving', 'other', 'other']);
    if (seen[0] === 'leaving') assert.deepEqual([connections, rig.records.last.attempts], [2, 3]);
    client.close();
    await rig.end();
  });

  onBoth(`a POST on a stale connection (${how}) is never sent twice`, async (net) => {
    const seen = { connections: 0, requests: 0 };
    const rig = new Rig(net, [staleBackend(net, seen, how)]);
    const client = await rig.connect();
    await client.send(get());
    await client.readMessage();
    await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
    assert.equal((await client.readMessage()).status, 502);
    client.close();
    await rig.end();
    assert.equal(seen.requests, 2);
    assert.equal(rig.records.last.flags, 'UC');
    assert.equal(rig.records.last.attempts, 1);
  });
}

onBoth('a fresh connection that ends without an answer is not tried again', async (net) => {
  let requests = 0;
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    requests++;
    peer.close();
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  assert.equal((await client.readMessage()).status, 502);
  client.close();
  await rig.end();
  assert.equal(requests, 1);
  assert.equal(rig.records.last.flags, 'UC');
});

onBoth('an endpoint that refuses is left for another, whatever the method', async (net) => {
  const good = answering(net, (r) => ok(bodyText(r)));
  const rig = new Rig(net, [net.refuse(), good]);
  const client = await rig.connect();
  for (let i = 0; i < 4; i++) {
    await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
    assert.equal(bodyText(await client.readMessage()), 'body');
  }
  client.close();
  await rig.end();
  const attempts = rig.records.all.map((r) => r.attempts);
  assert.ok(attempts.includes(2) && Math.max(...attempts) === 2, String(attempts));
  const failures = attempts.filter((n) => n === 2).length;
  assert.equal(rig.get(CELL.UPSTREAM_CONNECT_FAILURES_TOTAL), failures);
  assert.equal(rig.get(OTHER_ENDPOINT_BLOCK + ENDPOINT.ERRORS), failures);
});

onBoth('when every endpoint refuses, the answer is 503 after a bounded number of attempts', async (net) => {
  const rig = new Rig(net, [net.refuse(), net.refuse()]);
  const client = await rig.connect();
  await client.send(get());
  assert.equal((await client.readMessage()).status, 503);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'UF');
  assert.equal(rig.records.last.attempts, LIMITS.UPSTREAM_ATTEMPTS);
  assert.equal(rig.get(limitCell('UPSTREAM_ATTEMPTS')), 1);
});

simOnly('a silent endpoint is given up after the connect time', async (net) => {
  const good = answering(net, () => ok('good'));
  const rig = new Rig(net, [net.silent(), good, good]);
  const client = await rig.connect();
  for (let i = 0; i < 3; i++) {
    await client.send(get());
    const [answer] = await Promise.all([client.readMessage(), net.advance(LIMITS.UPSTREAM_CONNECT_MS + 1000)]);
    assert.equal(bodyText(answer), 'good');
  }
  client.close();
  await rig.end();
});

simOnly('a silent backend alone: 503 when the attempts are used up', async (net) => {
  const rig = new Rig(net, [net.silent()]);
  const client = await rig.connect();
  await client.send(get());
  const [answer] = await Promise.all([client.readMessage(), net.advance(4 * LIMITS.UPSTREAM_CONNECT_MS)]);
  assert.equal(answer.status, 503);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'UF');
});

onBoth('a client that leaves while its backend is being connected leaves nothing behind', async (net) => {
  const rig = new Rig(net, [net.kind === 'sim' ? net.silent() : net.refuse()]);
  const client = await rig.connect();
  await client.send(get());
  await net.advance(10);
  client.reset();
  await net.advance(50);
  await rig.end();
  assert.equal(rig.records.all.length, 1);
});

onBoth('a draining endpoint gets no new request while another is ready', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('old'))]);
  const client = await rig.connect();
  await client.send(get());
  assert.equal(bodyText(await client.readMessage()), 'old');
  const old = answering(net, () => ok('old'));
  const fresh = answering(net, () => ok('new'));
  const endpoints = [endpoint(old, { state: 'draining' }), endpoint(fresh)];
  rig.apply({ upserts: [cluster('app', endpoints)], removals: [] });
  for (let i = 0; i < 4; i++) {
    await client.send(get());
    assert.equal(bodyText(await client.readMessage()), 'new');
  }
  rig.apply({ upserts: [cluster('app', [endpoint(old, { state: 'draining' })])], removals: [] });
  await client.send(get());
  assert.equal(bodyText(await client.readMessage()), 'old');
  client.close();
  await rig.end();
});

for (const balancer of [
  { type: 'roundRobin' },
  { type: 'leastRequest' },
  { type: 'maglev', key: 'path', name: '' },
] as const) {
  onBoth(`a retry goes to an endpoint that was not tried, while there is one (${balancer.type})`, async (net) => {
    const good = answering(net, (r) => ok(bodyText(r)));
    const endpoints = Array.from({ length: 7 }, (_, i) => endpoint(net.refuse(), { weight: 1 + (i % 3) }));
    endpoints.splice(3, 0, endpoint(good));
    const rig = new Rig(net, [], [...cluster('app', endpoints, { balancer }), rule({})]);
    const clients = await Promise.all(Array.from({ length: 4 }, () => rig.connect()));
    await Promise.all(
      clients.map(async (client, n) => {
        for (let i = 0; i < 6; i++) {
          await client.send(`POST /${n}/${i} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody`);
          assert.equal(bodyText(await client.readMessage()), 'body');
        }
        client.close();
      }),
    );
    await rig.end();
    for (const { attempts } of rig.records.all) assert.ok(attempts <= endpoints.length, String(attempts));
  });
}

simOnly('endpoints that are silent count: a request is not kept for the connect time of each of them', async (net) => {
  const rig = new Rig(net, [net.silent(), net.silent(), net.silent(), net.silent(), net.silent()]);
  const client = await rig.connect();
  await client.send(get());
  const [answer] = await Promise.all([client.readMessage(), net.advance(6 * LIMITS.UPSTREAM_CONNECT_MS)]);
  assert.equal(answer.status, 503);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.attempts, LIMITS.UPSTREAM_ATTEMPTS);
});

onBoth('a POST is not sent on a connection whose backend closes right behind each response', async (net) => {
  let requests = 0;
  const backend = net.serve(async (peer) => {
    const request = await peer.readMessage().catch(() => null);
    if (request === null) return;
    requests++;
    await peer.send(ok('x'));
    peer.close();
  });
  const rig = new Rig(net, [backend]);
  const clients = await Promise.all(Array.from({ length: 4 }, () => rig.connect()));
  await Promise.all(
    clients.map(async (client) => {
      for (let i = 0; i < 20; i++) {
        await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
        assert.equal((await client.readMessage()).status, 200);
      }
      client.close();
    }),
  );
  await rig.end();
  assert.equal(requests, 80);
});

simOnly(
  'a POST does not take a connection whose backend closed it right behind the response, in the same turn',
  async (net) => {
    const asked: Peer[] = [];
    const backend = net.serve(async (peer) => {
      if ((await peer.readMessage().catch(() => null)) === null) return;
      asked.push(peer);
      // Every connection but the first answers and stays.
      if (asked.length > 1) await peer.send(ok('later'));
    });
    const rig = new Rig(net, [backend]);
    const [a, b] = [await rig.connect(), await rig.connect()];
    await a.send(get());
    await net.settle();
    // The response and the POST stand ready for one turn; the FIN arrives when the response has been read.
    const { network } = net.sim;
    let calls = 0;
    network.interlude = () => {
      if (++calls !== 2) return;
      asked[0]?.close();
      network.run();
    };
    void asked[0]?.send(ok('first'));
    void b.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
    assert.equal((await a.readMessage()).status, 200);
    assert.equal((await b.readMessage()).status, 200);
    a.close();
    b.close();
    await rig.end();
    assert.equal(asked.length, 2);
  },
  { seeds: 0 },
);

simOnly('a connect that fails at once is tried again, and answered at once when it goes on failing', async (net) => {
  const held: Peer[] = [];
  const backend = net.serve(async (peer) => {
    await peer.readMessage().catch(() => null);
    held.push(peer);
  });
  const rig = new Rig(net, [backend]);
  const [busy, refused] = [await rig.connect(), await rig.connect()];
  await busy.send(get());
  await net.settle();
  net.sim.failConnects(LIMITS.UPSTREAM_ATTEMPTS, ERRNO.EADDRNOTAVAIL);
  await refused.send(get());
  await net.settle();
  assert.deepEqual([rig.records.last.flags, rig.records.last.attempts], ['UF', LIMITS.UPSTREAM_ATTEMPTS]);
  assert.equal((await refused.readMessage()).status, 503);
  net.sim.failConnects(LIMITS.UPSTREAM_ATTEMPTS - 1, ERRNO.EADDRNOTAVAIL);
  await refused.send(get());
  await net.settle();
  for (const peer of held.splice(0)) await peer.send(ok('x'));
  assert.equal((await refused.readMessage()).status, 200);
  assert.equal((await busy.readMessage()).status, 200);
  for (const client of [busy, refused]) client.close();
  await rig.end();
});

simOnly(
  'where a connection goes and those in its place fail at once, the next who waits gets a new one at once',
  async (net) => {
    const held: Peer[] = [];
    const backend = net.serve(async (peer) => {
      await peer.readMessage().catch(() => null);
      held.push(peer);
    });
    const rig = new Rig(net, [backend]);
    const ask = async (target: string): Promise<Peer> => {
      const client = await rig.connect();
      await client.send(get(target));
      return client;
    };
    const full = LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT;
    const busy = await Promise.all(Array.from({ length: full }, () => ask('/busy')));
    await net.settle();
    const waiting = [await ask('/waits'), await ask('/waits')];
    await net.settle();
    assert.equal(held.length, full);
    net.sim.failConnects(LIMITS.UPSTREAM_ATTEMPTS, ERRNO.EADDRNOTAVAIL);
    await held[0]?.send(ok('x', 'Connection: close\r\n'));
    held[0]?.close();
    await net.settle();
    // No time has passed: it does not wait for another to go.
    assert.equal(held.length, full + 1);
    for (const peer of held.slice(1)) {
      await peer.send(ok('x', 'Connection: close\r\n'));
      peer.close();
    }
    await net.settle();
    await held[full + 1]?.send(ok('x'));
    for (const client of [...busy, ...waiting]) {
      assert.equal((await client.readMessage()).status, 200);
      client.close();
    }
    await rig.end();
  },
  { seeds: 0, sim: { arenaBytes: 64 * 1024 * 1024 } },
);

simOnly('a connection is given up before the backend’s Keep-Alive timeout ends it', async (net) => {
  let connections = 0;
  const backend = net.serve(async (peer) => {
    connections++;
    for (;;) {
      if ((await peer.readMessage().catch(() => null)) === null) return;
      await peer.send(ok('x', 'Keep-Alive: timeout=5, max=100\r\n'));
    }
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  const ask = async (): Promise<number> => {
    await client.send(get());
    await client.readMessage();
    return connections;
  };
  assert.equal(await ask(), 1);
  await net.advance(3500);
  assert.equal(await ask(), 1);
  await net.advance(4500);
  assert.equal(await ask(), 2);
  client.close();
  await rig.end();
});

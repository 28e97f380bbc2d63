// Time limits, and limits of size and number: each ends in a clear answer and is counted. Nothing ever hangs.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { type LimitedName, limitCell } from '../../src/telemetry/layout.ts';
import { onBoth, simOnly } from '../support/net.ts';
import { answering, bodyText, clusterKey, get, ok, Rig, rule } from './rig.ts';

function reached(rig: Rig, name: LimitedName): number {
  return rig.get(limitCell(name));
}

simOnly('a head that does not come to an end is answered 408', async (net) => {
  const rig = new Rig(net, []);
  const client = await rig.connect();
  await client.send('GET / HTTP/1.1\r\nHo');
  // Bytes now and then do not help: the limit is for the whole head.
  for (let i = 0; i < 3; i++) {
    await net.advance(LIMITS.HEAD_MS / 4);
    await client.send('s');
  }
  const [answer] = await Promise.all([client.readMessage(), net.advance(LIMITS.HEAD_MS / 4 + 100)]);
  assert.equal(answer.status, 408);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'DT');
  assert.equal(reached(rig, 'HEAD_MS'), 1);
});

simOnly('a body without progress is answered 408; slow progress is enough', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await peer.read(100_000).catch(() => null);
    await peer.readAll().catch(() => null);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n');
  for (let i = 0; i < 4; i++) {
    await net.advance(LIMITS.BODY_PROGRESS_MS - 1000);
    await client.send('x');
  }
  const [answer] = await Promise.all([client.readMessage(), net.advance(LIMITS.BODY_PROGRESS_MS + 100)]);
  assert.equal(answer.status, 408);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'DT');
  assert.equal(reached(rig, 'BODY_PROGRESS_MS'), 1);
});

simOnly('an idle connection is closed in order, before and after requests', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const silent = await rig.connect();
  const client = await rig.connect();
  await client.send(get());
  await client.readMessage();
  const ends = Promise.all([silent.read(), client.read()]);
  await net.advance(LIMITS.IDLE_MS + 1000);
  assert.deepEqual(await ends, [null, null]);
  await rig.end();
  assert.equal(rig.records.all.length, 1);
  assert.equal(reached(rig, 'IDLE_MS'), 2);
});

simOnly('idle upstream connections are closed before servers do it', async (net) => {
  let ended = 0;
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send(ok('x'));
    if ((await peer.read()) === null) ended++;
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  await client.readMessage();
  await net.advance(LIMITS.UPSTREAM_IDLE_MS + 100);
  assert.equal(ended, 1);
  client.close();
  await rig.end();
});

for (const which of ['requestTimeoutMs', 'backendTimeoutMs'] as const) {
  onBoth(`${which}: 504 when the backend is silent`, async (net) => {
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      await peer.read().catch(() => null);
    });
    const rig = new Rig(net, [backend], [rule({ [which]: 50 })]);
    const client = await rig.connect();
    await client.send(get());
    const [answer] = await Promise.all([client.readMessage(), net.advance(100)]);
    assert.equal(answer.status, 504);
    assert.equal(answer.headers.get('connection'), undefined);
    client.close();
    await rig.end();
    assert.equal(rig.records.last.flags, 'UT');
  });

  onBoth(`${which}: a response that takes longer is cut off`, async (net) => {
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
      await peer.read().catch(() => null);
    });
    // On the real network the response has to have begun before that.
    const ms = net.kind === 'native' ? 2_000 : 50;
    const rig = new Rig(net, [backend], [rule({ [which]: ms })]);
    const client = await rig.connect();
    await client.send(get());
    const reading = client.readMessage().then(
      () => 'whole',
      () => 'cut',
    );
    await net.advance(ms + 70);
    assert.equal(await reading, 'cut');
    client.close();
    await rig.end();
    assert.equal(rig.records.last.flags, 'UT');
    assert.equal(rig.records.last.status, 200);
  });
}

simOnly('a request that nothing happens to for minutes ends, without any time limit of its rule', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.read().catch(() => null);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  const [answer] = await Promise.all([client.readMessage(), net.advance(LIMITS.STREAM_IDLE_MS + 1000)]);
  assert.equal(answer.status, 504);
  client.close();
  await rig.end();
  assert.equal(reached(rig, 'STREAM_IDLE_MS'), 1);
});

simOnly('a client that takes nothing of its answer for minutes is cut off', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'.repeat(3_000_000)))]);
  const client = await rig.connect();
  await client.send(get());
  await client.readHead();
  await net.advance(2 * LIMITS.STREAM_IDLE_MS + 1000);
  await assert.rejects(client.readExactly(3_000_000));
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'SI');
});

onBoth('a head too large, too many fields, a target too long', async (net) => {
  const cases = [
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(LIMITS.HEAD_BYTES)}\r\n\r\n`, 431, 'HEAD_BYTES'],
    [`GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(LIMITS.FIELDS)}\r\n`, 431, 'FIELDS'],
    [`GET /${'x'.repeat(LIMITS.URI_BYTES)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414, 'URI_BYTES'],
  ] as const;
  const rig = new Rig(net, []);
  for (const [request, status, limit] of cases) {
    const client = await rig.connect();
    const sending = client.send(request).catch(() => {});
    assert.equal((await client.readMessage()).status, status);
    assert.equal(await client.read(), null);
    await sending;
    client.close();
    assert.equal(reached(rig, limit), 1, limit);
  }
  await rig.end();
});

onBoth('the largest head that is allowed passes', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(String(r.head.length)))]);
  const client = await rig.connect();
  const rest = LIMITS.HEAD_BYTES - get('/', 'X-Large: \r\n').length;
  const sending = client.send(get('/', `X-Large: ${'x'.repeat(rest)}\r\n`));
  const answer = await client.readMessage();
  await sending;
  assert.equal(answer.status, 200);
  assert.ok(Number(bodyText(answer)) > LIMITS.HEAD_BYTES);
  client.close();
  await rig.end();
});

onBoth('no rule, no usable backend, no endpoint, CONNECT', async (net) => {
  const none = { cluster: null, backend: 'default/none:80', weight: 1, filters: [] };
  const gone = { cluster: clusterKey('gone'), backend: 'default/gone:80', weight: 1, filters: [] };
  const zero = { cluster: clusterKey('app'), backend: 'default/app:80', weight: 0, filters: [] };
  const rig = new Rig(
    net,
    [],
    [
      rule({ name: 'null', path: '/null', action: { type: 'forward', backends: [none] } }),
      rule({ name: 'gone', path: '/gone', action: { type: 'forward', backends: [gone] } }),
      rule({ name: 'zero', path: '/zero', action: { type: 'forward', backends: [zero] } }),
      rule({ name: 'empty', path: '/empty', to: ['app'] }),
    ],
  );
  const client = await rig.connect();
  for (const [target, status, flags] of [
    ['/other', 404, 'NR'],
    ['/null', 500, 'NC'],
    ['/gone', 500, 'NC'],
    ['/zero', 500, 'NC'],
    ['/empty', 503, 'UH'],
  ] as const) {
    await client.send(get(target));
    const answer = await client.readMessage();
    assert.equal(answer.status, status, target);
    assert.equal(answer.headers.get('connection'), undefined);
    assert.equal(rig.records.last.flags, flags);
  }
  await client.send('CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n');
  assert.equal((await client.readMessage()).status, 404);
  client.close();
  await rig.end();
  assert.equal(rig.records.all.length, 6);
});

onBoth('malformed requests are answered, logged and end the connection', async (net) => {
  const rig = new Rig(net, []);
  for (const [request, status] of [
    ['GET / HTTP/1.1\r\n\r\n', 400],
    ['GET / HTTP/3.0\r\nHost: a\r\n\r\n', 505],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc', 400],
    ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
    ['GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n', 417],
  ] as const) {
    const client = await rig.connect();
    await client.send(request);
    const answer = await client.readMessage();
    assert.equal(answer.status, status, request);
    assert.deepEqual(answer.headers.get('connection'), ['close']);
    assert.equal(await client.read(), null);
    client.close();
    assert.equal(rig.records.last.flags, 'DPE');
    assert.equal(rig.records.last.status, status);
  }
  await rig.end();
});

onBoth(
  'when memory runs out the answer is 503 or the connection ends; afterwards all is well',
  async (net) => {
    const rig = new Rig(net, [answering(net, (r) => ok(r.target))]);
    const io = net.io;
    const held: number[] = [];
    // Some of each size, since freed blocks of the simulation stay of their size.
    for (let i = 0; i < 8; i++) held.push(io.alloc(2048), io.alloc(8192));
    for (const size of [4096, 512]) {
      for (let at = io.alloc(size); at >= 0; at = io.alloc(size)) held.push(at);
    }
    // Over TLS the handshake may be what there is no memory for.
    const client = await rig.connect().catch(() => null);
    const answer = await client?.send(get()).then(() => client.readMessage().catch(() => null));
    if (answer != null) assert.equal(answer.status, 503);
    client?.close();
    for (const at of held) io.free(at);
    const later = await rig.connect();
    await later.send(get('/later'));
    assert.equal(bodyText(await later.readMessage()), '/later');
    later.close();
    await rig.end();
  },
  { sim: { arenaBytes: 8 * 1024 * 1024 } },
);

simOnly(
  'without descriptors accepting pauses, and goes on when there are some',
  async (net) => {
    const rig = new Rig(net, [answering(net, (r) => ok(r.target))]);
    let answered = 0;
    const clients = Array.from({ length: 8 }, async (_, i) => {
      const client = await rig.connect();
      await client.send(get(`/${i}`));
      const answer = await client.readMessage();
      assert.ok(answer.status === 200 || answer.status === 503);
      client.close();
      answered++;
    });
    while (answered < clients.length) await net.advance(LIMITS.ACCEPT_PAUSE_MS);
    await Promise.all(clients);
    await rig.end();
    assert.ok(reached(rig, 'ACCEPT_PAUSE_MS') > 0);
  },
  { sim: { maxHandles: 6 } },
);

onBoth('connections above the limit are answered 503, and there is room again when others leave', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(r.target))], [rule({})], { maxConnections: 2 });
  const first = await rig.connect();
  const second = await rig.connect();
  for (const client of [first, second]) {
    await client.send(get('/a'));
    assert.equal(bodyText(await client.readMessage()), '/a');
  }
  const third = await rig.connect();
  await third.send(get('/b'));
  const refused = await third.readMessage();
  assert.equal(refused.status, 503);
  assert.deepEqual(refused.headers.get('connection'), ['close']);
  assert.equal(await third.read(), null);
  assert.equal(rig.records.last.flags, 'UO');
  third.close();
  first.close();
  await net.advance(20);
  const fourth = await rig.connect();
  await fourth.send(get('/c'));
  assert.equal(bodyText(await fourth.readMessage()), '/c');
  fourth.close();
  second.close();
  await rig.end();
  assert.ok(reached(rig, 'DOWNSTREAM_CONNECTIONS') > 0);
});

simOnly(
  'requests wait for a connection when all are busy, in a bounded queue',
  async (net) => {
    const held: (() => Promise<void>)[] = [];
    const backend = net.serve(async (peer) => {
      for (;;) {
        const request = await peer.readMessage().catch(() => null);
        if (request === null) return;
        if (request.target === '/hold') await new Promise<void>((go) => held.push(async () => go()));
        await peer.send(ok(request.target));
      }
    });
    const rig = new Rig(net, [backend]);
    const ask = async (target: string): Promise<number> => {
      const client = await rig.connect();
      await client.send(get(target));
      const { status } = await client.readMessage();
      client.close();
      return status;
    };
    const busy = Array.from({ length: LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT }, () => ask('/hold'));
    while (held.length < busy.length) await net.advance(10);
    const waiting = Array.from({ length: LIMITS.UPSTREAM_PENDING_PER_ENDPOINT }, () => ask('/wait'));
    const given = ask('/wait');
    await net.advance(100);
    const quitter = await rig.connect();
    await quitter.send(get('/wait'));
    assert.equal((await quitter.readMessage()).status, 503);
    quitter.close();
    for (const go of held) await go();
    const all = await Promise.all([...busy, ...waiting]);
    assert.equal(all.filter((status) => status === 200).length, all.length - 1 + Number((await given) === 503));
    await rig.end();
    assert.ok(reached(rig, 'UPSTREAM_PENDING_PER_ENDPOINT') >= 2);
    assert.ok(reached(rig, 'UPSTREAM_CONNECTIONS_PER_ENDPOINT') > 0);
  },
  { seeds: 0, sim: { arenaBytes: 64 * 1024 * 1024 } },
);

for (const [what, requestMs] of [
  ['0s: for ever', 0],
  ['ten minutes', 600_000],
] as const) {
  simOnly(`a rule's own time holds beyond the idle limit (${what})`, async (net) => {
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      await net.sleep(500_000);
      await peer.send(ok('late'));
    });
    const rig = new Rig(net, [backend], [rule({ requestTimeoutMs: requestMs })]);
    const client = await rig.connect();
    await client.send(get());
    const [answer] = await Promise.all([client.readMessage(), net.advance(501_000)]);
    assert.equal(answer.status, 200);
    client.close();
    await rig.end();
  });
}

simOnly('where nobody set a time the idle limit is its own: settable, its own flag, not the backend’s', async (net) => {
  const rig = new Rig(net, [net.serve(() => {})], [rule({})], { streamIdleMs: 20_000 });
  const client = await rig.connect();
  await client.send(get());
  const [answer] = await Promise.all([client.readMessage(), net.advance(21_000)]);
  assert.equal(answer.status, 504);
  client.close();
  await rig.end();
  assert.deepEqual([rig.records.last.flags, rig.records.last.limit], ['SI', 'STREAM_IDLE_MS']);
});

simOnly(
  'a rule may have an idle time of its own, shorter or longer; the next request has the usual one',
  async (net) => {
    const answersAfter = net.serve(async (peer) => {
      while ((await peer.readMessage().catch(() => null)) !== null) {
        await net.sleep(50_000);
        await peer.send(ok('late'));
      }
    });
    for (const [idleTimeoutMs, statuses] of [
      [10_000, [504, 504]],
      [90_000, [200, 504]],
    ] as const) {
      const own = rule({ name: 'own', path: '/own', idleTimeoutMs });
      const rig = new Rig(net, [answersAfter], [own, rule({})], { streamIdleMs: 20_000 });
      const client = await rig.connect();
      for (const [i, path] of ['/own', '/'].entries()) {
        await client.send(get(path));
        const [answer] = await Promise.all([client.readMessage(), net.advance(51_000)]);
        assert.equal(answer.status, statuses[i], `${path} with ${idleTimeoutMs}`);
      }
      client.close();
      await rig.end();
    }
  },
);

simOnly('a client that waits for 100 is not too slow; from then on it is its turn', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await net.sleep(40_000);
    await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
    await peer.readExactly(2).catch(() => null);
    await peer.send(ok('done', 'Connection: close\r\n'));
  });
  const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n';
  const rig = new Rig(net, [backend], [rule({})], { bodyProgressMs: 10_000 });
  const client = await rig.connect();
  await client.send(post);
  const [interim] = await Promise.all([client.readHead(), net.advance(41_000)]);
  assert.equal(interim.status, 100);
  await client.send('ok');
  assert.equal((await client.readMessage()).status, 200);
  client.close();
  const slow = await rig.connect();
  await slow.send(post);
  await Promise.all([slow.readHead(), net.advance(41_000)]);
  const [late] = await Promise.all([slow.readMessage(), net.advance(11_000)]);
  assert.equal(late.status, 408);
  slow.close();
  await rig.end();
  assert.deepEqual([rig.records.last.flags, rig.records.last.limit], ['DT', 'BODY_PROGRESS_MS']);
});

onBoth('a response may have more fields than a request, and one with too many says so', async (net) => {
  const cookies = (n: number): string => Array.from({ length: n }, (_, i) => `Set-Cookie: c${i}=1\r\n`).join('');
  const backend = answering(net, (r) => ok('x', cookies(Number(r.target.slice(1)))));
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get('/200'));
  assert.equal((await client.readMessage()).headers.get('set-cookie')?.length, 200);
  await client.send(get(`/${LIMITS.RESPONSE_FIELDS}`));
  const refused = await client.readMessage();
  assert.deepEqual([refused.status, bodyText(refused)], [502, 'upstream response head too large\n']);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.limit, 'RESPONSE_FIELDS');
  assert.equal(reached(rig, 'RESPONSE_FIELDS'), 1);
});

// External authorization over HTTP: who is asked, what it is told, and what becomes of the request.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { authCell, limitCell } from '../../src/telemetry/layout.ts';
import { onBoth, type Peer, simOnly, type TestNet } from '../support/net.ts';
import { auth, post, type Says, site } from './auth-rig.ts';
import { answering, bodyText, cluster, clusterKey, endpoint, get, ok, Rig, rule } from './rig.ts';

const yes: Says = () => ok('');
const no: Says = () => 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno';

/** One that is asked and never answers; `came` when it was. */
function silent(net: TestNet): { address: ReturnType<TestNet['serve']>; came: Promise<void>; gone: Promise<void> } {
  const { promise: came, resolve: onCame } = Promise.withResolvers<void>();
  const { promise: gone, resolve: onGone } = Promise.withResolvers<void>();
  const address = net.serve(async (peer) => {
    await peer.readMessage();
    onCame();
    await peer.read().catch(() => null);
    onGone();
  });
  return { address, came, gone };
}

onBoth('the server is asked about each request, and what it says the backend hears', async (net) => {
  const { rig, asked, served } = site(net, () => ok('fine', 'X-User: alice\r\nX-Other: no\r\n'));
  const client = await rig.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(get('/a?b=c', 'Authorization: Bearer t\r\nCookie: c=1\r\nX-User: mallory\r\nx_user: eve\r\n'));
    assert.equal(bodyText(await client.readMessage()), 'app');
  }
  assert.equal(asked.length, 2);
  assert.match(asked[0] as string, /^GET \/a\?b=c\n/);
  assert.match(asked[0] as string, /\r\nHost: a\.example\r\nauthorization: Bearer t\r\nContent-Length: 0\r\n/);
  assert.doesNotMatch(asked[0] as string, /cookie|x-user|forwarded/i);
  assert.match(served[0] as string, /^GET \/a\?b=c\n/);
  assert.match(served[0] as string, /x-user: alice\r\n/);
  assert.match(served[0] as string, /Cookie: c=1\r\n/);
  assert.doesNotMatch(served[0] as string, /mallory|eve|x-other/i);
  assert.deepEqual([rig.get(authCell('allowed')), rig.records.last.auth], [2, 'allowed']);
  client.close();
  await rig.end();
});

onBoth('whom it denies gets its answer, and the backend hears nothing', async (net) => {
  const { rig, served } = site(
    net,
    () =>
      'HTTP/1.1 302 Found\r\nLocation: https://login.example/{{uuid}}\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n' +
      'Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlogin',
  );
  const client = await rig.connect();
  await client.send(get('/'));
  const answer = await client.readMessage();
  assert.match(answer.head, /^HTTP\/1\.1 302 /);
  assert.match(
    answer.head,
    /Location: https:\/\/login\.example\/\{\{uuid\}\}\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n/,
  );
  assert.equal(bodyText(answer), 'login');
  assert.deepEqual(served, []);
  const { status, flags, auth: said } = rig.records.last;
  assert.deepEqual([status, flags, said, rig.get(authCell('denied'))], [302, 'UAEX', 'denied', 1]);
  client.close();
  await rig.end();
});

onBoth('without names all of its answer but what is about itself goes to the backend', async (net) => {
  const { rig, served } = site(
    net,
    () =>
      ok('fine', 'Content-Type: text/x\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\nX-A: 1\r\nX-A: 2\r\nServer: s\r\n'),
    auth({ responseHeaders: [] }),
  );
  const client = await rig.connect();
  await client.send(post('{}', 'Content-Type: application/json\r\nX-A: mine\r\nX-B: mine\r\n'));
  assert.equal(bodyText(await client.readMessage()), 'app');
  const [backend = ''] = served;
  assert.match(backend, /x-a: 1\r\nx-a: 2\r\n/);
  assert.match(backend, /Content-Type: application\/json\r\n/);
  assert.match(backend, /X-B: mine\r\n/);
  assert.match(backend, /\nPOST \/p HTTP\/1.1\r\nHost: a\.example\r\nContent-Length: 2\r\n/);
  assert.doesNotMatch(backend, /evil|6\.6\.6\.6|X-A: mine|text\/x|Server/);
  assert.match(backend, /\n\{\}$/);
  client.close();
  await rig.end();
});

onBoth('a path in front, and fields by name: what RAUTA says of the client among them', async (net) => {
  const names = ['x-forwarded-for', 'x-tenant', 'host', 'content-length', 'transfer-encoding'];
  const { rig, asked } = site(net, yes, auth({ path: '/verify', requestHeaders: names }));
  const client = await rig.connect();
  await client.send(post('12345', 'X-Tenant: a\r\nX-Tenant: b\r\nX-Forwarded-For: 6.6.6.6\r\n'));
  await client.readMessage();
  const [question = ''] = asked;
  assert.match(question, /^POST \/verify\/p\n/);
  assert.match(question, /x-tenant: a\r\nx-tenant: b\r\nx-forwarded-for: 127\.0\.0\.1\r\nContent-Length: 0\r\n/);
  assert.doesNotMatch(question, /6\.6\.6\.6|12345/);
  client.close();
  await rig.end();
});

onBoth("a rule's edits come after it: they may take away what the server said", async (net) => {
  const { rig, asked, served } = site(
    net,
    () => ok('', 'X-User: alice\r\nX-Keep: 1\r\n'),
    auth({ responseHeaders: [] }),
    {
      filters: [
        { type: 'requestHeaders', edits: { set: [{ name: 'X-User', value: 'set' }], add: [], remove: ['x-b'] } },
        { type: 'rewrite', hostname: 'inner.example', path: { type: 'ReplaceFullPath', value: '/inner' } },
      ],
    },
  );
  const client = await rig.connect();
  await client.send(get('/outer', 'X-B: 1\r\n'));
  await client.readMessage();
  assert.match(asked[0] as string, /^GET \/outer\n[\s\S]*Host: a\.example/);
  assert.match(served[0] as string, /^GET \/inner\n[\s\S]*Host: inner\.example/);
  assert.match(served[0] as string, /x-keep: 1\r\n/);
  assert.match(served[0] as string, /X-User: set\r\n/);
  assert.doesNotMatch(served[0] as string, /alice|X-B/);
  client.close();
  await rig.end();
});

onBoth('only 200 lets a request go on: another 2xx denies, and does not look as if it did not', async (net) => {
  let status = 0;
  const { rig, served } = site(net, () => `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\nX-Why: w\r\n\r\n`);
  const seen: number[] = [];
  const client = await rig.connect();
  for (status of [201, 202, 401, 404, 429]) {
    await client.send(get());
    const answer = await client.readMessage();
    seen.push(answer.status);
    assert.match(answer.head, /X-Why: w/);
  }
  assert.deepEqual([seen, served], [[403, 403, 401, 404, 429], []]);
  client.close();
  await rig.end();
});

onBoth('a server that fails keeps everybody out: 5xx, refused, nonsense, a switch of protocols', async (net) => {
  const nonsense = answering(net, () => 'nonsense\r\n\r\n');
  const switched = answering(net, () => 'HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
  const fives = answering(net, () => 'HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n');
  const dead = net.serve(async (peer) => {
    await peer.readMessage();
    peer.close();
  });
  for (const server of [net.refuse(), nonsense, switched, fives, dead]) {
    const { rig, served } = site(net, server);
    const client = await rig.connect();
    await client.send(get());
    const answer = await client.readMessage();
    assert.deepEqual([answer.status, bodyText(answer)], [403, 'authorization failed\n']);
    assert.deepEqual([served, rig.records.last.flags, rig.records.last.auth], [[], 'UAEX', 'failed']);
    assert.equal(rig.get(authCell('failed')), 1);
    client.close();
    await rig.end();
  }
});

onBoth('or nobody, where the route says so; and nobody says then what only the server says', async (net) => {
  const fives = answering(net, () => 'HTTP/1.1 503 X\r\nContent-Length: 0\r\nX-User: x\r\n\r\n');
  for (const server of [net.refuse(), fives]) {
    const { rig, served } = site(net, server, auth({ failOpen: true }));
    const client = await rig.connect();
    await client.send(post('hello', 'X-User: mallory\r\n'));
    assert.equal(bodyText(await client.readMessage()), 'app');
    assert.match(served[0] as string, /\nhello$/);
    assert.doesNotMatch(served[0] as string, /x-user/i);
    assert.deepEqual([rig.get(authCell('open')), rig.records.last.auth], [1, 'failed']);
    client.close();
    await rig.end();
  }
});

simOnly('who has said no has said it, though the rest of its answer never comes', async (net) => {
  const says = (status: number): string =>
    `HTTP/1.1 ${status} X\r\nContent-Type: a/b\r\nLocation: /login\r\nContent-Length: 10\r\n\r\npart`;
  const ends: readonly ((peer: Peer) => unknown)[] = [
    (peer) => peer.end(),
    (peer) => peer.reset(),
    (peer) => peer.readAll().catch(() => null),
  ];
  for (const failOpen of [false, true]) {
    for (const end of ends) {
      for (const status of [302, 401, 403, 200, 500]) {
        const server = net.serve(async (peer) => {
          await peer.readMessage();
          await peer.send(says(status));
          await net.settle();
          await end(peer);
        });
        const { rig, served } = site(net, server, auth({ failOpen }));
        const client = await rig.connect();
        await client.send(get());
        await net.advance(LIMITS.EXTERNAL_AUTH_MS + 100);
        const answer = await client.readMessage();
        const denies = status > 200 && status < 500;
        const fails = failOpen ? [200, 'app'] : [403, 'authorization failed\n'];
        assert.deepEqual([answer.status, bodyText(answer)], denies ? [status, ''] : fails);
        if (denies) assert.match(answer.head, /Location: \/login\r\n/);
        if (denies) assert.doesNotMatch(answer.head, /a\/b/);
        assert.equal(rig.records.last.auth, denies ? 'denied' : 'failed');
        assert.equal(served.length, failOpen && !denies ? 1 : 0);
        client.close();
        await rig.end();
      }
    }
  }
});

onBoth('an invalid reference answers 500, whatever the route says of failures', async (net) => {
  for (const filter of [auth({ cluster: null }), auth({ cluster: null, failOpen: true })]) {
    const { rig, served } = site(net, yes, filter);
    const client = await rig.connect();
    await client.send(get());
    assert.equal((await client.readMessage()).status, 500);
    assert.deepEqual([served, rig.records.last.flags], [[], 'NC']);
    client.close();
    await rig.end();
  }
});

onBoth('a request that is asked about while its route changes goes where it was to go', async (net) => {
  const { promise: came, resolve: onCame } = Promise.withResolvers<void>();
  const { promise: may, resolve: answer } = Promise.withResolvers<void>();
  const server = net.serve(async (peer) => {
    await peer.readMessage();
    onCame();
    await may;
    await peer.send(yes('', '', ''));
  });
  const { rig, served } = site(net, server);
  const client = await rig.connect();
  await client.send(get());
  await came;
  const other = answering(net, () => ok('other'));
  const two = cluster('two', [endpoint(other)]);
  rig.apply({ upserts: [two, rule({ to: ['two'] })].flat(), removals: [clusterKey('app'), clusterKey('auth')] });
  answer();
  assert.deepEqual([bodyText(await client.readMessage()), served.length], ['app', 1]);
  await client.send(get());
  assert.equal(bodyText(await client.readMessage()), 'other');
  client.close();
  await rig.end();
});

onBoth('redirects and static answers wait for the verdict, too', async (net) => {
  const redirect = { scheme: 'https', hostname: null, port: null, path: null, status: 302 } as const;
  for (const [says, statuses] of [
    [yes, [302, 418]],
    [no, [403, 403]],
  ] as const) {
    const { rig } = site(net, says, auth(), { action: { type: 'redirect', redirect } });
    const client = await rig.connect();
    await client.send(get());
    const first = (await client.readMessage()).status;
    const action = { type: 'static', status: 418, headers: [], body: '' } as const;
    rig.apply({ upserts: [rule({ filters: [auth()], action })], removals: [] });
    await client.send(get());
    assert.deepEqual([first, (await client.readMessage()).status], statuses);
    client.close();
    await rig.end();
  }
});

onBoth('a client that leaves takes its question with it', async (net) => {
  const { address, came, gone } = silent(net);
  const { rig, served } = site(net, address);
  const client = await rig.connect();
  await client.send(get());
  await came;
  client.close();
  await gone;
  await rig.end();
  assert.deepEqual([served, rig.records.last.flags], [[], 'DC']);
});

onBoth('HEAD is asked about as HEAD, OPTIONS * as it is, and requests behind each other one by one', async (net) => {
  const { rig, asked, served } = site(net, yes, auth({ path: '/v' }));
  const client = await rig.connect();
  const head = 'HEAD /h HTTP/1.1\r\nHost: a.example\r\n\r\n';
  const options = 'OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n';
  // Both forms of one request (RFC 9112 section 3.2.4).
  const absolute = 'OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n';
  await client.send(`${head}${options}${absolute}${get('/g')}`);
  assert.equal((await client.readHead()).status, 200);
  for (let i = 0; i < 3; i++) await client.readMessage();
  const lines = (texts: string[]): string[] => texts.map((text) => text.split('\n')[0] as string);
  assert.deepEqual(lines(asked), ['HEAD /v/h', 'OPTIONS /v/*', 'OPTIONS /v/*', 'GET /v/g']);
  assert.deepEqual(lines(served), ['HEAD /h', 'OPTIONS *', 'OPTIONS *', 'GET /g']);
  client.close();
  await rig.end();
});

onBoth('a WebSocket is opened when the server says so, and not before', async (net) => {
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send('HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhi');
    await peer.read().catch(() => null);
  });
  let says = no;
  const server = answering(net, ({ target, head }) => says(target, head, ''));
  const rig = new Rig(net, [app], [rule({ filters: [auth()] }), cluster('auth', [endpoint(server)])]);
  const upgrade = get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n');
  const client = await rig.connect();
  await client.send(upgrade);
  assert.equal((await client.readMessage()).status, 403);
  says = yes;
  await client.send(upgrade);
  assert.equal((await client.readHead()).status, 101);
  assert.equal(Buffer.from(await client.readExactly(2)).toString(), 'hi');
  client.close();
  await rig.end();
});

onBoth('connections to the server are kept, and one that it left is not the end of a question', async (net) => {
  let connections = 0;
  const server = net.serve(async (peer) => {
    connections++;
    await peer.readMessage();
    await peer.send(ok(''));
    if (connections < 2) {
      await peer.readMessage();
      peer.close();
      return;
    }
    await peer.readMessage().catch(() => null);
    await peer.send(ok('')).catch(() => null);
  });
  const { rig } = site(net, server);
  const client = await rig.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(get());
    assert.equal((await client.readMessage()).status, 200);
  }
  assert.equal(connections, 2);
  client.close();
  await rig.end();
});

simOnly('a server that is silent has its time, and no more', async (net) => {
  const { rig, served } = site(net, silent(net).address);
  const client = await rig.connect();
  await client.send(get());
  await net.advance(LIMITS.EXTERNAL_AUTH_MS + 100);
  assert.equal((await client.readMessage()).status, 403);
  assert.deepEqual([served, rig.get(limitCell('EXTERNAL_AUTH_MS'))], [[], 1]);
  assert.ok(LIMITS.EXTERNAL_AUTH_MS < LIMITS.DECISION_MS);
  client.close();
  await rig.end();
});

simOnly("the time that a rule gives a request is the server's, too", async (net) => {
  const { rig, served } = site(net, silent(net).address, auth(), { requestTimeoutMs: 200 });
  const client = await rig.connect();
  await client.send(get());
  await net.advance(300);
  assert.equal((await client.readMessage()).status, 504);
  assert.deepEqual([served, rig.records.last.flags], [[], 'UT']);
  client.close();
  await rig.end();
});

onBoth('an answer that is larger than is kept denies without content, and one without end too', async (net) => {
  const large = 'x'.repeat(LIMITS.EXTERNAL_AUTH_ANSWER_BYTES + 1);
  const { rig } = site(
    net,
    () => `HTTP/1.1 401 X\r\nContent-Type: a/b\r\nContent-Length: 1000000\r\nX-A: 1\r\n\r\n${large}`,
  );
  const client = await rig.connect();
  await client.send(get());
  const answer = await client.readMessage();
  assert.deepEqual([answer.status, bodyText(answer)], [401, '']);
  assert.match(answer.head, /X-A: 1\r\n/);
  assert.doesNotMatch(answer.head, /Content-Type/);
  assert.equal(rig.get(limitCell('EXTERNAL_AUTH_ANSWER_BYTES')), 1);
  client.close();
  await rig.end();
});

onBoth('interim responses of a server without end are a failure, and soon; some are none', async (net) => {
  const early = 'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n';
  for (const [more, status] of [
    [0, 200],
    [1, 403],
  ] as const) {
    const flood = early.repeat(LIMITS.INTERIM_RESPONSES + more);
    const server = net.serve(async (peer) => {
      await peer.readMessage();
      await peer.send(more === 0 ? flood + ok('') : flood);
      await peer.readAll().catch(() => null);
    });
    const { rig } = site(net, server);
    const client = await rig.connect();
    await client.send(get());
    assert.equal((await client.readMessage()).status, status);
    assert.equal(rig.get(limitCell('INTERIM_RESPONSES')), more);
    client.close();
    await rig.end();
  }
});

// External authorization that sees the content (forwardBody): held whole before the server is asked, then sent on.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { onBoth, simOnly } from '../support/net.ts';
import { auth, post, type Says, site } from './auth-rig.ts';
import { answering, bodyText, cluster, clusterKey, endpoint, ok, Rig, rule } from './rig.ts';

const yes: Says = () => ok('', 'X-User: alice\r\n');
const CHUNKED = 'POST /c HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n';

onBoth('content in one piece goes to the server, and then to the backend', async (net) => {
  const { rig, asked, served } = site(net, yes, auth({ bodyBytes: 100 }));
  const client = await rig.connect();
  await client.send(post('hello', 'Content-Type: a/b\r\n'));
  assert.equal(bodyText(await client.readMessage()), 'app');
  assert.match(asked[0] as string, /\r\nContent-Length: 5\r\n[\s\S]*\nhello$/);
  assert.match(served[0] as string, /\r\nContent-Length: 5\r\n[\s\S]*\nx-user: alice\r\n[\s\S]*\nhello$/);
  assert.equal(rig.records.last.requestBytes, 5);
  client.close();
  await rig.end();
});

onBoth('in pieces, as large as it may be, it is held until the last one came', async (net) => {
  const { rig, asked, served } = site(net, yes, auth({ bodyBytes: 65_535 }));
  const client = await rig.connect();
  const text = Buffer.alloc(65_535, 'abcdefghij').toString();
  await client.send(`POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${text.length}\r\n\r\n`);
  for (let at = 0; at < text.length; at += 10_000) {
    await net.settle();
    assert.deepEqual([asked, served], [[], []]);
    await client.send(text.slice(at, at + 10_000));
  }
  assert.equal(bodyText(await client.readMessage()), 'app');
  for (const one of [asked[0] as string, served[0] as string]) assert.ok(one.endsWith(`\n${text}`));
  client.close();
  await rig.end();
});

onBoth('chunked it has a length for the server, and stays chunked, with its trailers, for the backend', async (net) => {
  let raw = '';
  const app = net.serve(async (peer) => {
    raw = Buffer.from(await peer.readUntil('X-Sum: 1\r\n\r\n')).toString('latin1');
    await peer.send(ok('app'));
  });
  const asked: string[] = [];
  const server = answering(net, ({ head, body }) => {
    asked.push(`${head}\n${bodyText({ body })}`);
    return ok('');
  });
  const filters = [auth({ bodyBytes: 100 })];
  const rig = new Rig(net, [app], [rule({ filters }), cluster('auth', [endpoint(server)])]);
  const client = await rig.connect();
  await client.send(`${CHUNKED}\r\n3\r\nabc\r\n`);
  await client.send('4\r\ndefg\r\n0\r\nX-Sum: 1\r\n\r\n');
  assert.equal(bodyText(await client.readMessage()), 'app');
  assert.match(asked[0] as string, /\r\nContent-Length: 7\r\n[\s\S]*\nabcdefg$/);
  assert.doesNotMatch(asked[0] as string, /chunked|Sum/);
  assert.match(raw, /Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\nX-Sum: 1\r\n\r\n$/);
  client.close();
  await rig.end();
});

onBoth('one that is too large is answered 413, and nobody is asked', async (net) => {
  const { rig, asked, served } = site(net, yes, auth({ bodyBytes: 4 }));
  const requests = [
    post('12345'),
    'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n12',
    `${CHUNKED}\r\n5\r\n12345\r\n0\r\n\r\n`,
    `${CHUNKED}\r\n3\r\n123\r\n2\r\n45\r\n`,
  ];
  for (const request of requests) {
    const client = await rig.connect();
    await client.send(request);
    const answer = await client.readMessage();
    assert.deepEqual([answer.status, bodyText(answer)], [413, 'request body too large\n']);
    assert.deepEqual([rig.records.last.flags, asked, served], ['DPE', [], []]);
    client.close();
  }
  const client = await rig.connect();
  await client.send(post('1234'));
  assert.equal((await client.readMessage()).status, 200);
  client.close();
  await rig.end();
});

onBoth('whoever waits to be asked for content is asked for it here, once', async (net) => {
  const { rig, asked, served } = site(net, yes, auth({ bodyBytes: 100 }));
  const client = await rig.connect();
  await client.send('POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
  assert.equal((await client.readHead()).status, 100);
  assert.deepEqual([asked, served], [[], []]);
  await client.send('hello');
  assert.equal((await client.readMessage()).status, 200);
  assert.doesNotMatch(`${asked[0]}${served[0]}`, /expect/i);
  await client.send('POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 500\r\nExpect: 100-continue\r\n\r\n');
  assert.equal((await client.readMessage()).status, 413);
  client.close();
  await rig.end();
});

onBoth('a denial after the content; the connection goes on', async (net) => {
  const { rig, served } = site(
    net,
    (_target, _head, body) => (body === 'good' ? ok('') : 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'),
    auth({ bodyBytes: 100 }),
  );
  const client = await rig.connect();
  for (const [content, status] of [
    ['evil', 403],
    ['good', 200],
    ['evil', 403],
  ] as const) {
    await client.send(post(content));
    assert.equal((await client.readMessage()).status, status);
  }
  assert.equal(served.length, 1);
  client.close();
  await rig.end();
});

onBoth('what was held is held for another attempt, and for a mirror', async (net) => {
  const mirrored: string[] = [];
  const { promise: copied, resolve } = Promise.withResolvers<void>();
  const mirror = answering(net, ({ body }) => {
    mirrored.push(bodyText({ body }));
    resolve();
    return ok('');
  });
  const served: string[] = [];
  const app = answering(net, ({ body }) => {
    served.push(bodyText({ body }));
    return served.length === 1 ? 'HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n' : ok('app');
  });
  const server = answering(net, () => ok(''));
  const text = 'z'.repeat(30_000);
  const filters = [
    auth({ bodyBytes: 60_000 }),
    { type: 'mirror', cluster: clusterKey('copy'), share: 1, of: 1 } as const,
  ];
  const rig = new Rig(
    net,
    [app],
    [
      rule({ filters, retry: { attempts: 1, codes: [503], backoffMs: 0 } }),
      cluster('auth', [endpoint(server)]),
      cluster('copy', [endpoint(mirror)]),
    ],
  );
  const client = await rig.connect();
  await client.send(post(text));
  const [answer] = await Promise.all([client.readMessage(), net.advance(net.kind === 'native' ? 20 : 1_000)]);
  assert.equal(bodyText(answer), 'app');
  await copied;
  assert.deepEqual([served, mirrored], [[text, text], [text]]);
  client.close();
  await rig.end();
});

onBoth('a client that leaves with half of it leaves nothing behind', async (net) => {
  const { rig, asked } = site(net, yes, auth({ bodyBytes: 100 }));
  const client = await rig.connect();
  await client.send('POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n12345');
  await net.settle();
  client.close();
  while (rig.records.all.length === 0) await net.settle();
  assert.deepEqual([asked, rig.records.last.flags], [[], 'DC']);
  await rig.end();
});

onBoth('framing that breaks while it is held is refused as anywhere', async (net) => {
  const { rig, asked, served } = site(net, yes, auth({ bodyBytes: 100 }));
  const client = await rig.connect();
  await client.send(`${CHUNKED}\r\n3\r\nabc\r\nzz\r\n`);
  assert.equal((await client.readMessage()).status, 400);
  assert.deepEqual([asked, served], [[], []]);
  client.close();
  await rig.end();
});

onBoth('a verdict at once, for there is no endpoint to be asked, keeps nothing for longer than that', async (net) => {
  for (const bodyBytes of [0, 100]) {
    const served: string[] = [];
    const app = answering(net, ({ head, body }) => {
      served.push(`${head}\n${bodyText({ body })}`);
      return ok('app');
    });
    const filtered = (failOpen: boolean) => rule({ filters: [auth({ bodyBytes, failOpen })] });
    const rig = new Rig(net, [app], [filtered(true), cluster('auth', [])]);
    const client = await rig.connect();
    await client.send(`GET /g HTTP/1.1\r\nHost: a.example\r\nX-User: mallory\r\n\r\n${post('hello', 'X-User: m\r\n')}`);
    for (let i = 0; i < 2; i++) assert.equal(bodyText(await client.readMessage()), 'app');
    await client.send(`${CHUNKED}\r\n3\r\nabc\r\n`);
    await net.settle();
    await client.send('2\r\nde\r\n0\r\n\r\n');
    assert.equal(bodyText(await client.readMessage()), 'app');
    assert.deepEqual(
      served.map((text) => text.slice(text.lastIndexOf('\n') + 1)),
      ['', 'hello', 'abcde'],
    );
    assert.doesNotMatch(served.join(), /x-user/i);
    assert.equal(rig.records.last.auth, 'failed');
    rig.apply({ upserts: [filtered(false)], removals: [] });
    await client.send(post('hello'));
    assert.equal((await client.readMessage()).status, 403);
    assert.equal(served.length, 3);
    client.close();
    await rig.end();
  }
});

onBoth(
  'many of them one after the other leave no head kept',
  async (net) => {
    const app = answering(net, () => ok('app'));
    const rig = new Rig(net, [app], [rule({ filters: [auth({ failOpen: true })] }), cluster('auth', [])]);
    const client = await rig.connect();
    for (let i = 0; i < 3; i++) {
      await client.send(`GET /${i} HTTP/1.1\r\nHost: a.example\r\n\r\n`.repeat(LIMITS.DECISIONS_PENDING / 2));
      for (let n = 0; n < LIMITS.DECISIONS_PENDING / 2; n++) assert.equal((await client.readMessage()).status, 200);
    }
    assert.equal(rig.get(limitCell('DECISIONS_PENDING')), 0);
    client.close();
    await rig.end();
  },
  { seeds: 1 },
);

simOnly('content that comes too slowly is not waited for', async (net) => {
  const { rig, asked } = site(net, yes, auth({ bodyBytes: 1_000 }));
  const client = await rig.connect();
  await client.send('POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\n');
  for (let waited = 0; waited < LIMITS.DECISION_BODY_MS; waited += 5_000) {
    await client.send('x');
    await net.advance(5_000);
  }
  await net.advance(1_000);
  const answer = await client.readMessage();
  assert.deepEqual([answer.status, asked], [408, []]);
  assert.deepEqual([rig.records.last.limit, rig.get(limitCell('DECISION_BODY_MS'))], ['DECISION_BODY_MS', 1]);
  client.close();
  await rig.end();
});

simOnly(
  'as many as may wait for decisions, their content held; the next one is answered 503, and nobody is asked about it',
  async (net) => {
    const { rig, asked } = site(net, yes, auth({ bodyBytes: 10 }));
    const clients = await Promise.all(Array.from({ length: LIMITS.DECISIONS_PENDING }, () => rig.connect()));
    for (const client of clients) await client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n1');
    await net.settle();
    const late = await rig.connect();
    await late.send(post('late'));
    assert.equal((await late.readMessage()).status, 503);
    assert.deepEqual([rig.get(limitCell('DECISIONS_PENDING')), asked], [1, []]);
    late.close();
    for (const client of clients) client.close();
    await rig.end();
  },
  { seeds: 0, plain: 'it takes a thousand connections' },
);

// HTTP/2 to backends: what goes to them and what comes back, for clients of HTTP/1.1 and of HTTP/2.

import assert from 'node:assert/strict';
import type { Filter } from '../../src/ir/ir.ts';
import { CODE, FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { ask, block, data, frame, Http2Client, head } from '../support/http2.ts';
import { type Asked, type Http2Backend, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, type RuleOptions, rule } from './rig.ts';

const { onBoth } = plainly('over TLS clients agree on the protocol by ALPN');

function proxy(net: TestNet, backends: readonly Http2Backend[], options: RuleOptions = {}): Rig {
  const endpoints = backends.map(({ address }) => endpoint(address));
  return new Rig(net, [], [rule({ to: ['h2'], ...options }), cluster('h2', endpoints, { protocol: 'http2' })]);
}

const EDITS: Filter = {
  type: 'requestHeaders',
  edits: { set: [{ name: 'X-Set', value: 'by us' }], add: [], remove: ['x-gone'] },
};

onBoth(
  'a request of HTTP/1.1 becomes a stream: Host is :authority, what is of one connection stays behind',
  async (net) => {
    const app = serveHttp2(net, (asked) => asked.respond('hello', [['x-from', 'app']]));
    const rig = proxy(net, [app], { filters: [EDITS] });
    const client = await rig.connect();
    await client.send(
      get('/a?b=c', 'X-Gone: 1\r\nTE: trailers\r\nConnection: keep-alive, TE, X-Hop\r\nX-Hop: 1\r\nAccept: */*\r\n'),
    );
    const response = await client.readMessage();
    assert.match(response.head, /^HTTP\/1\.1 200 \r\nx-from: app\r\n/);
    assert.equal(bodyText(response), 'hello');
    const [asked] = app.requests;
    assert.equal(asked?.endedAtOnce, true);
    const names = asked?.list.map(([name]) => name);
    assert.deepEqual(names?.slice(0, 4).sort(), [':authority', ':method', ':path', ':scheme']);
    const { fields } = asked as NonNullable<typeof asked>;
    assert.deepEqual(
      [':method', ':scheme', ':path', ':authority', 'te', 'accept', 'x-set', 'x-forwarded-host'].map((n) =>
        fields.get(n),
      ),
      ['GET', 'http', '/a?b=c', 'a.example', 'trailers', '*/*', 'by us', 'a.example'],
    );
    for (const name of ['host', 'connection', 'x-hop', 'x-gone']) assert.equal(fields.has(name), false, name);
    const { last } = rig.records;
    assert.deepEqual([last.status, last.responseBytes, last.flags, last.attempts], [200, 5, '', 1]);
    client.close();
    await rig.end();
  },
);

onBoth('content both ways, with and without a length, and trailers, for clients of HTTP/1.1', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    await asked.end();
    const sum = asked.trailers?.get('x-sum') ?? 'none';
    const echo = `${asked.fields.get('content-length') ?? '?'} ${asked.content} ${sum}`;
    await asked.head([
      [':status', '200'],
      ...(asked.path === '/l' ? [['content-length', `${echo.length}`] as const] : []),
    ]);
    await asked.data(echo, asked.path === '/l');
    if (asked.path !== '/l')
      await asked.head(
        [
          ['x-end', 'yes'],
          ['content-length', '9'],
        ],
        true,
      );
  });
  const rig = proxy(net, [app]);
  const client = await rig.connect();
  await client.send('POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
  const known = await client.readMessage();
  assert.equal(bodyText(known), '3 abc none');
  assert.match(known.head, /content-length: 10\r\n/);
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n');
  await client.send('1\r\nf\r\n0\r\nX-Sum: 7\r\n\r\n');
  const chunked = await client.readMessage();
  assert.equal(bodyText(chunked), '? def 7');
  assert.deepEqual([...(chunked.trailers ?? [])], [['x-end', ['yes']]]);
  client.close();
  await rig.end();
});

onBoth('responses without content: HEAD, 204, 304, an end in the head; interim ones go on', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    const status = asked.path.slice(1);
    if (status === '103') {
      await asked.head([
        [':status', '103'],
        ['link', '</a>; rel=preload'],
      ]);
      await asked.head(
        [
          [':status', '200'],
          ['content-length', '0'],
        ],
        true,
      );
    } else if (status === '200')
      await asked.head(
        [
          [':status', '200'],
          ['content-length', '5'],
        ],
        true,
      );
    else await asked.head([[':status', status]], true);
  });
  const rig = proxy(net, [app]);
  const client = await rig.connect();
  await client.send(get('/200').replace('GET', 'HEAD'));
  assert.match((await client.readMessage({ answersHead: true })).head, /content-length: 5\r\n/);
  for (const status of ['204', '304', '404']) {
    await client.send(get(`/${status}`));
    const response = await client.readMessage();
    assert.match(response.head, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.equal(response.body.length, 0);
    assert.equal(
      /Transfer-Encoding/.test(response.head),
      status === '404',
      'what may have content says that it has none',
    );
  }
  await client.send(get('/103'));
  assert.match((await client.readMessage()).head, /^HTTP\/1\.1 103 \r\nlink: /);
  assert.match((await client.readMessage()).head, /^HTTP\/1\.1 200 /);
  client.close();
  await rig.end();
});

onBoth(
  'from HTTP/2 to HTTP/2: an end in the head stays one, secrets stay secrets, trailers go both ways',
  async (net) => {
    const app = serveHttp2(net, async (asked) => {
      if (asked.path === '/only') {
        await asked.head(
          [
            [':status', '200'],
            ['grpc-status', '5'],
          ],
          true,
        );
        return;
      }
      await asked.end();
      await asked.head([[':status', '200']]);
      await asked.data(asked.content);
      await asked.head([['grpc-status', asked.trailers?.get('x-last') ?? '']], true);
    });
    const rig = proxy(net, [app]);
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask('/only', [['te', 'trailers']])));
    const only = await client.outcome(1);
    assert.deepEqual([only.fields.get('grpc-status'), only.trailers, only.body.length], ['5', null, 0]);
    await client.send(head(3, ask('/', [], 'POST'), false), data(3, 'abc'), head(3, [['x-last', '9']]));
    const both = await client.outcome(3);
    assert.deepEqual([both.body.toString(), both.trailers?.get('grpc-status')], ['abc', '9']);
    assert.equal(app.connections.length, 1);
    assert.equal(app.requests[0]?.fields.get('te'), 'trailers');
    client.peer.close();
    await rig.end();
  },
);

onBoth('content goes both ways at once, message by message', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    await asked.head([[':status', '200']]);
    for (let n = 0; n < 50; n++) {
      await asked.until(() => asked.content.includes(`<${n}>`));
      await asked.data(`(${n})`);
    }
    await asked.end();
    await asked.head([['x-done', '1']], true);
  });
  const rig = proxy(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/', [], 'POST'), false));
  for (let n = 0; n < 50; n++) {
    await client.send(data(1, `<${n}>`));
    while (!client.body(1).includes(`(${n})`)) await client.read();
  }
  await client.send(data(1, '', true));
  assert.equal((await client.outcome(1)).trailers?.get('x-done'), '1');
  client.peer.close();
  await rig.end();
});

onBoth('large content waits for the windows of whoever reads it, in both directions', async (net) => {
  const size = 400_000;
  const big = Buffer.alloc(size, 'x');
  for (let i = 0; i + 4 <= size; i += 1000) big.writeUInt32BE(i, i);
  const app = serveHttp2(net, async (asked) => {
    await asked.end();
    assert.equal(Buffer.compare(Buffer.concat(asked.body), big), 0);
    await asked.head([[':status', '200']]);
    for (let at = 0; at < size; at += 10_000) await asked.data(big.subarray(at, at + 10_000));
    await asked.data('', true);
  });
  const rig = proxy(net, [app]);
  const client = await rig.connect();
  await client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  await client.send(big);
  const response = await client.readMessage();
  assert.equal(Buffer.compare(Buffer.from(response.body), big), 0);
  client.close();
  await rig.end();
});

const MALFORMED: Readonly<Record<string, readonly Field[]>> = {
  'no status': [['x-a', '1']],
  'a status of two digits': [[':status', '20']],
  'a status that is none': [[':status', '2x0']],
  '101': [[':status', '101']],
  'a pseudo-field of requests': [
    [':status', '200'],
    [':path', '/'],
  ],
  Connection: [
    [':status', '200'],
    ['connection', 'close'],
  ],
  'Transfer-Encoding': [
    [':status', '200'],
    ['transfer-encoding', 'chunked'],
  ],
  'a capital letter': [
    [':status', '200'],
    ['X-A', '1'],
  ],
  'CR and LF in a value': [
    [':status', '200'],
    ['x-a', '1\r\nx-b: 2'],
  ],
  'two lengths': [
    [':status', '200'],
    ['content-length', '5'],
    ['content-length', '5'],
  ],
  'a length that is none': [
    [':status', '200'],
    ['content-length', '+5'],
  ],
  'a length that is not that of its content': [
    [':status', '200'],
    ['content-length', '4'],
  ],
};
onBoth('a response that is none is answered 502, and its connection goes on', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    const name = decodeURIComponent(asked.path.slice(1));
    await asked.head(MALFORMED[name] ?? [[':status', '200']]);
    await asked.data('hello', true);
  });
  const rig = proxy(net, [app]);
  for (const name of Object.keys(MALFORMED)) {
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask(`/${encodeURIComponent(name)}`)));
    const { status, reset } = await client.outcome(1);
    // A head that had gone already cannot be taken back: then it is no end in order.
    const gone = name === 'a length that is not that of its content';
    assert.deepEqual([status, reset], gone ? [200, 'INTERNAL_ERROR'] : [502, null], name);
    assert.equal(rig.records.last.flags, 'UPE', name);
    client.peer.close();
  }
  const client = await rig.connect();
  await client.send(get('/good'));
  assert.equal(bodyText(await client.readMessage()), 'hello');
  assert.equal(app.connections.length, 1);
  client.close();
  await rig.end();
});

onBoth('content without any, in front of a head, is no response either', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    if (asked.path === '/bad') await asked.connection.send(data(asked.id, ''));
    else await asked.respond('good');
  });
  const rig = proxy(net, [app]);
  const client = await rig.connect();
  await client.send(get('/bad'));
  assert.equal((await client.readMessage()).status, 502);
  assert.equal(rig.records.last.flags, 'UPE');
  await client.send(get('/good'));
  assert.equal(bodyText(await client.readMessage()), 'good');
  assert.deepEqual([app.connections.length, app.requests[0]?.reset], [1, 'PROTOCOL_ERROR']);
  client.close();
  await rig.end();
});

onBoth('a client that leaves, or has enough, cancels its stream and no other', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    if (asked.path === '/waits') return;
    await asked.respond('ok');
  });
  const rig = proxy(net, [app]);
  const client = await rig.connect();
  await client.send(get('/waits'));
  while (app.requests.length === 0) await net.settle();
  assert.equal(rig.cells.get(CELL.HTTP2_STREAMS + 1), 1);
  client.reset();
  await app.requests[0]?.until(() => app.requests[0]?.reset !== null);
  assert.equal(app.requests[0]?.reset, 'CANCEL');
  const other = await rig.connect();
  await other.send(get('/'));
  assert.equal(bodyText(await other.readMessage()), 'ok');
  assert.equal(app.connections.length, 1);
  assert.equal(rig.cells.get(CELL.HTTP2_STREAMS + 1), 0);
  other.close();
  await rig.end();
});

onBoth('a response that is complete before its request ends the request', async (net) => {
  const app = serveHttp2(net, (asked) => asked.respond('enough'));
  const rig = proxy(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/', [], 'POST'), false), data(1, 'abc'));
  const { status, body } = await client.outcome(1);
  assert.deepEqual([status, body.toString()], [200, 'enough']);
  await app.requests[0]?.until(() => app.requests[0]?.reset !== null);
  assert.equal(app.requests[0]?.reset, 'NO_ERROR');
  client.peer.close();
  await rig.end();
});

onBoth('what a backend resets behind a head is no end in order; in front of one it is 502', async (net) => {
  const seen = Promise.withResolvers<void>();
  const app = serveHttp2(net, async (asked) => {
    if (asked.path === '/late') {
      await asked.head([[':status', '200']]);
      await asked.data('half');
      await seen.promise;
    }
    await asked.refuse(CODE.INTERNAL_ERROR);
  });
  const rig = proxy(net, [app]);
  const client = await rig.connect();
  await client.send(get('/early'));
  assert.match((await client.readMessage()).head, /^HTTP\/1\.1 502 /);
  await client.send(get('/late'));
  await client.readUntil('half\r\n');
  seen.resolve();
  await assert.rejects(client.readUntil('0\r\n\r\n'));
  assert.deepEqual(
    rig.records.all.map(({ status, flags, end }) => [status, flags, end]),
    [
      [502, 'UC', 'backend'],
      [200, 'UC', 'backend'],
    ],
  );
  await rig.end();
});

onBoth('cookies in pieces are one field, and count as one; those that nobody may index stay so', async (net) => {
  const pieces = Array.from({ length: 180 }, (_, i): Field => ['cookie', `c${i}=${'v'.repeat(i % 40)}`]);
  const joined = pieces.map(([, value]) => value).join('; ');
  let seen = '';
  const old = answering(net, ({ head: text }) => {
    seen = text;
    return ok('');
  });
  const app = serveHttp2(net, (asked) => asked.respond());
  const entries = [
    rule({ to: ['h2'], path: '/2', name: 'two' }),
    rule({}),
    cluster('h2', [endpoint(app.address)], { protocol: 'http2' }),
  ];
  const rig = new Rig(net, [old], entries);
  const client = await Http2Client.open(await rig.connect());
  const others: Field[] = Array.from({ length: 90 }, (_, i) => [`x-${i}`, 'y']);
  await client.send(head(1, ask('/', [...others, ...pieces, ['accept', '*/*']])), head(3, ask('/2', pieces)));
  assert.deepEqual([(await client.outcome(1)).status, (await client.outcome(3)).status], [200, 200]);
  assert.deepEqual(seen.match(/^cookie: .*$/gim), [`cookie: ${joined}`]);
  assert.match(seen, /\r\nx-89: y\r\n/);
  assert.match(seen, /\r\naccept: \*\/\*\r\n/);
  assert.deepEqual(
    app.requests[0]?.list.filter(([name]) => name === 'cookie'),
    [['cookie', joined]],
  );
  // In other places, and one of them a secret.
  const secret = Buffer.concat([Buffer.of(0x10), block([['cookie', `s=${'1'.repeat(30)}`]]).subarray(1)]);
  const mixed = Buffer.concat([
    block([...ask('/2'), ['cookie', 'a=1'], ['x', 'y']]),
    secret,
    block([['cookie', 'b=2']]),
  ]);
  await client.send(frame(TYPE.HEADERS, FLAG.END_STREAM | FLAG.END_HEADERS, 5, mixed));
  assert.equal((await client.outcome(5)).status, 200);
  const [, last] = app.requests;
  assert.equal(last?.fields.get('cookie'), `a=1; s=${'1'.repeat(30)}; b=2`);
  assert.deepEqual(last?.never, ['cookie']);
  client.peer.close();
  await rig.end();
});

onBoth('a response whose head is too large is refused by itself: others on its connection go on', async (net) => {
  const large = Array.from({ length: 20 }, (_, i): Field => [`x-${i}`, 'y'.repeat(10_000)]);
  let waits: Asked | null = null;
  const app = serveHttp2(net, async (asked) => {
    if (asked.path === '/waits') waits = asked;
    else if (asked.path === '/') await asked.respond('small');
    else await asked.connection.send(head(asked.id, [[':status', '200'], ...large], asked.path === '/ends'));
  });
  const rig = proxy(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/waits')));
  let id = 3;
  for (const path of ['/ends', '/goes-on', '/ends']) {
    await client.send(head(id, ask(path)));
    assert.equal((await client.outcome(id)).status, 502);
    assert.deepEqual([rig.records.last.flags, rig.records.last.limit], ['UPE', 'HEAD_BYTES']);
    id += 2;
  }
  await client.send(head(id, ask('/')));
  assert.equal((await client.outcome(id)).body.toString(), 'small');
  await (waits as Asked | null)?.respond('waited');
  assert.equal((await client.outcome(1)).body.toString(), 'waited');
  assert.equal(app.connections.length, 1);
  client.peer.close();
  await rig.end();
});

// Tunnels to backends that speak HTTP/2: extended CONNECT (RFC 8441), whatever the client asked in.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { CODE, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { tunnelCell } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { data, frame, Http2Client, head, windowUpdate, word } from '../support/http2.ts';
import { type Asked, type BackendOptions, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

const { onBoth, simOnly } = plainly('over TLS clients agree on the protocol by ALPN');

const KNOWS: BackendOptions = { settings: [[SETTING.ENABLE_CONNECT_PROTOCOL, 1]] };
/** RFC 6455 section 1.3. */
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n';
const CONNECT: readonly Field[] = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':authority', 'a.example'],
  [':path', '/chat?x=1'],
  ['sec-websocket-version', '13'],
];

function proxy(net: TestNet, onRequest: (asked: Asked) => Promise<void> | void, options = KNOWS) {
  const app = serveHttp2(net, onRequest, options);
  const cluster_ = cluster('h2', [endpoint(app.address)], { protocol: 'http2' });
  return { app, rig: new Rig(net, [], [rule({ to: ['h2'] }), cluster_], { streamIdleMs: 60_000 }) };
}

/** Switches, says `hello`, returns what comes, and `bye` behind the end of that. */
async function echo(asked: Asked): Promise<void> {
  await asked.head([
    [':status', '200'],
    ['sec-websocket-protocol', 'chat'],
  ]);
  await asked.data('hello');
  let at = 0;
  for (;;) {
    await asked.until(() => asked.body.length > at || asked.whole || asked.reset !== null);
    for (; at < asked.body.length; at++) await asked.data(asked.body[at] as Buffer);
    if (asked.reset !== null) return;
    if (asked.whole) break;
  }
  await asked.data('bye', true);
}

onBoth(
  'a WebSocket of HTTP/1.1 on a stream of a backend: its key is answered here, each side ends for itself',
  async (net) => {
    const { app, rig } = proxy(net, echo);
    const client = await rig.connect();
    await client.send(get('/chat', UPGRADE));
    const switched = await client.readHead();
    assert.equal(switched.status, 101);
    const of = (name: string) => switched.headers.get(name);
    assert.deepEqual(of('upgrade'), ['websocket']);
    assert.deepEqual(of('connection'), ['upgrade']);
    assert.deepEqual(of('sec-websocket-accept'), ['s3pPLMBiTxaQ9kYGzzhZRbK+xOo=']);
    assert.deepEqual(of('sec-websocket-protocol'), ['chat']);
    await client.readExactly(5);
    const large = Buffer.alloc(400_000, 'w');
    const [back] = await Promise.all([client.readExactly(large.length), client.send(large)]);
    assert.ok(large.equals(back));
    assert.equal(rig.get(tunnelCell('websocket')), 1);
    client.end();
    assert.equal(Buffer.from(await client.readAll()).toString(), 'bye');
    await net.settle();
    client.close();
    const [asked] = app.requests;
    const pseudo = [':method', ':protocol', ':scheme', ':path', ':authority'].map((name) => asked?.fields.get(name));
    assert.deepEqual(pseudo, ['CONNECT', 'websocket', 'http', '/chat', 'a.example']);
    for (const name of ['sec-websocket-key', 'upgrade', 'connection']) assert.equal(asked?.fields.has(name), false);
    assert.deepEqual([asked?.endedAtOnce, asked?.whole, asked?.reset], [false, true, null]);
    await rig.end();
    const { last } = rig.records;
    assert.deepEqual([last.status, last.end, last.flags, last.upgrade], [101, 'client', '', 'WebSocket']);
    assert.deepEqual([last.requestBytes, last.responseBytes], [400_000, 400_008]);
    assert.equal(rig.get(tunnelCell('websocket')), 0);
  },
);

onBoth('from stream to stream, beside others on both connections; the backend ends first', async (net) => {
  const { app, rig } = proxy(net, async (asked) => {
    if (asked.path === '/') {
      await asked.respond('beside');
      return;
    }
    await asked.head([
      [':status', '200'],
      ['content-length', '3'],
    ]);
    await asked.data('only', true);
    await asked.end();
  });
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, CONNECT, false), data(1, 'early'));
  const { status, fields, body, reset } = await client.outcome(1);
  assert.deepEqual([status, body.toString(), reset], [200, 'only', null]);
  assert.deepEqual([fields.get('sec-websocket-accept'), fields.get('content-length')], [undefined, undefined]);
  await client.send(
    head(3, [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'a'],
      [':path', '/'],
    ]),
  );
  assert.equal((await client.outcome(3)).body.toString(), 'beside');
  await client.send(data(1, ' late'), data(1, '', true));
  await app.requests[0]?.end();
  assert.deepEqual([app.requests[0]?.content, app.requests[0]?.reset], ['early late', null]);
  assert.equal(app.connections.length, 1);
  await net.settle();
  client.peer.close();
  await rig.end();
  const { last } = rig.records;
  assert.deepEqual([last.status, last.end, last.flags], [101, 'backend', '']);
  assert.deepEqual([last.requestBytes, last.responseBytes], [10, 4]);
});

onBoth(
  'a backend that refuses, one that does not know extended CONNECT, one of HTTP/1.1 that does not',
  async (net) => {
    const { app, rig } = proxy(net, async (asked) => {
      await asked.head([
        [':status', '403'],
        ['content-length', '2'],
      ]);
      await asked.data('no', true);
    });
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, CONNECT, false), data(1, 'early'));
    const refused = await client.outcome(1);
    assert.deepEqual([refused.status, refused.body.toString(), refused.reset], [403, 'no', null]);
    const old = await rig.connect();
    await old.send(get('/', UPGRADE));
    assert.equal(bodyText(await old.readMessage()), 'no');
    for (const asked of app.requests) await asked.end();
    assert.deepEqual(
      app.requests.map(({ whole, content }) => [whole, content]),
      [
        [true, ''],
        [true, ''],
      ],
    );
    old.close();
    client.peer.close();
    await rig.end();

    const ignorant = proxy(net, (asked) => asked.respond('what?'), {});
    const asking = await Http2Client.open(await ignorant.rig.connect());
    await asking.send(head(1, CONNECT, false));
    // A 2xx would be the tunnel's.
    const answer = await asking.outcome(1);
    assert.deepEqual([answer.status, answer.body.toString()], [501, 'what?']);
    const older = await ignorant.rig.connect();
    await older.send(get('/', UPGRADE));
    assert.equal((await older.readMessage()).status, 200);
    assert.deepEqual(
      ignorant.app.requests.map(({ fields }) => fields.get(':method')),
      ['GET', 'GET'],
    );
    older.close();
    asking.peer.close();
    await ignorant.rig.end();

    const rest = new Rig(net, [answering(net, () => ok('what?'))]);
    const last = await Http2Client.open(await rest.connect());
    await last.send(head(1, CONNECT, false));
    assert.equal((await last.outcome(1)).status, 501);
    last.peer.close();
    await rest.end();
  },
);

onBoth(
  'a tunnel that breaks on one side is CANCEL, or a reset, on the other, and nothing beside it ends',
  async (net) => {
    const { app, rig } = proxy(net, async (asked) => {
      await asked.head([[':status', '200']]);
      await asked.data('hi');
      await asked.until(() => asked.content !== '' || asked.reset !== null);
      if (asked.reset === null) await asked.refuse(CODE.CANCEL);
    });
    const client = await Http2Client.open(await rig.connect());
    for (const id of [1, 3]) {
      await client.send(head(id, CONNECT, false));
      while (client.body(id).length < 2) await client.read();
    }
    await client.send(data(1, 'x'), frame(TYPE.RST_STREAM, 0, 3, word(CODE.CANCEL)));
    assert.equal((await client.outcome(1)).reset, 'CANCEL');
    await app.requests[1]?.until(() => app.requests[1]?.reset !== null);
    assert.equal(app.requests[1]?.reset, 'CANCEL');
    for (const leaves of [true, false]) {
      const old = await rig.connect();
      await old.send(get('/', UPGRADE));
      await old.readUntil('\r\n\r\nhi');
      if (leaves) {
        old.reset();
        const asked = app.requests.at(-1);
        await asked?.until(() => asked.reset !== null);
        assert.equal(asked?.reset, 'CANCEL');
      } else {
        await old.send('x');
        await assert.rejects(old.readAll());
      }
    }
    assert.equal(app.connections.length, 1);
    client.peer.close();
    await rig.end();
    assert.deepEqual(rig.records.all.map(({ flags, end }) => [flags, end]).sort(), [
      ['DC', 'client'],
      ['DC', 'client'],
      ['UC', 'backend'],
      ['UC', 'backend'],
    ]);
  },
);

onBoth('who does not read holds the other up, and only that: what waits is within the windows', async (net) => {
  const { rig } = proxy(net, async (asked) => {
    await asked.head([[':status', '200']]);
    if (asked.path === '/sends') await asked.data(Buffer.alloc(3_000_000, 's'), true);
    await asked.end();
  });
  const client = await Http2Client.open(await rig.connect(), [[SETTING.INITIAL_WINDOW_SIZE, 0]]);
  const path = CONNECT.map(([name, value]): Field => [name, name === ':path' ? '/sends' : value]);
  await client.send(windowUpdate(0, 4_000_000), head(1, path, false));
  await client.until(TYPE.HEADERS);
  await net.settle();
  assert.equal(client.body(1).length, 0);
  await client.send(data(1, 'heard'), windowUpdate(1, 3_000_000));
  while (client.body(1).length < 3_000_000) await client.read();
  await client.send(data(1, '', true));
  assert.equal((await client.outcome(1)).reset, null);
  await net.settle();
  client.peer.close();
  await rig.end();
  const { last } = rig.records;
  assert.deepEqual([last.end, last.requestBytes, last.responseBytes], ['backend', 5, 3_000_000]);
  assert.ok(LIMITS.HTTP2_STREAM_WINDOW_MAX_BYTES < 3_000_000);
});

simOnly('a tunnel on a stream lives for as long as anything moves, and no longer', async (net) => {
  const { app, rig } = proxy(net, echo);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, CONNECT, false));
  for (let i = 1; i < 4; i++) {
    await net.advance(50_000);
    await client.send(data(1, 'ping'));
    while (client.body(1).length < 5 + 4 * i) await client.read();
  }
  const over = client.outcome(1);
  await net.advance(61_000);
  assert.equal((await over).reset, 'CANCEL');
  await app.requests[0]?.until(() => app.requests[0]?.reset !== null);
  assert.equal(app.requests[0]?.reset, 'CANCEL');
  client.peer.close();
  await rig.end();
  const { last } = rig.records;
  assert.deepEqual([last.flags, last.end, last.limit], ['SI', 'idle', 'STREAM_IDLE_MS']);
});

for (const [name, leave] of [
  ['NO_ERROR', (asked: Asked) => asked.refuse(CODE.NO_ERROR)],
  ['CANCEL', (asked: Asked) => asked.refuse(CODE.CANCEL)],
  ['the end of its connection', async (asked: Asked) => asked.connection.peer.end()],
] as const) {
  onBoth(`a backend that ended a tunnel and reads no more (${name}): its client gets all, and the end`, async (net) => {
    const content = 's'.repeat(100_000);
    const { rig } = proxy(net, async (asked) => {
      await asked.head([[':status', '200']]);
      await asked.data(content, true);
      await leave(asked);
    });
    for (const window of [200_000, 10]) {
      const client = await Http2Client.open(await rig.connect(), [[SETTING.INITIAL_WINDOW_SIZE, window]]);
      await client.send(windowUpdate(0, 200_000), head(1, CONNECT, false));
      await client.until(TYPE.HEADERS);
      client.grants = false;
      await net.settle();
      await client.send(data(1, 'late'), windowUpdate(1, 200_000));
      const { body, reset } = await client.outcome(1);
      assert.deepEqual([body.length, reset], [content.length, null]);
      await client.send(data(1, 'later'), data(1, '', true));
      await net.settle();
      assert.equal(rig.engine.stats().requests, 0);
      client.peer.close();
    }
    const old = await rig.connect();
    await old.send(get('/', UPGRADE));
    await old.readHead();
    await net.settle();
    await old.send('late');
    assert.equal((await old.readAll()).length, content.length);
    old.end();
    await net.settle();
    assert.equal(rig.engine.stats().requests, 0);
    old.close();
    await rig.end();
    assert.deepEqual(
      rig.records.all.map(({ flags, end, responseBytes }) => [flags, end, responseBytes]),
      rig.records.all.map(() => ['', 'backend', content.length]),
    );
  });
}

onBoth(
  'what a client said to its end is kept while what the backend said before its own waits for that client',
  async (net) => {
    const content = 'y'.repeat(120_000);
    const answer = 'b'.repeat(1000);
    const { app, rig } = proxy(
      net,
      async (asked) => {
        await asked.head([[':status', '200']]);
        await asked.data(answer, true);
      },
      { ...KNOWS, grants: false },
    );
    const client = await Http2Client.open(await rig.connect(), [[SETTING.INITIAL_WINDOW_SIZE, 10]]);
    client.grants = false;
    await client.send(head(1, CONNECT, false));
    while (client.body(1).length < 10) await client.read();
    for (let at = 0; at < content.length; at += 10_000) await client.send(data(1, content.slice(at, at + 10_000)));
    await client.send(data(1, '', true));
    await net.settle();
    await client.send(windowUpdate(1, answer.length));
    await net.settle();
    const [asked] = app.requests;
    assert.ok(asked !== undefined && asked.content.length < content.length);
    await asked.connection.send(Buffer.concat([windowUpdate(0, content.length), windowUpdate(1, content.length)]));
    const { body, reset } = await client.outcome(1);
    assert.deepEqual([body.toString(), reset], [answer, null]);
    await asked.end();
    assert.deepEqual([asked.content.length, asked.whole, asked.reset], [content.length, true, null]);
    await net.settle();
    client.peer.close();
    await rig.end();
    const { end, flags, requestBytes } = rig.records.last;
    assert.deepEqual([end, flags, requestBytes], ['backend', '', content.length]);
  },
);

// Extended CONNECT (RFC 8441): another protocol on a stream of HTTP/2, to a backend that is asked in HTTP/1.1.

import assert from 'node:assert/strict';
import { TYPE } from '../../src/proxy/http2/frames.ts';
import { tunnelCell } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { data, frame, Http2Client, head, word } from '../support/http2.ts';
import { plainly } from '../support/net.ts';
import { switched } from '../support/websocket.ts';
import { get, Rig } from './rig.ts';

const { onBoth } = plainly('over TLS the protocol is agreed on by ALPN: http2-clients.test.ts');

const WEBSOCKET: readonly Field[] = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':authority', 'a.example'],
  [':path', '/chat?x=1'],
  ['sec-websocket-version', '13'],
  ['origin', 'http://a.example'],
];
const CHAT = 'Sec-WebSocket-Protocol: chat\r\n';

onBoth('a WebSocket on a stream: bytes both ways, each side ends for itself, others go on beside it', async (net) => {
  let seen = '';
  const app = net.serve(async (peer) => {
    seen = (await peer.readHead()).head;
    await peer.send(`${switched(seen, CHAT)}hello`);
    for (;;) {
      const bytes = await peer.read().catch(() => null);
      if (bytes === null) break;
      await peer.send(bytes);
    }
    await peer.send('bye');
    peer.end();
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  assert.equal(client.settings.get(8), 1);
  const large = Buffer.alloc(60_000, 'w');
  // What comes before the backend has answered waits for it.
  await client.send(head(1, WEBSOCKET, false), data(1, 'early'));
  while (client.body(1).length < 10) await client.read();
  for (let at = 0; at < large.length; at += 10_000) await client.send(data(1, large.subarray(at, at + 10_000)));
  while (client.body(1).length < 10 + large.length) await client.read();
  assert.equal(rig.get(tunnelCell('websocket')), 1);
  await client.send(data(1, '', true));
  const { status, fields, body, reset } = await client.outcome(1);
  assert.deepEqual([status, reset], [200, null]);
  assert.equal(body.toString(), `helloearly${large}bye`);
  assert.deepEqual([fields.get('sec-websocket-protocol'), fields.get('sec-websocket-accept')], ['chat', undefined]);
  client.peer.close();
  await rig.end();
  assert.match(seen, /^GET \/chat\?x=1 HTTP\/1\.1\r\nHost: a\.example\r\nsec-websocket-version: 13\r\n/);
  assert.match(seen, /\r\nsec-websocket-key: [A-Za-z0-9+/]{21}[AQgw]==\r\n/);
  assert.match(seen, /\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n$/);
  const { last } = rig.records;
  assert.deepEqual([last.status, last.upgrade, last.end, last.flags], [101, 'websocket', 'client', '']);
  assert.deepEqual([last.requestBytes, last.responseBytes], [60_005, 60_013]);
  assert.equal(rig.get(tunnelCell('websocket')), 0);
});

onBoth('a backend that ends first, one that refuses, one whose client leaves', async (net) => {
  const REFUSED = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno';
  const answers = ['ends', 'refuses', 'stays'];
  const gone = Promise.withResolvers<void>();
  const app = net.serve(async (peer) => {
    const { head: asked } = await peer.readHead();
    const answer = answers.shift() as string;
    await peer.send(answer === 'refuses' ? REFUSED : `${switched(asked, CHAT)}${answer === 'ends' ? 'only' : ''}`);
    if (answer === 'ends') peer.end();
    await peer.readAll().catch(() => null);
    if (answer === 'stays') gone.resolve();
    peer.close();
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, WEBSOCKET, false));
  assert.equal((await client.outcome(1)).body.toString(), 'only');
  await client.send(data(1, 'late'), data(1, '', true));
  await client.send(head(3, WEBSOCKET, false), data(3, 'early'));
  const refused = await client.outcome(3);
  assert.deepEqual([refused.status, refused.body.toString(), refused.reset], [403, 'no', null]);
  await client.send(head(5, WEBSOCKET, false));
  await client.until(TYPE.HEADERS);
  await client.send(frame(TYPE.RST_STREAM, 0, 5, word(8)));
  await gone.promise;
  client.peer.close();
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ status, end }) => [status, end]),
    [
      [101, 'backend'],
      [403, ''],
      [101, 'client'],
    ],
  );
});

onBoth(
  'what a client said before it ended reaches a backend that had ended first, and nothing is kept',
  async (net) => {
    for (const content of ['', 'x', 'y'.repeat(60_000)]) {
      let seen = '';
      const app = net.serve(async (peer) => {
        const { head: asked } = await peer.readHead();
        // Whatever the client says is on its way by now.
        await peer.send(`${switched(asked, CHAT)}only`);
        peer.end();
        seen = Buffer.from(await peer.readAll()).toString();
      });
      const rig = new Rig(net, [app]);
      const client = await Http2Client.open(await rig.connect());
      await client.send(head(1, WEBSOCKET, false), ...pieces(content), data(1, '', true));
      const { status, body, reset } = await client.outcome(1);
      assert.deepEqual([status, body.toString(), reset], [200, 'only', null]);
      await net.settle();
      client.peer.close();
      await rig.end();
      assert.equal(seen, content);
      const { status: logged, end, flags, requestBytes } = rig.records.last;
      assert.deepEqual([logged, end, flags, requestBytes], [101, 'backend', '', content.length]);
    }
  },
);

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
/** What a backend says that has not switched to what it was asked for. */
const FALSE_SWITCHES: Readonly<Record<string, (asked: string) => string>> = {
  'the answer to another key': () => switched(`\r\nSec-WebSocket-Key: ${KEY}\r\n`),
  'no answer to the key': (asked) => switched(asked).replace(/Sec-WebSocket-Accept.*\r\n/, ''),
  'two answers to it': (asked) => switched(asked, `Sec-WebSocket-Accept: ${KEY}\r\n`),
  'another protocol': (asked) => switched(asked).replace('Upgrade: websocket', 'Upgrade: chat'),
  'another protocol beside it': (asked) => switched(asked).replace('Upgrade: websocket', 'Upgrade: websocket, chat'),
  'a protocol whose name only begins so': (asked) =>
    switched(asked).replace('Upgrade: websocket', 'Upgrade: websocketx'),
  'no protocol': (asked) => switched(asked).replace('Upgrade: websocket', 'Upgrade: ,'),
};

for (const [name, says] of Object.entries(FALSE_SWITCHES)) {
  onBoth(`a 101 that is none of what was asked for is answered 502: ${name}`, async (net) => {
    const app = net.serve(async (peer) => {
      const { head: asked } = await peer.readHead();
      await peer.send(`${says(asked)}secret`);
      await peer.readAll().catch(() => null);
      peer.close();
    });
    const rig = new Rig(net, [app]);
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, WEBSOCKET, false));
    const { status, body } = await client.outcome(1);
    assert.deepEqual([status, body.includes('secret')], [502, false]);
    assert.deepEqual([rig.records.last.status, rig.records.last.flags], [502, 'UPE']);
    client.peer.close();
    // A client of HTTP/1.1 has made the key itself, and looks at the answer to it; the protocol is the proxy's to see.
    if (name.includes('protocol')) {
      const other = await rig.connect();
      await other.send(get('/', `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${KEY}\r\n`));
      assert.equal((await other.readMessage()).status, 502);
      other.close();
    }
    await rig.end();
    assert.equal(rig.get(tunnelCell('websocket')), 0);
  });
}

onBoth('what was asked for may be said in other letters, with a version, as one of several', async (net) => {
  const app = net.serve(async (peer) => {
    const { target } = await peer.readHead();
    const protocol = target.slice(1).replaceAll('-', '/');
    await peer.send(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${protocol}\r\nConnection: Upgrade\r\n\r\nhi`);
    await peer.readAll().catch(() => null);
    peer.close();
  });
  const rig = new Rig(net, [app]);
  for (const [asked, said] of [
    ['chat', 'CHAT'],
    ['chat', 'chat-2.0'],
    ['chat/1.0', 'chat'],
    ['SPDY/3.1', 'spdy-3.1'],
    ['a, chat/1 , b', 'chat-1'],
    ['a,chat', 'chat'],
    ['chat,tls/1.2', 'tls-1.2,chat'],
  ] as const) {
    const client = await rig.connect();
    await client.send(get(`/${said}`, `Connection: upgrade\r\nUpgrade: ${asked}\r\n`));
    assert.equal((await client.readHead()).status, 101, `${said} for ${asked}`);
    assert.equal(Buffer.from(await client.readExactly(2)).toString(), 'hi');
    client.close();
  }
  await rig.end();
});

function pieces(content: string): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < content.length; at += 10_000) frames.push(data(1, content.slice(at, at + 10_000)));
  return frames;
}

// Extended CONNECT (RFC 8441): another protocol on a stream of HTTP/2, to a backend that is asked in HTTP/1.1.

import assert from 'node:assert/strict';
import { TYPE } from '../../src/proxy/http2/frames.ts';
import { tunnelCell } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { data, frame, Http2Client, head, word } from '../support/http2.ts';
import { plainly } from '../support/net.ts';
import { Rig } from './rig.ts';

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
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n';

onBoth('a WebSocket on a stream: bytes both ways, each side ends for itself, others go on beside it', async (net) => {
  let seen = '';
  const app = net.serve(async (peer) => {
    seen = (await peer.readHead()).head;
    await peer.send(`${SWITCHED}hello`);
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
  const answers = [
    `${SWITCHED}only`,
    'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno',
    SWITCHED,
  ];
  const gone = Promise.withResolvers<void>();
  const app = net.serve(async (peer) => {
    await peer.readHead();
    const answer = answers.shift() as string;
    await peer.send(answer);
    if (answer.endsWith('only')) peer.end();
    await peer.readAll().catch(() => null);
    if (answer === SWITCHED) gone.resolve();
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
        await peer.readHead();
        // Whatever the client says is on its way by now.
        await peer.send(`${SWITCHED}only`);
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

function pieces(content: string): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < content.length; at += 10_000) frames.push(data(1, content.slice(at, at + 10_000)));
  return frames;
}

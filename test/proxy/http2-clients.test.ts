// HTTP/2 with a client that is not ours, Node's, over TLS by ALPN and in the clear.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import type { IpAddress } from '../../src/io/io.ts';
import { nativeOnly } from '../support/net.ts';
import { answering, bodyText, ok, Rig } from './rig.ts';
import { CA, certificate, certificates, ENTRIES, socket, TlsRig, tls } from './tls-rig.ts';

const ALPN = { alpn: ['h2', 'http/1.1'] };
const H2 = [
  ...ENTRIES.slice(0, 3),
  certificate('any', certificates.any),
  socket({ 'a.example': tls(['a'], ALPN), '*.wild.example': tls(['wild'], ALPN) }),
];

interface Got {
  readonly status: number;
  readonly body: Buffer;
  readonly trailers: OutgoingHttpHeaders | null;
}

async function read(stream: ClientHttp2Stream): Promise<Got> {
  let trailers: OutgoingHttpHeaders | null = null;
  stream.on('trailers', (fields) => {
    trailers = fields;
  });
  const [head] = (await once(stream, 'response')) as [{ ':status': number }];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return { status: head[':status'], body: Buffer.concat(chunks), trailers };
}

async function ask(session: ClientHttp2Session, fields: OutgoingHttpHeaders, body?: Buffer): Promise<Got> {
  const stream = session.request(fields, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return read(stream);
}

async function ended(session: ClientHttp2Session): Promise<void> {
  const closed = once(session, 'close');
  session.close();
  await closed;
}

function overTls(rig: TlsRig, name: string): ClientHttp2Session {
  const options = { ca: CA, servername: name, checkServerIdentity: () => undefined };
  return http2.connect(`https://127.0.0.1:${rig.address.port}`, options);
}

nativeOnly('over TLS: h2 is taken where it is offered, http/1.1 where it is not', async (net) => {
  const rig = new TlsRig(net, H2);
  const session = overTls(rig, 'a.example');
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      ask(session, { ':method': 'POST', ':path': `/${i}`, ':authority': 'a.example' }, Buffer.alloc(i * 100)),
    ),
  );
  for (const [i, { status, body }] of answers.entries())
    assert.deepEqual([status, body.toString()], [200, `https ${i * 100}`]);
  assert.equal(session.alpnProtocol, 'h2');
  assert.match(rig.records.last.connection, /"alpn":"h2"/);
  assert.equal((await rig.ask('a.example', { ALPNProtocols: ['http/1.1'] })).status, 200);
  assert.equal((await rig.ask('a.example')).status, 200);
  await ended(session);
  await rig.end();
});

nativeOnly('a connection is good for its own listener only', async (net) => {
  const rig = new TlsRig(net, H2);
  const session = overTls(rig, 'x.wild.example');
  const status = async (host: string): Promise<number> => (await ask(session, { ':authority': host })).status;
  assert.equal(await status('y.wild.example'), 200);
  assert.equal(await status('a.example'), 421);
  assert.equal(await status('x.wild.example'), 200);
  await ended(session);
  await rig.end();
});

nativeOnly('in the clear: large content both ways at once, trailers, HEAD, an abort', async (net) => {
  const big = Buffer.alloc(3_000_000);
  for (let i = 0; i < big.length; i += 4) big.writeUInt32LE(i, i);
  const app = answering(net, (request) => {
    if (request.target === '/trailers')
      return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\nHost: no\r\n\r\n';
    if (request.method === 'HEAD') return 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n';
    return Buffer.concat([
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${request.body.length}\r\n\r\n`),
      request.body,
    ]);
  });
  const rig = new Rig(net, [app]);
  const { port } = rig.listening as IpAddress;
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const fields = { ':method': 'POST', ':authority': 'a.example' };
  const [one, two, three] = await Promise.all([
    ask(session, fields, big),
    ask(session, fields, big.subarray(0, 1_000_000)),
    ask(session, { ':path': '/trailers', ':authority': 'a.example' }),
  ]);
  assert.ok(one.body.equals(big));
  assert.ok(two.body.equals(big.subarray(0, 1_000_000)));
  assert.deepEqual([three.body.toString(), Object.entries(three.trailers ?? {})], ['abc', [['x-sum', '3']]]);
  const head = await ask(session, { ':method': 'HEAD', ':authority': 'a.example' });
  assert.deepEqual([head.status, head.body.length], [200, 0]);
  const gone = session.request(fields, { endStream: false });
  gone.write(Buffer.alloc(100_000));
  gone.on('error', () => {});
  const closed = once(gone, 'close');
  gone.close(http2.constants.NGHTTP2_CANCEL);
  await closed;
  assert.equal((await ask(session, { ':authority': 'a.example' })).status, 200);
  await ended(session);
  await rig.end();
  assert.equal(rig.records.all.length, 6);
  assert.equal(rig.records.all.filter(({ flags }) => flags === 'DC').length, 1);
});

nativeOnly('a worker that leaves: what was asked is answered, what comes later goes elsewhere', async (net) => {
  const held = Promise.withResolvers<void>();
  const app = net.serve(async (peer) => {
    const request = await peer.readMessage();
    await held.promise;
    await peer.send(ok(bodyText(request)));
  });
  const rig = new Rig(net, [app]);
  const { port } = rig.listening as IpAddress;
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const asked = ask(session, { ':method': 'POST', ':authority': 'a.example' }, Buffer.from('kept'));
  await net.settle();
  while (rig.engine.stats().requests === 0) await net.advance(1);
  const gone = once(session, 'goaway') as Promise<[number, number]>;
  const over = Promise.withResolvers<void>();
  rig.engine.removeSocket('socket/127.0.0.1/80/tcp');
  rig.engine.drain(() => over.resolve());
  assert.equal((await gone)[0], 0);
  held.resolve();
  assert.equal((await asked).body.toString(), 'kept');
  await over.promise;
  if (!session.closed) await once(session, 'close');
  await rig.end();
});

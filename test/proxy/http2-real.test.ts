// HTTP/2 to a backend that is Node's own: what it reads of our requests, and we of its responses.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { nativeOnly, type TestNet } from '../support/net.ts';
import { bodyText, cluster, endpoint, get, Rig, rule } from './rig.ts';

interface Real {
  readonly rig: Rig;
  readonly server: http2.Http2Server;
  readonly sessions: http2.Http2Session[];
}

async function real(
  net: TestNet,
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  settings: http2.Settings = {},
): Promise<Real> {
  const server = http2.createServer({ settings });
  const sessions: http2.Http2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  server.on('stream', onStream);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const at = endpoint({ family: 'ipv4', address: '127.0.0.1', port });
  const rig = new Rig(net, [], [rule({ to: ['real'] }), cluster('real', [at], { protocol: 'http2' })]);
  return { rig, server, sessions };
}

async function end({ rig, server }: Real): Promise<void> {
  await rig.end();
  server.close();
  await once(server, 'close');
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

nativeOnly('requests and responses of all sizes, over one session, with a table of fields that fills', async (net) => {
  const all = await real(net, (stream, headers) => {
    const body: Buffer[] = [];
    stream.on('data', (data: Buffer) => body.push(data));
    stream.on('end', () => {
      const whole = Buffer.concat(body);
      stream.respond({ ':status': 200, 'x-digest': digest(whole), 'x-n': headers['x-n'] }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
      stream.end(whole);
    });
  });
  const client = await all.rig.connect();
  for (const size of [0, 1, 16_384, 16_385, 65_535, 65_536, 500_000, 3, 200_000]) {
    const body = Buffer.alloc(size, `${size} `);
    const head = `Content-Length: ${size}\r\nX-N: ${size}\r\nX-Same: always\r\nX-Long: ${'v'.repeat(size % 700)}\r\n`;
    const sent = client.send(Buffer.concat([Buffer.from(get('/', head).replace('GET', 'POST')), body]));
    const response = await client.readMessage();
    await sent;
    assert.equal(Buffer.compare(Buffer.from(response.body), body), 0, `${size}`);
    assert.ok(response.head.includes(`x-digest: ${digest(body)}\r\nx-n: ${size}\r\n`), response.head);
    assert.deepEqual([...(response.trailers ?? [])], [['x-end', ['yes']]]);
  }
  assert.equal(all.sessions.length, 1);
  client.close();
  await end(all);
});

nativeOnly('a session that is closed finishes what it has, and the next request gets another', async (net) => {
  const all = await real(net, (stream) => {
    all.sessions.at(-1)?.close();
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const client = await all.rig.connect();
  for (let n = 1; n <= 5; n++) {
    await client.send(get().replace('GET', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 0\r\n\r\n'));
    assert.equal(bodyText(await client.readMessage()), 'ok');
    assert.equal(all.sessions.length, n);
  }
  client.close();
  await end(all);
});

nativeOnly('small windows and few streams of the server are kept to', async (net) => {
  const all = await real(
    net,
    (stream) => {
      let bytes = 0;
      stream.on('data', (data: Buffer) => {
        bytes += data.length;
      });
      stream.on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end(String(bytes));
      });
    },
    { initialWindowSize: 1000, maxConcurrentStreams: 1, headerTableSize: 0 },
  );
  const body = Buffer.alloc(50_000, 'x');
  const clients = await Promise.all([0, 1, 2].map(() => all.rig.connect()));
  const answers = clients.map(async (client) => {
    await client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
    await client.send(body);
    return bodyText(await client.readMessage());
  });
  assert.deepEqual(await Promise.all(answers), ['50000', '50000', '50000']);
  for (const client of clients) client.close();
  await end(all);
});

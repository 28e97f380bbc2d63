import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { createServer, type Server } from 'node:net';
import { after, test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Health } from './health.ts';

const state = { ready: true };
const health = new Health(() => state.ready);
const servers: Server[] = [];
const sessions: ClientHttp2Session[] = [];
after(() => {
  for (const session of sessions) session.destroy();
  for (const server of servers) server.close();
});

async function open(): Promise<ClientHttp2Session> {
  const server = createServer((socket) => health.take(socket));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const session = connect(`http://127.0.0.1:${address.port}`);
  sessions.push(session);
  return session;
}

function question(service: string): Buffer {
  const body = service === '' ? Buffer.alloc(0) : Buffer.from([0x0a, service.length, ...Buffer.from(service)]);
  return Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]);
}

interface Said {
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders;
}

function ask(session: ClientHttp2Session, method: string, body: Buffer): Promise<Said> {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/grpc.health.v1.Health/${method}`,
    'content-type': 'application/grpc',
  });
  let fields: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const parts: Buffer[] = [];
  stream.on('response', (got) => {
    fields = got;
  });
  stream.on('trailers', (got) => {
    trailers = got;
  });
  stream.on('data', (part: Buffer) => parts.push(part));
  stream.end(body);
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('end', () => resolve({ fields, body: Buffer.concat(parts), trailers }));
  });
}

test('Check says what /readyz says, of itself always that it lives, and knows no other service', async () => {
  const session = await open();
  for (const [service, ready, status] of [
    ['', true, 1],
    ['readiness', true, 1],
    ['readiness', false, 2],
    ['liveness', false, 1],
  ] as const) {
    state.ready = ready;
    const { body, trailers } = await ask(session, 'Check', question(service));
    assert.deepEqual([...body], [0, 0, 0, 0, 2, 8, status], service);
    assert.equal(trailers['grpc-status'], '0');
  }
  state.ready = true;
  const unknown = await ask(session, 'Check', question('other'));
  assert.deepEqual([unknown.fields['grpc-status'], unknown.body.length], ['5', 0]);
});

test('what is no question, or too large, or asks for anything else is refused', async () => {
  const session = await open();
  const refused = async (method: string, body: Buffer): Promise<unknown> =>
    (await ask(session, method, body)).fields['grpc-status'];
  assert.equal(await refused('Check', Buffer.from('junk')), '13');
  assert.equal(await refused('Check', question('x').subarray(0, 7)), '13');
  assert.equal(await refused('Check', Buffer.alloc(LIMITS.ADMIN_HEALTH_BYTES + 1)), '13');
  assert.equal(await refused('List', question('')), '12');
});

test('Watch says the status, each other one when it comes, and is not for ever so many', async () => {
  const session = await open();
  const streams = Array.from({ length: LIMITS.ADMIN_FOLLOWERS }, (_, i) => {
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Watch' });
    stream.end(question(i === 0 ? 'nobody' : ''));
    return stream;
  });
  const next = (i: number): Promise<number> =>
    new Promise((resolve) => streams[i]?.once('data', (part: Buffer) => resolve(part.at(-1) as number)));
  const first = await Promise.all(streams.map((_, i) => next(i)));
  assert.deepEqual(first.slice(0, 3), [3, 1, 1]);
  const change = next(1);
  state.ready = false;
  assert.equal(await change, 2);
  state.ready = true;
  const more = await ask(session, 'Watch', question(''));
  assert.equal(more.fields['grpc-status'], '8');
  for (const stream of streams) stream.close();
});

test('who takes a question back is not answered, however it does, and the next one is', async () => {
  for (const code of [0, 8]) {
    for (const said of ['', 'a', question('').toString('latin1')]) {
      const session = await open();
      const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check' });
      stream.on('error', () => {});
      if (said !== '') stream.write(said, 'latin1');
      stream.close(code);
      await new Promise((resolve) => stream.once('close', resolve));
      assert.equal((await ask(session, 'Check', question(''))).fields[':status'], 200);
    }
  }
});

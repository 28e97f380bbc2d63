// The client and the server of @grpc/grpc-js: the four kinds of calls with 10,000 messages, 4 MB, a deadline, a call
// that is cancelled on both ends, a status and nothing else.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Rauta } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { gateway, route, service } from './site.ts';
import { npmPackage, TEST_MS } from './tools.ts';

const VERSION = '1.14.7';
const MANY = 10_000;
const FOUR_MB = 4 * 1024 * 1024 - 1024;
const CODE = { CANCELLED: 1, DEADLINE_EXCEEDED: 4, PERMISSION_DENIED: 7 };

/** What is used of @grpc/grpc-js, with messages as bytes. */
interface Call {
  on(event: 'data', take: (message: Buffer) => void): this;
  on(event: 'end' | 'cancelled', then: () => void): this;
  on(event: 'error', take: (error: { code: number; details: string }) => void): this;
  write(message: Buffer): boolean;
  once(event: 'drain', then: () => void): this;
  end(): void;
  cancel(): void;
  readonly request: Buffer;
}
type Done = (error: { code: number; details: string } | null, message?: Buffer) => void;
type Bytes = (bytes: Buffer) => Buffer;
interface Client {
  makeUnaryRequest(path: string, out: Bytes, back: Bytes, message: Buffer, options: object, done: Done): Call;
  makeServerStreamRequest(path: string, out: Bytes, back: Bytes, message: Buffer): Call;
  makeClientStreamRequest(path: string, out: Bytes, back: Bytes, done: Done): Call;
  makeBidiStreamRequest(path: string, out: Bytes, back: Bytes): Call;
  close(): void;
}
interface Server {
  addService(definition: object, handlers: object): void;
  bindAsync(address: string, credentials: unknown, done: (error: Error | null) => void): void;
  forceShutdown(): void;
}
interface Grpc {
  readonly Client: new (address: string, credentials: unknown, options: object) => Client;
  readonly Server: new (options: object) => Server;
  readonly credentials: { createInsecure(): unknown };
  readonly ServerCredentials: { createInsecure(): unknown };
}

const same: Bytes = (bytes) => bytes;
const OPTIONS = { 'grpc.max_receive_message_length': 8 << 20, 'grpc.max_send_message_length': 8 << 20 };

/** Writes them as fast as they are taken. */
async function writeMany(call: Call, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (!call.write(Buffer.from(`message ${i}`))) await new Promise<void>((resolve) => call.once('drain', resolve));
  }
}

/** Texts of the stream's messages, and the code of its error. */
function readAll(call: Call): Promise<{ texts: string[]; code: number }> {
  const texts: string[] = [];
  return new Promise((resolve) => {
    call.on('data', (message) => texts.push(message.toString()));
    call.on('error', ({ code }) => resolve({ texts, code }));
    call.on('end', () => resolve({ texts, code: 0 }));
  });
}

function serve(grpc: Grpc, port: number, cancelled: () => void): Promise<Server> {
  const server = new grpc.Server(OPTIONS);
  const method = (name: string, requestStream: boolean, responseStream: boolean): object => ({
    path: `/pkg.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  const definition = {
    Unary: method('Unary', false, false),
    Denied: method('Denied', false, false),
    Server: method('Server', false, true),
    Client: method('Client', true, false),
    Both: method('Both', true, true),
    Never: method('Never', false, true),
  };
  server.addService(definition, {
    Unary: (call: Call, done: Done) => done(null, call.request),
    Denied: (_call: Call, done: Done) => done({ code: CODE.PERMISSION_DENIED, details: 'not you' }),
    Server: async (call: Call) => {
      await writeMany(call, MANY);
      call.end();
    },
    Client: (call: Call, done: Done) => {
      readAll(call).then(({ texts }) => done(null, Buffer.from(String(texts.length))));
    },
    Both: (call: Call) => {
      call.on('data', (message) => call.write(message));
      call.on('end', () => call.end());
    },
    Never: (call: Call) => {
      call.on('cancelled', cancelled);
      call.write(Buffer.from('first'));
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve(server) : reject(error),
    );
  });
}

interface Outcome {
  readonly code: number;
  readonly details: string;
  readonly body: Buffer;
}

function unary(client: Client, name: string, message: Buffer, options: object = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(`/pkg.Echo/${name}`, same, same, message, options, (error, body) =>
      resolve({ code: error?.code ?? 0, details: error?.details ?? '', body: body ?? Buffer.alloc(0) }),
    );
  });
}

async function calls(client: Client, cancelled: Promise<void>): Promise<void> {
  const big = Buffer.alloc(FOUR_MB, 'x');
  assert.ok((await unary(client, 'Unary', big)).body.equals(big));
  const denied = await unary(client, 'Denied', Buffer.from('a'));
  assert.deepEqual([denied.code, denied.details], [CODE.PERMISSION_DENIED, 'not you']);

  const server = await readAll(client.makeServerStreamRequest('/pkg.Echo/Server', same, same, Buffer.from('go')));
  assert.deepEqual([server.texts.length, server.texts.at(-1), server.code], [MANY, `message ${MANY - 1}`, 0]);

  const counted = await new Promise<string>((resolve, reject) => {
    const done: Done = (error, message) => (error === null ? resolve(String(message)) : reject(error));
    const call = client.makeClientStreamRequest('/pkg.Echo/Client', same, same, done);
    writeMany(call, MANY).then(() => call.end());
  });
  assert.equal(counted, String(MANY));

  const both = client.makeBidiStreamRequest('/pkg.Echo/Both', same, same);
  const back = readAll(both);
  await writeMany(both, MANY);
  both.end();
  assert.deepEqual(
    (await back).texts,
    Array.from({ length: MANY }, (_, i) => `message ${i}`),
  );

  const never = client.makeServerStreamRequest('/pkg.Echo/Never', same, same, Buffer.from('go'));
  never.on('data', () => never.cancel());
  assert.equal((await readAll(never)).code, CODE.CANCELLED);
  await cancelled;
  const late = await unary(client, 'Never', Buffer.from('go'), { deadline: Date.now() + 300 });
  assert.equal(late.code, CODE.DEADLINE_EXCEEDED);
}

test('@grpc/grpc-js on both ends', { timeout: TEST_MS }, async (t) => {
  const folder = await npmPackage(t, '@grpc/grpc-js', VERSION);
  if (folder === null) return;
  const grpc = createRequire(import.meta.url)(folder) as Grpc;
  const ports = [heldPort(), heldPort()] as const;
  const backend = heldPort();
  const yaml = [
    gateway(ports),
    service('app', backend, 'kubernetes.io/h2c'),
    route('HTTPRoute', 'by-http', ports[0], 'app'),
    route('GRPCRoute', 'by-grpc', ports[1], 'app'),
  ].join('');
  const rauta = await Rauta.start({ 'site.yaml': yaml });
  t.after(() => rauta.stop());
  for (const [i, kind] of ['HTTPRoute', 'GRPCRoute'].entries()) {
    await t.test(`by ${kind}`, async (part) => {
      const { promise: cancelled, resolve } = Promise.withResolvers<void>();
      const server = await serve(grpc, backend, resolve);
      part.after(() => server.forceShutdown());
      const client = new grpc.Client(`127.0.0.1:${ports[i]}`, grpc.credentials.createInsecure(), OPTIONS);
      part.after(() => client.close());
      await calls(client, cancelled);
    });
  }
});

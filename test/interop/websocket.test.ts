// WebSocket programs of others on both ends: `ws` of npm and Python's websockets, over HTTP/1.1 and, by a second way
// through the program, over HTTP/2 to a backend that is the program itself. 1,000 tunnels that a reload does not drop,
// and 1 GB through one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { get, Rauta, until } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { gateway, route, service, start } from './site.ts';
import { npmPackage, python, run, TEST_MS } from './tools.ts';

const WS_VERSION = '8.23.0';
const PYTHON_PACKAGE = 'websockets==17.4';
const TUNNELS = 1_000;
const GB = 1_000_000_000;

interface Client {
  on(event: 'message', take: (data: Buffer) => void): this;
  on(event: 'close', take: (code: number, reason: Buffer) => void): this;
  once(event: 'open' | 'message' | 'close' | 'error', take: (...args: never[]) => void): this;
  send(data: string | Buffer): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}
interface Ws {
  readonly WebSocket: new (url: string, options?: object) => Client;
  readonly WebSocketServer: new (
    options: object,
  ) => {
    on(event: 'connection', take: (client: Client) => void): void;
    close(): void;
  };
}

/** Everything of port `a` to `app` by HTTP/1.1; of port `b` by HTTP/2 to port `a`, so a tunnel goes through twice. */
function site(a: number, b: number, app: number): string {
  return [
    gateway([a, b]),
    service('app', app, 'kubernetes.io/ws'),
    service('self', a, 'kubernetes.io/h2c'),
    route('HTTPRoute', 'direct', a, 'app'),
    route('HTTPRoute', 'twice', b, 'self'),
  ].join('');
}

/** The next message, as text. */
async function heard(client: Client): Promise<string> {
  const [data] = (await once(client as never, 'message')) as [Buffer];
  return data.toString();
}

test('ws on both ends: 1,000 tunnels over HTTP/1.1 and HTTP/2, and a reload drops none', {
  timeout: TEST_MS,
}, async (t) => {
  const folder = await npmPackage(t, 'ws', WS_VERSION);
  if (folder === null) return;
  const { WebSocket, WebSocketServer } = createRequire(import.meta.url)(folder) as Ws;
  const [a, b, app] = [heldPort(), heldPort(), heldPort()];
  const server = new WebSocketServer({ port: app, host: '127.0.0.1', perMessageDeflate: true });
  server.on('connection', (client) => {
    client.on('message', (data) => {
      if (data.toString() === 'end') client.close(4321, 'by the server');
      else client.send(data.toString());
    });
  });
  const yaml = site(a, b, app);
  const clients: Client[] = [];
  t.after(() => {
    server.close();
    for (const client of clients) client.terminate();
  });
  const rauta = await Rauta.start({ 'site.yaml': yaml });
  let dropped = 0;
  let ending = false;
  const open = async (port: number): Promise<Client> => {
    const client = new WebSocket(`ws://127.0.0.1:${port}/chat?port=${port}`);
    await once(client as never, 'open');
    client.on('close', () => {
      if (!ending) dropped++;
    });
    return client;
  };
  while (clients.length < TUNNELS) {
    clients.push(...(await Promise.all(Array.from({ length: 50 }, (_, i) => open(i % 2 === 0 ? a : b)))));
  }
  const round = async (text: string): Promise<void> => {
    const all = clients.map(async (client, i) => {
      const back = heard(client);
      client.send(`${text} ${i}`);
      assert.equal(await back, `${text} ${i}`);
    });
    await Promise.all(all);
  };
  await round('before');
  // What goes twice is counted twice.
  assert.equal(await rauta.metric('rauta_tunnels{kind="websocket"}'), TUNNELS * 1.5);
  const { revision } = (await rauta.workers())[0] as { revision: number };
  rauta.write('site.yaml', yaml.replaceAll('name: twice', 'name: renamed').replaceAll('name: direct', 'name: other'));
  await until(
    () => get(rauta.admin, '/workers'),
    ({ body }) => (JSON.parse(body) as { revision: number }[]).every((worker) => worker.revision > revision),
  );
  await round('after');
  const large = 'l'.repeat(1_000_000);
  for (const client of [clients[0], clients[1]] as Client[]) {
    const back = heard(client);
    client.send(large);
    assert.equal(await back, large);
  }
  assert.equal(dropped, 0);
  ending = true;
  const codes = clients.map(async (client, i) => {
    const closed = once(client as never, 'close') as Promise<[number, Buffer]>;
    if (i % 4 < 2) client.send('end');
    else client.close(1000);
    const [code, reason] = await closed;
    return `${code} ${reason}`;
  });
  const counts = new Map<string, number>();
  for (const code of await Promise.all(codes)) counts.set(code, (counts.get(code) ?? 0) + 1);
  assert.deepEqual(Object.fromEntries(counts), { '1000 ': TUNNELS / 2, '4321 by the server': TUNNELS / 2 });
  await until(
    () => get(rauta.admin, '/metrics'),
    ({ body }) => /^rauta_tunnels\{kind="websocket"\} 0$/m.test(body),
  );
  server.close();
  await rauta.stop();
  const lines = rauta.access
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(lines.length, TUNNELS * 1.5);
  for (const { status, upgrade, flags } of lines) assert.deepEqual([status, upgrade, flags], [101, 'websocket', '']);
});

const PY_SERVER = `
import asyncio, sys
from websockets.asyncio.server import serve
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()
asyncio.run(main())
`;
const PY_CLIENT = `
import asyncio, sys
from websockets.asyncio.client import connect
async def main():
    async with connect("ws://127.0.0.1:" + sys.argv[1] + "/", max_size=None) as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1000000):
            for message in ("t" * size, b"b" * size):
                await socket.send(message)
                assert await socket.recv() == message
        await (await socket.ping())
    print("closed", socket.close_code)
asyncio.run(main())
`;

test("Python's websockets on both ends, over HTTP/1.1 and HTTP/2", { timeout: TEST_MS }, async (t) => {
  const program = await python(t, [PYTHON_PACKAGE]);
  if (program === null) return;
  const [a, b, app] = [heldPort(), heldPort(), heldPort()];
  const server = await start(program, ['-c', PY_SERVER, String(app)], /ready/);
  const rauta = await Rauta.start({ 'site.yaml': site(a, b, app) });
  for (const port of [a, b]) {
    const said: { stdout: string } = await run(program, ['-c', PY_CLIENT, String(port)], { timeout: 60_000 });
    assert.equal(said.stdout.trim(), 'closed 1000');
  }
  server.removeAllListeners('exit');
  server.kill();
  await rauta.stop();
});

/** Switches, and counts what comes until the end of it; then says how much that was. */
async function counting(): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    let bytes = 0;
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: bytes\r\nConnection: Upgrade\r\n\r\n');
      socket.on('data', (data: Buffer) => {
        bytes += data.length;
      });
      socket.on('end', () => socket.end(`${bytes}`));
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test('1 GB through one tunnel, in half-close and back-pressure, counted to the byte', {
  timeout: TEST_MS,
}, async () => {
  const server = await counting();
  const app = (server.address() as { port: number }).port;
  const [a, b] = [heldPort(), heldPort()];
  const rauta = await Rauta.start({ 'site.yaml': site(a, b, app) });
  const socket = connect({ port: a, host: '127.0.0.1', allowHalfOpen: true });
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n');
  await once(socket, 'data');
  const piece = Buffer.alloc(1_000_000, 'g');
  for (let sent = 0; sent < GB; sent += piece.length) if (!socket.write(piece)) await once(socket, 'drain');
  socket.end();
  let said = '';
  for await (const data of socket) said += data;
  assert.equal(said, String(GB));
  server.close();
  await rauta.stop();
  const line = JSON.parse(rauta.access) as Record<string, unknown>;
  const { status, upgrade, end, request_bytes, response_bytes } = line;
  assert.deepEqual([status, upgrade, end, request_bytes, response_bytes], [101, 'bytes', 'client', GB, said.length]);
});

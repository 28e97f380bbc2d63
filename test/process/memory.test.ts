// What slow and idle clients cost the worker that serves them, through the whole program.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { backend, backendYaml, childrenOf, freePort, gateway, Rauta, routeYaml, until } from './support.ts';

const KB = 1024;
const MB = 1024 * KB;

const SLOW = 20;
const BIG = 100 * MB;
const PER_SLOW_CONNECTION = 256 * KB;
/** What V8's heap may grow by for reasons of its own. */
const HEAP_NOISE = 24 * MB;

const IDLE = 5_000;
const PER_IDLE_CONNECTION = 2 * KB;
const AT_ONCE = 100;

/** Workers show their memory with their heartbeat. */
const HEARTBEAT_MS = 1_000;

interface Memory {
  readonly arena: number;
  readonly rss: number;
}

/** The most seen over some heartbeats, the first of which is after now. */
async function memory(rauta: Rauta, beats: number): Promise<Memory> {
  let [arena, rss] = [0, 0];
  for (let i = 0; i < beats; i++) {
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS * 1.1));
    arena = Math.max(arena, await rauta.metric('rauta_worker_arena_bytes'));
    rss = Math.max(rss, await rauta.metric('rauta_worker_resident_memory_bytes'));
  }
  return { arena, rss };
}

async function active(rauta: Rauta, name: string, count: number): Promise<void> {
  await until(
    async () => ({ status: await rauta.metric(name), body: '', headers: {} }),
    (a) => a.status === count,
  );
}

/** A connection that writes `head` and reads nothing until it is told to. */
function open(port: number, head: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(head);
      resolve(socket);
    });
    socket.on('error', reject);
  });
}

test('slow readers of a large response and trickling uploads hold a bounded piece each', async (t) => {
  const port = await freePort();
  const part = Buffer.alloc(64 * KB, 'x');
  let uploaded = 0;
  const app = await backend('app', (request, response) => {
    if (request.url === '/up') {
      request.on('data', (bytes: Buffer) => {
        uploaded += bytes.length;
      });
      return;
    }
    response.writeHead(200, { 'content-length': BIG });
    let left = BIG;
    const write = (): void => {
      while (left > 0) {
        left -= part.length;
        if (!response.write(part)) {
          response.once('drain', write);
          return;
        }
      }
      response.end();
    };
    write();
  });
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const before = await memory(rauta, 1);
  const readers: Socket[] = [];
  const uploaders: Socket[] = [];
  for (let i = 0; i < SLOW; i++) {
    readers.push(await open(port, 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n'));
    // The head and the first byte at once: the upload is under way.
    uploaders.push(await open(port, `POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${MB}\r\n\r\nx`));
  }
  await active(rauta, 'rauta_requests_active', 2 * SLOW);
  const trickle = setInterval(() => {
    for (const socket of uploaders) socket.write('x');
    // One byte of what came, as a client does that has all the time in the world.
    for (const socket of readers) socket.read(1);
  }, 100);
  const during = await memory(rauta, 4);
  clearInterval(trickle);
  const arena = (during.arena - before.arena) / (2 * SLOW);
  const rss = (during.rss - before.rss) / (2 * SLOW);
  t.diagnostic(`${Math.round(arena / KB)} KB of the arena and ${Math.round(rss / KB)} KB resident per slow connection`);
  assert.ok(uploaded > SLOW * 10, `${uploaded} bytes of the uploads arrived`);
  assert.ok(arena < PER_SLOW_CONNECTION, `${arena} bytes of the arena each`);
  assert.ok(during.rss - before.rss < 2 * SLOW * PER_SLOW_CONNECTION + HEAP_NOISE, `${rss} bytes resident each`);
  for (const socket of [...readers, ...uploaders]) socket.destroy();
  await active(rauta, 'rauta_requests_active', 0);
  const after = await memory(rauta, 1);
  assert.ok(after.arena - before.arena < 4 * PER_SLOW_CONNECTION, `${after.arena - before.arena} bytes are kept`);
  assert.equal(await rauta.stop(), 0);
});

test('idle kept-alive connections cost next to nothing', async (t) => {
  const port = await freePort();
  const app = await backend('app', (_request, response) => response.end('ok'));
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const sockets: Socket[] = [];
  const answered = async (): Promise<void> => {
    const socket = await open(port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await new Promise<void>((resolve, reject) => {
      socket.once('data', (bytes) => (bytes.includes('200') ? resolve() : reject(new Error(bytes.toString()))));
      socket.once('close', () => reject(new Error('closed without an answer')));
    });
    sockets.push(socket);
  };
  const openIdle = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, answered));
  };
  await openIdle(1_000);
  const before = await memory(rauta, 1);
  await openIdle(IDLE);
  await active(rauta, 'rauta_connections', 1_000 + IDLE);
  const after = await memory(rauta, 1);
  const arena = (after.arena - before.arena) / IDLE;
  const rss = (after.rss - before.rss) / IDLE;
  t.diagnostic(`${Math.round(arena)} bytes of the arena and ${Math.round(rss)} resident per idle connection`);
  assert.ok(arena < PER_IDLE_CONNECTION, `${arena} bytes of the arena each`);
  assert.ok(rss < PER_IDLE_CONNECTION + HEAP_NOISE / IDLE, `${rss} bytes resident each`);
  for (const socket of sockets) socket.destroy();
  await active(rauta, 'rauta_connections', 0);
  assert.equal(await rauta.stop(), 0);
});

test("V8's young generation has its limit in every process", async () => {
  const rauta = await Rauta.start({ 'a.yaml': gateway(await freePort()) });
  const keeper = rauta.process.pid as number;
  const commands = [readFileSync(`/proc/${keeper}/cmdline`, 'utf8'), ...childrenOf(keeper).map((c) => c.command)];
  assert.ok(commands.length >= 3);
  for (const command of commands) {
    const most = command.includes(' controller')
      ? LIMITS.CONTROLLER_YOUNG_MB
      : command.includes(' worker')
        ? LIMITS.WORKER_YOUNG_MB
        : LIMITS.KEEPER_YOUNG_MB;
    const flags = [...command.matchAll(/--max-semi-space-size=(\d+)/g)].map((m) => Number(m[1]));
    assert.equal(flags.at(-1), most, command);
  }
  await rauta.stop();
});

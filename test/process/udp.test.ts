// UDP through the whole program: files, several workers, one that dies, a program that takes over.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { backendYaml, Rauta, udpFiles, until } from './support.ts';

const CLIENTS = 40;
/** A datagram may be lost where a worker dies, and is sent again then. */
const AGAIN_MS = 500;

interface Asker {
  /** The answer; what is lost is asked again. */
  ask(): Promise<string>;
  readonly close: () => void;
}

async function asker(port: number, name: string): Promise<Asker> {
  const socket = createSocket('udp4');
  socket.connect(port, OWN_ADDRESS);
  await once(socket, 'connect');
  socket.unref();
  socket.on('error', () => {});
  let n = 0;
  return {
    async ask() {
      const question = `${name}/${n++}`;
      for (;;) {
        socket.send(question);
        const answer = await heard(socket, AGAIN_MS);
        if (answer === null) continue;
        const [by = '', from = '', text = ''] = answer.split(' ');
        if (!text.startsWith(`${name}/`)) throw new Error(`${name} got ${answer}`);
        if (text === question) return `${by} ${from}`;
      }
    },
    close: () => socket.close(),
  };
}

function heard(socket: Socket, ms: number): Promise<string | null> {
  return new Promise((resolve) => {
    const done = (bytes: Buffer | null): void => {
      clearTimeout(timer);
      socket.off('message', done);
      resolve(bytes === null ? null : bytes.toString());
    };
    const timer = setTimeout(() => done(null), ms);
    socket.on('message', done);
  });
}

/** Answers with its name, the port it was asked from and what it heard. */
async function answerer(name: string): Promise<{ port: number; close: () => void }> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, { address, port }) => socket.send(`${name} ${port} ${bytes}`, port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref();
  return { port: socket.address().port, close: () => socket.close() };
}

test('UDP from files: changes, a worker that dies, a program that takes over; every client keeps its endpoint', async () => {
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(answerer));
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const port = ownPort();
  const folder = mkdtempSync(join(tmpdir(), 'rauta-udp-'));
  const flags = ['--workers', '2', '--takeover', join(folder, 'socket'), '--drain-timeout', '5s'];
  const first = await Rauta.start(udpFiles(port, [a.port, b.port]), flags);
  const closed = once(first.process, 'close');
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => asker(port, `c${i}`)));
  const askAll = (): Promise<string[]> => Promise.all(clients.map((client) => client.ask()));
  const names = (answers: readonly string[]): string[] => answers.map((answer) => answer.slice(0, 1));

  const before = await askAll();
  assert.deepEqual([...new Set(names(before))].sort(), ['a', 'b']);
  assert.deepEqual(await askAll(), before, 'the same endpoint by the same port');
  assert.equal(await first.metric('rauta_l4_sessions{protocol="UDP"}'), CLIENTS);

  // A change of the configuration, which is no change of theirs.
  first.write('b.yaml', backendYaml('app', a.port, b.port) + backendYaml('other', c.port));
  await until(
    async () => (await first.ask('/config')) as never,
    ({ body }) => body.includes('"other"'),
  );
  assert.deepEqual(await askAll(), before);

  // A worker dies: only its own flows move, to another port of the same endpoint.
  const [dying] = await first.workers();
  assert.ok(dying !== undefined);
  process.kill(dying.pid, 'SIGKILL');
  await until(
    async () => (await first.ask('/workers')) as never,
    ({ body }) => {
      const workers = JSON.parse(body) as { pid: number; state: string }[];
      return workers.every(({ pid, state }) => pid !== dying.pid && state === 'serving');
    },
  );
  const after = await askAll();
  assert.deepEqual(names(after), names(before));
  const moved = after.filter((answer, i) => answer !== before[i]).length;
  assert.ok(moved > 0 && moved < CLIENTS, `${moved} of ${CLIENTS} have a new port`);

  const next = Rauta.spawn(udpFiles(port, [a.port, b.port]), flags);
  await next.said('serving');
  assert.deepEqual(names(await askAll()), names(before));
  assert.equal(await first.exited, 0, first.text());
  assert.deepEqual(names(await askAll()), names(before));
  await closed;
  const lines = first.access.trim().split('\n');
  assert.ok(lines.length >= moved, `${lines.length} lines`);
  const line = JSON.parse(lines[0] as string);
  assert.deepEqual(
    [line.protocol, line.client, line.gateway, line.listener, line.kind, line.route, line.backend, line.attempts],
    ['UDP', '127.0.0.1', 'default/edge', 'dns', 'UDPRoute', 'default/dns', 'default/app', 1],
  );

  for (const client of clients) client.close();
  assert.equal(await next.stop(), 0, next.text());
  await first.stop();
  for (const server of [a, b, c]) server.close();
  rmSync(folder, { recursive: true });
});

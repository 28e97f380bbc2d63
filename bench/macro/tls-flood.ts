// A flood of handshakes beside a victim: RAUTA with one worker on one core; victim, attacker and backend on the other.
// The victim asks at a fixed rate over kept connections, in the clear; p99 with the flood aimed at the HTTPS port is to
// be at most 5 ms above p99 with the same attacker aimed at a closed port. `bin/node bench/macro/tls-flood.ts
// [--seconds 20] [--attackers 16] [--out tls-flood]`

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from './client.ts';
import { startPeer } from './peers.ts';
import { circumstances, writeResult } from './result.ts';

const BACKEND_PORT = 19_300;
const PORT = 19_301;
const PER_SECOND = 200;
const VICTIMS = 20;
const BAR_MS = 5;
/** Where nobody listens. */
const CLOSED_PORT = 19_399;

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    attackers: { type: 'string', default: '16' },
    out: { type: 'string', default: 'tls-flood' },
    /** The attacker itself: the port it is aimed at. */
    attack: { type: 'string', default: '' },
  },
});

/** Handshake after handshake, as fast as they go. */
async function attack(port: number): Promise<never> {
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'app.example.com', rejectUnauthorized: false });
      socket.once('secureConnect', () => socket.destroy());
      socket.once('error', () => {});
      socket.once('close', () => resolve());
    });
  let done = 0;
  setInterval(() => process.stdout.write(`${done}\n`), 500);
  const loop = async (): Promise<never> => {
    for (;;) {
      await one();
      done++;
    }
  };
  return (await Promise.all(Array.from({ length: Number(args.attackers) }, loop)))[0] as never;
}

/** Milliseconds from when each request was due, open loop, in order. */
async function victim(port: number, seconds: number): Promise<number[]> {
  const clients = Array.from({ length: VICTIMS }, () => new Client(port));
  const times: number[] = [];
  const start = performance.now();
  const total = seconds * PER_SECOND;
  const waiting: Promise<void>[] = [];
  const free = [...clients];
  const queue: number[] = [];
  const serve = async (client: Client): Promise<void> => {
    for (let due = queue.shift(); due !== undefined; due = queue.shift()) {
      const status = await client.ask('app.example.com', '/api/v1/items/1');
      if (status !== 200) throw new Error(`the victim got ${status}`);
      times.push(performance.now() - due);
    }
    free.push(client);
  };
  for (let i = 0; i < total; i++) {
    const due = start + (i * 1000) / PER_SECOND;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    queue.push(due);
    const client = free.pop();
    if (client !== undefined) waiting.push(serve(client));
  }
  await Promise.all(waiting);
  for (const client of clients) client.close();
  return times.sort((a, b) => a - b);
}

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.floor(sorted.length * q)] as number;

function attacker(port: number): { child: ChildProcess; done: () => number } {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(
    'taskset',
    ['-c', '1', process.execPath, '--disable-warning=ExperimentalWarning', self, '--attack', String(port)].concat(
      '--attackers',
      args.attackers,
    ),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '0';
  child.stdout?.on('data', (part) => {
    said = String(part).trim().split('\n').at(-1) as string;
  });
  return { child, done: () => Number(said) };
}

interface Row {
  readonly attacked: string;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function row(attacked: string, port: number, plainPort: number): Promise<Row> {
  const seconds = Number(args.seconds);
  const { child, done } = attacker(port);
  // Compilers of the attacker, and of what is attacked, first.
  await victim(plainPort, 2);
  const before = done();
  const times = await victim(plainPort, seconds);
  const perSecond = (done() - before) / seconds;
  child.kill();
  const found = { attacked, perSecond, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
  process.stdout.write(`${JSON.stringify(found)}\n`);
  return found;
}

async function main(): Promise<void> {
  execFileSync('taskset', ['-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
  const run = mkdtempSync(join(tmpdir(), 'rauta-flood-'));
  execFileSync('cc', ['-O2', '-o', join(run, 'backend'), fileURLToPath(new URL('backend.c', import.meta.url))]);
  const backend = spawn('taskset', ['-c', '1', join(run, 'backend'), String(BACKEND_PORT)], { stdio: 'inherit' });
  const rauta = await startPeer('rauta', run, PORT, BACKEND_PORT, 0);
  if (rauta === null) throw new Error('RAUTA does not start');
  try {
    await victim(rauta.port, 2);
    const closed = await row('a closed port', CLOSED_PORT, rauta.port);
    const flooded = await row('HTTPS', rauta.tlsPort, rauta.port);
    const good = flooded.p99Ms - closed.p99Ms <= BAR_MS;
    const command = `bin/node bench/macro/tls-flood.ts --seconds ${args.seconds} --attackers ${args.attackers}`;
    const what = `p99 of ${PER_SECOND} requests a second, open loop, beside a flood of handshakes; bar: ${BAR_MS} ms more`;
    writeResult(args.out, { ...circumstances(), command, what, good, rows: [closed, flooded] });
    process.stdout.write(`${good ? 'good' : 'BAD'}\n`);
    process.exitCode = good ? 0 : 1;
  } finally {
    await rauta.stop();
    backend.kill('SIGKILL');
    rmSync(run, { recursive: true, force: true });
  }
}

if (args.attack !== '') await attack(Number(args.attack));
else await main();

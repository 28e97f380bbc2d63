// How the reactor and libuv share a thread: CPU per forwarded request, lateness of timers and promises under load, and
// wake-ups when idle, by arrangement. Paired, interleaved rounds; `bin/node bench/micro/loop.ts [--json FILE]`.

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LIMITS } from '../../src/base/limits.ts';
import type { ReadySink } from '../../src/io/io.ts';
import { openNative } from '../../src/native/index.ts';

const MODES = ['block', 'poll', 'hybrid-5ms', 'hybrid-each', 'reactor'] as const;
type Mode = (typeof MODES)[number];
const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '60' },
    ms: { type: 'string', default: '150' },
    modes: { type: 'string', default: MODES.join(',') },
  },
});
const modes = values.modes.split(',') as Mode[];
const MESSAGE_BYTES = 256;

const io = openNative({ arenaBytes: 64 * 2 ** 20 });
const buffer = io.alloc(LIMITS.READ_BYTES);
let answered = 0;
let loading = false;

class Echo implements ReadySink {
  readonly handle: number;
  constructor(handle: number) {
    this.handle = handle;
  }
  onReady(): void {
    const n = io.recv(this.handle, buffer, LIMITS.READ_BYTES);
    if (n > 0) io.send(this.handle, buffer, n);
    else if (n === 0) io.close(this.handle);
  }
}
class Client implements ReadySink {
  readonly handle: number;
  constructor(handle: number) {
    this.handle = handle;
  }
  onReady(events: number): void {
    if ((events & 1) === 0) return;
    const n = io.recv(this.handle, buffer, LIMITS.READ_BYTES);
    if (n <= 0) return;
    answered++;
    if (loading) io.send(this.handle, buffer, MESSAGE_BYTES);
  }
}
const backend = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 512 });
io.watch(backend, {
  onReady(): void {
    for (let h = io.accept(backend); h >= 0; h = io.accept(backend)) io.watch(h, new Echo(h));
  },
});
const backendPort = (io.localAddress(backend) as { port: number }).port;

interface Server {
  readonly mode: Mode;
  readonly child: ChildProcess;
  readonly port: number;
}

function message<T>(child: ChildProcess, type: string): Promise<T> {
  return new Promise((resolve) => {
    const listener = (m: unknown): void => {
      if ((m as { type: string }).type !== type) return;
      child.off('message', listener);
      resolve(m as T);
    };
    child.on('message', listener);
  });
}

async function start(mode: Mode): Promise<Server> {
  const file = fileURLToPath(new URL('loop-server.ts', import.meta.url));
  const child = spawn('taskset', ['-c', '0', process.execPath, file, mode, String(backendPort)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const { port } = await message<{ port: number }>(child, 'ready');
  return { mode, child, port };
}

/** Nanoseconds on a CPU and voluntary switches of all threads of a process. */
function usage(pid: number): { ns: number; switches: number } {
  let ns = 0;
  let switches = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'latin1');
    switches += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]);
  }
  return { ns, switches };
}

/** Drives this process's reactor for `ms`. */
function turnsFor(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until) io.turn(5);
}

/** CPU microseconds per request of `server` at `connections` for `ms`, and requests per second. */
function load(server: Server, connections: number, ms: number): { us: number; rps: number } {
  const clients: Client[] = [];
  for (let i = 0; i < connections; i++) {
    const client = new Client(io.connect({ family: 'ipv4', address: '127.0.0.1', port: server.port }));
    io.watch(client.handle, client);
    clients.push(client);
  }
  turnsFor(20);
  loading = true;
  for (const client of clients) io.send(client.handle, buffer, MESSAGE_BYTES);
  turnsFor(50);
  const pid = server.child.pid as number;
  const before = usage(pid);
  const from = answered;
  const start = performance.now();
  turnsFor(ms);
  const after = usage(pid);
  const n = answered - from;
  const seconds = (performance.now() - start) / 1000;
  loading = false;
  turnsFor(20);
  for (const client of clients) io.close(client.handle);
  turnsFor(20);
  return { us: (after.ns - before.ns) / 1000 / n, rps: n / seconds };
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] as number;
const quantile = (list: readonly number[], q: number): number =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))] as number;
/** Median of ratios and its 95 % interval by order statistics, which no outlier of a shared machine can move. */
function interval(ratios: readonly number[]): { median: number; low: number; high: number } {
  const sorted = [...ratios].sort((a, b) => a - b);
  const reach = 0.98 * Math.sqrt(sorted.length);
  const at = (rank: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(rank)))] as number;
  const middle = (sorted.length - 1) / 2;
  return { median: at(middle), low: at(Math.floor(middle - reach)), high: at(Math.ceil(middle + reach)) };
}
const round = (n: number, digits = 2): number => Number(n.toFixed(digits));

const servers: Server[] = [];
for (const mode of modes) servers.push(await start(mode));
const lines: string[] = [];
const say = (line: string): void => {
  lines.push(line);
  process.stdout.write(`${line}\n`);
};
const result: Record<string, unknown> = {
  machine: `${cpus().length} x ${cpus()[0]?.model}`,
  node: process.version,
  command: 'bin/node bench/micro/loop.ts',
};

for (const connections of [64, 4]) {
  const samples = new Map<Mode, { us: number; rps: number }[]>(modes.map((m) => [m, []]));
  const rounds = Number(values.rounds);
  for (let r = 0; r < rounds; r++) {
    // The order turns, so that drift of the machine hits all alike.
    for (let i = 0; i < servers.length; i++) {
      const server = servers[(i + r) % servers.length] as Server;
      samples.get(server.mode)?.push(load(server, connections, Number(values.ms)));
    }
  }
  say(`\n${connections} connections, ${rounds} rounds of ${values.ms} ms`);
  say('| arrangement | CPU us/request (median) | x block (median of pairs) | 95 % interval | requests/s |');
  say('|---|---|---|---|---|');
  const base = samples.get('block') ?? [];
  for (const mode of modes) {
    const list = samples.get(mode) ?? [];
    const ratio = interval(list.map((s, i) => s.us / (base[i]?.us ?? s.us)));
    const row = {
      us: round(median(list.map((s) => s.us))),
      ratio: round(ratio.median, 3),
      low: round(ratio.low, 3),
      high: round(ratio.high, 3),
      rps: round(median(list.map((s) => s.rps)), 0),
    };
    result[`${mode}/${connections}`] = row;
    say(`| ${mode} | ${row.us} | ${row.ratio} | ${row.low} - ${row.high} | ${row.rps} |`);
  }
}

say(
  '\nTimers (20 ms) and promise chains (100 awaits and a tick) in the saturated server, ms late; wake-ups a second idle.',
);
say('"own": less what the thread waited for a CPU that others had.');
say('| arrangement | timer p50 | p99 | max | own p99 | own max | chain p99 | max | n | idle wake-ups/s |');
say('|---|---|---|---|---|---|---|---|---|---|');
for (const server of servers) {
  if (server.mode === 'block') continue;
  server.child.send({ type: 'measure' });
  load(server, 64, 6000);
  const answer = message<{ timerLate: number[]; timerOwn: number[]; promiseLate: number[] }>(server.child, 'report');
  server.child.send({ type: 'report' });
  const { timerLate, timerOwn, promiseLate } = await answer;
  server.child.disconnect();
  const idle = await start(server.mode);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const before = usage(idle.child.pid as number).switches;
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const wakeups = round((usage(idle.child.pid as number).switches - before) / 4, 1);
  idle.child.disconnect();
  const at = (list: readonly number[], ...q: number[]): number[] => q.map((p) => round(quantile(list, p)));
  const row = [...at(timerLate, 0.5, 0.99, 1), ...at(timerOwn, 0.99, 1), ...at(promiseLate, 0.99, 1)];
  result[`${server.mode}/late`] = { row, n: timerLate.length, idleWakeups: wakeups };
  say(`| ${server.mode} | ${row.join(' | ')} | ${timerLate.length} | ${wakeups} |`);
}
for (const server of servers) server.child.kill();
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ ...result, table: lines }, null, 2)}\n`);
io.dispose();
process.exit(0);

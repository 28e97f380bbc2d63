// Accept queues under connection churn: how evenly two workers share new connections, what one costs, what is lost or
// late while a worker is killed every so often (docs/adr/0002-accept-queues.md).
// `bin/node bench/macro/accept.ts [--seconds 4] [--rounds 5] [--kills 8] [--out accept]`

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from './result.ts';
import { median } from './stats.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const PORT = 19_180;
const ADMIN_PORT = 19_190;
const BACKEND_PORT = 19_181;
const CHURN_CONNECTIONS = 64;
const KEPT_CONNECTIONS = 64;
const KILL_LOOPS = 16;
const KILL_EVERY_MS = 1_500;
const LATE_MS = 100;
const PATIENCE_MS = 20_000;

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    kills: { type: 'string', default: '8' },
    out: { type: 'string', default: 'accept' },
  },
});

interface Worker {
  readonly pid: number;
  readonly state: string;
  readonly connections: number;
  readonly requests_total: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const workers = async (): Promise<Worker[]> =>
  (await (await fetch(`http://127.0.0.1:${ADMIN_PORT}/workers`)).json()) as Worker[];

/** On-CPU microseconds of all threads of `pids`. */
function cpuUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const tasks = execFileSync('ls', [`/proc/${pid}/task`], { encoding: 'utf8' })
      .trim()
      .split('\n');
    return (
      sum +
      tasks.reduce(
        (n, t) => n + Number(readFileSync(`/proc/${pid}/task/${t}/schedstat`, 'utf8').split(' ')[0]) / 1000,
        0,
      )
    );
  }, 0);
}

/** One connection, one request; resolves with how it ended. */
function once(): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(PORT, '127.0.0.1');
    socket.setTimeout(PATIENCE_MS, () => {
      socket.destroy();
      resolve('timeout');
    });
    socket.on('connect', () => socket.write('GET /x HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n'));
    socket.on('data', (part) => {
      answer += part.toString('latin1');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => resolve(answer.startsWith('HTTP/1.1 200') ? 'ok' : answer === '' ? 'no answer' : 'cut'));
  });
}

/** A burst of connections that stay open: how many the busier worker got. */
async function kept(): Promise<number> {
  const before = await workers();
  const sockets: Socket[] = await Promise.all(
    Array.from(
      { length: KEPT_CONNECTIONS },
      () =>
        new Promise<Socket>((resolve) => {
          const socket = connect(PORT, '127.0.0.1');
          socket.on('error', () => {});
          socket.on('data', () => resolve(socket));
          socket.write('GET /x HTTP/1.1\r\nHost: app.example.com\r\n\r\n');
        }),
    ),
  );
  const after = await workers();
  for (const socket of sockets) socket.destroy();
  await sleep(100);
  return Math.max(...after.map((w, i) => w.connections - (before[i] as Worker).connections)) / KEPT_CONNECTIONS;
}

async function churn(seconds: number): Promise<{ share: number; cpuUs: number; perSecond: number; errors: number }> {
  const before = await workers();
  const pids = before.map((w) => w.pid);
  const cpuBefore = cpuUs(pids);
  const text = await new Promise<string>((resolve) => {
    let out = '';
    const child = spawn(
      'wrk',
      [
        '-t1',
        `-c${CHURN_CONNECTIONS}`,
        `-d${seconds}s`,
        '-H',
        'Host: app.example.com',
        '-H',
        'Connection: close',
        `http://127.0.0.1:${PORT}/x`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    child.stdout.on('data', (part) => {
      out += part;
    });
    child.on('close', () => resolve(out));
  });
  const cpu = cpuUs(pids) - cpuBefore;
  const after = await workers();
  const counts = after.map((w, i) => w.requests_total - (before[i] as Worker).requests_total);
  const total = counts.reduce((a, b) => a + b, 0);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  return {
    share: Math.max(...counts) / total,
    cpuUs: cpu / total,
    perSecond: total / seconds,
    errors: errors === null ? 0 : errors.slice(1).reduce((n, e) => n + Number(e), 0),
  };
}

async function killing(kills: number): Promise<Record<string, number>> {
  const ends: Record<string, number> = {};
  const times: number[] = [];
  let going = true;
  const loops = Array.from({ length: KILL_LOOPS }, async () => {
    while (going) {
      const start = performance.now();
      const end = await once();
      ends[end] = (ends[end] ?? 0) + 1;
      times.push(performance.now() - start);
    }
  });
  for (let n = 0; n < kills; n++) {
    await sleep(KILL_EVERY_MS);
    const alive = (await workers()).filter((w) => w.pid !== 0 && w.state === 'serving');
    const victim = alive[n % Math.max(1, alive.length)];
    if (victim !== undefined) process.kill(victim.pid, 'SIGKILL');
  }
  await sleep(KILL_EVERY_MS);
  going = false;
  await Promise.all(loops);
  return { ...ends, late: times.filter((t) => t > LATE_MS).length, slowestMs: Math.round(Math.max(...times)) };
}

const folder = mkdtempSync(join(tmpdir(), 'rauta-accept-'));
execFileSync('cc', ['-O2', '-o', join(folder, 'backend'), join(here, 'backend.c')]);
const backend = spawn(join(folder, 'backend'), [String(BACKEND_PORT)], { stdio: 'inherit' });
const conf = readFileSync(join(here, 'conf/rauta.yaml'), 'utf8').replace(/.*@(?:TLS|TCP|H2C)PORT@.*\n/g, '');
writeFileSync(
  join(folder, 'rauta.yaml'),
  conf.replaceAll('@PORT@', String(PORT)).replace(/@(?:GRPC)?BACKEND@/g, String(BACKEND_PORT)),
);
const rauta = spawn(
  fileURLToPath(new URL('../../bin/rauta', import.meta.url)),
  [
    ...['serve', '--config', join(folder, 'rauta.yaml'), '--workers', '2', '--listen', '127.0.0.1'],
    ...['--admin', `127.0.0.1:${ADMIN_PORT}`, '--access-log', 'off', '--log-format', 'json'],
  ],
  { stdio: ['ignore', 'ignore', 'ignore'] },
);
try {
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${ADMIN_PORT}/readyz`).then(
      (r) => r.ok,
      () => false,
    );
    if (ready) break;
    await sleep(50);
  }
  await churn(1);
  const rounds: Awaited<ReturnType<typeof churn>>[] = [];
  const bursts: number[] = [];
  for (let round = 0; round < Number(args.rounds); round++) {
    rounds.push(await churn(Number(args.seconds)));
    for (let n = 0; n < 4; n++) bursts.push(await kept());
  }
  await sleep(2_000);
  const result = {
    ...circumstances(),
    command: `bin/node bench/macro/accept.ts --seconds ${args.seconds} --rounds ${args.rounds} --kills ${args.kills}`,
    what: '2 workers; share: of the busier one; cpuUs: of both workers per connection; killing: a worker every 1.5 s while 16 clients make a connection per request (late: over 100 ms)',
    churn: {
      share: median(rounds.map((r) => r.share)),
      cpuUs: median(rounds.map((r) => r.cpuUs)),
      perSecond: median(rounds.map((r) => r.perSecond)),
      errors: rounds.reduce((n, r) => n + r.errors, 0),
    },
    burstOfKeptConnections: { share: median(bursts), worst: Math.max(...bursts) },
    killing: await killing(Number(args.kills)),
  };
  writeResult(args.out, result);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  rauta.kill('SIGTERM');
  backend.kill('SIGKILL');
  await new Promise((resolve) => rauta.on('exit', resolve));
  rmSync(folder, { recursive: true, force: true });
}

// How long a dead worker is missed: two workers under a load that takes both cores, one is killed with SIGKILL, and new
// connections are made from that moment on. Half of them lie in the dead worker's accept queue; the slowest answer of
// all is when its replacement served. Once with the spare waiting (first death), once without (both workers die at
// once). `bin/node bench/macro/replace.ts [--samples 10] [--out replace]`

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from './result.ts';
import { median } from './stats.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const PORT = 19_280;
const ADMIN_PORT = 19_290;
const BACKEND_PORT = 19_281;
const AT_ONCE = 16;
const EVERY_MS = 10;
const WATCH_MS = 3_000;
/**
 * Until the spare is there: it is started a second after the others serve, and loads slowly while both cores are taken.
 */
const SPARE_MS = 6_000;

const { values: args } = parseArgs({
  options: { samples: { type: 'string', default: '10' }, out: { type: 'string', default: 'replace' } },
});

interface Worker {
  readonly pid: number;
  readonly state: string;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const workers = async (): Promise<Worker[]> =>
  (await (await fetch(`http://127.0.0.1:${ADMIN_PORT}/workers`)).json()) as Worker[];

/** Milliseconds from now to the answer on a connection of its own; NaN when it broke. */
function probe(): Promise<number> {
  const start = performance.now();
  return new Promise((resolve) => {
    let answered = Number.NaN;
    const socket = connect(PORT, '127.0.0.1', () =>
      socket.write('GET /x HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n'),
    );
    socket.on('data', () => {
      if (Number.isNaN(answered)) answered = performance.now() - start;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answered));
  });
}

/** Kills `pids`; when, counted from there, the last of the connections made meanwhile was answered. */
async function kill(pids: readonly number[]): Promise<{ ms: number; broken: number; probes: number }> {
  const start = performance.now();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  const probes: Promise<number>[] = [];
  for (let i = 0; i < AT_ONCE; i++) probes.push(probe());
  while (performance.now() - start < WATCH_MS) {
    await sleep(EVERY_MS);
    // The first half second tells when the queue is served again; what comes later only that it stays so.
    probes.push(probe());
  }
  const first = await Promise.all(probes.slice(0, AT_ONCE));
  const all = await Promise.all(probes);
  return {
    ms: Math.max(...first.filter((ms) => !Number.isNaN(ms))),
    broken: all.filter(Number.isNaN).length,
    probes: all.length,
  };
}

const folder = mkdtempSync(join(tmpdir(), 'rauta-replace-'));
execFileSync('cc', ['-O2', '-o', join(folder, 'backend'), join(here, 'backend.c')]);
const backend = spawn(join(folder, 'backend'), [String(BACKEND_PORT)], { stdio: 'inherit' });
const conf = readFileSync(join(here, 'conf/rauta.yaml'), 'utf8').replace(/.*@(?:TLS|TCP|H2C)PORT@.*\n/g, '');
writeFileSync(
  join(folder, 'rauta.yaml'),
  conf.replaceAll('@PORT@', String(PORT)).replace(/@(?:GRPC)?BACKEND@/g, String(BACKEND_PORT)),
);

/** One start of the program: a death with the spare there, then both at once. */
async function sample(): Promise<{ spare: Awaited<ReturnType<typeof kill>>; cold: Awaited<ReturnType<typeof kill>> }> {
  const rauta = spawn(
    fileURLToPath(new URL('../../bin/rauta', import.meta.url)),
    [
      ...['serve', '--config', join(folder, 'rauta.yaml'), '--workers', '2', '--listen', '127.0.0.1'],
      ...['--admin', `127.0.0.1:${ADMIN_PORT}`, '--access-log', 'off', '--log-level', 'error'],
    ],
    { stdio: 'ignore' },
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
    const load = spawn(
      'wrk',
      ['-t2', '-c128', '-d60s', '-H', 'Host: app.example.com', `http://127.0.0.1:${PORT}/api/v1/items/42`],
      { stdio: 'ignore' },
    );
    try {
      await sleep(SPARE_MS);
      const [one] = await workers();
      const spare = await kill([(one as Worker).pid]);
      await sleep(SPARE_MS);
      const cold = await kill((await workers()).map((w) => w.pid));
      return { spare, cold };
    } finally {
      load.kill('SIGKILL');
    }
  } finally {
    rauta.kill('SIGTERM');
    setTimeout(() => rauta.kill('SIGTERM'), 1_000).unref();
    await new Promise((resolve) => rauta.on('exit', resolve));
  }
}

try {
  const samples: Awaited<ReturnType<typeof sample>>[] = [];
  for (let i = 0; i < Number(args.samples); i++) {
    const one = await sample();
    samples.push(one);
    process.stdout.write(`spare ${one.spare.ms.toFixed(0)} ms, without ${one.cold.ms.toFixed(0)} ms\n`);
  }
  const row = (
    rows: readonly Awaited<ReturnType<typeof kill>>[],
  ): { median: number; worst: number; broken: number; probes: number } => ({
    median: Math.round(median(rows.map((r) => r.ms))),
    worst: Math.round(Math.max(...rows.map((r) => r.ms))),
    broken: rows.reduce((n, r) => n + r.broken, 0),
    probes: rows.reduce((n, r) => n + r.probes, 0),
  });
  const result = {
    ...circumstances(),
    load: loadavg()[0],
    command: `bin/node bench/macro/replace.ts --samples ${args.samples}`,
    what: 'ms from SIGKILL of a worker until the last of 16 connections made at that moment was answered; 2 workers, wrk with 128 connections on the same 2 cores',
    samples: samples.length,
    withSpare: row(samples.map((s) => s.spare)),
    bothAtOnce: row(samples.map((s) => s.cold)),
  };
  writeResult(args.out, result);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  backend.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

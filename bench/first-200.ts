// How long a new user waits: from `git clone` to the first 200 of the quickstart, with an empty HOME, so that
// everything is downloaded; then a second `make run`, which downloads nothing. The quickstart's ports have to be free.
// `bin/node bench/first-200.ts [--from REPOSITORY] [--out first-200]`

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from './macro/result.ts';

const PORTS = [8080, 9090, 9001, 9002];
const URL_ASKED = 'http://127.0.0.1:8080/hello';
const LONGEST_MS = 300_000;
const ASK_MS = 20;

const { values: args } = parseArgs({
  options: {
    from: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
    out: { type: 'string', default: 'first-200' },
  },
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch(URL_ASKED)).status === 200;
  } catch {
    return false;
  }
}

/** Milliseconds from `startedMs` until the quickstart in `folder` answers; it has ended when this resolves. */
async function run(folder: string, home: string, startedMs: number): Promise<number> {
  const child: ChildProcess = spawn('make', ['run'], {
    ...{ cwd: folder, env: { PATH: process.env['PATH'], HOME: home }, stdio: 'ignore', detached: true },
  });
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  try {
    while (!(await answers())) {
      if (performance.now() - startedMs > LONGEST_MS || child.exitCode !== null) throw new Error('it never answered');
      await sleep(ASK_MS);
    }
    return performance.now() - startedMs;
  } finally {
    if (child.exitCode === null) process.kill(-(child.pid as number), 'SIGTERM');
    await ended;
  }
}

for (const port of PORTS) if (await isTaken(port)) throw new Error(`something listens on 127.0.0.1:${port}`);
const aside = mkdtempSync(join(tmpdir(), 'rauta-first-'));
try {
  const [folder, home] = [join(aside, 'rauta'), join(aside, 'home')];
  mkdirSync(home);
  const [load = 0] = loadavg();
  const startedMs = performance.now();
  execFileSync('git', ['clone', '-q', args.from, folder]);
  const cloneMs = performance.now() - startedMs;
  const firstMs = await run(folder, home, startedMs);
  const againMs = await run(folder, home, performance.now());
  const seconds = (ms: number): number => Math.round(ms / 100) / 10;
  const rows = { cloned: seconds(cloneMs), first200: seconds(firstMs), first200Again: seconds(againMs) };
  writeResult(args.out, {
    ...circumstances(),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: folder, encoding: 'utf8' }).trim(),
    ...{ command: 'bin/node bench/first-200.ts', what: 'seconds from git clone; again: from make run', load, ...rows },
  });
  process.stdout.write(`${JSON.stringify(rows)}\n`);
} finally {
  rmSync(aside, { recursive: true, force: true });
}

// Runs the checks and counts them: `bin/node tools/test.ts fast|all`. Last line: `N passed, N failed, N skipped`.

import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { watchTests } from './test-watch.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

const FAST = ['src/**/*.test.ts', 'test/tidy.test.ts', 'test/promises.test.ts'];
const SLOW = ['test/**/*.test.ts'];
/** One test may take this long before it is a failure; and a file with all of its tests. */
const TEST_TIMEOUT_MS = 300_000;
const FILE_TIMEOUT_MS = 1_200_000;
/** All together: who waits for it gives up a little later, and would not hear what had failed until then. */
const ALL_MS = 80 * 60_000;

/** Of what a failed test said, so that the reasons of all stand together at the end. */
const REASON_LINES = 40;

const total = { passed: 0, failed: 0, skipped: 0 };
/** What failed and why: said again at the end, since whoever looks there has a thousand lines above. */
const failures: string[] = [];
const started = process.hrtime.bigint();

/** What is left of the time, in ms. */
function leftMs(): number {
  return Math.max(1, ALL_MS - Number((process.hrtime.bigint() - started) / 1_000_000n));
}

function say(text: string): void {
  const seconds = Number((process.hrtime.bigint() - started) / 1_000_000_000n);
  process.stdout.write(`[${String(seconds).padStart(4)} s] ${text}\n`);
}

/** One command that is one check. */
function command(name: string, argv: readonly string[]): void {
  say(name);
  const done = spawnSync(argv[0] as string, argv.slice(1), {
    stdio: 'inherit',
    timeout: leftMs(),
    killSignal: 'SIGKILL',
  });
  if (done.status === 0) total.passed++;
  else {
    total.failed++;
    failures.push(`${name}: see above`);
    say(`${name} FAILED`);
  }
}

/** A command that counts for itself: `NAME: N passed, N failed, N skipped` is somewhere in what it prints. */
function counted(name: string, argv: readonly string[]): void {
  say(name);
  const done = spawnSync(argv[0] as string, argv.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
    timeout: leftMs(),
    killSignal: 'SIGKILL',
  });
  const text = done.stdout.toString();
  process.stdout.write(text);
  const line = /(\d+) passed, (\d+) failed, (\d+) skipped/.exec(text);
  if (line !== null) {
    total.passed += Number(line[1]);
    total.failed += Number(line[2]);
    total.skipped += Number(line[3]);
  }
  if (done.status !== 0) failures.push(`${name}: status ${done.status ?? done.signal}, see above`);
  if (done.status !== 0 && (line === null || line[2] === '0')) {
    total.failed++;
    say(`${name} FAILED with status ${done.status ?? done.signal}`);
  }
}

async function tests(name: string, files: string[]): Promise<void> {
  say(`${name}: ${files.length} files`);
  const stream = run({
    files,
    concurrency: Math.max(1, availableParallelism()),
    timeout: TEST_TIMEOUT_MS,
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  // The summary of the whole run is the one without a file.
  stream.on('test:summary', (data) => {
    if (data.file !== undefined) return;
    total.passed += data.counts.passed;
    total.failed += data.counts.tests - data.counts.passed - data.counts.skipped - data.counts.todo;
    total.skipped += data.counts.skipped + data.counts.todo;
  });
  stream.on('test:fail', ({ name: test, file, line, details }) => {
    const { error, duration_ms } = details;
    const { cause, failureType } = error as { cause?: unknown; failureType?: string };
    if (failureType === 'subtestsFailed') return;
    const reason = inspect(cause ?? error, { depth: 3 })
      .split('\n')
      .slice(0, REASON_LINES)
      .join('\n    ');
    const at = file === undefined ? '' : ` (${relative(root, file)}:${line}, ${Math.round(duration_ms)} ms)`;
    failures.push(`${test}${at}\n    ${reason}`);
    say(`failed: ${failures.at(-1)}`);
  });
  const unwatch = watchTests(FILE_TIMEOUT_MS, (file) => {
    total.failed++;
    failures.push(`${file} did not end within ${FILE_TIMEOUT_MS / 1000} s`);
    say(`failed: ${failures.at(-1)}`);
  });
  stream.compose(spec()).pipe(process.stdout, { end: false });
  await new Promise<void>((resolve) => stream.on('end', () => resolve()));
  unwatch();
}

const mode = process.argv[2] ?? 'all';
command('types', ['sh', 'tools/types.sh']);
command('lint', ['sh', 'tools/lint.sh', 'check', '.']);
const fast = globSync(FAST).sort();
await tests('fast tests', fast);
if (mode === 'all') {
  await tests(
    'socket, simulation, process and fuzz tests',
    globSync(SLOW)
      .filter((f) => !fast.includes(f))
      .sort(),
  );
  counted('cluster', ['make', '-s', 'test-cluster']);
  counted('real cluster', ['sh', 'test/kubernetes/real-cluster.sh']);
  counted('install', ['sh', 'test/kubernetes/install.sh']);
  counted('real services', ['sh', 'test/kubernetes/real-services.sh']);
  counted('conformance', ['make', '-s', 'test-conformance']);
}
for (const failure of failures) process.stdout.write(`failed: ${failure}\n`);
say(total.failed === 0 ? 'all checks passed' : 'some checks FAILED');
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed === 0 ? 0 : 1;

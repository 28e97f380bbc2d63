// JavaScript's part of a request, paired: this checkout with and without the flags that workers set, and another one
// (RAUTA_BENCH_BEFORE=CHECKOUT).
// `bin/node bench/micro/request.ts [--work get|post|connect|h2|grpc|exchange|session] [--rounds 100] [--out request]`

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LIMITS } from '../../src/base/limits.ts';
import { INLINING } from '../../src/main/inlining.ts';
import { report } from './paired.ts';

const REQUESTS = 20_000;
const WARM_UPS = 5;

const { values: args } = parseArgs({
  options: {
    work: { type: 'string', default: 'get' },
    rounds: { type: 'string', default: '100' },
    out: { type: 'string', default: 'request' },
  },
});
const here = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const before = process.env['RAUTA_BENCH_BEFORE'];
const YOUNG = `--max-semi-space-size=${LIMITS.WORKER_YOUNG_MB}`;

interface Case {
  readonly name: string;
  readonly child: ChildProcess;
  readonly ns: number[];
}

function answer(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('a child ended'));
    child.once('exit', ended);
    child.once('message', (ns: number) => {
      child.off('exit', ended);
      resolve(ns);
    });
  });
}

async function start(name: string, root: string, flags: readonly string[]): Promise<Case> {
  const execArgv = [...process.execArgv, YOUNG, ...flags];
  const child = fork(fileURLToPath(new URL('./request-worker.ts', import.meta.url)), [root, args.work], { execArgv });
  await answer(child);
  return { name, child, ns: [] };
}

function run({ child }: Case): Promise<number> {
  child.send(REQUESTS);
  return answer(child);
}

function quantile(values: readonly number[], rank: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.min(sorted.length - 1, Math.round(rank)))] as number;
}

const cases = [await start('without the flags', here, []), await start('worker', here, INLINING)];
if (before !== undefined) cases.push(await start('before', before, []));
for (let i = 0; i < WARM_UPS; i++) for (const c of cases) await run(c);
for (let round = 0; round < Number(args.rounds); round++) {
  for (let i = 0; i < cases.length; i++) {
    const c = cases[(i + round) % cases.length] as Case;
    c.ns.push(await run(c));
  }
}
for (const { child } of cases) child.send(0);
const [base] = cases as [Case];
const half = 0.98 * Math.sqrt(base.ns.length);
const results = cases.map(({ name, ns }) => {
  const ratios = ns.map((n, i) => n / (base.ns[i] as number));
  const middle = ratios.length / 2;
  const [ratio, low, high] = [middle, middle - half - 1, middle + half].map(
    (rank) => Math.round(quantile(ratios, rank) * 1000) / 1000,
  );
  return { name, nsPerRequest: Math.round(quantile(ns, middle)), ratio, low, high };
});
report(args.out, 'bin/node bench/micro/request.ts', {
  work: args.work,
  rounds: base.ns.length,
  requests: REQUESTS,
  results,
});

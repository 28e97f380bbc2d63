// What building a Maglev table costs, what a pick costs by each picker, and the paper's two figures measured on our
// tables.
//   bin/node bench/micro/maglev.ts [ROUNDS]

import { LeastRequest } from '../../src/proxy/upstream/pick/least-request.ts';
import { buildTable, Maglev, type MaglevTable, tableSize } from '../../src/proxy/upstream/pick/maglev.ts';
import { type Picker, splitPicker } from '../../src/proxy/upstream/pick/picker.ts';
import { type Case, report, runPaired } from './paired.ts';

const rounds = Number(process.argv[2] ?? 30);
const SIZES = [3, 10, 50, 100, 655, 1000];

const idsOf = (n: number): string[] => Array.from({ length: n }, (_, i) => `default/pod-${i}`);
const onesOf = (n: number): number[] => new Array<number>(n).fill(1);

function build(n: number, entries: number): Case {
  const ids = idsOf(n);
  const ones = onesOf(n);
  return {
    name: `build, ${n} backends, ${entries} entries`,
    run: (operations) => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += buildTable(ids, ones, entries)[0] as number;
      return sum;
    },
  };
}

function pick(name: string, picker: Picker): Case {
  return {
    name: `pick, ${name}`,
    run: (operations) => {
      let sum = 0;
      let hash = 1;
      for (let i = 0; i < operations; i++) {
        hash = (Math.imul(hash, 1_664_525) + 1_013_904_223) >>> 0;
        sum += picker.pick(hash);
      }
      return sum;
    },
  };
}

/**
 * Largest share against the mean, smallest likewise, and the part of the others' entries that moves when one backend
 * goes.
 */
function figures(n: number): object {
  const entries = tableSize(n, 'auto');
  const ids = idsOf(n);
  const table = buildTable(ids, onesOf(n), entries);
  const counts = new Array<number>(n).fill(0);
  for (const rank of table) counts[rank] = (counts[rank] as number) + 1;
  const mean = entries / n;
  const samples = Math.min(n, 20);
  let sum = 0;
  let worst = 0;
  for (let k = 0; k < samples; k++) {
    const share = movedWithout(table, ids, Math.floor((k * n) / samples));
    sum += share;
    worst = Math.max(worst, share);
  }
  const percent = (value: number): number => Math.round(value * 10_000) / 100;
  return {
    backends: n,
    entries,
    largestShare: Math.round((Math.max(...counts) / mean) * 10_000) / 10_000,
    smallestShare: Math.round((Math.min(...counts) / mean) * 10_000) / 10_000,
    movedOfOthersMeanPercent: percent(sum / samples),
    movedOfOthersWorstPercent: percent(worst),
  };
}

function movedWithout(table: MaglevTable, ids: readonly string[], gone: number): number {
  const left = ids.filter((_, i) => i !== gone);
  if (left.length === 0) return 0;
  const after = buildTable(left, onesOf(left.length), table.length);
  let moved = 0;
  table.forEach((rank, entry) => {
    if (rank !== gone && ids[rank] !== left[after[entry] as number]) moved++;
  });
  return moved / table.length;
}

const cases: Case[] = SIZES.map((n) => build(n, tableSize(n, 'auto')));
cases.push(build(3, 65_537), build(100, 65_537));
const hundred = Int32Array.from({ length: 100 }, (_, i) => i);
let state = 1;
const random = {
  random32: (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  },
};
cases.push(pick('maglev, 100 backends', new Maglev(hundred, idsOf(100), onesOf(100), 'auto')));
cases.push(pick('round robin, 100 endpoints', splitPicker(onesOf(100))));
cases.push(pick('least request, 100 endpoints', new LeastRequest(hundred, onesOf(100), new Int32Array(100), random)));
cases.push(pick('split 90:10', splitPicker([90, 10])));
cases.push(pick('split of 16 weights', splitPicker(Array.from({ length: 16 }, (_, i) => i + 1))));
const results = runPaired(cases, rounds, 20);
report('maglev', `bin/node bench/micro/maglev.ts ${rounds}`, { rounds, figures: SIZES.map(figures), results });

// Micro-benchmarks by paired, interleaved rounds: machines drift by tens of percent, so that only ratios of
// neighbouring rounds are believed. In each round every case runs once; a case's ratio to the base is taken within the
// round.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';

export interface Case {
  readonly name: string;
  /** Name of the case that this one is compared with. */
  readonly base?: string;
  /** Does `operations` operations and returns something that depends on their results. */
  run(operations: number): number;
}

export interface Result {
  readonly name: string;
  /** Median over the rounds. */
  readonly nsPerOperation: number;
  /**
   * Median of the ratio to the base, and the half width of its 95 % interval (by the order statistics of the rounds).
   */
  readonly ratio?: number;
  readonly ratioLow?: number;
  readonly ratioHigh?: number;
}

/** Runs the cases in `rounds` interleaved rounds of about `ms` milliseconds each. */
export function runPaired(cases: readonly Case[], rounds: number, ms: number): Result[] {
  let sink = 0;
  const operations = cases.map((c) => {
    let n = 1000;
    for (;;) {
      const began = cpuNs();
      sink += c.run(n);
      const took = (cpuNs() - began) / 1e6;
      if (took > ms / 2) return Math.max(1, Math.round((n * ms) / took));
      n *= 2;
    }
  });
  const times: number[][] = cases.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let k = 0; k < cases.length; k++) {
      // Another first case in each round, so that no case always follows the same one.
      const i = (k + round) % cases.length;
      const n = operations[i] as number;
      const began = cpuNs();
      sink += (cases[i] as Case).run(n);
      (times[i] as number[]).push((cpuNs() - began) / n);
    }
  }
  if (Number.isNaN(sink)) throw new Error('a case returned NaN');
  return cases.map((c, i) => {
    const mine = times[i] as number[];
    const result = { name: c.name, nsPerOperation: round2(quantile(mine, 0.5)) };
    if (c.base === undefined) return result;
    const base = times[cases.findIndex((o) => o.name === c.base)] as number[];
    const ratios = mine.map((t, r) => t / (base[r] as number)).sort((a, b) => a - b);
    // Order statistics around the median: ranks n/2 -+ 0.98 sqrt(n) hold it with 95 %.
    const half = 0.98 * Math.sqrt(ratios.length);
    const at = (rank: number): number => ratios[Math.max(0, Math.min(ratios.length - 1, Math.round(rank)))] as number;
    return {
      ...result,
      ratio: round2(quantile(ratios, 0.5)),
      ratioLow: round2(at(ratios.length / 2 - half - 1)),
      ratioHigh: round2(at(ratios.length / 2 + half)),
    };
  });
}

function cpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] as number;
}

function round2(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Writes bench/results/micro-<name>.json with machine and command. */
export function report(name: string, command: string, body: object): void {
  const machine = {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    arch: process.arch,
  };
  const folder = new URL('../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const text = JSON.stringify(
    { name, command, date: new Date().toISOString().slice(0, 10), machine, ...body },
    null,
    2,
  );
  writeFileSync(new URL(`micro-${name}.json`, folder), `${text}\n`);
  process.stdout.write(`${text}\n`);
}

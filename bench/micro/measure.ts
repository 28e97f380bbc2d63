// Measuring of small things: every case is warmed up, then the cases take turns for some rounds, and each yields a JSON
// line.

export interface Case {
  readonly name: string;
  /** Does the work n times; returns something that depends on all of it, so that nothing is optimised away. */
  run(n: number): number;
}

/** Prints {bench, case, ns, least, most, rounds} for each case; `ns` is the median over the rounds. */
export function measure(bench: string, rounds: number, cases: readonly Case[]): void {
  const sizes = cases.map((entry) => {
    for (let i = 0; i < 200; i++) sink += entry.run(200);
    // As many as fill about half a millisecond: most batches then run without losing the core to somebody else.
    const ns = Math.max(1, Math.min(time(entry, 1_000), time(entry, 1_000)));
    return Math.max(10, Math.round(0.5e6 / ns));
  });
  const results: number[][] = cases.map(() => []);
  for (let round = 0; round < rounds; round++) {
    cases.forEach((entry, k) => {
      results[k]?.push(time(entry, sizes[k] as number));
    });
  }
  cases.forEach((entry, k) => {
    const sorted = (results[k] as number[]).sort((a, b) => a - b);
    const line = {
      bench,
      case: entry.name,
      ns: round1(sorted[sorted.length >> 1] as number),
      least: round1(sorted[0] as number),
      most: round1(sorted[sorted.length - 1] as number),
      rounds,
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  });
  if (Number.isNaN(sink)) throw new Error('a case returned no number');
}

let sink = 0;

function time(entry: Case, n: number): number {
  const start = process.hrtime.bigint();
  sink += entry.run(n);
  return Number(process.hrtime.bigint() - start) / n;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

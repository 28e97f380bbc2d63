// Paired ratios: in each round every proxy does the same work, one after another; what counts is the ratio within a
// round.

/** Student's t for 95 %, two-sided, by degrees of freedom 1..29. */
const T95 = [
  12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045,
];

export interface Ratio {
  /** Geometric mean over rounds. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** Half the width of the 95 % interval, relative. */
  readonly half: number;
  readonly rounds: number;
}

/** The ratio a/b per round, with its 95 % interval (t on the logarithms). */
export function ratio(a: readonly number[], b: readonly number[]): Ratio {
  const logs = a.map((x, i) => Math.log(x / (b[i] as number))).filter(Number.isFinite);
  const n = logs.length;
  const mean = logs.reduce((s, x) => s + x, 0) / n;
  const variance = logs.reduce((s, x) => s + (x - mean) ** 2, 0) / Math.max(1, n - 1);
  const half =
    n < 2
      ? Number.POSITIVE_INFINITY
      : ((T95[Math.min(n - 2, T95.length - 1)] as number) * Math.sqrt(variance)) / Math.sqrt(n);
  return {
    mean: Math.exp(mean),
    low: Math.exp(mean - half),
    high: Math.exp(mean + half),
    half: Math.exp(half) - 1,
    rounds: n,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

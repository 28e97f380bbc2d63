// Gateway API durations (GEP-2257): `^([0-9]{1,5}(h|m|s|ms)){1,4}$`.

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const WHOLE = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;

/** Milliseconds; NaN when it is no duration. */
export function durationMs(text: string): number {
  if (!WHOLE.test(text)) return Number.NaN;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(h|ms|m|s)/g))
    total += Number(count) * (UNIT_MS[unit as string] as number);
  return total;
}

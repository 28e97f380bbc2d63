// Durations of the Gateway API (GEP-2257): up to four numbers of up to five digits, each with its unit.

const DURATION = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;
const PART = /([0-9]{1,5})(h|ms|m|s)/g;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** Milliseconds, or null when `value` is no duration. */
export function durationMs(value: unknown): number | null {
  if (typeof value !== 'string' || !DURATION.test(value)) return null;
  let ms = 0;
  for (const [, digits, unit] of value.matchAll(PART)) ms += Number(digits) * (UNIT_MS[unit as string] as number);
  return ms;
}

// How long to wait before the next try: growing with each failure in a row, never the same for two of us.

import { LIMITS } from '../../base/limits.ts';

/** Milliseconds after the `failures`th failure in a row (1 is the first); `random` is in [0, 1). */
export function backoffMs(failures: number, random: number): number {
  const most = Math.min(
    LIMITS.KUBERNETES_RETRY_MAX_MS,
    LIMITS.KUBERNETES_RETRY_MIN_MS * 2 ** Math.min(failures - 1, 16),
  );
  return most / 2 + (random * most) / 2;
}

// When a dead process is replaced: at once, then later and later while it keeps dying; many deaths in a short time are
// a storm.

import { LIMITS } from '../base/limits.ts';

export class Backoff {
  #deaths: number[] = [];
  #failures = 0;
  #startedMs = 0;

  /** Deaths in a row, each soon after its start. */
  get failures(): number {
    return this.#failures;
  }

  /** The process was started. */
  started(nowMs: number): void {
    this.#startedMs = nowMs;
  }

  /** The process died, or could not be started; milliseconds to wait before the next start. */
  died(nowMs: number): number {
    if (nowMs - this.#startedMs >= LIMITS.RESTART_STABLE_MS) this.#failures = 0;
    // One that dies without a word of its start did not live since the one before.
    this.#startedMs = nowMs;
    this.#deaths = this.#deaths.filter((at) => nowMs - at < LIMITS.STORM_WINDOW_MS);
    this.#deaths.push(nowMs);
    const wait =
      this.#failures === 0 ? 0 : Math.min(LIMITS.RESTART_MAX_MS, LIMITS.RESTART_MIN_MS * 2 ** (this.#failures - 1));
    this.#failures++;
    return wait;
  }

  /** Deaths within the window at `nowMs`. */
  recent(nowMs: number): number {
    return this.#deaths.filter((at) => nowMs - at < LIMITS.STORM_WINDOW_MS).length;
  }

  storm(nowMs: number): boolean {
    return this.recent(nowMs) >= LIMITS.STORM_DEATHS;
  }
}

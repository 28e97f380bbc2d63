// Closes a revision: changes are gathered until nothing came for a few milliseconds, and never longer than a limit, so
// that one rollout is one revision and a steady churn still gets through. One that comes alone after a quiet is not
// held up for company that it does not have.

import type { ObjectKey } from '../api/object.ts';
import { LIMITS } from '../base/limits.ts';
import type { Timers } from '../base/timers.ts';
import type { Changes } from './world.ts';

export class Batch {
  readonly #timers: Timers;
  /** Monotonic ms. */
  readonly #now: () => number;
  readonly #onRevision: (changes: Changes) => void;
  #keys = new Set<ObjectKey>();
  #cancelQuiet: (() => void) | null = null;
  #cancelMax: (() => void) | null = null;
  /** When the last revision closed. */
  #closedMs = Number.NEGATIVE_INFINITY;

  constructor(timers: Timers, now: () => number, onRevision: (changes: Changes) => void) {
    this.#timers = timers;
    this.#now = now;
    this.#onRevision = onRevision;
  }

  add(keys: Iterable<ObjectKey>): void {
    const before = this.#keys.size;
    let some = false;
    for (const key of keys) {
      some = true;
      this.#keys.add(key);
    }
    if (!some) return;
    // Not at once: kinds come by connections of their own, and what was written a moment before may be about to come.
    // Who comes later than QUIET behind a revision would have been too late for it anyhow.
    const alone = before === 0 && this.#now() - this.#closedMs >= LIMITS.REVISION_QUIET_MS;
    if (before === 0) this.#cancelMax = this.#timers.after(LIMITS.REVISION_MAX_MS, () => this.flush());
    this.#cancelQuiet?.();
    const quietMs = alone ? LIMITS.REVISION_ALONE_MS : LIMITS.REVISION_QUIET_MS;
    this.#cancelQuiet = this.#timers.after(quietMs, () => this.flush());
  }

  /** Closes the revision now, if it holds anything. */
  flush(): void {
    this.stop();
    if (this.#keys.size === 0) return;
    const keys = this.#keys;
    this.#keys = new Set();
    this.#onRevision({ keys });
    this.#closedMs = this.#now();
  }

  /** Cancels what is pending without closing it. */
  stop(): void {
    this.#cancelQuiet?.();
    this.#cancelMax?.();
    this.#cancelQuiet = null;
    this.#cancelMax = null;
  }
}

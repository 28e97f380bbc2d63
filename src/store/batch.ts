// Closes a revision: changes are gathered until nothing came for a few milliseconds, and never longer than a limit, so
// that one rollout is one revision and a steady churn still gets through.

import type { ObjectKey } from '../api/object.ts';
import { LIMITS } from '../base/limits.ts';
import type { Timers } from '../base/timers.ts';
import type { Changes } from './world.ts';

export class Batch {
  readonly #timers: Timers;
  readonly #onRevision: (changes: Changes) => void;
  #keys = new Set<ObjectKey>();
  #cancelQuiet: (() => void) | null = null;
  #cancelMax: (() => void) | null = null;

  constructor(timers: Timers, onRevision: (changes: Changes) => void) {
    this.#timers = timers;
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
    if (before === 0) this.#cancelMax = this.#timers.after(LIMITS.REVISION_MAX_MS, () => this.flush());
    this.#cancelQuiet?.();
    this.#cancelQuiet = this.#timers.after(LIMITS.REVISION_QUIET_MS, () => this.flush());
  }

  /** Closes the revision now, if it holds anything. */
  flush(): void {
    this.stop();
    if (this.#keys.size === 0) return;
    const keys = this.#keys;
    this.#keys = new Set();
    this.#onRevision({ keys });
  }

  /** Cancels what is pending without closing it. */
  stop(): void {
    this.#cancelQuiet?.();
    this.#cancelMax?.();
    this.#cancelQuiet = null;
    this.#cancelMax = null;
  }
}

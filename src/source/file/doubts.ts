// What is believed only when it is still so a little later: that a file is gone (it may be on its way to another name,
// or the first of all to go), that a path cannot be read (it may be just being replaced).

import type { Timers } from '../../base/timers.ts';

/** Time for the rest of a change to come: removing a large folder file by file takes that long. */
const DOUBT_MS = 200;

export class Doubts {
  readonly #timers: Timers;
  readonly #again: (path: string) => void;
  /** How the wait is cancelled; null once it is time to believe. */
  readonly #open = new Map<string, (() => void) | null>();

  /** `again`: the path is to be looked at once more. */
  constructor(timers: Timers, again: (path: string) => void) {
    this.#timers = timers;
    this.#again = again;
  }

  /** Whether it was already so when it was looked at before; the first time says no and asks for another look. */
  believed(path: string): boolean {
    const cancel = this.#open.get(path);
    if (cancel === null) {
      this.#open.delete(path);
      return true;
    }
    if (cancel === undefined) {
      const later = (): void => {
        this.#open.set(path, null);
        this.#again(path);
      };
      this.#open.set(path, this.#timers.after(DOUBT_MS, later));
    }
    return false;
  }

  /** It is not so. */
  clear(path: string): void {
    this.#open.get(path)?.();
    this.#open.delete(path);
  }

  /** Ends all waiting: what is still so at the next look is believed. Returns the paths. */
  hurry(): string[] {
    for (const [path, cancel] of this.#open) {
      cancel?.();
      this.#open.set(path, null);
    }
    return [...this.#open.keys()];
  }

  stop(): void {
    for (const cancel of this.#open.values()) cancel?.();
    this.#open.clear();
  }
}

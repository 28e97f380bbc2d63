// Something that takes its time and is asked for often: done at once, then, however often it is asked for, once more
// after a pause.

import type { Timers } from './timers.ts';

export class Seldom {
  readonly #timers: Timers;
  readonly #ms: number;
  readonly #fire: () => void;
  #resting = false;
  #again = false;

  constructor(timers: Timers, ms: number, fire: () => void) {
    this.#timers = timers;
    this.#ms = ms;
    this.#fire = fire;
  }

  /** What was asked for is done now, if it is not yet: somebody looks at what comes of it. */
  settle(): void {
    if (!this.#again) return;
    this.#again = false;
    this.#fire();
  }

  ask(): void {
    if (this.#resting) {
      this.#again = true;
      return;
    }
    this.#resting = true;
    this.#again = false;
    this.#fire();
    this.#timers.after(this.#ms, () => {
      this.#resting = false;
      if (this.#again) this.ask();
    });
  }
}

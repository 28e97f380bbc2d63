// How fast and how many at once the API server is asked.

import type { Timers } from '../../base/timers.ts';

/** Milliseconds that never go back. */
export type Clock = () => number;

/** `rate` a second, `burst` at once; who comes later waits in order. */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  readonly #now: Clock;
  readonly #timers: Timers;
  #tokens: number;
  #at: number;

  constructor(rate: number, burst: number, now: Clock, timers: Timers) {
    this.#rate = rate;
    this.#burst = burst;
    this.#now = now;
    this.#timers = timers;
    this.#tokens = burst;
    this.#at = now();
  }

  /** Milliseconds until the token that is taken hereby may be used. */
  reserve(): number {
    const now = this.#now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#rate) * 1000;
  }

  /** Resolves when it is this caller's turn. */
  take(): Promise<void> {
    const ms = this.reserve();
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => void this.#timers.after(ms, resolve));
  }
}

/** So many at once; the others wait in the order they came. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

// Connections of clients that have sent more than their share of a turn. They go on in the order in which they had it,
// each by a share of what a turn has for all of them: however many there are and whatever they send, somebody else
// waits for no more than that.

import { LIMITS } from '../../base/limits.ts';
import { type Io, READABLE, type ReadySink } from '../../io/io.ts';

export interface Backlogged {
  /** It may cause so much work (LIMITS.WORK_PER_TURN) in this turn. Returns how much it did. */
  goOn(work: number): number;
}

export class Backlog implements ReadySink {
  readonly #io: Io;
  /** Those before #next had their turn. */
  #waiting: Backlogged[] = [];
  #next = 0;
  #asked = false;

  constructor(io: Io) {
    this.#io = io;
  }

  add(one: Backlogged): void {
    this.#waiting.push(one);
    this.#ask();
  }

  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#io.again(this, READABLE);
  }

  onReady(): void {
    this.#asked = false;
    const waiting = this.#waiting;
    const end = waiting.length;
    let left: number = LIMITS.WORK_OF_BACKLOG;
    const share = shareOf(left / (end - this.#next));
    while (this.#next < end && left > 0) {
      const one = waiting[this.#next++] as Backlogged;
      left -= one.goOn(share);
    }
    // Those who have more to say stand behind.
    this.#waiting = waiting.slice(this.#next);
    this.#next = 0;
    if (this.#waiting.length > 0) this.#ask();
  }
}

/** What one connection may cause of work when there is so much for it. */
export function shareOf(work: number): number {
  return Math.min(LIMITS.WORK_PER_TURN, Math.max(LIMITS.WORK_LEAST, Math.floor(work)));
}

// Decisions: whoever else has a say in whether a request goes on, and may take its time (external authorisation, limits
// that are kept elsewhere, plugins). Steps of a rule's chain; a rule without any pays nothing.

import type { Head } from '../head.ts';
import type { Answer } from './answer.ts';

export interface Decision {
  /** Asks about the request in `head`, which stays as it is until `asked` is told, in this call or later. */
  ask(asked: Asked, head: Head): void;
}

/** Who waits for the verdict. */
export interface Asker {
  /** Null: it goes on. mem[start..end): further field lines of the answer. */
  onDecided(answer: Answer | null, start: number, end: number): void;
}

/** One question. A verdict that comes too late, or a second one, is nobody's. */
export class Asked {
  #asker: Asker | null;
  /** Called when the exchange ended before there was a verdict. */
  onGone: (() => void) | null = null;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  goOn(): void {
    this.#decided(null, 0, 0);
  }

  /** The request is answered instead, with further field lines mem[start..end) (none when start is end). */
  answer(answer: Answer, start: number, end: number): void {
    this.#decided(answer, start, end);
  }

  #decided(answer: Answer | null, start: number, end: number): void {
    const asker = this.#asker;
    this.#asker = null;
    asker?.onDecided(answer, start, end);
  }

  /** The exchange is over. */
  gone(): void {
    this.#asker = null;
    this.onGone?.();
  }
}

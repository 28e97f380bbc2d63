// Decisions: whoever else has a say in whether a request goes on, and may take its time (external authorization, limits
// that are kept elsewhere, plugins). Steps of a rule's chain; a rule without any pays nothing.

import type { Fault } from '../../base/errors.ts';
import type { Head } from '../head.ts';
import type { Amendments } from './amend.ts';
import type { Answer } from './answer.ts';
import type { Downstream } from './sides.ts';

/** What besides its head is known of a request that is asked about; valid during the call. */
export interface About {
  readonly down: Downstream;
  /** Its client's address, as it is believed: ASCII without port. */
  readonly client: Uint8Array;
  /** What it says of its client is believed. */
  readonly trusted: boolean;
  /** Where its UUID stands. */
  readonly uuidAt: number;
  /** Its content, all of it, where the decision wants that: mem[contentStart..contentEnd). */
  readonly contentStart: number;
  readonly contentEnd: number;
}

export interface Decision {
  /** It never decides at once, so that the head is kept before it is asked. */
  readonly waits: boolean;
  /** It wants to see the content, of so many bytes at most (larger ones are answered 413); 0: it does not. */
  readonly contentBytes: number;
  /** Asks about the request in `head`, which stays as it is until `asked` is told, in this call or later. */
  ask(asked: Asked, head: Head, about: About): void;
}

/** What log lines say of a decision; '' for nothing. */
export type Said = '' | 'allowed' | 'denied' | 'failed';

/** Who waits for the verdict. */
export interface Asker {
  /** Null: it goes on, as `asked` amends it. mem[start..end): further field lines of the answer. */
  onDecided(answer: Answer | null, start: number, end: number, asked: Asked): void;
  /** It is answered as this fault is. */
  onRefused(fault: Fault, asked: Asked): void;
}

/** One question. A verdict that comes too late, or a second one, is nobody's. */
export class Asked {
  #asker: Asker | null;
  /** Called when the exchange ended before there was a verdict. */
  onGone: (() => void) | null = null;
  said: Said = '';
  amendments: Amendments | null = null;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  goOn(amendments: Amendments | null = null): void {
    this.amendments = amendments;
    this.#decided(null, 0, 0);
  }

  /** The request is answered instead, with further field lines mem[start..end) (none when start is end). */
  answer(answer: Answer, start: number, end: number): void {
    this.#decided(answer, start, end);
  }

  refuse(fault: Fault): void {
    const asker = this.#asker;
    this.#asker = null;
    asker?.onRefused(fault, this);
  }

  #decided(answer: Answer | null, start: number, end: number): void {
    const asker = this.#asker;
    this.#asker = null;
    asker?.onDecided(answer, start, end, this);
  }

  /** The exchange is over. */
  gone(): void {
    this.#asker = null;
    this.onGone?.();
  }
}

// Tables of heads that outlive the call in which they came: requests that wait for a decision.

import { LIMITS } from '../base/limits.ts';
import { Head } from './head.ts';

export class KeptHeads {
  readonly #free: Head[] = [];
  #used = 0;

  /** Null when too many are in use. */
  take(): Head | null {
    if (this.#used === LIMITS.DECISIONS_PENDING) return null;
    this.#used++;
    return this.#free.pop() ?? new Head();
  }

  give(head: Head): void {
    this.#used--;
    this.#free.push(head);
  }
}

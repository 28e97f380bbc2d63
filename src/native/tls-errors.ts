// The thread's queue of OpenSSL's errors, which node:crypto shares: what explains a call of ours that failed is in it
// only if it was empty before.

import { clearErrors } from './openssl.ts';

export class ErrorQueue {
  readonly #io: { readonly turns: number };
  /** The turn in which it was emptied; -1 when that was in none, or something may have been put into it since. */
  #emptiedIn = -1;

  /** `turns`: as NativeIo counts them. */
  constructor(io: { readonly turns: number }) {
    this.#io = io;
  }

  /** In front of calls that may leave something in it also where they do not fail. */
  clear(): void {
    this.#emptiedIn = -1;
    clearErrors();
  }

  /**
   * In front of the calls that a request makes: once a turn is enough, for where they do not fail they leave nothing,
   * where they do `clear` follows, and nobody else calls OpenSSL within a turn. Between turns others do.
   */
  clearOnce(): void {
    const { turns } = this.#io;
    if (turns === this.#emptiedIn) return;
    this.#emptiedIn = (turns & 1) === 1 ? turns : -1;
    clearErrors();
  }
}

// Memory given back. A large revision leaves tens of megabytes of garbage in every process it passes through, in V8's
// heap and in the C library's, and both keep what they once had: V8 collects when it allocates, and after a
// configuration is loaded nothing is allocated for hours; free(3) returns pages only at the very top of a heap. So once
// a large revision is followed by quiet, garbage is collected and free pages are returned. Free pages of the C
// library's heaps come about without a revision, too: whatever V8's threads compile or mark needs some, and many small
// changes leave as many as one large one. To return those stops a process for a millisecond, so it is done again and
// again.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LIMITS } from '../base/limits.ts';
import { trimAllocator } from '../native/index.ts';

/** For one process. Collecting stops it for 100 to 150 ms at 10,000 routes (keeper: 40). */
export class GiveBack {
  readonly #mayStop: () => boolean;
  readonly #trim: () => void;
  #timer: NodeJS.Timeout | null = null;
  /** Since garbage was last collected. */
  #entries = 0;

  /**
   * `mayStop`: whether nobody waits for this process now. While somebody does, collecting is put off. `trim` returns
   * pages.
   */
  constructor(mayStop: () => boolean = () => true, trim: () => void = trimAllocator) {
    this.#mayStop = mayStop;
    this.#trim = trim;
    setInterval(trim, LIMITS.GIVE_BACK_PAGES_MS).unref();
  }

  /** A revision of `entries` went through. Many small ones leave what one large one does. */
  revised(entries: number): void {
    this.#entries += entries;
    if (this.#entries < LIMITS.LARGE_REVISION_ENTRIES && this.#timer === null) return;
    this.#wait(LIMITS.GIVE_BACK_QUIET_MS);
  }

  #wait(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#giveBack(), ms);
    this.#timer.unref();
  }

  #giveBack(): void {
    this.#timer = null;
    const free = this.#mayStop();
    if (free) {
      collectGarbage();
      this.#entries = 0;
    }
    this.#trim();
    if (!free) this.#wait(LIMITS.GIVE_BACK_RETRY_MS);
  }
}

/**
 * A full collection that goes on until nothing more is found, and returns the pages: a plain one leaves a tenth more.
 * The function is there only while V8 is told to offer it; a context made meanwhile has it. The flag goes at once,
 * since flags are part of what makes cached code usable.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: { type: string; execution: string; flavor: string }) => void;
  setFlagsFromString('--no-expose-gc');
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

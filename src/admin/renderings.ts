// Answers on their way to readers. A page is one block of bytes, shared by all who are reading it; what all of them
// together hold is bounded, so that readers who do not read cost a fixed amount of memory.

import { LIMITS } from '../base/limits.ts';
import type { Answer } from './pages.ts';

export interface Rendering {
  readonly status: number;
  readonly type: string;
  readonly bytes: Buffer;
  readonly madeMs: number;
  /** How many are still reading it. */
  readers: number;
}

export class Renderings {
  /** By what was asked for, while somebody reads them. */
  readonly #shared = new Map<string, Rendering>();
  #held = 0;

  /** Bytes that readers have not taken yet. */
  get held(): number {
    return this.#held;
  }

  /**
   * The answer to `key` for one more reader, who gives it back by `release`: one that somebody else is still reading if
   * it is younger than ADMIN_SHARED_MS, else what `make` says. null: ADMIN_BUFFER_BYTES are held. A small answer is
   * always given (a probe's must be), and one larger than the limit when nobody else reads.
   */
  take(key: string, nowMs: number, make: () => Answer): Rendering | null {
    const shared = this.#shared.get(key);
    if (shared !== undefined && nowMs - shared.madeMs < LIMITS.ADMIN_SHARED_MS) {
      shared.readers++;
      return shared;
    }
    const { status, type, body } = make();
    const bytes = Buffer.from(body);
    const full = this.#held > 0 && this.#held + bytes.length > LIMITS.ADMIN_BUFFER_BYTES;
    if (full && bytes.length > LIMITS.ADMIN_SMALL_BYTES) return null;
    const made = { status, type, bytes, madeMs: nowMs, readers: 1 };
    this.#held += bytes.length;
    this.#shared.set(key, made);
    return made;
  }

  release(key: string, rendering: Rendering): void {
    if (--rendering.readers > 0) return;
    this.#held -= rendering.bytes.length;
    if (this.#shared.get(key) === rendering) this.#shared.delete(key);
  }
}

// The content of a request that is held whole, with its trailers, because somebody wants to see it before the request
// goes on.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Io } from '../../io/io.ts';

/** Grown by doubling from here. */
const FIRST_BYTES = 4 * 1024;

export class Collected {
  readonly #io: Io;
  readonly #most: number;
  #at = -1;
  #room = 0;
  #bytes = 0;
  #trailers = 0;
  /** There is more of it than may be held; or there is no memory for it. */
  tooLarge = false;
  exhausted = false;

  /** At most `most` bytes of content. */
  constructor(io: Io, most: number) {
    this.#io = io;
    this.#most = most;
  }

  /** [start, end) is the content, [end, trailersEnd) the trailer section as it came. */
  get start(): number {
    return Math.max(0, this.#at);
  }
  get end(): number {
    return this.start + this.#bytes;
  }
  get trailersEnd(): number {
    return this.end + this.#trailers;
  }

  /** Keeps mem[start..end), unless that is too much. */
  add(start: number, end: number): void {
    if (this.#bytes + end - start > this.#most) this.tooLarge = true;
    if (this.tooLarge || this.exhausted || start === end) return;
    if (!this.#grow(this.#bytes + end - start)) return;
    move(this.#io.mem, this.end, start, end);
    this.#bytes += end - start;
  }

  /** Keeps the trailer section. */
  addTrailers(start: number, end: number): void {
    if (start === end || this.tooLarge || !this.#grow(this.#bytes + end - start)) return;
    move(this.#io.mem, this.end, start, end);
    this.#trailers = end - start;
  }

  #grow(bytes: number): boolean {
    if (bytes <= this.#room) return true;
    const io = this.#io;
    const room = Math.max(bytes, Math.min(Math.max(FIRST_BYTES, 2 * this.#room), this.#most));
    const at = room > this.#most + LIMITS.TRAILER_BYTES ? -1 : io.alloc(room);
    if (at < 0) {
      this.exhausted = true;
      return false;
    }
    if (this.#at >= 0) {
      move(io.mem, at, this.#at, this.#at + this.#bytes);
      io.free(this.#at);
    }
    this.#at = at;
    this.#room = room;
    return true;
  }

  free(): void {
    if (this.#at >= 0) this.#io.free(this.#at);
    this.#at = -1;
    this.#room = this.#bytes = this.#trailers = 0;
  }
}

// What a codec has not used yet of the bytes it was shown: kept in a block of its own until more comes, or until it
// goes on reading. Most connections never have any: what is used at once stays in the block that all reads share.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Io } from '../../io/io.ts';

/** Kept bytes never need more: a head as large as allowed, or one read that has to wait. */
const LARGEST = Math.max(LIMITS.HEAD_BYTES, LIMITS.READ_BYTES);
const SMALLEST = 2048;

export class InputBuffer {
  readonly #io: Io;
  /** -1: nothing is kept. */
  #block = -1;
  #size = 0;
  /** The kept bytes are mem[start, end). */
  start = 0;
  end = 0;

  constructor(io: Io) {
    this.#io = io;
  }

  get held(): boolean {
    return this.#block !== -1;
  }

  /** How many bytes may be read to mem[end..]. */
  get room(): number {
    return this.#block + this.#size - this.end;
  }

  /** Copies mem[start..end) here, where nothing is kept; false when the arena is exhausted. */
  keep(start: number, end: number): boolean {
    const io = this.#io;
    const block = io.alloc(Math.max(SMALLEST, end - start));
    if (block < 0) return false;
    this.#block = block;
    this.#size = io.sizeOf(block);
    this.start = block;
    this.end = move(io.mem, block, start, end);
    return true;
  }

  /** Makes room behind what is kept, as much as its size asks for; false when the arena is exhausted. */
  makeRoom(): boolean {
    const io = this.#io;
    const size = this.#size;
    const used = this.end - this.start;
    if (this.room >= size >> 2) return true;
    if (this.start > this.#block) {
      move(io.mem, this.#block, this.start, this.end);
      this.start = this.#block;
      this.end = this.#block + used;
      if (size - used >= size >> 2) return true;
    }
    if (size >= LARGEST) return true;
    const block = io.alloc(Math.min(size * 4, LARGEST));
    if (block < 0) return false;
    move(io.mem, block, this.start, this.end);
    io.free(this.#block);
    this.#block = block;
    this.#size = io.sizeOf(block);
    this.start = block;
    this.end = block + used;
    return true;
  }

  drop(): void {
    if (this.#block === -1) return;
    this.#io.free(this.#block);
    this.#block = -1;
  }
}

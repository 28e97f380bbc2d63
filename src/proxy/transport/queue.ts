// Bytes that a socket did not take yet: a bounded queue of chunks. A chunk is a range of the arena that the queue owns,
// or what waits in a pipe; that one is the first, as a pipe is filled only for a queue that is empty.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import { ERRNO, type Handle, type Io, NO_HANDLE } from '../../io/io.ts';
import type { PipePool } from './pipes.ts';
import type { Wire } from './wire.ts';

const SMALLEST = 4096;
/** Blocks are not larger, so that one with a little left in it holds little. */
const LARGEST = 64 * 1024;

export class ChunkQueue {
  readonly #io: Io;
  /** So much it holds at the most. */
  most: number;
  readonly #blocks: number[] = [];
  /** First unsent byte of the first block, first free byte and end of the last. */
  #first = 0;
  #last = 0;
  #lastEnd = 0;
  /** End of what the first block holds, unless it is also the last. */
  readonly #ends: number[] = [];
  bytes = 0;
  /** The pipe, and how much of `bytes` is in it. */
  #pipe: Handle = NO_HANDLE;
  #piped = 0;
  #pipes: PipePool | null = null;

  constructor(io: Io, most: number = LIMITS.FLOW_BYTES) {
    this.#io = io;
    this.most = most;
  }

  /**
   * The `n` bytes in `pipe`, one of `pipes`, to which it goes back when they are gone. Only while the queue is empty.
   */
  pushPipe(pipe: Handle, n: number, pipes: PipePool): void {
    if (this.bytes > 0) throw new Error('bytes in a pipe behind bytes that wait');
    this.#pipe = pipe;
    this.#piped = n;
    this.#pipes = pipes;
    this.bytes = n;
  }

  /**
   * Copies mem[start..end) to the end; false when the limit or the arena is exhausted (the connection is then lost).
   */
  push(start: number, end: number): boolean {
    const mem = this.#io.mem;
    let at = start;
    if (this.bytes + end - start > this.most) return false;
    if (this.#blocks.length > 0 && this.#last < this.#lastEnd) {
      const n = Math.min(this.#lastEnd - this.#last, end - at);
      move(mem, this.#last, at, at + n);
      this.#last += n;
      this.bytes += n;
      at += n;
    }
    while (at < end) {
      const n = Math.min(end - at, LARGEST);
      const block = this.#io.alloc(Math.max(SMALLEST, n));
      if (block < 0) return false;
      if (this.#blocks.length === 0) this.#first = block;
      else this.#ends.push(this.#last);
      this.#blocks.push(block);
      move(mem, block, at, at + n);
      this.#last = block + n;
      this.#lastEnd = block + this.#io.sizeOf(block);
      this.bytes += n;
      at += n;
    }
    return true;
  }

  /** The next bytes to send are mem[front, frontEnd); only while `bytes` > 0. */
  get front(): number {
    return this.#first;
  }
  get frontEnd(): number {
    return this.#ends.length > 0 ? (this.#ends[0] as number) : this.#last;
  }

  /** The first `n` bytes of [front, frontEnd) were sent. */
  took(n: number): void {
    this.#first += n;
    this.bytes -= n;
    if (this.#first < this.frontEnd) return;
    this.#io.free(this.#blocks.shift() as number);
    this.#ends.shift();
    this.#first = this.#blocks[0] ?? 0;
  }

  /** Sends what `wire` takes of it. Returns 0, or the errno of the send that failed. */
  flush(wire: Wire): number {
    while (this.#piped > 0) {
      const n = this.#io.spliceOut(this.#pipe, wire.plain, this.#piped);
      if (n <= 0) return n === -ERRNO.EAGAIN ? 0 : -n;
      this.#piped -= n;
      this.bytes -= n;
      if (this.#piped === 0) this.#pipes?.give(this.#pipe);
    }
    while (this.bytes > 0) {
      const n = wire.send(this.front, this.frontEnd - this.front);
      if (n > 0) this.took(n);
      else return n === -ERRNO.EAGAIN ? 0 : -n;
    }
    return 0;
  }

  clear(): void {
    if (this.#piped > 0) this.#pipes?.discard(this.#pipe);
    this.#piped = 0;
    for (const block of this.#blocks) this.#io.free(block);
    this.#blocks.length = 0;
    this.#ends.length = 0;
    this.bytes = 0;
  }
}

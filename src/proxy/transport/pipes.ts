// The pipes of a worker: each is lent for as long as it has bytes in it, so a few serve many connections.

import { LIMITS } from '../../base/limits.ts';
import { type Handle, type Io, NO_HANDLE } from '../../io/io.ts';

export class PipePool {
  readonly #io: Io;
  readonly #free: Handle[] = [];
  #open = 0;

  constructor(io: Io) {
    this.#io = io;
  }

  /** How many there are, lent or not. */
  get count(): number {
    return this.#open;
  }

  /** An empty pipe, or NO_HANDLE: then bytes are copied. */
  take(): Handle {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#open >= LIMITS.PIPES) return NO_HANDLE;
    const pipe = this.#io.openPipe();
    if (pipe < 0) return NO_HANDLE;
    this.#open++;
    return pipe;
  }

  /** Takes an empty one back. */
  give(pipe: Handle): void {
    this.#free.push(pipe);
  }

  /** Takes back one whose bytes nobody wants any more. */
  discard(pipe: Handle): void {
    this.#io.close(pipe);
    this.#open--;
  }

  dispose(): void {
    for (const pipe of this.#free) this.#io.close(pipe);
    this.#open -= this.#free.length;
    this.#free.length = 0;
  }
}

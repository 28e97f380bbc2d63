// Bytes of one transport that go to another as they are: copied, or within the kernel once they come in large pieces.

import { LIMITS } from '../../base/limits.ts';
import { ERRNO, NO_HANDLE } from '../../io/io.ts';
import type { Shared } from './shared.ts';
import type { Transport } from './transport.ts';
import type { Wire } from './wire.ts';

/**
 * So many times in a row little comes at a time before it is copied again: the end of a large answer is little, too.
 */
const LITTLE_TIMES = 4;

export class Relay {
  readonly #shared: Shared;
  readonly #from: Wire;
  readonly to: Transport;
  /** Bytes that are still to go. */
  left: number;
  /** What comes next goes through a pipe. */
  splices = false;
  /** Both ends are sockets as they are, and pipes were to be had. */
  #spliceable: boolean;
  /** What came through pipes since nothing was left last. */
  #piped = 0;
  /** How often in a row that was less than is worth a pipe. */
  #little = 0;

  constructor(shared: Shared, from: Wire, to: Transport, limit: number) {
    this.#shared = shared;
    this.#from = from;
    this.to = to;
    this.left = limit;
    this.#spliceable = from.plain !== NO_HANDLE && to.wire.plain !== NO_HANDLE;
  }

  /** Passes on what it may of mem[start..end); returns how far that is. */
  pass(start: number, end: number): number {
    const at = start + Math.min(end - start, this.left);
    this.left -= at - start;
    this.to.write(start, at, 0);
    this.to.uncork();
    // A pipe costs three calls where copying costs two: small pieces, as of an interactive session, are copied.
    this.splices = this.#spliceable && at - start >= LIMITS.SPLICE_FROM_BYTES && this.left >= LIMITS.SPLICE_FROM_BYTES;
    return at;
  }

  /** Passes on through a pipe what arrived. As Wire.recv; -ENOBUFS: there is no pipe, it is copied from now on. */
  splice(): number {
    const { io, pipes } = this.#shared;
    const pipe = pipes.take();
    if (pipe === NO_HANDLE) {
      this.#spliceable = false;
      this.splices = false;
      return -ERRNO.ENOBUFS;
    }
    const n = io.spliceIn(this.#from.plain, pipe, Math.min(this.left, LIMITS.PIPE_BYTES));
    if (n <= 0) {
      pipes.give(pipe);
      if (n === -ERRNO.EAGAIN) this.#emptied();
      return n;
    }
    this.#piped += n;
    this.left -= n;
    this.to.writePipe(pipe, n);
    return n;
  }

  /**
   * Nothing is left: a session that was large once and is small now is copied, which costs it a call less each time.
   */
  #emptied(): void {
    this.#little = this.#piped < LIMITS.SPLICE_FROM_BYTES ? this.#little + 1 : 0;
    this.#piped = 0;
    if (this.#little < LITTLE_TIMES) return;
    this.#little = 0;
    this.splices = false;
  }
}

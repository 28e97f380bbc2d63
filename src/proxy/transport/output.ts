// What a connection has to send: gathered in the cork, sent, and queued where the wire does not take it; and the end of
// our direction behind it.

import { LIMITS } from '../../base/limits.ts';
import { BROKEN, ERRNO, type Handle, type ReadySink } from '../../io/io.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { CorkOwner } from './cork.ts';
import { ChunkQueue } from './queue.ts';
import type { Shared } from './shared.ts';
import type { Wire } from './wire.ts';

const ARENA_LIMIT = limitCell('ARENA_BYTES');
const FLOW_LIMIT = limitCell('FLOW_BYTES');

export class Output implements CorkOwner {
  readonly #shared: Shared;
  wire: Wire;
  readonly #downstream: boolean;
  /** Told by the reactor, not in the middle of a write, when sending failed. */
  readonly #owner: ReadySink;
  /** What the wire did not take yet; null until that first happens. */
  queue: ChunkQueue | null = null;
  sentBytes = 0;
  /** Bytes that may wait in the queue. */
  #most: number = LIMITS.FLOW_BYTES;
  /** What was written and will never be sent. */
  #dropped = 0;
  /** errno of the send that failed; nothing is sent any more. */
  failed = 0;
  /** The end of the stream is told by nothing but its closing. */
  guarded = false;
  /** Our direction ends behind what waits. */
  ending = false;
  /** It ends as soon as the wire takes the word for it. */
  concluding = false;

  constructor(shared: Shared, wire: Wire, downstream: boolean, owner: ReadySink) {
    this.#shared = shared;
    this.wire = wire;
    this.#downstream = downstream;
    this.#owner = owner;
  }

  get congested(): boolean {
    return this.queue !== null && this.queue.bytes > 0;
  }

  mayQueue(bytes: number): void {
    this.#most = bytes;
    if (this.queue !== null) this.queue.most = bytes;
  }

  /** Bytes written that the wire has not taken: they wait, or the connection ended before. */
  get unsent(): number {
    return this.#dropped + (this.queue === null ? 0 : this.queue.bytes);
  }

  write(start: number, end: number, free: number): void {
    if (start !== end) this.#shared.cork.write(this, start, end, free);
  }

  reserve(n: number): number {
    return this.#shared.cork.reserve(this, n);
  }

  hold(start: number, end: number): void {
    this.#shared.cork.hold(this, start, end);
  }

  uncork(): void {
    this.#shared.cork.flush(this);
  }

  sendNow(start: number, end: number): void {
    if (this.failed !== 0) {
      this.#dropped += end - start;
      return;
    }
    let at = start;
    if (!this.congested) {
      for (;;) {
        const n = this.wire.send(at, end - at);
        if (n > 0) {
          this.#count(n);
          at += n;
          if (at === end) return;
        } else if (n === -ERRNO.EAGAIN || n === 0) {
          break;
        } else {
          this.#dropped += end - at;
          this.#fail(-n);
          return;
        }
      }
    }
    this.queue ??= new ChunkQueue(this.#shared.io, this.#most);
    if (!this.queue.push(at, end)) {
      this.#shared.cells.add(this.queue.bytes + end - at > this.#most ? FLOW_LIMIT : ARENA_LIMIT, 1);
      this.#dropped += end - at;
      this.#fail(ERRNO.ENOBUFS);
    }
  }

  /** Sends the `n` bytes in `pipe`, which goes back to the pool behind them. Only while nothing waits. */
  writePipe(pipe: Handle, n: number): void {
    const { io, pipes } = this.#shared;
    if (this.failed !== 0) {
      this.#dropped += n;
      pipes.discard(pipe);
      return;
    }
    this.queue ??= new ChunkQueue(io, this.#most);
    this.queue.pushPipe(pipe, n, pipes);
    this.flush();
  }

  /** The wire takes more: true when nothing waits any more. */
  flush(): boolean {
    const queue = this.queue;
    if (queue === null) return true;
    const before = queue.bytes;
    const errno = queue.flush(this.wire);
    this.#count(before - queue.bytes);
    if (errno !== 0) this.#fail(errno);
    if (this.failed !== 0 || queue.bytes > 0) return false;
    if (this.ending) this.conclude();
    return true;
  }

  /** Ends our direction once all that waits is sent. */
  end(): void {
    if (this.ending) return;
    this.uncork();
    this.ending = true;
    if (this.failed === 0 && !this.congested) this.conclude();
  }

  /** Says the end of our direction, behind which nothing waits; if it cannot be said now, when the wire is writable. */
  conclude(): void {
    this.concluding = !this.wire.conclude();
    if (this.concluding) return;
    this.guard(false);
    const result = this.wire.shutdown();
    if (result < 0) this.#fail(-result);
  }

  /** While `on`, the death of the process resets the connection. */
  guard(on: boolean): void {
    if (this.guarded === on) return;
    this.guarded = on;
    this.wire.resetOnExit(on);
  }

  /** Forgets what is gathered, as if it had not been written. */
  discard(): void {
    this.#shared.cork.drop(this);
    this.guard(false);
  }

  /** The wire is closed, or about to be: forgets all that waits. */
  close(): void {
    if (this.failed === 0) this.failed = ERRNO.EBADF;
    this.#dropped += this.#shared.cork.drop(this);
    this.#clear();
  }

  #clear(): void {
    if (this.queue === null) return;
    this.#dropped += this.queue.bytes;
    this.queue.clear();
  }

  #count(sent: number): void {
    this.sentBytes += sent;
    if (this.#downstream) this.#shared.tally.downstreamWritten += sent;
    else this.#shared.tally.upstreamWritten += sent;
  }

  #fail(errno: number): void {
    this.failed = errno;
    this.#clear();
    this.#shared.io.again(this.#owner, BROKEN);
  }
}

// The end of a connection that still has something to send or to drain. RFC 9112 section 9.6: closing a socket with
// unread input makes the kernel send RST, which can destroy the answer on its way; so say FIN, then read and discard
// for a while.

import { LIMITS } from '../../base/limits.ts';
import { BROKEN, ERRNO, PEER_CLOSED, READABLE, WRITABLE } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { ChunkQueue } from './queue.ts';
import type { Ending, Shared } from './shared.ts';
import type { Wire } from './wire.ts';

const LINGER_MS_LIMIT = limitCell('LINGER_MS');
const LINGER_BYTES_LIMIT = limitCell('LINGER_BYTES');
const STALL_LIMIT = limitCell('STREAM_IDLE_MS');

export class Closing implements TimerSink, Ending {
  readonly #shared: Shared;
  readonly #wire: Wire;
  readonly #queue: ChunkQueue | null;
  readonly #linger: boolean;
  /** Closing it would mean RST until this is lifted. */
  readonly #guarded: boolean;
  readonly #downstream: boolean;
  readonly #done: () => void;
  readonly #timer = new Timer(this, 0);
  /** All is sent, the word for the end too. */
  #flushed = false;
  #ended = false;
  #drained = 0;

  constructor(
    shared: Shared,
    wire: Wire,
    queue: ChunkQueue | null,
    linger: boolean,
    guarded: boolean,
    downstream: boolean,
    done: () => void,
  ) {
    this.#shared = shared;
    this.#wire = wire;
    this.#queue = queue;
    this.#linger = linger;
    this.#guarded = guarded;
    this.#downstream = downstream;
    this.#done = done;
  }

  begin(): void {
    const io = this.#shared.io;
    this.#shared.endings.add(this);
    if (this.#queue === null || this.#queue.bytes === 0) this.#sayEnd();
    if (!this.#ended && !this.#flushed) io.timers.arm(this.#timer, io.nowMs, LIMITS.STREAM_IDLE_MS);
    // What is readable already comes as no new edge; and a peer that goes on sending must not fill the kernel
    // meanwhile.
    if (!this.#ended) io.again({ onReady: (events) => this.onReady(events) }, READABLE);
  }

  onReady(events: number): void {
    if (this.#ended) return;
    if ((events & WRITABLE) !== 0 && !this.#flushed) this.#flush();
    if (!this.#ended && this.#flushed && (events & (READABLE | PEER_CLOSED | BROKEN)) !== 0) this.#drain();
    else if (!this.#ended && (events & BROKEN) !== 0) this.#end(true);
  }

  destroy(): void {
    if (!this.#ended) this.#end(true);
  }

  onTimer(): void {
    this.#shared.cells.add(this.#flushed ? LINGER_MS_LIMIT : STALL_LIMIT, 1);
    this.#end(!this.#flushed);
  }

  #flush(): void {
    if (this.#queue !== null && !this.#empties(this.#queue)) return;
    this.#sayEnd();
    if (!this.#ended && this.#flushed) this.#drain();
  }

  /** Sends what waits: whether that was all. */
  #empties(queue: ChunkQueue): boolean {
    const { io, tally } = this.#shared;
    const before = queue.bytes;
    const errno = queue.flush(this.#wire);
    const sent = before - queue.bytes;
    if (this.#downstream) tally.downstreamWritten += sent;
    else tally.upstreamWritten += sent;
    if (errno !== 0) this.#end(true);
    else if (sent > 0) io.timers.arm(this.#timer, io.nowMs, LIMITS.STREAM_IDLE_MS);
    return errno === 0 && queue.bytes === 0;
  }

  #sayEnd(): void {
    const io = this.#shared.io;
    if (!this.#wire.conclude()) return;
    this.#flushed = true;
    if (this.#guarded) this.#wire.resetOnExit(false);
    if (!this.#linger || this.#wire.shutdown() < 0) {
      this.#end(false);
      return;
    }
    io.timers.arm(this.#timer, io.nowMs, LIMITS.LINGER_MS);
  }

  #drain(): void {
    const { readAt, cells } = this.#shared;
    for (;;) {
      const n = this.#wire.recv(readAt, LIMITS.READ_BYTES);
      if (n === -ERRNO.EAGAIN) return;
      if (n <= 0) {
        this.#end(false);
        return;
      }
      this.#drained += n;
      if (this.#drained > LIMITS.LINGER_BYTES) {
        cells.add(LINGER_BYTES_LIMIT, 1);
        this.#end(false);
        return;
      }
    }
  }

  #end(reset: boolean): void {
    const io = this.#shared.io;
    this.#ended = true;
    io.timers.cancel(this.#timer);
    this.#queue?.clear();
    if (reset) this.#wire.reset();
    else this.#wire.close();
    this.#done();
    this.#shared.ended(this);
  }
}

// The end of a connection whose other side broke off: what came from there before is sent, and only once the peer has
// it the connection is reset. A reset at once takes with it what the kernel still holds, which other proxies deliver;
// an end in order would make the rest of it look complete.

import { LIMITS } from '../../base/limits.ts';
import { BROKEN, WRITABLE } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { ChunkQueue } from './queue.ts';
import type { Ending, Shared } from './shared.ts';
import type { Wire } from './wire.ts';

const LINGER_LIMIT = limitCell('LINGER_MS');
/** Times between two looks at what the peer has: the kernel tells nobody. */
const FIRST_LOOK_MS = 2;
const LAST_LOOK_MS = 250;

export class BreakingOff implements TimerSink, Ending {
  readonly #shared: Shared;
  readonly #wire: Wire;
  readonly #queue: ChunkQueue | null;
  readonly #downstream: boolean;
  readonly #done: () => void;
  readonly #timer = new Timer(this, 0);
  #look = FIRST_LOOK_MS;
  /** What the peer had not taken at the last look, and when that was another number (monotonic ms). */
  #left = -1;
  #movedMs: number;
  readonly #startMs: number;
  #ended = false;

  constructor(shared: Shared, wire: Wire, queue: ChunkQueue | null, downstream: boolean, done: () => void) {
    this.#shared = shared;
    this.#wire = wire;
    this.#queue = queue;
    this.#downstream = downstream;
    this.#done = done;
    this.#startMs = shared.io.nowMs;
    this.#movedMs = this.#startMs;
  }

  begin(): void {
    this.#shared.endings.add(this);
    this.onTimer();
  }

  onReady(events: number): void {
    if (this.#ended) return;
    if ((events & BROKEN) !== 0) this.#end();
    else if ((events & WRITABLE) !== 0) this.onTimer();
  }

  destroy(): void {
    if (!this.#ended) this.#end();
  }

  /** Sends what waits, and looks at what is left. */
  onTimer(): void {
    const { io, cells } = this.#shared;
    const left = this.#flushed() ? this.#wire.unsent() : -1;
    const waiting = left < 0 ? (this.#queue?.bytes ?? 0) : 0;
    if (left <= 0 && waiting === 0) {
      this.#end();
      return;
    }
    const now = waiting + Math.max(0, left);
    if (now !== this.#left) this.#movedMs = io.nowMs;
    // It counts as no connection any more: nobody keeps it for long by taking little.
    const late = io.nowMs - this.#startMs >= LIMITS.STREAM_IDLE_MS;
    if (late || io.nowMs - this.#movedMs >= LIMITS.LINGER_MS) {
      cells.add(LINGER_LIMIT, 1);
      this.#end();
      return;
    }
    this.#left = now;
    io.timers.arm(this.#timer, io.nowMs, this.#look);
    this.#look = Math.min(LAST_LOOK_MS, this.#look * 2);
  }

  /** Whether nothing waits here any more. */
  #flushed(): boolean {
    const queue = this.#queue;
    if (queue === null || queue.bytes === 0) return true;
    const before = queue.bytes;
    if (queue.flush(this.#wire) !== 0) queue.clear();
    const { tally } = this.#shared;
    if (this.#downstream) tally.downstreamWritten += before - queue.bytes;
    else tally.upstreamWritten += before - queue.bytes;
    return queue.bytes === 0;
  }

  #end(): void {
    this.#ended = true;
    this.#shared.io.timers.cancel(this.#timer);
    this.#queue?.clear();
    this.#wire.reset();
    this.#done();
    this.#shared.ended(this);
  }
}

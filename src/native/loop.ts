// How the reactor shares its thread with Node's own loop (docs/adr/0001-event-loop.md has the measurements).
//
// Busy: `setImmediate` runs turns of the reactor until a millisecond has gone by, then libuv gets a pass. A turn waits
// in our epoll set, a few milliseconds at most, with libuv's descriptor in it, so that Node's I/O ends the wait and the
// turns. Promises run between any two turns, timers, ticks and Node's I/O between any two passes. Quiet: after some
// milliseconds without an event libuv waits alone, with our epoll set among its own watchers, for as long as it likes.
//
// What ends a turn's wait is an event: a timer of Node's that is due meanwhile is late by what is left of it. Who lives
// by such timers (the controller) has a reactor that never waits, and sleeps as soon as a turn has nothing to do.

import { LIMITS } from '../base/limits.ts';
import { type PollHandle, pollReadable, uvBackendFd } from './ffi.ts';
import type { NativeIo } from './io.ts';

export class Reactor {
  readonly #io: NativeIo;
  readonly #uvFd: number;
  readonly #waitMs: number;
  readonly #quietMs: number;
  #running = false;
  #immediate: NodeJS.Immediate | null = null;
  #poll: PollHandle | null = null;
  #timeout: NodeJS.Timeout | null = null;
  /** Monotonic ms of the last turn that handled anything. */
  #lastEvent = 0;

  /** `inTime`: Node's timers run when they are due, also shortly after an event. */
  constructor(io: NativeIo, inTime = false) {
    this.#io = io;
    this.#waitMs = inTime ? 0 : LIMITS.REACTOR_WAIT_MS;
    this.#quietMs = inTime ? 0 : LIMITS.REACTOR_QUIET_MS;
    this.#uvFd = uvBackendFd();
  }

  /** Serves until `stop`, and keeps the process alive as long. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    this.#wake();
  }

  /** Ends after the turn that is under way; what is open stays open. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    if (this.#immediate !== null) {
      clearImmediate(this.#immediate);
      this.#immediate = null;
      this.#io.watchUv(this.#uvFd, false);
    }
    this.#endSleep();
    this.#poll?.close();
    this.#poll = null;
    this.#io.awake();
  }

  #pass = (): void => {
    // First, so that what a sink throws ends its turn and not the reactor.
    this.#immediate = setImmediate(this.#pass);
    this.#turns().catch((error: unknown) => {
      // As if thrown by the callback of an event, not as a rejected promise.
      queueMicrotask(() => {
        throw error;
      });
    });
  };

  async #turns(): Promise<void> {
    const io = this.#io;
    let until = 0;
    while (this.#immediate !== null) {
      if (io.turn(this.#waitMs) === 0) {
        if (io.nowMs - this.#lastEvent >= this.#quietMs) this.#sleep();
        return;
      }
      this.#lastEvent = io.nowMs;
      if (io.takeUvReady()) return;
      if (until === 0) until = io.nowUs + LIMITS.REACTOR_PASS_US;
      else if (io.nowUs >= until) return;
      // The rest of this function is queued behind every promise that is ready now.
      await null;
    }
  }

  #sleep(): void {
    if (this.#immediate === null) return;
    clearImmediate(this.#immediate);
    this.#immediate = null;
    const io = this.#io;
    io.watchUv(this.#uvFd, false);
    if (this.#poll === null) this.#poll = pollReadable(io.epollFd, this.#wake);
    else this.#poll.start({ readable: true }, this.#wake);
    if (io.timers.armed > 0) {
      this.#timeout = setTimeout(this.#wake, io.timers.untilNext(io.nowMs, LIMITS.REACTOR_SLEEP_MS));
    }
    io.fallAsleep(this.#wake);
  }

  #endSleep(): void {
    this.#poll?.stop();
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#timeout = null;
  }

  #wake = (): void => {
    // Only here may JavaScript run from a plain libuv callback: it defers the turn, after which ticks and promises run.
    this.#endSleep();
    const io = this.#io;
    io.awake();
    io.watchUv(this.#uvFd, true);
    this.#lastEvent = io.nowMs;
    this.#immediate = setImmediate(this.#pass);
  };
}

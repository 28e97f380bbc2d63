// How the reactor shares its thread with Node's own loop (docs/adr/0001-event-loop.md has the measurements).
//
// Busy: each pass of libuv's loop runs one turn of the reactor from `setImmediate`. The turn waits in our epoll set, a few
// milliseconds at most, with libuv's descriptor in it; so Node's I/O ends the wait, and its timers, ticks and promises
// run between any two turns. Quiet: after some milliseconds without an event libuv waits alone, with our epoll set
// among its own watchers, for as long as it likes.

import { LIMITS } from '../base/limits.ts';
import { type PollHandle, pollReadable, uvBackendFd } from './ffi.ts';
import type { NativeIo } from './io.ts';

export class Reactor {
  readonly #io: NativeIo;
  readonly #uvFd: number;
  #running = false;
  #immediate: NodeJS.Immediate | null = null;
  #poll: PollHandle | null = null;
  #timeout: NodeJS.Timeout | null = null;
  /** Monotonic ms of the last turn that handled anything. */
  #lastEvent = 0;

  constructor(io: NativeIo) {
    this.#io = io;
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

  #turn = (): void => {
    // First, so that a sink that throws ends its event and not the reactor.
    this.#immediate = setImmediate(this.#turn);
    const io = this.#io;
    if (io.turn(LIMITS.REACTOR_WAIT_MS) > 0) {
      this.#lastEvent = io.nowMs;
    } else if (io.nowMs - this.#lastEvent >= LIMITS.REACTOR_QUIET_MS && this.#running) {
      clearImmediate(this.#immediate);
      this.#immediate = null;
      this.#sleep();
    }
  };

  #sleep(): void {
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
    this.#immediate = setImmediate(this.#turn);
  };
}

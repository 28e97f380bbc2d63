// How the reactor shares its thread with Node's own loop (docs/adr/0046-one-wait.md; ADR 1 has the first measurements).
//
// There is one place to wait, a turn of the reactor. Its epoll set has libuv's descriptor in it, so that Node's I/O
// ends the wait, and it waits no longer than libuv itself would, so that Node's timers are on time. `setImmediate` runs
// turns until a millisecond has gone by, or until one had nothing to do; then libuv gets a pass, in which it never
// waits. Promises run between any two turns, timers, ticks and Node's I/O between any two passes.
//
// Never the other way round, our set among libuv's watchers: to put it there the kernel looks at every connection in
// it.

import { LIMITS } from '../base/limits.ts';
import { uvWouldWait } from './ffi.ts';
import type { NativeIo } from './io.ts';

export class Reactor {
  readonly #io: NativeIo;
  readonly #waitMs: number;
  #immediate: NodeJS.Immediate | null = null;
  /** Something that libuv has to wait for: without anything it would not. */
  #alive: NodeJS.Timeout | null = null;

  /** `inTime`: Node's timers run when they are due, also shortly after an event. */
  constructor(io: NativeIo, inTime = false) {
    this.#io = io;
    this.#waitMs = inTime ? 0 : LIMITS.REACTOR_WAIT_MS;
  }

  /** Serves until `stop`, and keeps the process alive as long. */
  run(): void {
    if (this.#immediate !== null) return;
    this.#alive = setInterval(nothing, LIMITS.REACTOR_SLEEP_MS);
    this.#io.watchUv(true);
    this.#io.leave();
    this.#immediate = setImmediate(this.#pass);
  }

  /** Ends after the turn that is under way; what is open stays open. */
  stop(): void {
    if (this.#immediate === null) return;
    clearImmediate(this.#immediate);
    this.#immediate = null;
    if (this.#alive !== null) clearInterval(this.#alive);
    this.#io.watchUv(false);
    this.#io.leave();
  }

  #pass = (): void => {
    // First, so that what a sink throws ends its turn and not the reactor.
    const next = setImmediate(this.#pass);
    this.#immediate = next;
    // Immediates of others are a reason not to wait; so would ours be.
    next.unref();
    const wait = uvWouldWait();
    next.ref();
    this.#turns(wait < 0 ? LIMITS.REACTOR_SLEEP_MS : wait).catch((error: unknown) => {
      // As if thrown by the callback of an event, not as a rejected promise.
      queueMicrotask(() => {
        throw error;
      });
    });
  };

  /** `wait`: of the first turn. Behind it ticks may be pending, which no wait ends. */
  async #turns(wait: number): Promise<void> {
    const io = this.#io;
    let until = 0;
    try {
      while (this.#immediate !== null) {
        const handled = io.turn(until === 0 ? wait : this.#waitMs);
        if (io.takeUvReady() || handled === 0) return;
        if (until === 0) until = io.nowUs + LIMITS.REACTOR_PASS_US;
        else if (io.nowUs >= until) return;
        // The rest of this function is queued behind every promise that is ready now.
        await null;
      }
    } finally {
      io.leave();
    }
  }
}

function nothing(): void {}

// What clusters that left the configuration were secured by, kept for a while: a request that began before, and that an
// authorization server is asked about or that waits for its next attempt, may still need a connection, when the
// authorities and certificates that it takes are gone. The oldest go first.

import { LIMITS } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import type { Core } from '../core.ts';
import type { Secured } from '../tls/dialer.ts';

interface Kept {
  readonly secured: Secured;
  /** Monotonic ms. */
  readonly until: number;
}

export class RetiredSecurity implements TimerSink {
  readonly #core: Core;
  readonly #timer = new Timer(this, 0);
  readonly #kept: Kept[] = [];

  constructor(core: Core) {
    this.#core = core;
  }

  /** Takes over a use of `secured`. */
  keep(secured: Secured): void {
    const { io } = this.#core;
    if (this.#kept.length >= LIMITS.RETIRED_TLS) this.#release();
    this.#kept.push({ secured, until: io.nowMs + LIMITS.RETIRED_TLS_MS });
    if (this.#kept.length === 1) io.timers.arm(this.#timer, io.nowMs, LIMITS.RETIRED_TLS_MS);
  }

  onTimer(): void {
    const { io } = this.#core;
    while ((this.#kept[0]?.until ?? Number.POSITIVE_INFINITY) <= io.nowMs) this.#release();
    const next = this.#kept[0];
    if (next !== undefined) io.timers.arm(this.#timer, io.nowMs, next.until - io.nowMs);
  }

  /** Gives all back at once. */
  dispose(): void {
    this.#core.io.timers.cancel(this.#timer);
    while (this.#kept.length > 0) this.#release();
  }

  #release(): void {
    const one = this.#kept.shift();
    one?.secured.table.releaseClient(one.secured.client);
  }
}

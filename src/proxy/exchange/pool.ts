// Exchanges are reused, the last one used first: its memory is warm.

import { LIMITS } from '../../base/limits.ts';
import type { Core } from '../core.ts';
import type { Listener } from '../listener.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeOwner } from './life.ts';
import type { RequestSide } from './sides.ts';

export class ExchangePool implements ExchangeOwner {
  readonly #core: Core;
  readonly #free: Exchange[] = [];

  constructor(core: Core) {
    this.#core = core;
  }

  /** For a request that came in at `listener`. */
  take(listener: Listener): RequestSide {
    const exchange = this.#free.pop() ?? new Exchange(this.#core, this);
    exchange.listener = listener;
    return exchange;
  }

  over(exchange: Exchange): void {
    if (this.#free.length < LIMITS.EXCHANGES_POOLED) this.#free.push(exchange);
    else exchange.dispose();
  }

  /** Frees what the resting ones hold. */
  dispose(): void {
    for (const exchange of this.#free) exchange.dispose();
    this.#free.length = 0;
  }
}

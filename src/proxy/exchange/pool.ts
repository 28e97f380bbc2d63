// Exchanges are reused, the last one used first: its memory is warm.

import { LIMITS } from '../../base/limits.ts';
import type { Core } from './core.ts';
import type { Exchange } from './exchange.ts';

export class ExchangePool {
  readonly #core: Core;
  readonly #create: (core: Core) => Exchange;
  readonly #free: Exchange[] = [];

  constructor(core: Core, create: (core: Core) => Exchange) {
    this.#core = core;
    this.#create = create;
  }

  take(): Exchange {
    return this.#free.pop() ?? this.#create(this.#core);
  }

  /** Takes an exchange back that has ended. */
  give(exchange: Exchange): void {
    if (this.#free.length < LIMITS.EXCHANGES_POOLED) this.#free.push(exchange);
    else exchange.dispose();
  }

  /** Frees what the resting ones hold. */
  dispose(): void {
    for (const exchange of this.#free) exchange.dispose();
    this.#free.length = 0;
  }
}

// What a worker runs out of and nobody else is told of: whoever waits in an accept queue has no line in the access log.
// A line of the log when it begins, again while it lasts, and one when it is over.

import { LIMITS } from '../base/limits.ts';
import type { Fields, Logger } from '../base/log.ts';
import type { Cells } from '../telemetry/cells.ts';
import { CELL, type LimitedName, limitCell } from '../telemetry/layout.ts';

const WHAT: Partial<Record<LimitedName, string>> = {
  DOWNSTREAM_CONNECTIONS: 'as many connections of clients as may be: further ones wait, or are answered 503',
  ACCEPT_PAUSE_MS: 'no descriptor or no memory for further connections of clients: they wait',
  ARENA_BYTES: 'no buffer is left: requests are answered 503, or wait',
};

interface Watched {
  readonly limit: LimitedName;
  readonly message: string;
  readonly cell: number;
  /** How often it had been reached at the last look. */
  count: number;
  lastMs: number;
  /** When it was last told of; null: it is over. */
  toldMs: number | null;
}

export class Shortages {
  readonly #cells: Pick<Cells, 'get'>;
  readonly #log: Logger;
  readonly #connections: number;
  readonly #watched: readonly Watched[];

  /** `connections`: of clients, at the most. What the cells hold already was counted by a worker before this one. */
  constructor(cells: Pick<Cells, 'get'>, log: Logger, connections: number) {
    this.#cells = cells;
    this.#log = log;
    this.#connections = connections;
    this.#watched = Object.entries(WHAT).map(([name, message]) => {
      const limit = name as LimitedName;
      const cell = limitCell(limit);
      return { limit, message, cell, count: cells.get(cell), lastMs: 0, toldMs: null };
    });
  }

  look(nowMs: number): void {
    const full = this.#cells.get(CELL.CONNECTIONS) >= this.#connections;
    for (const one of this.#watched) {
      const count = this.#cells.get(one.cell);
      // Those that wait already say nothing any more.
      const lasts = count > one.count || (full && one.toldMs !== null && one.limit === 'DOWNSTREAM_CONNECTIONS');
      one.count = count;
      if (lasts) one.lastMs = nowMs;
      const fields: Fields = { limit: one.limit, connections: this.#connections };
      if (lasts && (one.toldMs === null || nowMs - one.toldMs >= LIMITS.SHORTAGE_TOLD_MS)) {
        one.toldMs = nowMs;
        this.#log.warn(one.message, fields);
      } else if (one.toldMs !== null && nowMs - one.lastMs >= LIMITS.SHORTAGE_TOLD_MS) {
        one.toldMs = null;
        this.#log.info('there is enough again', fields);
      }
    }
  }
}

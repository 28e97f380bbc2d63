// A request that waits for somebody's decision: its question, and its head, which is kept for as long as that takes.

import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import type { Head } from '../head.ts';
import { Asked, type Asker, type Decision } from './decision.ts';
import type { RequestBlock } from './request-block.ts';

const DECISIONS_LIMIT = limitCell('DECISIONS_PENDING');

/** What became of a question when the call that asked it is over. */
export const ASKED = { DECIDED: 0, WAITS: 1, OVERLOAD: 2 } as const;

export class Deciding {
  readonly #core: Core;
  readonly #asker: Asker;
  readonly #request: RequestBlock;
  #asked: Asked | null = null;
  /** Whose verdict is awaited: its step of the chain. */
  step = 0;
  /** The head, while there is no verdict. */
  kept: Head | null = null;

  constructor(core: Core, asker: Asker, request: RequestBlock) {
    this.#core = core;
    this.#asker = asker;
    this.#request = request;
  }

  ask(decision: Decision, step: number, head: Head): number {
    const { cells, heads, mem } = this.#core;
    const asked = new Asked(this.#asker);
    this.#asked = asked;
    this.step = step;
    decision.ask(asked, head);
    if (this.#asked !== asked) return ASKED.DECIDED;
    const kept = heads.take();
    if (kept === null || !this.#request.keep(mem, head, kept)) {
      if (kept === null) cells.add(DECISIONS_LIMIT, 1);
      else heads.give(kept);
      return ASKED.OVERLOAD;
    }
    this.kept = kept;
    return ASKED.WAITS;
  }

  /** The verdict is here. */
  decided(): void {
    this.#asked = null;
  }

  /** The head is needed no more. */
  dropKept(): void {
    if (this.kept === null) return;
    this.#core.heads.give(this.kept);
    this.kept = null;
    this.#request.dropKept();
  }

  /** The exchange is over. */
  end(): void {
    if (this.#asked !== null) {
      this.#asked.gone();
      this.#asked = null;
    }
    this.dropKept();
  }
}

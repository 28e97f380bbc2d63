// A request that waits for somebody's decision: its question, and its head, which is kept for as long as that takes;
// with its content, where who decides wants to see it.

import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { bitsOf, type Head, NAME } from '../head.ts';
import { type Amendments, amendRequest } from './amend.ts';
import { Collected } from './collected.ts';
import { type About, Asked, type Asker, type Decision } from './decision.ts';
import type { RequestBlock } from './request-block.ts';
import type { Downstream } from './sides.ts';

const DECISIONS_LIMIT = limitCell('DECISIONS_PENDING');
const EXPECT = bitsOf(NAME.EXPECT);

/** What became of a question when the call that asked it is over. */
export const ASKED = { DECIDED: 0, WAITS: 1, OVERLOAD: 2 } as const;

export class Deciding {
  readonly #core: Core;
  readonly #asker: Asker;
  readonly #request: RequestBlock;
  #asked: Asked | null = null;
  /** Whose verdict is awaited, or who wants the content: its step of the chain. */
  step = 0;
  /** The head, while there is no verdict. */
  kept: Head | null = null;
  /** The content, where it was asked for. */
  content: Collected | null = null;

  constructor(core: Core, asker: Asker, request: RequestBlock) {
    this.#core = core;
    this.#asker = asker;
    this.#request = request;
  }

  /** Begins to hold the content of the request in `head`, of at most `bytes`; false past a limit. */
  collect(bytes: number, step: number, head: Head): boolean {
    this.step = step;
    if (!this.#keep(head)) return false;
    this.content = new Collected(this.#core.io, bytes);
    // What it asks for is done here.
    this.kept?.dropAll(EXPECT);
    return true;
  }

  ask(decision: Decision, step: number, head: Head, down: Downstream, client: Uint8Array): number {
    this.step = step;
    if (decision.waits && !this.#keep(head)) return ASKED.OVERLOAD;
    const asked = new Asked(this.#asker);
    this.#asked = asked;
    const { content } = this;
    const about: About = {
      down,
      client,
      trusted: this.#request.trusted,
      uuidAt: this.#request.at,
      contentStart: content === null ? 0 : content.start,
      contentEnd: content === null ? 0 : content.end,
    };
    decision.ask(asked, this.kept ?? head, about);
    if (this.#asked !== asked) return ASKED.DECIDED;
    return this.#keep(head) ? ASKED.WAITS : ASKED.OVERLOAD;
  }

  /** Keeps the head, if it is not kept yet. */
  #keep(head: Head): boolean {
    if (this.kept !== null) return true;
    const { cells, heads, mem } = this.#core;
    const kept = heads.take();
    if (kept === null || !this.#request.keep(mem, head, kept)) {
      if (kept === null) cells.add(DECISIONS_LIMIT, 1);
      else heads.give(kept);
      return false;
    }
    this.kept = kept;
    return true;
  }

  /** The head that was kept, as it goes on; null when there is no room for what is to be added. */
  amended(amendments: Amendments | null): Head | null {
    const { kept } = this;
    if (kept === null || amendments === null) return kept;
    return amendRequest(this.#core.mem, this.#request, kept, amendments) ? kept : null;
  }

  /** The verdict is here. */
  decided(): void {
    this.#asked = null;
  }

  /** The head and the content are needed no more. */
  dropKept(): void {
    if (this.kept === null) return;
    this.#core.heads.give(this.kept);
    this.kept = null;
    this.content?.free();
    this.content = null;
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

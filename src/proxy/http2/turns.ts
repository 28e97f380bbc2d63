// What all HTTP/2 connections of a worker share: whose frames go out at the end of the turn, and the block that field
// sections are decoded to.

import { LIMITS } from '../../base/limits.ts';
import type { Core } from '../core.ts';
import { Head } from '../head.ts';
import { BLOCK_BYTES, FieldSection, sectionBytes } from './hpack/section.ts';
import { Lending } from './lending.ts';
import { RepeatedHead } from './repeated.ts';

/** Whose frames are gathered. */
export interface Gathering {
  dirty: boolean;
  flush(): void;
}

export class Turns {
  readonly #core: Core;
  #dirty: Gathering[] = [];
  #spare: Gathering[] = [];
  /** Where sections are decoded to, with room to join cookies behind one. Nothing of it outlives a call. */
  readonly sectionAt: number;
  readonly section: FieldSection;
  /** Heads that came again, each of some connections. */
  readonly #repeated: readonly RepeatedHead[];
  #connections = 0;
  readonly lending = new Lending();
  /** The table of a trailer section. */
  readonly trailers = new Head();

  /** Throws when the arena has no room for the block. */
  constructor(core: Core) {
    this.#core = core;
    this.sectionAt = core.io.alloc(sectionBytes(BLOCK_BYTES) + LIMITS.HEAD_BYTES + 64);
    if (this.sectionAt < 0) throw new Error('no memory for the block that field sections are decoded to');
    this.section = new FieldSection(this.trailers);
    this.#repeated = Array.from({ length: LIMITS.HTTP2_REPEATED_HEADS }, () => new RepeatedHead(core.io));
    core.io.onTurn(() => this.#flush());
  }

  /** Where a new connection's head may be kept. */
  repeated(): RepeatedHead {
    return this.#repeated[this.#connections++ % LIMITS.HTTP2_REPEATED_HEADS] as RepeatedHead;
  }

  dispose(): void {
    for (const one of this.#repeated) one.dispose();
    this.#core.io.free(this.sectionAt);
  }

  /** It sends at the end of this turn. */
  add(one: Gathering): void {
    this.#dirty.push(one);
  }

  #flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = this.#spare;
    this.#spare = dirty;
    for (const one of dirty) {
      one.dirty = false;
      one.flush();
    }
    dirty.length = 0;
  }
}

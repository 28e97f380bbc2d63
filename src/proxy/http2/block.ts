// A field section that comes in several frames (RFC 9113 section 6.10), put together in a block of the arena.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Core } from '../core.ts';
import { countLimit } from '../counts.ts';
import { CODE, FRAME_PAYLOAD } from './frames.ts';
import { BLOCK_BYTES } from './hpack/section.ts';

export class SectionBlock {
  readonly #core: Core;
  #at = -1;
  #size = 0;
  end = 0;
  /** Its stream, and the flags of its HEADERS. */
  id = 0;
  flags = 0;
  #frames = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** One is under way. */
  get open(): boolean {
    return this.#at !== -1;
  }

  get start(): number {
    return this.#at;
  }

  /** Begins one with mem[start..end). Returns a CODE. */
  begin(id: number, flags: number, start: number, end: number): number {
    const { io, mem } = this.#core;
    const at = io.alloc(Math.max(FRAME_PAYLOAD, end - start));
    if (at < 0) return this.#exhausted();
    this.#at = at;
    this.#size = io.sizeOf(at);
    this.end = move(mem, at, start, end);
    this.id = id;
    this.flags = flags;
    this.#frames = 0;
    return CODE.NO_ERROR;
  }

  /** mem[start..end) comes behind. Returns a CODE. */
  add(start: number, end: number): number {
    const { io, mem, cells } = this.#core;
    const length = this.end - this.#at + end - start;
    // CVE-2024-27316 and its kin: frames without an end, empty ones among them.
    if (++this.#frames > LIMITS.HTTP2_CONTINUATIONS || length > BLOCK_BYTES) {
      countLimit(cells, length > BLOCK_BYTES ? 'HEAD_BYTES' : 'HTTP2_CONTINUATIONS');
      return CODE.ENHANCE_YOUR_CALM;
    }
    if (length > this.#size) {
      const at = io.alloc(Math.min(BLOCK_BYTES, length * 2));
      if (at < 0) return this.#exhausted();
      const till = move(mem, at, this.#at, this.end);
      io.free(this.#at);
      this.#at = at;
      this.#size = io.sizeOf(at);
      this.end = till;
    }
    this.end = move(mem, this.end, start, end);
    return CODE.NO_ERROR;
  }

  #exhausted(): number {
    countLimit(this.#core.cells, 'ARENA_BYTES');
    return CODE.INTERNAL_ERROR;
  }

  /** It is whole, or given up: its block has to be freed by the caller, unless it is -1. */
  close(): number {
    const at = this.#at;
    this.#at = -1;
    return at;
  }
}

// Request ids: UUID version 7 (RFC 9562 section 5.7), written as text straight into memory.

import type { Io } from '../../io/io.ts';

export const REQUEST_ID_BYTES = 36;

const HEX = new Uint8Array(16);
for (let i = 0; i < 16; i++) HEX[i] = '0123456789abcdef'.charCodeAt(i);
const DASH = 0x2d;

export class RequestIds {
  readonly #io: Io;
  /** `xxxxxxxx-xxxx-7` of #ms. */
  readonly #prefix = new Uint8Array(15);
  #ms = -1;

  constructor(io: Io) {
    this.#io = io;
    this.#prefix[8] = DASH;
    this.#prefix[13] = DASH;
    this.#prefix[14] = 0x37;
  }

  /** Writes REQUEST_ID_BYTES bytes at `at`; returns the offset behind them. */
  put(mem: Uint8Array, at: number): number {
    const io = this.#io;
    const prefix = this.#prefix;
    if (io.wallMs !== this.#ms) this.#refresh(io.wallMs);
    for (let i = 0; i < 15; i++) mem[at + i] = prefix[i] as number;
    const a = io.random32();
    const b = io.random32();
    const c = io.random32();
    let o = at + 15;
    // rand_a: 12 bits
    mem[o++] = HEX[a & 15] as number;
    mem[o++] = HEX[(a >>> 4) & 15] as number;
    mem[o++] = HEX[(a >>> 8) & 15] as number;
    mem[o++] = DASH;
    // variant 10 and rand_b: 62 bits
    mem[o++] = HEX[8 | ((a >>> 12) & 3)] as number;
    mem[o++] = HEX[(a >>> 14) & 15] as number;
    mem[o++] = HEX[(a >>> 18) & 15] as number;
    mem[o++] = HEX[(a >>> 22) & 15] as number;
    mem[o++] = DASH;
    for (let i = 0; i < 32; i += 4) mem[o++] = HEX[(b >>> i) & 15] as number;
    for (let i = 0; i < 16; i += 4) mem[o++] = HEX[(c >>> i) & 15] as number;
    return o;
  }

  #refresh(wallMs: number): void {
    this.#ms = wallMs;
    let v = Math.floor(wallMs);
    for (let i = 12; i >= 0; i--) {
      if (i === 8) continue;
      this.#prefix[i] = HEX[v % 16] as number;
      v = Math.floor(v / 16);
    }
  }
}

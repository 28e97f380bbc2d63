// Request ids: UUID version 7 (RFC 9562 section 5.7), written as text straight into memory.

import { viewOf } from '../base/bytes.ts';
import type { Io } from '../io/io.ts';

export const REQUEST_ID_BYTES = 36;

const HEX = new Uint8Array(16);
for (let i = 0; i < 16; i++) HEX[i] = '0123456789abcdef'.charCodeAt(i);
/** Two digits of each byte, as the word that setInt16(at, word, true) writes. */
const PAIR = new Int16Array(256);
for (let i = 0; i < 256; i++) PAIR[i] = (HEX[i >> 4] as number) | ((HEX[i & 15] as number) << 8);
const DASH = 0x2d;

export class RequestIds {
  readonly #io: Io;
  /** `xxxxxxxx-xxxx-7` of #ms, and a byte that is written over. */
  readonly #prefix = new Uint8Array(16);
  readonly #words = new Int32Array(this.#prefix.buffer);
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
    const words = this.#words;
    const view = viewOf(mem);
    if (io.wallMs !== this.#ms) this.#refresh(io.wallMs);
    for (let i = 0; i < 4; i++) view.setInt32(at + i * 4, words[i] as number, true);
    const a = io.random32();
    const b = io.random32();
    const c = io.random32();
    // rand_a: 12 bits
    mem[at + 15] = HEX[a & 15] as number;
    view.setInt16(at + 16, PAIR[(a >>> 4) & 255] as number, true);
    mem[at + 18] = DASH;
    // variant 10 and rand_b: 62 bits
    view.setInt16(at + 19, PAIR[0x80 | ((a >>> 12) & 0x3f)] as number, true);
    view.setInt16(at + 21, PAIR[(a >>> 18) & 255] as number, true);
    mem[at + 23] = DASH;
    for (let i = 0; i < 4; i++) view.setInt16(at + 24 + i * 2, PAIR[(b >>> (i * 8)) & 255] as number, true);
    view.setInt16(at + 32, PAIR[c & 255] as number, true);
    view.setInt16(at + 34, PAIR[(c >>> 8) & 255] as number, true);
    return at + REQUEST_ID_BYTES;
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

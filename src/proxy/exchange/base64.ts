// Base64 (RFC 4648 section 4) of content that comes and goes in pieces, in the arena.

import { bytesOf } from '../../base/bytes.ts';

const ALPHABET = bytesOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const NOTHING = 0xff;
const VALUES = new Uint8Array(256).fill(NOTHING);
for (let i = 0; i < ALPHABET.length; i++) VALUES[ALPHABET[i] as number] = i;
const PAD = 0x3d;

/** Writes mem[start..end), padded, at mem[at..), which does not overlap it; returns the offset behind. */
export function encodeBase64(mem: Uint8Array, at: number, start: number, end: number): number {
  let out = at;
  for (let i = start; i < end; i += 3) {
    const left = end - i;
    const second = left > 1 ? (mem[i + 1] as number) : 0;
    const third = left > 2 ? (mem[i + 2] as number) : 0;
    const bits = ((mem[i] as number) << 16) | (second << 8) | third;
    mem[out++] = ALPHABET[bits >> 18] as number;
    mem[out++] = ALPHABET[(bits >> 12) & 63] as number;
    mem[out++] = left > 1 ? (ALPHABET[(bits >> 6) & 63] as number) : PAD;
    mem[out++] = left > 2 ? (ALPHABET[bits & 63] as number) : PAD;
  }
  return out;
}

/** Pieces that are one text, or several, each padded, one behind the other. */
export class Base64Decoder {
  #bits = 0;
  /** Bits that are no byte yet: 6, 4 or 2 behind the first, second and third of four digits. */
  #count = 0;
  /** The first of two signs of padding came. */
  #padded = false;

  reset(): void {
    this.#bits = 0;
    this.#count = 0;
    this.#padded = false;
  }

  /** What came so far is whole: no digit of it, or sign of padding, waits for another. */
  get whole(): boolean {
    return this.#count === 0;
  }

  /** Decodes mem[start..end) where it stands: the offset behind, or -1 when it is no Base64. */
  decode(mem: Uint8Array, start: number, end: number): number {
    let out = start;
    for (let i = start; i < end; i++) {
      const c = mem[i] as number;
      const value = VALUES[c] as number;
      if (value !== NOTHING && !this.#padded) {
        this.#bits = ((this.#bits << 6) | value) & 0xfff;
        this.#count += 6;
        // Never more than a byte for each character: what is to be read is not written over.
        if (this.#count < 8) continue;
        this.#count -= 8;
        mem[out++] = (this.#bits >> this.#count) & 0xff;
      } else if (c !== PAD || !this.#pads()) return -1;
    }
    return out;
  }

  /** Whether a sign of padding may stand here: one behind three digits, two behind two. */
  #pads(): boolean {
    if (this.#count === 2 || this.#padded) this.reset();
    else if (this.#count === 4) this.#padded = true;
    else return false;
    return true;
  }
}

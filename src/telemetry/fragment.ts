// Prepared text that is written millions of times: eight bytes a store instead of one.

import { bytesOf } from '../base/bytes.ts';

let scratch = new Float64Array(64);

/** At least so many doubles, to be left as they are found by nobody. */
function scratchOf(words: number): Float64Array<ArrayBuffer> {
  if (scratch.length < words) scratch = new Float64Array(2 * words);
  return scratch;
}

export class Fragment {
  readonly length: number;
  /**
   * The bytes as doubles, padded with zeros. No text has the bit pattern of a NaN (0x7f and 0xff end no word of UTF-8
   * text without DEL), so no store can change it.
   */
  readonly #words: Float64Array;

  /** Text without DEL (JSON with controls escaped has none). */
  constructor(text: string) {
    const bytes = bytesOf(text);
    if (bytes.includes(0x7f)) throw new RangeError('a fragment with DEL in it');
    this.length = bytes.length;
    const words = (bytes.length + 7) >> 3;
    const scratch = scratchOf(words);
    new Uint8Array(scratch.buffer).fill(0, bytes.length, words * 8).set(bytes);
    // Of its own, and no view of another's bytes: up to 64 of them lie with the object, and there may be thousands.
    this.#words = new Float64Array(words);
    for (let i = 0; i < words; i++) this.#words[i] = scratch[i] as number;
  }

  /** `,"name":"value"` for each member, with everything escaped that could steer a terminal. */
  static members(members: Readonly<Record<string, string>>): Fragment {
    return new Fragment(
      Object.entries(members)
        .map(([name, value]) => `,${JSON.stringify(name)}:${escaped(value)}`)
        .join(''),
    );
  }

  /** This one, and `other` behind it. */
  with(other: Fragment): Fragment {
    return this.length === 0 ? other : new Fragment(this.text + other.text);
  }

  get text(): string {
    const scratch = scratchOf(this.#words.length);
    scratch.set(this.#words);
    return Buffer.from(scratch.buffer, 0, this.length).toString('utf8');
  }

  /** Writes the text at `at`; returns the offset behind it. Up to eight bytes behind that are overwritten too. */
  put(out: DataView, at: number): number {
    const words = this.#words;
    for (let i = 0; i < words.length; i++) out.setFloat64(at + i * 8, words[i] as number, true);
    return at + this.length;
  }
}

function escaped(value: string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export const NO_FRAGMENT = new Fragment('');

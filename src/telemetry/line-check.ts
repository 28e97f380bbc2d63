// Whether a line that a worker left in its ring is one that a worker writes: a flat JSON object of strings and numbers,
// without a byte that steers the reader. A worker meets what clients send; what it says is looked at before it goes
// anywhere.

import { memoryOf, newMemory } from '../base/memory.ts';
import { steers } from '../base/steering.ts';
import {
  assemble,
  block,
  branch,
  branchIf,
  type Code,
  give,
  i32,
  Local,
  load128,
  loop,
  v128,
  when,
} from '../base/wasm.ts';

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const CLOSE = 0x7d;
const NEWLINE = 0x0a;
/** `{"time":"`: every line begins so. */
const BEGIN = Buffer.from('{"time":"');
const DIGIT = new Uint8Array(256).fill(1, 0x30, 0x3a);
const HEX = new Uint8Array(256).fill(1, 0x30, 0x3a).fill(1, 0x41, 0x47).fill(1, 0x61, 0x67);
/** After a backslash (RFC 8259 section 7), but for `u`. */
const ESCAPED = new Uint8Array(256);
for (const c of '"\\/bfnrt') ESCAPED[c.charCodeAt(0)] = 1;

/** Lines up to this length are compared with one that was found good before. */
const LEARNED_BYTES = 1024;
const LEARNED_LENGTHS = 64;
/** Of so many lines that are unlike the one known, one is learned: lines that alternate must not teach all the time. */
const LEARN_EVERY = 4;

const lineAt = new Local(0);
const low = new Local(1);
const high = new Local(2);
const length = new Local(3);
const i = new Local(4);
const v = new Local(5);
const least = new Local(6);
const of = i32.of;

/** Sixteen bytes at i: bits of those outside [low, high], and of quotes and backslashes where any text may stand. */
const unfit: Code = [
  ...v.set(load128(0, i32.add(lineAt.get, i.get))),
  ...least.set(load128(0, i32.add(low.get, i.get))),
  ...v128.bits(
    v128.or(
      v128.or(v128.lt(v.get, least.get), v128.gt(v.get, load128(0, i32.add(high.get, i.get)))),
      v128.and(
        v128.eq(least.get, v128.all(0x20)),
        v128.or(v128.eq(v.get, v128.all(QUOTE)), v128.eq(v.get, v128.all(BACKSLASH))),
      ),
    ),
  ),
];

/** Whether the bytes of a line lie between those of a pattern. */
const fits: Code = [
  ...block(
    loop(
      branchIf(1, i32.lt(length.get, i32.add(i.get, of(16)))),
      when(unfit, give(of(0))),
      i.set(i32.add(i.get, of(16))),
      branch(0),
    ),
  ),
  ...when(
    i32.lt(i.get, length.get),
    // Of the last ones those behind the end do not count.
    give(i32.eqz(i32.and(unfit, i32.sub(i32.shl(of(1), i32.sub(length.get, i.get)), of(1))))),
  ),
  ...of(1),
];

const module = assemble(1, [{ name: 'fits', params: 4, integers: 1, vectors: 2, body: fits }]);

type Fits = (line: number, low: number, high: number, length: number) => number;

/**
 * A batch of lines in memory of its own, which nobody else can change meanwhile. Nearly every line has the shape of one
 * that was seen before, so it is compared with that, sixteen bytes a step; only one that differs is read byte by byte.
 */
export class LineCheck {
  /** Where a batch is put. */
  readonly batch: Uint8Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fits: Fits;
  /** By a line's length: where its pattern stands (LEARNED_BYTES of lowest, as many of highest bytes), 0 for none. */
  readonly #patterns = new Uint32Array(LEARNED_BYTES + 1);
  readonly #lengths: number[] = [];
  readonly #patternsAt: number;
  #turn = 0;
  #unlike = 0;
  #lastLength = 0;
  /** Bad lines of the last `sift`. */
  bad = 0;

  constructor(batchBytes: number) {
    this.#patternsAt = (batchBytes + 15) & ~15;
    this.#bytes = newMemory(this.#patternsAt + LEARNED_LENGTHS * 2 * LEARNED_BYTES);
    this.#view = new DataView(this.#bytes.buffer);
    this.batch = this.#bytes.subarray(0, batchBytes);
    const memory = { 0: memoryOf(this.#bytes) };
    this.#fits = new WebAssembly.Instance(module, { memory }).exports['fits'] as Fits;
  }

  /**
   * Keeps the good lines of batch[0, n), which ends with a newline; returns where they end. `bad` is the number of
   * others.
   */
  sift(n: number): number {
    const bytes = this.#bytes;
    this.bad = 0;
    let out = 0;
    for (let at = 0; at < n; ) {
      let end = this.#likeTheLast(at, n);
      if (end === 0) {
        end = this.batch.indexOf(NEWLINE, at) + 1;
        if (!this.#isGood(at, end)) {
          this.bad++;
          at = end;
          continue;
        }
      }
      if (out < at) bytes.copyWithin(out, at, end);
      out += end - at;
      at = end;
    }
    return out;
  }

  /**
   * The end of the line at `at` if it has the length and the shape of the one before (then no newline is within), else
   * 0.
   */
  #likeTheLast(at: number, n: number): number {
    const end = at + this.#lastLength;
    if (end === at || end > n) return 0;
    const pattern = this.#patterns[this.#lastLength] as number;
    return pattern !== 0 && this.#fits(at, pattern, pattern + LEARNED_BYTES, this.#lastLength) === 1 ? end : 0;
  }

  #isGood(at: number, end: number): boolean {
    const length = end - at;
    const pattern = length <= LEARNED_BYTES ? (this.#patterns[length] as number) : 0;
    this.#lastLength = length <= LEARNED_BYTES ? length : 0;
    if (pattern !== 0 && this.#fits(at, pattern, pattern + LEARNED_BYTES, length) === 1) return true;
    if (!this.good(at, end)) return false;
    if (length <= LEARNED_BYTES && (pattern === 0 || ++this.#unlike % LEARN_EVERY === 0)) this.#learn(at, length);
    return true;
  }

  /**
   * Names and what stands between are to be the same; within values any plain text of that length, or digits for
   * digits.
   */
  #learn(at: number, length: number): void {
    let pattern = this.#patterns[length] as number;
    if (pattern === 0) {
      pattern = this.#patternsAt + this.#turn * 2 * LEARNED_BYTES;
      const before = this.#lengths[this.#turn];
      if (before !== undefined) this.#patterns[before] = 0;
      this.#lengths[this.#turn] = length;
      this.#turn = (this.#turn + 1) % LEARNED_LENGTHS;
    }
    this.#patterns[length] = 0;
    const bytes = this.#bytes;
    let inText = false;
    let inValue = false;
    for (let k = 0; k < length; k++) {
      const c = bytes[at + k] as number;
      if (c === BACKSLASH || c >= 0x80) return;
      if (c === QUOTE) inText = !inText;
      else if (!inText && (c === COLON || c === COMMA)) inValue = c === COLON;
      const free = inValue && c !== QUOTE;
      const digit = free && !inText && DIGIT[c] === 1;
      // The first of several digits in front of a point is no zero.
      const leads = digit && bytes[at + k - 1] === COLON && DIGIT[bytes[at + k + 1] as number] === 1;
      bytes[pattern + k] = digit ? (leads ? 0x31 : 0x30) : free && inText ? 0x20 : c;
      bytes[pattern + LEARNED_BYTES + k] = digit ? 0x39 : free && inText ? 0x7e : c;
    }
    this.#patterns[length] = pattern;
  }

  /** Whether [start, end) is a line, its newline (at end - 1) included. */
  good(start: number, end: number): boolean {
    const bytes = this.#bytes;
    const last = end - 2;
    if (last < start + BEGIN.length || bytes[last] !== CLOSE || bytes[end - 1] !== NEWLINE) return false;
    for (let i = 0; i < BEGIN.length; i++) if (bytes[start + i] !== BEGIN[i]) return false;
    let at = start;
    do {
      // `{` or `,`, then a name, then `:`.
      if (bytes[at + 1] !== QUOTE) return false;
      at = this.#string(at + 2, last);
      if (at < 0 || bytes[at] !== COLON) return false;
      at = bytes[at + 1] === QUOTE ? this.#string(at + 2, last) : this.#number(at + 1);
      if (at < 0 || at > last) return false;
    } while (bytes[at] === COMMA);
    return at === last;
  }

  /** The place behind the closing quote of the string whose inside begins at `at`, or -1. It ends before `last`. */
  #string(at: number, last: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    let i = at;
    for (;;) {
      while (i + 4 <= last) {
        const word = view.getInt32(i, true);
        const quote = (word ^ 0x22222222) - 0x01010101;
        const slash = (word ^ 0x5c5c5c5c) - 0x01010101;
        // As in json-bytes.ts: none of the four is below 0x20, '"', '\\', DEL or above.
        if ((((word - 0x20202020) | (word + 0x01010101) | quote | slash | word) & 0x80808080) !== 0) break;
        i += 4;
      }
      if (i >= last) return -1;
      const c = bytes[i] as number;
      if (c === QUOTE) return i + 1;
      if (c === BACKSLASH) i = this.#escape(i + 1);
      else if (c >= 0x80) i = this.#sequence(i, last);
      else if (c < 0x20 || c === 0x7f) return -1;
      else i++;
      if (i < 0) return -1;
    }
  }

  #escape(at: number): number {
    const bytes = this.#bytes;
    const c = bytes[at] as number;
    if (ESCAPED[c] === 1) return at + 1;
    if (c !== 0x75) return -1;
    for (let k = 1; k <= 4; k++) if (HEX[bytes[at + k] as number] !== 1) return -1;
    return at + 5;
  }

  /** The place behind the well-formed UTF-8 sequence at `at` (Unicode 16, table 3-7) that steers nobody, or -1. */
  #sequence(at: number, last: number): number {
    const bytes = this.#bytes;
    const c = bytes[at] as number;
    const length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c < 0xc2 || c > 0xf4 || at + length > last) return -1;
    let code = c & (0xff >> (length + 1));
    for (let k = 1; k < length; k++) {
      const more = bytes[at + k] as number;
      if ((more & 0xc0) !== 0x80) return -1;
      code = (code << 6) | (more & 0x3f);
    }
    // Too short a number for its length, a surrogate (it steers), or past the last code point.
    if (code < (length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000) || code > 0x10ffff || steers(code)) return -1;
    return at + length;
  }

  /** The place behind the number at `at` (RFC 8259 section 6, without sign and exponent), or -1. */
  #number(at: number): number {
    const bytes = this.#bytes;
    let i = at;
    while (DIGIT[bytes[i] as number] === 1) i++;
    if (i === at || (bytes[at] === 0x30 && i > at + 1)) return -1;
    if (bytes[i] !== 0x2e) return i;
    const point = ++i;
    while (DIGIT[bytes[i] as number] === 1) i++;
    return i === point ? -1 : i;
  }
}

// Writing JSON straight into bytes, with everything a client can send made harmless: control bytes, quotes, terminal
// escapes, bidirectional controls and whatever else steers the reader, and invalid UTF-8.

import { steers } from '../base/steering.ts';

/** 1: needs care inside a JSON string (below 0x20, '"', '\\', DEL, and every byte of a multi-byte sequence). */
const CARE = new Uint8Array(256);
for (let c = 0; c < 256; c++) if (c < 0x20 || c === 0x22 || c === 0x5c || c >= 0x7f) CARE[c] = 1;
const HEX = Uint8Array.from('0123456789abcdef', (c) => c.charCodeAt(0));

/** The most bytes one byte of input can become. */
export const ESCAPE_FACTOR = 6;

/**
 * Appends source[start..end) as the inside of a JSON string; returns the offset behind it.
 * Needs (end - start) * ESCAPE_FACTOR + 4 bytes of room. The views are on the same memory as the arrays.
 */
export function putEscaped(
  out: Uint8Array,
  outView: DataView,
  at: number,
  source: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): number {
  let o = at;
  let i = start;
  for (;;) {
    // Four bytes at a time while none of them needs care.
    for (; i + 4 <= end; i += 4) {
      const word = view.getInt32(i, true);
      if (careful(word)) break;
      outView.setInt32(o, word, true);
      o += 4;
    }
    if (i >= end) return o;
    const c = source[i] as number;
    if (CARE[c] === 0) out[o++] = c;
    else if (c < 0x80) o = putControl(out, o, c);
    else {
      const length = sequenceLength(source, i, end);
      if (length === 0) o = putByte(out, o, c);
      else {
        o = putCodePoint(out, o, source, i, length);
        i += length - 1;
      }
    }
    i++;
  }
}

/**
 * Whether one of the four bytes may be below 0x20, '"', '\\', DEL or above (zero-byte test: Mycroft, 1987; a borrow can
 * only come from a byte that is one).
 */
function careful(word: number): boolean {
  const quote = (word ^ 0x22222222) - 0x01010101;
  const slash = (word ^ 0x5c5c5c5c) - 0x01010101;
  return (((word - 0x20202020) | (word + 0x01010101) | quote | slash | word) & 0x80808080) !== 0;
}

/** \" \\ or \u00XX. */
function putControl(out: Uint8Array, at: number, c: number): number {
  out[at] = 0x5c;
  if (c === 0x22 || c === 0x5c) {
    out[at + 1] = c;
    return at + 2;
  }
  return putUnicode(out, at, c);
}

function putUnicode(out: Uint8Array, at: number, unit: number): number {
  out[at] = 0x5c;
  out[at + 1] = 0x75;
  for (let i = 0; i < 4; i++) out[at + 2 + i] = HEX[(unit >>> (12 - 4 * i)) & 15] as number;
  return at + 6;
}

/** A byte that is no UTF-8: the text \xHH (its backslash escaped). */
function putByte(out: Uint8Array, at: number, c: number): number {
  out[at] = 0x5c;
  out[at + 1] = 0x5c;
  out[at + 2] = 0x78;
  out[at + 3] = HEX[c >>> 4] as number;
  out[at + 4] = HEX[c & 15] as number;
  return at + 5;
}

/** Length of the well-formed UTF-8 sequence at `i` (Unicode 15, table 3-7), 0 if there is none. */
function sequenceLength(source: Uint8Array, i: number, end: number): number {
  const c = source[i] as number;
  const n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n === 0 || i + n > end) return 0;
  const second = source[i + 1] as number;
  const low = c === 0xe0 ? 0xa0 : c === 0xf0 ? 0x90 : 0x80;
  const high = c === 0xed ? 0x9f : c === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let k = 2; k < n; k++) if (((source[i + k] as number) & 0xc0) !== 0x80) return 0;
  return n;
}

function putCodePoint(out: Uint8Array, at: number, source: Uint8Array, i: number, length: number): number {
  let code = (source[i] as number) & (0xff >> (length + 1));
  for (let k = 1; k < length; k++) code = (code << 6) | ((source[i + k] as number) & 0x3f);
  if (steers(code)) {
    if (code <= 0xffff) return putUnicode(out, at, code);
    // As JSON has it: a pair of UTF-16 units (RFC 8259 section 7).
    return putUnicode(out, putUnicode(out, at, 0xd7c0 + (code >>> 10)), 0xdc00 | (code & 0x3ff));
  }
  for (let k = 0; k < length; k++) out[at + k] = source[i + k] as number;
  return at + length;
}

// What every scanner of HTTP/1 shares: the classes of bytes, words of four bytes, and the search for the end of a head.
//
// How a connection reads a head at a cost of O(n), in however many pieces it comes:
//   1. After the first read, parse [start, end) straight: nearly always the whole head is there.
//   2. On MORE remember `scanned = end`. After each further read call findHeadEnd(mem, max(start, scanned - 3), end):
//      it looks at new bytes only. Parse again when it returns an offset, or when end - start >= LIMITS.HEAD_BYTES
//      (the parser then refuses), else remember `scanned = end` again.
// When bytes are moved in the arena, `scanned` moves with them.

import { viewOf } from '../../base/bytes.ts';

/** What a parser returns: BAD leaves the reason in head.fault. */
export const DONE = 1;
export const MORE = 0;
export const BAD = -1;

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COMMA = 0x2c;
export const COLON = 0x3a;

/** tchar (RFC 9110 section 5.6.2). */
export const TOKEN = 1;
/**
 * A byte of a request target before its query: visible ASCII but '?' and '#' (RFC 9112 section 3.2 has no fragment).
 */
export const TARGET = 2;
/** The same in a query, where '?' is plain (RFC 3986 section 3.4). */
export const QUERY = 4;
/** field-vchar, SP or HTAB (RFC 9110 section 5.5). */
export const VALUE = 8;
/** reg-name without '%' (RFC 3986 section 3.2.2): unreserved and sub-delims. */
export const REG_NAME = 16;
export const HEX = 32;
export const DIGIT = 64;

/** CLASS[byte] is the set of classes the byte belongs to. */
export const CLASS: Uint8Array = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  const char = String.fromCharCode(c);
  const alphanumeric = /^[0-9A-Za-z]$/.test(char);
  let classes = 0;
  if (alphanumeric || "!#$%&'*+-.^_`|~".includes(char)) classes |= TOKEN;
  if (c > 0x20 && c < 0x7f && c !== 0x23) classes |= QUERY;
  if (c > 0x20 && c < 0x7f && c !== 0x23 && c !== 0x3f) classes |= TARGET;
  if (c === HTAB || (c >= 0x20 && c !== 0x7f)) classes |= VALUE;
  if (alphanumeric || "-._~!$&'()*+,;=".includes(char)) classes |= REG_NAME;
  if (/^[0-9A-Fa-f]$/.test(char)) classes |= HEX;
  if (/^[0-9]$/.test(char)) classes |= DIGIT;
  CLASS[c] = classes;
}

/** Four ASCII characters as the word that getInt32(at, true) reads. */
export function wordOf(text: string): number {
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16) | (text.charCodeAt(3) << 24);
}

/**
 * Offset behind the first empty line that begins in or behind [from, end), or -1. Also finds lines that end in a bare
 * LF, so that such a head reaches the parser, which refuses it, instead of a time limit.
 */
export function findHeadEnd(mem: Uint8Array, from: number, end: number): number {
  const words = viewOf(mem);
  let i = from;
  for (;;) {
    // The next LF: four bytes at a time, a zero byte in x marks one.
    while (i + 4 <= end) {
      const x = words.getInt32(i, true) ^ 0x0a0a0a0a;
      const found = (x - 0x01010101) & ~x & 0x80808080;
      if (found !== 0) {
        i += (31 - Math.clz32(found & -found)) >>> 3;
        break;
      }
      i += 4;
    }
    while (i < end && mem[i] !== LF) i++;
    if (i + 1 >= end) return -1;
    if (mem[i + 1] === LF) return i + 2;
    if (mem[i + 1] === CR) {
      if (i + 2 >= end) return -1;
      if (mem[i + 2] === LF) return i + 3;
    }
    i++;
  }
}

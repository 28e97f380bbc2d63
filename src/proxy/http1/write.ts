// Writing of HTTP/1.1 messages into the arena. Every put function writes at `at` and returns the offset behind what it
// wrote; the caller has reserved at least the number of bytes stated at each. Sources and the place written to do not
// overlap, unless said.

import { bytesOf, put } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import type { Head } from '../head.ts';
import { CRLF } from '../lines.ts';
import { SP } from './scan.ts';

const VERSION_SP = bytesOf('HTTP/1.1 ');

/** Follows the data of each chunk. */
export const CHUNK_END: Uint8Array = CRLF;
/** The last chunk and an empty trailer section. */
export const LAST_CHUNK: Uint8Array = bytesOf('0\r\n\r\n');
/** The last chunk where trailers follow: then copyTrailers, then CRLF. */
export const LAST_CHUNK_SIZE: Uint8Array = bytesOf('0\r\n');

/** The status line, always HTTP/1.1, status and reason as received. Bytes: reason + 15. */
export function putStatusLine(mem: Uint8Array, at: number, head: Head): number {
  const out = put(mem, at, VERSION_SP);
  const status = head.status;
  const hundreds = (status / 100) | 0;
  const tens = (status / 10) | 0;
  mem[out] = 0x30 + hundreds;
  mem[out + 1] = 0x30 + (tens - hundreds * 10);
  mem[out + 2] = 0x30 + (status - tens * 10);
  mem[out + 3] = SP;
  return put(mem, move(mem, out + 4, head.reasonStart, head.reasonEnd), CRLF);
}

/**
 * Takes the dropped lines out of a response head in place, when nothing is to be inserted: what stands before them
 * moves up, so that the head still ends at head.end, right before its body. Returns where it now starts; the offsets in
 * `head` no longer hold. The status line becomes HTTP/1.1. -1, with nothing changed, when the status line has to be
 * written anew (there is none in place, or no space is behind the status): then use putStatusLine and copyFields.
 */
export function stripResponseInPlace(mem: Uint8Array, head: Head): number {
  if (!head.raw || mem[head.start + 12] !== SP) return -1;
  mem[head.start + 7] = 0x31;
  if (!head.drops) return head.start;
  let k = head.count - 1;
  while (!head.dropped(k)) k--;
  // From the back, so that every kept byte moves once.
  let out = head.lineEnd(k);
  while (k >= 0) {
    while (k >= 0 && head.dropped(k)) k--;
    const to = k >= 0 ? head.lineEnd(k) : head.fieldsStart;
    while (k >= 0 && !head.dropped(k)) k--;
    const from = k >= 0 ? head.nameStart(k + 1) : head.start;
    out -= to - from;
    move(mem, out, from, to);
  }
  return out;
}

/** What putChunkHead writes at the most. */
export const CHUNK_HEAD_BYTES = 16;
const HEX_DIGITS = bytesOf('0123456789abcdef');

/** chunk-size CRLF for a size from 1 to 2^53 - 1 (a size of 0 would end the body). Bytes: CHUNK_HEAD_BYTES. */
export function putChunkHead(mem: Uint8Array, at: number, size: number): number {
  let digits = 1;
  for (let v = size; v >= 16; v = Math.floor(v / 16)) digits++;
  putChunkHeadBefore(mem, at + digits + 2, size);
  return at + digits + 2;
}

/**
 * The same, ending at `end`, for data that already lies there; returns where it starts. Needs CHUNK_HEAD_BYTES before
 * `end`.
 */
export function putChunkHeadBefore(mem: Uint8Array, end: number, size: number): number {
  mem[end - 1] = 0x0a;
  mem[end - 2] = 0x0d;
  let at = end - 2;
  let v = size;
  do {
    const rest = Math.floor(v / 16);
    mem[--at] = HEX_DIGITS[v - rest * 16] as number;
    v = rest;
  } while (v > 0);
  return at;
}

/** Length of an IMF-fixdate. */
export const DATE_BYTES = 29;
const date = new Uint8Array(DATE_BYTES);
let dateSecond = -1;

/** `wallMs` (Unix time) as IMF-fixdate (RFC 9110 section 5.6.7), made once a second. Bytes: DATE_BYTES. */
export function putDate(mem: Uint8Array, at: number, wallMs: number): number {
  const second = Math.floor(wallMs / 1000);
  if (second !== dateSecond) {
    // toUTCString is specified to give just this form for the years 0 to 9999 (ECMA-262, Date.prototype.toUTCString).
    date.set(bytesOf(new Date(second * 1000).toUTCString()));
    dateSecond = second;
  }
  return put(mem, at, date);
}

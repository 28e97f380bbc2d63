// Writing of HTTP/1.1 messages into the arena. Every put function writes at `at` and returns the offset behind what it
// wrote; the caller has reserved at least the number of bytes stated at each. Sources and the place written to do not overlap,
// unless said.

import { bytesOf, put } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import { type Head, METHOD } from '../head.ts';
import { SP } from './scan.ts';

const VERSION_CRLF = bytesOf(' HTTP/1.1\r\n');
const VERSION_SP = bytesOf('HTTP/1.1 ');

export const CRLF: Uint8Array = bytesOf('\r\n');
/** Follows the data of each chunk. */
export const CHUNK_END: Uint8Array = CRLF;
/** The last chunk and an empty trailer section. */
export const LAST_CHUNK: Uint8Array = bytesOf('0\r\n\r\n');
/** The last chunk where trailers follow: then copyTrailers, then CRLF. */
export const LAST_CHUNK_SIZE: Uint8Array = bytesOf('0\r\n');

/** What putRequestLine adds to the lengths of method and target at the most. */
export const REQUEST_LINE_EXTRA = 12;

/**
 * The request line, always HTTP/1.1. `target` replaces the target when not null; else it is sent in origin-form also where it
 * came in absolute-form (RFC 9112 section 3.2.1), with "*" for OPTIONS of a whole server (section 3.2.4), and for CONNECT as it came.
 * Bytes: method + target + REQUEST_LINE_EXTRA.
 */
export function putRequestLine(mem: Uint8Array, at: number, head: Head, target: Uint8Array | null): number {
  let out = move(mem, at, head.methodStart, head.methodEnd);
  mem[out++] = SP;
  if (target !== null) out = put(mem, out, target);
  else out = putTarget(mem, out, head);
  return put(mem, out, VERSION_CRLF);
}

/** The target in the form a server wants it; bytes: target. */
export function putTarget(mem: Uint8Array, at: number, head: Head): number {
  if (head.method === METHOD.CONNECT) return move(mem, at, head.targetStart, head.targetEnd);
  // The path lies in front of the authority exactly when an absolute target has none.
  const noPath = head.pathEnd === head.authorityStart && head.pathStart > head.targetStart;
  if (!noPath) return move(mem, at, head.pathStart, head.targetEnd);
  if (head.method === METHOD.OPTIONS && !head.hasQuery) {
    mem[at] = 0x2a;
    return at + 1;
  }
  mem[at] = 0x2f;
  return head.hasQuery ? move(mem, at + 1, head.queryStart - 1, head.queryEnd) : at + 1;
}

/**
 * A Host line from head's authority, when its own Host field does not go on (it is dropped, or there is none as in HTTP/1.0,
 * where Host is then empty: RFC 9112 section 3.2); writes nothing otherwise. Bytes: authority + 8.
 */
export function putHost(mem: Uint8Array, at: number, head: Head): number {
  if (head.hostField >= 0 && !head.dropped(head.hostField)) return at;
  return putFieldRange(mem, at, HOST_NAME, head.authorityStart, head.authorityEnd);
}
const HOST_NAME = bytesOf('Host');

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
 * Copies the lines of all fields from `first` on that are not dropped, in order and as they came, neighbours in one move; without the
 * empty line.
 * May also move them down within the head itself (at <= head.fieldsStart). Bytes: head.end - head.fieldsStart - 2.
 */
export function copyFields(mem: Uint8Array, at: number, head: Head, first = 0): number {
  const { count } = head;
  let out = at;
  for (let k = first; k < count; ) {
    if (head.dropped(k)) {
      k++;
      continue;
    }
    const from = head.nameStart(k);
    while (++k < count && !head.dropped(k));
    out = move(mem, out, from, head.lineEnd(k - 1));
  }
  return out;
}

/**
 * Whether the request line can be sent on as it came: just HTTP/1.1 (not a higher minor version), in origin-form, its path not
 * moved by normalisation, and the Host field goes on, so that nothing is to be written between the line and the fields.
 */
export function keepsRequestLine(mem: Uint8Array, head: Head): boolean {
  const { hostField } = head;
  return (
    head.version === 11 &&
    mem[head.fieldsStart - 3] === 0x31 &&
    head.pathStart === head.methodEnd + 1 &&
    head.method !== METHOD.CONNECT &&
    hostField >= 0 &&
    !head.dropped(hostField)
  );
}

/** The request line as it came and the fields not dropped, as copyFields. Bytes: head.end - head.start - 2. */
export function copyLineAndFields(mem: Uint8Array, at: number, head: Head): number {
  if (!head.drops) return move(mem, at, head.methodStart, head.end - CRLF.length);
  let k = 0;
  while (!head.dropped(k)) k++;
  const out = move(mem, at, head.methodStart, k === 0 ? head.fieldsStart : head.lineEnd(k - 1));
  return copyFields(mem, out, head, k + 1);
}

/** `name: value` CRLF. Bytes: name + value + 4. */
export function putField(mem: Uint8Array, at: number, name: Uint8Array, value: Uint8Array): number {
  let out = put(mem, at, name);
  mem[out] = 0x3a;
  mem[out + 1] = SP;
  out = put(mem, out + 2, value);
  mem[out] = 0x0d;
  mem[out + 1] = 0x0a;
  return out + 2;
}

/** `name: ` mem[start, end) CRLF. Bytes: name + (end - start) + 4. */
export function putFieldRange(mem: Uint8Array, at: number, name: Uint8Array, start: number, end: number): number {
  let out = put(mem, at, name);
  mem[out] = 0x3a;
  mem[out + 1] = SP;
  out = move(mem, out + 2, start, end);
  mem[out] = 0x0d;
  mem[out + 1] = 0x0a;
  return out + 2;
}

/**
 * Takes the dropped lines out of a response head in place, when nothing is to be inserted: what stands before them moves up,
 * so that the head still ends at head.end, right before its body. Returns where it now starts; the offsets in `head` no longer hold.
 * The status line becomes HTTP/1.1. -1, with nothing changed, when the status line has to be written anew (no space
 * behind the status): then use putStatusLine and copyFields.
 */
export function stripResponseInPlace(mem: Uint8Array, head: Head): number {
  if (mem[head.start + 12] !== SP) return -1;
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

/** The same, ending at `end`, for data that already lies there; returns where it starts. Needs CHUNK_HEAD_BYTES before `end`. */
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

// Field lines (RFC 9112 section 5), the same for requests, responses and trailers, and the values that decide framing
// and connection handling.

import { bytesOf, equalLowerAt, viewOf } from '../../base/bytes.ts';
import type { Fault } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { SCANNED } from '../field-table.ts';
import { type Head, NAME } from '../head.ts';
import { CLASS, COLON, COMMA, DIGIT, HTAB, SP, TOKEN, wordOf } from './scan.ts';
import { SCAN_BAD, SCAN_FULL, SCAN_MORE, scanFields } from './scanner.ts';

/** Notes why parsing failed; returns BAD. */
export function refuse(head: Head, fault: Fault): -1 {
  head.fault = fault;
  return -1;
}

/**
 * Parses field lines from `at` up to and including the empty line that ends them, into head's table.
 * Returns the offset behind the empty line, 0 when [at, end) holds no whole section yet, -1 with head.fault when
 * refused. `malformed` is the fault for what breaks the grammar; `tooMany` the one for more than LIMITS.FIELDS
 * (RESPONSE_FIELDS). In a response (`isResponse`) white space between name and colon is removed in place, as RFC 9112
 * section 5.1 asks of a proxy.
 */
export function parseFields(
  mem: Uint8Array,
  at: number,
  end: number,
  head: Head,
  isResponse: boolean,
  malformed: Fault,
  tooMany: Fault,
): number {
  const { table } = head;
  const words = table.words;
  for (;;) {
    const behind = scanFields(mem, at, end, table);
    if (behind > 0) {
      const count = words[SCANNED.COUNT] as number;
      if (count > LIMITS.FIELDS && !isResponse) return tooManyFields(head, 'FIELDS', tooMany);
      head.count = count;
      head.seen = words[SCANNED.SEEN] as number;
      head.twice = words[SCANNED.TWICE] as number;
      head.drops = false;
      return behind;
    }
    if (behind === SCAN_MORE) return 0;
    if (behind === SCAN_FULL) {
      return tooManyFields(head, isResponse ? 'RESPONSE_FIELDS' : 'FIELDS', tooMany);
    }
    if (behind === SCAN_BAD || !isResponse) return refuse(head, malformed);
    // Rare enough to begin again: at the most once a field.
    const colon = spaceBeforeColon(mem, words[SCANNED.STOP] as number, end);
    if (colon === end) return 0;
    if (colon < 0) return refuse(head, malformed);
  }
}

function tooManyFields(head: Head, limit: LimitName, fault: Fault): -1 {
  head.limit = limit;
  return refuse(head, fault);
}

/**
 * White space between name and colon: moves the colon to `at`, spaces behind it (the same again on a second parse).
 * Returns `at` when done, `end` when the colon is not there yet, -1 when something else follows.
 */
function spaceBeforeColon(mem: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && (mem[i] === SP || mem[i] === HTAB)) i++;
  if (i === end) return end;
  if (i === at || mem[i] !== COLON) return -1;
  mem[at] = COLON;
  mem.fill(SP, at + 1, i + 1);
  return at;
}

/**
 * Value of a Content-Length field, -1 when it is not one: digits only, at most 2^53 - 1 (RFC 9110 section 8.6). Zeros
 * in front become spaces in place, and tabs around it too: whoever reads `010` as octal would find another end than we
 * do.
 */
export function parseContentLength(mem: Uint8Array, start: number, end: number): number {
  if (start === end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const c = mem[i] as number;
    if (((CLASS[c] as number) & DIGIT) === 0) return -1;
    value = value * 10 + (c - 0x30);
    if (value > Number.MAX_SAFE_INTEGER) return -1;
  }
  for (let i = start; i < end - 1 && mem[i] === ZERO; i++) mem[i] = SP;
  spacesAround(mem, start, end);
  return value;
}

/** White space around a value becomes spaces, in place. */
function spacesAround(mem: Uint8Array, start: number, end: number): void {
  for (let i = start - 1; mem[i] === HTAB || mem[i] === SP; i--) mem[i] = SP;
  for (let i = end; mem[i] === HTAB || mem[i] === SP; i++) mem[i] = SP;
}

const ZERO = 0x30;
const CHUNKED = bytesOf('chunked');
/** Results of parseTransferEncoding. */
export const CODING_CHUNKED = 0;
/** Ends in chunked, but other codings come before it. */
export const CODING_UNKNOWN = 1;
/** chunked is not the last coding, comes twice or has parameters, or the list is malformed. */
const CODING_INVALID = 2;

/**
 * What the value of a Transfer-Encoding field says (RFC 9112 sections 6.1 and 7.1). A plain `chunked` is normalised in
 * place, so that it is forwarded in a form that nobody can read in another way.
 */
export function parseTransferEncoding(mem: Uint8Array, start: number, end: number): number {
  if (end - start === 7 && equalLowerAt(mem, start, CHUNKED)) {
    mem.set(CHUNKED, start);
    spacesAround(mem, start, end);
    return CODING_CHUNKED;
  }
  let chunked = 0;
  let last = false;
  for (let at = start; at <= end; ) {
    let i = at;
    while (i < end && mem[i] !== COMMA) i++;
    let from = at;
    let to = i;
    while (from < to && (mem[from] === SP || mem[from] === HTAB)) from++;
    while (to > from && (mem[to - 1] === SP || mem[to - 1] === HTAB)) to--;
    if (from === to) return CODING_INVALID;
    for (let k = from; k < to; k++) {
      if (((CLASS[mem[k] as number] as number) & TOKEN) === 0) return CODING_INVALID;
    }
    last = to - from === 7 && equalLowerAt(mem, from, CHUNKED);
    if (last) chunked++;
    at = i + 1;
  }
  return last && chunked === 1 ? CODING_UNKNOWN : CODING_INVALID;
}

// What the Connection fields of a head say, as bits.
export const CONNECTION_CLOSE = 1;
export const CONNECTION_KEEP_ALIVE = 2;
export const CONNECTION_UPGRADE = 4;

const CLOS = wordOf('clos');
const KEEP = wordOf('keep');
const ALI = wordOf('-ali');
const LIVE = wordOf('live');
/** Folds letters in a word (names.ts); a field value has no control byte that it could turn into '-'. */
const FOLD = 0x20202020;
const UPGRADE = bytesOf('upgrade');

/**
 * Reads every Connection field and marks the fields it names as not forwarded (RFC 9110 section 7.6.1). Host,
 * Content-Length and Transfer-Encoding cannot be named away: routing and framing are what the codec decided. Returns
 * CONNECTION_* bits, or -1 when there are more than LIMITS.CONNECTION_OPTIONS options.
 */
export function connectionOptions(mem: Uint8Array, head: Head): number {
  const words = viewOf(mem);
  let bits = 0;
  let options = 0;
  for (let field = 0; field < head.count; field++) {
    if (head.name(field) !== NAME.CONNECTION) continue;
    const end = head.valueEnd(field);
    let at = head.valueStart(field);
    // By far the most common values, alone.
    if (end - at === 10 && isKeepAlive(words, at)) {
      bits |= CONNECTION_KEEP_ALIVE;
      continue;
    }
    if (end - at === 5 && isClose(mem, words, at)) {
      bits |= CONNECTION_CLOSE;
      continue;
    }
    while (at < end) {
      let i = at;
      while (i < end && mem[i] !== COMMA) i++;
      let from = at;
      let to = i;
      while (from < to && (mem[from] === SP || mem[from] === HTAB)) from++;
      while (to > from && (mem[to - 1] === SP || mem[to - 1] === HTAB)) to--;
      at = i + 1;
      if (++options > LIMITS.CONNECTION_OPTIONS) {
        head.limit = 'CONNECTION_OPTIONS';
        return -1;
      }
      const length = to - from;
      if (length === 5 && isClose(mem, words, from)) bits |= CONNECTION_CLOSE;
      else if (length === 10 && isKeepAlive(words, from)) bits |= CONNECTION_KEEP_ALIVE;
      else if (length === 7 && equalLowerAt(mem, from, UPGRADE)) bits |= CONNECTION_UPGRADE;
      else if (length > 0) dropNamed(mem, head, from, to);
    }
  }
  return bits;
}

function isKeepAlive(words: DataView, at: number): boolean {
  return (
    (words.getInt32(at, true) | FOLD) === KEEP &&
    (words.getInt32(at + 4, true) | FOLD) === ALI &&
    (words.getInt32(at + 6, true) | FOLD) === LIVE
  );
}

function isClose(mem: Uint8Array, words: DataView, at: number): boolean {
  return (words.getInt32(at, true) | FOLD) === CLOS && ((mem[at + 4] as number) | 0x20) === 0x65;
}

function dropNamed(mem: Uint8Array, head: Head, from: number, to: number): void {
  const length = to - from;
  for (let field = 0; field < head.count; field++) {
    const start = head.nameStart(field);
    if (head.nameEnd(field) - start !== length || !equalFold(mem, start, from, length)) continue;
    const id = head.name(field);
    if (id === NAME.HOST || id === NAME.CONTENT_LENGTH || id === NAME.TRANSFER_ENCODING) continue;
    head.drop(field);
  }
}

function equalFold(mem: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    let x = mem[a + i] as number;
    let y = mem[b + i] as number;
    if (x >= 0x41 && x <= 0x5a) x |= 0x20;
    if (y >= 0x41 && y <= 0x5a) y |= 0x20;
    if (x !== y) return false;
  }
  return true;
}

/** Whether the comma-separated list [start, end) has the element `lower` (lower case), without parameters. */
export function listHas(mem: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  for (let at = start; at < end; ) {
    let i = at;
    while (i < end && mem[i] !== COMMA) i++;
    let from = at;
    let to = i;
    while (from < to && (mem[from] === SP || mem[from] === HTAB)) from++;
    while (to > from && (mem[to - 1] === SP || mem[to - 1] === HTAB)) to--;
    if (to - from === lower.length && equalLowerAt(mem, from, lower)) return true;
    at = i + 1;
  }
  return false;
}

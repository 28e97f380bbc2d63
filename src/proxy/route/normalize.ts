// Paths are normalised before they are matched and forwarded as matched, so that a rule and the backend behind it can
// never read the same path differently (`/public/../admin`, `/%61dmin`, `//admin`).

import { viewOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Head } from '../head.ts';
import { escapedAt } from './conditions.ts';

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const BACKSLASH = 0x5c;
const SEMICOLON = 0x3b;

/** 1 for the octets that never need escaping (RFC 3986 section 2.3). */
const UNRESERVED = new Uint8Array(256);
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~') UNRESERVED[c.charCodeAt(0)] = 1;
const HEX = new Uint8Array(16);
for (let i = 0; i < 16; i++) HEX[i] = '0123456789ABCDEF'.charCodeAt(i);

const scratch = new Uint8Array(LIMITS.URI_BYTES);
/** Bytes of the last path in `scratch`, normalised but for its runs of slashes; 0: it had none. */
let unmerged = 0;

/**
 * Normalises the path in mem[start..end) in place, keeping its end where it is (the query follows), and returns where
 * it begins now; -1 when it must be refused with 400. A path that does not begin with '/' ('*', or none) is left alone.
 *
 * - escapes of unreserved characters are decoded, the hexadecimal digits of others written in upper case (RFC 3986
 *   section 6.2.2.1 and 6.2.2.2); a reserved character stays escaped (`%2F` is data, not a separator: section 2.2);
 * - dot segments are removed (section 6.2.2.3), then runs of slashes become one, as Envoy does with `normalize_path`
 *   and `merge_slashes`;
 * - refused: a path that leaves the root, a broken escape (decoding around it could make a new one), `%00`, and dot
 *   segments that show only when `%2F`, `%5C` or a backslash is read as a separator, as some backends do
 *   (`/a/..%2Fadmin`), or when parameters are taken off first, as servlet containers do (`/a/..;x/admin`).
 */
export function normalizePath(mem: Uint8Array, start: number, end: number): number {
  unmerged = 0;
  if (start === end || mem[start] !== SLASH || isPlain(mem, start, end)) return start;
  if (end - start > scratch.length) return -1;
  const length = normalizeInto(scratch, mem, start, end);
  if (length < 0) return -1;
  const merged = length - repeatedSlashes(scratch, length);
  if (merged < length) unmerged = length;
  let at = end - merged;
  const first = at;
  for (let i = 0; i < length; i++) if (!isRepeated(scratch, i)) mem[at++] = scratch[i] as number;
  return first;
}

/** Normalises the path of a request head (its target becomes the origin form of it); false when it must be refused. */
export function normalizeTarget(mem: Uint8Array, head: Head): boolean {
  const start = normalizePath(mem, head.pathStart, head.pathEnd);
  if (start === head.pathStart) return true;
  if (start < 0) return false;
  head.pathStart = start;
  head.targetStart = start;
  return true;
}

/**
 * The path of `head`, which normalizeTarget has just normalised, has its runs of slashes again: what came with `//` in
 * it goes on so, as from nginx. Returns how much of it `prefixLength` bytes of the merged one are now.
 */
export function keepSlashes(mem: Uint8Array, head: Head, prefixLength: number): number {
  const length = unmerged;
  if (length === 0) return prefixLength;
  // There is room: it was no shorter when it came.
  const start = head.pathEnd - length;
  let left = prefixLength;
  let prefix = 0;
  for (let i = 0; i < length; i++) {
    mem[start + i] = scratch[i] as number;
    if (!isRepeated(scratch, i)) left--;
    if (left >= 0) prefix = i + 1;
  }
  head.pathStart = start;
  head.targetStart = start;
  return prefix;
}

/**
 * Writes the normalised path mem[start..end) to `to`, of URI_BYTES, as the most lenient backend reads it: `%2F`, `%5C`
 * and backslashes are slashes, parameters (`;x`) are taken off. Returns its length.
 */
export function plainestPath(to: Uint8Array, mem: Uint8Array, start: number, end: number): number {
  let at = 0;
  for (let i = start; i < end; ) {
    const width = separatorAt(mem, i, end);
    if (width > 0) {
      if (at === 0 || to[at - 1] !== SLASH) to[at++] = SLASH;
      i += width;
    } else if (isParameter(mem, i, end)) {
      while (i < end && separatorAt(mem, i, end) === 0) i++;
    } else to[at++] = mem[i++] as number;
  }
  return at;
}

/** Normalises a path of the configuration; null when it is refused. */
export function normalizedPath(path: Uint8Array): Uint8Array | null {
  const copy = path.slice();
  const start = normalizePath(copy, 0, copy.length);
  return start < 0 ? null : copy.subarray(start);
}

/** No escape, no backslash, no '/.' and no '//': nothing to do. May say no for nothing (a borrow), never yes. */
function isPlain(mem: Uint8Array, start: number, end: number): boolean {
  const words = viewOf(mem);
  let i = start;
  // Four bytes a step: a zero byte in a difference marks the octet looked for.
  let slashes = 0;
  for (; i + 4 <= end; i += 4) {
    const w = words.getInt32(i, true);
    const percent = w ^ 0x25252525;
    const backslash = w ^ 0x5c5c5c5c;
    const slash = w ^ 0x2f2f2f2f;
    // '.' and '/' differ in their lowest bit.
    const dot = (w | 0x01010101) ^ 0x2f2f2f2f;
    const behind = (slashes >>> 24) | 0;
    slashes = (slash - 0x01010101) & ~slash & 0x80808080;
    const dots = (dot - 0x01010101) & ~dot;
    const escapes = ((percent - 0x01010101) & ~percent) | ((backslash - 0x01010101) & ~backslash);
    if (((escapes & 0x80808080) | (((slashes << 8) | behind) & dots)) !== 0) return false;
  }
  let previous = i > start ? (mem[i - 1] as number) : 0;
  for (; i < end; i++) {
    const c = mem[i] as number;
    if (c === PERCENT || c === BACKSLASH) return false;
    if (previous === SLASH && (c === DOT || c === SLASH)) return false;
    previous = c;
  }
  return true;
}

/** All but the runs of slashes. Returns its length; -1 when it is refused. */
function normalizeInto(to: Uint8Array, mem: Uint8Array, start: number, end: number): number {
  const decoded = decodeUnreserved(to, mem, start, end);
  if (decoded < 0 || hidesDotSegment(to, decoded)) return -1;
  return removeDotSegments(to, decoded);
}

function decodeUnreserved(to: Uint8Array, mem: Uint8Array, start: number, end: number): number {
  let at = 0;
  for (let i = start; i < end; i++) {
    const c = mem[i] as number;
    if (c !== PERCENT) {
      to[at++] = c;
      continue;
    }
    const octet = escapedAt(mem, i, end);
    if (octet <= 0) return -1;
    if (UNRESERVED[octet] === 1) to[at++] = octet;
    else {
      to[at++] = PERCENT;
      to[at++] = HEX[octet >> 4] as number;
      to[at++] = HEX[octet & 15] as number;
    }
    i += 2;
  }
  return at;
}

/** A '.' or '..' bounded by an escaped or backward slash on at least one side, or one with parameters ('..;x'). */
function hidesDotSegment(path: Uint8Array, length: number): boolean {
  let segment = 0;
  let odd = false;
  for (let i = 0; i <= length; ) {
    const width = separatorAt(path, i, length);
    if (width === 0) {
      i++;
      continue;
    }
    const plain = width === 1 && path[i] !== BACKSLASH;
    const stop = parameters(path, segment, i);
    if (isDots(path, segment, stop) && (odd || !plain || stop < i)) return true;
    odd = !plain;
    i += width;
    segment = i;
  }
  return false;
}

/** Where the parameters of the segment begin: at ';' or %3B; `end` when it has none. */
function parameters(path: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    if (isParameter(path, i, end)) return i;
  }
  return end;
}

function isParameter(path: Uint8Array, i: number, end: number): boolean {
  return path[i] === SEMICOLON || (path[i] === PERCENT && escapedAt(path, i, end) === SEMICOLON);
}

/** Width of what some reader takes for a slash at path[i]: '/', '\', %2F, %5C, or the end (1); 0 for anything else. */
function separatorAt(path: Uint8Array, i: number, length: number): number {
  if (i === length) return 1;
  const c = path[i];
  if (c === SLASH || c === BACKSLASH) return 1;
  if (c !== PERCENT) return 0;
  const octet = escapedAt(path, i, length);
  return octet === SLASH || octet === BACKSLASH ? 3 : 0;
}

function isDots(path: Uint8Array, start: number, end: number): boolean {
  if (end - start === 1) return path[start] === DOT;
  return end - start === 2 && path[start] === DOT && path[start + 1] === DOT;
}

/** RFC 3986 section 5.2.4 in place, except that going above the root is an error (-1). */
function removeDotSegments(path: Uint8Array, length: number): number {
  let at = 0;
  for (let i = 0; i < length; ) {
    // path[i] is a slash; the segment is behind it.
    let stop = i + 1;
    while (stop < length && path[stop] !== SLASH) stop++;
    if (!isDots(path, i + 1, stop)) {
      path.copyWithin(at, i, stop);
      at += stop - i;
    } else {
      if (stop - i === 3) {
        if (at === 0) return -1;
        do at--;
        while (path[at] !== SLASH);
      }
      // A dot segment at the end leaves its slash: '/a/.' and '/a/b/..' are '/a/'.
      if (stop === length) path[at++] = SLASH;
    }
    i = stop;
  }
  return at;
}

function isRepeated(path: Uint8Array, i: number): boolean {
  return i > 0 && path[i] === SLASH && path[i - 1] === SLASH;
}

function repeatedSlashes(path: Uint8Array, length: number): number {
  let repeated = 0;
  for (let i = 1; i < length; i++) if (isRepeated(path, i)) repeated++;
  return repeated;
}

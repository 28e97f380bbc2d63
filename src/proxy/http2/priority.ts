// Priorities that a client says (RFC 9218): how urgent a response is, and whether parts of it are of use.

import { bytesOf, equalLowerAt } from '../../base/bytes.ts';
import type { Head } from '../head.ts';

export const URGENCIES = 8;
/** Section 4.1. */
export const URGENCY = 3;
/** Bit of a priority beside its urgency. */
const INCREMENTAL = 8;
/**
 * Of who says nothing: takes turns with others. Section 4.2 has `i` off where it is not said; a large response of a
 * client that knows nothing of priorities would then hold up all its others.
 */
export const UNSAID = URGENCY | INCREMENTAL;

const PRIORITY = bytesOf('priority');
const SP = 0x20;
const TAB = 0x09;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUESTION = 0x3f;
const ZERO = 0x30;
const ONE = 0x31;
const U = 0x75;
const I = 0x69;

export function urgencyOf(priority: number): number {
  return priority & (INCREMENTAL - 1);
}

export function isIncremental(priority: number): boolean {
  return (priority & INCREMENTAL) !== 0;
}

/** The priority that the fields of a request say. Of several fields the last counts (RFC 9651 section 4.2). */
export function priorityOf(mem: Uint8Array, head: Head): number {
  let priority = UNSAID;
  for (let k = 0; k < head.count; k++) {
    const start = head.nameStart(k);
    if (head.nameEnd(k) - start !== PRIORITY.length || !equalLowerAt(mem, start, PRIORITY)) continue;
    priority = parsePriority(mem, head.valueStart(k), head.valueEnd(k));
  }
  return priority;
}

/**
 * The priority in mem[start..end), a dictionary (RFC 9651 section 3.2) of which `u` and `i` are known. What is of
 * another type or range is as if it were not there (section 4); members that are not known are skipped.
 */
export function parsePriority(mem: Uint8Array, start: number, end: number): number {
  let urgency = URGENCY;
  let incremental = 0;
  let at = start;
  while (at < end) {
    while (at < end && (mem[at] === SP || mem[at] === TAB || mem[at] === COMMA)) at++;
    const key = at;
    while (at < end && mem[at] !== COMMA && mem[at] !== SEMICOLON && mem[at] !== SP && mem[at] !== TAB) at++;
    const bytes = at - key;
    if (mem[key] === U && bytes === 3 && mem[key + 1] === EQUALS) {
      const digit = (mem[key + 2] as number) - ZERO;
      if (digit >= 0 && digit < URGENCIES) urgency = digit;
    } else if (mem[key] === I && bytes === 1) {
      incremental = INCREMENTAL;
    } else if (mem[key] === I && bytes === 4 && mem[key + 1] === EQUALS && mem[key + 2] === QUESTION) {
      if (mem[key + 3] === ONE) incremental = INCREMENTAL;
      else if (mem[key + 3] === ZERO) incremental = 0;
    }
    // Parameters, and whatever else stands there.
    while (at < end && mem[at] !== COMMA) at++;
  }
  return urgency | incremental;
}

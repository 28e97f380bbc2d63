// The conditions of a match besides host and path: request headers and query parameters.

import { bytesOf } from '../../base/bytes.ts';
import { Regex } from '../../base/regex.ts';
import type { ValueMatch } from '../../ir/ir.ts';
import { FieldName } from '../field-name.ts';
import { type Head, NAME } from '../head.ts';

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const SPACE = 0x20;
const EQUALS = 0x3d;
const AMPERSAND = 0x26;
const PERCENT = 0x25;
const PLUS = 0x2b;

/**
 * Fields that are not forwarded but say what the client wants of the proxy: rules may ask for them (`Upgrade:
 * websocket`).
 */
const FOR_THE_PROXY = new Uint8Array(256);
for (const id of [
  NAME.CONNECTION,
  NAME.CONTENT_LENGTH,
  NAME.TRANSFER_ENCODING,
  NAME.TE,
  NAME.TRAILER,
  NAME.UPGRADE,
  NAME.KEEP_ALIVE,
  NAME.PROXY_CONNECTION,
  NAME.PROXY_AUTHORIZATION,
  NAME.EXPECT,
  NAME.HTTP2_SETTINGS,
]) {
  FOR_THE_PROXY[id] = 1;
}

/**
 * A field of the request. Its value is that of all field lines of the name, joined by ',' in order (RFC 9110 section
 * 5.3, and as Envoy does since CVE-2020-25017: with the first line alone, a second one could slip past a match). Cookie
 * lines are joined by '; ' (RFC 9113 section 8.2.3). A field that was discarded (X-Forwarded-* of an untrusted client,
 * or named in Connection) is not seen: no rule may follow what the backend will not get.
 */
export class HeaderCondition {
  readonly #name: FieldName;
  readonly #value: Uint8Array;
  readonly #regex: Regex | null;

  constructor(match: ValueMatch) {
    this.#name = new FieldName(match.name);
    this.#value = bytesOf(match.value);
    this.#regex = match.type === 'RegularExpression' ? new Regex(match.value) : null;
  }

  holds(mem: Uint8Array, head: Head): boolean {
    return this.#regex === null ? this.#equals(mem, head) : this.#matches(mem, head, this.#regex);
  }

  #sees(mem: Uint8Array, head: Head, i: number): boolean {
    return this.#name.is(mem, head, i) && (!head.dropped(i) || FOR_THE_PROXY[this.#name.id] === 1);
  }

  #equals(mem: Uint8Array, head: Head): boolean {
    const value = this.#value;
    let at = -1;
    for (let i = 0; i < head.count; i++) {
      if (!this.#sees(mem, head, i)) continue;
      if (at < 0) at = 0;
      else if (this.#name.id === NAME.COOKIE) {
        if (value[at++] !== SEMICOLON || value[at++] !== SPACE) return false;
      } else if (value[at++] !== COMMA) return false;
      const end = head.valueEnd(i);
      for (let from = head.valueStart(i); from < end; from++) if (mem[from] !== value[at++]) return false;
    }
    return at === value.length;
  }

  #matches(mem: Uint8Array, head: Head, regex: Regex): boolean {
    let first = -1;
    let lines = 0;
    let length = 0;
    for (let i = 0; i < head.count; i++) {
      if (!this.#sees(mem, head, i)) continue;
      if (lines++ === 0) first = i;
      length += head.valueEnd(i) - head.valueStart(i) + 2;
    }
    if (lines === 0) return false;
    if (lines === 1) return regex.matches(mem, head.valueStart(first), head.valueEnd(first));
    const joined = new Uint8Array(length);
    let at = 0;
    for (let i = first; i < head.count; i++) {
      if (!this.#sees(mem, head, i)) continue;
      if (i !== first) {
        joined[at++] = this.#name.id === NAME.COOKIE ? SEMICOLON : COMMA;
        if (this.#name.id === NAME.COOKIE) joined[at++] = SPACE;
      }
      joined.set(mem.subarray(head.valueStart(i), head.valueEnd(i)), at);
      at += head.valueEnd(i) - head.valueStart(i);
    }
    return regex.matches(joined, 0, at);
  }
}

/**
 * A parameter of the query, read as a form (`application/x-www-form-urlencoded`): split at '&', name and value at the
 * first '=', '+' is a space, percent-encoded octets decoded, broken escapes taken as they stand. Only the first
 * parameter of the name counts, as the Gateway API recommends.
 */
export class QueryCondition {
  readonly #name: Uint8Array;
  readonly #value: Uint8Array;
  readonly #regex: Regex | null;

  constructor(match: ValueMatch) {
    this.#name = bytesOf(match.name);
    this.#value = bytesOf(match.value);
    this.#regex = match.type === 'RegularExpression' ? new Regex(match.value) : null;
  }

  holds(mem: Uint8Array, head: Head): boolean {
    const end = head.queryEnd;
    for (let at = head.queryStart; at < end; ) {
      let equals = -1;
      let stop = at;
      for (; stop < end && mem[stop] !== AMPERSAND; stop++) if (equals < 0 && mem[stop] === EQUALS) equals = stop;
      if (equals < 0) equals = stop;
      if (equalsDecoded(mem, at, equals, this.#name)) {
        const value = equals < stop ? equals + 1 : stop;
        if (this.#regex === null) return equalsDecoded(mem, value, stop, this.#value);
        const decoded = new Uint8Array(stop - value);
        return this.#regex.matches(decoded, 0, decode(mem, value, stop, decoded));
      }
      at = stop + 1;
    }
    return false;
  }
}

/** Whether mem[start..end), decoded, is `expected`. */
function equalsDecoded(mem: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  let at = 0;
  for (let i = start; i < end; i++) {
    let c = mem[i] as number;
    if (c === PLUS) c = SPACE;
    else if (c === PERCENT) {
      const octet = escapedAt(mem, i, end);
      if (octet >= 0) {
        c = octet;
        i += 2;
      }
    }
    if (expected[at++] !== c) return false;
  }
  return at === expected.length;
}

function decode(mem: Uint8Array, start: number, end: number, to: Uint8Array): number {
  let at = 0;
  for (let i = start; i < end; i++) {
    const c = mem[i] as number;
    const octet = c === PERCENT ? escapedAt(mem, i, end) : -1;
    to[at++] = octet >= 0 ? octet : c === PLUS ? SPACE : c;
    if (octet >= 0) i += 2;
  }
  return at;
}

/** The octet that the escape beginning at mem[at] (a '%') stands for, -1 if it is broken. */
export function escapedAt(mem: Uint8Array, at: number, end: number): number {
  if (at + 2 >= end) return -1;
  const high = hexDigit(mem[at + 1] as number);
  const low = hexDigit(mem[at + 2] as number);
  return high < 0 || low < 0 ? -1 : (high << 4) | low;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

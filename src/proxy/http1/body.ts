// Reads message bodies (RFC 9112 sections 6.3 and 7): a state machine that hands out one range of content per call and
// keeps no bytes of its own, so that a body may come in pieces of any size. The only bytes a caller keeps are an
// unfinished trailer section.

import { FAULTS } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { BODY, Head, NAME } from '../head.ts';
import { parseFields } from './fields.ts';
import { CLASS, CR, findHeadEnd, HTAB, LF, SP, TOKEN, VALUE } from './scan.ts';

export const BODY_STATE = {
  /** The body cannot be read on; `limit` says which limit it was, if it was one. The connection is closed. */
  BAD: -1,
  /**
   * More bytes are needed. `next` is `end`, or the start of an unfinished trailer section: keep [next, end) and present
   * it again.
   */
  MORE: 0,
  /** [dataStart, dataEnd) is content, never empty; call again from `next`. */
  DATA: 1,
  /**
   * [trailersStart, trailersEnd) is a complete, valid trailer section with at least one field; call again from `next`
   * for END.
   */
  TRAILERS: 2,
  /** The body is over; `next` is the first byte behind it. */
  END: 3,
} as const;
export type BodyState = (typeof BODY_STATE)[keyof typeof BODY_STATE];

// States of the chunk machine.
const SIZE_FIRST = 0;
const SIZE = 1;
/** White space behind the size: only ';' may follow. */
const BEFORE_EXT = 2;
const EXT_NAME_FIRST = 3;
const EXT_NAME = 4;
/** White space behind an extension's name: '=' or ';' may follow. */
const AFTER_EXT_NAME = 5;
const EXT_VALUE_FIRST = 6;
const EXT_VALUE = 7;
const EXT_QUOTED = 8;
const EXT_QUOTED_PAIR = 9;
const AFTER_EXT_QUOTED = 10;
const SIZE_LF = 11;
const CONTENT = 12;
const CONTENT_CR = 13;
const CONTENT_LF = 14;
const TRAILER_SECTION = 15;
const OVER = 16;

/** Scratch table for checking trailers: one section at a time, nothing of it outlives the call. */
const scratch = new Head();

export class BodyReader {
  dataStart = 0;
  dataEnd = 0;
  /** Bytes of content that the last call handed out; what else it consumed is framing. */
  dataBytes = 0;
  /** First byte not consumed by the last call. */
  next = 0;
  trailersStart = 0;
  trailersEnd = 0;
  limit: LimitName | null = null;

  /** BODY of head.ts. */
  kind = BODY.NONE as number;
  /** Content bytes still to come: of the body (LENGTH) or of the chunk. */
  remaining = 0;
  /** Content bytes handed out so far. */
  total = 0;
  #state = OVER;
  /** White space may end a chunk's line. */
  #padded = false;
  /** Bytes of the chunk size line so far. */
  #line = 0;
  /** Bytes of the trailer section that were searched for its end. */
  #scanned = 0;

  /**
   * Begins a body as its head says: kind head.body, length head.contentLength. `padded`: white space at the end of a
   * chunk's line is skipped, as some servers send it (they write sizes of a fixed width); RFC 9112 section 7.1 has no
   * place for it, and in a request others may read it otherwise.
   */
  reset(kind: number, length: number, padded = false): void {
    this.kind = kind;
    this.#padded = padded;
    this.remaining = kind === BODY.LENGTH ? length : 0;
    this.total = 0;
    this.limit = null;
    this.#state = kind === BODY.CHUNKED ? SIZE_FIRST : OVER;
    this.#line = 0;
    this.#scanned = 0;
  }

  /** Reads on in mem[start, end). */
  read(mem: Uint8Array, start: number, end: number): BodyState {
    this.dataBytes = 0;
    if (this.kind === BODY.CHUNKED) return this.#chunked(mem, start, end);
    if (this.kind === BODY.UNTIL_CLOSE) return this.#content(start, end, end - start);
    if (this.remaining > 0) return this.#content(start, end, this.remaining);
    this.next = start;
    return BODY_STATE.END;
  }

  #content(start: number, end: number, wanted: number): BodyState {
    const n = Math.min(wanted, end - start);
    if (n === 0) {
      this.next = start;
      return BODY_STATE.MORE;
    }
    this.dataStart = start;
    this.dataEnd = start + n;
    this.dataBytes = n;
    this.next = start + n;
    this.total += n;
    if (this.kind !== BODY.UNTIL_CLOSE) this.remaining -= n;
    return BODY_STATE.DATA;
  }

  #chunked(mem: Uint8Array, start: number, end: number): BodyState {
    let state = this.#state;
    let line = this.#line;
    let i = start;
    while (i < end) {
      if (state === CONTENT) {
        const answer = this.#content(i, end, this.remaining);
        this.#state = this.remaining === 0 ? CONTENT_CR : CONTENT;
        return answer;
      }
      if (state === CONTENT_CR) {
        // The data is followed by exactly CRLF (RFC 9112 section 7.1).
        if (mem[i] !== CR) return this.#bad(null);
        state = CONTENT_LF;
        i++;
        continue;
      }
      if (state === CONTENT_LF) {
        if (mem[i] !== LF) return this.#bad(null);
        state = SIZE_FIRST;
        line = 0;
        i++;
        continue;
      }
      if (state === TRAILER_SECTION) return this.#trailers(mem, i, end);
      if (state === OVER) break;
      if (state === SIZE_LF) {
        if (mem[i] !== LF) return this.#bad(null);
        state = this.remaining === 0 ? TRAILER_SECTION : CONTENT;
        this.#state = state;
        this.#scanned = 0;
        i++;
        continue;
      }
      const c = mem[i] as number;
      if (++line > LIMITS.CHUNK_LINE_BYTES) return this.#bad('CHUNK_LINE_BYTES');
      if (state <= SIZE) {
        const digit = HEX_VALUE[c] as number;
        if (digit < 16) {
          if (state === SIZE_FIRST) this.remaining = 0;
          state = SIZE;
          this.remaining = this.remaining * 16 + digit;
          if (this.remaining > Number.MAX_SAFE_INTEGER) return this.#bad(null);
          i++;
          continue;
        }
        if (state === SIZE_FIRST) return this.#bad(null);
      }
      state =
        this.#padded && c === CR && (state === BEFORE_EXT || state === AFTER_EXT_NAME) ? SIZE_LF : afterSize(state, c);
      if (state < 0) return this.#bad(null);
      i++;
    }
    this.#state = state;
    this.#line = line;
    this.next = i;
    return state === OVER ? BODY_STATE.END : BODY_STATE.MORE;
  }

  /** The trailer section begins at `start` (RFC 9112 section 7.1.2). */
  #trailers(mem: Uint8Array, start: number, end: number): BodyState {
    this.#state = TRAILER_SECTION;
    this.next = start;
    if (mem[start] === CR) {
      if (start + 1 === end) return BODY_STATE.MORE;
      if (mem[start + 1] !== LF) return this.#bad(null);
      this.#state = OVER;
      this.next = start + 2;
      return BODY_STATE.END;
    }
    if (((CLASS[mem[start] as number] as number) & TOKEN) === 0) return this.#bad(null);
    // Search new bytes only, then parse once: O(n) however it comes.
    const sectionEnd = findHeadEnd(mem, start + Math.max(0, this.#scanned - 3), end);
    if (sectionEnd < 0) {
      this.#scanned = end - start;
      return this.#scanned >= LIMITS.TRAILER_BYTES ? this.#bad('TRAILER_BYTES') : BODY_STATE.MORE;
    }
    if (sectionEnd - start > LIMITS.TRAILER_BYTES) return this.#bad('TRAILER_BYTES');
    const parsed = parseFields(mem, start, sectionEnd, scratch, false, FAULTS.badRequest, FAULTS.headTooLarge);
    if (parsed !== sectionEnd) return this.#bad(null);
    // A framing field in a trailer section is nothing but an attempt (RFC 9110 section 6.5.1).
    if (scratch.find(NAME.CONTENT_LENGTH) >= 0 || scratch.find(NAME.TRANSFER_ENCODING) >= 0) return this.#bad(null);
    this.trailersStart = start;
    this.trailersEnd = sectionEnd;
    this.next = sectionEnd;
    this.#state = OVER;
    return BODY_STATE.TRAILERS;
  }

  #bad(limit: LimitName | null): BodyState {
    this.limit = limit;
    return BODY_STATE.BAD;
  }
}

/** Value of a hexadecimal digit, 255 for any other byte. */
const HEX_VALUE = new Uint8Array(256).fill(255);
for (let d = 0; d < 16; d++) {
  HEX_VALUE[d.toString(16).charCodeAt(0)] = d;
  HEX_VALUE[d.toString(16).toUpperCase().charCodeAt(0)] = d;
}

/**
 * Next state for byte `c` behind the digits of a chunk size, -1 when it may not stand there. Extensions (RFC 9112
 * section 7.1.1) are checked and ignored: a CR is only allowed where the line ends, a bare LF nowhere, since readers
 * that take either for a line end, or neither, see other chunks than we do.
 */
function afterSize(state: number, c: number): number {
  const space = c === SP || c === HTAB;
  const token = ((CLASS[c] as number) & TOKEN) !== 0;
  switch (state) {
    case SIZE:
      return c === CR ? SIZE_LF : c === SEMICOLON ? EXT_NAME_FIRST : space ? BEFORE_EXT : -1;
    case BEFORE_EXT:
      return c === SEMICOLON ? EXT_NAME_FIRST : space ? BEFORE_EXT : -1;
    case EXT_NAME_FIRST:
      return token ? EXT_NAME : space ? EXT_NAME_FIRST : -1;
    case EXT_NAME:
      if (token) return EXT_NAME;
      return c === CR
        ? SIZE_LF
        : c === SEMICOLON
          ? EXT_NAME_FIRST
          : c === EQUALS
            ? EXT_VALUE_FIRST
            : space
              ? AFTER_EXT_NAME
              : -1;
    case AFTER_EXT_NAME:
      return c === EQUALS ? EXT_VALUE_FIRST : c === SEMICOLON ? EXT_NAME_FIRST : space ? AFTER_EXT_NAME : -1;
    case EXT_VALUE_FIRST:
      return token ? EXT_VALUE : c === QUOTE ? EXT_QUOTED : space ? EXT_VALUE_FIRST : -1;
    case EXT_VALUE:
      if (token) return EXT_VALUE;
      return c === CR ? SIZE_LF : c === SEMICOLON ? EXT_NAME_FIRST : space ? BEFORE_EXT : -1;
    case EXT_QUOTED:
      return c === QUOTE
        ? AFTER_EXT_QUOTED
        : c === BACKSLASH
          ? EXT_QUOTED_PAIR
          : (CLASS[c] as number) & VALUE
            ? EXT_QUOTED
            : -1;
    case EXT_QUOTED_PAIR:
      return (CLASS[c] as number) & VALUE ? EXT_QUOTED : -1;
    case AFTER_EXT_QUOTED:
      return c === CR ? SIZE_LF : c === SEMICOLON ? EXT_NAME_FIRST : space ? BEFORE_EXT : -1;
    default:
      return -1;
  }
}
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

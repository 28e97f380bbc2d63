// A field section that was decoded: lines in the arena, with those of the pseudo-fields in front, and the table of the
// others in a Head (docs/adr/0009-the-middle.md). One is reused for all of a worker.

import { LIMITS, type LimitName } from '../../../base/limits.ts';
import { move } from '../../../base/memory.ts';
import { FIELD } from '../../field-table.ts';
import { bitsOf, type Head, NAME } from '../../head.ts';
import { PSEUDO } from './static-table.ts';

/**
 * Bytes of the arena that a section needs when it is decoded of a block of `blockBytes`: what may stand in it, and one
 * field more, which is either of the table or, by its code, at most 8/5 of what came.
 */
export function sectionBytes(blockBytes: number): number {
  return LIMITS.HEAD_BYTES + LIMITS.HTTP2_HEADER_TABLE_BYTES + Math.ceil((blockBytes * 8) / 5) + 64;
}

/**
 * Most bytes of a section on the wire: one that is decoded is refused by itself where it is too large, and the others
 * on its connection go on; of one that is not, the connection has to end. As much as may come in HTTP2_CONTINUATIONS
 * frames, or nearly.
 */
export const BLOCK_BYTES = 4 * LIMITS.HEAD_BYTES;

/** Bits of a field's info besides its NAME id (low eight) and its PSEUDO (next four): name or value is none. */
export const INFO_PSEUDO = 8;
export const INFO_MALFORMED = 1 << 12;

/** Fields of one connection, which HTTP/2 does not have (RFC 9113 section 8.2.2). */
export const OF_CONNECTION = bitsOf(
  NAME.CONNECTION,
  NAME.KEEP_ALIVE,
  NAME.PROXY_CONNECTION,
  NAME.TRANSFER_ENCODING,
  NAME.UPGRADE,
);

const SPACE = 0x20;
const SEMICOLON = 0x3b;
const CR = 0x0d;
const LF = 0x0a;

export class FieldSection {
  head: Head;
  /** Bit of each PSEUDO that came, and where its value stands. */
  pseudo = 0;
  readonly starts = new Int32Array(8);
  readonly ends = new Int32Array(8);
  /** Something of it breaks RFC 9113 section 8.2 or 8.3: bytes of names and values, order, repetition. */
  malformed = false;
  /** The limit that it is beyond; what was decoded is then of no use. */
  limit: LimitName | null = null;
  /** Its size as section 10.5.1 counts it, also of what was thrown away. */
  size = 0;
  /** Where the next line goes. */
  out = 0;
  #most = 0;
  #mostName: LimitName = 'FIELDS';
  #joins = false;

  constructor(head: Head) {
    this.head = head;
  }

  /**
   * Begins a new one at `at` of the arena, where sectionBytes are free, with its table in `head`. `joins`: pieces of a
   * cookie that come one behind the other are one field (RFC 9113 section 8.2.3).
   */
  open(head: Head, at: number, isResponse: boolean, joins = false): void {
    this.head = head;
    this.#joins = joins;
    this.pseudo = 0;
    this.malformed = false;
    this.limit = null;
    this.size = 0;
    this.out = at;
    this.#mostName = isResponse ? 'RESPONSE_FIELDS' : 'FIELDS';
    this.#most = LIMITS[this.#mostName];
    head.raw = false;
    head.start = at;
    head.fieldsStart = at;
    head.end = at;
    head.count = 0;
    head.seen = 0;
    head.twice = 0;
    head.drops = false;
    head.fault = null;
    head.limit = null;
  }

  /** It is none that may stand behind content: RFC 9113 section 8.1. */
  get malformedTrailers(): boolean {
    return this.malformed || this.pseudo !== 0 || (this.head.seen & OF_CONNECTION) !== 0;
  }

  /** The line of a field stands at `out`, with a value of `gap` bytes behind its name. */
  add(mem: Uint8Array, nameBytes: number, gap: number, valueBytes: number, info: number): void {
    const start = this.out;
    this.size += nameBytes + valueBytes + 32;
    if ((info & INFO_MALFORMED) !== 0) this.malformed = true;
    if (this.size > LIMITS.HEAD_BYTES) this.limit ??= 'HEAD_BYTES';
    // What is of no use any more is written over by the next.
    if (this.limit !== null || this.malformed) return;
    const pseudo = info >> INFO_PSEUDO;
    const value = start + nameBytes + gap;
    const end = value + valueBytes + 2;
    if (pseudo !== PSEUDO.NONE) this.#addPseudo(pseudo, value, valueBytes);
    else if (this.#joins && (info & 0xff) === NAME.COOKIE && this.#join(mem, start, gap, value, valueBytes)) return;
    else if (this.head.count === this.#most) this.limit = this.#mostName;
    else this.#addField(start, nameBytes, value, valueBytes, info);
    this.out = end;
  }

  #addPseudo(pseudo: number, value: number, valueBytes: number): void {
    // Once each, and in front of all others (section 8.3).
    if (this.head.count > 0 || (this.pseudo & (1 << pseudo)) !== 0) this.malformed = true;
    this.pseudo |= 1 << pseudo;
    this.starts[pseudo] = value;
    this.ends[pseudo] = value + valueBytes;
    this.head.fieldsStart = value + valueBytes + 2;
  }

  /**
   * A piece of a cookie goes on to the piece before; false where the line before is none, or only one of the two may be
   * indexed. Browsers send each cookie as a piece: they would be more fields than a request may have.
   */
  #join(mem: Uint8Array, start: number, gap: number, value: number, valueBytes: number): boolean {
    const { head } = this;
    const words = head.fields;
    const at = (head.count - 1) * FIELD.WORDS;
    if (at < 0 || words[at + FIELD.NAME] !== NAME.COOKIE || words[at + FIELD.LINE_END] !== start) return false;
    const before = words[at + FIELD.VALUE_END] as number;
    if ((words[at + FIELD.VALUE_START] as number) - (words[at + FIELD.NAME_END] as number) !== gap) return false;
    mem[before] = SEMICOLON;
    mem[before + 1] = SPACE;
    const end = move(mem, before + 2, value, value + valueBytes);
    mem[end] = CR;
    mem[end + 1] = LF;
    words[at + FIELD.VALUE_END] = end;
    words[at + FIELD.LINE_END] = end + 2;
    this.out = end + 2;
    return true;
  }

  #addField(start: number, nameBytes: number, value: number, valueBytes: number, info: number): void {
    const { head } = this;
    const words = head.fields;
    const at = head.count++ * FIELD.WORDS;
    const id = info & 0xff;
    words[at + FIELD.NAME_START] = start;
    words[at + FIELD.NAME_END] = start + nameBytes;
    words[at + FIELD.VALUE_START] = value;
    words[at + FIELD.VALUE_END] = value + valueBytes;
    words[at + FIELD.LINE_END] = value + valueBytes + 2;
    words[at + FIELD.NAME] = id;
    words[at + FIELD.DROP] = 0;
    const bit = 1 << id;
    head.twice |= head.seen & bit;
    head.seen |= bit;
  }

  /** The empty line behind all others. */
  close(mem: Uint8Array): void {
    mem[this.out] = 0x0d;
    mem[this.out + 1] = 0x0a;
    this.head.end = this.out + 2;
  }
}

// Decoding of header blocks (RFC 7541 sections 3, 5 and 6): fields become lines of the arena, checked as they come
// (RFC 9113 section 8.2). Whatever is wrong with a field, the block is read to its end, since the table depends on it.

import { viewOf } from '../../../base/bytes.ts';
import { LIMITS } from '../../../base/limits.ts';
import { move } from '../../../base/memory.ts';
import type { Io } from '../../../io/io.ts';
import { decodeHuffman } from './huffman.ts';
import { type FieldSection, INFO_MALFORMED, INFO_PSEUDO } from './section.ts';
import {
  findName,
  KNOWN_ID,
  KNOWN_PSEUDO,
  PSEUDO,
  STATIC_KNOWN,
  STATIC_LAST,
  STATIC_LINES,
  STATIC_NAMES,
} from './static-table.ts';
import { DynamicTable } from './table.ts';

/** Results of `decode`. */
export const HPACK = {
  DECODED: 0,
  /** The block breaks RFC 7541: COMPRESSION_ERROR of the connection. */
  MALFORMED: -1,
  /** It stands for many times what may be sent (section 7.3): ENHANCE_YOUR_CALM of the connection. */
  FLOOD: -2,
  /** The arena has no place for the table: INTERNAL_ERROR of the connection. */
  MEMORY: -3,
} as const;

/** A block that stands for so many times the largest section is sent for the work that it makes. */
const FLOOD_BYTES = 4 * LIMITS.HEAD_BYTES;

const CONTINUES = 0x80;
/** An integer's longest form: 28 bits behind its prefix. */
const LAST_SHIFT = 21;

/** 1 for bytes of field names (RFC 9110 section 5.1 without capitals) and of values (section 5.5). */
const IN_NAME = new Uint8Array(256);
const IN_VALUE = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  if (/[0-9a-z!#$%&'*+\-.^_`|~]/.test(String.fromCharCode(c))) IN_NAME[c] = 1;
  if (c === 0x09 || (c >= 0x20 && c !== 0x7f)) IN_VALUE[c] = 1;
}

/** `: `, and what stands for it in a field that must never be indexed by anybody (section 6.2.3). */
const GAP = 2;
const NEVER_GAP = 3;

export class HpackDecoder {
  readonly #table: DynamicTable;
  /** Where reading goes on. */
  #at = 0;

  /** Its table holds at most LIMITS.HTTP2_HEADER_TABLE_BYTES, which is what a peer takes for granted. */
  constructor(io: Pick<Io, 'mem' | 'alloc' | 'free'>) {
    this.#table = new DynamicTable(io);
  }

  /** How often its table may have changed: a block says the same again while that stays as it is. */
  get changes(): number {
    return this.#table.changes;
  }

  dispose(): void {
    this.#table.dispose();
  }

  /**
   * Decodes the whole block mem[start, end) into `section`, which was opened; what is wrong with the section (rather
   * than with the block) is its to say. Returns HPACK. A field that must never be indexed has two spaces behind its
   * colon, by which it is known to whoever encodes it again.
   */
  decode(mem: Uint8Array, start: number, end: number, section: FieldSection): number {
    this.#at = start;
    // Changes of the table's size come first (section 4.2).
    while (this.#at < end && ((mem[this.#at] as number) & 0xe0) === 0x20) {
      const size = this.#integer(mem, end, 0x1f);
      if (size < 0 || size > LIMITS.HTTP2_HEADER_TABLE_BYTES) return HPACK.MALFORMED;
      this.#table.resize(size);
    }
    while (this.#at < end) {
      const first = mem[this.#at] as number;
      let result: number;
      if ((first & 0x80) !== 0) result = this.#indexed(mem, end, section);
      else if ((first & 0x40) !== 0) result = this.#literal(mem, end, section, 0x3f, GAP, true);
      else if ((first & 0x20) !== 0) result = HPACK.MALFORMED;
      else result = this.#literal(mem, end, section, 0x0f, (first & 0x10) === 0 ? GAP : NEVER_GAP, false);
      if (result !== HPACK.DECODED) return result;
      if (section.size > FLOOD_BYTES) return HPACK.FLOOD;
    }
    section.close(mem);
    return HPACK.DECODED;
  }

  #indexed(mem: Uint8Array, end: number, section: FieldSection): number {
    const index = this.#integer(mem, end, 0x7f);
    if (index <= 0) return HPACK.MALFORMED;
    const { out } = section;
    if (index <= STATIC_LAST) {
      const known = STATIC_KNOWN[index] as number;
      const nameBytes = (STATIC_NAMES[index] as { length: number }).length;
      const behind = (STATIC_LINES[index] as (typeof STATIC_LINES)[number]).put(viewOf(mem), out);
      section.add(mem, nameBytes, GAP, behind - out - nameBytes - GAP - 2, infoOf(known));
      return HPACK.DECODED;
    }
    const table = this.#table;
    const entry = index - STATIC_LAST;
    if (entry > table.count) return HPACK.MALFORMED;
    const line = table.line(entry);
    const nameBytes = table.nameBytes(entry);
    const valueBytes = table.valueBytes(entry);
    move(mem, out, line, line + nameBytes + valueBytes + GAP + 2);
    section.add(mem, nameBytes, GAP, valueBytes, table.info(entry));
    return HPACK.DECODED;
  }

  #literal(
    mem: Uint8Array,
    end: number,
    section: FieldSection,
    prefix: number,
    gap: number,
    indexing: boolean,
  ): number {
    const start = section.out;
    const index = this.#integer(mem, end, prefix);
    if (index < 0) return HPACK.MALFORMED;
    let info: number;
    let nameEnd: number;
    if (index === 0) {
      nameEnd = this.#string(mem, end, start);
      if (nameEnd < 0) return HPACK.MALFORMED;
      info = checkName(mem, start, nameEnd);
    } else if (index <= STATIC_LAST) {
      info = infoOf(STATIC_KNOWN[index] as number);
      nameEnd = (STATIC_NAMES[index] as (typeof STATIC_NAMES)[number]).put(viewOf(mem), start);
    } else {
      const entry = index - STATIC_LAST;
      if (entry > this.#table.count) return HPACK.MALFORMED;
      const line = this.#table.line(entry);
      info = this.#table.info(entry);
      nameEnd = move(mem, start, line, line + this.#table.nameBytes(entry));
      // That its value was none says nothing of this one; whether its name is, has to be looked at again.
      if ((info & INFO_MALFORMED) !== 0) info = checkName(mem, start, nameEnd);
    }
    const value = nameEnd + gap;
    const valueEnd = this.#string(mem, end, value);
    if (valueEnd < 0) return HPACK.MALFORMED;
    if (!isValue(mem, value, valueEnd)) info |= INFO_MALFORMED;
    mem[nameEnd] = 0x3a;
    mem[nameEnd + 1] = 0x20;
    if (gap === NEVER_GAP) mem[nameEnd + 2] = 0x20;
    mem[valueEnd] = 0x0d;
    mem[valueEnd + 1] = 0x0a;
    if (indexing) {
      const line = this.#table.insert(nameEnd - start, valueEnd - value, info);
      if (line < 0) return HPACK.MEMORY;
      if (line > 0) move(mem, line, start, valueEnd + 2);
    }
    section.add(mem, nameEnd - start, gap, valueEnd - value, info);
    return HPACK.DECODED;
  }

  /** An integer whose prefix has the bits `prefix` (section 5.1); -1 when it does not end, or is beyond any need. */
  #integer(mem: Uint8Array, end: number, prefix: number): number {
    let at = this.#at;
    let value = (mem[at++] as number) & prefix;
    if (value === prefix) {
      for (let shift = 0; ; shift += 7) {
        if (at === end || shift > LAST_SHIFT) return -1;
        const c = mem[at++] as number;
        value += (c & 0x7f) << shift;
        if ((c & CONTINUES) === 0) break;
      }
    }
    this.#at = at;
    return value;
  }

  /** A string (section 5.2), decoded to mem[out..]; returns the offset behind it, -1 when there is none. */
  #string(mem: Uint8Array, end: number, out: number): number {
    if (this.#at >= end) return -1;
    const coded = ((mem[this.#at] as number) & 0x80) !== 0;
    const length = this.#integer(mem, end, 0x7f);
    const start = this.#at;
    if (length < 0 || length > end - start) return -1;
    this.#at = start + length;
    return coded ? decodeHuffman(mem, start, start + length, out) : move(mem, out, start, start + length);
  }
}

function infoOf(known: number): number {
  return (KNOWN_ID[known] as number) | ((KNOWN_PSEUDO[known] as number) << INFO_PSEUDO);
}

/** What is known of a name by its bytes. */
function checkName(mem: Uint8Array, start: number, end: number): number {
  let good = end > start ? 1 : 0;
  for (let i = start; i < end; i++) good &= IN_NAME[mem[i] as number] as number;
  if (good !== 0) return infoOf(findName(mem, start, end));
  // With a colon in front it is one of the pseudo-fields or nothing, in lower case (RFC 9113 section 8.3).
  if (end - start < 2 || mem[start] !== 0x3a) return INFO_MALFORMED;
  for (let i = start + 1; i < end; i++) if (IN_NAME[mem[i] as number] === 0) return INFO_MALFORMED;
  const info = infoOf(findName(mem, start, end));
  return info >> INFO_PSEUDO === PSEUDO.NONE ? INFO_MALFORMED : info;
}

/** RFC 9113 section 8.2.1: also no white space around it. */
function isValue(mem: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  let good = 1;
  for (let i = start; i < end; i++) good &= IN_VALUE[mem[i] as number] as number;
  const first = mem[start];
  const last = mem[end - 1];
  return good !== 0 && first !== 0x20 && first !== 0x09 && last !== 0x20 && last !== 0x09;
}

// Encoding of header blocks (RFC 7541 section 6): what is in a table is one index, what comes a second time is put
// there, the rest are literals. So fields that are never twice the same (ids, times, lengths) do not push out of the
// table what is, without a list of them.

import { put, viewOf } from '../../../base/bytes.ts';
import { LIMITS } from '../../../base/limits.ts';
import { move } from '../../../base/memory.ts';
import type { Io } from '../../../io/io.ts';
import { CODE_BITS, CODES, encodeHuffman, huffmanBytes, NAME_CODE_BITS, NAME_CODES } from './huffman.ts';
import {
  findName,
  findStatic,
  hashName,
  KNOWN_BYTES,
  KNOWN_INDEX,
  KNOWN_OF_PSEUDO,
  knownName,
  PSEUDO,
  STATIC_LAST,
} from './static-table.ts';
import { DynamicTable, ENTRY_BYTES } from './table.ts';

/** Bytes that one field takes at the most besides its name and its value. */
export const FIELD_BYTES = 16;
/** Bytes in front of the first. */
export const BEGIN_BYTES = 12;

/** Entries by hash, hashes of fields that came before, and entries by the place of their field in a section. */
const SLOTS = 256;
const SEEN = 128;
const PLACES = 32;

const COOKIE = knownName('cookie');
const AUTHORIZATION = knownName('authorization');
const PROXY_AUTHORIZATION = knownName('proxy-authorization');
/** A shorter cookie can be guessed byte by byte from the length of blocks (section 7.1.3). */
const COOKIE_BYTES = 20;

// ---- forms of a literal: their bits, and the prefix of an index
const INDEXING = 0x40;
const INDEXING_PREFIX = 0x3f;
const PLAIN = 0x00;
const NEVER = 0x10;
const PLAIN_PREFIX = 0x0f;

export class HpackEncoder {
  readonly #table: DynamicTable;
  /** Numbers of entries by the hash of the whole field, and of the name; stale ones are found out by looking. */
  readonly #fields = new Int32Array(SLOTS);
  readonly #names = new Int32Array(SLOTS);
  readonly #seen = new Int32Array(SEEN);
  /**
   * By the place of a field in its section, the number of the entry that the last one there was: who answers often does
   * so in much the same way. It may be stale, as those above.
   */
  readonly #places = new Int32Array(PLACES);
  #place = 0;
  /** Sizes of the table that are still to be told: the smallest there was, and the last; -1 for none. */
  #least = -1;
  #size = -1;

  constructor(io: Pick<Io, 'mem' | 'alloc' | 'free'>) {
    this.#table = new DynamicTable(io);
  }

  dispose(): void {
    this.#table.dispose();
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE: told to it at the beginning of the next block (section 4.2). */
  resize(bytes: number): void {
    const size = Math.min(bytes, LIMITS.HTTP2_HEADER_TABLE_BYTES);
    if (size === this.#table.most && this.#least < 0) return;
    this.#table.resize(size);
    this.#least = this.#least < 0 ? size : Math.min(this.#least, size);
    this.#size = size;
  }

  // Each writes at `at` of the arena and returns the offset behind it.

  /** Begins a block. BEGIN_BYTES. */
  begin(mem: Uint8Array, at: number): number {
    this.#place = 0;
    if (this.#least < 0) return at;
    let out = at;
    if (this.#least < this.#size) out = putInteger(mem, out, 0x20, 0x1f, this.#least);
    out = putInteger(mem, out, 0x20, 0x1f, this.#size);
    this.#least = -1;
    return out;
  }

  /** `:status` (RFC 9113 section 8.3.2), of three digits. FIELD_BYTES. */
  status(mem: Uint8Array, at: number, status: number): number {
    const digits = at + 2;
    mem[digits] = 0x30 + Math.floor(status / 100);
    mem[digits + 1] = 0x30 + (Math.floor(status / 10) % 10);
    mem[digits + 2] = 0x30 + (status % 10);
    const known = KNOWN_OF_PSEUDO[PSEUDO.STATUS] as number;
    const index = findStatic(mem, known, digits, digits + 3);
    if (index !== 0) return putInteger(mem, at, 0x80, 0x7f, index);
    mem[at] = PLAIN | (KNOWN_INDEX[known] as number);
    mem[at + 1] = 3;
    return at + 5;
  }

  /** A pseudo-field whose value is mem[start, end). That and FIELD_BYTES, and ten for a name. */
  pseudo(mem: Uint8Array, at: number, pseudo: number, start: number, end: number): number {
    this.#place++;
    return this.#field(mem, at, KNOWN_OF_PSEUDO[pseudo] as number, 0, 0, start, end, false);
  }

  /**
   * A field in any case. One with more than one byte of white space between colon and value must never be indexed
   * (section 6.2.3): so HpackDecoder writes it. Name, value and FIELD_BYTES.
   */
  field(mem: Uint8Array, at: number, nameStart: number, nameEnd: number, start: number, end: number): number {
    const place = this.#place++;
    const table = this.#table;
    const index = place < PLACES ? table.inserted - (this.#places[place] as number) + 1 : 0;
    // What must never be indexed is no entry, but a field that is to be kept secret may look like one.
    const again = index > 0 && index <= table.count && start - nameEnd <= 2;
    if (again && table.isLine(index, nameStart, nameEnd, start, end)) {
      return putInteger(mem, at, 0x80, 0x7f, index + STATIC_LAST);
    }
    const known = findName(mem, nameStart, nameEnd);
    const secret =
      start - nameEnd > 2 ||
      known === AUTHORIZATION ||
      known === PROXY_AUTHORIZATION ||
      (known === COOKIE && end - start < COOKIE_BYTES);
    return this.#field(mem, at, known, nameStart, nameEnd, start, end, secret);
  }

  #field(
    mem: Uint8Array,
    at: number,
    known: number,
    nameStart: number,
    nameEnd: number,
    start: number,
    end: number,
    secret: boolean,
  ): number {
    const name = known === 0 ? hashName(viewOf(mem), nameStart, nameEnd) : Math.imul(known, 0x9e3779b1 | 0);
    if (secret) return this.#literal(mem, at, NEVER, known, name, nameStart, nameEnd, start, end);
    const fixed = findStatic(mem, known, start, end);
    if (fixed !== 0) return putInteger(mem, at, 0x80, 0x7f, fixed);
    const table = this.#table;
    const nameBytes = known === 0 ? nameEnd - nameStart : (KNOWN_BYTES[known] as Uint8Array).length;
    // One that takes most of the table is not worth it.
    if (nameBytes + end - start + ENTRY_BYTES > table.most >> 1) {
      return this.#literal(mem, at, PLAIN, known, name, nameStart, nameEnd, start, end);
    }
    const hash = mix(name, viewOf(mem), start, end);
    const slot = hash & (SLOTS - 1);
    const index = table.inserted - (this.#fields[slot] as number) + 1;
    if (
      index <= table.count &&
      this.#hasName(mem, index, known, nameStart, nameEnd) &&
      table.valueBytes(index) === end - start &&
      equal(mem, table.line(index) + table.nameBytes(index) + 2, start, end - start)
    ) {
      this.#places[(this.#place - 1) & (PLACES - 1)] = table.inserted - index + 1;
      return putInteger(mem, at, 0x80, 0x7f, index + STATIC_LAST);
    }
    const seen = hash & (SEEN - 1);
    if (this.#seen[seen] !== hash) {
      this.#seen[seen] = hash;
      return this.#literal(mem, at, PLAIN, known, name, nameStart, nameEnd, start, end);
    }
    const out = this.#literal(mem, at, INDEXING, known, name, nameStart, nameEnd, start, end);
    const line = table.insert(nameBytes, end - start, known);
    // Without memory the peer has an entry that is not here: the next block tells it to forget all.
    if (line < 0) this.#forget();
    if (line <= 0) return out;
    putName(mem, line, known, nameStart, nameEnd);
    move(mem, line + nameBytes + 2, start, end);
    this.#fields[slot] = table.inserted;
    this.#names[name & (SLOTS - 1)] = table.inserted;
    this.#places[(this.#place - 1) & (PLACES - 1)] = table.inserted;
    return out;
  }

  #forget(): void {
    this.#table.resize(0);
    this.#least = 0;
    this.#size = 0;
  }

  #literal(
    mem: Uint8Array,
    at: number,
    form: number,
    known: number,
    name: number,
    nameStart: number,
    nameEnd: number,
    start: number,
    end: number,
  ): number {
    const prefix = form === INDEXING ? INDEXING_PREFIX : PLAIN_PREFIX;
    let index = KNOWN_INDEX[known] as number;
    if (index === 0) {
      const entry = this.#table.inserted - (this.#names[name & (SLOTS - 1)] as number) + 1;
      if (entry <= this.#table.count && this.#hasName(mem, entry, known, nameStart, nameEnd))
        index = entry + STATIC_LAST;
    }
    let out = putInteger(mem, at, form, prefix, index);
    if (index === 0) out = putLiteralName(mem, out, known, nameStart, nameEnd);
    return putValue(mem, out, start, end);
  }

  /** Whether entry `index` has this name. */
  #hasName(mem: Uint8Array, index: number, known: number, nameStart: number, nameEnd: number): boolean {
    const table = this.#table;
    if (table.info(index) !== known) return false;
    if (known !== 0) return true;
    const n = nameEnd - nameStart;
    if (table.nameBytes(index) !== n) return false;
    const line = table.line(index);
    for (let i = 0; i < n; i++) if (lower(mem[nameStart + i] as number) !== mem[line + i]) return false;
    return true;
  }
}

function lower(c: number): number {
  return c >= 0x41 && c <= 0x5a ? c | 0x20 : c;
}

/** Writes the name in lower case; returns the offset behind it. */
function putName(mem: Uint8Array, at: number, known: number, nameStart: number, nameEnd: number): number {
  if (known !== 0) return put(mem, at, KNOWN_BYTES[known] as Uint8Array);
  for (let i = 0; i < nameEnd - nameStart; i++) mem[at + i] = lower(mem[nameStart + i] as number);
  return at + nameEnd - nameStart;
}

/** A hash of a name's hash and three words of the value. */
function mix(name: number, view: DataView, start: number, end: number): number {
  const n = end - start;
  let h = name ^ Math.imul(n, 0x2545f491);
  if (n >= 4) {
    h = Math.imul(h ^ view.getInt32(start, true), 0x2c1b3c6d);
    h = Math.imul(h ^ (h >>> 15) ^ view.getInt32(start + ((n - 4) >> 1), true), 0x297a2d39);
    h = Math.imul(h ^ (h >>> 15) ^ view.getInt32(end - 4, true), 0x61c88647);
  } else {
    for (let i = start; i < end; i++) h = Math.imul(h ^ view.getUint8(i), 0x2c1b3c6d);
  }
  return h ^ (h >>> 15);
}

function equal(mem: Uint8Array, a: number, b: number, n: number): boolean {
  for (let i = 0; i < n; i++) if (mem[a + i] !== mem[b + i]) return false;
  return true;
}

/** An integer behind the bits `form`, with a prefix of the bits `prefix` (section 5.1). */
function putInteger(mem: Uint8Array, at: number, form: number, prefix: number, value: number): number {
  if (value < prefix) {
    mem[at] = form | value;
    return at + 1;
  }
  mem[at] = form | prefix;
  let out = at + 1;
  let rest = value - prefix;
  for (; rest >= 0x80; rest >>>= 7) mem[out++] = (rest & 0x7f) | 0x80;
  mem[out] = rest;
  return out + 1;
}

/** A value (section 5.2), in the code where that is shorter. */
function putValue(mem: Uint8Array, at: number, start: number, end: number): number {
  const coded = huffmanBytes(mem, start, end, CODE_BITS);
  if (coded < end - start) {
    return encodeHuffman(mem, start, end, putInteger(mem, at, 0x80, 0x7f, coded), CODES, CODE_BITS);
  }
  return move(mem, putInteger(mem, at, 0, 0x7f, end - start), start, end);
}

/** A name, likewise, in lower case. */
function putLiteralName(mem: Uint8Array, at: number, known: number, start: number, end: number): number {
  if (known !== 0) {
    const bytes = KNOWN_BYTES[known] as Uint8Array;
    return put(mem, putInteger(mem, at, 0, 0x7f, bytes.length), bytes);
  }
  const coded = huffmanBytes(mem, start, end, NAME_CODE_BITS);
  if (coded < end - start) {
    return encodeHuffman(mem, start, end, putInteger(mem, at, 0x80, 0x7f, coded), NAME_CODES, NAME_CODE_BITS);
  }
  return putName(mem, putInteger(mem, at, 0, 0x7f, end - start), 0, start, end);
}

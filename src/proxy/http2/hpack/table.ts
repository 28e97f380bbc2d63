// The dynamic table (RFC 7541 sections 2.3.2 and 4): lines one behind the other in a block of the arena that is twice
// as large as they may become, so that each stands in one piece and all are moved to its front now and then.

import { sameBytes } from '../../../base/bytes.ts';
import { LIMITS } from '../../../base/limits.ts';
import { move } from '../../../base/memory.ts';
import type { Io } from '../../../io/io.ts';

/** What a name, a value and 32 bytes more are to a table (section 4.1). */
export const ENTRY_BYTES = 32;
/** `: ` and CRLF. */
const LINE_BYTES = 4;

/** The most that a table holds, as a power of two. */
const ENTRIES = 2 ** Math.ceil(Math.log2(LIMITS.HTTP2_HEADER_TABLE_BYTES / ENTRY_BYTES));
const MASK = ENTRIES - 1;

const WORDS = 4;
/** Where the line begins; like #base and #tail modulo 2^32, since what is moved to the front keeps its number. */
const AT = 0;
const NAME_BYTES = 1;
const VALUE_BYTES = 2;
const INFO = 3;

export class DynamicTable {
  readonly #io: Pick<Io, 'mem' | 'alloc' | 'free'>;
  readonly #entries = new Int32Array(ENTRIES * WORDS);
  /** The block, when there is one. */
  #block = -1;
  /** What stands at its beginning, and behind the newest line. */
  #base = 0;
  #tail = 0;
  /** Bytes as section 4.1 counts them: in use, and at the most. */
  #used = 0;
  #most: number = LIMITS.HTTP2_HEADER_TABLE_BYTES;
  #count = 0;
  /** Entries that were ever inserted: the newest has this number. */
  inserted = 0;
  /** How often its entries may have become others. */
  changes = 0;

  constructor(io: Pick<Io, 'mem' | 'alloc' | 'free'>) {
    this.#io = io;
  }

  get count(): number {
    return this.#count;
  }

  get most(): number {
    return this.#most;
  }

  /** `bytes` at the most from now on, no more than LIMITS.HTTP2_HEADER_TABLE_BYTES (section 4.3). */
  resize(bytes: number): void {
    this.changes++;
    this.#most = bytes;
    this.#evict(bytes);
  }

  #evict(most: number): void {
    const entries = this.#entries;
    while (this.#used > most) {
      const at = ((this.inserted - this.#count + 1) & MASK) * WORDS;
      this.#used -= (entries[at + NAME_BYTES] as number) + (entries[at + VALUE_BYTES] as number) + ENTRY_BYTES;
      this.#count--;
    }
  }

  /**
   * Makes room for one more entry and evicts what it must for that (section 4.4). Returns the offset where the caller
   * writes its line, LINE_BYTES longer than name and value; 0 when the entry is larger than the table, which is empty
   * then; -1 when there is no memory.
   */
  insert(nameBytes: number, valueBytes: number, info: number): number {
    const size = nameBytes + valueBytes + ENTRY_BYTES;
    this.changes++;
    if (size > this.#most) {
      this.#evict(0);
      return 0;
    }
    this.#evict(this.#most - size);
    const { mem } = this.#io;
    if (this.#block < 0) {
      this.#block = this.#io.alloc(2 * LIMITS.HTTP2_HEADER_TABLE_BYTES);
      if (this.#block < 0) return -1;
    }
    const line = nameBytes + valueBytes + LINE_BYTES;
    if (((this.#tail - this.#base) | 0) + line > 2 * LIMITS.HTTP2_HEADER_TABLE_BYTES) {
      const oldest = this.#count === 0 ? this.#tail : this.#word(this.#count, AT);
      const skipped = (oldest - this.#base) | 0;
      move(mem, this.#block, this.#block + skipped, this.#block + ((this.#tail - this.#base) | 0));
      this.#base = oldest;
    }
    this.inserted++;
    this.#count++;
    this.#used += size;
    const entries = this.#entries;
    const at = (this.inserted & MASK) * WORDS;
    entries[at + AT] = this.#tail;
    entries[at + NAME_BYTES] = nameBytes;
    entries[at + VALUE_BYTES] = valueBytes;
    entries[at + INFO] = info;
    const offset = this.#block + ((this.#tail - this.#base) | 0);
    this.#tail = (this.#tail + line) | 0;
    return offset;
  }

  #word(index: number, word: number): number {
    return this.#entries[((this.inserted - index + 1) & MASK) * WORDS + word] as number;
  }

  // ---- entry `index`, from 1 (the newest) to `count`

  /** Offset of its line. */
  line(index: number): number {
    return this.#block + ((this.#word(index, AT) - this.#base) | 0);
  }

  nameBytes(index: number): number {
    return this.#word(index, NAME_BYTES);
  }

  valueBytes(index: number): number {
    return this.#word(index, VALUE_BYTES);
  }

  /** What was said of it when it came. */
  info(index: number): number {
    return this.#word(index, INFO);
  }

  /**
   * Entry `index` is the field whose name, in any case, is mem[nameStart..nameEnd) and whose value is mem[start..end).
   */
  isLine(index: number, nameStart: number, nameEnd: number, start: number, end: number): boolean {
    const entries = this.#entries;
    const at = ((this.inserted - index + 1) & MASK) * WORDS;
    const nameBytes = nameEnd - nameStart;
    if (entries[at + NAME_BYTES] !== nameBytes || entries[at + VALUE_BYTES] !== end - start) return false;
    const { mem } = this.#io;
    const line = this.#block + (((entries[at + AT] as number) - this.#base) | 0);
    for (let i = 0; i < nameBytes; i++) {
      const c = mem[nameStart + i] as number;
      if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== mem[line + i]) return false;
    }
    return sameBytes(mem, line + nameBytes + 2, start, end);
  }

  dispose(): void {
    if (this.#block >= 0) this.#io.free(this.#block);
    this.#block = -1;
    this.#count = 0;
    this.#used = 0;
  }
}

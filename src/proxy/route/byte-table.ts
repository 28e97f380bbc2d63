// A hash table of entries that begin with a byte string, looked up by a range of memory and the hash that the caller
// computed while reading it: no string is made. Open addressing with linear probing, at most a quarter full; removal
// closes the gap, so that there are no tombstones.

import { LABELS } from './labels.ts';

export interface Entry {
  /** Hash of the key, signed 32 bits. */
  hash: number;
  /** The key, in LABELS. */
  labelStart: number;
  keyLength: number;
}

/** Whether the label of `length` bytes at `label` stands at `at` in `words`. */
export function isLabel(label: number, length: number, words: DataView, at: number): boolean {
  const labels = LABELS.words;
  let k = 0;
  for (; k + 4 <= length; k += 4) if (labels.getInt32(label + k) !== words.getInt32(at + k)) return false;
  for (; k < length; k++) if (labels.getUint8(label + k) !== words.getUint8(at + k)) return false;
  return true;
}

const FIRST_SLOTS_LOG2 = 2;
/** 2^32 / golden ratio: multiplying spreads what FNV leaves in a few bits over the high ones (Knuth 6.4). */
const GOLDEN = 0x9e3779b1 | 0;

export class ByteTable<E extends Entry> {
  size = 0;
  #shift = 32 - FIRST_SLOTS_LOG2;
  #slots: (E | null)[] = new Array<E | null>(1 << FIRST_SLOTS_LOG2).fill(null);

  /** The entry whose key is the bytes [start..end) of `words`; null if there is none. */
  find(hash: number, words: DataView, start: number, end: number): E | null {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const length = end - start;
    for (let i = Math.imul(hash, GOLDEN) >>> this.#shift; ; i = (i + 1) & mask) {
      const entry = slots[i] as E | null;
      if (entry === null) return null;
      if (entry.hash !== hash || entry.keyLength !== length) continue;
      if (isLabel(entry.labelStart, length, words, start)) return entry;
    }
  }

  /** Adds an entry whose key is not in the table. */
  add(entry: E): void {
    if (++this.size * 4 > this.#slots.length) this.#grow();
    this.#put(entry);
  }

  /** Puts an entry in the place of one with an equal key. */
  replace(old: E, entry: E): void {
    this.#slots[this.#indexOf(old)] = entry;
  }

  /** Takes out an entry that is in the table. */
  remove(entry: E): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#indexOf(entry);
    this.size--;
    // Knuth 6.4, algorithm R: move back what would no longer be reached across the hole.
    for (let i = (hole + 1) & mask; slots[i] !== null; i = (i + 1) & mask) {
      const other = slots[i] as E;
      const home = Math.imul(other.hash, GOLDEN) >>> this.#shift;
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      slots[hole] = other;
      hole = i;
    }
    slots[hole] = null;
  }

  /** Some entry; null of an empty table. */
  first(): E | null {
    return this.#slots.find((entry) => entry !== null) ?? null;
  }

  /** All of them. */
  values(): E[] {
    return this.#slots.filter((entry) => entry !== null);
  }

  #indexOf(entry: E): number {
    const mask = this.#slots.length - 1;
    let i = Math.imul(entry.hash, GOLDEN) >>> this.#shift;
    while (this.#slots[i] !== entry) {
      if (this.#slots[i] === null) throw new Error('entry is not in the table');
      i = (i + 1) & mask;
    }
    return i;
  }

  #put(entry: E): void {
    const mask = this.#slots.length - 1;
    let i = Math.imul(entry.hash, GOLDEN) >>> this.#shift;
    while (this.#slots[i] !== null) i = (i + 1) & mask;
    this.#slots[i] = entry;
  }

  #grow(): void {
    const old = this.#slots;
    this.#shift--;
    this.#slots = new Array<E | null>(old.length * 2).fill(null);
    for (const entry of old) if (entry !== null) this.#put(entry);
  }
}

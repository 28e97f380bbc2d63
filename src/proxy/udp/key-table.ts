// A table from a few words to small numbers: open addressing with linear probing over typed arrays, at most half full,
// with a seed that nobody outside knows. Several times as fast as a Map, and it makes no garbage.

import { mix32 } from '../../base/hash.ts';

const NONE = -1;

export class KeyTable {
  readonly capacity: number;
  count = 0;
  readonly #words: number;
  readonly #seed: number;
  readonly #mask: number;
  /** By place in the table: the number, or NONE. */
  readonly #slots: Int32Array;
  /** By number: its words, and behind them their hash. */
  readonly #keys: Int32Array;
  readonly #free: Int32Array;

  /** `words`: how many make a key. */
  constructor(words: number, capacity: number, seed: number) {
    this.capacity = capacity;
    this.#words = words;
    this.#seed = seed | 0;
    let size = 4;
    while (size < capacity * 2) size <<= 1;
    this.#mask = size - 1;
    this.#slots = new Int32Array(size).fill(NONE);
    this.#keys = new Int32Array(capacity * (words + 1));
    this.#free = Int32Array.from({ length: capacity }, (_, i) => capacity - 1 - i);
  }

  /** The number of source[at..], or -1. */
  find(source: Int32Array, at: number): number {
    const keys = this.#keys;
    const words = this.#words;
    const hash = this.#hash(source, at);
    for (let i = hash & this.#mask; ; i = (i + 1) & this.#mask) {
      const number = this.#slots[i] as number;
      if (number === NONE) return NONE;
      const key = number * (words + 1);
      if (keys[key + words] !== hash) continue;
      let w = 0;
      while (w < words && keys[key + w] === source[at + w]) w++;
      if (w === words) return number;
    }
  }

  /** A number for source[at..], which has none yet; -1 when the table is full. */
  insert(source: Int32Array, at: number): number {
    if (this.count === this.capacity) return NONE;
    const number = this.#free[this.capacity - 1 - this.count] as number;
    this.count++;
    const hash = this.#hash(source, at);
    const key = number * (this.#words + 1);
    for (let w = 0; w < this.#words; w++) this.#keys[key + w] = source[at + w] as number;
    this.#keys[key + this.#words] = hash;
    let i = hash & this.#mask;
    while (this.#slots[i] !== NONE) i = (i + 1) & this.#mask;
    this.#slots[i] = number;
    return number;
  }

  /** The number may be given to another key. What follows in its row moves up, so that no search ends too early. */
  remove(number: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = this.#hashOf(number) & mask;
    while (slots[hole] !== number) hole = (hole + 1) & mask;
    for (let i = (hole + 1) & mask; ; i = (i + 1) & mask) {
      const other = slots[i] as number;
      if (other === NONE) break;
      const home = this.#hashOf(other) & mask;
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      slots[hole] = other;
      hole = i;
    }
    slots[hole] = NONE;
    this.count--;
    this.#free[this.capacity - 1 - this.count] = number;
  }

  /** Copies the words of `number` to target[at..]. */
  copy(number: number, target: Int32Array, at: number, words: number = this.#words): void {
    const key = number * (this.#words + 1);
    for (let w = 0; w < words; w++) target[at + w] = this.#keys[key + w] as number;
  }

  #hashOf(number: number): number {
    return this.#keys[number * (this.#words + 1) + this.#words] as number;
  }

  #hash(source: Int32Array, at: number): number {
    let h = this.#seed;
    for (let w = 0; w < this.#words; w++) {
      h = Math.imul(h ^ (source[at + w] as number), 0x9e3779b1);
      h ^= h >>> 15;
    }
    return mix32(h);
  }
}

// A hash map from byte strings to values, looked up by a range of memory and a hash the caller computed while reading it:
// no string is made. Open addressing with linear probing, at most half full; removal closes the gap (no tombstones).

import { equalAt } from '../../base/bytes.ts';

const FIRST_SLOTS = 4;

export class ByteTable<V> {
  size = 0;
  #mask = FIRST_SLOTS - 1;
  #hashes = new Int32Array(FIRST_SLOTS);
  #labels: (Uint8Array | null)[] = new Array<Uint8Array | null>(FIRST_SLOTS).fill(null);
  #values: (V | null)[] = new Array<V | null>(FIRST_SLOTS).fill(null);

  /** The value under mem[start..end), whose hash is `hash` (signed 32 bits); null if there is none. */
  find(hash: number, mem: Uint8Array, start: number, end: number): V | null {
    const mask = this.#mask;
    const hashes = this.#hashes;
    const labels = this.#labels;
    for (let i = home(hash) & mask; ; i = (i + 1) & mask) {
      const label = labels[i] as Uint8Array | null;
      if (label === null) return null;
      if (hashes[i] === hash && label.length === end - start && equalAt(mem, start, label)) {
        return this.#values[i] as V;
      }
    }
  }

  /** Adds a value under a label that is not in the table. */
  add(hash: number, label: Uint8Array, value: V): void {
    if (++this.size * 2 > this.#mask + 1) this.#grow();
    this.#put(hash, label, value);
  }

  /** Takes out the value under `label`; false if there is none. */
  remove(hash: number, label: Uint8Array): boolean {
    const mask = this.#mask;
    const labels = this.#labels;
    let hole = home(hash) & mask;
    for (; ; hole = (hole + 1) & mask) {
      const other = labels[hole] as Uint8Array | null;
      if (other === null) return false;
      if (this.#hashes[hole] === hash && other.length === label.length && equalAt(label, 0, other)) break;
    }
    this.size--;
    // Knuth 6.4 algorithm R: move back what would no longer be reached across the hole.
    for (let i = (hole + 1) & mask; labels[i] !== null; i = (i + 1) & mask) {
      const wanted = home(this.#hashes[i] as number) & mask;
      if (((i - wanted) & mask) < ((i - hole) & mask)) continue;
      labels[hole] = labels[i] as Uint8Array;
      this.#hashes[hole] = this.#hashes[i] as number;
      this.#values[hole] = this.#values[i] as V;
      hole = i;
    }
    labels[hole] = null;
    this.#values[hole] = null;
    return true;
  }

  #put(hash: number, label: Uint8Array, value: V): void {
    const mask = this.#mask;
    let i = home(hash) & mask;
    while (this.#labels[i] !== null) i = (i + 1) & mask;
    this.#hashes[i] = hash;
    this.#labels[i] = label;
    this.#values[i] = value;
  }

  #grow(): void {
    const labels = this.#labels;
    const hashes = this.#hashes;
    const values = this.#values;
    const slots = (this.#mask + 1) * 2;
    this.#mask = slots - 1;
    this.#hashes = new Int32Array(slots);
    this.#labels = new Array<Uint8Array | null>(slots).fill(null);
    this.#values = new Array<V | null>(slots).fill(null);
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i] as Uint8Array | null;
      if (label !== null) this.#put(hashes[i] as number, label, values[i] as V);
    }
  }
}

/** FNV's low bits depend on the low bits of the input only: fold the high ones in. */
function home(hash: number): number {
  return hash ^ (hash >>> 15);
}

// Numbers in shared memory: one writer, any number of readers, no lock. A double is read and written in one piece on
// x86-64 and arm64, so a scrape never disturbs a worker and counts outlive the process that made them.

import { LIMITS } from '../base/limits.ts';
import { GAUGES } from './layout.ts';

const SHIFT = Math.log2(LIMITS.CELLS_PER_SEGMENT);
const MASK = LIMITS.CELLS_PER_SEGMENT - 1;

/** The segments of one worker slot, mapped. Cell `id` is segments[id >>> SHIFT][id & MASK]. */
export class Cells {
  readonly #segments: Float64Array[];
  readonly #grow: (index: number) => Float64Array | null;

  /** `grow(index)` maps the next segment when a cell behind the last one is first used; null if there is none. */
  constructor(first: Float64Array, grow: (index: number) => Float64Array | null = () => null) {
    this.#segments = [first];
    this.#grow = grow;
  }

  /** In plain memory, for tests and for a process without siblings. */
  static local(): Cells {
    return new Cells(new Float64Array(LIMITS.CELLS_PER_SEGMENT), (i) =>
      i < LIMITS.SEGMENTS ? new Float64Array(LIMITS.CELLS_PER_SEGMENT) : null,
    );
  }

  add(id: number, n: number): void {
    const s = this.#segments[id >>> SHIFT];
    if (s !== undefined) s[id & MASK]! += n;
    else this.#slow(id, n);
  }

  set(id: number, value: number): void {
    const s = this.#segments[id >>> SHIFT] ?? this.#map(id);
    if (s !== null) s[id & MASK] = value;
  }

  get(id: number): number {
    const s = this.#segments[id >>> SHIFT] ?? this.#map(id);
    return s === null ? 0 : (s[id & MASK] as number);
  }

  /** What a new worker does with a slot it takes over. */
  zeroGauges(): void {
    this.#segments[0]?.fill(0, 0, GAUGES);
  }

  #slow(id: number, n: number): void {
    const s = this.#map(id);
    if (s !== null) s[id & MASK]! += n;
  }

  #map(id: number): Float64Array | null {
    const index = id >>> SHIFT;
    while (this.#segments.length <= index) {
      const next = this.#grow(this.#segments.length);
      if (next === null) return null;
      this.#segments.push(next);
    }
    return this.#segments[index] as Float64Array;
  }
}

// Numbers in shared memory: one writer, any number of readers, no lock. A double is read and written in one piece on
// x86-64 and arm64, so a scrape never disturbs a worker and counts outlive the process that made them. Whoever reads a
// page that nobody wrote to makes it memory: what was never used is not read (telemetry/blocks.ts).

import { LIMITS } from '../base/limits.ts';
import { GAUGES, markCell, SESSION_PROTOCOLS, sessionsCell } from './layout.ts';

const SHIFT = Math.log2(LIMITS.CELLS_PER_SEGMENT);
const MASK = LIMITS.CELLS_PER_SEGMENT - 1;

/** Where the cell `id` is within its segment. */
export function placeOf(id: number): number {
  return id & MASK;
}

/** The segments of one worker slot, each mapped when a cell in it is first asked for. */
export class Cells {
  readonly #segments: (Float64Array | null)[];
  readonly #map: (index: number) => Float64Array;

  /** `map(index)` maps a segment; asked for each at most once. */
  constructor(map: (index: number) => Float64Array) {
    // Not `new Array(n)`: such a list may have holes, and every access would have to look for one.
    this.#segments = [];
    for (let i = 0; i < LIMITS.SEGMENTS; i++) this.#segments.push(null);
    this.#map = map;
  }

  /** In plain memory, for tests and for a process without siblings. */
  static local(): Cells {
    return new Cells(() => new Float64Array(LIMITS.CELLS_PER_SEGMENT));
  }

  add(id: number, n: number): void {
    const s = this.#segments[id >>> SHIFT] as Float64Array | null;
    if (s !== null) s[id & MASK]! += n;
    else this.#mapped(id)[id & MASK]! += n;
  }

  /** The segment of the cell `id`, which is at `placeOf(id)` there: for who writes several cells of a block. */
  segmentOf(id: number): Float64Array {
    return this.#segments[id >>> SHIFT] ?? this.#mapped(id);
  }

  /** Whether anything was counted in the block at `block`. */
  isUsed(block: number): boolean {
    return this.get(markCell(block)) !== 0;
  }

  /** Says of the block at `block` what is used of it (telemetry/layout.ts). */
  mark(block: number, marks: number): void {
    const cell = markCell(block);
    this.set(cell, this.get(cell) | marks);
  }

  set(id: number, value: number): void {
    const s = this.#segments[id >>> SHIFT] ?? this.#mapped(id);
    s[id & MASK] = value;
  }

  get(id: number): number {
    const s = this.#segments[id >>> SHIFT] ?? this.#mapped(id);
    return s[id & MASK] as number;
  }

  /** Adds the `n` cells from `id` on, which lie in one segment, to out[at..at+n). */
  addTo(id: number, n: number, out: Float64Array, at: number): void {
    const s = this.#segments[id >>> SHIFT] ?? this.#mapped(id);
    const start = id & MASK;
    for (let i = 0; i < n; i++) out[at + i]! += s[start + i] as number;
  }

  /** What a new worker does with a slot it takes over. */
  zeroGauges(): void {
    for (let id = 0; id < GAUGES; id++) this.set(id, 0);
    for (let i = 0; i < SESSION_PROTOCOLS.length; i++) this.set(sessionsCell(i), 0);
  }

  #mapped(id: number): Float64Array {
    const index = id >>> SHIFT;
    const segment = this.#map(index);
    this.#segments[index] = segment;
    return segment;
  }
}

// The arena of the simulation: size classes in powers of two over one array. Blocks are filled with junk when given and
// when given back, so that reading what was never written, or after free, shows.

import { newMemory } from '../base/memory.ts';

const MIN_SHIFT = 6; // 64 bytes
const ALLOCATED_JUNK = 0xa5;
const FREED_JUNK = 0xdb;

export class SimArena {
  readonly mem: Uint8Array;
  /** By shift of the class: free offsets. */
  readonly #free: number[][] = [];
  /** Allocated offset -> shift of its class. */
  readonly #allocated = new Map<number, number>();
  #top = 0;

  constructor(bytes: number) {
    this.mem = newMemory(bytes);
    for (let shift = 0; shift <= 31; shift++) this.#free.push([]);
  }

  /** Blocks that are allocated now. */
  get blocks(): number {
    return this.#allocated.size;
  }

  /** Their bytes. */
  get bytes(): number {
    let sum = 0;
    for (const shift of this.#allocated.values()) sum += 2 ** shift;
    return sum;
  }

  alloc(bytes: number): number {
    if (!(bytes > 0 && bytes <= 2 ** 30)) throw new RangeError(`alloc of ${bytes} bytes`);
    const shift = Math.max(MIN_SHIFT, 32 - Math.clz32(Math.ceil(bytes) - 1));
    const size = 2 ** shift;
    let offset = this.#free[shift]?.pop();
    if (offset === undefined) {
      if (this.#top + size > this.mem.length) return -1;
      offset = this.#top;
      this.#top += size;
    }
    this.#allocated.set(offset, shift);
    this.mem.fill(ALLOCATED_JUNK, offset, offset + size);
    return offset;
  }

  free(offset: number): void {
    const shift = this.#shiftOf(offset, 'free');
    this.#allocated.delete(offset);
    this.mem.fill(FREED_JUNK, offset, offset + 2 ** shift);
    this.#free[shift]?.push(offset);
  }

  sizeOf(offset: number): number {
    return 2 ** this.#shiftOf(offset, 'sizeOf');
  }

  #shiftOf(offset: number, what: string): number {
    const shift = this.#allocated.get(offset);
    if (shift === undefined) throw new RangeError(`${what}: offset ${offset} is not an allocated block`);
    return shift;
  }
}

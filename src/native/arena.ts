// All memory that C sees: one range of address space, reserved once as memory of WebAssembly (base/memory.ts), handed
// out by offset. Pages cost nothing until touched, and go back to the system when much of what was given back is
// resident.
//
// Blocks up to half a slab (64 KB) come from slabs of one size class each, with a bitmap of what is in use; larger ones
// are runs of slabs kept by a binary buddy system (Knuth, TAOCP volume 1, section 2.5), so that neighbours rejoin.

import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { newMemory } from '../base/memory.ts';
import { addressOf, madvise } from './ffi.ts';
import { MADV_DONTNEED } from './layout.ts';

const SLAB_SHIFT = 16;
const SLAB = 1 << SLAB_SHIFT;
const CONTROL_BYTES = SLAB;
const MIN_SHIFT = 6;
/** Classes of 64 B to 32 KB. */
const CLASSES = SLAB_SHIFT - MIN_SHIFT;
/** Words of the bitmap of one slab: a bit for each 64 bytes. */
const WORDS = 1 << (SLAB_SHIFT - MIN_SHIFT - 5);
const MAX_ORDERS = 16;
/** States of a slab, beside 0..CLASSES-1 for a slab of that class. */
const FREE = -1;
const LARGE = -2;
const INSIDE = -3;
const NONE = -1;

export class Arena {
  readonly mem: Uint8Array;
  readonly bytes: number;
  /** Address of offset 0: add an offset and pass it as `address`. */
  readonly base: number;
  /** Memory for this room alone, behind the arena: no offset into `mem` reaches it. */
  readonly control: Uint8Array<ArrayBuffer>;
  readonly controlBase: number;
  readonly #slabs: number;
  readonly #topOrder: number;

  /** By slab: its state, and for heads of free or large runs their order. */
  readonly #state: Int8Array;
  readonly #order: Int8Array;
  /** Lists of free runs by order and of slabs with free blocks by class, linked through the slabs. */
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  readonly #freeRuns = new Int32Array(MAX_ORDERS).fill(NONE);
  readonly #openSlabs = new Int32Array(CLASSES).fill(NONE);
  /** By slab: blocks in use, and their bits. */
  readonly #used: Uint16Array;
  readonly #bits: Int32Array;

  /** By slab: 1 when it may hold resident pages. */
  readonly #touched: Uint8Array;
  /** Bytes of free slabs that may be resident. */
  #idleResident = 0;
  #inUse = 0;

  /** `bytes`: a multiple of 64 KB, at most 1 GB (offsets stay small integers). */
  constructor(bytes: number) {
    if (!(bytes >= SLAB && bytes <= 2 ** 30 && bytes % SLAB === 0)) {
      throw new RangeError(`arena of ${bytes} bytes: a multiple of ${SLAB} up to 1 GB is needed`);
    }
    const whole = reserve(bytes + CONTROL_BYTES);
    this.bytes = bytes;
    this.base = addressOf(whole.buffer);
    this.mem = whole.subarray(0, bytes);
    this.control = whole.subarray(bytes);
    this.controlBase = this.base + bytes;
    const slabs = bytes / SLAB;
    this.#slabs = slabs;
    this.#topOrder = 31 - Math.clz32(slabs);
    this.#state = new Int8Array(slabs).fill(INSIDE);
    this.#order = new Int8Array(slabs);
    this.#next = new Int32Array(slabs);
    this.#prev = new Int32Array(slabs);
    this.#used = new Uint16Array(slabs);
    this.#bits = new Int32Array(slabs * WORDS);
    this.#touched = new Uint8Array(slabs);
    // A size that is no power of two is a row of ever smaller runs.
    for (let at = 0; at < slabs; ) {
      const order = Math.min(31 - Math.clz32(slabs - at), at === 0 ? this.#topOrder : ctz(at));
      this.#putRun(at, order);
      at += 1 << order;
    }
  }

  /** Bytes handed out, rounded up to their size classes. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Bytes of free memory that may still be resident; at most LIMITS.ARENA_IDLE_BYTES. */
  get idleResident(): number {
    return this.#idleResident;
  }

  /** Offset of at least `bytes`, or -1 when there is none. */
  alloc(bytes: number): number {
    if (!(bytes > 0)) throw new RangeError(`allocation of ${bytes} bytes`);
    if (bytes > SLAB / 2) return this.#allocLarge(bytes);
    const cls = bytes <= 64 ? 0 : 32 - Math.clz32(bytes - 1) - MIN_SHIFT;
    let slab = this.#openSlabs[cls] as number;
    if (slab === NONE) {
      slab = this.#takeRun(0);
      if (slab === NONE) return -1;
      this.#state[slab] = cls;
      this.#link(this.#openSlabs, cls, slab);
    }
    const block = this.#takeBlock(slab, cls);
    const used = (this.#used[slab] as number) + 1;
    this.#used[slab] = used;
    if (used === 1 << (CLASSES - cls)) this.#unlink(this.#openSlabs, cls, slab);
    this.#inUse += 64 << cls;
    return (slab << SLAB_SHIFT) + (block << (cls + MIN_SHIFT));
  }

  free(offset: number): void {
    const slab = offset >> SLAB_SHIFT;
    const cls = this.#stateAt(offset, slab);
    if (cls === LARGE) {
      if ((offset & (SLAB - 1)) !== 0) throw notAllocated(offset);
      this.#inUse -= SLAB << (this.#order[slab] as number);
      this.#giveRun(slab, this.#order[slab] as number);
      return;
    }
    const block = this.#blockAt(offset, slab, cls);
    const word = slab * WORDS + (block >> 5);
    this.#bits[word] = (this.#bits[word] as number) & ~(1 << (block & 31));
    this.#inUse -= 64 << cls;
    const used = (this.#used[slab] as number) - 1;
    this.#used[slab] = used;
    if (used + 1 === 1 << (CLASSES - cls)) this.#link(this.#openSlabs, cls, slab);
    // The last open slab of a class stays even when empty, so that a single block going to and fro costs nothing.
    if (used === 0 && (this.#openSlabs[cls] !== slab || this.#next[slab] !== NONE)) {
      this.#unlink(this.#openSlabs, cls, slab);
      this.#giveRun(slab, 0);
    }
  }

  sizeOf(offset: number): number {
    const slab = offset >> SLAB_SHIFT;
    const cls = this.#stateAt(offset, slab);
    if (cls === LARGE) {
      if ((offset & (SLAB - 1)) !== 0) throw notAllocated(offset);
      return SLAB << (this.#order[slab] as number);
    }
    this.#blockAt(offset, slab, cls);
    return 64 << cls;
  }

  /**
   * Gives the pages back; only for what lives shorter than its process (tests). The address space goes with the last
   * view of it.
   */
  release(): void {
    madvise(this.base, this.bytes, MADV_DONTNEED);
  }

  #stateAt(offset: number, slab: number): number {
    if ((offset | 0) !== offset || offset < 0 || offset >= this.bytes) throw notAllocated(offset);
    const state = this.#state[slab] as number;
    if (state === FREE || state === INSIDE) throw notAllocated(offset);
    return state;
  }

  #blockAt(offset: number, slab: number, cls: number): number {
    const inside = offset & (SLAB - 1);
    const block = inside >> (cls + MIN_SHIFT);
    const bit = (this.#bits[slab * WORDS + (block >> 5)] as number) & (1 << (block & 31));
    if (bit === 0 || block << (cls + MIN_SHIFT) !== inside) throw notAllocated(offset);
    return block;
  }

  /** The first free block of a slab that has one. */
  #takeBlock(slab: number, cls: number): number {
    const first = slab * WORDS;
    const words = Math.max(1, WORDS >> cls);
    for (let i = 0; i < words; i++) {
      const bits = this.#bits[first + i] as number;
      if (bits !== -1) {
        const bit = ctz(~bits);
        this.#bits[first + i] = bits | (1 << bit);
        return (i << 5) + bit;
      }
    }
    throw new Error('a slab with free blocks has none');
  }

  #allocLarge(bytes: number): number {
    if (bytes > this.bytes) return -1;
    const slabs = Math.ceil(bytes / SLAB);
    const order = slabs === 1 ? 0 : 32 - Math.clz32(slabs - 1);
    const slab = this.#takeRun(order);
    if (slab === NONE) return -1;
    this.#state[slab] = LARGE;
    this.#inUse += SLAB << order;
    return slab << SLAB_SHIFT;
  }

  #takeRun(order: number): number {
    let from = order;
    while (from <= this.#topOrder && this.#freeRuns[from] === NONE) from++;
    if (from > this.#topOrder) return NONE;
    const slab = this.#freeRuns[from] as number;
    this.#unlink(this.#freeRuns, from, slab);
    while (from > order) {
      from--;
      this.#putRun(slab + (1 << from), from);
    }
    this.#order[slab] = order;
    this.#state[slab] = INSIDE;
    const end = slab + (1 << order);
    for (let i = slab; i < end; i++) {
      if (this.#touched[i] === 1) this.#idleResident -= SLAB;
      else this.#touched[i] = 1;
    }
    return slab;
  }

  #giveRun(slab: number, order: number): void {
    const bytes = SLAB << order;
    if (this.#idleResident + bytes > LIMITS.ARENA_IDLE_BYTES) {
      madvise(this.base + (slab << SLAB_SHIFT), bytes, MADV_DONTNEED);
      this.#touched.fill(0, slab, slab + (1 << order));
    } else {
      this.#idleResident += bytes;
    }
    let head = slab;
    let o = order;
    while (o < this.#topOrder) {
      const buddy = head ^ (1 << o);
      if (buddy + (1 << o) > this.#slabs || this.#state[buddy] !== FREE || this.#order[buddy] !== o) break;
      this.#unlink(this.#freeRuns, o, buddy);
      this.#state[buddy] = INSIDE;
      this.#state[head] = INSIDE;
      head = Math.min(head, buddy);
      o++;
    }
    this.#putRun(head, o);
  }

  #putRun(slab: number, order: number): void {
    this.#state[slab] = FREE;
    this.#order[slab] = order;
    this.#link(this.#freeRuns, order, slab);
  }

  #link(heads: Int32Array, list: number, slab: number): void {
    const first = heads[list] as number;
    this.#prev[slab] = NONE;
    this.#next[slab] = first;
    if (first !== NONE) this.#prev[first] = slab;
    heads[list] = slab;
  }

  #unlink(heads: Int32Array, list: number, slab: number): void {
    const prev = this.#prev[slab] as number;
    const next = this.#next[slab] as number;
    if (prev === NONE) heads[list] = next;
    else this.#next[prev] = next;
    if (next !== NONE) this.#prev[next] = prev;
  }
}

function reserve(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return newMemory(bytes);
  } catch (error) {
    throw new ExitError(EXIT.cannotRun, `cannot reserve ${bytes} bytes of address space: ${String(error)}`);
  }
}

/** Number of trailing zero bits; 32 for 0. */
function ctz(n: number): number {
  return n === 0 ? 32 : 31 - Math.clz32(n & -n);
}

function notAllocated(offset: number): RangeError {
  return new RangeError(`offset ${offset} is not an allocated block`);
}

// A byte ring in shared memory from one worker to the one process that writes the access log. A full ring drops whole
// lines and says so; nothing ever waits for a reader.

/** Bytes before the data: positions, each on a cache line of its own. */
export const RING_HEADER_BYTES = 4096;
const WRITTEN = 0;
const READ = 16;

/** Memory to map for a ring of `bytes` (a power of two). */
export function ringBytes(bytes: number): number {
  return RING_HEADER_BYTES + bytes;
}

class Ring {
  protected readonly positions: Int32Array;
  protected readonly data: Uint8Array;
  protected readonly view: DataView;
  protected readonly mask: number;

  constructor(memory: ArrayBuffer) {
    const size = memory.byteLength - RING_HEADER_BYTES;
    if (size <= 0 || (size & (size - 1)) !== 0) throw new RangeError(`ring of ${size} bytes is not a power of two`);
    this.positions = new Int32Array(memory, 0, RING_HEADER_BYTES / 4);
    this.data = new Uint8Array(memory, RING_HEADER_BYTES, size);
    this.view = new DataView(memory, RING_HEADER_BYTES, size);
    this.mask = size - 1;
  }

  /** Bytes written and not yet read. */
  get waiting(): number {
    return (Atomics.load(this.positions, WRITTEN) - Atomics.load(this.positions, READ)) >>> 0;
  }
}

export class RingWriter extends Ring {
  /** What `publish` will show. Only this side moves it. */
  #written = this.positions[WRITTEN] as number;
  /** READ when last looked at; it may only have grown since. */
  #read = Atomics.load(this.positions, READ);

  /** The ring's memory, for writing a line in place at `reserve`. */
  get memory(): Uint8Array {
    return this.data;
  }
  get memoryView(): DataView {
    return this.view;
  }

  /** Where `n` bytes can be written in one piece, -1 when there is no room for that without wrapping around. */
  reserve(n: number): number {
    const from = this.#written & this.mask;
    return this.mask + 1 - from >= n && this.#hasRoom(n) ? from : -1;
  }

  /** Makes the first `n` bytes behind `reserve` part of the ring. */
  commit(n: number): void {
    this.#written = (this.#written + n) | 0;
  }

  /** Appends source[start..end) whole, or nothing: false when it does not fit. */
  write(source: Uint8Array, start: number, end: number): boolean {
    const n = end - start;
    if (!this.#hasRoom(n)) return false;
    const from = this.#written & this.mask;
    const first = Math.min(n, this.mask + 1 - from);
    this.data.set(source.subarray(start, start + first), from);
    if (first < n) this.data.set(source.subarray(start + first, end), 0);
    this.commit(n);
    return true;
  }

  /** Shows the reader what was committed. */
  publish(): void {
    if (this.positions[WRITTEN] !== this.#written) Atomics.store(this.positions, WRITTEN, this.#written);
  }

  #hasRoom(n: number): boolean {
    const size = this.mask + 1;
    if (size - ((this.#written - this.#read) >>> 0) >= n) return true;
    this.#read = Atomics.load(this.positions, READ);
    return size - ((this.#written - this.#read) >>> 0) >= n;
  }
}

export class RingReader extends Ring {
  /** What waits, in place: whole lines, in one piece or two (around the ring's end), up to `max` bytes. */
  pending(max: number): Uint8Array[] {
    const at = this.positions[READ] as number;
    let n = this.waiting;
    if (n > max) n = this.#lineEnd(at, max);
    if (n === 0) return [];
    const from = at & this.mask;
    const first = Math.min(n, this.mask + 1 - from);
    const pieces = [this.data.subarray(from, from + first)];
    if (first < n) pieces.push(this.data.subarray(0, n - first));
    return pieces;
  }

  /** `n` bytes of what was pending are done with. */
  consume(n: number): void {
    Atomics.store(this.positions, READ, ((this.positions[READ] as number) + n) | 0);
  }

  /** A copy of the newest whole lines, read or not: about `bytes`, at most half the ring (the worker writes at the other end). */
  newest(bytes: number): Buffer {
    const end = Atomics.load(this.positions, WRITTEN);
    const n = Math.min(bytes, (this.mask + 1) >> 1);
    const out = Buffer.alloc(n);
    const from = (end - n) & this.mask;
    const first = Math.min(n, this.mask + 1 - from);
    out.set(this.data.subarray(from, from + first));
    out.set(this.data.subarray(0, n - first), first);
    // Should the worker have come around meanwhile, it went over the oldest bytes; zeros are memory it never wrote.
    const over = ((Atomics.load(this.positions, WRITTEN) - end) >>> 0) + n - (this.mask + 1);
    const whole = out.subarray(Math.min(n, Math.max(0, over)));
    const never = whole.lastIndexOf(0);
    const start = (never === -1 ? whole.indexOf(0x0a) : never) + 1;
    return whole.subarray(start);
  }

  /** The largest number of bytes up to `max` behind `at` that ends a line. */
  #lineEnd(at: number, max: number): number {
    let n = max;
    while (n > 0 && this.data[(at + n - 1) & this.mask] !== 0x0a) n--;
    return n;
  }
}

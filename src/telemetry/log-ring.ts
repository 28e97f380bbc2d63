// A byte ring in shared memory from one worker to the one process that writes the access log. A full ring drops whole
// lines and says so; nothing ever waits for a reader.

/** Bytes before the data: positions, each on a cache line of its own. */
const RING_HEADER_BYTES = 4096;
const WRITTEN = 0;
const READ = 16;
/** Lines that the readers dropped, a double. */
const DROPPED_AT = 128;
const NEWLINE = 0x0a;

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

  /** Bytes it holds at the most. */
  get size(): number {
    return this.mask + 1;
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

/**
 * The reader's side. Whatever stands in the memory may have been put there by a worker that was made to err: positions
 * are held against the ring's size, what is read is copied first, and where reading goes on is known here, not there.
 */
export class RingReader extends Ring {
  /** Behind what was consumed. In memory it stands for the next reader only. */
  #at: number;
  readonly #drops: Float64Array;
  #dropped: number;

  constructor(memory: ArrayBuffer) {
    super(memory);
    this.#drops = new Float64Array(memory, DROPPED_AT, 1);
    const before = this.#drops[0] as number;
    this.#dropped = Number.isSafeInteger(before) && before > 0 ? before : 0;
    this.#at = Atomics.load(this.positions, READ);
  }

  override get waiting(): number {
    return Math.min((Atomics.load(this.positions, WRITTEN) - this.#at) >>> 0, this.mask + 1);
  }

  /** Lines that readers of this ring could not use or did not get rid of, over all readers there were. */
  get dropped(): number {
    return this.#dropped;
  }

  drop(lines: number): void {
    if (lines === 0) return;
    this.#dropped += lines;
    this.#drops[0] = this.#dropped;
  }

  /**
   * Copies whole lines that wait to the front of `into`, which has room for the longest; returns the bytes copied. They
   * wait until they are consumed. What cannot be a line (positions further apart than the ring is long, no end of a
   * line where one must be) is dropped.
   */
  take(into: Uint8Array): number {
    const written = Atomics.load(this.positions, WRITTEN);
    const waiting = (written - this.#at) >>> 0;
    if (waiting > this.mask + 1) {
      this.drop(1);
      this.#moveTo(written);
      return 0;
    }
    const n = Math.min(waiting, into.length);
    if (n === 0) return 0;
    const from = this.#at & this.mask;
    const first = Math.min(n, this.mask + 1 - from);
    into.set(this.data.subarray(from, from + first));
    into.set(this.data.subarray(0, n - first), first);
    const end = into.lastIndexOf(NEWLINE, n - 1) + 1;
    if (end > 0) return end;
    this.drop(1);
    this.consume(n);
    return 0;
  }

  /** `n` bytes of what was taken are done with. */
  consume(n: number): void {
    this.#moveTo((this.#at + n) | 0);
  }

  /** Drops the oldest lines that wait, about `bytes` of them. */
  discard(bytes: number): void {
    const n = Math.min(this.waiting, bytes);
    let lines = 0;
    let end = 0;
    for (let i = 0; i < n; i++) {
      if (this.data[(this.#at + i) & this.mask] !== NEWLINE) continue;
      lines++;
      end = i + 1;
    }
    this.drop(end === 0 ? 1 : lines);
    this.consume(end === 0 ? n : end);
  }

  #moveTo(position: number): void {
    this.#at = position | 0;
    Atomics.store(this.positions, READ, this.#at);
  }

  /** Where the newest line ends. */
  get end(): number {
    return Atomics.load(this.positions, WRITTEN);
  }

  /**
   * A copy of the lines between the positions `from` and `to`, read or not; null when that is more than `most` bytes or
   * half the ring.
   */
  between(from: number, to: number, most: number): Buffer | null {
    const n = (to - from) >>> 0;
    if (n > Math.min(most, this.size >> 1)) return null;
    const out = Buffer.alloc(n);
    const first = Math.min(n, this.size - (from & this.mask));
    out.set(this.data.subarray(from & this.mask, (from & this.mask) + first));
    out.set(this.data.subarray(0, n - first), first);
    return out;
  }

  /**
   * A copy of the newest whole lines, read or not: about `bytes`, at most half the ring (the worker writes at the other
   * end).
   */
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
    const start = (never === -1 ? whole.indexOf(NEWLINE) : never) + 1;
    return whole.subarray(start);
  }
}

// One direction of a connection: what the sender's kernel holds, then what the receiver's kernel holds, in one ring.

const FIRST_BYTES = 4096;
const SEGMENT_BYTES = 1460;

export class Pipe {
  #ring: Uint8Array = new Uint8Array(0);
  // Positions in the stream, ever growing: taken <= arrived <= written.
  #taken = 0;
  #arrived = 0;
  #written = 0;
  /** FIN follows the last byte written. */
  finQueued = false;
  finArrived = false;
  /** Whether the network has its next delivery of this pipe scheduled. */
  scheduled = false;
  /** Stream position behind which a fault resets the connection. */
  resetAt = Number.POSITIVE_INFINITY;

  readonly #sendLimit: number;
  readonly #receiveLimit: number;
  /** A unix socket's: what is written has arrived, and fills the sender's buffer until it is read. */
  readonly #direct: boolean;

  constructor(sendLimit: number, receiveLimit: number, direct: boolean) {
    this.#sendLimit = sendLimit;
    this.#receiveLimit = receiveLimit;
    this.#direct = direct;
  }

  /** Bytes in the sender's buffer or on the wire. */
  get queued(): number {
    return this.#written - this.#arrived;
  }
  /** Bytes in the receiver's buffer. */
  get readable(): number {
    return this.#arrived - this.#taken;
  }
  get arrived(): number {
    return this.#arrived;
  }
  /** Room in the receiver's buffer. */
  get window(): number {
    return this.#receiveLimit - this.readable;
  }
  /** Room in the sender's buffer. */
  get space(): number {
    return this.#sendLimit - this.#charged;
  }
  /** sk_stream_is_writeable: a third of the sender's buffer is free. */
  get writable(): boolean {
    return this.space >= this.#charged >> 1;
  }
  get #charged(): number {
    return this.#written - (this.#direct ? this.#taken : this.#arrived);
  }

  write(from: Uint8Array, offset: number, length: number): void {
    this.#grow(length);
    const ring = this.#ring;
    const at = this.#written & (ring.length - 1);
    const first = Math.min(length, ring.length - at);
    ring.set(from.subarray(offset, offset + first), at);
    if (first < length) ring.set(from.subarray(offset + first, offset + length), 0);
    this.#written += length;
    if (this.#direct) this.#arrived = this.#written;
  }

  read(to: Uint8Array, offset: number, length: number): number {
    const n = Math.min(length, this.readable);
    const ring = this.#ring;
    const at = this.#taken & (ring.length - 1);
    const first = Math.min(n, ring.length - at);
    to.set(ring.subarray(at, at + first), offset);
    if (first < n) to.set(ring.subarray(0, n - first), offset + first);
    this.#taken += n;
    return n;
  }

  /** `n` bytes reach the receiver. */
  arrive(n: number): void {
    this.#arrived += n;
  }

  /** Whether the receiver's room has grown enough to be told (silly window avoidance, RFC 1122 section 4.2.3.3). */
  get windowOpen(): boolean {
    return this.window >= Math.min(SEGMENT_BYTES, this.#receiveLimit >> 1);
  }

  /** What has not arrived is lost. */
  purgeQueued(): void {
    this.#written = this.#arrived;
    this.finQueued = false;
  }

  #grow(more: number): void {
    const held = this.#written - this.#taken;
    if (held + more <= this.#ring.length) return;
    let size = Math.max(FIRST_BYTES, this.#ring.length);
    while (size < held + more) size *= 2;
    const ring = new Uint8Array(size);
    for (let p = this.#taken; p < this.#written; ) {
      const from = p & (this.#ring.length - 1);
      const to = p & (size - 1);
      const n = Math.min(this.#written - p, this.#ring.length - from, size - to);
      ring.set(this.#ring.subarray(from, from + n), to);
      p += n;
    }
    this.#ring = ring;
  }
}

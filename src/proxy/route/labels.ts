// The bytes of all host names and path elements that rules name, side by side in one array: a typed array of its own
// for each would cost over 200 bytes, and a lookup two more cache lines.

const FIRST_BYTES = 64 * 1024;

class Labels {
  /** Replaced by a larger one as it fills: to be read anew for each lookup. */
  bytes = new Uint8Array(FIRST_BYTES);
  /** The same. */
  words = new DataView(this.bytes.buffer);
  /** Bytes of labels that are in use. */
  inUse = 0;
  #end = 0;
  /** Starts of the places that became free, by their length. */
  readonly #free = new Map<number, number[]>();

  /** Keeps a copy; returns where. */
  add(label: Uint8Array): number {
    const reused = this.#free.get(label.length)?.pop();
    const start = reused ?? this.#end;
    if (reused === undefined) {
      this.#end += label.length;
      if (this.#end > this.bytes.length) this.#grow();
    }
    this.bytes.set(label, start);
    this.inUse += label.length;
    return start;
  }

  remove(start: number, length: number): void {
    this.inUse -= length;
    const places = this.#free.get(length);
    if (places === undefined) this.#free.set(length, [start]);
    else places.push(start);
  }

  #grow(): void {
    let size = this.bytes.length;
    while (size < this.#end) size *= 2;
    const larger = new Uint8Array(size);
    larger.set(this.bytes);
    this.bytes = larger;
    this.words = new DataView(larger.buffer);
  }
}

/** Those of every router of the process. */
export const LABELS = new Labels();

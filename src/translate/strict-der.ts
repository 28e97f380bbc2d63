// DER (X.690 section 10) read in one pass from front to back: each element has exactly one form, and whatever has
// another, or stands where it is not expected, ends the reading.

/** What the bytes say is not what the reader knows. */
export class Strange extends Error {
  constructor() {
    // Neither is looked at, and to write down the stack takes as long as to read a certificate.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super('not plain');
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export class StrictDer {
  readonly bytes: Buffer;
  /** What comes next. */
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Steps over tag and length of an element of `tag`; returns the offset behind its content. */
  open(tag: number): number {
    const { bytes } = this;
    if (bytes[this.at] !== tag) throw new Strange();
    let length = bytes[this.at + 1] ?? 255;
    this.at += 2;
    if (length > 127) {
      const digits = length - 128;
      if (digits < 1 || digits > 3 || this.at + digits > bytes.length) throw new Strange();
      length = bytes.readUIntBE(this.at, digits);
      // The shortest form that holds it (X.690 section 10.1).
      if (length < 128 || length < 2 ** (8 * (digits - 1))) throw new Strange();
      this.at += digits;
    }
    const end = this.at + length;
    if (end > bytes.length) throw new Strange();
    return end;
  }

  /** What was opened has been read whole, and nothing beyond it. */
  close(end: number): void {
    if (this.at !== end) throw new Strange();
  }

  /** Steps over exactly these bytes. */
  expect(given: Uint8Array): void {
    const end = this.at + given.length;
    if (!this.#stands(given)) throw new Strange();
    this.at = end;
  }

  /** Steps over whichever of these stands here; returns its index. None of them begins another. */
  oneOf(all: readonly Uint8Array[]): number {
    const found = this.find(all);
    if (found < 0) throw new Strange();
    return found;
  }

  /** The same; -1, and nothing is stepped over, where none stands. */
  find(all: readonly Uint8Array[]): number {
    const found = all.findIndex((one) => this.#stands(one));
    this.at += all[found]?.length ?? 0;
    return found;
  }

  /** Steps over an INTEGER above 0 in its shortest form (X.690 section 8.3); its bytes without the zero of the sign. */
  positive(): Uint8Array {
    const end = this.open(2);
    const [first = 128, second = 0] = this.bytes.subarray(this.at, end);
    if (first >= 128 || (first === 0 && second < 128)) throw new Strange();
    const bytes = this.bytes.subarray(first === 0 ? this.at + 1 : this.at, end);
    this.at = end;
    return bytes;
  }

  /** One character a byte. */
  text(from: number, to: number): string {
    return this.bytes.toString('latin1', from, to);
  }

  #stands(given: Uint8Array): boolean {
    const end = this.at + given.length;
    return end <= this.bytes.length && this.bytes.compare(given, 0, given.length, this.at, end) === 0;
  }
}

/** Whether these are an object identifier's content: whole numbers, each in its shortest form (X.690 section 8.19). */
export function isOid(bytes: Uint8Array, from: number, to: number): boolean {
  let first = true;
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number;
    if (first && byte === 0x80) return false;
    first = byte < 128;
  }
  return to > from && first;
}

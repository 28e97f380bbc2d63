// The framing of a watch: one JSON value a line (apimachinery's json framer), in pieces as they come off the wire.

import { failure } from './failure.ts';

const NEWLINE = 0x0a;

/** Cuts bytes into lines. What is left at the end is half an event: it never happened. */
export class Lines {
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** `limit`: bytes of one line. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether something stands behind the last line's end. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  /** Calls `onLine` for each line that ends in `chunk`; throws a Failure when one is too long. */
  push(chunk: Uint8Array, onLine: (text: string) => void): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end);
      start = end + 1;
      const line = this.#bytes === 0 ? tail : Buffer.concat([...this.#parts, tail]);
      this.#parts = [];
      this.#bytes = 0;
      if (line.length > this.#limit) throw this.#tooLong();
      if (line.length > 0) onLine(Buffer.from(line.buffer, line.byteOffset, line.length).toString('utf8'));
    }
    if (start === chunk.length) return;
    this.#parts.push(chunk.subarray(start));
    this.#bytes += chunk.length - start;
    if (this.#bytes > this.#limit) throw this.#tooLong();
  }

  #tooLong(): unknown {
    return failure('Broken', `an event of more than ${this.#limit} bytes`);
  }
}

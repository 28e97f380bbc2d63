// Bodies of soaks: any of them is a piece of one pattern, from an offset that its seed chooses, so that both ends know
// every byte of it and any shift of it shows.

import { mulberry32 } from '../support/mulberry32.ts';

/** The longest body. */
export const MAX_BYTES = 10 * 1024 * 1024;
const PIECE = 64 * 1024;
const pattern = Buffer.alloc(MAX_BYTES * 2);
{
  const next = mulberry32(99);
  for (let i = 0; i < pattern.length; i += 4) pattern.writeUInt32LE((next() * 2 ** 32) >>> 0, i);
}
const offsetOf = (seed: number): number => (seed * 2_654_435_761) % MAX_BYTES;

/** The first `size` bytes of a body; not to be written to. */
export function bodyOf(seed: number, size: number): Buffer {
  return pattern.subarray(offsetOf(seed), offsetOf(seed) + size);
}

/** Compares a body with what its seed says. */
export class Check {
  readonly #seed: number;
  readonly #size: number;
  seen = 0;
  #bad = false;

  constructor(seed: number, size: number) {
    this.#seed = seed;
    this.#size = size;
  }
  take(part: Uint8Array): void {
    const from = offsetOf(this.#seed) + this.seen;
    if (!this.#bad && pattern.compare(part, 0, part.length, from, from + part.length) !== 0) this.#bad = true;
    this.seen += part.length;
  }
  /** At its end: '' when all of it came as it should. */
  verdict(): string {
    return this.#bad ? 'differs' : this.seen === this.#size ? '' : `${this.seen} of ${this.#size} bytes`;
  }
}

/** Writes a body as it is taken, then ends. */
export async function send(
  stream: NodeJS.WritableStream & { destroyed?: boolean },
  seed: number,
  size: number,
): Promise<void> {
  const body = bodyOf(seed, size);
  for (let at = 0; at < size && stream.destroyed !== true; at += PIECE) {
    if (!stream.write(body.subarray(at, Math.min(size, at + PIECE)))) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          stream.removeListener('drain', done);
          stream.removeListener('close', done);
          resolve();
        };
        stream.once('drain', done);
        stream.once('close', done);
      });
    }
  }
  stream.end();
}

// The first revision of a program, as it comes: nobody has anything yet that it could change, so workers are given its
// entries before it is whole, and read them while the controller makes the others. It counts with its end, which they
// are given when it is committed; one that never is (its controller died) is forgotten with the next one's beginning.

import { LIMITS } from '../base/limits.ts';
import { STATE_PREFIX } from '../ir/keys.ts';
import { type Begin, encodeBegin } from '../stream/frames.ts';
import { entryFrame } from './encode.ts';
import type { WorkerProcess } from './worker-process.ts';

export class Ahead {
  readonly begin: Begin;
  readonly #workers: readonly WorkerProcess[];
  #batch: Buffer[];
  #bytes = 0;
  #sent = false;

  /** `workers`: that have nothing, and are given this. */
  constructor(begin: Begin, workers: readonly WorkerProcess[]) {
    this.begin = begin;
    this.#workers = workers;
    this.#batch = [encodeBegin(begin)];
  }

  add(key: string, value: Buffer | null): void {
    if (key.startsWith(STATE_PREFIX)) return;
    const frame = entryFrame(key, value);
    this.#batch.push(frame);
    this.#bytes += frame.length;
    if (this.#bytes >= LIMITS.READ_BYTES) this.#flush();
  }

  /** Sends what is left but for the end; who has it all then. A small one went to nobody: it goes in one piece. */
  finish(): readonly WorkerProcess[] {
    if (!this.#sent) return [];
    if (this.#bytes > 0) this.#flush();
    return this.#workers;
  }

  #flush(): void {
    const part = Buffer.concat(this.#batch);
    for (const worker of this.#workers) worker.send(part);
    this.#batch = [];
    this.#bytes = 0;
    this.#sent = true;
  }
}

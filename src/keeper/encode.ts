// A step from one content to the next, as it goes to a worker.

import { LIMITS } from '../base/limits.ts';
import { type Begin, encodeBegin, encodeFrame, encodeJson, encodePut, FRAME } from '../stream/frames.ts';
import type { Step } from './revisions.ts';

/** `begin`, then its sockets, then `parts` up to the commit: several entries each, for one send. */
export interface EncodedStep extends Begin {
  readonly begin: Buffer;
  /** Made as they are asked for, once: the first can be read while the others are not there yet. */
  readonly parts: Iterable<Buffer>;
}

export function encodeStep({ revision, base, change }: Step): EncodedStep {
  return { revision, base, begin: encodeBegin({ revision, base }), parts: partsOf(revision, change) };
}

/** `value`: null for one that goes. */
export function entryFrame(key: string, value: Buffer | null): Buffer {
  return value === null ? encodeFrame(FRAME.DELETE, Buffer.from(key)) : encodePut(key, value);
}

export function commitFrame(revision: number): Buffer {
  return encodeJson(FRAME.COMMIT, { revision });
}

function* partsOf(revision: number, change: Step['change']): Generator<Buffer> {
  let batch: Buffer[] = [];
  let size = 0;
  for (const [key, value] of change) {
    const frame = entryFrame(key, value);
    batch.push(frame);
    size += frame.length;
    if (size < LIMITS.READ_BYTES) continue;
    yield Buffer.concat(batch);
    batch = [];
    size = 0;
  }
  batch.push(commitFrame(revision));
  yield Buffer.concat(batch);
}

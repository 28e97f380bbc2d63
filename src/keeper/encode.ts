// A step from one content to the next, as it goes to a worker.

import { LIMITS } from '../base/limits.ts';
import { type Begin, encodeBegin, encodeFrame, encodeJson, encodePut, FRAME } from '../stream/frames.ts';
import type { Step } from './revisions.ts';

/** `begin`, then its sockets, then `parts` up to the commit: several entries each, for one send. */
export interface EncodedStep extends Begin {
  readonly begin: Buffer;
  readonly parts: readonly Buffer[];
}

export function encodeStep({ revision, base, change }: Step): EncodedStep {
  const parts: Buffer[] = [];
  let batch: Buffer[] = [];
  let size = 0;
  const flush = (): void => {
    if (batch.length > 0) parts.push(Buffer.concat(batch));
    batch = [];
    size = 0;
  };
  for (const [key, value] of change) {
    const frame = value === null ? encodeFrame(FRAME.DELETE, Buffer.from(key)) : encodePut(key, value);
    batch.push(frame);
    size += frame.length;
    if (size >= LIMITS.READ_BYTES) flush();
  }
  batch.push(encodeJson(FRAME.COMMIT, { revision }));
  flush();
  return { revision, base, begin: encodeBegin({ revision, base }), parts };
}

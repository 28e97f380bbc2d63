// What is kept of a configuration on disk, so that a whole program can be started again without whoever gave it
// (--state-file): a mark, one message that says whose it is, the entries as the stream has them, how many they were,
// and a digest of all that.

import { hash } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import { decodeJson, decodePut, encodeJson, encodePut, FRAME, FrameDecoder } from './frames.ts';

/** Another one when the file's form changes. */
const MARK = Buffer.from('RAUTA state 1\n');
const DIGEST_BYTES = 32;

/** Whose state it is: only one that is equal is taken up. */
export interface KeptBy {
  /** Version of the program: another one may understand entries otherwise. */
  readonly version: string;
  /** What of its flags decides what it serves. */
  readonly flags: string;
}

export interface Kept {
  readonly entries: ReadonlyMap<string, Buffer>;
  /** When it was written, Unix milliseconds. */
  readonly writtenMs: number;
}

/** The whole file. */
export function encodeKept(
  entries: Iterable<readonly [key: string, value: Buffer]>,
  by: KeptBy,
  writtenMs: number,
): Buffer {
  const parts = [MARK, encodeJson(FRAME.MESSAGE, { ...by, writtenMs })];
  let count = 0;
  for (const [key, value] of entries) {
    count++;
    parts.push(encodePut(key, value));
  }
  parts.push(encodeJson(FRAME.COMMIT, { entries: count }));
  const body = Buffer.concat(parts);
  return Buffer.concat([body, hash('sha256', body, 'buffer')]);
}

/** What the file holds, or why nothing of it is used, to be said behind its name. */
export function decodeKept(bytes: Buffer, by: KeptBy): Kept | string {
  if (!bytes.subarray(0, MARK.length).equals(MARK)) return 'is not a state file of this version';
  const body = bytes.subarray(0, Math.max(MARK.length, bytes.length - DIGEST_BYTES));
  if (!hash('sha256', body, 'buffer').equals(bytes.subarray(body.length))) return 'is cut off or damaged';
  const entries = new Map<string, Buffer>();
  let head: Record<string, unknown> = {};
  let said: unknown = -1;
  try {
    new FrameDecoder(LIMITS.FRAME_BYTES).push(body.subarray(MARK.length), (frame) => {
      if (frame.type === FRAME.MESSAGE) head = decodeJson(frame.body);
      else if (frame.type === FRAME.COMMIT) said = decodeJson(frame.body)['entries'];
      else if (frame.type === FRAME.PUT) {
        const { key, value } = decodePut(frame.body);
        entries.set(key, value);
      }
    });
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (head['version'] !== by.version) return `was written by version ${String(head['version'])} of the program`;
  if (head['flags'] !== by.flags) return 'was written by a program with other flags, so for another configuration';
  if (said !== entries.size || typeof head['writtenMs'] !== 'number') return 'does not hold what it says';
  return { entries, writtenMs: head['writtenMs'] };
}

// The config stream's frames: u32 length, u8 type, body. One protocol between controller, keeper and workers;
// descriptors (sockets, shared memory) travel beside the frame that announces them. Values of entries are opaque to the
// keeper.

import { LIMITS } from '../base/limits.ts';
import { ProtocolError } from './protocol-error.ts';

export const FRAME = {
  /** JSON: anything of messages.ts. */
  MESSAGE: 1,
  /** Starts a revision: JSON { revision, base }. */
  BEGIN: 2,
  /** u16 key length, key, value. */
  PUT: 3,
  /** key */
  DELETE: 4,
  /** Ends a revision: JSON { revision }. */
  COMMIT: 5,
  /** Keys of TLS session tickets, one behind the other: never an entry, never shown. */
  TICKETS: 6,
} as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly type: number;
  /** Valid until the next frame is decoded. */
  readonly body: Buffer;
}

/** What a BEGIN frame says. */
export interface Begin {
  readonly revision: number;
  /** The revision that this one changes; null: it is everything there is, and what it does not name is gone. */
  readonly base: number | null;
}

const HEADER_BYTES = 5;

export function encodeFrame(type: FrameType, body: Buffer): Buffer {
  const out = headed(type, body.length);
  body.copy(out, HEADER_BYTES);
  return out;
}

/** Room for a frame with a body of `bytes`, which is to be filled. */
function headed(type: FrameType, bytes: number): Buffer {
  if (bytes > LIMITS.FRAME_BYTES) throw new RangeError(`frame of ${bytes} bytes is over ${LIMITS.FRAME_BYTES}`);
  const out = Buffer.allocUnsafe(HEADER_BYTES + bytes);
  out.writeUInt32LE(bytes, 0);
  out[4] = type;
  return out;
}

export function encodeJson(type: FrameType, value: unknown): Buffer {
  return encodeFrame(type, Buffer.from(JSON.stringify(value)));
}

export function encodePut(key: string, value: Buffer): Buffer {
  const name = Buffer.byteLength(key);
  const out = headed(FRAME.PUT, 2 + name + value.length);
  out.writeUInt16LE(name, HEADER_BYTES);
  out.write(key, HEADER_BYTES + 2);
  value.copy(out, HEADER_BYTES + 2 + name);
  return out;
}

/** Key and a copy of the value. Throws ProtocolError. */
export function decodePut(body: Buffer): { key: string; value: Buffer } {
  const length = body.length < 2 ? 0 : body.readUInt16LE(0);
  if (body.length < 2 + length) throw new ProtocolError('a frame with a key longer than itself');
  return { key: body.toString('utf8', 2, 2 + length), value: kept(body.subarray(2 + length)) };
}

let slab = Buffer.alloc(0);

/**
 * A copy among others of its kind. In Node's own pool it would lie among frames that are gone in a moment, and hold the
 * memory of all of them.
 */
function kept(value: Buffer): Buffer {
  const { length } = value;
  if (length > LIMITS.KEPT_SLAB_BYTES / 8) return Buffer.from(value);
  if (length > slab.length) slab = Buffer.allocUnsafeSlow(LIMITS.KEPT_SLAB_BYTES);
  const copy = slab.subarray(0, length);
  slab = slab.subarray(length);
  value.copy(copy);
  return copy;
}

export function encodeBegin(begin: Begin): Buffer {
  return encodeJson(FRAME.BEGIN, begin);
}

/** Throws ProtocolError. */
export function decodeBegin(body: Buffer): Begin {
  const { revision, base } = decodeJson(body);
  if (!isRevision(revision) || !(base === null || isRevision(base)))
    throw new ProtocolError('a revision without its number');
  return { revision, base };
}

export function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The object that a frame holds as JSON. Throws ProtocolError. */
export function decodeJson(body: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new ProtocolError('a frame that is no JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ProtocolError('a frame that is no JSON object');
  return value as Record<string, unknown>;
}

/** Cuts a byte stream into frames of at most `limit` bytes; a larger one is a ProtocolError and ends the stream. */
export class FrameDecoder {
  readonly #limit: number;
  /** Parts of a frame that is not whole yet; joined once, when it is. */
  #held: Buffer[] = [];
  #have = 0;
  #need = HEADER_BYTES;

  constructor(limit: number = LIMITS.FRAME_BYTES) {
    this.#limit = limit;
  }

  /** Calls `onFrame` for every whole frame in what came so far. */
  push(bytes: Buffer, onFrame: (frame: Frame) => void): void {
    let data = bytes;
    if (this.#have > 0) {
      this.#hold(bytes);
      if (this.#have < this.#need) return;
      data = Buffer.concat(this.#held);
      this.#held = [];
      this.#have = 0;
    }
    this.#need = HEADER_BYTES;
    let at = 0;
    while (data.length - at >= HEADER_BYTES) {
      const length = data.readUInt32LE(at);
      if (length > this.#limit) throw new ProtocolError(`a frame of ${length} bytes is over ${this.#limit}`);
      this.#need = HEADER_BYTES + length;
      if (data.length - at < this.#need) break;
      const type = data[at + 4] as number;
      onFrame({ type, body: data.subarray(at + HEADER_BYTES, at + this.#need) });
      at += this.#need;
      this.#need = HEADER_BYTES;
    }
    if (at < data.length) this.#hold(data.subarray(at));
  }

  /** A copy, for `bytes` may be a view of memory that is read into again. */
  #hold(bytes: Buffer): void {
    this.#held.push(Buffer.from(bytes));
    this.#have += bytes.length;
  }
}

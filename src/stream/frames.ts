// The config stream's frames: u32 length, u8 type, body. One protocol between controller, keeper and workers; descriptors
// (sockets, shared memory) travel beside the frame that announces them. Values of entries are opaque to the keeper.

import { LIMITS } from '../base/limits.ts';

export const FRAME = {
  /** JSON: anything of messages.ts. */
  MESSAGE: 1,
  /** Starts a revision: JSON { revision, full } (full: what is not repeated is removed). */
  BEGIN: 2,
  /** u16 key length, key, value. */
  PUT: 3,
  /** key */
  DELETE: 4,
  /** Ends a revision: JSON { revision }. */
  COMMIT: 5,
} as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly type: number;
  /** Valid until the next frame is decoded. */
  readonly body: Buffer;
}

const HEADER_BYTES = 5;

export function encodeFrame(type: FrameType, body: Buffer): Buffer {
  if (body.length > LIMITS.FRAME_BYTES)
    throw new RangeError(`frame of ${body.length} bytes is over ${LIMITS.FRAME_BYTES}`);
  const out = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  out.writeUInt32LE(body.length, 0);
  out[4] = type;
  body.copy(out, HEADER_BYTES);
  return out;
}

export function encodeJson(type: FrameType, value: unknown): Buffer {
  return encodeFrame(type, Buffer.from(JSON.stringify(value)));
}

export function encodePut(key: string, value: Buffer): Buffer {
  const name = Buffer.from(key);
  const body = Buffer.allocUnsafe(2 + name.length + value.length);
  body.writeUInt16LE(name.length, 0);
  name.copy(body, 2);
  value.copy(body, 2 + name.length);
  return encodeFrame(FRAME.PUT, body);
}

export function decodePut(body: Buffer): { key: string; value: Buffer } {
  const length = body.readUInt16LE(0);
  if (2 + length > body.length) throw new RangeError('frame with a key longer than itself');
  return { key: body.toString('utf8', 2, 2 + length), value: Buffer.from(body.subarray(2 + length)) };
}

/** Cuts a byte stream into frames; a frame over the limit is an error of the peer and ends the stream. */
export class FrameDecoder {
  /** Parts of a frame that is not whole yet; joined once, when it is. */
  #held: Buffer[] = [];
  #have = 0;
  #need = HEADER_BYTES;

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
      if (length > LIMITS.FRAME_BYTES) throw new RangeError(`frame of ${length} bytes is over ${LIMITS.FRAME_BYTES}`);
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

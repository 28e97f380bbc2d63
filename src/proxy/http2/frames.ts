// Frames (RFC 9113 sections 4 and 6): what their heads say, and how those of the connection itself are written.
//
//   frames.ts    the bytes of frames                    settings.ts  what the peer has set
//   session.ts   a connection: frames in, streams, ends  sender.ts    frames out: windows, turns, what waits
//   stream.ts    a stream, whoever's side it is          budget.ts    what a peer may ask of us for nothing
//   server.ts    a client's connection                   request.ts   a request's head
//   hpack/       field sections
//
// Session, Sender and Stream know no role: a client's connection and a backend's are subclasses of the same.

import { viewOf } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';

export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
  /** RFC 9218 section 7.1. */
  PRIORITY_UPDATE: 16,
} as const;

export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

/** Section 7. */
export const CODE = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

/** A frame's head: length, type, flags, stream. */
export const FRAME_HEAD = 9;
/** The largest payload that everybody takes, and all that we take (SETTINGS_MAX_FRAME_SIZE, section 6.5.2). */
export const FRAME_PAYLOAD = 16_384;
/** Windows (section 6.9.2) and stream numbers (section 5.1.1) are 31 bits. */
export const MOST = 0x7fff_ffff;
/** Section 6.9.2. */
export const FIRST_WINDOW = 65_535;

/** The client's first bytes (section 3.4). */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** Four bytes as a number of 32 bits. */
export function word(mem: Uint8Array, at: number): number {
  return viewOf(mem).getUint32(at);
}

/** Four bytes without their first bit, which is reserved. */
export function word31(mem: Uint8Array, at: number): number {
  return viewOf(mem).getInt32(at) & MOST;
}

/** Writes a frame's head; returns the offset behind it. Bytes: FRAME_HEAD. */
export function putFrameHead(
  mem: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): number {
  const view = viewOf(mem);
  view.setInt32(at, (length << 8) | type);
  mem[at + 4] = flags;
  view.setInt32(at + 5, stream);
  return at + FRAME_HEAD;
}

/** Length of the payload in a frame's head at `at`. */
export function frameLength(mem: Uint8Array, at: number): number {
  return viewOf(mem).getUint32(at) >>> 8;
}

/** RST_STREAM and WINDOW_UPDATE: a head and one number. */
export const WORD_FRAME = FRAME_HEAD + 4;
export function putWordFrame(mem: Uint8Array, at: number, type: number, stream: number, value: number): number {
  const out = putFrameHead(mem, at, 4, type, 0, stream);
  viewOf(mem).setUint32(out, value);
  return out + 4;
}

export const GOAWAY_FRAME = FRAME_HEAD + 8;
export function putGoaway(mem: Uint8Array, at: number, lastStream: number, code: number): number {
  const out = putFrameHead(mem, at, 8, TYPE.GOAWAY, 0, 0);
  const view = viewOf(mem);
  view.setUint32(out, lastStream);
  view.setUint32(out + 4, code);
  return out + 8;
}

export const PING_FRAME = FRAME_HEAD + 8;
/** A PING; acknowledged ones say what stands at `from`. */
export function putPing(mem: Uint8Array, at: number, flags: number, from: number): number {
  return move(mem, putFrameHead(mem, at, 8, TYPE.PING, flags, 0), from, from + 8);
}

/** Bytes of a SETTINGS frame of so many settings. */
export function settingsFrame(count: number): number {
  return FRAME_HEAD + 6 * count;
}
export function putSettings(mem: Uint8Array, at: number, pairs: readonly (readonly [number, number])[]): number {
  const view = viewOf(mem);
  let out = putFrameHead(mem, at, 6 * pairs.length, TYPE.SETTINGS, 0, 0);
  for (const [id, value] of pairs) {
    view.setUint16(out, id);
    view.setUint32(out + 2, value);
    out += 6;
  }
  return out;
}

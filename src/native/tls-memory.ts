// How bytes and texts reach OpenSSL and come back: one block of the arena that every call uses and leaves, and blocks
// of their own for what is kept. Nothing here outlives a call unless it says so.

import { LIMITS } from '../base/limits.ts';
import { view } from './ffi.ts';
import type { NativeIo } from './io.ts';
import { getError, memcpy, REASON_MASK, reasonString } from './openssl.ts';

/** Cells for pointers that C writes, in front of the bytes. */
const CELLS_BYTES = 64;
const TEXT_BYTES = 256;

/** A C library call that was expected to work did not; `reason` is OpenSSL's. */
export class TlsError extends Error {
  readonly reason: string;
  constructor(call: string, reason: string) {
    super(`${call}: ${reason}`);
    this.name = 'TlsError';
    this.reason = reason;
  }
}

export class TlsMemory {
  readonly io: NativeIo;
  readonly #at: number;
  readonly #view: DataView;
  /** Address of what `put` copied, and of each cell, for direct calls. */
  readonly putAt: bigint;
  readonly cells: readonly bigint[];

  constructor(io: NativeIo) {
    this.io = io;
    this.#at = io.alloc(CELLS_BYTES + LIMITS.TLS_OBJECT_BYTES);
    if (this.#at < 0) throw new Error('no memory for TLS');
    this.#view = new DataView(io.mem.buffer, io.mem.byteOffset, io.mem.length);
    this.putAt = BigInt(io.arena.base + this.room);
    this.cells = Array.from({ length: CELLS_BYTES / 8 }, (_, i) => BigInt(this.cell(i)));
  }

  /** Address of cell `i` (0..7), a place for one pointer. */
  cell(i: number): number {
    return this.io.arena.base + this.#at + i * 8;
  }
  setCell(i: number, value: number): number {
    // In halves: a bigint would be an object for each.
    this.#view.setUint32(this.#at + i * 8, value % 2 ** 32, true);
    this.#view.setUint32(this.#at + i * 8 + 4, Math.floor(value / 2 ** 32), true);
    return this.cell(i);
  }
  getCell(i: number): number {
    return this.#view.getUint32(this.#at + i * 8 + 4, true) * 2 ** 32 + this.getCellInt(i);
  }
  /** The low half of a cell, for an int. */
  getCellInt(i: number): number {
    return this.#view.getUint32(this.#at + i * 8, true);
  }

  /**
   * Copies at most LIMITS.TLS_OBJECT_BYTES to where C can read them; returns their address, good until the next call.
   */
  put(bytes: Uint8Array): number {
    if (bytes.length > LIMITS.TLS_OBJECT_BYTES) throw new RangeError(`${bytes.length} bytes for TLS at once`);
    this.io.mem.set(bytes, this.#at + CELLS_BYTES);
    return this.io.arena.base + this.#at + CELLS_BYTES;
  }
  /** The same for a text that ends with a zero. */
  putText(text: string): number {
    const bytes = new Uint8Array(Buffer.byteLength(text) + 1);
    new TextEncoder().encodeInto(text, bytes);
    return this.put(bytes);
  }
  /** Where in the arena what `put` copies stands. */
  get room(): number {
    return this.#at + CELLS_BYTES;
  }
  /** Copies `length` bytes that stand in OpenSSL's memory there. */
  copy(address: number, length: number): void {
    memcpy(this.io.arena.base + this.room, address, length);
  }
  /** Wipes what `put` left: a key does not stay where nobody looks after it. */
  wipe(bytes: number): void {
    this.io.mem.fill(0, this.#at + CELLS_BYTES, this.#at + CELLS_BYTES + bytes);
  }
  /** What C wrote behind the address that `put` gave. */
  bytes(length: number): Uint8Array {
    return this.io.mem.slice(this.#at + CELLS_BYTES, this.#at + CELLS_BYTES + length);
  }

  /** A block of the arena of its own that holds `bytes`, until `forget`: its offset, or -1 for no memory. */
  keep(bytes: Uint8Array): number {
    const at = this.io.alloc(Math.max(1, bytes.length));
    if (at >= 0) this.io.mem.set(bytes, at);
    return at;
  }
  /** Wipes the block and gives it back. */
  forget(at: number, bytes: number): void {
    this.io.mem.fill(0, at, at + bytes);
    this.io.free(at);
  }

  dispose(): void {
    this.io.free(this.#at);
  }

  /** Makes an object of `der`, of any length; 0 when it is none. */
  read(d2i: (object: number, cell: number, length: number) => number, der: Uint8Array): number {
    if (der.length <= LIMITS.TLS_OBJECT_BYTES) return this.decode(d2i, this.put(der), der.length);
    const at = this.keep(der);
    if (at < 0) return 0;
    const object = this.decode(d2i, this.io.arena.base + at, der.length);
    this.forget(at, der.length);
    return object;
  }

  /** Makes an object of the DER at `address`; 0 when it is none. d2i moves the pointer it is given, hence a cell. */
  decode(d2i: (object: number, cell: number, length: number) => number, address: number, length: number): number {
    return d2i(0, this.setCell(0, address), length);
  }
}

/** Text that ends with a zero at `address`, which C keeps: at most TEXT_BYTES of it. */
export function textAt(address: number): string {
  if (address === 0) return '';
  // Static texts of a library lie within its pages; the length asked for must not lead out of them.
  const bytes: number[] = [];
  for (let i = 0; i < TEXT_BYTES; i++) {
    const byte = new Uint8Array(view(address + i, 1))[0] as number;
    if (byte === 0) break;
    bytes.push(byte);
  }
  return String.fromCharCode(...bytes);
}

/** Takes the oldest error of the thread's queue: its number, 0 for none. */
export function takeError(): number {
  return getError();
}

const texts = new Map<number, string>();

/** OpenSSL's text for an error number. */
export function errorText(error: number): string {
  if (error === 0) return 'unknown error';
  const reason = error % (REASON_MASK + 1);
  let text = texts.get(error);
  if (text === undefined) {
    text = textAt(reasonString(error)) || `reason ${reason}`;
    if (texts.size < LIMITS.TLS_ERROR_TEXTS) texts.set(error, text);
  }
  return text;
}

// What TLS connections are read from. We read their sockets and hand the bytes to OpenSSL, through one memory BIO that
// all connections share: each of them takes what it was given before the next one has its turn, and what it has no room
// for is kept for it. Left alone with a socket OpenSSL reads a handshake in pieces (five bytes, then the record's rest,
// and then asks again), and does not come back while records come that say nothing (new keys, a renegotiation that is
// refused): whoever sends those without end would have the worker for himself.
//
// The BIO reads where the bytes stand in the arena, and by a BUF_MEM (openssl/buffer.h) that stands there, too: to hand
// them over, and to know what of them is left, is to write and read three words.

import { LIMITS } from '../base/limits.ts';
import type { Handle } from '../io/io.ts';
import type { NativeIo } from './io.ts';
import { BIO, bioCtrl, bioFree, bioNew, bioSetFlags, bioSMem, bioUpRef, sslSet0Rbio } from './openssl.ts';

const RECORD_HEAD = 5;

// struct buf_mem_st: size_t length; char *data; size_t max; unsigned long flags. Who reads moves the first three.
const LENGTH = 0;
const DATA = 8;
const MAX = 16;
const BUF_MEM_BYTES = 32;

export class TlsInbox {
  readonly #io: NativeIo;
  readonly #bio: bigint;
  readonly #view: DataView;
  /** The BUF_MEM, and behind it room for what is read of sockets. */
  readonly #at: number;
  readonly #room: number;
  /** Where offset 0 of the arena stands, in halves. */
  readonly #low: number;
  readonly #high: number;

  // ---- by index of a connection
  /** Bytes that came of the record under way, and all that it has; 0 where its head did not come whole. */
  readonly #came: number[] = [];
  readonly #size: number[] = [];
  /** What OpenSSL had no room for; null for nothing. */
  readonly #rest: (Uint8Array | null)[] = [];
  /** OpenSSL may have something that nobody asked for. */
  readonly #holds: boolean[] = [];
  /** The socket was read last within the call that is under way, or was the last, and that emptied it. */
  readonly #drained: boolean[] = [];

  constructor(io: NativeIo) {
    this.#io = io;
    this.#at = io.alloc(BUF_MEM_BYTES + LIMITS.TLS_READ_BYTES);
    this.#room = this.#at + BUF_MEM_BYTES;
    this.#bio = BigInt(bioNew(bioSMem()));
    if (this.#at < 0 || this.#bio === 0n) throw new Error('no memory for TLS');
    const { base } = io.arena;
    this.#low = base % 2 ** 32;
    this.#high = Math.floor(base / 2 ** 32);
    this.#view = new DataView(io.mem.buffer, io.mem.byteOffset, io.mem.length);
    io.mem.fill(0, this.#at, this.#room);
    bioCtrl(this.#bio, BigInt(BIO.SET_BUF_MEM), BigInt(BIO.NOCLOSE), BigInt(base + this.#at));
    // It uses ours, not a copy, and writes none of the bytes.
    bioSetFlags(Number(this.#bio), BIO.MEM_RDONLY);
  }

  /** A new connection: it reads from here. */
  attach(index: number, ssl: bigint): void {
    bioUpRef(this.#bio, 0n);
    sslSet0Rbio(ssl, this.#bio);
    this.#came[index] = 0;
    this.#size[index] = 0;
    this.#rest[index] = null;
    this.#holds[index] = false;
    this.#drained[index] = false;
  }

  forget(index: number): void {
    this.#rest[index] = null;
  }

  /** A call begins: whether OpenSSL is to be asked before there is more for it. */
  begin(index: number): boolean {
    this.#drained[index] = false;
    return this.#holds[index] as boolean;
  }

  /** Reads what is next: bytes that are here now, 0 at the end of the socket, -errno. */
  fill(index: number, socket: Handle): number {
    const rest = this.#rest[index] as Uint8Array | null;
    if (rest !== null) return this.#goOn(index, rest);
    // No more than OpenSSL has room for behind what it has of a record.
    const wanted = LIMITS.TLS_READ_BYTES - Math.min(this.#came[index] as number, LIMITS.TLS_READ_BYTES - RECORD_HEAD);
    const n = this.#io.recv(socket, this.#room, wanted);
    if (n <= 0) {
      this.#holds[index] = false;
      return n;
    }
    this.#drained[index] = n < wanted;
    this.take(index, this.#room, n);
    return n;
  }

  /** What was kept, as much of it as there is room for. */
  #goOn(index: number, rest: Uint8Array): number {
    const n = Math.min(rest.length, LIMITS.TLS_READ_BYTES);
    this.#io.mem.set(rest.subarray(0, n), this.#room);
    this.#rest[index] = n < rest.length ? rest.subarray(n) : null;
    this.#put(index, this.#room, n);
    return n;
  }

  /** The same before anything is read. */
  again(index: number): void {
    const rest = this.#rest[index] as Uint8Array | null;
    if (rest !== null) this.#goOn(index, rest);
  }

  /** As `fill` does, with mem[offset..+length), which was read already and stays until OpenSSL was called. */
  take(index: number, offset: number, length: number): void {
    this.#follow(index, offset, length);
    this.#put(index, offset, length);
  }

  #put(index: number, offset: number, length: number): void {
    this.#holds[index] = true;
    const view = this.#view;
    const at = this.#at;
    const low = this.#low + offset;
    view.setUint32(at + LENGTH, length, true);
    view.setUint32(at + MAX, length, true);
    view.setUint32(at + DATA, low >>> 0, true);
    view.setUint32(at + DATA + 4, low >= 2 ** 32 ? this.#high + 1 : this.#high, true);
  }

  /** Counts how far mem[offset..+length) leads into a record (RFC 8446 section 5.1). */
  #follow(index: number, offset: number, length: number): void {
    const { mem } = this.#io;
    const end = offset + length;
    let came = this.#came[index] as number;
    let size = this.#size[index] as number;
    for (let at = offset; at < end; ) {
      if (came < RECORD_HEAD) {
        const byte = mem[at++] as number;
        came++;
        if (came === RECORD_HEAD - 1) size = byte << 8;
        else if (came === RECORD_HEAD) size += RECORD_HEAD + byte;
      } else {
        const more = Math.min(size - came, end - at);
        came += more;
        at += more;
      }
      if (came < RECORD_HEAD || came < size) continue;
      came = 0;
      size = 0;
    }
    this.#came[index] = came;
    this.#size[index] = size;
  }

  /** What a call of OpenSSL has left here is kept. */
  keep(index: number): void {
    const left = this.#view.getUint32(this.#at + LENGTH, true);
    if (left === 0) return;
    const from = (this.#view.getUint32(this.#at + DATA, true) - this.#low) >>> 0;
    const bytes = this.#io.mem.slice(from, from + left);
    const behind = this.#rest[index] as Uint8Array | null;
    this.#rest[index] = behind === null ? bytes : Buffer.concat([bytes, behind]);
    this.#view.setUint32(this.#at + LENGTH, 0, true);
  }

  /** Nothing is to be had before more comes by the socket, which is empty. */
  dry(index: number): boolean {
    return (this.#drained[index] as boolean) && this.#rest[index] === null;
  }

  /** OpenSSL has nothing, not even a part of a record. */
  release(index: number): void {
    this.#holds[index] = false;
  }

  dispose(): void {
    bioFree(Number(this.#bio));
    this.#io.free(this.#at);
  }
}

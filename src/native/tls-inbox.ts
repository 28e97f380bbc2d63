// What TLS connections are read from. We read their sockets and hand the bytes to OpenSSL, through one memory BIO that
// all connections share: each of them takes what it was given before the next one has its turn, and what it has no room
// for is kept for it. Left alone with a socket OpenSSL reads a handshake in pieces (five bytes, then the record's rest,
// and then asks again), and does not come back while records come that say nothing (new keys, a renegotiation that is
// refused): whoever sends those without end would have the worker for himself.

import { LIMITS } from '../base/limits.ts';
import { ERRNO, type Handle } from '../io/io.ts';
import type { NativeIo } from './io.ts';
import { BIO, bioCtrl, bioFree, bioNew, bioRead, bioSMem, bioUpRef, bioWrite, sslSet0Rbio } from './openssl.ts';
import type { TlsMemory } from './tls-memory.ts';

const BIO_PENDING = BigInt(BIO.PENDING);
const BIO_RESET = BigInt(BIO.RESET);
const RECORD_HEAD = 5;

export class TlsInbox {
  readonly #io: NativeIo;
  readonly #memory: TlsMemory;
  readonly #bio: bigint;
  readonly #address: bigint;

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

  constructor(io: NativeIo, memory: TlsMemory) {
    this.#io = io;
    this.#memory = memory;
    this.#bio = BigInt(bioNew(bioSMem()));
    this.#address = BigInt(io.arena.base);
    if (this.#bio === 0n) throw new Error('no memory for TLS');
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
    if (rest !== null) {
      this.#rest[index] = null;
      this.#io.mem.set(rest, this.#memory.room);
      return this.#put(index, this.#memory.room, rest.length);
    }
    // No more than OpenSSL has room for behind what it has of a record.
    const wanted = LIMITS.TLS_READ_BYTES - Math.min(this.#came[index] as number, LIMITS.TLS_READ_BYTES - RECORD_HEAD);
    const n = this.#io.recv(socket, this.#memory.room, wanted);
    if (n <= 0) {
      this.#holds[index] = false;
      return n;
    }
    this.#drained[index] = n < wanted;
    return this.take(index, this.#memory.room, n);
  }

  /** The same for mem[offset..+length), which was read already. */
  take(index: number, offset: number, length: number): number {
    this.#follow(index, offset, length);
    return this.#put(index, offset, length);
  }

  #put(index: number, offset: number, length: number): number {
    this.#holds[index] = true;
    if (bioWrite(this.#bio, this.#address + BigInt(offset | 0), BigInt(length | 0)) === length) return length;
    this.clear();
    return -ERRNO.ENOMEM;
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
    const left = bioCtrl(this.#bio, BIO_PENDING, 0n, 0n);
    if (left === 0) return;
    const at = this.#memory.room;
    bioRead(this.#bio, this.#address + BigInt(at), BigInt(left));
    this.#rest[index] = this.#io.mem.slice(at, at + left);
    this.clear();
  }

  /** What is here goes nowhere. */
  clear(): void {
    bioCtrl(this.#bio, BIO_RESET, 0n, 0n);
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
  }
}

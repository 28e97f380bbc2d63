// What handshakes of clients are read from. OpenSSL reads a socket in pieces until the keys of a connection's own bytes
// are there (five bytes, then the record's rest, and then asks again), so that a handshake would be five reads of a
// socket that one empties. Here the bytes are read by us and handed to it, through one memory BIO that all connections
// share: each of them uses up what it was given before the next one has its turn.

import type { NativeIo } from './io.ts';
import {
  BIO,
  bioCtrl,
  bioFree,
  bioNew,
  bioSMem,
  bioUpRef,
  bioWrite,
  sslPeek,
  sslSet0Rbio,
  sslSetRfd,
} from './openssl.ts';

const BIO_PENDING = BigInt(BIO.PENDING);
const BIO_RESET = BigInt(BIO.RESET);

export class TlsInbox {
  readonly #bio: bigint;
  readonly #address: bigint;

  constructor(io: NativeIo) {
    this.#bio = BigInt(bioNew(bioSMem()));
    this.#address = BigInt(io.arena.base);
    if (this.#bio === 0n) throw new Error('no memory for TLS');
  }

  /** From now on `ssl` reads from here. */
  attach(ssl: bigint): void {
    bioUpRef(this.#bio, 0n);
    sslSet0Rbio(ssl, this.#bio);
  }

  /** Copies mem[offset..+length) here, where nothing is left; false when there is no memory. */
  put(offset: number, length: number): boolean {
    return bioWrite(this.#bio, this.#address + BigInt(offset | 0), BigInt(length | 0)) === length;
  }

  /** Bytes that nobody used. */
  get left(): number {
    return bioCtrl(this.#bio, BIO_PENDING, 0n, 0n);
  }

  clear(): void {
    bioCtrl(this.#bio, BIO_RESET, 0n, 0n);
  }

  /**
   * Lets `ssl` take all that is left, less than its buffer holds, without using any of it; `cell`: a place for a byte.
   * Returns what SSL_peek did.
   */
  handOver(ssl: number, cell: number): number {
    return sslPeek(ssl, cell, 1);
  }

  /** From now on `ssl` reads from the socket `fd`; false when there is no memory. */
  detach(ssl: bigint, fd: number): boolean {
    return sslSetRfd(ssl, BigInt(fd | 0)) === 1;
  }

  dispose(): void {
    bioFree(Number(this.#bio));
  }
}

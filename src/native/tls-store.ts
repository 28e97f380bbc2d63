// Certificates with their keys, and trust. What a certificate was given as (DER) lies in the arena; what OpenSSL makes
// of it is made when a handshake first needs it, and only the most recently used stay made: 10,000 certificates of
// which a few hundred are asked for cost their bytes and no more.

import { hash } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import {
  CRL_CHECK,
  clearErrors,
  d2iAutoPrivateKey,
  d2iX509,
  d2iX509Crl,
  pkeyFree,
  stackFree,
  stackNew,
  stackPush,
  storeAddCert,
  storeAddCrl,
  storeFree,
  storeNew,
  storeSetFlags,
  x509CrlFree,
  x509Free,
} from './openssl.ts';
import { errorText, TlsError, type TlsMemory, takeError } from './tls-memory.ts';

/** The certificates that lead to a root, shared by all whose chain has the same bytes. */
interface Chain {
  readonly digest: string;
  /** STACK_OF(X509). */
  readonly stack: number;
  readonly x509s: readonly number[];
  uses: number;
}

interface Held {
  /**
   * Of the DER of certificate and key in the arena: two blocks, for sizes of blocks double, and one of both would often
   * be twice as large.
   */
  readonly at: number;
  readonly keyAt: number;
  readonly certificateBytes: number;
  readonly keyBytes: number;
  readonly chain: Chain | null;
  /** What it costs while it is made, about (measured: 2 x DER and 8 KB). */
  readonly madeBytes: number;
  x509: number;
  pkey: number;
}

export class TlsStore {
  readonly #memory: TlsMemory;
  readonly #certificates = new Map<number, Held>();
  readonly #chains = new Map<string, Chain>();
  /** What was looked for last, and found: of thousands of certificates one after the other most have one chain. */
  #lastChain: { readonly bytes: Buffer; readonly chain: Chain } | null = null;
  readonly #trusts = new Map<number, number>();
  /** Those that are made, the least recently used first. */
  readonly #made = new Set<Held>();
  #madeBytes = 0;
  #next = 1;

  constructor(memory: TlsMemory) {
    this.#memory = memory;
  }

  get certificates(): number {
    return this.#certificates.size;
  }
  get parsed(): number {
    return this.#made.size;
  }

  add(chain: readonly Uint8Array[], key: Uint8Array): number {
    const [certificate, ...rest] = chain;
    if (certificate === undefined) throw new TlsError('certificate', 'no certificate');
    const shared = rest.length === 0 ? null : this.#chain(rest);
    const at = this.#memory.keep(certificate);
    const keyAt = at < 0 ? -1 : this.#memory.keep(key);
    if (keyAt < 0) {
      if (at >= 0) this.#memory.forget(at, certificate.length);
      if (shared !== null) this.#releaseChain(shared);
      throw new TlsError('certificate', 'no memory');
    }
    const id = this.#next++;
    this.#certificates.set(id, {
      at,
      keyAt,
      certificateBytes: certificate.length,
      keyBytes: key.length,
      chain: shared,
      madeBytes: 2 * certificate.length + 8192,
      x509: 0,
      pkey: 0,
    });
    return id;
  }

  drop(id: number): void {
    const held = this.#certificates.get(id);
    if (held === undefined) return;
    this.#certificates.delete(id);
    this.#unmake(held);
    this.#memory.forget(held.at, held.certificateBytes);
    this.#memory.forget(held.keyAt, held.keyBytes);
    if (held.chain !== null) this.#releaseChain(held.chain);
  }

  /** The certificate itself, without its chain; empty when it is not known. */
  der(id: number): Uint8Array {
    const { mem } = this.#memory.io;
    const held = this.#certificates.get(id);
    return held === undefined ? mem.subarray(0, 0) : mem.slice(held.at, held.at + held.certificateBytes);
  }

  /**
   * X509, EVP_PKEY and STACK_OF(X509) of a certificate, good until the next call here; null when they cannot be made.
   */
  get(id: number): { readonly x509: number; readonly pkey: number; readonly stack: number } | null {
    const held = this.#certificates.get(id);
    if (held === undefined || !this.#make(held)) return null;
    return { x509: held.x509, pkey: held.pkey, stack: held.chain === null ? 0 : held.chain.stack };
  }

  #make(held: Held): boolean {
    if (held.x509 !== 0) {
      this.#made.delete(held);
      this.#made.add(held);
      return true;
    }
    const { base } = this.#memory.io.arena;
    held.x509 = this.#memory.decode(d2iX509, base + held.at, held.certificateBytes);
    held.pkey = this.#memory.decode(d2iAutoPrivateKey, base + held.keyAt, held.keyBytes);
    this.#made.add(held);
    this.#madeBytes += held.madeBytes;
    if (held.x509 === 0 || held.pkey === 0) {
      this.#unmake(held);
      return false;
    }
    for (const oldest of this.#made) {
      if (this.#madeBytes <= LIMITS.TLS_PARSED_BYTES || oldest === held) break;
      this.#unmake(oldest);
    }
    return true;
  }

  #unmake(held: Held): void {
    if (!this.#made.delete(held)) return;
    this.#madeBytes -= held.madeBytes;
    if (held.x509 !== 0) x509Free(held.x509);
    if (held.pkey !== 0) pkeyFree(held.pkey);
    held.x509 = 0;
    held.pkey = 0;
  }

  #chain(ders: readonly Uint8Array[]): Chain {
    const bytes = Buffer.concat([...ders]);
    const last = this.#lastChain;
    if (last !== null && last.chain.uses > 0 && last.bytes.equals(bytes)) {
      last.chain.uses++;
      return last.chain;
    }
    const digest = hash('sha256', bytes, 'hex');
    const known = this.#chains.get(digest);
    if (known !== undefined) {
      known.uses++;
      this.#lastChain = { bytes, chain: known };
      return known;
    }
    const x509s: number[] = [];
    const stack = stackNew();
    const chain: Chain = { digest, stack, x509s, uses: 1 };
    for (const der of ders) {
      const x509 = this.#memory.read(d2iX509, der);
      if (x509 === 0) {
        this.#freeChain(chain);
        throw new TlsError('d2i_X509', errorText(takeError()));
      }
      x509s.push(x509);
      stackPush(stack, x509);
    }
    this.#chains.set(digest, chain);
    return chain;
  }

  #releaseChain(chain: Chain): void {
    if (--chain.uses > 0) return;
    this.#chains.delete(chain.digest);
    this.#freeChain(chain);
  }

  #freeChain(chain: Chain): void {
    for (const x509 of chain.x509s) x509Free(x509);
    stackFree(chain.stack);
  }

  // ---- trust

  /**
   * A list of revoked certificates that cannot be read is left out, and still one is asked for: whom it is of nobody
   * knows, so all of an authority without another are refused, and no more than that.
   */
  addTrust(authorities: readonly Uint8Array[], revoked: readonly Uint8Array[]): number {
    const store = storeNew();
    for (const der of authorities) {
      const x509 = this.#memory.read(d2iX509, der);
      const taken = x509 !== 0 && storeAddCert(store, x509) === 1;
      if (x509 !== 0) x509Free(x509);
      if (taken) continue;
      storeFree(store);
      throw new TlsError('trust', errorText(takeError()));
    }
    for (const der of revoked) {
      const list = this.#memory.read(d2iX509Crl, der);
      if (list !== 0) {
        storeAddCrl(store, list);
        x509CrlFree(list);
      }
    }
    clearErrors();
    if (revoked.length > 0) storeSetFlags(store, CRL_CHECK);
    const id = this.#next++;
    this.#trusts.set(id, store);
    return id;
  }

  /** X509_STORE, which contexts that use it hold on to by themselves. */
  trust(id: number): number {
    const store = this.#trusts.get(id);
    if (store === undefined) throw new TlsError('trust', `${id} is not known`);
    return store;
  }

  dropTrust(id: number): void {
    const store = this.#trusts.get(id);
    if (store === undefined) return;
    this.#trusts.delete(id);
    storeFree(store);
  }

  dispose(): void {
    for (const id of [...this.#certificates.keys()]) this.drop(id);
    for (const id of [...this.#trusts.keys()]) this.dropTrust(id);
  }
}

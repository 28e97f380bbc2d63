// What a connection that stands has agreed on, and who is on its other side. Connections are SSL as direct calls take
// them.

import { LIMITS } from '../base/limits.ts';
import { TLS_VERSION, type TlsVersion } from '../io/tls.ts';
import * as ssl from './openssl.ts';
import type { TlsContexts } from './tls-context.ts';
import { type TlsMemory, textAt } from './tls-memory.ts';

export const TLS13 = TLS_VERSION['TLSv1.3'];

export class TlsFacts {
  readonly #memory: TlsMemory;
  readonly #contexts: TlsContexts;
  /** Names by where the cipher stands, as `ssl.sslCurrentCipher` says it. */
  readonly #ciphers = new Map<number, string>();

  constructor(memory: TlsMemory, contexts: TlsContexts) {
    this.#memory = memory;
    this.#contexts = contexts;
  }

  version(s: bigint): TlsVersion {
    return ssl.sslVersion(s, 0n) === TLS13 ? 'TLSv1.3' : 'TLSv1.2';
  }

  cipher(s: bigint): string {
    const at = ssl.sslCurrentCipher(s, 0n);
    let name = this.#ciphers.get(at);
    if (name === undefined) {
      const cipher = ssl.sslGetCurrentCipher(Number(s));
      name = cipher === 0 ? '' : textAt(ssl.sslCipherStandardName(cipher));
      this.#ciphers.set(at, name);
    }
    return name;
  }

  alpn(s: bigint): string {
    const memory = this.#memory;
    memory.setCell(0, 0);
    memory.setCell(1, 0);
    ssl.sslGet0AlpnSelected(s, memory.cells[0] as bigint, memory.cells[1] as bigint);
    return this.#contexts.protocolAt(memory.getCell(0), memory.getCellInt(1));
  }

  /** SHA-256 in hexadecimal digits, '' for no certificate. */
  peerFingerprint(s: bigint): string {
    const x509 = ssl.sslGet0PeerCertificate(Number(s));
    if (x509 === 0) return '';
    const at = this.#memory.put(new Uint8Array(32));
    ssl.x509Digest(x509, ssl.evpSha256(), at, this.#memory.cell(0));
    return Buffer.from(this.#memory.bytes(32)).toString('hex');
  }

  /** The other side's certificate, empty for none or one that is too large; valid until the memory is used again. */
  peerDer(s: bigint): Uint8Array {
    const x509 = ssl.sslGet0PeerCertificate(Number(s));
    const length = x509 === 0 ? 0 : ssl.i2dX509(x509, 0);
    if (length <= 0 || length > LIMITS.TLS_OBJECT_BYTES) return this.#memory.bytes(0);
    // i2d moves the pointer it is given, hence a cell.
    const at = this.#memory.put(new Uint8Array(0));
    ssl.i2dX509(x509, this.#memory.setCell(0, at));
    return this.#memory.bytes(length);
  }
}

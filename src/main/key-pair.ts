// Certificate and key of --tls-cert and --tls-key, read from what the keeper opened. A pair that is not good leaves the
// one before in its place and says why; nothing of the key is ever said.

import { closeSync, readSync } from 'node:fs';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { readPem } from '../base/pem.ts';
import type { PairSource, PemPair } from '../source/environment.ts';
import { readCertificate } from '../translate/certificate.ts';

export class KeyPair implements PairSource {
  readonly #paths: { readonly cert: string; readonly key: string };
  readonly #log: Logger;
  #current: PemPair | null = null;
  #changed: () => void = () => {};
  /** With both flags and paths; '' when what the files say is served. */
  problem = '';

  constructor(paths: { readonly cert: string; readonly key: string }, log: Logger) {
    this.#paths = paths;
    this.#log = log;
  }

  get current(): PemPair | null {
    return this.#current;
  }

  follow(changed: () => void): void {
    this.#changed = changed;
  }

  /** Reads and closes both. */
  take(certFd: number, keyFd: number): void {
    const pair = { crt: readAll(certFd), key: readAll(keyFd) };
    const { cert, key } = this.#paths;
    const before = this.#current;
    const mended = this.problem !== '';
    const read =
      pair.crt === null || pair.key === null
        ? `${pair.crt === null ? 'tls.crt' : 'tls.key'} cannot be read, or is longer than ${LIMITS.TLS_FILE_BYTES} bytes.`
        : readCertificate(readPem(pair.crt), readPem(pair.key));
    if (typeof read === 'string') {
      const why = read.replace(/tls\.(crt|key)/g, (_, which) => (which === 'crt' ? cert : key));
      this.problem = `--tls-cert ${cert}, --tls-key ${key}: ${why}`;
      this.#log.error(this.problem, { kept: 'the certificate before, if there is one' });
      return;
    }
    this.problem = '';
    const { crt, key: keyText } = pair as PemPair;
    if (before?.crt === crt && before.key === keyText) return;
    this.#current = { crt, key: keyText };
    if (before !== null || mended) this.#log.info('certificate read again', { path: cert, sha256: read.fingerprint });
    this.#changed();
  }
}

/** The text of a file, read from its beginning; null when that cannot be done. */
function readAll(fd: number): string | null {
  try {
    const bytes = Buffer.alloc(LIMITS.TLS_FILE_BYTES + 1);
    let n = 0;
    for (let got = -1; got !== 0 && n < bytes.length; n += got) got = readSync(fd, bytes, n, bytes.length - n, n);
    return n > LIMITS.TLS_FILE_BYTES ? null : bytes.toString('latin1', 0, n);
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

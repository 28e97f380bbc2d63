// Keys of TLS session tickets: one for all workers, so that a client that comes back to another one is known there, and
// kept over the deaths of any of them and over a takeover. A key issues for a time and is accepted for as long again;
// the keeper makes them, or replicas share them by a file, and understands nothing else of TLS.

import { randomBytes } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';
import { KeysFile, type KeysFileSettings } from './keys-file.ts';

export class Tickets {
  /** The key that issues, then the one before it, if there is one. */
  #own: Buffer;
  #madeMs: number;
  /** Of --keys-file: these issue, and whoever writes that file rotates them. */
  #shared: Buffer = Buffer.alloc(0);
  readonly #file: KeysFile | null;
  readonly #mayComeLater: boolean;
  readonly #log: Logger;

  constructor(nowMs: number, file: KeysFileSettings | null, log: Logger) {
    this.#file = file === null ? null : new KeysFile(file.path, log);
    this.#mayComeLater = file?.mayComeLater ?? false;
    this.#log = log;
    this.#own = randomBytes(TICKET_KEY_BYTES);
    this.#madeMs = nowMs;
  }

  /** All keys, one behind the other, the one that issues first. */
  get keys(): Buffer {
    const all = [...rowOf(this.#shared)];
    for (const key of rowOf(this.#own)) if (!all.some((known) => known.equals(key))) all.push(key);
    return Buffer.concat(all.slice(0, LIMITS.TLS_TICKET_KEYS));
  }

  /** Reads the file, before workers start. Returns why the program cannot, null when it can. */
  open(): string | null {
    const file = this.#file;
    if (file === null || this.#share(file.read())) return null;
    if (!this.#mayComeLater) return file.problem;
    this.#log.warn(`${file.problem}; keys of our own are used until it can be read`);
    return null;
  }

  #share(keys: Buffer | null): boolean {
    if (keys !== null) this.#shared = keys;
    return keys !== null;
  }

  /** Takes over what a predecessor issued with; false when that is no row of keys. */
  adopt(keys: Buffer): boolean {
    const count = keys.length / TICKET_KEY_BYTES;
    if (!(Number.isInteger(count) && count >= 1 && count <= LIMITS.TLS_TICKET_KEYS)) return false;
    this.#own = Buffer.from(keys);
    return true;
  }

  /** Makes a new key when it is time, and looks after the file; whether keys are others. */
  rotate(nowMs: number): boolean {
    const read = this.#share(this.#file?.look(nowMs) ?? null);
    return this.#renew(nowMs) || read;
  }

  #renew(nowMs: number): boolean {
    if (nowMs - this.#madeMs < LIMITS.TLS_TICKET_ROTATION_MS) return false;
    this.#own = Buffer.concat([randomBytes(TICKET_KEY_BYTES), this.#own.subarray(0, TICKET_KEY_BYTES)]);
    this.#madeMs = nowMs;
    return true;
  }
}

function rowOf(keys: Buffer): Buffer[] {
  return Array.from({ length: keys.length / TICKET_KEY_BYTES }, (_, i) =>
    keys.subarray(i * TICKET_KEY_BYTES, (i + 1) * TICKET_KEY_BYTES),
  );
}

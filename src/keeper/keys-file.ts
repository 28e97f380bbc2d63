// --keys-file: secrets that replicas share, a line each, the first in use and the others still accepted. Keys of
// session tickets are derived from them, so that a client that comes back to another replica is known there. Who opens
// it is the keeper alone: neither workers nor the controller could.

import { hkdfSync } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { secretsOf } from '../base/key-lines.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';

/** Another use of the same secrets derives by another word. */
const TICKETS = 'rauta session tickets';
const { O_NOCTTY, O_NONBLOCK, O_RDONLY } = constants;

/** Keys of session tickets, TICKET_KEY_BYTES each, of a file's text. Throws Error. */
export function ticketKeysOf(text: string): Buffer {
  const derived = secretsOf(text).map((secret) => hkdfSync('sha256', secret, '', TICKETS, TICKET_KEY_BYTES));
  return Buffer.concat(derived.map((key) => Buffer.from(key)));
}

export interface KeysFileSettings {
  readonly path: string;
  /** Of a Secret that somebody makes once it is needed. */
  readonly mayComeLater: boolean;
}

export class KeysFile {
  readonly #path: string;
  readonly #log: Logger;
  /** Of what was read last, and of what was seen last. */
  #read = '';
  #seen = '';
  #lookedMs = 0;
  #problem = '';

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  /** What is wrong with the file, by the flag's name; '' for nothing. */
  get problem(): string {
    return this.#problem;
  }

  /** Its keys of session tickets; null where it cannot be used: `problem` says why. */
  read(): Buffer | null {
    this.#read = stampOf(this.#path);
    this.#seen = this.#read;
    try {
      const keys = ticketKeysOf(textOf(this.#path));
      if (this.#problem !== '') this.#log.info('keys read after all', { file: this.#path });
      this.#problem = '';
      return keys;
    } catch (error) {
      // The system's own message names the path again.
      this.#problem = `--keys-file ${this.#path}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
      return null;
    }
  }

  /** Looks whether the file is another one. New keys, null for none; one that cannot be used is said once. */
  look(nowMs: number): Buffer | null {
    if (nowMs - this.#lookedMs < LIMITS.TLS_FILES_MS) return null;
    this.#lookedMs = nowMs;
    const now = stampOf(this.#path);
    // What has changed is read once it stays as it is: somebody may still be writing it.
    const settled = now !== this.#read && now === this.#seen;
    this.#seen = now;
    if (!settled) return null;
    const before = this.#problem;
    const keys = this.read();
    if (keys !== null) this.#log.info('keys read again', { file: this.#path, keys: keys.length / TICKET_KEY_BYTES });
    else if (this.#problem !== before) this.#log.error(`${this.#problem}; the keys before are used`);
    return keys;
  }
}

/** Throws with the system's code. */
function textOf(path: string): string {
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('is not a regular file');
    if (stat.size > LIMITS.KEYS_FILE_BYTES) throw new Error(`is larger than ${LIMITS.KEYS_FILE_BYTES} bytes`);
    const bytes = Buffer.alloc(LIMITS.KEYS_FILE_BYTES);
    return bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(fd);
  }
}

/** Of what a path leads to; '' when it leads nowhere. */
export function stampOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch {
    return '';
  }
}

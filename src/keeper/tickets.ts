// Keys of TLS session tickets: one for all workers, so that a client that comes back to another one is known there, and
// kept over the deaths of any of them and over a takeover. A key issues for a time and is accepted for as long again;
// the keeper makes them and understands nothing else of TLS.

import { randomBytes } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';

export class Tickets {
  /** The key that issues, then the one before it, if there is one. */
  #keys: Buffer;
  #madeMs: number;

  constructor(nowMs: number) {
    this.#keys = randomBytes(TICKET_KEY_BYTES);
    this.#madeMs = nowMs;
  }

  /** All keys, one behind the other, the one that issues first. */
  get keys(): Buffer {
    return this.#keys;
  }

  /** Takes over what a predecessor issued with; false when that is no row of keys. */
  adopt(keys: Buffer): boolean {
    const count = keys.length / TICKET_KEY_BYTES;
    if (!(Number.isInteger(count) && count >= 1 && count <= LIMITS.TLS_TICKET_KEYS)) return false;
    this.#keys = Buffer.from(keys);
    return true;
  }

  /** Makes a new key when it is time; whether it did. */
  rotate(nowMs: number): boolean {
    if (nowMs - this.#madeMs < LIMITS.TLS_TICKET_ROTATION_MS) return false;
    this.#keys = Buffer.concat([randomBytes(TICKET_KEY_BYTES), this.#keys.subarray(0, TICKET_KEY_BYTES)]);
    this.#madeMs = nowMs;
    return true;
  }
}

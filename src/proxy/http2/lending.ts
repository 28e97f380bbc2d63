// What came by HTTP/2 from clients of a worker and waits here for backends that do not take it, without being counted
// in the window of its connection (Content.waits). All share it, and one connection has at most a share of what is
// left: who has much waiting leaves room for others, however many do so (dynamic thresholds, Choudhury and Hahne 1998).

import { LIMITS } from '../../base/limits.ts';

export class Lending {
  #lent = 0;

  get bytes(): number {
    return this.#lent;
  }

  /** `bytes` more for a connection that has `had`; false when that would be beyond its share. */
  take(had: number, bytes: number): boolean {
    const left = LIMITS.HTTP2_HELD_BYTES - this.#lent;
    if ((had + bytes) * LIMITS.HTTP2_HELD_SHARES > left) return false;
    this.#lent += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#lent -= bytes;
  }
}

// How many flows may begin: a bucket of tokens, so that a flood of new clients does not keep those who are here from
// being served.

import { LIMITS } from '../../base/limits.ts';

export class FlowGrants {
  #tokens: number = LIMITS.UDP_NEW_FLOWS_PER_SECOND;
  /** Filled up to then (monotonic ms). */
  #filledMs = 0;

  /** Whether one may begin at `nowMs`. `pressed`: clients send more than can be read. */
  take(nowMs: number, pressed: boolean): boolean {
    if (this.#filledMs !== nowMs) {
      const most = pressed ? LIMITS.UDP_NEW_FLOWS_PRESSED : LIMITS.UDP_NEW_FLOWS_PER_SECOND;
      this.#tokens = Math.min(most, this.#tokens + ((nowMs - this.#filledMs) * most) / 1000);
      this.#filledMs = nowMs;
    }
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

// How many requests of a cluster may be under way because a backend's answer was a failure and its rule asks again: a
// share of all that are under way, as Envoy's retry_budget has it. Where every answer fails, asking again multiplies
// the load that is the reason. What never reached a backend (a refused connection, one that was stale) adds none, and
// is not counted.

import { LIMITS } from '../../base/limits.ts';

export class RetryBudget {
  #held = 0;

  /** One more, of `active` requests under way; false when there is no more to be had. Until `giveBack`. */
  take(active: number): boolean {
    const most = Math.max(LIMITS.RETRY_BUDGET_LEAST, Math.floor((active * LIMITS.RETRY_BUDGET_PERCENT) / 100));
    if (this.#held >= most) return false;
    this.#held++;
    return true;
  }

  giveBack(): void {
    this.#held--;
  }
}

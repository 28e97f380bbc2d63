// How many requests of a cluster may be under way because a backend's answer was a failure and its rule asks again: a
// share of all that are under way, as Envoy's retry_budget has it. Where every answer fails, asking again multiplies
// the load that is the reason. What never reached a backend (a refused connection, one that was stale) adds none, and
// is not counted.

import { LIMITS } from '../../base/limits.ts';
import type { RetryBudget as RetryBudgetEntry } from '../../ir/ir.ts';

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

/** One count of what happened in the last `ms`, by two intervals: that before counts as far as it is still in. */
class Recent {
  readonly #ms: number;
  #sinceMs = 0;
  #now = 0;
  #before = 0;

  constructor(ms: number) {
    this.#ms = ms;
  }

  #move(nowMs: number): void {
    const gone = nowMs - this.#sinceMs;
    if (gone < this.#ms) return;
    this.#before = gone < 2 * this.#ms ? this.#now : 0;
    this.#now = 0;
    this.#sinceMs = nowMs - (gone % this.#ms);
  }

  add(nowMs: number): void {
    this.#move(nowMs);
    this.#now++;
  }

  count(nowMs: number): number {
    this.#move(nowMs);
    return this.#now + this.#before * (1 - (nowMs - this.#sinceMs) / this.#ms);
  }
}

/** The same as a policy has it: a share of the requests of some time, and so many in any case (GEP-3388). */
export class RetryConstraint {
  readonly entry: RetryBudgetEntry;
  readonly #requests: Recent;
  readonly #retries: Recent;
  readonly #least: Recent;

  constructor(entry: RetryBudgetEntry) {
    this.entry = entry;
    this.#requests = new Recent(entry.intervalMs);
    this.#retries = new Recent(entry.intervalMs);
    this.#least = new Recent(entry.countMs);
  }

  requested(nowMs: number): void {
    this.#requests.add(nowMs);
  }

  /** One more retry; false when there is no more to be had. */
  take(nowMs: number): boolean {
    const { percent, count } = this.entry;
    const retries = this.#retries.count(nowMs) + 1;
    const allowed = (this.#requests.count(nowMs) * percent) / 100;
    if (retries > allowed && this.#least.count(nowMs) + 1 > count) return false;
    this.#retries.add(nowMs);
    this.#least.add(nowMs);
    return true;
  }
}

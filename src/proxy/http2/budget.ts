// What a peer may make of work that leads to nothing: it grows with time and with what is useful, and whoever has used
// it up is told to calm down (RFC 9113 section 10.5).

export class Budget {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #sinceMs: number;

  constructor(most: number, perSecond: number, nowMs: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
    this.#sinceMs = nowMs;
  }

  /** Takes `cost`; false when there is no more. */
  spend(nowMs: number, cost: number): boolean {
    this.#left -= cost;
    if (this.#left >= 0) return true;
    this.#left += ((nowMs - this.#sinceMs) * this.#perSecond) / 1000;
    this.#sinceMs = nowMs;
    if (this.#left > this.#most - cost) this.#left = this.#most - cost;
    return this.#left >= 0;
  }

  /** Something useful happened. */
  earn(gain: number): void {
    this.#left = Math.min(this.#most, this.#left + gain);
  }
}

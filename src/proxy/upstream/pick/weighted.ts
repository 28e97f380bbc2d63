// Picking in turn: equal shares, and shares by weight.

import type { Picker } from './types.ts';

/** One after the other; `start` sets who is first, so that workers do not all begin with the same. */
export class RoundRobin implements Picker {
  readonly #choices: Int32Array;
  #next: number;

  constructor(choices: Int32Array, start: number) {
    this.#choices = choices;
    this.#next = start % choices.length;
  }

  pick(_hash: number): number {
    const choice = this.#choices[this.#next] as number;
    this.#next = this.#next + 1 === this.#choices.length ? 0 : this.#next + 1;
    return choice;
  }
}

/**
 * Smooth weighted round robin, as nginx does it: every choice earns its weight in each pick, the richest is picked and
 * pays the sum of all. Over a cycle of as many picks as the weights sum up to, each choice gets exactly its weight,
 * spread out evenly. O(choices) a pick.
 */
export class Weighted implements Picker {
  readonly #choices: Int32Array;
  readonly #weights: Float64Array;
  readonly #credit: Float64Array;
  readonly #sum: number;

  constructor(choices: Int32Array, weights: readonly number[]) {
    const used = [...weights.keys()].filter((i) => (weights[i] as number) > 0);
    this.#choices = Int32Array.from(used, (i) => choices[i] as number);
    this.#weights = Float64Array.from(used, (i) => weights[i] as number);
    this.#credit = new Float64Array(used.length);
    this.#sum = this.#weights.reduce((sum, weight) => sum + weight, 0);
  }

  pick(_hash: number): number {
    const credit = this.#credit;
    const weights = this.#weights;
    let best = 0;
    let most = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < credit.length; i++) {
      const value = (credit[i] as number) + (weights[i] as number);
      credit[i] = value;
      if (value > most) {
        most = value;
        best = i;
      }
    }
    credit[best] = most - this.#sum;
    return this.#choices[best] as number;
  }
}

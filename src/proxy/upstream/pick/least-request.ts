// Least request by the power of two choices (Mitzenmacher, 2001): of two random endpoints the one with fewer active
// requests for its weight. Close to the true least one, without looking at all and without a herd running to it. The
// two are drawn in proportion to their weights and the first one wins a tie, so that idle endpoints get exactly their
// shares.

import type { Picker, Random } from './types.ts';

export class LeastRequest implements Picker {
  readonly #choices: Int32Array;
  readonly #weights: Float64Array;
  /** Sums of the weights up to and including each; null when all are equal. */
  readonly #sums: Float64Array | null;
  readonly #active: Int32Array;
  readonly #random: Random;

  /** `weights` are above 0; `active` is indexed by what `choices` holds. */
  constructor(choices: Int32Array, weights: readonly number[], active: Int32Array, random: Random) {
    this.#choices = choices;
    this.#weights = Float64Array.from(weights);
    let sum = 0;
    const sums = Float64Array.from(weights, (weight) => {
      sum += weight;
      return sum;
    });
    this.#sums = weights.every((weight) => weight === weights[0]) ? null : sums;
    this.#active = active;
    this.#random = random;
  }

  pick(_hash: number): number {
    const n = this.#choices.length;
    const first = this.#draw();
    if (n === 1) return this.#choices[first] as number;
    let second = this.#draw();
    if (second === first) second = first + 1 === n ? 0 : first + 1;
    return this.#choices[this.#load(second) < this.#load(first) ? second : first] as number;
  }

  /** Active requests for each unit of weight. */
  #load(i: number): number {
    return (this.#active[this.#choices[i] as number] as number) / (this.#weights[i] as number);
  }

  /** A random position, likely in proportion to its weight. */
  #draw(): number {
    const fraction = this.#random.random32() / 0x1_0000_0000;
    const sums = this.#sums;
    if (sums === null) return Math.floor(fraction * this.#choices.length);
    const wanted = fraction * (sums[sums.length - 1] as number);
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

// Pickers choose among a fixed set of choices (endpoints of a cluster, backends of a rule) by index. A change of the
// set makes a new picker; what an old one picked stays valid for who holds its set.

import { LIMITS } from '../../../base/limits.ts';
import type { Balancer, Endpoint } from '../../../ir/ir.ts';
import { LeastRequest } from './least-request.ts';
import { Maglev } from './maglev.ts';
import type { Picker, Random } from './types.ts';
import { RoundRobin, Weighted } from './weighted.ts';

export type { Picker, Random } from './types.ts';

const NO_CHOICE: Picker = { pick: () => -1 };

/** The share of each of a rule's backends by weight; weight 0 gets nothing. */
export function splitPicker(weights: readonly number[]): Picker {
  return weightedOf(Int32Array.from(weights.keys()), weights, 0);
}

/**
 * A picker over a cluster's endpoints, by their index in the array. Those that are far are chosen from only while too
 * few are near, those that are draining only while none is ready; those of weight 0 or whose `health` is not 1 never.
 * `active[i]` is the number of requests at endpoint i, kept by the caller.
 */
export function endpointPicker(
  balancer: Balancer,
  endpoints: readonly Endpoint[],
  active: Int32Array,
  random: Random,
  health: Uint8Array,
): Picker {
  const usable = usableOf(endpoints, health);
  const indexes = Int32Array.from(usable);
  const weights = usable.map((i) => (endpoints[i] as Endpoint).weight);
  if (indexes.length === 0) return NO_CHOICE;
  if (balancer.type === 'maglev') {
    const ids = usable.map((i) => (endpoints[i] as Endpoint).id);
    return new Maglev(indexes, ids, weights, 'auto');
  }
  if (balancer.type === 'leastRequest') return new LeastRequest(indexes, weights, active, random);
  return weightedOf(indexes, weights, random.random32());
}

/**
 * Indexes of the endpoints that may be picked: those that are near while enough of them are healthy, else all that are
 * ready, else those that drain. `tried`: those that may not.
 */
export function usableOf(
  endpoints: readonly Endpoint[],
  health: Uint8Array,
  tried: (index: number) => boolean = () => false,
): number[] {
  let near = 0;
  const of = (...states: readonly Endpoint['state'][]): number[] => {
    const found: number[] = [];
    endpoints.forEach((e, i) => {
      if (states.includes(e.state) && e.weight > 0 && health[i] === 1 && !tried(i)) found.push(i);
    });
    return found;
  };
  for (const e of endpoints) if (e.state === 'ready' && e.weight > 0) near++;
  const nearest = of('ready');
  if (nearest.length > 0 && nearest.length * 100 >= near * LIMITS.NEAR_PERCENT) return nearest;
  const ready = of('ready', 'far');
  return ready.length > 0 ? ready : of('draining');
}

function weightedOf(indexes: Int32Array, weights: readonly number[], start: number): Picker {
  const used = weights.filter((weight) => weight > 0);
  if (used.length === 0) return NO_CHOICE;
  const equal = used.every((weight) => weight === used[0]);
  if (equal)
    return new RoundRobin(
      indexes.filter((_, i) => (weights[i] as number) > 0),
      start,
    );
  return new Weighted(indexes, weights);
}

// The condition that tells an object's author what works otherwise than written. What does not work at all has
// conditions of the API's own.

import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import { type Condition, condition, type RouteStatus, type Status } from './conditions.ts';

/** None when nobody has to be warned. */
export function warningConditions(problems: readonly Problem[], generation: number): Condition[] {
  const texts = problems
    .filter(({ severity }) => severity === 'warning')
    .map(({ message, place: { field = '' } }) => (field === '' ? message : `${field}: ${message}`));
  if (texts.length === 0) return [];
  const more = texts.length - LIMITS.WARNINGS_TOLD;
  const shown = texts.slice(0, LIMITS.WARNINGS_TOLD).join(' ');
  return [condition('warnings', generation, more > 0 ? `${shown} And ${more} more.` : shown)];
}

/** Of a route: the same in each of its parents. */
export function withWarnings(status: Status | null, problems: readonly Problem[]): Status | null {
  if (status === null || !('parents' in status)) return status;
  const generation = status.parents[0]?.conditions[0]?.observedGeneration ?? 1;
  const warnings = warningConditions(problems, generation);
  if (warnings.length === 0) return status;
  const parents = status.parents.map((parent) => ({ ...parent, conditions: [...parent.conditions, ...warnings] }));
  return { ...status, parents } satisfies RouteStatus;
}

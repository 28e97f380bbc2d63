// A rule across fields, and where in an object it holds.

import type { Problems } from './problem.ts';

export type Check<T> = (value: T, path: string, problems: Problems) => void;
export interface Step {
  readonly name: string;
  /** On to every item of the list of that name. */
  readonly each: boolean;
}
export interface Rule {
  /** From the object to what it is about; none: the whole object. */
  readonly steps: readonly Step[];
  readonly check: Check<unknown>;
}

/**
 * `path`: `spec.rules[].filters[]`: `[]` stands for every item; empty: the whole object. Values have the type of their
 * field here, for the shape has been checked.
 */
export function rule<T>(path: string, check: Check<T>): Rule {
  const steps = path === '' ? [] : path.split('.');
  return {
    steps: steps.map((step) => ({ name: step.replace('[]', ''), each: step.endsWith('[]') })),
    check: check as Check<unknown>,
  };
}

/** Index of the first item that has the same key as an earlier one; -1 if none. */
export function firstRepeated(keys: readonly (string | null)[]): number {
  const seen = new Set<string>();
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    if (key === null || key === undefined) continue;
    if (seen.has(key)) return i;
    seen.add(key);
  }
  return -1;
}

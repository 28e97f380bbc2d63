// How a revision is refused: by the entry that cannot be used, and what was done for it is undone.

import type { Key } from '../../ir/ir.ts';

/** A revision that cannot be applied; nothing was changed. */
export class ApplyError extends Error {
  readonly key: Key;
  constructor(key: Key, cause: unknown) {
    super(`${key}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'ApplyError';
    this.key = key;
  }
}

/** What takes back a step of a revision that turns out to be refused, in the order in which the steps were done. */
export type Undo = (() => void)[];

/** What `make` makes of the entry `key`; throws ApplyError when it cannot. */
export function guarded<T>(key: Key, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ApplyError(key, error);
  }
}

// What turns one configuration into another. The translator makes its deltas itself; this one compares
// wholes, for tests.

import { equal } from '../../src/base/equal.ts';
import type { Delta, Entry, Ir, Key } from '../../src/ir/ir.ts';

/** Entries of `next` that `before` lacks or has otherwise, and keys that only `before` has. */
export function diff(before: Ir, next: Ir): Delta {
  const upserts: Entry[] = [];
  const removals: Key[] = [];
  for (const [key, entry] of next) if (!equal(before.get(key), entry)) upserts.push(entry);
  for (const key of before.keys()) if (!next.has(key)) removals.push(key);
  return { upserts, removals };
}

/** `before` with `delta` applied, as a new map. */
export function applied(before: Ir, delta: Delta): Map<Key, Entry> {
  const next = new Map(before);
  for (const key of delta.removals) next.delete(key);
  for (const entry of delta.upserts) next.set(entry.key, entry);
  return next;
}

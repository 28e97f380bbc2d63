// Which objects a text may define that cannot be read: guesses, by which complaints that follow from it are told from
// those that have a cause of their own.

import { kindInfo, knownKinds } from '../../api/kinds.ts';
import type { Suspect } from '../../api/problem.ts';
import { isFields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { likely } from '../../base/nearest.ts';

/** Of a text that is no YAML: whatever has a name in it. */
export function suspectsIn(text: string): readonly Suspect[] {
  const names = new Set<string>();
  for (const [, name = ''] of text.matchAll(/\bname["']?\s*:\s*["']?([\w.-]+)/g)) {
    names.add(name);
    if (names.size > LIMITS.NAMES_LISTED) return [{ kind: null, name: null }];
  }
  return names.size === 0 ? [{ kind: null, name: null }] : [...names].map((name) => ({ kind: null, name }));
}

/** Of an object that does not say well which one it is. */
export function suspectOf(value: unknown): Suspect {
  if (!isFields(value)) return { kind: null, name: null };
  const { kind: said, metadata } = value;
  const kinds = knownKinds().map(({ kind }) => kind);
  const near = typeof said === 'string' ? (kindInfo(said)?.kind ?? likely(said.replace(/s$/, ''), kinds)) : undefined;
  const name = isFields(metadata) ? metadata['name'] : metadata;
  return { kind: near ?? null, name: typeof name === 'string' || typeof name === 'number' ? String(name) : null };
}

// Entries that are too large to be handed on to workers (LIMITS.FRAME_BYTES): what is said of the objects that they
// follow from. Their size is known once they are written down, so this comes back to the translator as sockets do that
// could not be opened.

import type { ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { condition, type RouteStatus, type Status } from './conditions.ts';
import type { SocketFault } from './gateway-status.ts';

/** Bytes of each, by its key. */
export type Unsent = ReadonlyMap<Key, number>;

/** Errors of the object that `entries` are of: none when all of them could be handed on. */
export function unsentProblems(unsent: Unsent, entries: readonly { readonly key: Key }[]): Problem[] {
  if (unsent.size === 0) return [];
  return entries.flatMap(({ key }): Problem[] => {
    const bytes = unsent.get(key);
    const object = ownerOf(key);
    if (bytes === undefined || object === null) return [];
    const { field, message } = said(key, bytes);
    return [{ severity: 'error', message, place: { object, ...(field === '' ? {} : { field }) } }];
  });
}

/** A route says in each of its parents that rules of it are not served; `all`: none is. */
export function withUnsent(status: Status | null, problems: readonly Problem[], all: boolean): Status | null {
  if (problems.length === 0 || status === null || !('parents' in status)) return status;
  const message = problems.map(({ message: one }) => one).join(' ');
  const parents = status.parents.map((parent) => {
    const [first, ...rest] = parent.conditions;
    // One that is not accepted has its reason.
    if (first === undefined || first.type !== 'Accepted' || first.status === 'False') return parent;
    const generation = first.observedGeneration;
    if (all) {
      const others = rest.filter(({ type }) => type !== 'PartiallyInvalid');
      return { ...parent, conditions: [condition('routeValue', generation, message), ...others] };
    }
    const partial = parent.conditions.find(({ type }) => type === 'PartiallyInvalid');
    const told = condition('routePartial', generation, `${partial?.message ?? 'Dropped Rule(s):'} ${message}`);
    return { ...parent, conditions: [...parent.conditions.filter((one) => one !== partial), told] };
  });
  return { ...status, parents } satisfies RouteStatus;
}

/** The object of a route, an Ingress or a backend; null for others. */
export function ownerOf(key: Key): ObjectKey | null {
  const parsed = parseKey(key);
  if (parsed.kind !== 'rule' && parsed.kind !== 'relay' && parsed.kind !== 'endpoints') return null;
  return objectKey(parsed.objectKind, parsed.namespace, parsed.name);
}

/** A socket that workers are not told of is as one that could not be opened. */
export function unsentSockets(unsent: Unsent): Map<Key, SocketFault> {
  const faults = new Map<Key, SocketFault>();
  for (const [key, bytes] of unsent) {
    if (parseKey(key).kind !== 'socket') continue;
    const reason = `all listeners there take ${bytes} bytes together, at most ${LIMITS.FRAME_BYTES} can be handed on`;
    faults.set(key, { code: 'EMSGSIZE', reason });
  }
  return faults;
}

function said(key: Key, bytes: number): { readonly field: string; readonly message: string } {
  const parsed = parseKey(key);
  const size = `${bytes} bytes, more than can be handed on (${LIMITS.FRAME_BYTES})`;
  if (parsed.kind === 'rule' || parsed.kind === 'relay') {
    // Those of an Ingress are numbered by its paths (docs/reference/access-log.md).
    const [field, which] =
      parsed.kind === 'rule' && parsed.objectKind === 'Ingress'
        ? ['spec.rules', `Rule ${parsed.index}`]
        : [`spec.rules[${parsed.index}]`, `spec.rules[${parsed.index}]`];
    return { field, message: `${which} takes ${size}: it is not served. Split it.` };
  }
  return { field: '', message: `Its endpoints take ${size}: none is served.` };
}

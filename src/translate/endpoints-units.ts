// Clusters and where they are to be found, as units of translation: they follow from the routes that send to them.

import { type ObjectKey, objectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import type { World } from '../store/world.ts';
import { useTls } from './backend-tls-units.ts';
import { compare } from './dependencies.ts';
import { translateEndpoints } from './endpoints.ts';
import type { State } from './state.ts';
import { unsentProblems } from './unsent.ts';

/** What the cluster or the endpoints under `key` are of. */
export function backendOf(key: Key): ObjectKey {
  const parsed = parseKey(key);
  if (parsed.kind !== 'endpoints' && parsed.kind !== 'cluster') return key;
  return objectKey(parsed.objectKind, parsed.namespace, parsed.name);
}

export function updateCluster(state: State, _world: World, key: Key): void {
  const before = state.out.entries.get(key);
  const was = before?.kind === 'cluster' ? before.endpoints : null;
  if (before?.kind === 'cluster') useTls(state, before.tls, -1);
  const after = state.clusters.get(key)?.entry;
  useTls(state, after?.tls ?? null, 1);
  if (was !== (after?.endpoints ?? null)) {
    if (was !== null) useEndpoints(state, was, -1);
    if (after !== undefined) useEndpoints(state, after.endpoints, 1);
  }
  if (after === undefined) state.out.remove(key);
  else state.out.upsert(after);
}

function useEndpoints(state: State, key: Key, by: number): void {
  const users = (state.endpointsUsers.get(key) ?? 0) + by;
  if (users > 0) state.endpointsUsers.set(key, users);
  else state.endpointsUsers.delete(key);
  state.mark(key);
}

export function updateEndpoints(state: State, world: World, key: Key): void {
  const used = state.endpointsUsers.has(key);
  const result = used ? state.read(world, key, (reader) => translateEndpoints(reader, key, state.options)) : null;
  if (result === null) {
    state.forget(key);
    state.out.remove(key);
    tellOfBackend(state, key, []);
    return;
  }
  state.out.upsert(result.entry);
  tellOfBackend(state, key, [...result.problems.found, ...unsentProblems(state.unsent, [result.entry])]);
}

/**
 * Several may be of one object (the ports of a Service), and it may have a unit of its own, whose key is its own: what
 * is wrong with it is said once.
 */
export function tellOfBackend(state: State, key: Key, problems: readonly Problem[]): void {
  const object = backendOf(key);
  const byKey = state.endpointsProblems.get(object) ?? new Map<Key, readonly Problem[]>();
  if (problems.length > 0) byKey.set(key, problems);
  else byKey.delete(key);
  if (byKey.size > 0) state.endpointsProblems.set(object, byKey);
  else state.endpointsProblems.delete(object);
  const sorted = [...byKey].sort(([a], [b]) => compare(a, b)).flatMap(([, found]) => found);
  state.out.diagnose(
    object,
    sorted.filter((problem, i) => !sorted.slice(0, i).some((earlier) => equal(earlier, problem))),
  );
}

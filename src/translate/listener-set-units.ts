// The units of ListenerSets: each by itself, and what is said of it once listeners are placed (units.ts).

import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { World } from '../store/world.ts';
import type { Unit } from './dependencies.ts';
import { exposureUnit } from './exposure-units.ts';
import type { GatewayPlan } from './gateway.ts';
import { isTrue, listenerProblems } from './gateway-status.ts';
import { draftListenerSet, type ListenerSetDraft, refusalOf, viewOfSet } from './listener-set.ts';
import { listenerSetStatus } from './listener-set-status.ts';
import { type State, statusUnit, viewFact } from './state.ts';
import { objectOf } from './unit.ts';

const STATUS = 'listenerSetStatus/';

export function setOfStatus(unit: Unit): ObjectKey {
  return unit.slice(STATUS.length);
}

export function setStatusUnit(set: ObjectKey): Unit {
  return `${STATUS}${set}`;
}

/** `sockets`: the unit that plans them; `unplanned`: what a set has until then. */
export function updateListenerSet(
  state: State,
  world: World,
  key: ObjectKey,
  sockets: Unit,
  unplanned: GatewayPlan,
): void {
  const object = objectOf(world, key);
  const before = state.listenerSets.get(key);
  let draft: ListenerSetDraft | null = null;
  let problems: readonly Problem[] = [];
  if (object === undefined) state.forget(key);
  else {
    const result = state.read(world, key, (reader) => draftListenerSet(reader, object, state.options));
    problems = result.problems.found;
    draft = result.draft;
  }
  if (before !== undefined && before.draft.gateway !== draft?.gateway) touched(state, before.draft.gateway);
  if (draft === null) {
    state.out.diagnose(key, problems);
    if (before === undefined) return;
    state.listenerSets.delete(key);
    state.out.status(key, null);
    state.changed(viewFact(key));
    state.mark(sockets);
    return;
  }
  if (before !== undefined && equal(before.draft, draft) && equal(before.problems, problems)) return;
  state.listenerSets.set(key, {
    draft,
    problems,
    view: before?.view ?? null,
    plan: before?.plan ?? unplanned,
    attached: before?.attached ?? new Map(),
    accepted: before?.accepted ?? false,
  });
  state.mark(sockets);
  touched(state, draft.gateway);
  state.mark(setStatusUnit(key));
}

/** A Gateway's ports and its count of sets may be others. */
function touched(state: State, gateway: ObjectKey): void {
  state.mark(exposureUnit(gateway));
  state.mark(statusUnit(gateway));
}

/** Sets whose listeners are to be placed, by key of their Gateway. */
export function placeableSets({ listenerSets, gateways }: State): Map<ObjectKey, ListenerSetDraft[]> {
  const placed = [...listenerSets.values()]
    .map(({ draft }) => draft)
    .filter((draft) => refusalOf(draft, gateways.get(draft.gateway)?.draft ?? null) === null);
  return Map.groupBy(placed, ({ gateway }) => gateway);
}

/** Takes what the plan of sockets says of sets, and passes on what came out differently. */
export function placeSets(state: State, plans: ReadonlyMap<ObjectKey, GatewayPlan>, unplanned: GatewayPlan): void {
  for (const [key, set] of state.listenerSets) {
    const gateway = state.gateways.get(set.draft.gateway)?.draft;
    const none = {
      ...unplanned,
      placements: set.draft.listeners.map(() => ({ sockets: [], host: null, conflict: null })),
    };
    const mine = plans.get(key) ?? none;
    const view = gateway === undefined ? null : viewOfSet(set.draft, mine, gateway);
    if (!equal(mine, set.plan)) {
      set.plan = mine;
      state.mark(setStatusUnit(key));
    }
    if (equal(view, set.view)) continue;
    set.view = view;
    state.changed(viewFact(key));
  }
}

/** What follows for a set from what its Gateway is: whether that is accepted. */
export function markSetsOf(state: State, gateway: ObjectKey): void {
  for (const [key, { draft }] of state.listenerSets) if (draft.gateway === gateway) state.mark(setStatusUnit(key));
}

export function updateSetStatus(state: State, _world: World, unit: Unit): void {
  const key = setOfStatus(unit);
  const set = state.listenerSets.get(key);
  if (set === undefined) return;
  const gateway = state.gateways.get(set.draft.gateway)?.draft ?? null;
  const status = listenerSetStatus(set.draft, gateway, set.plan, set.attached, state.socketFaults);
  state.out.status(key, status);
  const placed = gateway === null ? [] : listenerProblems(gateway, set.draft, set.plan, state.socketFaults);
  state.out.diagnose(key, [...set.problems, ...placed]);
  const accepted = isTrue(status, 'Accepted');
  if (accepted === set.accepted) return;
  set.accepted = accepted;
  state.mark(statusUnit(set.draft.gateway));
}

/** How many of a Gateway's sets are accepted. */
export function acceptedSets({ listenerSets }: State, gateway: ObjectKey): number {
  let count = 0;
  for (const { draft, accepted } of listenerSets.values()) if (accepted && draft.gateway === gateway) count++;
  return count;
}

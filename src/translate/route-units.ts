// The units of routes: each by itself, who of different kinds has the hostnames of a listener, and what goes out once
// that is known. A route is translated as if it had what it asks for; only one that turns out to have lost something
// (or to have got it back) is translated again, so that routes without rivals cost nothing (ADR 32).

import type { ObjectKey } from '../api/object.ts';
import { equal } from '../base/equal.ts';
import type { World } from '../store/world.ts';
import type { ViewOf } from './attachment.ts';
import { countPolicies } from './backend-tls-units.ts';
import type { Unit } from './dependencies.ts';
import { GRPC_ROUTE, HTTP_ROUTE } from './http-route.ts';
import { tellOfIngress } from './ingress-units.ts';
import { setStatusUnit } from './listener-set-units.ts';
import { TCP_ROUTE, TLS_ROUTE, UDP_ROUTE } from './relay-route.ts';
import { type Claim, losersOf, type Rival } from './rivals.ts';
import { type RouteKind, type RouteResult, translateRoute } from './route.ts';
import { rulesOf, type State, shadowsUnit, statusUnit, viewFact } from './state.ts';
import { objectOf } from './unit.ts';
import { unsentProblems, withUnsent } from './unsent.ts';
import { withWarnings } from './warnings.ts';

export const ROUTE_KINDS: ReadonlyMap<string, RouteKind> = new Map([
  ['HTTPRoute', HTTP_ROUTE],
  ['GRPCRoute', GRPC_ROUTE],
  ['TCPRoute', TCP_ROUTE],
  ['TLSRoute', TLS_ROUTE],
  ['UDPRoute', UDP_ROUTE],
]);

const RIVALS = 'rivals/';
const OUTCOME = 'routeOutcome/';
const NOBODY: ReadonlyMap<ObjectKey, Rival> = new Map();

/** The Gateway or ListenerSet whose listener it is. */
export function ownerOfRivals(unit: Unit): ObjectKey {
  return unit.slice(RIVALS.length, unit.lastIndexOf('#'));
}

export function routeOfOutcome(unit: Unit): ObjectKey {
  return unit.slice(OUTCOME.length);
}

export function updateRoute(state: State, world: World, key: ObjectKey): void {
  const after = translated(state, world, key);
  state.routeDrafts.set(key, after);
  claim(state, key, state.routes.get(key)?.claims ?? [], after?.claims ?? []);
  state.mark(`${OUTCOME}${key}`);
}

function translated(state: State, world: World, key: ObjectKey): RouteResult | null {
  const object = objectOf(world, key);
  if (object === undefined) {
    state.forget(key);
    return null;
  }
  const kind = ROUTE_KINDS.get(object.kind) as RouteKind;
  const view: ViewOf = (reader, parent) => {
    reader.note(viewFact(parent));
    return (state.gateways.get(parent) ?? state.listenerSets.get(parent))?.view ?? undefined;
  };
  const rivalAt = (listener: string): Rival | null => state.losers.get(listener)?.get(key) ?? null;
  return state.read(world, key, (reader) => translateRoute(kind, reader, view, rivalAt, object, state.options));
}

/** Keeps what the route asks for, and has a listener's rivals looked at where there are some. */
function claim(state: State, key: ObjectKey, before: readonly Claim[], after: readonly Claim[]): void {
  if (equal(before, after)) return;
  for (const { at, kind } of before) {
    if (!after.some((claim) => claim.at === at)) state.rivalsAt(at, kind).delete(key);
  }
  for (const claim of after) state.rivalsAt(claim.at, claim.kind).set(key, claim);
  for (const listener of new Set([...before, ...after].map(({ at }) => at))) {
    const rivals = state.rivals.get(listener);
    if (rivals === undefined) continue;
    const { HTTPRoute: http, GRPCRoute: grpc } = rivals;
    if ((http.size > 0 && grpc.size > 0) || state.losers.has(listener)) state.mark(`${RIVALS}${listener}`);
    if (http.size === 0 && grpc.size === 0) state.rivals.delete(listener);
  }
}

/** Who loses what at a listener; the outcome of those for whom that has changed is found anew. */
export function updateRivals(state: State, _world: World, unit: Unit): void {
  const listener = unit.slice(RIVALS.length);
  const rivals = state.rivals.get(listener);
  const before = state.losers.get(listener) ?? NOBODY;
  const after = rivals === undefined ? NOBODY : losersOf(rivals);
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    if (equal(before.get(key), after.get(key))) continue;
    state.routeDrafts.delete(key);
    state.mark(`${OUTCOME}${key}`);
  }
  if (after.size > 0) state.losers.set(listener, after);
  else state.losers.delete(listener);
}

/** Hands out what a route came to. */
export function updateOutcome(state: State, world: World, unit: Unit): void {
  const key = routeOfOutcome(unit);
  const before = state.routes.get(key);
  const draft = state.routeDrafts.get(key);
  const after = draft === undefined ? translated(state, world, key) : draft;
  state.routeDrafts.delete(key);
  if (after === null) state.routes.delete(key);
  else state.routes.set(key, after);
  state.replaceRules(before, after ?? undefined);
  for (const { owner, listener } of before?.attached ?? []) attach(state, owner, listener, -1);
  for (const { owner, listener } of after?.attached ?? []) attach(state, owner, listener, 1);
  countPolicies(state, after, 1);
  countPolicies(state, before, -1);
  tellOfRoute(state, key);
}

/** Hands out what is said of a route. */
function tellOfRoute(state: State, key: ObjectKey): void {
  const route = state.routes.get(key);
  const problems = route === undefined ? [] : [...route.problems.found, ...state.shadows.problemsOf(rulesOf(route))];
  const entries = route?.entries ?? [];
  const unsent = unsentProblems(state.unsent, entries);
  const status = withUnsent(route?.status ?? null, unsent, unsent.length === entries.length);
  state.out.status(key, withWarnings(status, problems));
  state.out.diagnose(key, [...problems, ...unsent]);
}

/** Another route or Ingress with the same matches came or went. */
export function updateShadows(state: State, _world: World, unit: Unit): void {
  const key = objectOfShadows(unit);
  if (key.startsWith('Ingress/')) tellOfIngress(state, key);
  else tellOfRoute(state, key);
}

export function objectOfShadows(unit: Unit): ObjectKey {
  return unit.slice(shadowsUnit('').length);
}

function attach(state: State, owner: ObjectKey, listener: string, by: number): void {
  const gateway = state.gateways.get(owner);
  const attached = (gateway ?? state.listenerSets.get(owner))?.attached;
  // One that went took its counts along.
  if (attached === undefined) return;
  const count = (attached.get(listener) ?? 0) + by;
  if (count > 0) attached.set(listener, count);
  else attached.delete(listener);
  state.mark(gateway === undefined ? setStatusUnit(owner) : statusUnit(owner));
}

// The units of translation: what can be computed by itself, in which order, and how. A new kind of object is a line
// here.

import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { Entry, SocketEntry } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import type { World } from '../store/world.ts';
import { tlsOwner, updatePolicy, updateTls, useKey } from './backend-tls-units.ts';
import type { Unit } from './dependencies.ts';
import { strayProblem } from './endpoints.ts';
import { backendOf, updateCluster, updateEndpoints } from './endpoints-units.ts';
import {
  claimService,
  exposureUnit,
  gatewayOfExposure,
  refusals,
  updateExposure,
  updateGenerated,
} from './exposure-units.ts';
import type { GatewayDraft, GatewayPlan } from './gateway.ts';
import { draftGateway, viewOf } from './gateway.ts';
import { translateClass } from './gateway-class.ts';
import { gatewayStatus, placeProblems } from './gateway-status.ts';
import { grantProblems } from './grant-warnings.ts';
import { INGRESS_GATEWAY } from './ingress.ts';
import {
  ingressOf,
  placeIngresses,
  updateIngress,
  updateIngressRules,
  updateReach,
  updateShared,
} from './ingress-units.ts';
import {
  acceptedSets,
  markSetsOf,
  placeableSets,
  placeSets,
  setOfStatus,
  updateListenerSet,
  updateSetStatus,
} from './listener-set-units.ts';
import { secretEntry } from './listener-tls.ts';
import { reachOf } from './reach.ts';
import {
  objectOfShadows,
  ownerOfRivals,
  ROUTE_KINDS,
  routeOfOutcome,
  updateOutcome,
  updateRivals,
  updateRoute,
  updateShadows,
} from './route-units.ts';
import { planSockets } from './sockets.ts';
import { type State, statusUnit, viewFact } from './state.ts';
import { objectOf } from './unit.ts';
import { warningConditions } from './warnings.ts';
import { updateXBackend } from './x-backend-units.ts';

export interface UnitKind {
  /** First part of its units' keys; of those that stand for an object, its kind. */
  readonly kind: string;
  /** Units of an earlier phase are computed first; a unit may mark units of later phases only. */
  readonly phase: number;
  readonly update: (state: State, world: World, unit: Unit) => void;
  /** What a fault of ours is told of; default: the unit is an object's key. */
  readonly objectOf?: (unit: Unit) => ObjectKey;
}

const PHASE = {
  CLASS: 0,
  GATEWAY: 1,
  INGRESS: 1,
  LISTENER_SET: 2,
  SHARED_INGRESS: 2,
  SOCKETS: 3,
  EXPOSURE: 4,
  GENERATED: 5,
  ROUTE: 6,
  RIVALS: 7,
  ROUTE_OUTCOME: 8,
  CLUSTER: 9,
  ENDPOINTS: 10,
  LISTENER_SET_STATUS: 11,
  GATEWAY_STATUS: 12,
  TOLD: 13,
} as const;

/** From this phase on nothing is handed out: what is made is told. */
export const FIRST_TOLD = PHASE.LISTENER_SET_STATUS;

/** There is one plan, of all Gateways' listeners. */
const SOCKETS: Unit = 'sockets/';

export const UNITS: readonly UnitKind[] = [
  { kind: 'GatewayClass', phase: PHASE.CLASS, update: updateClass },
  { kind: 'Gateway', phase: PHASE.GATEWAY, update: updateGateway },
  {
    kind: 'ListenerSet',
    phase: PHASE.LISTENER_SET,
    update: (state, world, key) => updateListenerSet(state, world, key, SOCKETS, UNPLANNED),
  },
  {
    kind: 'listenerSetStatus',
    phase: PHASE.LISTENER_SET_STATUS,
    update: updateSetStatus,
    objectOf: setOfStatus,
  },
  { kind: 'Ingress', phase: PHASE.INGRESS, update: updateIngress },
  { kind: 'sharedIngress', phase: PHASE.SHARED_INGRESS, update: (state, world) => updateShared(state, world, SOCKETS) },
  { kind: 'sockets', phase: PHASE.SOCKETS, update: updateSockets },
  ...[...ROUTE_KINDS.keys()].map((kind): UnitKind => ({ kind, phase: PHASE.ROUTE, update: updateRoute })),
  { kind: 'rivals', phase: PHASE.RIVALS, update: updateRivals, objectOf: ownerOfRivals },
  { kind: 'routeOutcome', phase: PHASE.ROUTE_OUTCOME, update: updateOutcome, objectOf: routeOfOutcome },
  { kind: 'ingressReach', phase: PHASE.EXPOSURE, update: updateReach },
  { kind: 'ingressRules', phase: PHASE.ROUTE, update: updateIngressRules, objectOf: ingressOf },
  { kind: 'cluster', phase: PHASE.CLUSTER, update: updateCluster, objectOf: backendOf },
  { kind: 'endpoints', phase: PHASE.ENDPOINTS, update: updateEndpoints, objectOf: backendOf },
  { kind: 'exposure', phase: PHASE.EXPOSURE, update: updateExposure, objectOf: gatewayOfExposure },
  { kind: 'Service', phase: PHASE.GENERATED, update: updateGenerated },
  { kind: 'EndpointSlice', phase: PHASE.GENERATED, update: updateSlice },
  { kind: 'shadows', phase: PHASE.TOLD, update: updateShadows, objectOf: objectOfShadows },
  { kind: 'ReferenceGrant', phase: PHASE.TOLD, update: updateGrant },
  { kind: 'trust', phase: PHASE.ENDPOINTS, update: updateTls, objectOf: tlsOwner },
  { kind: 'certificate', phase: PHASE.ENDPOINTS, update: updateTls, objectOf: tlsOwner },
  { kind: 'BackendTLSPolicy', phase: PHASE.GATEWAY_STATUS, update: updatePolicy },
  { kind: 'XBackendTrafficPolicy', phase: PHASE.GATEWAY_STATUS, update: updatePolicy },
  { kind: 'XBackend', phase: PHASE.GATEWAY_STATUS, update: updateXBackend },
  { kind: 'gatewayStatus', phase: PHASE.GATEWAY_STATUS, update: updateGatewayStatus, objectOf: gatewayOf },
];

function gatewayOf(unit: Unit): ObjectKey {
  return unit.slice('gatewayStatus/'.length);
}

function updateClass(state: State, world: World, key: ObjectKey): void {
  const object = objectOf(world, key);
  if (object === undefined) {
    state.forget(key);
    state.out.status(key, null);
    state.out.diagnose(key, []);
    return;
  }
  const { status, problems } = state.read(world, key, (reader) => translateClass(reader, object, state.options));
  state.out.status(key, status);
  state.out.diagnose(key, problems.found);
}

const UNPLANNED: GatewayPlan = { addresses: { bound: [], status: [], open: false, fault: null }, placements: [] };

function updateGateway(state: State, world: World, key: ObjectKey): void {
  const object = objectOf(world, key);
  const before = state.gateways.get(key);
  let draft: GatewayDraft | null = null;
  let problems: readonly Problem[] = [];
  if (object === undefined) state.forget(key);
  else {
    const result = state.read(world, key, (reader) => draftGateway(reader, object, state.options));
    problems = result.problems.found;
    draft = result.draft;
  }
  if (draft === null) {
    state.out.diagnose(key, problems);
    if (before === undefined) return;
    state.gateways.delete(key);
    state.out.status(key, null);
    state.changed(viewFact(key));
    state.mark(SOCKETS);
    claimService(state, key, before.draft, null);
    markSetsOf(state, key);
    state.mark(statusUnit(key));
    return;
  }
  if (before !== undefined && equal(before.draft, draft) && equal(before.problems, problems)) return;
  state.gateways.set(key, {
    draft,
    problems,
    view: before?.view ?? null,
    plan: before?.plan ?? UNPLANNED,
    attached: before?.attached ?? new Map(),
  });
  handEarly(state, world, draft);
  state.mark(SOCKETS);
  claimService(state, key, before?.draft ?? null, draft);
  markSetsOf(state, key);
  state.mark(statusUnit(key));
}

/** Its certificates, as they were read for it. */
function handEarly({ early }: State, world: World, { listeners }: GatewayDraft): void {
  if (early === null) return;
  for (const { tls } of listeners) {
    for (const key of tls?.settings.certificates ?? []) {
      const parsed = parseKey(key);
      if (parsed.kind !== 'certificate') continue;
      const { namespace, name } = parsed;
      const secret = world.get('Secret', namespace, name);
      const entry = secret === undefined ? null : secretEntry(secret, namespace, name).entry;
      if (entry !== null) early.certificate(entry);
    }
  }
}

/** Plans the sockets anew and passes on what came out differently. */
function updateSockets(state: State): void {
  const drafts = [...state.gateways.values()].map(({ draft }) => draft);
  const { options, wishes } = state;
  const before = state.incumbents ?? socketsOf(state.plan.entries.values());
  const plan = planSockets(drafts, options, before, wishes?.draft ?? null, placeableSets(state));
  state.out.replace([...state.plan.entries.values()], [...plan.entries.values()]);
  for (const key of state.plan.certificates) if (!plan.certificates.has(key)) useKey(state, key, -1);
  for (const key of plan.certificates) if (!state.plan.certificates.has(key)) useKey(state, key, 1);
  state.plan = plan;
  for (const [key, gateway] of state.gateways) {
    const mine = plan.gateways.get(key) ?? UNPLANNED;
    if (!equal(mine, gateway.plan)) {
      gateway.plan = mine;
      state.mark(exposureUnit(key));
      state.mark(statusUnit(key));
    }
    const view = viewOf(gateway.draft, mine);
    if (equal(view, gateway.view)) continue;
    gateway.view = view;
    state.changed(viewFact(key));
  }
  placeSets(state, plan.gateways, UNPLANNED);
  placeIngresses(state, wishes, plan.gateways.get(INGRESS_GATEWAY) ?? null);
  state.out.diagnose(SOCKETS, []);
}

export function socketsOf(entries: Iterable<Entry>): SocketEntry[] {
  return [...entries].filter((entry) => entry.kind === 'socket');
}

/**
 * From files, what is wrong with it; in a cluster, whether one of ours may stay. Its endpoints are read by its
 * Service's.
 */
function updateSlice(state: State, world: World, key: ObjectKey): void {
  if (state.options.fromFiles !== true) {
    updateGenerated(state, world, key);
    return;
  }
  const object = objectOf(world, key);
  const problem = object === undefined ? null : state.read(world, key, (reader) => strayProblem(reader, object));
  if (object === undefined) state.forget(key);
  state.out.diagnose(key, problem === null ? [] : [problem]);
}

/** What it permits is asked where something refers to it; here is told when that is nothing. */
function updateGrant(state: State, world: World, key: ObjectKey): void {
  const object = objectOf(world, key);
  if (object === undefined) {
    state.forget(key);
    state.out.diagnose(key, []);
    return;
  }
  const used = state.isUsed(key);
  const problems = state.read(world, key, (reader) => grantProblems(reader, object, used, state.options));
  state.out.diagnose(key, problems.found);
}

function updateGatewayStatus(state: State, world: World, unit: Unit): void {
  const key = gatewayOf(unit);
  const gateway = state.gateways.get(key);
  if (gateway === undefined) {
    state.forget(unit);
    return;
  }
  const { draft, plan, attached, problems } = gateway;
  const reach = state.read(world, unit, (reader) => reachOf(reader, draft, plan, state.options));
  const status = gatewayStatus(draft, plan, attached, acceptedSets(state, key), state.socketFaults, reach);
  const all = [...problems, ...placeProblems(draft, plan, state.socketFaults), ...refusals(state, key)];
  state.out.status(key, { ...status, conditions: [...status.conditions, ...warningConditions(all, draft.generation)] });
  state.out.diagnose(key, all);
}

// The units of Ingresses: each by itself, the sockets they share (planned with those of Gateways), and each one's
// rules.

import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { World } from '../store/world.ts';
import { countPolicies } from './backend-tls-units.ts';
import type { IngressStatus } from './conditions.ts';
import type { Unit } from './dependencies.ts';
import type { GatewayPlan } from './gateway.ts';
import {
  draftIngress,
  INGRESS_GATEWAY,
  type IngressDraft,
  type Outdone,
  type SharedDraft,
  shareIngresses,
  viewOfIngress,
} from './ingress.ts';
import { type IngressRules, type Places, translateIngress } from './ingress-rule.ts';
import { reachOf } from './reach.ts';
import { INGRESS_HTTP, INGRESS_REACH, ingressFact, rulesOf, type SharedState, type State } from './state.ts';
import { objectOf } from './unit.ts';
import { unsentProblems } from './unsent.ts';

const RULES = 'ingressRules/';
/** What Ingresses ask for together follows from their drafts, and from Secrets that stand in none of these. */
const SHARED_INGRESS: Unit = 'sharedIngress/';
/** To policies all Ingresses together are one Gateway. */
const INGRESSES: readonly ObjectKey[] = [INGRESS_GATEWAY];
const REACH: Unit = 'ingressReach/';

export function ingressOf(unit: Unit): ObjectKey {
  return unit.slice(RULES.length);
}

function rulesUnit(key: ObjectKey): Unit {
  return `${RULES}${key}`;
}

export function updateIngress(state: State, world: World, key: ObjectKey): void {
  const object = objectOf(world, key);
  const before = state.ingresses.get(key);
  let draft: IngressDraft | null = null;
  let problems: readonly Problem[] = [];
  if (object === undefined) state.forget(key);
  else {
    const result = state.read(world, key, (reader) => draftIngress(reader, object, state.options));
    draft = result.draft;
    problems = result.problems.found;
  }
  if (draft === null) {
    state.out.diagnose(key, problems);
    if (before === undefined) return;
    state.ingresses.delete(key);
  } else state.ingresses.set(key, { draft, problems });
  // Its rules may be others whatever became of this.
  state.mark(rulesUnit(key));
  if (before === undefined || draft === null || !equal(before.draft, draft)) state.mark(SHARED_INGRESS);
}

/** Marks the plan of sockets (`sockets`) when what Ingresses ask for is another. */
export function updateShared(state: State, world: World, sockets: Unit): void {
  const drafts = [...state.ingresses.values()].map(({ draft }) => draft);
  const next = state.read(world, SHARED_INGRESS, (reader) => shareIngresses(reader, drafts, state.options));
  if (equal(next, state.wishes)) return;
  state.wishes = next;
  state.mark(sockets);
}

/** Takes what the plan of sockets says of Ingresses. */
export function placeIngresses(state: State, wishes: SharedDraft | null, plan: GatewayPlan | null): void {
  const before = state.shared;
  const after: SharedState | null =
    wishes === null || plan === null ? null : { ...wishes, plan, view: viewOfIngress(wishes.draft, plan) };
  state.shared = after;
  if (!equal(before?.view.http, after?.view.http)) state.changed(INGRESS_HTTP);
  if (!equal(before?.plan.addresses, after?.plan.addresses)) state.mark(REACH);
  const hostnames = new Set([...(before?.view.https.keys() ?? []), ...(after?.view.https.keys() ?? [])]);
  for (const hostname of hostnames) {
    if (!equal(before?.view.https.get(hostname), after?.view.https.get(hostname))) state.changed(ingressFact(hostname));
  }
  const [was, is] = [outdoneBy(before), outdoneBy(after)];
  for (const name of new Set([...was.keys(), ...is.keys()])) {
    if (!equal(was.get(name), is.get(name))) state.mark(rulesUnit(`Ingress/${name}`));
  }
}

function outdoneBy(shared: SharedState | null): Map<string, Outdone[]> {
  return Map.groupBy(shared?.outdone ?? [], ({ name }) => name);
}

export function updateIngressRules(state: State, world: World, unit: Unit): void {
  const key = ingressOf(unit);
  const object = objectOf(world, key);
  const own = state.ingresses.get(key);
  if (object === undefined || own === undefined) {
    state.forget(unit);
    replaceRules(state, key, undefined);
    state.out.status(key, null);
    state.ingressProblems.delete(key);
    if (object === undefined) state.out.diagnose(key, []);
    return;
  }
  const { draft, problems } = own;
  const rules = state.read(world, unit, (reader) => {
    reader.note(INGRESS_REACH);
    const places: Places = {
      http: () => {
        reader.note(INGRESS_HTTP);
        return state.shared?.view.http ?? { sockets: [], fault: null };
      },
      https: (hostname) => {
        reader.note(ingressFact(hostname));
        return state.shared?.view.https.get(hostname);
      },
    };
    return translateIngress(reader, object, draft, places, state.options);
  });
  replaceRules(state, key, rules);
  const mine = (state.shared?.outdone ?? []).filter(({ name }) => name === draft.name);
  const lost = mine.map(({ host, by }): Problem => {
    const message = `Ingress ${by}, which is older, shows its certificate to clients that ask for ${host.hostname}.`;
    return { severity: 'warning', message, place: { object: key, field: host.field } };
  });
  state.ingressProblems.set(key, [...problems, ...lost, ...rules.problems.found]);
  tellOfIngress(state, key);
  state.out.status(key, statusOf(state));
}

function replaceRules(state: State, key: ObjectKey, after: IngressRules | undefined): void {
  const before = state.ingressRules.get(key);
  state.replaceRules(before, after);
  if (before !== undefined) countPolicies(state, { policies: before.policies, gateways: INGRESSES }, -1);
  if (after !== undefined) countPolicies(state, { policies: after.policies, gateways: INGRESSES }, 1);
  if (after === undefined) state.ingressRules.delete(key);
  else state.ingressRules.set(key, after);
}

/** Hands out what is wrong with an Ingress. */
export function tellOfIngress(state: State, key: ObjectKey): void {
  const own = state.ingressProblems.get(key);
  if (own === undefined) return;
  const rules = rulesOf(state.ingressRules.get(key));
  state.out.diagnose(key, [...own, ...state.shadows.problemsOf(rules), ...unsentProblems(state.unsent, rules)]);
}

function statusOf({ ingressAddresses }: State): IngressStatus {
  const ingress = ingressAddresses.map(({ type, value }) =>
    type === 'Hostname' ? { hostname: value } : { ip: value },
  );
  return { loadBalancer: { ingress } };
}

/** Their addresses: those of a Gateway that names none, but that no Service is kept for them (ADR 22). */
export function updateReach(state: State, world: World): void {
  const { shared } = state;
  const { exposure, ...others } = state.options;
  const options = exposure?.published == null ? others : state.options;
  const after =
    shared === null
      ? []
      : state.read(world, REACH, (reader) => reachOf(reader, shared.draft, shared.plan, options).addresses);
  if (shared === null) state.forget(REACH);
  if (equal(after, state.ingressAddresses)) return;
  state.ingressAddresses = after;
  state.changed(INGRESS_REACH);
}

// The units that keep what is made for Gateways: one for each Gateway says what there is to be, one for each object
// that was made by us whether it may stay. Gateways that are gone are not ours to clean up after: the API server
// collects what they owned. So nothing is lost when Gateways or classes cannot be seen for a moment.

import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import { type Problem, Problems } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import { fields } from '../base/fields.ts';
import type { World } from '../store/world.ts';
import type { Fact, Reader, Unit } from './dependencies.ts';
import { type Exposed, expose, gatewayOfGenerated, serviceKey } from './exposure.ts';
import type { GatewayDraft } from './gateway.ts';
import { anyText } from './read.ts';
import { type State, statusUnit } from './state.ts';

export function exposureUnit(gateway: ObjectKey): Unit {
  return `exposure/${gateway}`;
}

export function gatewayOfExposure(unit: Unit): ObjectKey {
  return unit.slice('exposure/'.length);
}

/** The fact that stands for what is made for a Gateway. */
function exposedFact(gateway: ObjectKey): Fact {
  return `what is made for ${gateway}`;
}

/** Takes note of which Service a Gateway would have; whoever would have the same one looks again. */
export function claimService(
  state: State,
  key: ObjectKey,
  before: GatewayDraft | null,
  after: GatewayDraft | null,
): void {
  if (state.options.exposure === undefined) return;
  const [old, now] = [before, after].map((draft) => (draft === null ? null : serviceKey(draft)));
  const claims = (of: ObjectKey): Set<ObjectKey> => {
    const set = state.claims.get(of) ?? new Set();
    state.claims.set(of, set);
    return set;
  };
  if (old != null && old !== now) {
    const left = claims(old);
    left.delete(key);
    if (left.size === 0) state.claims.delete(old);
    for (const rival of left) state.mark(exposureUnit(rival));
  }
  if (now != null) for (const rival of claims(now).add(key)) state.mark(exposureUnit(rival));
  state.mark(exposureUnit(key));
}

export function updateExposure(state: State, world: World, unit: Unit): void {
  const { options, out } = state;
  if (options.exposure === undefined) return;
  const key = gatewayOfExposure(unit);
  const gateway = state.gateways.get(key);
  const before = state.exposed.get(key);
  let after: Exposed | undefined;
  if (gateway === undefined) {
    state.forget(unit);
    state.exposed.delete(key);
  } else {
    const { draft, plan } = gateway;
    const rivals = [...(state.claims.get(serviceKey(draft)) ?? [])].flatMap(
      (other) => state.gateways.get(other)?.draft ?? [],
    );
    const sets = [...state.listenerSets.values()].filter((set) => set.draft.gateway === key);
    const listeners = [draft, ...sets.map((set) => set.draft)].flatMap((owner) => owner.listeners);
    after = state.read(world, unit, (reader) => expose(reader, draft, listeners, plan, rivals, options));
    state.exposed.set(key, after);
  }
  for (const name of before?.objects.keys() ?? []) {
    // Another Gateway whose Service has the same name may have been given it in this very update.
    if (after?.objects.has(name) !== true && out.generated.get(name)?.gateway === key) out.generate(name, null);
  }
  for (const [name, object] of after?.objects ?? []) out.generate(name, { gateway: key, object, refused: null });
  const refused = after?.refused ?? null;
  out.generate(key, refused === null ? null : { gateway: key, object: null, refused });
  const shape = (exposed: Exposed | undefined): unknown => [
    exposed?.keep,
    exposed?.refused,
    ...(exposed?.objects.keys() ?? []),
  ];
  if (equal(shape(before), shape(after))) return;
  state.changed(exposedFact(key));
  state.mark(statusUnit(key));
}

/** Why nothing is made for a Gateway. */
export function refusals(state: State, gateway: ObjectKey): readonly Problem[] {
  const problems = new Problems(gateway);
  const refused = state.exposed.get(gateway)?.refused ?? null;
  if (refused !== null) problems.error('metadata.name', refused);
  return problems.found;
}

/** Whether a Service or EndpointSlice that was made by us is to go. */
export function updateGenerated(state: State, world: World, key: ObjectKey): void {
  const { options, out } = state;
  if (options.exposure === undefined) return;
  const [kind = '', namespace, name = ''] = key.split('/');
  const object = world.get(kind, namespace, name);
  const of = object === undefined ? null : gatewayOfGenerated(object, options);
  if (of === null) {
    state.forget(key);
    if (removed(state, key)) out.generate(key, null);
    return;
  }
  const goes = state.read(world, key, (reader) => isUnwanted(state, reader, object as KubeObject, of));
  if (goes) out.generate(key, { gateway: of.key, object: null, refused: null });
  else if (removed(state, key)) out.generate(key, null);
}

function removed(state: State, key: ObjectKey): boolean {
  const generated = state.out.generated.get(key);
  return generated !== undefined && generated.object === null && generated.refused === null;
}

function isUnwanted(
  { exposed, options }: State,
  reader: Reader,
  { kind, metadata }: KubeObject,
  of: { readonly key: ObjectKey; readonly uid: string; readonly name: string },
): boolean {
  reader.note(exposedFact(of.key));
  const gateway = reader.get('Gateway', metadata.namespace, of.name);
  if (gateway === undefined || gateway.metadata.uid !== of.uid) return false;
  const ours = exposed.get(of.key);
  if (ours !== undefined) return !ours.keep && !ours.objects.has(objectKey(kind, metadata.namespace, metadata.name));
  const className = anyText(fields(gateway.spec)['gatewayClassName']) ?? '';
  const itsClass = reader.get('GatewayClass', undefined, className);
  return itsClass !== undefined && fields(itsClass.spec)['controllerName'] !== options.controllerName;
}

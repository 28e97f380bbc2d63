// Objects that are right and do nothing: what is another controller's, what nobody refers to, what another rule always
// takes first. Where files are read nobody else may be there to serve it, so its author is told. What may be meant for
// others (a Service, a Secret, a Namespace that nothing here asks for) is not spoken of.

import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { objectText, type Problem } from '../api/problem.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { Entry, RelayEntry } from '../ir/ir.ts';
import { INGRESS_CONTROLLER, namedClass } from './ingress-class.ts';
import { idleAnnotations } from './own-annotations.ts';
import { anyText } from './read.ts';

const OWN_GROUP = 'rauta.io';

export interface Whole {
  readonly objects: Iterable<KubeObject>;
  /** What they came to. */
  readonly entries: Iterable<Entry>;
  /** Name of this controller. */
  readonly controllerName: string;
  /** Nothing was refused: whoever refers to something is among the objects. */
  readonly complete: boolean;
}

export function withoutEffect({ objects, entries, controllerName, complete }: Whole): Problem[] {
  const all = [...objects];
  const found = [...ofOthers(all, controllerName), ...annotated(all)];
  if (!complete) return found;
  const taken = [...entries];
  return [...found, ...unused(all), ...neverAsked(taken), ...sliceless(all, taken)];
}

function warning(object: KubeObject, field: string, message: string): Problem {
  return { severity: 'warning', message, place: { object: keyOf(object), field } };
}

function annotated(all: readonly KubeObject[]): Problem[] {
  const sets = all.some(({ kind }) => kind === 'ListenerSet');
  return all.flatMap((object) =>
    idleAnnotations(object, sets).map(({ field, message }) => warning(object, field, message)),
  );
}

// ---- another controller's

function ofOthers(all: readonly KubeObject[], controllerName: string): Problem[] {
  const found: Problem[] = [];
  const classes = new Map<string, KubeObject>();
  const ingressClasses = new Map<string, KubeObject>();
  for (const object of all) {
    if (object.kind === 'GatewayClass') {
      const name = fields(object.spec)['controllerName'];
      if (name === controllerName) continue;
      classes.set(object.metadata.name, object);
      found.push(warning(object, 'spec.controllerName', notOurs('controllerName', name, controllerName)));
    } else if (object.kind === 'IngressClass') {
      const name = fields(object.spec)['controller'];
      if (name === INGRESS_CONTROLLER) continue;
      ingressClasses.set(object.metadata.name, object);
      found.push(warning(object, 'spec.controller', notOurs('controller', name, INGRESS_CONTROLLER)));
    }
  }
  if (classes.size > 0) found.push(...ofClasses(all, classes));
  for (const object of ingressClasses.size > 0 ? all : []) {
    const { name, field } = object.kind === 'Ingress' ? namedClass(object) : { name: undefined, field: '' };
    if (name !== undefined && ingressClasses.has(name))
      found.push(
        warning(object, field, `IngressClass ${name} is another controller's: the Ingress is not served here.`),
      );
  }
  return found;
}

function notOurs(field: string, name: unknown, ours: string): string {
  return `${field} ${JSON.stringify(name)} is not ours ("${ours}"): nothing of this class is served here. Write that, or name class rauta, which needs no object.`;
}

/** Gateways of these classes, and what attaches to nothing else: their ListenerSets first, to which routes attach. */
function ofClasses(all: readonly KubeObject[], classes: ReadonlyMap<string, KubeObject>): Problem[] {
  const found: Problem[] = [];
  const foreign = new Set<ObjectKey>();
  for (const object of all) {
    if (object.kind !== 'Gateway') continue;
    const name = anyText(fields(object.spec)['gatewayClassName']) ?? '';
    if (!classes.has(name)) continue;
    foreign.add(keyOf(object));
    const message = `GatewayClass ${name} is another controller's: the Gateway is not served here.`;
    found.push(warning(object, 'spec.gatewayClassName', message));
  }
  const sets = all.filter(({ kind }) => kind === 'ListenerSet');
  const routes = all.filter(({ kind }) => kind.endsWith('Route'));
  for (const object of [...sets, ...routes]) {
    const parents = parentsOf(object);
    const [first] = parents;
    if (first === undefined || !parents.every((key) => foreign.has(key))) continue;
    foreign.add(keyOf(object));
    const message = `${objectText(first)} is another controller's: nothing of this is served here.`;
    found.push(warning(object, object.kind === 'ListenerSet' ? 'spec.parentRef' : 'spec.parentRefs', message));
  }
  return found;
}

/** Keys of the Gateways that a route or a ListenerSet names. */
function parentsOf({ kind, metadata, spec }: KubeObject): ObjectKey[] {
  const { parentRefs, parentRef } = fields(spec);
  const refs = kind === 'ListenerSet' ? [parentRef] : Array.isArray(parentRefs) ? parentRefs : [];
  return refs.map(fields).map((ref) => {
    return objectKey(
      anyText(ref['kind']) ?? 'Gateway',
      anyText(ref['namespace']) ?? metadata.namespace,
      anyText(ref['name']) ?? '',
    );
  });
}

// ---- referred to by nobody

/** Kinds of ours that do nothing by themselves. */
const REFERRED: ReadonlyMap<string, string> = new Map([
  ['Backend', 'route'],
  ['StaticResponseFilter', 'route'],
  ['AccessControlFilter', 'route'],
  ['GatewayParameters', 'Gateway'],
  ['GatewayClassParameters', 'GatewayClass'],
]);

function unused(all: readonly KubeObject[]): Problem[] {
  const own = all.filter((object) => REFERRED.has(object.kind) && object.apiVersion.startsWith(`${OWN_GROUP}/`));
  if (own.length === 0) return [];
  const named = new Set<ObjectKey>();
  for (const { spec, metadata } of all) collect(spec, metadata.namespace, named);
  return own
    .filter((object) => !named.has(keyOf(object)))
    .map((object) =>
      warning(object, '', `No ${REFERRED.get(object.kind)} refers to it: it does nothing. ${formOf(object)}`),
    );
}

function formOf({ kind, metadata: { name } }: KubeObject): string {
  const ref = `{ group: ${OWN_GROUP}, kind: ${kind}, name: ${name} }`;
  if (kind === 'GatewayParameters') return `Write infrastructure: { parametersRef: ${ref} } in its spec.`;
  if (kind === 'GatewayClassParameters') return `Write parametersRef: ${ref} in its spec.`;
  return kind === 'Backend'
    ? `Write backendRefs: [${ref}] in a route.`
    : `Write filters: [{ type: ExtensionRef, extensionRef: ${ref} }] in a rule.`;
}

/** References to kinds of ours, wherever they stand. */
function collect(value: unknown, namespace: string | undefined, named: Set<ObjectKey>): void {
  if (Array.isArray(value)) for (const part of value) collect(part, namespace, named);
  else if (typeof value === 'object' && value !== null) {
    const { group, apiGroup, kind, name, namespace: other } = value as Fields;
    if ((group === OWN_GROUP || apiGroup === OWN_GROUP) && typeof kind === 'string' && typeof name === 'string')
      named.add(objectKey(kind, anyText(other) ?? namespace, name));
    for (const part of Object.values(value)) if (typeof part === 'object') collect(part, namespace, named);
  }
}

// ---- would have no endpoints either

const SERVICE_LABEL = 'kubernetes.io/service-name';

/**
 * Services that routes name which are not served, and that nobody made EndpointSlices for: of those that are, the
 * translator speaks. Who pastes what a cluster has is told at once what else is missing.
 */
function sliceless(all: readonly KubeObject[], entries: readonly Entry[]): Problem[] {
  const served = new Set(entries.flatMap((entry) => ('routeKind' in entry ? `${entry.routeKind}/${entry.route}` : [])));
  const named = new Set<ObjectKey>();
  for (const route of all)
    if (route.kind.endsWith('Route') && !served.has(keyOf(route)))
      namedServices(route.spec, route.metadata.namespace, named);
  if (named.size === 0) return [];
  for (const { kind, metadata } of all) {
    const service = kind === 'EndpointSlice' ? anyText(fields(metadata.labels)[SERVICE_LABEL]) : undefined;
    if (service !== undefined) named.delete(objectKey('Service', metadata.namespace, service));
  }
  return all
    .filter((object) => named.has(keyOf(object)) && fields(object.spec)['type'] !== 'ExternalName')
    .map((object) => {
      const label = `${SERVICE_LABEL}: ${object.metadata.name}`;
      const message = `No EndpointSlice has the label ${label}; from files nobody makes one: write it, or refer to a Backend of rauta.io.`;
      return warning(object, 'spec.ports', message);
    });
}

function namedServices(value: unknown, namespace: string | undefined, named: Set<ObjectKey>): void {
  if (Array.isArray(value)) for (const part of value) namedServices(part, namespace, named);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, part] of Object.entries(value)) {
      if (name !== 'backendRefs' || !Array.isArray(part)) namedServices(part, namespace, named);
      else
        for (const { group, kind, name: service, namespace: other } of part.map(fields))
          if ((group ?? '') === '' && (kind ?? 'Service') === 'Service')
            named.add(objectKey('Service', anyText(other) ?? namespace, anyText(service) ?? ''));
    }
  }
}

// ---- always taken by another rule

/** Sessions of layer 4 have nothing to match: of the routes of a host one has all. Of requests others speak. */
function neverAsked(entries: readonly Entry[]): Problem[] {
  const rules = new Map<string, Asking>();
  for (const entry of entries) {
    if (entry.kind !== 'relay') continue;
    const name = `${entry.routeKind} ${entry.route} ${entry.index}`;
    const rule = rules.get(name) ?? { entry, wants: new Set() };
    rules.set(name, rule);
    for (const { socket, host, hostnames } of entry.attachments)
      for (const hostname of hostnames) rule.wants.add(`${socket} ${host} ${hostname}`);
  }
  const taken = new Map<string, Asking>();
  const found: Problem[] = [];
  for (const rule of [...rules.values()].sort((a, b) => order(a.entry, b.entry))) {
    const before = [...rule.wants].map((want) => taken.get(want));
    const other = before.find((one) => one !== undefined && one.entry.route !== rule.entry.route);
    if (other !== undefined && !before.includes(undefined)) found.push(askedBefore(rule.entry, other.entry));
    for (const want of rule.wants) if (!taken.has(want)) taken.set(want, rule);
  }
  return found;
}

/** A rule with all that it asks for: it may be several entries. */
interface Asking {
  readonly entry: RelayEntry;
  readonly wants: Set<string>;
}

/** Who comes first of those that ask for the same (RelayEntry). */
function order(a: RelayEntry, b: RelayEntry): number {
  if (a.created !== b.created) return a.created - b.created;
  if (a.route !== b.route) return a.route < b.route ? -1 : 1;
  return a.index - b.index;
}

function askedBefore({ routeKind, route, index }: RelayEntry, before: RelayEntry): Problem {
  const [namespace, name = ''] = route.split('/');
  const first = `${before.routeKind} ${before.route}, rule ${before.index},`;
  const message = `Nothing ever comes to it: ${first} asks for the same and comes first. Give one of them another listener or host.`;
  const place = { object: objectKey(routeKind, namespace, name), field: `spec.rules[${index}]` };
  return { severity: 'warning', message, place };
}

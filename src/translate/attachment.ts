// Which listeners a route attaches to, parentRef by parentRef: the same for every kind of route (apis/v1
// ParentReference, Listener.AllowedRoutes, HTTPRouteSpec.Hostnames).

import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { nearest } from '../base/nearest.ts';
import type { Attachment } from '../ir/ir.ts';
import type { ConditionName, ParentReference } from './conditions.ts';
import { GATEWAY_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { compare } from './dependencies.ts';
import type { GatewayView, ListenerView } from './gateway.ts';
import { intersectAll } from './hostname.ts';
import type { NamespacePolicy } from './listener.ts';
import { LISTENER_PROTOCOLS, protocolOf } from './protocols.ts';
import { list, port, shown, text } from './read.ts';
import { selects } from './selector.ts';

const PARENT_KINDS: ReadonlySet<string> = new Set(['Gateway', 'ListenerSet']);

/** Looks a Gateway or ListenerSet of ours up, noting that the caller depends on it. */
export type ViewOf = (reader: Reader, gateway: ObjectKey) => GatewayView | undefined;

export interface Parent {
  readonly ref: ParentReference;
  /** Where the spec says it. */
  readonly field: string;
  readonly gateway: GatewayView;
  /** Why the route does not attach here, or null. */
  readonly refused: { readonly name: ConditionName; readonly message: string } | null;
  /** It does not attach for what is wrong with the Gateway. */
  readonly faulty: boolean;
  /** Listeners that the route attaches to, with the hostnames it has there. */
  readonly listeners: readonly { readonly listener: ListenerView; readonly hostnames: readonly string[] }[];
}

/**
 * Parents of ours, in the order of the spec. `hostnames` null: the kind has none, or every one was invalid. In a
 * cluster parents of other groups are others' to serve (a Service is a mesh's, GEP-1324); in files (`fromFiles`) nobody
 * does.
 */
export function parentsOf(
  reader: Reader,
  viewOf: ViewOf,
  route: KubeObject,
  hostnames: readonly string[] | null,
  problems: Problems,
  fromFiles: boolean,
): Parent[] {
  const parents: Parent[] = [];
  const seen = new Set<string>();
  if (list(fields(route.spec)['parentRefs']).length === 0) {
    const message =
      'There are none: the route attaches to no Gateway and serves nothing. Write parentRefs: [{ name: web }].';
    problems.warning('spec.parentRefs', message);
  }
  for (const [index, value] of list(fields(route.spec)['parentRefs']).entries()) {
    const field = `spec.parentRefs[${index}]`;
    const ref = referenceOf(value);
    const identity = JSON.stringify(ref);
    if (seen.has(identity)) continue;
    seen.add(identity);
    if (ref.group !== GATEWAY_GROUP && !fromFiles) continue;
    if (ref.group !== GATEWAY_GROUP || !PARENT_KINDS.has(ref.kind)) {
      const near = nearest(ref.kind, [...PARENT_KINDS]);
      const meant =
        near === undefined || near === ref.kind ? 'leave out kind and group for a Gateway' : `write kind: ${near}`;
      const which = ref.kind === 'Service' ? 'a Service is named in backendRefs' : meant;
      problems.warning(field, `Routes attach to Gateways and ListenerSets, not to ${shown(ref.kind)}: ${which}.`);
      continue;
    }
    const namespace = ref.namespace ?? route.metadata.namespace ?? '';
    const gateway = viewOf(reader, objectKey(ref.kind, namespace, ref.name));
    if (gateway === undefined) {
      if (reader.get(ref.kind, namespace, ref.name) === undefined) {
        const key = objectKey(ref.kind, namespace, ref.name);
        problems.warning(field, `${ref.kind} ${namespace}/${ref.name} does not exist.`, key);
      }
      continue;
    }
    const parent = attach(reader, route, ref, field, gateway, hostnames);
    // Of what is wrong with its listeners the Gateway tells.
    if (parent.refused !== null && !parent.faulty) problems.error(field, parent.refused.message);
    parents.push(parent);
  }
  return parents;
}

function referenceOf(value: unknown): ParentReference {
  const spec = fields(value);
  const namespace = text(spec['namespace']);
  const sectionName = text(spec['sectionName']);
  const number = port(spec['port']);
  return {
    group: typeof spec['group'] === 'string' ? spec['group'] : GATEWAY_GROUP,
    kind: text(spec['kind']) ?? 'Gateway',
    ...(namespace === undefined ? {} : { namespace }),
    name: text(spec['name']) ?? '',
    ...(sectionName === undefined ? {} : { sectionName }),
    ...(number === undefined ? {} : { port: number }),
  };
}

function attach(
  reader: Reader,
  route: KubeObject,
  ref: ParentReference,
  field: string,
  gateway: GatewayView,
  hostnames: readonly string[] | null,
): Parent {
  const refuse = (name: ConditionName, message: string, faulty = false): Parent => ({
    ref,
    field,
    gateway,
    refused: { name, message },
    faulty,
    listeners: [],
  });
  const title = `${gateway.kind} ${gateway.name}`;
  if (gateway.refused !== null) return refuse('routeNoParent', `${title} has no listeners: ${gateway.refused}`, true);
  const chosen = gateway.listeners.filter(
    (listener) =>
      (ref.sectionName === undefined || listener.name === ref.sectionName) &&
      (ref.port === undefined || listener.port === ref.port),
  );
  if (chosen.length === 0) {
    const named = ref.sectionName === undefined ? '' : ` named ${ref.sectionName}`;
    const ported = ref.port === undefined ? '' : ` on port ${ref.port}`;
    const theirs = gateway.listeners.map(({ name, port: number }) => `${name} on port ${number}`).join(', ');
    return refuse('routeNoParent', `${title} has no listener${named}${ported}: it has ${theirs || 'none'}.`);
  }
  const allowing = chosen.filter(
    (listener) =>
      listener.kinds.includes(route.kind) &&
      allowsNamespace(reader, listener.namespaces, gateway.namespace, route.metadata.namespace ?? ''),
  );
  const names = chosen.map((listener) => listener.name).join(', ');
  if (allowing.length === 0) {
    const kind = chosen.every((listener) => !listener.kinds.includes(route.kind)) ? `${route.kind}s` : 'this route';
    const where = kind === 'this route' ? ` from namespace ${route.metadata.namespace ?? ''}` : '';
    const need =
      where === '' ? needed(route.kind, chosen) : ' Write allowedRoutes: { namespaces: { from: All } } there.';
    const faulty = chosen.every((listener) => listener.faulty);
    return refuse('routeNotAllowed', `No listener of ${title} (${names}) allows ${kind}${where}.${need}`, faulty);
  }
  const listeners = [];
  for (const listener of allowing) {
    const both = hostnames === null ? [] : intersectAll(listener.hostname, hostnames);
    if (both.length > 0) listeners.push({ listener, hostnames: both });
  }
  if (listeners.length === 0) {
    const theirs = allowing.map((listener) => `${listener.name} ${listener.hostname}`).join(', ');
    const own = hostnames === null || hostnames.length === 0 ? '' : ` (${hostnames.join(', ')})`;
    return refuse('routeNoHostname', `No hostname of the route${own} matches a listener of ${title} (${theirs}).`);
  }
  return { ref, field, gateway, refused: null, faulty: false, listeners };
}

/** ` It takes a listener of protocol TCP.`, or that one of these need only let the kind in. */
function needed(kind: string, chosen: readonly { readonly protocol: string }[]): string {
  const names = LISTENER_PROTOCOLS.filter((protocol) => protocolOf(protocol)?.routeKinds.includes(kind));
  if (chosen.some(({ protocol }) => names.includes(protocol)))
    return ` Write allowedRoutes: { kinds: [{ kind: ${kind} }] } there, or leave kinds out.`;
  return names.length === 0 ? '' : ` It takes a listener of protocol ${names.join(' or ')}.`;
}

/** Whether what is of namespace `route` may attach to what is of namespace `gateway`. */
export function allowsNamespace(reader: Reader, policy: NamespacePolicy, gateway: string, route: string): boolean {
  switch (policy.from) {
    case 'Same':
      return gateway === route;
    case 'All':
      return true;
    case 'None':
      return false;
    case 'Selector': {
      // Kubernetes labels every namespace with its name. A namespace without an object (from files) has that label
      // alone.
      const labels = fields(reader.get('Namespace', undefined, route)?.metadata.labels);
      return selects(policy.selector, { ...labels, 'kubernetes.io/metadata.name': route });
    }
  }
}

/** The places in the data plane that the parents add up to: each host of a socket once, sorted. */
export function attachmentsOf(parents: readonly Parent[]): Attachment[] {
  const found = new Map<string, Attachment>();
  for (const parent of parents) {
    for (const { listener, hostnames } of parent.listeners) {
      for (const socket of listener.sockets) {
        found.set(`${socket} ${listener.hostname}`, { socket, host: listener.hostname, hostnames });
      }
    }
  }
  return [...found.values()].sort((a, b) => compare(a.socket, b.socket) || compare(a.host, b.host));
}

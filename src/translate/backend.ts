// Backends: what a backendRef may name (Service, our Backend), and the cluster that it becomes. A reference is resolved
// with the route, its endpoints with the cluster, so that a changed EndpointSlice recomputes one cluster and no route.

import { type KubeObject, keyOf } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { type Fields, fields } from '../base/fields.ts';
import { addressText } from '../base/ip.ts';
import type { ClusterEntry, Endpoint, EndpointsEntry, Key } from '../ir/ir.ts';
import { clusterKey, endpointsKey, parseKey, settingsDigest } from '../ir/keys.ts';
import type { ConditionName } from './conditions.ts';
import { GATEWAY_GROUP, RAUTA_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { compare } from './dependencies.ts';
import { anyText, integer, isAddress, list, port, shown, text } from './read.ts';
import { permitted } from './reference-grant.ts';

export interface BackendFault {
  readonly name: ConditionName;
  readonly message: string;
  /** Of the backendRef: '' for the whole. */
  readonly field: string;
}

export interface Resolved {
  /** Null when the reference is invalid: its share answers 500. */
  readonly cluster: ClusterEntry | null;
  /** For logs: `namespace/name:port`. */
  readonly label: string;
  readonly fault: BackendFault | null;
}

const DIGESTS = { http1: settingsDigest({ protocol: 'http1' }) } as const;

/** `number`: 0 where endpoints have ports of their own. */
function clusterOf(kind: string, namespace: string, name: string, number: number): ClusterEntry {
  const protocol = 'http1';
  return {
    kind: 'cluster',
    key: clusterKey(kind, namespace, name, number, DIGESTS[protocol]),
    backend: `${namespace}/${name}`,
    endpoints: endpointsKey(kind, namespace, name, number),
    protocol,
    balancer: { type: 'roundRobin' },
  };
}

/** Resolves one backendRef of a route (apis/v1 BackendObjectReference). */
export function resolveBackend(reader: Reader, routeKind: string, routeNamespace: string, value: unknown): Resolved {
  const ref = fields(value);
  const group = ref['group'] ?? '';
  const kind = ref['kind'] ?? 'Service';
  const name = text(ref['name']) ?? '';
  const namespace = text(ref['namespace']) ?? routeNamespace;
  const number = port(ref['port']);
  const label = `${namespace}/${name}${number === undefined ? '' : `:${number}`}`;
  const fail = (condition: ConditionName, field: string, message: string): Resolved => ({
    cluster: null,
    label,
    fault: { name: condition, field, message },
  });

  const isService = group === '' && kind === 'Service';
  if (!isService && !(group === RAUTA_GROUP && kind === 'Backend')) {
    return fail('routeKind', 'kind', `Backends of kind ${shown(kind)} in group ${shown(group)} are not supported.`);
  }
  const granted = permitted(reader, {
    fromGroup: GATEWAY_GROUP,
    fromKind: routeKind,
    fromNamespace: routeNamespace,
    toGroup: group,
    toKind: kind,
    toNamespace: namespace,
    toName: name,
  });
  if (!granted) {
    const message = `No ReferenceGrant in namespace ${namespace} lets ${routeKind}s of ${routeNamespace} refer to ${kind} ${name}.`;
    return fail('routeNotPermitted', 'namespace', message);
  }
  // A name with a slash can be nobody's, and would make an ambiguous key.
  const object = label.split('/').length > 2 ? undefined : reader.get(kind, namespace, name);
  if (object === undefined) return fail('routeBackend', 'name', `${kind} ${namespace}/${name} does not exist.`);
  const spec = fields(object.spec);
  if (!isService) {
    const refused = protocolFault(spec['appProtocol']);
    if (refused !== null) return fail('routeProtocol', '', `Backend ${namespace}/${name}: ${refused}`);
    // A Backend's endpoints have ports of their own; the reference's has no say.
    return { cluster: clusterOf('Backend', namespace, name, 0), label, fault: null };
  }
  if (spec['type'] === 'ExternalName') {
    return fail('routeKind', 'name', `Service ${namespace}/${name} is of type ExternalName, which is refused.`);
  }
  if (number === undefined) return fail('routeBackend', 'port', 'A reference to a Service needs a port.');
  const servicePort = servicePortOf(object, number);
  if (servicePort === undefined) {
    return fail('routeBackend', 'port', `Service ${namespace}/${name} has no port ${number}.`);
  }
  const transport = servicePort['protocol'] ?? 'TCP';
  const refused =
    transport === 'TCP' ? protocolFault(servicePort['appProtocol']) : `Protocol ${shown(transport)} is not TCP.`;
  if (refused !== null) return fail('routeProtocol', 'port', `Service ${namespace}/${name} port ${number}: ${refused}`);
  return { cluster: clusterOf('Service', namespace, name, number), label, fault: null };
}

/** GEP-1911: a protocol that cannot be spoken makes the reference invalid. */
function protocolFault(appProtocol: unknown): string | null {
  if (appProtocol === undefined || appProtocol === null || appProtocol === 'http') return null;
  return `appProtocol ${shown(appProtocol)} is not supported.`;
}

function servicePortOf(service: KubeObject, number: number): Fields | undefined {
  return list(fields(service.spec)['ports'])
    .map(fields)
    .find((item) => item['port'] === number);
}

export interface EndpointsResult {
  readonly entry: EndpointsEntry;
  readonly problems: Problems;
}

/** The endpoints under `key`, or null when what they are of is gone (no route refers to it for long then). */
export function translateEndpoints(reader: Reader, key: Key): EndpointsResult | null {
  const parsed = parseKey(key);
  if (parsed.kind !== 'endpoints') return null;
  const object = reader.get(parsed.objectKind, parsed.namespace, parsed.name);
  if (object === undefined) return null;
  const problems = new Problems(keyOf(object));
  const endpoints =
    parsed.objectKind === 'Service'
      ? serviceEndpoints(reader, object, parsed.port)
      : backendEndpoints(reader, object, problems);
  return { entry: { kind: 'endpoints', key, endpoints: distinct(endpoints) }, problems };
}

/** Sorted by id; of several with one id (a pod in two slices during a change) a ready one, then the first address. */
function distinct(endpoints: readonly Endpoint[]): Endpoint[] {
  const byId = new Map<string, Endpoint>();
  for (const endpoint of [...endpoints].sort(preferred)) {
    if (!byId.has(endpoint.id)) byId.set(endpoint.id, endpoint);
  }
  return [...byId.values()];
}

function preferred(a: Endpoint, b: Endpoint): number {
  return (
    compare(a.id, b.id) ||
    compare(b.state, a.state) ||
    compare(a.address, b.address) ||
    a.port - b.port ||
    compare(a.zone, b.zone)
  );
}

/**
 * Endpoints of a Service's port from its EndpointSlices, whoever wrote them (controller or hand). A slice's port belongs
 * to the Service's port of the same name; the number is the slice's, so named target ports and headless Services need
 * nothing more. A Service of two address families is served over its first.
 */
function serviceEndpoints(reader: Reader, service: KubeObject, number: number): Endpoint[] {
  const namespace = service.metadata.namespace ?? '';
  const servicePort = servicePortOf(service, number);
  if (servicePort === undefined) return [];
  const portName = anyText(servicePort['name']) ?? '';
  const found: { family: unknown; endpoint: Endpoint }[] = [];
  for (const slice of reader.by('slicesByService', `${namespace}/${service.metadata.name}`)) {
    const family = slice['addressType'];
    if (family !== 'IPv4' && family !== 'IPv6') continue;
    const slicePort = list(slice['ports'])
      .map(fields)
      .find((item) => (anyText(item['name']) ?? '') === portName && (item['protocol'] ?? 'TCP') === 'TCP');
    const target = port(slicePort?.['port']);
    if (target === undefined) continue;
    for (const item of list(slice['endpoints'])) {
      const endpoint = sliceEndpoint(fields(item), namespace, target);
      if (endpoint !== null) found.push({ family, endpoint });
    }
  }
  const families = new Set(found.map(({ family }) => family));
  const first = list(fields(service.spec)['ipFamilies'])[0] ?? 'IPv4';
  const chosen = families.has(first) ? first : families.values().next().value;
  return found.filter(({ family }) => family === chosen).map(({ endpoint }) => endpoint);
}

/**
 * Conditions as EndpointSlice defines them (discovery/v1 EndpointConditions): an unknown `ready` counts as ready, an
 * unknown `serving` follows it, an unknown `terminating` is false. What is neither ready nor serving its last requests
 * is left out.
 */
function sliceEndpoint(item: Fields, namespace: string, number: number): Endpoint | null {
  // "Consumers may use the first address": the others are the same endpoint.
  const address = text(list(item['addresses'])[0]);
  if (address === undefined || !isAddress(address)) return null;
  const conditions = fields(item['conditions']);
  const ready = conditions['ready'] !== false;
  const serving = typeof conditions['serving'] === 'boolean' ? conditions['serving'] : ready;
  if (!ready && !(serving && conditions['terminating'] === true)) return null;
  const target = fields(item['targetRef']);
  const pod = target['kind'] === 'Pod' ? text(target['name']) : undefined;
  return {
    id: pod === undefined ? addressText(address, number) : `${text(target['namespace']) ?? namespace}/${pod}`,
    address,
    port: number,
    zone: text(item['zone']) ?? '',
    weight: 1,
    state: ready ? 'ready' : 'draining',
  };
}

/** Longest path of a unix socket, the closing zero apart (sockaddr_un, unix(7)). */
const UNIX_PATH_BYTES = 107;

/** Endpoints of our Backend: an address, a unix socket, or a hostname that is resolved into ResolvedHost objects. */
function backendEndpoints(reader: Reader, backend: KubeObject, problems: Problems): Endpoint[] {
  const found: Endpoint[] = [];
  for (const [i, value] of list(fields(backend.spec)['endpoints']).entries()) {
    const item = fields(value);
    const field = `spec.endpoints[${i}]`;
    const weight = integer(item['weight'] ?? 1, 0, 1_000_000);
    if (weight === undefined) {
      problems.error(`${field}.weight`, `${shown(item['weight'])} is not a weight; the endpoint is left out.`);
      continue;
    }
    if (weight === 0) continue;
    const rest = { zone: text(item['zone']) ?? '', weight, state: 'ready' } as const;
    const unix = text(item['unix']);
    if (unix !== undefined) {
      if (!unix.startsWith('/') || unix.includes('\0') || Buffer.byteLength(unix) > UNIX_PATH_BYTES) {
        problems.error(`${field}.unix`, `${shown(unix)} is not an absolute path of at most ${UNIX_PATH_BYTES} bytes.`);
      } else found.push({ id: unix, address: unix, port: 0, ...rest });
      continue;
    }
    const number = port(item['port']);
    if (number === undefined) {
      problems.error(`${field}.port`, `${shown(item['port'])} is not a port; the endpoint is left out.`);
      continue;
    }
    const address = text(item['address']);
    const hostname = text(item['hostname'])?.toLowerCase();
    if (address !== undefined && isAddress(address)) {
      found.push({ id: addressText(address, number), address, port: number, ...rest });
    } else if (address !== undefined) {
      problems.error(`${field}.address`, `${shown(address)} is not an IP address; names go into hostname.`);
    } else if (hostname !== undefined) {
      for (const one of resolvedAddresses(reader, hostname)) {
        found.push({ id: addressText(one, number), address: one, port: number, ...rest });
      }
    } else problems.error(field, 'An endpoint needs one of address, hostname, unix.');
  }
  return found;
}

/** What the controller resolved `hostname` to (api/backend.ts ResolvedHost): nothing yet is no endpoint yet. */
function resolvedAddresses(reader: Reader, hostname: string): string[] {
  return list(reader.get('ResolvedHost', undefined, hostname)?.['addresses'])
    .map((item) => text(fields(item)['address']) ?? '')
    .filter((address) => isAddress(address));
}

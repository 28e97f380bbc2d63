// Backends: what a backendRef may name (Service, our Backend), and the cluster that it becomes. A reference is resolved
// with the route, its endpoints with the cluster, so that a changed EndpointSlice recomputes one cluster and no route.

import type { KubeObject } from '../api/object.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { ClusterEntry } from '../ir/ir.ts';
import { clusterKey, endpointsKey, settingsDigest } from '../ir/keys.ts';
import type { ConditionName } from './conditions.ts';
import { GATEWAY_GROUP, RAUTA_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { list, port, shown, text } from './read.ts';
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

const DIGESTS = { http1: settingsDigest({ protocol: 'http1', tls: null }) } as const;

/** `number`: 0 where endpoints have ports of their own. */
function clusterOf(kind: string, namespace: string, name: string, number: number): ClusterEntry {
  const protocol = 'http1';
  return {
    kind: 'cluster',
    key: clusterKey(kind, namespace, name, number, DIGESTS[protocol]),
    backend: `${namespace}/${name}`,
    endpoints: endpointsKey(kind, namespace, name, number),
    protocol,
    tls: null,
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

/** `kubernetes.io/ws` is HTTP/1.1 with Upgrade (GEP-1911), which any backend may answer here. */
const SPOKEN: ReadonlySet<unknown> = new Set(['http', 'kubernetes.io/ws']);

/** GEP-1911: a protocol that cannot be spoken makes the reference invalid. */
function protocolFault(appProtocol: unknown): string | null {
  if (appProtocol === undefined || appProtocol === null || SPOKEN.has(appProtocol)) return null;
  return `appProtocol ${shown(appProtocol)} is not supported.`;
}

export function servicePortOf(service: KubeObject, number: number): Fields | undefined {
  return list(fields(service.spec)['ports'])
    .map(fields)
    .find((item) => item['port'] === number);
}

// Backends: what a backendRef may name (Service, our Backend, XBackend), and the cluster that it becomes. A reference
// is resolved with the route, its endpoints with the cluster, so that a changed EndpointSlice recomputes one cluster
// and no route.

import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { Balancer, ClientTls, ClusterEntry, Key, RetryBudget } from '../ir/ir.ts';
import { clusterKey, endpointsKey, parseKey, settingsDigest } from '../ir/keys.ts';
import { type BackendProtocol, protocolSaid } from './backend-protocol.ts';
import { governing, readPolicy, systemTls } from './backend-tls.ts';
import type { ConditionName } from './conditions.ts';
import {
  GATEWAY_GROUP,
  INGRESS_GROUP,
  RAUTA_GROUP,
  type SystemTrust,
  type TranslatorOptions,
  X_GROUP,
} from './context.ts';
import type { Reader } from './dependencies.ts';
import { proxiedTo, proxyIgnored } from './proxy-protocol.ts';
import { anyText, list, port, shown, text } from './read.ts';
import { permitted, type Reference } from './reference-grant.ts';
import { NO_TRAFFIC, trafficOf } from './traffic-policy.ts';
import { readXBackend, spokenWith } from './x-backend.ts';

export interface BackendFault {
  readonly name: ConditionName;
  readonly message: string;
  /** Of the backendRef: '' for the whole. */
  readonly field: string;
  /** It finds this object missing. */
  readonly absent?: ObjectKey;
}

export interface Resolved {
  /** Null when the reference is invalid: its share answers 500. */
  readonly cluster: ClusterEntry | null;
  /** For logs: `namespace/name:port`. */
  readonly label: string;
  readonly fault: BackendFault | null;
  /** Policies that are for the backend. */
  readonly policies: readonly ObjectKey[];
  /** Why TLS cannot be spoken with it as it must be: its share answers 500, though the reference is good. */
  readonly untrusted: string | null;
  /** What it asks for and does not get by such a route, though nothing is wrong. */
  readonly unheard?: string;
}

/** Offered by ALPN to a backend that is said to speak HTTP/2. */
const HTTP2_ALPN: readonly string[] = ['h2', 'http/1.1'];

/** What a backend is spoken to in: HTTP by what it says of itself, bytes by the kind of the route. */
type Spoken = 'http1' | 'http2' | 'tcp' | 'udp';

/** `number`: 0 where endpoints have ports of their own. `spoken` http2: it is said to; over TLS ALPN decides. */
function clusterOf(
  kind: string,
  namespace: string,
  name: string,
  number: number,
  spoken: Spoken,
  secured: ClientTls | null,
  proxyProtocol: ClusterEntry['proxyProtocol'],
  retryBudget: RetryBudget | null,
  asked: Balancer | null = null,
): ClusterEntry {
  const http2 = spoken === 'http2';
  const protocol = http2 && secured !== null ? 'http1' : spoken;
  const tls = secured !== null && http2 ? { ...secured, alpn: HTTP2_ALPN } : secured;
  // What a flow comes to follows from whose it is: so it comes to the same by any worker, and by the next program.
  const usual: Balancer = spoken === 'udp' ? { type: 'maglev', key: 'flow', name: '' } : { type: 'roundRobin' };
  const settings = { protocol, tls, proxyProtocol, balancer: asked ?? usual };
  return {
    kind: 'cluster',
    key: clusterKey(kind, namespace, name, number, settingsDigest(settings)),
    backend: `${namespace}/${name}`,
    endpoints: endpointsKey(kind, namespace, name, number, protocol === 'udp' ? 'udp' : 'tcp'),
    ...settings,
    ...(retryBudget === null ? {} : { retryBudget }),
  };
}

/** The same backend, to which `certificate` is shown; as it is where no TLS is spoken. */
export function showing(cluster: ClusterEntry, certificate: Key): ClusterEntry {
  const parsed = parseKey(cluster.key);
  if (cluster.tls === null || parsed.kind !== 'cluster' || !isShownGateways(cluster)) return cluster;
  const tls = { ...cluster.tls, certificate };
  const digest = settingsDigest({ ...cluster, tls });
  return { ...cluster, key: clusterKey(parsed.objectKind, parsed.namespace, parsed.name, parsed.port, digest), tls };
}

/** How a reference is to be read, where that does not follow from the kind of the route. */
interface Reading {
  /** Bytes go on as clients sent them, and what a BackendTLSPolicy says does not matter. */
  readonly through?: boolean;
  /** It is spoken to in HTTP/2, whatever it says of itself. */
  readonly http2?: boolean;
  /** What counts in place of what the backend says of itself. */
  readonly asked?: BackendProtocol | null;
  /** How requests are shared among its endpoints; null: they take turns. */
  readonly balancer?: Balancer | null;
}

/** Resolves one backendRef of a route (apis/v1 BackendObjectReference). */
export function resolveBackend(
  reader: Reader,
  routeKind: string,
  routeNamespace: string,
  value: unknown,
  options: TranslatorOptions,
  { through = false, http2 = false, asked = null, balancer = null }: Reading = {},
): Resolved {
  const relayed = RELAYED.get(routeKind) ?? null;
  const ref = fields(value);
  const group = ref['group'] ?? '';
  const kind = ref['kind'] ?? 'Service';
  const name = text(ref['name']) ?? '';
  const namespace = text(ref['namespace']) ?? routeNamespace;
  const number = port(ref['port']);
  const label = `${namespace}/${name}${number === undefined ? '' : `:${number}`}`;
  const fail: Fail = (condition, field, message, absent) => ({
    cluster: null,
    label,
    fault: { name: condition, field, message, ...(absent === undefined ? {} : { absent }) },
    policies: [],
    untrusted: null,
  });

  const isService = group === '' && kind === 'Service';
  const isExternal = group === X_GROUP && kind === 'XBackend';
  const isBackend = isService || isExternal || (group === RAUTA_GROUP && kind === 'Backend');
  if (!isBackend) return fail('routeKind', 'kind', notABackend(group, kind));
  if (!isService && options.withoutBackends === true) return fail('routeKind', 'kind', notRead(kind));
  const fromGroup = routeKind === 'Ingress' ? INGRESS_GROUP : GATEWAY_GROUP;
  const from = { fromGroup, fromKind: routeKind, fromNamespace: routeNamespace };
  const target = { toGroup: group, toKind: kind, toNamespace: namespace, toName: name };
  const referred = referent(reader, { ...from, ...target }, fail);
  if (referred.object === null) return referred.fault;
  const { object } = referred;
  const grpc = http2 || routeKind === 'GRPCRoute';
  if (isExternal) return external(reader, object, { relayed, through, grpc, number, label, balancer }, options, fail);
  const found = isService
    ? servicePort(object, number, relayed ?? 'tcp', fail)
    : { protocol: fields(object.spec)['appProtocol'], section: '', what: `Backend ${namespace}/${name}` };
  if ('cluster' in found) return found;
  const system = options.systemTrust ?? null;
  const ruled =
    through || relayed === 'udp' ? NO_POLICY : policyOf(reader, kind, namespace, name, found.section, system);
  const { governed } = ruled;
  // Bytes are not asked for again.
  const traffic = relayed === null ? trafficOf(reader, kind, namespace, name) : NO_TRAFFIC;
  const policies = traffic.policies.length === 0 ? ruled.policies : [...ruled.policies, ...traffic.policies];
  const unspoken = (why: string, field = isService ? 'port' : ''): Resolved => ({
    ...fail('routeProtocol', field, `${found.what}: ${why}`),
    policies,
  });
  const protocol = relayed === null ? (asked ?? protocolSaid(object, found.protocol)) : BYTES;
  if (typeof protocol === 'string') return unspoken(protocol);
  // That TLS is spoken says not whose certificates are good: a Service needs a policy for that.
  if (protocol.secured && isService && !governed)
    return unspoken(`${protocol.by} needs a BackendTLSPolicy, which says whose certificates are good.`);
  // A Backend's endpoints have ports of their own; the reference's has no say.
  const at = isService ? (number ?? 0) : 0;
  const untrusted = (why: string): Resolved => ({ cluster: null, label, fault: null, policies, untrusted: why });
  if (ruled.refused !== null) return untrusted(ruled.refused);
  const proxied = relayed === 'tcp' ? proxiedTo(object) : null;
  if (proxied !== null && typeof proxied === 'object') return unspoken(proxied.wrong, '');
  const own = protocol.secured && !governed ? ownTls(object, system) : null;
  if (typeof own === 'string') return untrusted(`${found.what}: ${own}`);
  // gRPC is HTTP/2, whether or not the backend says so.
  const spoken = relayed ?? (grpc ? 'http2' : protocol.spoken);
  const cluster = clusterOf(kind, namespace, name, at, spoken, ruled.tls ?? own, proxied, traffic.budget, balancer);
  return { cluster, label, fault: null, policies, untrusted: null, ...(relayed === 'udp' ? proxyIgnored(object) : {}) };
}

interface Asked {
  readonly relayed: 'tcp' | 'udp' | null;
  readonly through: boolean;
  readonly grpc: boolean;
  /** Port of the reference. */
  readonly number: number | undefined;
  readonly label: string;
  readonly balancer: Balancer | null;
}

/** An XBackend, which says itself on what port and how it is spoken to. */
function external(
  reader: Reader,
  object: KubeObject,
  { relayed, through, grpc, number, label, balancer }: Asked,
  options: TranslatorOptions,
  fail: Fail,
): Resolved {
  const { namespace = '', name } = object.metadata;
  const what = `XBackend ${namespace}/${name}`;
  const verdict = readXBackend(reader, object, options);
  const { host, refused, nameless } = verdict;
  const traffic = relayed === null ? trafficOf(reader, 'XBackend', namespace, name) : NO_TRAFFIC;
  const policies = [...traffic.policies, keyOf(object)];
  const untrusted = (why: string): Resolved => ({ cluster: null, label, fault: null, policies, untrusted: why });
  const failing = (condition: ConditionName, field: string, why: string): Resolved => ({
    ...fail(condition, field, `${what}: ${why}`),
    policies,
  });
  if (relayed === 'udp') return failing('routeProtocol', 'name', 'it is reached over TCP, not UDP.');
  if (refused?.name === 'externalProtocol') return failing('routeProtocol', 'name', refused.message);
  if (refused !== null || host === null) return untrusted(`${what} is not accepted: ${refused?.message ?? ''}`);
  if (number !== undefined && number !== host.port)
    return failing('routeBackend', 'port', `it has port ${host.port}, not ${number}: leave port out.`);
  if (!through && nameless !== null) return untrusted(`${what}: ${nameless.message}`);
  const spoken = relayed ?? spokenWith(verdict, grpc);
  if (spoken !== 'http1' && spoken !== 'http2' && spoken !== 'tcp') return failing('routeProtocol', 'name', spoken);
  const tls = through ? null : verdict.tls;
  const cluster = clusterOf('XBackend', namespace, name, 0, spoken, tls, null, traffic.budget, balancer);
  return { cluster, label, fault: null, policies, untrusted: null };
}

/** Whether it is for the Gateway to say which certificate is shown to it: an XBackend says so itself. */
export function isShownGateways({ tls, key }: ClusterEntry): boolean {
  const parsed = parseKey(key);
  return tls !== null && parsed.kind === 'cluster' && parsed.objectKind !== 'XBackend';
}

/** The object that is referred to, where that is allowed and it exists. */
function referent(
  reader: Reader,
  reference: Reference,
  fail: Fail,
): { readonly object: KubeObject } | { readonly object: null; readonly fault: Resolved } {
  const { fromKind, fromNamespace, toKind: kind, toNamespace: namespace, toName: name } = reference;
  if (!permitted(reader, reference)) {
    const message = `No ReferenceGrant in namespace ${namespace} lets ${fromKind === 'Ingress' ? 'Ingresse' : fromKind}s of ${fromNamespace} refer to ${kind} ${name}.`;
    const grant = objectKey('ReferenceGrant', namespace, '');
    return { object: null, fault: fail('routeNotPermitted', 'namespace', message, grant) };
  }
  // A name with a slash can be nobody's, and would make an ambiguous key.
  const object = `${namespace}${name}`.includes('/') ? undefined : reader.get(kind, namespace, name);
  if (object !== undefined) return { object };
  const key = objectKey(kind, namespace, name);
  return { object: null, fault: fail('routeBackend', 'name', `${kind} ${namespace}/${name} does not exist.`, key) };
}

/** Whose meaning is nobody's business here. */
const BYTES: BackendProtocol = { spoken: 'http1', secured: false, by: '' };

type Fail = (condition: ConditionName, field: string, message: string, absent?: ObjectKey) => Resolved;

function notRead(kind: unknown): string {
  const why = 'whoever may write one leads requests wherever this program reaches';
  return `${String(kind)}s are not read here, for ${why}: --backends on has them read.`;
}

function notABackend(group: unknown, kind: unknown): string {
  const not = `Backends of kind ${shown(kind)} in group ${shown(group)} are not supported`;
  if (kind === 'XBackend') return `${not}: write group: ${X_GROUP} for an XBackend.`;
  if (group === X_GROUP) return `${not}: write kind: XBackend, or leave out the group for a Service.`;
  if (kind === 'Backend') return `${not}: write group: ${RAUTA_GROUP} for a Backend.`;
  if (group === RAUTA_GROUP) return `${not}: write kind: Backend, or leave out the group for a Service.`;
  return `${not}: refer to a Service, or to a Backend of group ${RAUTA_GROUP}.`;
}

interface Ruled {
  /** There is a policy for it. */
  readonly governed: boolean;
  readonly policies: readonly ObjectKey[];
  readonly tls: ClientTls | null;
  /** Why TLS cannot be spoken as the policy asks. */
  readonly refused: string | null;
}

const NO_POLICY: Ruled = { governed: false, policies: [], tls: null, refused: null };

function policyOf(
  reader: Reader,
  kind: string,
  namespace: string,
  name: string,
  section: string,
  system: SystemTrust | null,
): Ruled {
  const { policy, policies } = governing(reader, kind, namespace, name, section);
  if (policy === null) return { ...NO_POLICY, policies };
  const { tls, refused } = readPolicy(reader, policy, system);
  if (tls !== null) return { governed: true, policies, tls, refused: null };
  const { namespace: at = '', name: called } = policy.metadata;
  const why = `BackendTLSPolicy ${at}/${called} is not good: ${refused?.message ?? ''}`;
  return { governed: true, policies, tls: null, refused: why };
}

interface Port {
  readonly protocol: unknown;
  /** Its name, by which policies mean it. */
  readonly section: string;
  /** For messages. */
  readonly what: string;
}

/** The port of a Service that is referred to. */
function servicePort(
  service: KubeObject,
  number: number | undefined,
  transport: 'tcp' | 'udp',
  fail: Fail,
): Port | Resolved {
  const { namespace = '', name } = service.metadata;
  if (fields(service.spec)['type'] === 'ExternalName') {
    return fail('routeKind', 'name', `Service ${namespace}/${name} is of type ExternalName, which is refused.`);
  }
  if (number === undefined) return fail('routeBackend', 'port', 'A reference to a Service needs a port.');
  const what = `Service ${namespace}/${name} port ${number}`;
  const found = servicePortOf(service, number, transport);
  if (found === undefined) {
    const other = servicePortOf(service, number);
    if (other === undefined) return fail('routeBackend', 'port', hasNoPort(service, number));
    const protocol = shown(other['protocol'] ?? 'TCP');
    return fail('routeProtocol', 'port', `${what}: Protocol ${protocol} is not ${transport.toUpperCase()}.`);
  }
  return { protocol: found['appProtocol'], section: anyText(found['name']) ?? '', what };
}

function hasNoPort(service: KubeObject, number: number): string {
  const { namespace = '', name } = service.metadata;
  const ports = list(fields(service.spec)['ports']).map((item) => String(fields(item)['port']));
  const theirs = ports.length === 0 ? 'none' : ports.join(', ');
  return `Service ${namespace}/${name} has no port ${number}: it has ${theirs}.`;
}

/**
 * Kinds of routes whose bytes are passed on as they are, whatever the backend's appProtocol says that they mean, and
 * over what.
 */
const RELAYED: ReadonlyMap<string, 'tcp' | 'udp'> = new Map([
  ['TCPRoute', 'tcp'],
  ['TLSRoute', 'tcp'],
  ['UDPRoute', 'udp'],
]);

/**
 * TLS of a Backend by itself: the system's authorities, and the one host that its endpoints name, or their one address.
 * A text says why it cannot be spoken.
 */
function ownTls(backend: KubeObject, system: SystemTrust | null): ClientTls | string {
  const spec = fields(backend.spec);
  if (system === null || system().length === 0) return 'this system knows no authorities.';
  const names = new Set(
    list(spec['endpoints'])
      .map(fields)
      .map((endpoint) => text(endpoint['hostname'])?.toLowerCase() ?? text(endpoint['address']) ?? ''),
  );
  const [hostname = ''] = names;
  if (names.size !== 1 || hostname === '') {
    return 'its endpoints are not of one name: a BackendTLSPolicy has to say which one certificates are for.';
  }
  return systemTls(hostname);
}

/** The port of that number, over `transport` where one is asked for: it may stand there twice. */
export function servicePortOf(service: KubeObject, number: number, transport?: 'tcp' | 'udp'): Fields | undefined {
  return list(fields(service.spec)['ports'])
    .map(fields)
    .find(
      (item) =>
        item['port'] === number && (transport === undefined || (item['protocol'] ?? 'TCP') === transport.toUpperCase()),
    );
}

/** Names of its ports, by which policies mean them. */
export function servicePortNames(service: KubeObject): string[] {
  return list(fields(service.spec)['ports']).map((item) => anyText(fields(item)['name']) ?? '');
}

// The keys of the IR, made and read here and nowhere else. Parts are separated by slashes: names of the API hold none,
// an address holds none, and a unix path is an endpoint's, never a key's.

import { createHash } from 'node:crypto';

/** What an entry stands under. */
export type Key = string;

/** Keys of what the controller keeps for itself beside the entries; no worker is given them. */
export const STATE_PREFIX = 'state/';

/** There while what is served was read from a state file. */
export const KEPT_KEY = `${STATE_PREFIX}kept`;

/** Kinds that may be written to a disk; a new one is not before somebody has thought of it. */
const WRITTEN: readonly string[] = ['socket', 'gateway', 'rule', 'relay', 'cluster', 'endpoints', 'trust'];

/** Private keys may not be; cells are given out anew by whoever reads it. */
export function mayBeWritten(key: Key): boolean {
  return WRITTEN.includes(parseKey(key).kind);
}

/** What a key stands for. */
export type Parsed =
  | { readonly kind: 'socket'; readonly address: string; readonly port: number; readonly transport: string }
  | { readonly kind: 'gateway'; readonly namespace: string; readonly name: string }
  | (ObjectPart & { readonly kind: 'rule' | 'relay'; readonly index: number })
  | (ObjectPart & { readonly kind: 'cluster'; readonly port: number; readonly digest: string })
  | (ObjectPart & { readonly kind: 'endpoints'; readonly port: number; readonly transport: 'tcp' | 'udp' })
  | (ObjectPart & { readonly kind: 'routeCells' })
  | { readonly kind: 'clusterCells'; readonly cluster: Key }
  | { readonly kind: 'certificate' | 'trust'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'unknown' };

/** The object behind it: an HTTPRoute, a Service, a Backend. */
export interface ObjectPart {
  readonly objectKind: string;
  readonly namespace: string;
  readonly name: string;
}

export function socketKey(address: string, port: number, transport: 'tcp' | 'udp'): Key {
  return `socket/${address}/${port}/${transport}`;
}

export function isSocketKey(key: Key): boolean {
  return key.startsWith('socket/');
}

export function gatewayKey(namespace: string, name: string): Key {
  return `gateway/${namespace}/${name}`;
}

/** `index`: position in the route's rules. */
export function ruleKey(kind: string, namespace: string, name: string, index: number): Key {
  return `rule/${kind}/${namespace}/${name}/${index}`;
}

/** Of a route of layer 4; `index` as of rules. */
export function relayKey(kind: string, namespace: string, name: string, index: number): Key {
  return `relay/${kind}/${namespace}/${name}/${index}`;
}

/** Of a rule, or of a relay's, that becomes several entries, another one. */
export function ruleVariant(rule: Key, variant: string): Key {
  return `${rule}~${variant}`;
}

/** `port` is 0 for a backend whose endpoints have ports of their own. `digest`: settingsDigest. */
export function clusterKey(kind: string, namespace: string, name: string, port: number, digest: string): Key {
  return `cluster/${kind}/${namespace}/${name}/${port}/${digest}`;
}

/** A Service may have one number twice, for TCP and for UDP. */
export function endpointsKey(
  kind: string,
  namespace: string,
  name: string,
  port: number,
  transport: 'tcp' | 'udp' = 'tcp',
): Key {
  return `endpoints/${kind}/${namespace}/${name}/${port}${transport === 'udp' ? '/udp' : ''}`;
}

/** Of a Secret. */
export function certificateKey(namespace: string, name: string): Key {
  return `certificate/${namespace}/${name}`;
}

/** What stands behind the name of a Secret whose certificate is shown to backends: it is an entry of its own. */
const CLIENT = ':client';

export function clientCertificateKey(namespace: string, name: string): Key {
  return certificateKey(namespace, `${name}${CLIENT}`);
}

/** The Secret of a certificate's name in its key, and whether it is shown to backends. */
export function secretOfCertificate(name: string): { readonly secret: string; readonly client: boolean } {
  const client = name.endsWith(CLIENT);
  return { secret: client ? name.slice(0, -CLIENT.length) : name, client };
}

/** Of what certificates are checked against. */
export function trustKey(namespace: string, name: string): Key {
  return `trust/${namespace}/${name}`;
}

/** Counters of a route: the kind is part, so that an HTTPRoute and a GRPCRoute of one name count apart. */
export function routeCellsKey(kind: string, route: string): Key {
  return `cells/${kind}/${route}`;
}

/** Counters of a cluster's endpoints. */
export function clusterCellsKey(cluster: Key): Key {
  return `cells/${cluster}`;
}

/** Of the authorities that the system knows. */
export const SYSTEM_TRUST: Key = 'trust/system';

/** Of a ClusterEntry (ir.ts), what its connections depend on. */
interface Settings {
  readonly protocol: string;
  readonly tls: {
    readonly trust: Key;
    readonly hostname: string;
    readonly subjectAltNames: readonly { readonly type: string; readonly value: string }[];
    readonly certificate: Key | null;
    readonly alpn: readonly string[];
    readonly minVersion: string;
  } | null;
  readonly proxyProtocol: string | null;
  /** Where its requests are not shared as usual. */
  readonly balancer?: { readonly type: string; readonly key?: string; readonly name?: string };
}

/**
 * Twelve hexadecimal digits that differ where connections must not be shared: of protocol, TLS, connection settings;
 * and by what requests are shared among endpoints, where somebody asks for that.
 */
export function settingsDigest({ protocol, tls, proxyProtocol, balancer }: Settings): string {
  const asked = balancer !== undefined && balancer.type !== 'roundRobin' && balancer.key !== 'flow';
  const shared = asked ? [[balancer.type, balancer.key ?? '', balancer.name ?? '']] : [];
  const rest = proxyProtocol === null && !asked ? [] : [proxyProtocol, ...shared];
  if (tls === null && rest.length > 0) return digestOf([protocol, null, ...rest]);
  if (tls === null) {
    let digest = CLEAR.get(protocol);
    if (digest === undefined) {
      digest = digestOf([protocol]);
      CLEAR.set(protocol, digest);
    }
    return digest;
  }
  const { trust, hostname, subjectAltNames, certificate, alpn, minVersion } = tls;
  const names = subjectAltNames.map(({ type, value }) => [type, value]);
  return digestOf([protocol, [trust, hostname, names, certificate, alpn, minVersion], ...rest]);
}

/** Of those who speak in the clear, which are most: one for each protocol. */
const CLEAR = new Map<string, string>();

function digestOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}

/** Reads a key; `unknown` for what none of the functions above made. */
export function parseKey(key: Key): Parsed {
  const parts = key.split('/');
  const [kind, a = '', b = '', c = '', d = '', e = ''] = parts;
  const n = parts.length;
  if (kind === 'socket' && n === 4) return { kind, address: a, port: Number(b), transport: c };
  if (kind === 'gateway' && n === 3) return { kind, namespace: a, name: b };
  if ((kind === 'certificate' || kind === 'trust') && n === 3) return { kind, namespace: a, name: b };
  if (key === SYSTEM_TRUST) return { kind: 'trust', namespace: '', name: a };
  const object: ObjectPart = { objectKind: a, namespace: b, name: c };
  if ((kind === 'rule' || kind === 'relay') && n === 5) return { kind, ...object, index: Number.parseInt(d, 10) };
  if (kind === 'cluster' && n === 6) return { kind, ...object, port: Number(d), digest: e };
  if (kind === 'endpoints' && n === 5) return { kind, ...object, port: Number(d), transport: 'tcp' };
  if (kind === 'endpoints' && n === 6 && e === 'udp') return { kind, ...object, port: Number(d), transport: e };
  if (kind === 'cells' && a === 'cluster' && n === 7)
    return { kind: 'clusterCells', cluster: key.slice('cells/'.length) };
  if (kind === 'cells' && n === 4) return { kind: 'routeCells', ...object };
  return { kind: 'unknown' };
}

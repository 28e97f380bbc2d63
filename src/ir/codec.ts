// An entry as bytes: canonical JSON (fields in ascending order, no spaces), so that equal entries are equal bytes and a
// table of bytes can be hashed and compared. Decoding checks the shape down to what the data plane relies on: the bytes
// come from our own controller, but from another process, and a worker must refuse what it cannot use as a whole.

import { type Fields, isFields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import { tight } from '../base/tight.ts';
import { isPackedCertificate, packCertificate, unpackCertificate } from './certificate-wire.ts';
import type {
  Access,
  Action,
  Attachment,
  AuthPart,
  AuthSubrequest,
  Balancer,
  CellsEntry,
  CertificateEntry,
  ClientSource,
  ClientTls,
  ClientValidation,
  ClusterEntry,
  Cors,
  Endpoint,
  EndpointsEntry,
  Entry,
  ErrorBodies,
  Filter,
  GatewayEntry,
  Header,
  HeaderEdits,
  Match,
  PathModifier,
  Redirect,
  RelayBackend,
  RelayEntry,
  Retry,
  RetryBudget,
  RuleEntry,
  ServerTls,
  SubjectAltName,
  Timeouts,
  TrustEntry,
  ValueMatch,
  WeightedBackend,
} from './ir.ts';
import {
  packSocket,
  unpackSocket,
  type WireHost,
  type WireHostTls,
  type WireSocket,
  type WireTls,
} from './socket-wire.ts';

export class CodecError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CodecError';
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true });

export function encodeEntry(entry: Entry): Buffer {
  if (entry.kind === 'certificate') return packCertificate(entry);
  return Buffer.from(JSON.stringify(canonical(entry.kind === 'socket' ? packSocket(entry) : entry)));
}

/** Throws CodecError for anything that is not an entry. */
export function decodeEntry(bytes: Uint8Array): Entry {
  const packed = isPackedCertificate(bytes);
  const value = packed ? unpackCertificate(bytes, parsed) : parsed(bytes);
  const kind = isFields(value) ? value['kind'] : undefined;
  if (typeof kind !== 'string' || !Object.hasOwn(ENTRIES, kind) || packed !== (kind === 'certificate'))
    throw new CodecError('not an entry of a known kind');
  const shape = ENTRIES[kind as Entry['kind']];
  const wrong = shape(value);
  if (wrong !== null) throw new CodecError(`entry${wrong}`);
  if (packed) return value as CertificateEntry;
  if (kind !== 'socket') return tight(value as Entry);
  const socket = unpackSocket(tight(value as WireSocket));
  if (socket === null) throw new CodecError('entry.hosts: TLS of a way that is not there');
  return socket;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    // The parser's own words quote what it read, which may be a key.
    throw new CodecError('not JSON');
  }
}

/** The same value with every mapping's fields in ascending order; what is in order is not copied. */
function canonical(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return canonicalList(value);
  const record = value as Fields;
  const names = Object.keys(record);
  let same = true;
  for (let i = 1; i < names.length; i++) same &&= (names[i - 1] as string) < (names[i] as string);
  if (!same) names.sort();
  const ordered: Record<string, unknown> = {};
  for (const name of names) {
    const inner = record[name];
    ordered[name] = canonical(inner);
    same &&= ordered[name] === inner;
  }
  return same ? record : ordered;
}

function canonicalList(list: readonly unknown[]): readonly unknown[] {
  let ordered: unknown[] | null = null;
  for (let i = 0; i < list.length; i++) {
    const inner = canonical(list[i]);
    if (inner === list[i]) continue;
    ordered ??= list.slice();
    ordered[i] = inner;
  }
  return ordered ?? list;
}

// ---- shapes

/** Null when the value fits; else where within it and what was expected, as `.field[0]: expected ...`. */
type Check = (value: unknown) => string | null;

const string: Check = (value) => (typeof value === 'string' ? null : ': expected a text');

const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? null
      : `: expected an integer from ${min} to ${max}`;
const count = integer(0, Number.MAX_SAFE_INTEGER);
const portNumber = integer(0, 65_535);

const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? null : `: expected one of ${values.join(', ')}`;

const orNull =
  (check: Check): Check =>
  (value) =>
    value === null ? null : check(value);

const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined ? null : check(value);

const listOf =
  (check: Check, atLeast = 0): Check =>
  (value) => {
    if (!Array.isArray(value) || value.length < atLeast) return `: expected a list of at least ${atLeast}`;
    for (let i = 0; i < value.length; i++) {
      const wrong = check(value[i]);
      if (wrong !== null) return `[${i}]${wrong}`;
    }
    return null;
  };

/** A check for each field of T, no more and no fewer: the compiler holds this page and ir.ts together. */
type Shape<T> = { readonly [Name in keyof T]-?: Check };

const record = <T>(shape: Shape<T>): Check => {
  const checks = Object.entries(shape) as [string, Check][];
  return (value) => {
    if (!isFields(value)) return ': expected a mapping';
    for (const [name, check] of checks) {
      const wrong = check(value[name]);
      if (wrong !== null) return `.${name}${wrong}`;
    }
    return null;
  };
};

const mapOf =
  (check: Check): Check =>
  (value) => {
    if (!isFields(value)) return ': expected a mapping';
    for (const name of Object.keys(value)) {
      const wrong = check(value[name]);
      if (wrong !== null) return `.${name}${wrong}`;
    }
    return null;
  };

/** A check for each member of T, told apart by its `type`. */
type Members<T extends { readonly type: string }> = { readonly [Name in T['type']]: Check };

const union = <T extends { readonly type: string }>(members: Members<T>): Check => {
  const checks = new Map<unknown, Check>(Object.entries<Check>(members));
  const names = [...checks.keys()].join(', ');
  return (value) => {
    const check = isFields(value) ? checks.get(value['type']) : undefined;
    return check === undefined ? `.type: expected one of ${names}` : check(value);
  };
};

/** What one member holds beside its `type`. */
type Member<T extends { readonly type: string }, Name extends T['type']> = Omit<
  Extract<T, { readonly type: Name }>,
  'type'
>;

const header = record<Header>({ name: string, value: string });
const edits = record<HeaderEdits>({ set: listOf(header), add: listOf(header), remove: listOf(string) });
const pathModifier = union<PathModifier>({
  ReplaceFullPath: record<Member<PathModifier, 'ReplaceFullPath'>>({ value: string }),
  ReplacePrefixMatch: record<Member<PathModifier, 'ReplacePrefixMatch'>>({ value: string }),
  ReplaceExpression: record<Member<PathModifier, 'ReplaceExpression'>>({ pattern: string, value: string }),
});
const authPart = record<AuthPart>({
  type: oneOf('text', 'scheme', 'host', 'uri', 'escapedUri', 'method', 'query', 'mark'),
  text: string,
});
const filter = union<Filter>({
  requestHeaders: record<Member<Filter, 'requestHeaders'>>({ edits }),
  responseHeaders: record<Member<Filter, 'responseHeaders'>>({ edits }),
  rewrite: record<Member<Filter, 'rewrite'>>({ hostname: orNull(string), path: orNull(pathModifier) }),
  contentLimit: record<Member<Filter, 'contentLimit'>>({ bytes: count }),
  access: record<Member<Filter, 'access'>>({
    effect: oneOf('allow', 'deny'),
    ranges: listOf(string),
    methods: listOf(string),
    paths: listOf(record<Access['paths'][number]>({ type: oneOf('Exact', 'PathPrefix'), value: string })),
  }),
  externalAuth: record<Member<Filter, 'externalAuth'>>({
    protocol: oneOf('http', 'grpc'),
    cluster: orNull(string),
    backend: string,
    path: string,
    requestHeaders: listOf(string),
    responseHeaders: listOf(string),
    bodyBytes: integer(0, LIMITS.DECISION_BODY_BYTES),
    failOpen: oneOf(true, false),
    subrequest: orAbsent(
      record<AuthSubrequest>({
        method: string,
        host: string,
        target: string,
        signin: listOf(authPart),
        redirect: listOf(authPart),
      }),
    ),
  }),
  grpcWeb: record<Member<Filter, 'grpcWeb'>>({}),
  keepSlashes: record<Member<Filter, 'keepSlashes'>>({}),
  mirror: record<Member<Filter, 'mirror'>>({ cluster: string, share: count, of: count }),
  cors: record<Member<Filter, 'cors'>>({
    cors: record<Cors>({
      origins: listOf(string),
      credentials: oneOf(true, false),
      methods: listOf(string),
      headers: listOf(string),
      exposedHeaders: listOf(string),
      maxAgeS: count,
    }),
  }),
});
const redirect = record<Redirect>({
  scheme: oneOf(null, 'http', 'https'),
  hostname: orNull(string),
  port: orNull(portNumber),
  path: orNull(pathModifier),
  status: oneOf(301, 302, 303, 307, 308),
});
const weighted = record<WeightedBackend>({
  cluster: orNull(string),
  backend: string,
  weight: count,
  filters: listOf(filter),
});
const status = integer(100, 599);
const action = union<Action>({
  forward: record<Member<Action, 'forward'>>({ backends: listOf(weighted, 1) }),
  redirect: record<Member<Action, 'redirect'>>({ redirect }),
  static: record<Member<Action, 'static'>>({ status, headers: listOf(header), body: string }),
  respond: record<Member<Action, 'respond'>>({ status }),
});
const valueMatch = record<ValueMatch>({ name: string, type: oneOf('Exact', 'RegularExpression'), value: string });
const match = record<Match>({
  path: record<Match['path']>({ type: oneOf('Exact', 'PathPrefix', 'RegularExpression'), value: string }),
  method: string,
  headers: listOf(valueMatch),
  query: listOf(valueMatch),
});
const balancer = union<Balancer>({
  roundRobin: record<Member<Balancer, 'roundRobin'>>({}),
  leastRequest: record<Member<Balancer, 'leastRequest'>>({}),
  maglev: record<Member<Balancer, 'maglev'>>({
    key: oneOf('clientAddress', 'header', 'cookie', 'path', 'flow'),
    name: string,
  }),
});

const spokenTls: Shape<WireTls> = {
  minVersion: oneOf('TLSv1.2', 'TLSv1.3'),
  ciphers: listOf(string),
  suites: listOf(string),
  alpn: listOf(string),
  clients: orNull(
    record<ClientValidation>({
      trust: string,
      mode: oneOf('AllowValidOnly', 'AllowInsecureFallback'),
      forward: listOf(oneOf('Hash', 'Subject', 'URI', 'DNS', 'Cert')),
    }),
  ),
};
const serverTls = record<ServerTls>({ certificates: listOf(string, 1), ...spokenTls });

const clientTls = record<ClientTls>({
  trust: string,
  hostname: string,
  subjectAltNames: listOf(record<SubjectAltName>({ type: oneOf('Hostname', 'URI'), value: string })),
  certificate: orNull(string),
  alpn: listOf(string),
  minVersion: oneOf('TLSv1.2', 'TLSv1.3'),
});

const created = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const attachments = listOf(record<Attachment>({ socket: string, host: string, hostnames: listOf(string, 1) }));

type Body<T extends Entry> = Omit<T, 'kind'>;

const ENTRIES: { readonly [Kind in Entry['kind']]: Check } = {
  socket: record<Omit<WireSocket, 'kind'>>({
    key: string,
    address: string,
    port: portNumber,
    transport: oneOf('tcp', 'udp'),
    hosts: listOf(
      record<WireHost>({
        hostname: string,
        gateway: string,
        listener: string,
        port: portNumber,
        protocol: oneOf('HTTP', 'HTTPS', 'TLS', 'TCP', 'UDP'),
        tls: orNull(record<WireHostTls>({ certificates: listOf(string, 1), way: count })),
      }),
    ),
    ways: listOf(record(spokenTls)),
    fallback: orNull(serverTls),
    proxyProtocol: orNull(record<NonNullable<WireSocket['proxyProtocol']>>({ trusted: listOf(string) })),
  }),
  gateway: record<Body<GatewayEntry>>({
    key: string,
    name: string,
    errors: orAbsent(record<ErrorBodies>({ type: oneOf('empty', 'html', 'problem'), authority: string })),
    clients: orAbsent(record<ClientSource>({ trusted: listOf(string), header: orNull(string) })),
    logs: oneOf(undefined, 'errors', 'warnings'),
  }),
  rule: record<Body<RuleEntry>>({
    key: string,
    routeKind: oneOf('HTTPRoute', 'GRPCRoute', 'Ingress'),
    route: string,
    index: count,
    name: string,
    created,
    attachments,
    matches: listOf(match, 1),
    filters: listOf(filter),
    action,
    timeouts: record<Timeouts>({ requestMs: orNull(count), backendMs: orNull(count), idleMs: orAbsent(count) }),
    retry: orNull(
      record<Retry>({ attempts: count, codes: listOf(status), backoffMs: count, idempotent: orAbsent(oneOf(true)) }),
    ),
  }),
  relay: record<Body<RelayEntry>>({
    key: string,
    routeKind: oneOf('TCPRoute', 'TLSRoute', 'UDPRoute'),
    route: string,
    index: count,
    name: string,
    created,
    attachments,
    backends: listOf(record<RelayBackend>({ cluster: orNull(string), backend: string, weight: count }), 1),
    idleMs: orNull(count),
  }),
  cluster: record<Body<ClusterEntry>>({
    key: string,
    backend: string,
    endpoints: string,
    protocol: oneOf('http1', 'http2', 'tcp', 'udp'),
    tls: orNull(clientTls),
    proxyProtocol: oneOf(null, 'v1', 'v2'),
    balancer,
    retryBudget: orAbsent(record<RetryBudget>({ percent: integer(0, 100), intervalMs: count, count, countMs: count })),
  }),
  endpoints: record<Body<EndpointsEntry>>({
    key: string,
    endpoints: listOf(
      record<Endpoint>({
        id: string,
        address: string,
        port: portNumber,
        zone: string,
        weight: count,
        state: oneOf('ready', 'far', 'draining'),
      }),
    ),
  }),
  certificate: record<Body<CertificateEntry>>({
    key: string,
    chain: listOf(string, 1),
    privateKey: string,
    fingerprint: string,
    staple: string,
    stapleFrom: count,
    stapleUntil: count,
  }),
  trust: record<Body<TrustEntry>>({ key: string, authorities: listOf(string, 1), revoked: listOf(string) }),
  cells: record<Body<CellsEntry>>({ key: string, blocks: mapOf(count) }),
};

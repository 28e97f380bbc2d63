// The contract between the planes: plain data, every entry under a key of its own, so that one changed route rule or
// one changed endpoint is one small delta. Entries point upwards by key (a rule names its sockets and clusters, never
// the other way round). Nothing here is Kubernetes: names are carried only to be shown in logs and metrics. Keys are
// made and read in keys.ts; ADR 8 says why the kinds are cut as they are.

import type { Key } from './keys.ts';

export type { Key } from './keys.ts';

export type Entry =
  | SocketEntry
  | GatewayEntry
  | RuleEntry
  | RelayEntry
  | ClusterEntry
  | EndpointsEntry
  | CertificateEntry
  | TrustEntry
  | CellsEntry;

/** One listening socket; several Gateways may share it. What acts before a host is known stands here. */
export interface SocketEntry {
  readonly kind: 'socket';
  readonly key: Key;
  /** '0.0.0.0', '::' (bound V6ONLY) or a literal address. */
  readonly address: string;
  /** The port that is bound, whatever the Gateways call it. */
  readonly port: number;
  readonly transport: 'tcp' | 'udp';
  /**
   * In ascending order of hostname, and distinct by it: an equal hostname of a younger Gateway is Conflicted and not
   * here.
   */
  readonly hosts: readonly SocketHost[];
  /**
   * How TLS is spoken with clients that name no host of these; null: they are refused. On such a connection the
   * request's host decides.
   */
  readonly fallback: ServerTls | null;
  /** Connections of those `trusted` (CIDR ranges) begin with a PROXY header; null: nobody's do. */
  readonly proxyProtocol: { readonly trusted: readonly string[] } | null;
}

/** One listener of a Gateway, as far as it is on this socket. */
export interface SocketHost {
  /** Lower case; '*' for any, '*.example.com' for one or more labels under it, or exact. */
  readonly hostname: string;
  /** Key of a GatewayEntry. */
  readonly gateway: Key;
  /** Name of the listener. */
  readonly listener: string;
  /** As the Gateway writes it: what redirects and matches speak of. */
  readonly port: number;
  /** Of TCP and UDP a socket has one host, '*'; HTTPS and TLS share one, by hostname. */
  readonly protocol: 'HTTP' | 'HTTPS' | 'TLS' | 'TCP' | 'UDP';
  /** Of HTTPS, and of TLS that ends here; null for cleartext, and for TLS that passes through to a backend. */
  readonly tls: ServerTls | null;
}

/** How TLS is spoken with clients of one listener. */
export interface ServerTls {
  /** Keys of CertificateEntries; of several with keys of one kind the first is shown. Never empty. */
  readonly certificates: readonly Key[];
  readonly minVersion: TlsVersion;
  /** Names of suites of TLS 1.2 and of TLS 1.3 in order, as OpenSSL writes them; empty for the defaults. */
  readonly ciphers: readonly string[];
  readonly suites: readonly string[];
  /** Protocols offered by ALPN, in order. */
  readonly alpn: readonly string[];
  /** Certificates that clients show; null: they are not asked for one. */
  readonly clients: ClientValidation | null;
}

export interface ClientValidation {
  /** Key of a TrustEntry. */
  readonly trust: Key;
  /** GEP-91: `AllowInsecureFallback` lets in whoever shows none, or one that is not good. */
  readonly mode: 'AllowValidOnly' | 'AllowInsecureFallback';
  /** What backends are told of a certificate that is good, in X-Forwarded-Client-Cert; none: nothing. */
  readonly forward: readonly CertificatePart[];
}

export type CertificatePart = 'Hash' | 'Subject' | 'URI' | 'DNS' | 'Cert';

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** How TLS is spoken with the endpoints of a cluster. */
export interface ClientTls {
  /** Key of the TrustEntry that a server's certificate must lead to. */
  readonly trust: Key;
  /** Sent as SNI (an address is not), and what the certificate must be for where `subjectAltNames` are none. */
  readonly hostname: string;
  /** Names of which the certificate must have one, instead of `hostname`. */
  readonly subjectAltNames: readonly SubjectAltName[];
  /** Key of the CertificateEntry that is shown to a server that asks for one; null for none. */
  readonly certificate: Key | null;
  /** Protocols offered by ALPN, in order; none: it is not spoken. */
  readonly alpn: readonly string[];
  readonly minVersion: TlsVersion;
}

export interface SubjectAltName {
  readonly type: 'Hostname' | 'URI';
  readonly value: string;
}

/** What holds for everything that comes by one Gateway. */
export interface GatewayEntry {
  readonly kind: 'gateway';
  readonly key: Key;
  /** `namespace/name`, for logs. */
  readonly name: string;
  /** Content of answers that no backend gave; absent: short plain text. */
  readonly errors?: ErrorBodies;
  /** Where its requests come from; absent: as the program was told for all. */
  readonly clients?: ClientSource;
  /** Which of its requests and sessions get a log line; absent: all. */
  readonly logs?: 'errors' | 'warnings';
}

export interface ErrorBodies {
  readonly type: 'empty' | 'html' | 'problem';
  /** Of `problem`: what types of problems are URIs under, without a slash at its end; '' for none. */
  readonly authority: string;
}

/** Who is believed about clients; what others say of theirs is discarded. */
export interface ClientSource {
  /** Addresses and CIDR ranges. */
  readonly trusted: readonly string[];
  /** The field whose value is the client's address; null: X-Forwarded-For, read from its end. */
  readonly header: string | null;
}

/** One rule of a route, with everything needed to order, match, edit and forward. */
export interface RuleEntry {
  readonly kind: 'rule';
  readonly key: Key;
  readonly routeKind: 'HTTPRoute' | 'GRPCRoute' | 'Ingress';
  /** `namespace/name`. */
  readonly route: string;
  /** Position in the route's spec.rules; of an Ingress, of the path among all its paths. */
  readonly index: number;
  /** spec.rules[].name, '' if none. */
  readonly name: string;
  /** Creation time of the route in unix seconds (older wins), 0 when unknown. */
  readonly created: number;
  readonly attachments: readonly Attachment[];
  /** Never empty: no matches in the spec is one match of prefix '/'. ORed. */
  readonly matches: readonly Match[];
  readonly filters: readonly Filter[];
  readonly action: Action;
  readonly timeouts: Timeouts;
  /** null: nobody said anything, the defaults of base/limits.ts hold. */
  readonly retry: Retry | null;
}

/**
 * The rule of a route of layer 4 (TCPRoute, TLSRoute, UDPRoute: each has one). Of several that are attached to one host
 * under one hostname the oldest, then the first by `route`, has every session.
 */
export interface RelayEntry {
  readonly kind: 'relay';
  readonly key: Key;
  readonly routeKind: 'TCPRoute' | 'TLSRoute' | 'UDPRoute';
  /** `namespace/name`. */
  readonly route: string;
  /** As RuleEntry has them. */
  readonly index: number;
  readonly name: string;
  readonly created: number;
  readonly attachments: readonly Attachment[];
  /** Never empty; shares as of requests. */
  readonly backends: readonly RelayBackend[];
  /** A session in which no byte moves for so long is ended; null: the default of base/limits.ts. */
  readonly idleMs: number | null;
}

export interface RelayBackend {
  /** Key of a ClusterEntry, or null for an invalid reference: its share is refused. */
  readonly cluster: Key | null;
  /** What to call it in logs: `namespace/name:port`. */
  readonly backend: string;
  readonly weight: number;
}

/** Milliseconds; 0 is none, by somebody's wish; null that nobody said anything (GEP-1742). */
export interface Timeouts {
  /** From the first byte of the request to the last of the response. */
  readonly requestMs: number | null;
  /** From the request's being sent to a backend to the last byte of its response; each attempt has its own. */
  readonly backendMs: number | null;
  /** In which no byte moves either way, also of a tunnel; absent: as the program was told for all. */
  readonly idleMs?: number;
}

/** When a request is sent again (GEP-1731). Failures before a byte was sent are repeated whatever stands here. */
export interface Retry {
  /** Attempts after the first. */
  readonly attempts: number;
  /** Statuses of a backend's response that are taken for a failure. */
  readonly codes: readonly number[];
  /** Least time before the next attempt, in milliseconds; it grows from attempt to attempt, with jitter. */
  readonly backoffMs: number;
  /** Only requests whose method may be repeated (RFC 9110 section 9.2.2); absent: all. */
  readonly idempotent?: true;
}

/** Where a rule is reachable: which host of which socket, under which hostnames (already intersected). */
export interface Attachment {
  readonly socket: Key;
  /** SocketHost.hostname. */
  readonly host: string;
  /** Effective hostnames ('*', '*.a.example', '?.a.example' for one label under it, 'b.example'), never empty. */
  readonly hostnames: readonly string[];
}

export interface Match {
  readonly path: { readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression'; readonly value: string };
  /** '' for any. */
  readonly method: string;
  /** ANDed; names lower case. One may be PATH_CONDITION, by expression: it ranks in front of all others. */
  readonly headers: readonly ValueMatch[];
  /** ANDed; names as they stand (case-sensitive). */
  readonly query: readonly ValueMatch[];
}

/** Stands among the conditions on fields for one on the whole path, besides that of Match.path. */
export const PATH_CONDITION = ':path';

export interface ValueMatch {
  readonly name: string;
  readonly type: 'Exact' | 'RegularExpression';
  readonly value: string;
}

export type Action =
  | { readonly type: 'forward'; readonly backends: readonly WeightedBackend[] }
  | { readonly type: 'redirect'; readonly redirect: Redirect }
  /** The same to everybody (StaticResponseFilter); `body` is Base64. */
  | { readonly type: 'static'; readonly status: number; readonly headers: readonly Header[]; readonly body: string }
  /** A rule that could not be made whole: 500 by the Gateway API. */
  | { readonly type: 'respond'; readonly status: number };

export interface WeightedBackend {
  /** Key of a ClusterEntry, or null for an invalid reference: its share answers 500. */
  readonly cluster: Key | null;
  /** What to call it in logs: `namespace/name:port`. */
  readonly backend: string;
  readonly weight: number;
  readonly filters: readonly Filter[];
}

export type Filter =
  | { readonly type: 'requestHeaders'; readonly edits: HeaderEdits }
  | { readonly type: 'responseHeaders'; readonly edits: HeaderEdits }
  | { readonly type: 'rewrite'; readonly hostname: string | null; readonly path: PathModifier | null }
  | { readonly type: 'cors'; readonly cors: Cors }
  /** Calls of gRPC-Web are translated for backends of gRPC; with rules of a GRPCRoute it goes without saying. */
  | { readonly type: 'grpcWeb' }
  /** Requests with more content are answered 413. Of a rule, never of one backend. */
  | { readonly type: 'contentLimit'; readonly bytes: number }
  /** Backends get runs of slashes as they came, while the rule is matched as if each were one. Of a rule. */
  | { readonly type: 'keepSlashes' }
  | Access
  | ExternalAuth
  /** Copies of `share` of `of` requests go to the cluster too. Of a rule, never of one backend. */
  | { readonly type: 'mirror'; readonly cluster: Key; readonly share: number; readonly of: number };

/**
 * Requests of these clients, methods and paths (each that is empty: any) get through, or all but these. Of a rule,
 * never of one backend.
 */
export interface Access {
  readonly type: 'access';
  readonly effect: 'allow' | 'deny';
  /** Addresses and CIDR ranges. */
  readonly ranges: readonly string[];
  readonly methods: readonly string[];
  readonly paths: readonly { readonly type: 'Exact' | 'PathPrefix'; readonly value: string }[];
}

/**
 * Whether a request goes on, a server says that is asked about each (HTTPExternalAuthFilter, GEP-1494). Of a rule,
 * never of one backend.
 */
export interface ExternalAuth {
  readonly type: 'externalAuth';
  readonly protocol: 'http' | 'grpc';
  /** Key of a ClusterEntry; null for an invalid reference: nobody gets through. */
  readonly cluster: Key | null;
  /** What to call it: `namespace/name:port`. */
  readonly backend: string;
  /** HTTP: in front of each path that is asked about; '' for nothing. */
  readonly path: string;
  /** Names (lower case) of fields that the server is told; GRPC: none means all. */
  readonly requestHeaders: readonly string[];
  /** HTTP: names (lower case) of fields of its answer that the backend is told; none means all. */
  readonly responseHeaders: readonly string[];
  /** Content of requests that it is told, in bytes; larger requests are refused. 0: none of it. */
  readonly bodyBytes: number;
  /** Requests go on where the server fails. */
  readonly failOpen: boolean;
  /** HTTP: one URL is asked about all of them, as by auth_request of nginx; absent: each one's path is. */
  readonly subrequest?: AuthSubrequest;
}

/**
 * A question without content that tells all fields of the request (but framing), and the request itself by
 * X-Original-URL, X-Original-Method and X-Auth-Request-Redirect. Any 2xx lets go on, 401 and 403 keep out, all else is
 * a failure; Set-Cookie of the answer goes to the client; without names of response fields the backend is told none.
 */
export interface AuthSubrequest {
  readonly method: string;
  /** Of the question: a host, perhaps with a port. */
  readonly host: string;
  /** Of the question: path and query. */
  readonly target: string;
  /** Where whoever is answered 401 is sent, by 302; empty: nowhere, the answer is theirs. */
  readonly signin: readonly AuthPart[];
  /** X-Auth-Request-Redirect; empty: path and query of the request. */
  readonly redirect: readonly AuthPart[];
}

/**
 * A piece of a text: as it is, or what the request has (escapedUri: but for unreserved signs escaped; query: what
 * stands behind the question mark; mark: that, where one is).
 */
export interface AuthPart {
  readonly type: 'text' | 'scheme' | 'host' | 'uri' | 'escapedUri' | 'method' | 'query' | 'mark';
  /** ASCII without controls and spaces; '' of the others. */
  readonly text: string;
}

/** Which other origins' scripts may read what a rule answers (HTTPCORSFilter). Of a rule, never of one backend. */
export interface Cors {
  /** `*` alone for any, or `scheme://host[:port]`, whose host may begin with `*`. */
  readonly origins: readonly string[];
  readonly credentials: boolean;
  /** `*` alone for what is asked for; empty: nothing is said. */
  readonly methods: readonly string[];
  /** Names of request fields, in the same way. */
  readonly headers: readonly string[];
  /** Names of response fields that scripts may read. */
  readonly exposedHeaders: readonly string[];
  /** Seconds for which a browser may keep what a preflight was told. */
  readonly maxAgeS: number;
}

/** Applied in the order set, add, remove. Values may hold the template {{uuid}} (docs/reference/templates.md). */
export interface HeaderEdits {
  readonly set: readonly Header[];
  readonly add: readonly Header[];
  readonly remove: readonly string[];
}
export interface Header {
  readonly name: string;
  readonly value: string;
}

export type PathModifier =
  | { readonly type: 'ReplaceFullPath'; readonly value: string }
  /** Replaces the prefix that the match matched. */
  | { readonly type: 'ReplacePrefixMatch'; readonly value: string }
  /** Puts `value` in the path's place, and in it groups ($1 to $9) of `pattern`, which is for all of the path. */
  | { readonly type: 'ReplaceExpression'; readonly pattern: string; readonly value: string };

export interface Redirect {
  readonly scheme: 'http' | 'https' | null;
  readonly hostname: string | null;
  readonly port: number | null;
  readonly path: PathModifier | null;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

/**
 * How one backend is spoken to. Its key holds a digest of protocol and connection settings: rules with equal wishes
 * share pools, health and breaker, those with different ones never.
 */
export interface ClusterEntry {
  readonly kind: 'cluster';
  readonly key: Key;
  /** `namespace/name`, for the `backend` label and field. */
  readonly backend: string;
  /** Key of an EndpointsEntry; while there is none, the cluster has no endpoint. */
  readonly endpoints: Key;
  /** What it is spoken to in; HTTP/2 in the clear is begun by prior knowledge (RFC 9113 section 3.3). */
  readonly protocol: 'http1' | 'http2' | 'tcp' | 'udp';
  /** null: in the clear. */
  readonly tls: ClientTls | null;
  /** The version of the PROXY header that each connection begins with, before TLS; null: none. */
  readonly proxyProtocol: 'v1' | 'v2' | null;
  readonly balancer: Balancer;
  /** How much of what it is asked may be asked again; absent: what the limits of base/limits.ts say. */
  readonly retryBudget?: RetryBudget;
}

/**
 * Of the requests of the last `intervalMs`, so many in a hundred may be retries; and always `count` in `countMs`
 * (XBackendTrafficPolicy, GEP-3388).
 */
export interface RetryBudget {
  readonly percent: number;
  readonly intervalMs: number;
  readonly count: number;
  readonly countMs: number;
}

/** Where one port of a backend is to be found, whatever refers to it. In ascending order of id, and distinct by it. */
export interface EndpointsEntry {
  readonly kind: 'endpoints';
  readonly key: Key;
  readonly endpoints: readonly Endpoint[];
}

export type Balancer =
  | { readonly type: 'roundRobin' }
  | { readonly type: 'leastRequest' }
  | {
      readonly type: 'maglev';
      /**
       * What is hashed: the client's address, a request header, a cookie, or the path; of datagrams also the flow,
       * which is the client's address and port.
       */
      readonly key: 'clientAddress' | 'header' | 'cookie' | 'path' | 'flow';
      /** Header or cookie name, '' otherwise. */
      readonly name: string;
    };

export interface Endpoint {
  /** Stable identity, also Maglev's: pod `namespace/name` if known, else the address text. */
  readonly id: string;
  /** IP literal, or a path for unix. */
  readonly address: string;
  /** 0 for unix. */
  readonly port: number;
  readonly zone: string;
  readonly weight: number;
  /**
   * `far`: ready, but others are nearer, and used while enough of these can be; `draining`: serving but terminating,
   * used only while no endpoint is ready.
   */
  readonly state: 'ready' | 'far' | 'draining';
}

/**
 * A certificate with its key, from a Secret. It travels on the stream and is shown nowhere (shown.ts). Certificates and
 * key are DER, one character a byte: the shortest text there is, for entries are text (certificate-wire.ts).
 */
export interface CertificateEntry {
  readonly kind: 'certificate';
  readonly key: Key;
  /** The certificate, then those that lead to its root. Never empty. */
  readonly chain: readonly string[];
  /** PKCS#8. */
  readonly privateKey: string;
  /** SHA-256 of the certificate in hexadecimal digits. */
  readonly fingerprint: string;
  /** An OCSP response (RFC 6960) to show to clients that ask, Base64 of DER; '' for none. */
  readonly staple: string;
  /** From when until when it may be shown, Unix milliseconds; 0 for none. */
  readonly stapleFrom: number;
  readonly stapleUntil: number;
}

/** Whose certificates are good. Base64 of DER. */
export interface TrustEntry {
  readonly kind: 'trust';
  readonly key: Key;
  readonly authorities: readonly string[];
  /** Lists of revoked certificates (RFC 5280 section 5). */
  readonly revoked: readonly string[];
}

/** Telemetry cells that the controller assigned to a route, or to each endpoint of a cluster. */
export interface CellsEntry {
  readonly kind: 'cells';
  readonly key: Key;
  /** First cell of the block: of the route, under the name `route`, or of each endpoint, under its id. */
  readonly blocks: Readonly<Record<string, number>>;
}

/** A whole configuration. Insertion order carries no meaning. */
export type Ir = ReadonlyMap<Key, Entry>;

/** What turns one Ir into the next. */
export interface Delta {
  readonly upserts: readonly Entry[];
  readonly removals: readonly Key[];
}

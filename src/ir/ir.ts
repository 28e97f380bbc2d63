// The contract between the planes: plain data, every entry under a key of its own, so that one changed route rule is one
// small delta. Entries point upwards by key (a rule names its listeners, never the other way round). Nothing here is
// Kubernetes: names are carried only to be shown in logs and metrics.

/** `listener/<address>:<port>`, `rule/<kind>/<namespace>/<name>/<index>`, `cluster/<kind>/<namespace>/<name>/<port>`, `cells/<key>`. */
export type Key = string;

/** Keys of what the controller keeps for itself beside the entries; no worker is given them. */
export const STATE_PREFIX = 'state/';

export type Entry = ListenerEntry | RuleEntry | ClusterEntry | CellsEntry;

/** One socket, keyed by address and port; several Gateways may share it. */
export interface ListenerEntry {
  readonly kind: 'listener';
  readonly key: Key;
  /** '0.0.0.0', '::' (bound V6ONLY) or a literal address. */
  readonly address: string;
  readonly port: number;
  readonly protocol: 'HTTP';
  /** Distinct by `hostname`: an equal hostname of a younger Gateway is Conflicted and not here. */
  readonly hosts: readonly ListenerHost[];
}

export interface ListenerHost {
  /** Lower case; '*' for any, '*.example.com' for one or more labels under it, or exact. */
  readonly hostname: string;
  /** `namespace/name`. */
  readonly gateway: string;
  readonly listener: string;
}

/** One rule of a route, with everything needed to order, match, edit and forward. */
export interface RuleEntry {
  readonly kind: 'rule';
  readonly key: Key;
  readonly routeKind: 'HTTPRoute';
  /** `namespace/name`. */
  readonly route: string;
  /** Position in the route's spec.rules. */
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
  /** Milliseconds, 0 for none. */
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
}

/** Where a rule is reachable: which host of which listener, under which hostnames (already intersected). */
export interface Attachment {
  readonly listener: Key;
  /** ListenerHost.hostname. */
  readonly host: string;
  /** Effective hostnames ('*', '*.a.example', 'b.example'), never empty. */
  readonly hostnames: readonly string[];
}

export interface Match {
  readonly path: { readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression'; readonly value: string };
  /** '' for any. */
  readonly method: string;
  /** ANDed; names lower case. */
  readonly headers: readonly ValueMatch[];
  /** ANDed; names as they stand (case-sensitive). */
  readonly query: readonly ValueMatch[];
}

export interface ValueMatch {
  readonly name: string;
  readonly type: 'Exact' | 'RegularExpression';
  readonly value: string;
}

export type Action =
  | { readonly type: 'forward'; readonly backends: readonly WeightedBackend[] }
  | { readonly type: 'redirect'; readonly redirect: Redirect }
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
  | { readonly type: 'rewrite'; readonly hostname: string | null; readonly path: PathModifier | null };

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
  | { readonly type: 'ReplacePrefixMatch'; readonly value: string };

export interface Redirect {
  readonly scheme: 'http' | 'https' | null;
  readonly hostname: string | null;
  readonly port: number | null;
  readonly path: PathModifier | null;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

export interface ClusterEntry {
  readonly kind: 'cluster';
  readonly key: Key;
  /** `namespace/name`, for the `backend` label and field. */
  readonly backend: string;
  readonly protocol: 'http1';
  readonly balancer: Balancer;
  readonly endpoints: readonly Endpoint[];
}

export type Balancer =
  | { readonly type: 'roundRobin' }
  | { readonly type: 'leastRequest' }
  | {
      readonly type: 'maglev';
      /** What is hashed: the client's address, a request header, a cookie, or the path. */
      readonly key: 'clientAddress' | 'header' | 'cookie' | 'path';
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
  /** `draining`: serving but terminating; used only while no endpoint is ready. */
  readonly state: 'ready' | 'draining';
}

/** Telemetry cells that the controller assigned to a route (`cells/route/ns/name`) or a cluster (`cells/<cluster key>`). */
export interface CellsEntry {
  readonly kind: 'cells';
  readonly key: Key;
  /** First cell of the block of the route, or of each endpoint by its id; layouts in telemetry/layout.ts. */
  readonly blocks: Readonly<Record<string, number>>;
}

/** A whole configuration. Insertion order carries no meaning. */
export type Ir = ReadonlyMap<Key, Entry>;

/** What turns one Ir into the next. */
export interface Delta {
  readonly upserts: readonly Entry[];
  readonly removals: readonly Key[];
}

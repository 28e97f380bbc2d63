// What a rule does to a request: its filters as text, and what each backend is sent, by the edits that the proxy makes.

import { bytesOf, textOf } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type {
  AuthSubrequest,
  ClusterEntry,
  Endpoint,
  Filter,
  Key,
  PathModifier,
  RuleEntry,
  WeightedBackend,
} from '../ir/ir.ts';
import { compileEdits } from '../proxy/filter/edits.ts';
import { putRequestLine } from '../proxy/filter/path-edit.ts';
import { Head, NAME } from '../proxy/head.ts';
import { hashKeyOf } from '../proxy/upstream/pick/hash-key.ts';
import { endpointPicker, type Random, usableOf } from '../proxy/upstream/pick/picker.ts';
import type { BackendPart, EndpointPart } from './explanation.ts';

/** A request at the rule that took it. */
export interface Taken {
  readonly mem: Uint8Array;
  readonly head: Head;
  /** Bytes of the path that the match covers. */
  readonly prefixLength: number;
  readonly client: Uint8Array;
  /** Where `mem` is free from. */
  readonly free: number;
}

/** What is at hand of the other side. */
export interface Backends {
  cluster(key: Key): ClusterEntry | null;
  endpoints(key: Key): readonly Endpoint[];
  /** What a running program knows of an endpoint, '' for nothing. */
  load(cluster: ClusterEntry, endpoint: Endpoint): string;
  /** Host names of `namespace/name` that nobody looks up here. */
  named(backend: string): readonly string[];
}

export function filterTexts(filters: readonly Filter[]): string[] {
  return filters.flatMap(filterText);
}

function filterText(filter: Filter): string[] {
  switch (filter.type) {
    case 'requestHeaders':
      return editTexts('request', filter.edits);
    case 'responseHeaders':
      return editTexts('response', filter.edits);
    case 'rewrite':
      return [
        ...(filter.hostname === null ? [] : [`rewrites the host to ${filter.hostname}`]),
        ...(filter.path === null ? [] : [`rewrites ${pathText(filter.path)}`]),
      ];
    case 'cors':
      return [`CORS for the origins ${filter.cors.origins.join(', ')}`];
    case 'contentLimit':
      return [`refuses more content than ${filter.bytes} bytes by 413`];
    case 'access':
      return [accessText(filter)];
    case 'externalAuth':
      return authTexts(filter);
    case 'keepSlashes':
      return ['keeps runs of slashes in the path'];
    case 'grpcWeb':
      return ['translates calls of gRPC-Web'];
    case 'mirror':
      return [`copies ${filter.share} of ${filter.of} requests to ${filter.cluster}`];
  }
}

function authTexts(auth: Extract<Filter, { readonly type: 'externalAuth' }>): string[] {
  const { protocol, cluster, backend, path, requestHeaders, responseHeaders, bodyBytes, failOpen } = auth;
  if (cluster === null) return [`asks ${backend} whether it may go on: its reference is not usable, so 500`];
  if (auth.subrequest !== undefined) return subrequestTexts(backend, responseHeaders, auth.subrequest);
  const how = protocol === 'grpc' ? 'gRPC (ext_authz)' : `HTTP${path === '' ? '' : ` under ${path}`}`;
  const all = protocol === 'grpc' && requestHeaders.length === 0;
  return [
    `asks ${backend} by ${how} whether it may go on; when that fails it ${failOpen ? 'does' : 'is answered 403'}`,
    ...(all || requestHeaders.length > 0 ? [`tells it ${all ? 'all headers' : `of ${listed(requestHeaders)}`}`] : []),
    ...(bodyBytes > 0 ? [`tells it the content, of at most ${bodyBytes} bytes; more is answered 413`] : []),
    ...(responseHeaders.length > 0 ? [`takes ${listed(responseHeaders)} from its answer alone`] : []),
  ];
}

const listed = (names: readonly string[]): string => names.slice(0, LIMITS.NAMES_LISTED).join(', ');

function subrequestTexts(
  backend: string,
  taken: readonly string[],
  { method, target, signin }: AuthSubrequest,
): string[] {
  const place = signin.map(({ type, text }) => (type === 'text' ? text : `{${type}}`)).join('');
  return [
    `asks ${backend} by ${method} ${target} whether it may go on; when that fails it is answered 403`,
    ...(place === '' ? [] : [`sends who is answered 401 to ${place}`]),
    ...(taken.length > 0 ? [`takes ${listed(taken)} from its answer alone`] : []),
  ];
}

function accessText({ effect, ranges, methods, paths }: Extract<Filter, { readonly type: 'access' }>): string {
  const from = ranges.length === 0 ? [] : [`from ${ranges.slice(0, LIMITS.NAMES_LISTED).join(', ')}`];
  const under = paths.map(({ type, value }) => (type === 'Exact' ? value : `${value}...`));
  const what = [...from, methods.join(', '), under.join(', ')].filter((part) => part !== '').join(' ');
  return `${effect === 'allow' ? 'lets in only' : 'refuses'} ${what === '' ? 'everybody' : what}`;
}

function pathText({ type, value }: PathModifier): string {
  if (type === 'ReplaceExpression') return `the whole path to ${value}, by what the expression captured`;
  return type === 'ReplaceFullPath' ? `the whole path to ${value}` : `the matched prefix to ${value}`;
}

type HeaderFilter = Extract<Filter, { readonly type: 'requestHeaders' }>;

function editTexts(side: string, { set, add, remove }: HeaderFilter['edits']): string[] {
  return [
    ...set.map(({ name, value }) => `sets ${side} header ${name}: ${value}`),
    ...add.map(({ name, value }) => `adds ${side} header ${name}: ${value}`),
    ...remove.map((name) => `removes ${side} header ${name}`),
  ];
}

/** The backends of a rule that forwards, as `taken` would be sent to each. */
export function backendParts(rule: RuleEntry, taken: Taken, from: Backends): BackendPart[] {
  const { action, filters } = rule;
  if (action.type !== 'forward') return [];
  const sum = action.backends.reduce((total, { weight }) => total + weight, 0);
  return action.backends.map((backend) => {
    const cluster = backend.cluster === null ? null : from.cluster(backend.cluster);
    const share = sum === 0 ? 0 : backend.weight / sum;
    return {
      backend: backend.backend,
      share,
      filters: filterTexts(backend.filters),
      broken: brokenText(backend, cluster, cluster === null ? [] : from.endpoints(cluster.endpoints), from),
      protocol: cluster === null ? '' : cluster.protocol,
      tls: cluster === null || cluster.tls === null ? '' : `TLS for ${cluster.tls.hostname}`,
      balancer: cluster === null ? '' : cluster.balancer.type,
      sent: sentLines(filters, backend.filters, taken),
      endpoints: cluster === null ? [] : endpointParts(cluster, hashOf(cluster, taken), from),
    };
  });
}

function brokenText(
  { backend, weight }: WeightedBackend,
  cluster: ClusterEntry | null,
  endpoints: readonly Endpoint[],
  { named }: Backends,
): string {
  if (weight === 0) return 'its weight is 0: it gets no request';
  if (cluster === null) return '500: its reference is not usable';
  // Whoever serves it looks its names up.
  if (endpoints.length === 0 && named(backend).length > 0) return '';
  return usableOf(endpoints, allHealthy(endpoints)).length === 0 ? '503: it has no ready endpoint' : '';
}

function allHealthy(endpoints: readonly Endpoint[]): Uint8Array {
  return new Uint8Array(endpoints.length).fill(1);
}

/** Nobody rolls dice for a request that nobody sends. */
const NO_DICE: Random = { random32: () => 0 };

/** What of a request picks an endpoint; null: nothing does. */
function hashOf({ balancer }: ClusterEntry, { mem, head, client }: Taken): number | null {
  return hashKeyOf(balancer)?.hash(mem, head, client, NO_DICE) ?? null;
}

/** `hash`: by which one is picked; null: by none, or by one that nobody knows. */
export function endpointParts(cluster: ClusterEntry, hash: number | null, from: Backends): EndpointPart[] {
  const endpoints = from.endpoints(cluster.endpoints);
  const health = allHealthy(endpoints);
  let next = -1;
  if (hash !== null) {
    const picker = endpointPicker(cluster.balancer, endpoints, new Int32Array(endpoints.length), NO_DICE, health);
    next = picker.pick(hash);
  }
  const usable = new Set(usableOf(endpoints, health));
  return endpoints.map((endpoint, i) => {
    const turn = hash === null ? (usable.has(i) ? 'may' : '') : i === next ? 'next' : '';
    return { ...endpoint, turn, load: from.load(cluster, endpoint) };
  });
}

/** Request line, Host, and the other fields that filters write or take away. */
function sentLines(rule: readonly Filter[], backend: readonly Filter[], taken: Taken): string[] {
  const { mem, head, prefixLength, free } = taken;
  const edits = compileEdits(rule, backend);
  const end = putRequestLine(mem, free, head, prefixLength, edits === null ? null : edits.path);
  const lines = [textOf(mem, free, end).trimEnd()];
  const host = `Host: ${textOf(mem, head.authorityStart, head.authorityEnd)}`;
  if (edits === null) return [...lines, host];
  // Fields are marked on a copy of the table: other backends have other filters.
  const copy = new Head();
  copy.rebase(head, 0);
  edits.applyRequest(mem, copy);
  // A template's UUID: text of its length that says what it is.
  const uuid = end;
  mem.set(bytesOf('{{uuid}}'.padEnd(36)), uuid);
  const from = uuid + 36;
  const added = textOf(mem, from, edits.putRequestLines(mem, from, uuid))
    .split('\r\n')
    .slice(0, -1);
  const removed: string[] = [];
  for (let k = 0; k < copy.count; k++) {
    if (!copy.dropped(k) || head.dropped(k) || copy.name(k) === NAME.HOST) continue;
    removed.push(`without ${textOf(mem, copy.nameStart(k), copy.nameEnd(k))}`);
  }
  return [...lines, ...(edits.hostname === null ? [host] : []), ...added, ...removed];
}

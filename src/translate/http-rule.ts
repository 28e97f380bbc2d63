// One rule of an HTTPRoute or GRPCRoute: matches, filters, timeouts and where it sends (apis/v1 HTTPRouteRule,
// GRPCRouteRule). What a GRPCRoute does not have its schema refuses.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { type Fields, fields, isFields } from '../base/fields.ts';
import type {
  Action,
  Attachment,
  ClusterEntry,
  Filter,
  Match,
  Redirect,
  RuleEntry,
  WeightedBackend,
} from '../ir/ir.ts';
import { ruleKey } from '../ir/keys.ts';
import type { BackendFault } from './backend.ts';
import { resolveBackend } from './backend.ts';
import { createdOf, type TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { extensionOf } from './extension-filter.ts';
import { type Authorizer, failsOpen } from './external-auth.ts';
import type { FilterReports, Filters, Mirror } from './http-filter.ts';
import { filtersOf } from './http-filter.ts';
import type { Report } from './http-match.ts';
import { retryOf, timeoutsOf } from './http-timing.ts';
import { integer, list, shown, text } from './read.ts';
import type { Invalid, RouteRule } from './route.ts';
import { KEEP_SLASHES, mergesSlashes, SLASHES_ANNOTATION } from './slashes.ts';

export interface HttpRule extends RouteRule {
  readonly matches: readonly Match[];
  /** The matches themselves are among what cannot be made: nothing can be routed to the rule. */
  readonly unmatchable: boolean;
}

/** Requests that a rule would have taken, but cannot serve as written, must not slip past it. */
const REFUSE: Action = { type: 'respond', status: 500 };

/** On an HTTPRoute: `on`. */
const GRPC_WEB_ANNOTATION = 'rauta.io/grpc-web';

const WEIGHT_MAX = 1_000_000;

/** What was found wrong with a rule: said as a problem, and the first of it kept for the route's conditions. */
class Findings implements FilterReports {
  invalid: Invalid | null = null;
  unresolved: BackendFault | null = null;
  readonly #problems: Problems;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  readonly unsupported = (at: string, message: string, absent?: ObjectKey): void =>
    this.#refuse(at, 'UnsupportedValue', message, absent);
  readonly incompatible = (at: string, message: string): void => this.#refuse(at, 'IncompatibleFilters', message);
  readonly warning = (at: string, message: string): void => this.#problems.warning(at, message);

  unresolvedAt(at: string, fault: BackendFault): void {
    this.#problems.error(fault.field === '' ? at : `${at}.${fault.field}`, fault.message, fault.absent);
    this.unresolved ??= fault;
  }

  #refuse(at: string, reason: Invalid['reason'], message: string, absent?: ObjectKey): void {
    this.#problems.error(at, message, absent);
    this.invalid ??= { reason, message };
  }
}

/** A kind of route whose rules are those of HTTPRoute, with matches of its own. */
export interface RuleKind {
  readonly kind: 'HTTPRoute' | 'GRPCRoute';
  /** Never empty. What is wrong goes to `report`. */
  readonly matchesOf: (value: unknown, field: string, report: Report) => Match[];
}

export function translateRule(
  { kind, matchesOf }: RuleKind,
  reader: Reader,
  namespace: string,
  value: unknown,
  field: string,
  problems: Problems,
  options: TranslatorOptions,
): HttpRule {
  const spec = fields(value);
  const found = new Findings(problems);
  let unmatchable = false;
  const matches = matchesOf(spec['matches'], `${field}.matches`, (at, message) => {
    unmatchable = true;
    found.unsupported(at, message);
  });
  const prefixOnly = matches.every((match) => match.path.type === 'PathPrefix');
  const own = filtersOf(kind, spec['filters'], `${field}.filters`, found);
  const { redirect, mirrors, prefixField } = own;
  const extended = extensionsOf(reader, namespace, own.extensions, found);
  checkPrefix(prefixField, prefixOnly, found);
  const { backends, clusters, policies } = backendsOf(kind, reader, namespace, spec, field, prefixOnly, found, options);
  if (redirect !== null && backends.length > 0) {
    found.incompatible(`${field}.filters`, 'RequestRedirect excludes backendRefs.');
  }
  if (isFields(spec['sessionPersistence'])) {
    found.warning(`${field}.sessionPersistence`, 'sessionPersistence is not supported and has no effect.');
  }
  const timeouts = timeoutsOf(spec['timeouts'], `${field}.timeouts`, found);
  const retry = retryOf(spec['retry'], `${field}.retry`, found);
  checkAnswer(extended.answer, redirect, backends, field, found);
  const action = actionOf(redirect, extended.answer, backends, `${field}.backendRefs`, found);
  const asked = authorizerWith(kind, reader, namespace, own.authorizer, policies, found, options);
  const filters = [
    ...own.filters,
    ...extended.filters,
    ...asked.filters,
    ...mirrorsOf(kind, reader, namespace, mirrors, clusters, policies, found, options),
  ];
  const name = text(spec['name']) ?? '';
  const { invalid, unresolved } = found;
  const kept: readonly Filter[] = invalid === null ? filters : [];
  return {
    name,
    matches,
    unmatchable,
    invalid,
    unresolved,
    clusters: [...(action.type === 'forward' ? clusters : []), ...(action === REFUSE ? [] : asked.clusters)],
    policies,
    entry: (route: KubeObject, index: number, attachments: readonly Attachment[]): RuleEntry | null =>
      unmatchable
        ? null
        : {
            kind: 'rule',
            key: ruleKey(kind, namespace, route.metadata.name, index),
            routeKind: kind,
            route: `${namespace}/${route.metadata.name}`,
            index,
            name,
            created: createdOf(route),
            attachments,
            matches,
            filters: annotated(kind, route, kept),
            action,
            timeouts,
            retry,
          },
  };
}

/** With what the route's annotations say of them. */
function annotated(kind: RuleKind['kind'], route: KubeObject, filters: readonly Filter[]): readonly Filter[] {
  if (kind !== 'HTTPRoute') return filters;
  const failOpen = failsOpen(route);
  const said = failOpen ? filters.map((one) => (one.type === 'externalAuth' ? { ...one, failOpen } : one)) : filters;
  const keeps = mergesSlashes(route.metadata.annotations?.[SLASHES_ANNOTATION]) === false;
  return [...said, ...(translatesWeb(route) ? [{ type: 'grpcWeb' } as const] : []), ...(keeps ? [KEEP_SLASHES] : [])];
}

/** Calls of gRPC-Web: where the route is one of HTTP, its author says so. A GRPCRoute is for calls of every kind. */
function translatesWeb({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[GRPC_WEB_ANNOTATION] === 'on';
}

function checkAnswer(
  answer: Action | null,
  redirect: Redirect | null,
  backends: readonly WeightedBackend[],
  field: string,
  found: Findings,
): void {
  if (answer === null) return;
  if (redirect !== null) {
    found.incompatible(`${field}.filters`, 'RequestRedirect and a static response exclude each other.');
  }
  if (backends.length > 0) {
    found.warning(`${field}.backendRefs`, 'The static response answers every request: backends get none.');
  }
}

function checkPrefix(field: string | null, prefixOnly: boolean, found: Findings): void {
  if (field === null || prefixOnly) return;
  found.incompatible(field, 'ReplacePrefixMatch needs a rule whose matches are all of type PathPrefix.');
}

function backendsOf(
  kind: RuleKind['kind'],
  reader: Reader,
  namespace: string,
  spec: Fields,
  field: string,
  prefixOnly: boolean,
  found: Findings,
  options: TranslatorOptions,
): {
  backends: readonly WeightedBackend[];
  clusters: ClusterEntry[];
  policies: ObjectKey[];
} {
  const clusters: ClusterEntry[] = [];
  const policies = new Set<ObjectKey>();
  const backends = list(spec['backendRefs']).map((value, i): WeightedBackend => {
    const at = `${field}.backendRefs[${i}]`;
    const ref = fields(value);
    const resolved = resolveBackend(reader, kind, namespace, ref, options);
    const { cluster, label, fault, untrusted } = resolved;
    for (const policy of resolved.policies) policies.add(policy);
    if (untrusted !== null) found.warning(at, `${untrusted} Requests answer 500.`);
    if (fault !== null) found.unresolvedAt(at, fault);
    else if (cluster !== null) clusters.push(cluster);
    const own = filtersOf(kind, ref['filters'], `${at}.filters`, found);
    checkPrefix(own.prefixField, prefixOnly, found);
    if (own.mirrors.length > 0) {
      found.unsupported(`${at}.filters`, 'RequestMirror is not supported on a backendRef; put it on the rule.');
    }
    if (own.filters.some(({ type }) => type === 'cors')) {
      found.unsupported(`${at}.filters`, 'CORS is not supported on a backendRef; put it on the rule.');
    }
    for (const { field: extension } of own.extensions) {
      found.unsupported(extension, 'ExtensionRef is not supported on a backendRef; put it on the rule.');
    }
    if (own.authorizer !== null) {
      found.unsupported(`${at}.filters`, 'ExternalAuth is not supported on a backendRef; put it on the rule.');
    }
    if (own.redirect !== null) found.unsupported(`${at}.filters`, 'RequestRedirect is not supported on a backendRef.');
    const weight = integer(ref['weight'] ?? 1, 0, WEIGHT_MAX);
    if (weight === undefined) found.unsupported(`${at}.weight`, `${shown(ref['weight'])} is not a weight.`);
    return { cluster: cluster?.key ?? null, backend: label, weight: weight ?? 0, filters: own.filters };
  });
  return { backends, clusters, policies: [...policies] };
}

/**
 * Adds the clusters of those that resolve; the others are left away, and told of (HTTPRequestMirrorFilter.BackendRef).
 */
function mirrorsOf(
  kind: RuleKind['kind'],
  reader: Reader,
  namespace: string,
  mirrors: readonly Mirror[],
  clusters: ClusterEntry[],
  policies: ObjectKey[],
  found: Findings,
  options: TranslatorOptions,
): Filter[] {
  return mirrors.flatMap(({ field, backendRef, share, of }): Filter[] => {
    const resolved = resolveBackend(reader, kind, namespace, fields(backendRef), options);
    const { cluster, fault, untrusted } = resolved;
    policies.push(...resolved.policies);
    if (untrusted !== null) found.warning(field, `${untrusted} Nothing is mirrored to it.`);
    if (fault !== null) found.unresolvedAt(field, fault);
    if (cluster === null) return [];
    clusters.push(cluster);
    return [{ type: 'mirror', cluster: cluster.key, share, of }];
  });
}

/**
 * The filter with the server that it names. One that does not resolve is not left away: the rule lets nobody through,
 * and answers 500.
 */
function authorizerWith(
  kind: RuleKind['kind'],
  reader: Reader,
  namespace: string,
  authorizer: Authorizer | null,
  policies: ObjectKey[],
  found: Findings,
  options: TranslatorOptions,
): { readonly filters: readonly Filter[]; readonly clusters: readonly ClusterEntry[] } {
  if (authorizer === null) return { filters: [], clusters: [] };
  const { field, backendRef, filter } = authorizer;
  const http2 = filter.protocol === 'grpc';
  const resolved = resolveBackend(reader, kind, namespace, fields(backendRef), options, { http2 });
  const { cluster, label, fault, untrusted } = resolved;
  policies.push(...resolved.policies);
  if (untrusted !== null) found.warning(field, `${untrusted} Requests answer 500.`);
  if (fault !== null) found.unresolvedAt(field, fault);
  return {
    filters: [{ ...filter, cluster: cluster?.key ?? null, backend: label }],
    clusters: cluster === null ? [] : [cluster],
  };
}

/** Filters of our own; a rule that names one that cannot be used answers 500. */
function extensionsOf(
  reader: Reader,
  namespace: string,
  extensions: Filters['extensions'],
  found: Findings,
): { readonly filters: Filter[]; readonly answer: Action | null } {
  const filters: Filter[] = [];
  let answer: Action | null = null;
  for (const { field, ref } of extensions) {
    const extension = extensionOf(reader, namespace, ref);
    if (extension.type === 'fault')
      found.unsupported(`${field}${extension.field}`, extension.message, extension.absent);
    else if (extension.type === 'filter') filters.push(extension.filter);
    else if (answer === null) answer = extension.action;
    else found.incompatible(field, 'There is a static response already.');
  }
  return { filters, answer };
}

function actionOf(
  redirect: Redirect | null,
  answer: Action | null,
  backends: readonly WeightedBackend[],
  field: string,
  found: Findings,
): Action {
  if (found.invalid !== null) return REFUSE;
  if (redirect !== null) return { type: 'redirect', redirect };
  if (answer !== null) return answer;
  if (backends.some((backend) => backend.weight > 0)) return { type: 'forward', backends };
  // No backendRefs, or all of weight 0: there is no share for anybody.
  const none = 'No backend has a share of the requests: they answer 500';
  found.warning(field, `${none}. Refer to one, or write weight: 1 where it is 0.`);
  return REFUSE;
}

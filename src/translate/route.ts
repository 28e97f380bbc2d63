// What all kinds of routes have in common: parents, attachments, conditions, counts. What a rule of a kind is, and the
// entry it becomes, is the kind's (http-route.ts).

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { one } from '../base/tight.ts';
import type { Action, Attachment, ClusterEntry, Filter, Key, RelayEntry, RuleEntry } from '../ir/ir.ts';
import { parseKey, ruleVariant } from '../ir/keys.ts';
import type { Parent, ViewOf } from './attachment.ts';
import { attachmentsOf, parentsOf } from './attachment.ts';
import { type BackendFault, isShownGateways, showing } from './backend.ts';
import type { ClientCertificate } from './client-certificate.ts';
import type { Condition, Fault, Status } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { createdOf, generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { type Claim, listenerId, type Rival, type Rivals } from './rivals.ts';
import { warnOfHostnames } from './route-warnings.ts';

/** One rule as far as every kind has it. */
export interface RouteRule {
  readonly name: string;
  /** Why the rule cannot be made as it is written; null when it can. */
  readonly invalid: Invalid | null;
  /** The first backendRef that does not resolve. */
  readonly unresolved: BackendFault | null;
  /** Where it sends to. */
  readonly clusters: readonly ClusterEntry[];
  /** BackendTLSPolicies that are for the backends it names. */
  readonly policies: readonly ObjectKey[];
  /** Null when nothing can be routed to it: its matches themselves are wrong. */
  entry(route: KubeObject, index: number, attachments: readonly Attachment[]): RuleEntry | RelayEntry | null;
  /** The same for listeners that pass TLS through, where it is another there. */
  readonly through?: RouteRule | undefined;
}

export interface Invalid {
  readonly reason: 'UnsupportedValue' | 'IncompatibleFilters';
  readonly message: string;
}

export interface RouteKind {
  /** Of its kind and the other of the two one alone may have a hostname of a listener; null: it has no rivals. */
  readonly rivals: keyof Rivals | null;
  /** Empty: any. Null: hostnames were given and none is valid, so that nothing may match. */
  hostnames(route: KubeObject, problems: Problems): readonly string[] | null;
  rules(reader: Reader, route: KubeObject, problems: Problems, options: TranslatorOptions): readonly RouteRule[];
}

/** What a route, or whatever else becomes rules, comes to. */
export interface RouteResult {
  readonly entries: readonly (RuleEntry | RelayEntry)[];
  /** Null when no parent is ours. */
  readonly status: Status | null;
  readonly problems: Problems;
  /** Listeners, as key of their Gateway or ListenerSet and name, that count the route as attached. */
  readonly attached: readonly { readonly owner: ObjectKey; readonly listener: string }[];
  /** What it asks for where it has rivals, whether or not it gets it. */
  readonly claims: readonly Claim[];
  /** Clusters that its rules send to. */
  readonly clusters: readonly ClusterEntry[];
  /** Keys of Gateways that it is attached to, and of the BackendTLSPolicies that are for its backends. */
  readonly gateways: readonly ObjectKey[];
  readonly policies: readonly ObjectKey[];
}

/** By listener, who has what the route asks for there; null: nobody. */
export type RivalAt = (listener: string) => Rival | null;

export function translateRoute(
  kind: RouteKind,
  reader: Reader,
  viewOf: ViewOf,
  rivalAt: RivalAt,
  object: KubeObject,
  options: TranslatorOptions,
): RouteResult {
  const problems = new Problems(keyOf(object));
  const hostnames = kind.hostnames(object, problems);
  const asked = parentsOf(reader, viewOf, object, hostnames, problems, options.fromFiles === true);
  if (asked.length === 0) {
    return { entries: [], status: null, problems, attached: [], claims: [], clusters: [], gateways: [], policies: [] };
  }
  const rules = kind.rules(reader, object, problems, options);
  const verdict = judge(rules);
  const parents = kind.rivals === null ? asked : asked.map((parent) => withoutLost(parent, rivalAt, problems));
  const accepted = parents.filter((parent) => parent.refused === null);
  warnOfHostnames(object, accepted, problems);
  const { entries, clusters } = entriesOf(rules, object, accepted);
  return {
    entries,
    // Of ten thousand routes most are in the same state.
    status: one({
      parents: parents.map((parent) => ({
        parentRef: parent.ref,
        controllerName: options.controllerName,
        conditions: conditionsOf(parent, verdict, generationOf(object)),
      })),
    }),
    problems,
    attached: verdict.refused === null ? attachedListeners(accepted) : [],
    claims: kind.rivals === null || verdict.refused !== null ? [] : claimsOf(kind.rivals, object, asked),
    clusters,
    gateways: [...new Set(accepted.map(({ gateway }) => gateway.gateway))],
    policies: [...new Set(rules.flatMap(({ policies }) => policies))],
  };
}

/**
 * Of each rule one entry; several where Gateways show backends different certificates (or cannot show theirs), each for
 * what comes by one of them.
 */
function entriesOf(
  rules: readonly RouteRule[],
  route: KubeObject,
  accepted: readonly Parent[],
): { readonly entries: readonly (RuleEntry | RelayEntry)[]; readonly clusters: readonly ClusterEntry[] } {
  const entries: (RuleEntry | RelayEntry)[] = [];
  const clusters = new Map<string, ClusterEntry>();
  const whole = attachmentsOf(accepted);
  const shares = sharesOf(accepted);
  for (const [index, rule] of rules.entries()) {
    if (rule.through !== undefined) {
      const [ending, passing] = [onlyPassing(accepted, false), onlyPassing(accepted, true)];
      const here = entriesOf([{ ...rule, through: undefined }], route, ending);
      const there = entriesOf([rule.through], route, passing);
      entries.push(
        ...here.entries,
        ...there.entries.map((entry) => ({ ...entry, key: ruleVariant(entry.key, THROUGH) })),
      );
      for (const cluster of [...here.clusters, ...there.clusters]) clusters.set(cluster.key, cluster);
      continue;
    }
    const secured = rule.clusters.some(isShownGateways);
    for (const { certificate, parents } of secured ? shares : []) {
      const entry = rule.entry(route, index, attachmentsOf(parents));
      if (entry === null || entry.attachments.length === 0) continue;
      const one = secure(entry, rule.clusters, certificate);
      entries.push(one.entry);
      for (const cluster of one.clusters) clusters.set(cluster.key, cluster);
    }
    const entry = secured || whole.length === 0 ? null : rule.entry(route, index, whole);
    if (entry === null) continue;
    entries.push(entry);
    for (const cluster of rule.clusters) clusters.set(cluster.key, cluster);
  }
  return { entries: entries.slice(), clusters: [...clusters.values()] };
}

/** Names the entry of a rule for listeners that pass TLS through; no Secret is called so. */
const THROUGH = 'through';

/** Parents with those of their listeners alone that pass TLS through, or that do not. */
function onlyPassing(parents: readonly Parent[], passing: boolean): Parent[] {
  return parents.map((parent) => ({
    ...parent,
    listeners: parent.listeners.filter(({ listener }) => listener.passthrough === passing),
  }));
}

interface Share {
  readonly certificate: ClientCertificate;
  readonly parents: Parent[];
}

/** Parents by what their Gateways show to backends. */
function sharesOf(accepted: readonly Parent[]): readonly Share[] {
  const shares = new Map<string, Share>();
  for (const parent of accepted) {
    const { clientCertificate: certificate } = parent.gateway;
    const name = variantOf(certificate);
    const share = shares.get(name);
    if (share === undefined) shares.set(name, { certificate, parents: [parent] });
    else share.parents.push(parent);
  }
  return [...shares.values()];
}

/** Names an entry of a rule that becomes several: no two of one rule are called the same. */
function variantOf({ key, fault }: ClientCertificate): string {
  if (fault !== null) return 'none';
  const parsed = key === null ? null : parseKey(key);
  return parsed?.kind === 'certificate' ? `${parsed.namespace}:${parsed.name}` : '';
}

/** The entry with `certificate` shown to those of its backends that speak TLS. */
function secure(
  entry: RuleEntry | RelayEntry,
  clusters: readonly ClusterEntry[],
  certificate: ClientCertificate,
): { readonly entry: RuleEntry | RelayEntry; readonly clusters: readonly ClusterEntry[] } {
  const variant = variantOf(certificate);
  const { key, fault } = certificate;
  if (variant === '') return { entry, clusters };
  const used: ClusterEntry[] = [];
  const renamed = new Map<Key, Key | null>();
  for (const cluster of clusters) {
    // Who is to say who it is and cannot is not let go on as nobody.
    const other = !isShownGateways(cluster) ? cluster : fault !== null || key === null ? null : showing(cluster, key);
    renamed.set(cluster.key, other?.key ?? null);
    if (other !== null) used.push(other);
  }
  const to = (cluster: Key | null): Key | null => (cluster === null ? null : (renamed.get(cluster) ?? null));
  const name = ruleVariant(entry.key, variant);
  if (entry.kind === 'relay') {
    const backends = entry.backends.map((one) => ({ ...one, cluster: to(one.cluster) }));
    return { entry: { ...entry, key: name, backends }, clusters: used };
  }
  const { action } = entry;
  const sent: Action =
    action.type === 'forward'
      ? { ...action, backends: action.backends.map((one) => ({ ...one, cluster: to(one.cluster) })) }
      : action;
  const filters = entry.filters.flatMap((filter): Filter[] => {
    // Who has to be asked and cannot be lets nobody through.
    if (filter.type === 'externalAuth') return [{ ...filter, cluster: to(filter.cluster) }];
    if (filter.type !== 'mirror') return [filter];
    const cluster = to(filter.cluster);
    return cluster === null ? [] : [{ ...filter, cluster }];
  });
  return { entry: { ...entry, key: name, action: sent, filters }, clusters: used };
}

interface Verdict {
  /** Every rule is invalid. */
  readonly refused: Fault | null;
  /** Some are: the message begins as the API demands. */
  readonly partial: string | null;
  readonly unresolved: BackendFault | null;
}

/**
 * A route with a valid rule is Accepted, and PartiallyInvalid when another is not (apis/v1
 * RouteConditionPartiallyInvalid, approach "Drop Rule(s)"). What an invalid rule matches is answered with 500, unless
 * the match itself is what is wrong.
 */
function judge(rules: readonly RouteRule[]): Verdict {
  const invalid: string[] = [];
  let first: Invalid | null = null;
  let unresolved: BackendFault | null = null;
  for (const [i, rule] of rules.entries()) {
    unresolved ??= rule.unresolved;
    if (rule.invalid === null) continue;
    first ??= rule.invalid;
    invalid.push(`Rule ${rule.name === '' ? i : `${i} (${rule.name})`}: ${rule.invalid.message}`);
  }
  if (first === null) return { refused: null, partial: null, unresolved };
  if (invalid.length < rules.length) return { refused: null, partial: `Dropped ${invalid.join(' ')}`, unresolved };
  const name = first.reason === 'UnsupportedValue' ? 'routeValue' : 'routeFilters';
  return { refused: { name, message: invalid.join(' ') }, partial: null, unresolved };
}

function conditionsOf(parent: Parent, verdict: Verdict, generation: number): Condition[] {
  const refused = parent.refused ?? verdict.refused;
  const conditions = [
    refused === null
      ? condition('routeAccepted', generation, unserved(parent))
      : condition(refused.name, generation, refused.message),
    verdict.unresolved === null
      ? condition('routeResolved', generation)
      : condition(verdict.unresolved.name, generation, verdict.unresolved.message),
  ];
  if (refused === null && verdict.partial !== null) {
    conditions.push(condition('routePartial', generation, verdict.partial));
  }
  return conditions;
}

/**
 * Attachment rests on allowedRoutes and parentRefs alone, whatever becomes of the listener (ListenerStatus
 * AttachedRoutes): such a route is Accepted and counted. That nothing of it is served is told by the Gateway, once, and
 * in the words of the condition; undefined where something is.
 */
function unserved({ gateway, listeners }: Parent): string | undefined {
  if (listeners.some(({ listener }) => listener.sockets.length > 0)) return undefined;
  const names = listeners.map(({ listener }) => listener.name).join(', ');
  return `The route is attached, but ${gateway.kind} ${gateway.name} serves nothing at ${names}: see its conditions.`;
}

/** Each listener once, however many parentRefs lead to it. */
function attachedListeners(parents: readonly Parent[]): { owner: ObjectKey; listener: string }[] {
  const found = new Map<string, { owner: ObjectKey; listener: string }>();
  for (const parent of parents) {
    for (const { listener } of parent.listeners) {
      found.set(`${parent.gateway.key}#${listener.name}`, { owner: parent.gateway.key, listener: listener.name });
    }
  }
  return [...found.values()];
}

/** Each listener once, with the hostnames that the route has there by itself. */
function claimsOf(kind: keyof Rivals, route: KubeObject, parents: readonly Parent[]): Claim[] {
  const name = `${route.metadata.namespace ?? ''}/${route.metadata.name}`;
  const created = createdOf(route);
  const found = new Map<string, Claim>();
  for (const { gateway, listeners } of parents) {
    for (const { listener, hostnames } of listeners) {
      const at = listenerId(gateway.key, listener.name);
      found.set(at, { kind, at, name, created, hostnames });
    }
  }
  return [...found.values()];
}

/** The parent without the listeners whose hostnames a route of the other kind has; refused when none is left. */
function withoutLost(parent: Parent, rivalAt: RivalAt, problems: Problems): Parent {
  const { gateway, field } = parent;
  const lost = parent.listeners.flatMap(({ listener }) => {
    const rival = rivalAt(listenerId(gateway.key, listener.name));
    return rival === null ? [] : [{ listener, rival }];
  });
  const [first] = lost;
  if (first === undefined) return parent;
  const { kind: other, name, older, hostname } = first.rival;
  const message =
    `Listener ${first.listener.name} of ${gateway.kind} ${gateway.name} has ${other} ${name} for ${hostname}, which ` +
    `${older ? 'is older' : 'comes first by name'}: under one hostname it takes HTTPRoutes or GRPCRoutes, not both. ` +
    'Give one of the two other hostnames, or a listener of its own.';
  const listeners = parent.listeners.filter(({ listener }) => !lost.some((one) => one.listener === listener));
  if (listeners.length > 0) {
    problems.warning(field, message);
    return { ...parent, listeners };
  }
  problems.error(field, message);
  return { ...parent, listeners, refused: { name: 'routeHostnameTaken', message } };
}

// What all kinds of routes have in common: parents, attachments, conditions, counts. What a rule of a kind is, and the
// entry it becomes, is the kind's (http-route.ts).

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { one } from '../base/tight.ts';
import type { Attachment, ClusterEntry, RuleEntry } from '../ir/ir.ts';
import type { Parent, ViewOf } from './attachment.ts';
import { attachmentsOf, parentsOf } from './attachment.ts';
import type { BackendFault } from './backend.ts';
import type { Condition, Fault, Status } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';

/** One rule as far as every kind has it. */
export interface RouteRule {
  readonly name: string;
  /** Why the rule cannot be made as it is written; null when it can. */
  readonly invalid: Invalid | null;
  /** The first backendRef that does not resolve. */
  readonly unresolved: BackendFault | null;
  /** Where it sends to. */
  readonly clusters: readonly ClusterEntry[];
  /** Null when nothing can be routed to it: its matches themselves are wrong. */
  entry(route: KubeObject, index: number, attachments: readonly Attachment[]): RuleEntry | null;
}

export interface Invalid {
  readonly reason: 'UnsupportedValue' | 'IncompatibleFilters';
  readonly message: string;
}

export interface RouteKind {
  /** Empty: any. Null: hostnames were given and none is valid, so that nothing may match. */
  hostnames(route: KubeObject, problems: Problems): readonly string[] | null;
  rules(reader: Reader, route: KubeObject, problems: Problems): readonly RouteRule[];
}

/** What a route, or whatever else becomes rules, comes to. */
export interface RouteResult {
  readonly entries: readonly RuleEntry[];
  /** Null when no parent is ours. */
  readonly status: Status | null;
  readonly problems: Problems;
  /** Listeners, as `gateway key` and name, that count the route as attached. */
  readonly attached: readonly { readonly gateway: ObjectKey; readonly listener: string }[];
  /** Clusters that its rules send to. */
  readonly clusters: readonly ClusterEntry[];
}

export function translateRoute(
  kind: RouteKind,
  reader: Reader,
  viewOf: ViewOf,
  object: KubeObject,
  options: TranslatorOptions,
): RouteResult {
  const problems = new Problems(keyOf(object));
  const parents = parentsOf(reader, viewOf, object, kind.hostnames(object, problems), problems);
  if (parents.length === 0) return { entries: [], status: null, problems, attached: [], clusters: [] };
  const rules = kind.rules(reader, object, problems);
  const verdict = judge(rules);
  const accepted = parents.filter((parent) => parent.refused === null);
  const attachments = attachmentsOf(accepted);
  const entries: RuleEntry[] = [];
  const clusters = new Map<string, ClusterEntry>();
  if (attachments.length > 0) {
    for (const [index, rule] of rules.entries()) {
      const entry = rule.entry(object, index, attachments);
      if (entry === null) continue;
      entries.push(entry);
      for (const cluster of rule.clusters) clusters.set(cluster.key, cluster);
    }
  }
  return {
    entries: entries.slice(),
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
    clusters: [...clusters.values()],
  };
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
    refused === null ? condition('routeAccepted', generation) : condition(refused.name, generation, refused.message),
    verdict.unresolved === null
      ? condition('routeResolved', generation)
      : condition(verdict.unresolved.name, generation, verdict.unresolved.message),
  ];
  if (refused === null && verdict.partial !== null) {
    conditions.push(condition('routePartial', generation, verdict.partial));
  }
  return conditions;
}

/** Each listener once, however many parentRefs lead to it. */
function attachedListeners(parents: readonly Parent[]): { gateway: ObjectKey; listener: string }[] {
  const found = new Map<string, { gateway: ObjectKey; listener: string }>();
  for (const parent of parents) {
    for (const { listener } of parent.listeners) {
      found.set(`${parent.gateway.key}#${listener.name}`, { gateway: parent.gateway.key, listener: listener.name });
    }
  }
  return [...found.values()];
}

// HTTPRoute: its parents, its rules, and the status that follows from both.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import type { ClusterEntry, RuleEntry } from '../ir/ir.ts';
import { ruleKey } from '../ir/keys.ts';
import type { Parent, ViewOf } from './attachment.ts';
import { attachmentsOf, parentsOf } from './attachment.ts';
import type { Condition, RouteStatus } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { createdOf, generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { isHostname } from './hostname.ts';
import type { Rule } from './http-rule.ts';
import { translateRule } from './http-rule.ts';
import { list, shown } from './read.ts';

export interface RouteResult {
  readonly entries: readonly RuleEntry[];
  /** Null when no parent is ours. */
  readonly status: RouteStatus | null;
  readonly problems: Problems;
  /** Listeners, as `gateway key` and name, that count the route as attached. */
  readonly attached: readonly { readonly gateway: ObjectKey; readonly listener: string }[];
  /** Clusters that its rules send to. */
  readonly clusters: readonly ClusterEntry[];
}

export function translateHttpRoute(
  reader: Reader,
  viewOf: ViewOf,
  object: KubeObject,
  options: TranslatorOptions,
): RouteResult {
  const problems = new Problems(keyOf(object));
  const spec = fields(object.spec);
  const namespace = object.metadata.namespace ?? '';
  const parents = parentsOf(reader, viewOf, object, hostnamesOf(spec['hostnames'], problems), problems);
  if (parents.length === 0) return { entries: [], status: null, problems, attached: [], clusters: [] };

  // The API fills in one rule that matches everything when there are none.
  const values = list(spec['rules']).length > 0 ? list(spec['rules']) : [{}];
  const rules = values.map((value, i) =>
    translateRule(reader, object.kind, namespace, value, `spec.rules[${i}]`, problems),
  );
  const verdict = judge(rules);
  warnOfDoubles(rules, problems);

  const accepted = parents.filter((parent) => parent.refused === null);
  const attachments = attachmentsOf(accepted);
  const entries: RuleEntry[] = [];
  const clusters = new Map<string, ClusterEntry>();
  if (attachments.length > 0) {
    for (const [index, rule] of rules.entries()) {
      if (rule.unmatchable) continue;
      for (const cluster of rule.clusters) clusters.set(cluster.key, cluster);
      entries.push({
        kind: 'rule',
        key: ruleKey('HTTPRoute', namespace, object.metadata.name, index),
        routeKind: 'HTTPRoute',
        route: `${namespace}/${object.metadata.name}`,
        index,
        name: rule.name,
        created: createdOf(object),
        attachments,
        matches: rule.matches,
        filters: rule.filters,
        action: rule.action,
        timeouts: rule.timeouts,
        retry: rule.retry,
      });
    }
  }
  return {
    entries,
    status: {
      parents: parents.map((parent) => ({
        parentRef: parent.ref,
        controllerName: options.controllerName,
        conditions: conditionsOf(parent, verdict, generationOf(object)),
      })),
    },
    problems,
    attached: verdict.refused === null ? attachedListeners(accepted) : [],
    clusters: [...clusters.values()],
  };
}

/** Empty: any. Null: hostnames were given and none is valid, so that nothing may match. */
function hostnamesOf(value: unknown, problems: Problems): string[] | null {
  const given = list(value);
  const found: string[] = [];
  for (const [i, item] of given.entries()) {
    const name = typeof item === 'string' ? item.toLowerCase() : '';
    if (isHostname(name)) found.push(name);
    else problems.error(`spec.hostnames[${i}]`, `${shown(item)} is not a hostname.`);
  }
  return given.length > 0 && found.length === 0 ? null : found;
}

/** Of equal matches the first rule in the list has every request (apis/v1 HTTPRouteRule.Matches). */
function warnOfDoubles(rules: readonly Rule[], problems: Problems): void {
  const first = new Map<string, number>();
  for (const [i, rule] of rules.entries()) {
    if (rule.unmatchable) continue;
    for (const [k, match] of rule.matches.entries()) {
      const text = JSON.stringify(match);
      const earlier = first.get(text);
      if (earlier === undefined) first.set(text, i);
      else if (earlier !== i) {
        problems.warning(`spec.rules[${i}].matches[${k}]`, `Rule ${earlier} matches the same and comes first.`);
      }
    }
  }
}

interface Verdict {
  /** Every rule is invalid. */
  readonly refused: { readonly name: 'routeValue' | 'routeFilters'; readonly message: string } | null;
  /** Some are: the message begins as the API demands. */
  readonly partial: string | null;
  readonly unresolved: Rule['unresolved'];
}

/**
 * A route with a valid rule is Accepted, and PartiallyInvalid when another is not (apis/v1 RouteConditionPartiallyInvalid,
 * approach "Drop Rule(s)"). What an invalid rule matches is answered with 500, unless the match itself is what is wrong.
 */
function judge(rules: readonly Rule[]): Verdict {
  const invalid: string[] = [];
  let first: Rule['invalid'] = null;
  let unresolved: Rule['unresolved'] = null;
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

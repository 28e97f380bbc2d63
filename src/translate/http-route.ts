// HTTPRoute and GRPCRoute: hostnames and rules (apis/v1 HTTPRouteSpec, GRPCRouteSpec).

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { checkFailure } from './external-auth.ts';
import { grpcMatchesOf } from './grpc-match.ts';
import { isHostname } from './hostname.ts';
import { matchesOf } from './http-match.ts';
import { type HttpRule, type RuleKind, translateRule } from './http-rule.ts';
import { list, shown } from './read.ts';
import type { RouteKind } from './route.ts';
import { warnOfConditions } from './route-warnings.ts';

export const HTTP_ROUTE: RouteKind = routeKind({ kind: 'HTTPRoute', matchesOf });
export const GRPC_ROUTE: RouteKind = routeKind({ kind: 'GRPCRoute', matchesOf: grpcMatchesOf });

function routeKind(kind: RuleKind): RouteKind {
  return {
    rivals: kind.kind,
    hostnames: hostnamesOf,

    rules(reader: Reader, route: KubeObject, problems: Problems, options: TranslatorOptions): readonly HttpRule[] {
      const given = list(fields(route.spec)['rules']);
      const namespace = route.metadata.namespace ?? '';
      checkFailure(route, problems);
      // The API fills in one rule that matches everything when there are none.
      const rules = (given.length > 0 ? given : [{}]).map((value, i) =>
        translateRule(kind, reader, namespace, value, `spec.rules[${i}]`, problems, options),
      );
      warnOfDoubles(rules, problems);
      warnOfConditions(route, problems);
      return rules;
    },
  };
}

/** spec.hostnames; null when some are given and none is one. */
export function hostnamesOf(route: KubeObject, problems: Problems): readonly string[] | null {
  const given = list(fields(route.spec)['hostnames']);
  const found: string[] = [];
  for (const [i, item] of given.entries()) {
    const name = typeof item === 'string' ? item.toLowerCase() : '';
    if (isHostname(name)) found.push(name);
    else problems.error(`spec.hostnames[${i}]`, `${shown(item)} is not a hostname.`);
  }
  return given.length > 0 && found.length === 0 ? null : found;
}

/** Of equal matches the first rule in the list has every request (apis/v1 HTTPRouteRule.Matches). */
function warnOfDoubles(rules: readonly HttpRule[], problems: Problems): void {
  const first = new Map<string, { readonly rule: number; readonly match: number }>();
  for (const [i, rule] of rules.entries()) {
    if (rule.unmatchable) continue;
    for (const [k, match] of rule.matches.entries()) {
      const text = JSON.stringify(match);
      const earlier = first.get(text);
      if (earlier === undefined) {
        first.set(text, { rule: i, match: k });
        continue;
      }
      const [who, how] =
        earlier.rule === i
          ? [`matches[${earlier.match}]`, 'leave it out']
          : [`Rule ${earlier.rule}`, 'it never counts'];
      problems.warning(`spec.rules[${i}].matches[${k}]`, `${who} matches the same and comes first: ${how}.`);
    }
  }
}

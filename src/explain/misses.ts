// Why no rule took a request: the rules that came nearest, and what keeps routes out of which nothing is known here.

import { type KubeObject, keyOf } from '../api/object.ts';
import { objectText, type Problem } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { Key, RelayEntry, RuleEntry, SocketHost } from '../ir/ir.ts';
import type { Status } from '../translate/conditions.ts';
import type { KeptOut, Miss } from './explanation.ts';
import { type Matching, matchText, ruleText } from './matching.ts';

interface Ranked extends Miss {
  readonly rank: number;
}

/** Of rules at `socket`, the nearest misses, the nearest first. `host`: the listener that took the request, if one. */
export function nearestMisses(
  rules: Iterable<RuleEntry>,
  socket: Key,
  host: SocketHost | null,
  matching: Matching,
): Miss[] {
  const found: Ranked[] = [];
  let seen = 0;
  for (const rule of rules) {
    if (seen++ >= LIMITS.EXPLAIN_RULES) break;
    const elsewhere = hostMiss(rule, socket, host, matching);
    for (const match of rule.matches) {
      const path = matching.path(match.path) ? [] : ['the path is another'];
      const others = matching.others(match);
      const why = [...elsewhere, ...path, ...others];
      if (why.length === 0) continue;
      // A host or path that holds says more than a header that does.
      const rank = elsewhere.length * 4 + path.length * 3 + others.length;
      found.push({ rule: ruleText(rule), match: matchText(match), why, rank });
    }
    found.sort((a, b) => a.rank - b.rank);
    found.length = Math.min(found.length, LIMITS.EXPLAIN_MISSES);
  }
  return found.map(({ rule, match, why }) => ({ rule, match, why }));
}

/** Why the request's host does not lead to the rule; nothing when it does. */
function hostMiss(rule: RuleEntry, socket: Key, host: SocketHost | null, matching: Matching): string[] {
  const here = rule.attachments.filter((attachment) => attachment.socket === socket);
  const covering = here.filter(({ hostnames }) => matching.host(hostnames));
  if (covering.length === 0) {
    const names = [...new Set(here.flatMap(({ hostnames }) => hostnames))];
    return [`the host is none of ${listed(names)}`];
  }
  if (host === null || covering.some((attachment) => attachment.host === host.hostname)) return [];
  const others = covering.map((attachment) => attachment.host);
  return [`it is attached to the listener for ${listed(others)}, but that for ${host.hostname} takes the host`];
}

export function listed(names: readonly string[]): string {
  const more = names.length - LIMITS.NAMES_LISTED;
  return names.slice(0, LIMITS.NAMES_LISTED).join(', ') + (more > 0 ? ` (and ${more} more)` : '');
}

/** Objects with what is written of them. */
export type Written = Iterable<{ readonly object: KubeObject; readonly status: Status | undefined }>;

const ROUTE = /^(HTTP|GRPC|TLS|TCP|UDP)Route$/;

/** Routes of which one of these conditions is false; those of hostnames only where `isFor` says they are meant. */
export function keptOut(
  written: Written,
  isFor: (hostnames: readonly string[]) => boolean,
  types: readonly string[],
): KeptOut[] {
  const found: KeptOut[] = [];
  for (const { object, status } of written) {
    if (found.length >= LIMITS.EXPLAIN_MISSES) break;
    if (!ROUTE.test(object.kind) || status === undefined || !('parents' in status)) continue;
    const hostnames = hostnamesOf(object);
    if (hostnames.length > 0 && !isFor(hostnames)) continue;
    for (const { parentRef, conditions } of status.parents) {
      for (const { type, status: value, reason, message } of conditions) {
        if (value !== 'False' || !types.includes(type)) continue;
        const parent = `${parentRef.kind} ${parentRef.name}${parentRef.sectionName === undefined ? '' : `/${parentRef.sectionName}`}`;
        found.push({
          object: objectText(keyOf(object)),
          why: `at ${parent}: ${type} is False (${reason}): ${message}`,
        });
      }
    }
  }
  return found;
}

/** What statuses, and complaints, say is wrong with one route. */
export function wrongWith(
  { routeKind, route }: Pick<RuleEntry | RelayEntry, 'routeKind' | 'route'>,
  written: Written,
  problems: readonly Problem[],
): KeptOut[] {
  const [namespace, name] = route.split('/');
  const own = [...written].filter(
    ({ object: { kind, metadata } }) =>
      kind === routeKind && metadata.namespace === namespace && metadata.name === name,
  );
  const object = `${routeKind} ${route}`;
  const conditions = keptOut(own, () => true, ['Accepted', 'ResolvedRefs']);
  const others = problems
    .filter(({ message, place }) => place.object === `${routeKind}/${route}` && !isSaid(conditions, message))
    .slice(0, LIMITS.EXPLAIN_MISSES)
    .map(({ message, place: { field } }) => ({ object, why: field === undefined ? message : `${field}: ${message}` }));
  return [...conditions, ...others];
}

export function isSaid(told: readonly KeptOut[], message: string): boolean {
  return told.some(({ why }) => why.includes(message));
}

function hostnamesOf({ spec }: KubeObject): string[] {
  const { hostnames } = fields(spec);
  return Array.isArray(hostnames) ? hostnames.filter((name) => typeof name === 'string') : [];
}

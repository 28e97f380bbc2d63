// What is right in a route and yet serves nothing: hostnames that no listener of it is for, conditions that no request
// fulfils.

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { Parent } from './attachment.ts';
import { intersect } from './hostname.ts';
import { list, text } from './read.ts';

/** `accepted`: parents that the route is attached to. Where there are none something else is said. */
export function warnOfHostnames(route: KubeObject, accepted: readonly Parent[], problems: Problems): void {
  const given = list(fields(route.spec)['hostnames']);
  const listeners = accepted.flatMap((parent) => parent.listeners.map(({ listener }) => listener));
  if (given.length < 2 || listeners.length === 0) return;
  for (const [i, item] of given.entries()) {
    const hostname = text(item)?.toLowerCase();
    if (hostname === undefined || listeners.some((listener) => intersect(listener.hostname, hostname) !== null))
      continue;
    const theirs = [...new Set(listeners.map(({ name, hostname: own }) => `${name} ${own}`))];
    const names = theirs.slice(0, LIMITS.NAMES_LISTED).join(', ');
    const message = `No listener that the route is attached to is for it (${names}): requests for it answer 404.`;
    problems.warning(`spec.hostnames[${i}]`, message);
  }
}

/** Of an HTTPRoute or GRPCRoute. */
export function warnOfConditions(route: KubeObject, problems: Problems): void {
  for (const [i, rule] of list(fields(route.spec)['rules']).entries()) {
    for (const [k, item] of list(fields(rule)['matches']).entries()) {
      const { headers, queryParams, method } = fields(item);
      const at = `spec.rules[${i}].matches[${k}]`;
      warnOfRepeated(headers, `${at}.headers`, true, problems);
      warnOfRepeated(queryParams, `${at}.queryParams`, false, problems);
      // RFC 9110 section 9.3.6: it asks for a tunnel.
      if (method === 'CONNECT') problems.warning(`${at}.method`, 'It never matches: CONNECT is answered 404.');
    }
  }
}

/** Of several conditions on one name the first counts (apis/v1 HTTPHeaderMatch.Name, HTTPQueryParamMatch.Name). */
function warnOfRepeated(values: unknown, at: string, anyCase: boolean, problems: Problems): void {
  const given = list(values);
  if (given.length < 2) return;
  const seen = new Set<string>();
  for (const [i, item] of given.entries()) {
    const name = text(fields(item)['name']) ?? '';
    const key = anyCase ? name.toLowerCase() : name;
    if (seen.has(key)) problems.warning(`${at}[${i}]`, `It has no effect: of conditions on ${name} the first counts.`);
    seen.add(key);
  }
}

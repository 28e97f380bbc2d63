// ReferenceGrants that permit nothing: what they name is not there, nobody may refer to it so, or, where all there is
// is in files, nobody does.

import type { KubeObject } from '../api/object.ts';
import { keyOf } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import type { TranslatorOptions } from './context.ts';
import { GATEWAY_GROUP, INGRESS_GROUP, RAUTA_GROUP, X_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { anyText, list, shown, text } from './read.ts';

const ROUTES: ReadonlySet<string> = new Set(['HTTPRoute', 'GRPCRoute', 'TCPRoute', 'TLSRoute', 'UDPRoute']);
const BACKENDS: ReadonlySet<string> = new Set(['/Service', `${RAUTA_GROUP}/Backend`, `${X_GROUP}/XBackend`]);
const CERTIFICATES: ReadonlySet<string> = new Set(['/Secret', '/ConfigMap']);
const SERVICES: ReadonlySet<string> = new Set(['/Service']);
const SECRETS: ReadonlySet<string> = new Set(['/Secret']);

/** What objects of that kind refer to in other namespaces; null of a kind that is somebody else's. */
function referredBy(group: string, kind: string): ReadonlySet<string> | null {
  if (group === X_GROUP && kind === 'XBackend') return SECRETS;
  if (group === INGRESS_GROUP && kind === 'Ingress') return SERVICES;
  if (group !== GATEWAY_GROUP) return null;
  if (ROUTES.has(kind)) return BACKENDS;
  return kind === 'Gateway' || kind === 'ListenerSet' ? CERTIFICATES : null;
}

/** `used`: something that is served here needs it. */
export function grantProblems(reader: Reader, grant: KubeObject, used: boolean, options: TranslatorOptions): Problems {
  const problems = new Problems(keyOf(grant));
  const namespace = grant.metadata.namespace ?? '';
  const spec = fields(grant.spec);
  const froms = list(spec['from']).map((item) => fields(item));
  const sorts = froms.map((from) => referredBy(anyText(from['group']) ?? '', text(from['kind']) ?? ''));
  for (const [i, from] of froms.entries())
    if (sorts[i] !== null && from['namespace'] === namespace)
      problems.warning(`spec.from[${i}].namespace`, 'It permits nothing: within a namespace no grant is needed.');
  // Of other implementations' kinds nothing is known here.
  const known = sorts.every((sort) => sort !== null);
  for (const [i, item] of list(spec['to']).entries()) {
    const to = fields(item);
    const [group, kind, name] = [anyText(to['group']) ?? '', text(to['kind']) ?? '', text(to['name'])];
    const at = `spec.to[${i}]`;
    if (known && !sorts.some((sort) => sort?.has(`${group}/${kind}`))) {
      const kinds = [...new Set(froms.map((from) => `${text(from['kind']) ?? '?'}s`))].join(' and ');
      // A Backend is of a group of its own, a Service of none.
      const theirs = sorts.flatMap((sort) => [...(sort ?? [])]).find((one) => one.endsWith(`/${kind}`));
      const right = theirs?.slice(0, -1 - kind.length);
      const how = right === undefined ? '' : `: write group: ${right === '' ? '""' : right}`;
      problems.warning(
        `${at}.kind`,
        `It permits nothing: ${kinds} refer to no ${kind}${theirs === undefined ? '' : ` of group ${shown(group)}`}${how}.`,
      );
    } else if (name !== undefined && isMissing(reader, group, kind, namespace, name, options)) {
      problems.warning(`${at}.name`, `It permits nothing: ${kind} ${namespace}/${name} does not exist.`);
    }
  }
  if (options.fromFiles === true && known && !used && problems.found.length === 0)
    problems.idle('spec', 'Nothing refers to what it permits: it has no effect.');
  return problems;
}

/** Secrets and the like of a cluster are not fetched for being named here. */
function isMissing(
  reader: Reader,
  group: string,
  kind: string,
  namespace: string,
  name: string,
  { fromFiles }: TranslatorOptions,
): boolean {
  const sort = `${group}/${kind}`;
  const seen = sort === '/Service' || (fromFiles === true && (BACKENDS.has(sort) || CERTIFICATES.has(sort)));
  return seen && reader.get(kind, namespace, name) === undefined;
}

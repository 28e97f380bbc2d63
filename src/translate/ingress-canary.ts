// Canaries (annotation canary of ingress-nginx): an Ingress that takes a share of what another one of its namespace has
// at the same host and path. Its rules are the other one's, with a second backend; by itself it serves nothing.

import type { KubeObject } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import type { Match, ValueMatch } from '../ir/ir.ts';
import { createdOf, olderFirst, type TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { checkExpression, isToken } from './http-match.ts';
import { claimIngress } from './ingress-class.ts';
import { NGINX } from './ingress-nginx.ts';
import { Annotations } from './ingress-read.ts';
import { list, shown, text } from './read.ts';

/** Who comes to it, the first that says anything: a field, a cookie, a share of the rest. */
export interface CanaryTerms {
  readonly header: ValueMatch | null;
  /** The field says always or never; null: it does not. */
  readonly headerSays: string | null;
  readonly cookie: string | null;
  readonly weight: number;
  readonly total: number;
}

/** A path that a canary has a share of. */
export interface CanaryPath {
  /** Lower case; '' for any. */
  readonly host: string;
  /** As `placeOf` writes it. */
  readonly place: string;
  /** IngressBackend as it stands, and where. */
  readonly backend: unknown;
  readonly field: string;
}

export interface Canary {
  /** `namespace/name`. */
  readonly name: string;
  readonly created: number;
  readonly terms: CanaryTerms;
  readonly paths: readonly CanaryPath[];
}

const TOTAL = 100;
const NAME = {
  weight: `${NGINX}canary-weight`,
  total: `${NGINX}canary-weight-total`,
  header: `${NGINX}canary-by-header`,
  value: `${NGINX}canary-by-header-value`,
  pattern: `${NGINX}canary-by-header-pattern`,
  cookie: `${NGINX}canary-by-cookie`,
} as const;

/** `canary`: it is one; else what stands there has no effect. */
export function canaryTermsOf(read: Annotations, canary = true): CanaryTerms {
  if (!canary) {
    for (const name of Object.values(NAME)) {
      if (read.text(name) !== null)
        read.idle(name, `${name.slice(NGINX.length)} has no effect without canary: "true".`);
    }
    return { header: null, headerSays: null, cookie: null, weight: 0, total: TOTAL };
  }
  const total = numberOf(read, NAME.total, TOTAL, 1);
  const weight = Math.min(numberOf(read, NAME.weight, 0, 0), total);
  const cookie = read.text(NAME.cookie);
  const cookieGood = cookie !== null && isToken(cookie);
  if (cookie !== null && !cookieGood)
    read.wrong(NAME.cookie, `${shown(cookie)} is not the name of a cookie; it has no effect.`);
  const terms = { cookie: cookieGood ? cookie : null, weight, total };
  const name = read.text(NAME.header);
  const [value, pattern] = [read.text(NAME.value), read.text(NAME.pattern)];
  if (name === null || !isToken(name)) {
    if (name !== null) read.wrong(NAME.header, `${shown(name)} is not a field name; it has no effect.`);
    const lost = value === null ? (pattern === null ? null : NAME.pattern) : NAME.value;
    if (lost !== null) read.idle(lost, `It has no effect without canary-by-header, which names the field.`);
    return { ...terms, header: null, headerSays: null };
  }
  const field = name.toLowerCase();
  if (value !== null) return { ...terms, header: { name: field, type: 'Exact', value }, headerSays: null };
  if (pattern === null) return { ...terms, header: null, headerSays: field };
  // As there it may stand anywhere in the value.
  const whole = `(?s:.*(?:${pattern}).*)`;
  let wrong = false;
  checkExpression(
    pattern,
    NAME.pattern,
    (_, message) => {
      wrong = true;
      read.wrong(NAME.pattern, `${message} It has no effect.`);
    },
    whole,
  );
  const header = wrong ? null : ({ name: field, type: 'RegularExpression', value: whole } as const);
  return { ...terms, header, headerSays: null };
}

function numberOf(read: Annotations, name: string, fallback: number, least: number): number {
  const value = read.text(name);
  if (value === null) return fallback;
  if (/^\d{1,7}$/.test(value) && Number(value) >= least) return Number(value);
  read.wrong(name, `${shown(value)} is not a number like "20", in quotes: ${fallback} holds.`);
  return fallback;
}

export function isCanary(object: KubeObject): boolean {
  return new Annotations(object, new Problems(null)).flag(`${NGINX}canary`, false);
}

/** Nothing is said of who comes to it. A weight of 0 is: what shifts shares begins and ends with it. */
export function asksForNothing(read: Annotations, { header, headerSays, cookie }: CanaryTerms): boolean {
  return header === null && headerSays === null && cookie === null && read.text(NAME.weight) === null;
}

/** Those of a host in a namespace that are ours, the oldest first. */
export function canariesOf(reader: Reader, namespace: string, host: unknown, options: TranslatorOptions): Canary[] {
  return reader
    .by('canariesByHost', `${namespace}/${hostOf(host)}`)
    .filter((object) => claimIngress(reader, object, options).ours)
    .map((object) => ({
      name: `${namespace}/${object.metadata.name}`,
      created: createdOf(object),
      terms: canaryTermsOf(new Annotations(object, new Problems(null))),
      paths: pathsOf(object),
    }))
    .sort(olderFirst);
}

/** Tells a canary of its paths that are nobody's, or an older one's. */
export function checkCanary(reader: Reader, object: KubeObject, options: TranslatorOptions, problems: Problems): void {
  const namespace = object.metadata.namespace ?? '';
  const own = `${namespace}/${object.metadata.name}`;
  for (const [host, paths] of Map.groupBy(pathsOf(object), (path) => path.host)) {
    const all = canariesOf(reader, namespace, host, options);
    const before = all.slice(
      0,
      all.findIndex(({ name }) => name === own),
    );
    const mains = new Set(
      reader
        .by('ingressesByHost', host)
        .filter(({ metadata }) => (metadata.namespace ?? '') === namespace)
        .filter(({ metadata }) => !all.some(({ name }) => name === `${namespace}/${metadata.name}`))
        .filter((other) => claimIngress(reader, other, options).ours)
        .flatMap((other) => pathsOf(other).map(({ place }) => place)),
    );
    for (const { place, field } of paths) {
      const older = before.find((other) => other.paths.some((path) => path.place === place));
      const at = field.replace(/\.backend$/, '');
      if (!mains.has(place)) {
        const what = 'No other Ingress of its namespace that is ours has this host, path and pathType';
        problems.error(at, `${what}, and it has a share of such a one alone: it gets no requests here.`);
      } else if (older !== undefined) {
        problems.error(at, `Ingress ${older.name}, which is older, has a share here: it gets no requests.`);
      }
    }
  }
}

/** One place in rules: two Ingresses have it in common when it is written alike. */
export function placeOf(host: unknown, path: unknown, type: unknown): string {
  return `${hostOf(host)} ${text(type) ?? ''} ${text(path) ?? '/'}`;
}

/** '' for any. */
function hostOf(host: unknown): string {
  return (text(host) ?? '').toLowerCase();
}

/** All paths of an Ingress's rules. */
export function pathsOf(object: KubeObject): CanaryPath[] {
  return list(fields(object.spec)['rules']).flatMap((rule, i) => {
    const { host, http } = fields(rule);
    return list(fields(http)['paths']).map((item, j) => {
      const { path, pathType, backend } = fields(item);
      const place = placeOf(host, path, pathType);
      return { host: hostOf(host), place, backend, field: `spec.rules[${i}].http.paths[${j}].backend` };
    });
  });
}

/** What is asked besides host and path, and which of both gets it; what is left is shared by weight. */
export function canaryMatches(match: Match, terms: CanaryTerms): { readonly match: Match; readonly canary: boolean }[] {
  const where = (condition: ValueMatch): Match => ({ ...match, headers: [...match.headers, condition] });
  const { header, headerSays, cookie } = terms;
  const exact = (name: string, value: string): ValueMatch => ({ name, type: 'Exact', value });
  const said = (value: string): ValueMatch => ({
    name: 'cookie',
    type: 'RegularExpression',
    value: `(?s:(.*;)?[ \\t]*${quoted(cookie ?? '')}=${value}[ \\t]*(;.*)?)`,
  });
  return [
    ...(header === null ? [] : [{ match: where(header), canary: true }]),
    ...(headerSays === null
      ? []
      : [
          { match: where(exact(headerSays, 'always')), canary: true },
          { match: where(exact(headerSays, 'never')), canary: false },
        ]),
    ...(cookie === null
      ? []
      : [
          { match: where(said('always')), canary: true },
          { match: where(said('never')), canary: false },
        ]),
  ];
}

function quoted(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '\\$&');
}

// Filters of an HTTPRoute rule or backendRef (apis/v1 HTTPRouteFilter).

import { fields, isFields } from '../base/fields.ts';
import type { Cors, Filter, Header, HeaderEdits, PathModifier, Redirect } from '../ir/ir.ts';
import { type Authorizer, authorizerOf } from './external-auth.ts';
import { editFault, FIELD_VALUE, type Side } from './field-rules.ts';
import { isPreciseHostname } from './hostname.ts';
import type { Report } from './http-match.ts';
import { isToken } from './http-match.ts';
import { anyText, integer, list, port, shown, text } from './read.ts';

export interface Filters {
  readonly filters: readonly Filter[];
  readonly redirect: Redirect | null;
  /** Whom copies go to, as they stand. */
  readonly mirrors: readonly Mirror[];
  /** Whom to ask about each request; null for nobody. */
  readonly authorizer: Authorizer | null;
  /** What is named by ExtensionRef: where, and the reference as it stands. */
  readonly extensions: readonly { readonly field: string; readonly ref: unknown }[];
  /** A ReplacePrefixMatch is among them, which only PathPrefix matches can feed: its field. */
  readonly prefixField: string | null;
}

export interface Mirror {
  /** Field path of the reference. */
  readonly field: string;
  readonly backendRef: unknown;
  readonly share: number;
  readonly of: number;
}

export interface FilterReports {
  /** A value or type that is not supported. */
  readonly unsupported: Report;
  /** Filters that exclude each other. */
  readonly incompatible: Report;
  /** Has no effect. */
  readonly warning: Report;
}

const STATUSES: ReadonlySet<unknown> = new Set([301, 302, 303, 307, 308]);

/** "May be specified multiple times": each is a filter of its own (apis/v1 HTTPRouteRule.Filters). */
const REPEATABLE: ReadonlySet<string> = new Set(['RequestMirror', 'ExtensionRef']);

/** What an HTTPRoute may have, and what a GRPCRoute may (apis/v1 HTTPRouteFilterType, GRPCRouteFilterType). */
const OF_CALLS: readonly string[] = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
  'ExtensionRef',
];
const TYPES = {
  HTTPRoute: [...OF_CALLS, 'RequestRedirect', 'URLRewrite', 'CORS', 'ExternalAuth'],
  GRPCRoute: OF_CALLS,
} as const;

export function filtersOf(kind: keyof typeof TYPES, value: unknown, field: string, reports: FilterReports): Filters {
  const filters: Filter[] = [];
  let redirect: Redirect | null = null;
  let prefixField: string | null = null;
  let authorizer: Authorizer | null = null;
  const mirrors: Mirror[] = [];
  const extensions: { field: string; ref: unknown }[] = [];
  const seen = new Set<string>();
  for (const [i, item] of list(value).entries()) {
    const spec = fields(item);
    const at = `${field}[${i}]`;
    const type = text(spec['type']) ?? '';
    if (seen.has(type) && !REPEATABLE.has(type)) {
      reports.incompatible(at, `Filter ${type} is there more than once.`);
      continue;
    }
    seen.add(type);
    if (!TYPES[kind].includes(type)) {
      const types = TYPES[kind].join(', ');
      reports.unsupported(`${at}.type`, `Filter ${shown(spec['type'])} is not supported: ${kind}s have ${types}.`);
      continue;
    }
    switch (type) {
      case 'RequestHeaderModifier':
      case 'ResponseHeaderModifier': {
        const side = type === 'RequestHeaderModifier' ? 'request' : 'response';
        const edits = headerEdits(side, spec[`${side}HeaderModifier`], `${at}.${side}HeaderModifier`, reports);
        filters.push({ type: `${side}Headers`, edits });
        break;
      }
      case 'RequestRedirect':
        redirect = redirectOf(spec['requestRedirect'], `${at}.requestRedirect`, reports);
        if (redirect.path?.type === 'ReplacePrefixMatch') prefixField = `${at}.requestRedirect.path`;
        break;
      case 'URLRewrite': {
        const rewrite = rewriteOf(spec['urlRewrite'], `${at}.urlRewrite`, reports);
        filters.push(rewrite);
        if (rewrite.path?.type === 'ReplacePrefixMatch') prefixField = `${at}.urlRewrite.path`;
        break;
      }
      case 'RequestMirror':
        mirrors.push(mirrorOf(spec['requestMirror'], `${at}.requestMirror`, reports));
        break;
      case 'CORS':
        filters.push({ type: 'cors', cors: corsOf(spec['cors'], `${at}.cors`, reports) });
        break;
      case 'ExternalAuth':
        authorizer = authorizerOf(spec['externalAuth'], `${at}.externalAuth`, reports);
        break;
      case 'ExtensionRef':
        extensions.push({ field: `${at}.extensionRef`, ref: spec['extensionRef'] });
        break;
    }
  }
  if (seen.has('RequestRedirect') && seen.has('URLRewrite')) {
    reports.incompatible(field, 'RequestRedirect and URLRewrite exclude each other.');
  }
  return { filters, redirect, mirrors, authorizer, extensions, prefixField };
}

/** They apply in this order: set, add, remove. */
function headerEdits(side: Side, value: unknown, field: string, reports: FilterReports): HeaderEdits {
  const spec = fields(value);
  const remove: string[] = [];
  for (const [i, item] of list(spec['remove']).entries()) {
    const name = anyText(item) ?? '';
    const at = `${field}.remove[${i}]`;
    const fault = editFault(side, name);
    if (!isToken(name)) reports.unsupported(at, `${shown(item)} is not a field name.`);
    else if (fault !== null) reports.warning(at, `${fault} This entry has no effect.`);
    else if (!remove.some((known) => known.toLowerCase() === name.toLowerCase())) remove.push(name);
  }
  return {
    set: headers(side, spec['set'], remove, `${field}.set`, reports),
    add: headers(side, spec['add'], remove, `${field}.add`, reports),
    remove,
  };
}

/** "Equivalent names: only the first entry": within each of set and add, in any case of letters. */
function headers(
  side: Side,
  value: unknown,
  removed: readonly string[],
  field: string,
  reports: FilterReports,
): Header[] {
  const isRemoved = (name: string): boolean => removed.some((other) => other.toLowerCase() === name.toLowerCase());
  const found = new Map<string, Header>();
  for (const [i, item] of list(value).entries()) {
    const spec = fields(item);
    const at = `${field}[${i}]`;
    const name = text(spec['name']) ?? '';
    const content = anyText(spec['value']);
    const fault = isToken(name) ? editFault(side, name) : `${shown(spec['name'])} is not a field name.`;
    if (fault !== null) reports.unsupported(`${at}.name`, fault);
    if (content === undefined || !FIELD_VALUE.test(content)) {
      reports.unsupported(`${at}.value`, `${shown(spec['value'])} is not a field value.`);
    }
    if (isRemoved(name)) reports.warning(at, `${name} is removed as well, which comes last: this entry has no effect.`);
    const first = found.get(name.toLowerCase());
    if (first === undefined) found.set(name.toLowerCase(), { name, value: content ?? '' });
    else reports.warning(at, `${name} is the same field as ${first.name} before it, which counts: write it once.`);
  }
  return [...found.values()];
}

/** All requests when nobody says how many (HTTPRequestMirrorFilter). */
function mirrorOf(value: unknown, field: string, reports: FilterReports): Mirror {
  const spec = fields(value);
  const { percent, fraction } = spec;
  let [share, of] = [1, 1];
  if (percent !== undefined && fraction !== undefined) {
    reports.unsupported(field, 'Only one of percent and fraction may be given.');
  } else if (percent !== undefined) {
    [share, of] = [integer(percent, 0, 100) ?? -1, 100];
    if (share < 0) reports.unsupported(`${field}.percent`, `${shown(percent)} is not a percentage.`);
  } else if (fraction !== undefined) {
    const { numerator, denominator } = fields(fraction);
    of = integer(denominator ?? 100, 1, 2 ** 31 - 1) ?? 0;
    share = integer(numerator, 0, of) ?? -1;
    if (share < 0) reports.unsupported(`${field}.fraction`, `${shown(fraction)} is not a fraction of at most 1.`);
  }
  return {
    field: `${field}.backendRef`,
    backendRef: spec['backendRef'],
    share: Math.max(0, share),
    of: Math.max(1, of),
  };
}

/** Seconds, when nobody says (HTTPCORSFilter.MaxAge). */
const CORS_MAX_AGE_S = 5;
const ORIGIN = /^https?:\/\/(((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:[0-9]{1,5})?)$/;
const ANY = '*';

function corsOf(value: unknown, field: string, reports: FilterReports): Cors {
  const spec = fields(value);
  const namesOf = (name: string, isGood: (text: string) => boolean, what: string): string[] => {
    const found: string[] = [];
    for (const [i, item] of list(spec[name]).entries()) {
      const entry = anyText(item) ?? '';
      if (entry !== ANY && !isGood(entry)) {
        reports.unsupported(`${field}.${name}[${i}]`, `${shown(item)} is not ${what}.`);
      } else if (!found.includes(entry)) found.push(entry);
    }
    if (found.includes(ANY) && found.length > 1) {
      reports.unsupported(`${field}.${name}`, '"*" stands for all and cannot stand beside others.');
    }
    return found;
  };
  const origins = namesOf('allowOrigins', (text) => ORIGIN.test(text), 'an origin: scheme://host[:port]');
  if (origins.length === 0) {
    reports.warning(`${field}.allowOrigins`, 'No origin is allowed: scripts of other origins can read nothing.');
  }
  const credentials = spec['allowCredentials'] === true;
  const exposed = list(spec['exposeHeaders']).flatMap((item) => anyText(item) ?? []);
  if (credentials && exposed.includes(ANY)) {
    reports.warning(`${field}.exposeHeaders`, 'With allowCredentials "*" exposes nothing; name the fields.');
  }
  return {
    origins,
    credentials,
    methods: namesOf('allowMethods', isToken, 'a method'),
    headers: namesOf('allowHeaders', isToken, 'a field name'),
    exposedHeaders: exposed.filter((name) => name === ANY || isToken(name)),
    maxAgeS: integer(spec['maxAge'], 1, 2 ** 31 - 1) ?? CORS_MAX_AGE_S,
  };
}

function redirectOf(value: unknown, field: string, reports: FilterReports): Redirect {
  const spec = fields(value);
  const scheme = spec['scheme'] ?? null;
  if (scheme !== null && scheme !== 'http' && scheme !== 'https') {
    reports.unsupported(`${field}.scheme`, `${shown(scheme)} is not one of http, https.`);
  }
  const number = spec['port'] ?? null;
  if (number !== null && port(number) === undefined)
    reports.unsupported(`${field}.port`, `${shown(number)} is not a port.`);
  const status = spec['statusCode'] ?? 302;
  if (!STATUSES.has(status)) {
    reports.unsupported(`${field}.statusCode`, `${shown(status)} is not one of ${[...STATUSES].join(', ')}.`);
  }
  return {
    scheme: scheme === 'http' || scheme === 'https' ? scheme : null,
    hostname: hostnameOf(spec['hostname'], `${field}.hostname`, reports),
    port: port(number) ?? null,
    path: pathModifier(spec['path'], `${field}.path`, reports),
    status: STATUSES.has(status) ? (status as Redirect['status']) : 302,
  };
}

function rewriteOf(value: unknown, field: string, reports: FilterReports): Extract<Filter, { type: 'rewrite' }> {
  const spec = fields(value);
  return {
    type: 'rewrite',
    hostname: hostnameOf(spec['hostname'], `${field}.hostname`, reports),
    path: pathModifier(spec['path'], `${field}.path`, reports),
  };
}

function hostnameOf(value: unknown, field: string, reports: FilterReports): string | null {
  if (value === undefined || value === null) return null;
  const name = anyText(value)?.toLowerCase() ?? '';
  if (isPreciseHostname(name)) return name;
  reports.unsupported(field, `${shown(value)} is not a hostname without wildcard.`);
  return null;
}

function pathModifier(value: unknown, field: string, reports: FilterReports): PathModifier | null {
  if (!isFields(value)) return null;
  const type = value['type'];
  if (type !== 'ReplaceFullPath' && type !== 'ReplacePrefixMatch') {
    reports.unsupported(`${field}.type`, `${shown(type)} is not one of ReplaceFullPath, ReplacePrefixMatch.`);
    return null;
  }
  const name = type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch';
  const path = anyText(value[name]);
  if (path === undefined || (path !== '' && !path.startsWith('/'))) {
    reports.unsupported(`${field}.${name}`, `${shown(value[name])} is not a path that starts with /.`);
    return null;
  }
  // What may not stand in a path is escaped by the proxy: right for a space, and seldom meant where a query is written.
  const other = /[?#]/.exec(path)?.[0];
  if (other !== undefined) {
    const escaped = other === '?' ? '%3F' : '%23';
    const stays = 'A path has neither query nor fragment, and the query of the request stays as it is';
    reports.warning(`${field}.${name}`, `${stays}: "${other}" is sent as ${escaped}.`);
  }
  return { type, value: path === '' ? '/' : path };
}

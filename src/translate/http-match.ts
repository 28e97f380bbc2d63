// Matches of an HTTPRoute rule (apis/v1 HTTPRouteMatch).

import { fields } from '../base/fields.ts';
import { Regex } from '../base/regex.ts';
import type { Match, ValueMatch } from '../ir/ir.ts';
import { pathFault } from './path.ts';
import { anyText, list, shown, text } from './read.ts';

export type Report = (field: string, message: string) => void;

const EVERYTHING: Match = { path: { type: 'PathPrefix', value: '/' }, method: '', headers: [], query: [] };

const METHODS: ReadonlySet<unknown> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
]);

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 3986 section 3.3, as the API restricts Exact and PathPrefix values. */
const PATH = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;
const PATH_REFUSED = ['//', '%2f', '%2F'];
/** Longest path the API takes. */
const PATH_LENGTH = 1024;

export function isToken(value: string): boolean {
  return TOKEN.test(value);
}

/** Never empty. What is wrong goes to `report`; the result then is of no use. */
export function matchesOf(value: unknown, field: string, report: Report): Match[] {
  const specs = list(value);
  if (specs.length === 0) return [EVERYTHING];
  return specs.map((item, i) => {
    const spec = fields(item);
    const at = `${field}[${i}]`;
    return {
      path: pathMatch(spec['path'], `${at}.path`, report),
      method: methodMatch(spec['method'], `${at}.method`, report),
      headers: valueMatches(spec['headers'], `${at}.headers`, true, report),
      query: valueMatches(spec['queryParams'], `${at}.queryParams`, false, report),
    };
  });
}

function pathMatch(value: unknown, field: string, report: Report): Match['path'] {
  const spec = fields(value);
  const type = spec['type'] ?? 'PathPrefix';
  const path = anyText(spec['value']) ?? '/';
  if (type === 'RegularExpression') {
    checkExpression(path, `${field}.value`, report);
    return { type, value: path };
  }
  if (type !== 'Exact' && type !== 'PathPrefix') {
    report(`${field}.type`, `${shown(type)} is not one of Exact, PathPrefix, RegularExpression.`);
    return EVERYTHING.path;
  }
  const refused = refusedPath(path);
  if (refused !== null) report(`${field}.value`, `${shown(path)} ${refused}.`);
  // "When specified, a trailing / is ignored": the same prefix has one spelling from here on.
  return { type, value: type === 'PathPrefix' && path.length > 1 ? path.replace(/\/$/, '') : path };
}

function refusedPath(path: string): string | null {
  if (!path.startsWith('/')) return 'does not start with /';
  if (path.length > PATH_LENGTH) return `is longer than ${PATH_LENGTH} characters`;
  for (const part of PATH_REFUSED) if (path.includes(part)) return `contains ${part}`;
  const fault = pathFault(path);
  if (fault !== null) return fault;
  return PATH.test(path) ? null : 'holds characters that a path cannot have';
}

function methodMatch(value: unknown, field: string, report: Report): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string' && METHODS.has(value)) return value;
  report(field, `${shown(value)} is not one of ${[...METHODS].join(', ')}.`);
  return '';
}

/**
 * "If multiple entries specify equivalent names, only the first entry MUST be considered": header names in any case.
 */
export function valueMatches(value: unknown, field: string, isHeader: boolean, report: Report): ValueMatch[] {
  const found = new Map<string, ValueMatch>();
  for (const [i, item] of list(value).entries()) {
    const spec = fields(item);
    const at = `${field}[${i}]`;
    const given = text(spec['name']) ?? '';
    const name = isHeader ? given.toLowerCase() : given;
    if (isHeader ? !isToken(name) : name === '') report(`${at}.name`, `${shown(spec['name'])} is not a name.`);
    if (found.has(name)) continue;
    const type = spec['type'] ?? 'Exact';
    const expected = anyText(spec['value']);
    if (expected === undefined) report(`${at}.value`, `${shown(spec['value'])} is not a text.`);
    else if (type === 'RegularExpression') checkExpression(expected, `${at}.value`, report);
    else if (type !== 'Exact') report(`${at}.type`, `${shown(type)} is not one of Exact, RegularExpression.`);
    found.set(name, { name, type: type === 'RegularExpression' ? type : 'Exact', value: expected ?? '' });
  }
  return [...found.values()];
}

/**
 * RE2 syntax, without look-around and back-references, and of bounded size: what the data plane can match in linear
 * time. `whole`: what workers are given, with what stands around it, which may make it too large or be taken for a part
 * of it (`\Q`); what they cannot match would have them refuse everybody's revision.
 */
export function checkExpression(expression: string, field: string, report: Report, whole = expression): void {
  try {
    new Regex(expression);
    if (whole !== expression) new Regex(whole);
  } catch (error) {
    report(field, `${error instanceof Error ? error.message : String(error)}.`);
  }
}

// One path of an Ingress's rules: as it stands, or a regular expression where annotations of ingress-nginx say so.

import type { Problems } from '../api/problem.ts';
import type { Fields } from '../base/fields.ts';
import { Regex } from '../base/regex.ts';
import type { Match } from '../ir/ir.ts';
import { checkExpression } from './http-match.ts';
import type { IngressSettings } from './ingress-annotations.ts';
import { NGINX } from './ingress-nginx.ts';
import { pathFault } from './path.ts';
import { shown, text } from './read.ts';

/** What one path of spec.rules means. */
export interface IngressPath {
  readonly match: Match;
  /** What of it can be captured; null: it is no regular expression. */
  readonly expression: string | null;
}

export const ALL: Match = matchOf('PathPrefix', '/');
/** What a path has that is meant as a regular expression, and no path as it is. */
const EXPRESSION = /[()[\]{}|^\\]|\$$|[.\])][*+?]/;
/** As load balancers of clouds have it. */
const WILDCARD = /\*$/;
/** Expressions that every path begins with: as prefixes they leave others what is theirs. */
const EVERYTHING = /^\/\??(\.\*|\(\.\*\))?\$?$/;

type Settings = Pick<IngressSettings, 'regex' | 'rewrite'>;

/** Null: it is not served. */
export function readPath(spec: Fields, at: string, settings: Settings, problems: Problems): IngressPath | null {
  const path = text(spec['path']) ?? '/';
  const type = spec['pathType'];
  const field = `${at}.path`;
  if (!path.startsWith('/')) {
    problems.error(field, `${shown(path)} does not begin with a slash; the path is not served.`);
    return null;
  }
  const looks = EXPRESSION.test(path);
  const { regex: expressions, rewrite } = settings;
  // There any rewrite-target makes expressions of paths; one that does not look so is the same as a prefix.
  const regex = looks ? expressions || rewrite.target !== null : expressions && type === 'ImplementationSpecific';
  // As nginx reads it: from the beginning of the path on, whatever follows, without regard to case.
  if (regex) return expressionOf(path, field, settings, problems);
  const fault = pathFault(path);
  if (fault !== null) {
    problems.error(field, `${shown(path)} ${fault}; the path is not served.`);
    return null;
  }
  if (looks || WILDCARD.test(path)) tellLiteral(path, type, field, problems);
  tellLost(0, field, settings, problems);
  return { match: matchOf(type === 'Exact' ? 'Exact' : 'PathPrefix', path), expression: null };
}

/** What looks as if it stood for more than one path, and does not; of `*` with Prefix the object's check tells. */
function tellLiteral(path: string, type: unknown, field: string, problems: Problems): void {
  const wildcard = /^[^()[\]{}|^$\\*]*\*$/.test(path);
  if (wildcard && type !== 'ImplementationSpecific') return;
  const prefix = path.replace(/\/?\*$/, '') || '/';
  const instead = wildcard
    ? `for all that lies under it write ${prefix} with pathType: Prefix`
    : `for a regular expression write pathType: ImplementationSpecific and annotation ${NGINX}use-regex: "true"`;
  problems.warning(field, `${shown(path)} is taken as it stands, sign for sign: ${instead}.`);
}

/** One that workers cannot match would have them refuse the whole revision. */
function expressionOf(path: string, field: string, settings: Settings, problems: Problems): IngressPath | null {
  const before = problems.errors;
  const whole = `(?i:${path}).*`;
  checkExpression(path, field, (at, message) => problems.error(at, `${message} The path is not served.`), whole);
  if (problems.errors > before) return null;
  tellLost(new Regex(whole).groupCount, field, settings, problems);
  return { match: EVERYTHING.test(path) ? ALL : matchOf('RegularExpression', whole), expression: whole };
}

/** Tells of groups that rewrite-target names and a path does not capture: a whole path may be lost by it. */
function tellLost(groups: number, field: string, { rewrite: { target } }: Settings, problems: Problems): void {
  const lost = target?.match(/\$[1-9]/g)?.find((name) => Number(name.slice(1)) > groups);
  if (lost === undefined) return;
  const what = `rewrite-target ${shown(target)} has ${lost}, which this path does not capture`;
  const like = 'Write it like /app(/|$)(.*) with rewrite-target: /$2.';
  problems.warning(field, `${what}: nothing stands for it. ${like}`);
}

/** Where certificates are proven to belong here (RFC 8555 section 8.3). */
const CHALLENGE = '/.well-known/acme-challenge';

/**
 * As in ingress-nginx such a path is served in the clear and to everybody, whatever its Ingress asks for: cert-manager
 * writes it into the Ingress that is to have a certificate (http01-edit-in-place), which has none yet.
 */
export function isChallenge({ path: { type, value } }: Match): boolean {
  return type !== 'RegularExpression' && (value === CHALLENGE || value.startsWith(`${CHALLENGE}/`));
}

export function matchOf(type: Match['path']['type'], value: string): Match {
  return { path: { type, value }, method: '', headers: [], query: [] };
}

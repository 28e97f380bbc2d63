// One match of one rule, compiled: its conditions besides host and path, and its place in the order of precedence.

import { bytesOf, equalAt } from '../../base/bytes.ts';
import { Regex } from '../../base/regex.ts';
import { type Match, PATH_CONDITION, type RuleEntry, type ValueMatch } from '../../ir/ir.ts';
import { type Head, METHOD } from '../head.ts';
import { HeaderCondition, QueryCondition } from './conditions.ts';
import { normalizedPath } from './normalize.ts';

const ANY_METHOD = -1;
const NONE = new Uint8Array(0);
const NO_HEADERS: readonly HeaderCondition[] = [];
const NO_QUERY: readonly QueryCondition[] = [];

export class Candidate<T> {
  readonly payload: T;
  readonly match: Match;
  readonly isExact: boolean;
  /** Bytes of a request's path that the match covers; -1 for all of them. */
  readonly prefixLength: number;
  readonly regex: Regex | null;
  /** Nothing to check besides host and path. */
  readonly plain: boolean;
  readonly #method: number;
  readonly #methodBytes: Uint8Array;
  /** What PATH_CONDITION says. */
  readonly #call: Regex | null;
  readonly #headers: readonly HeaderCondition[];
  readonly #query: readonly QueryCondition[];
  // ---- order
  readonly #rule: RuleEntry;
  readonly #index: number;

  /** Throws RegexError for a bad regular expression, Error for a path that leaves the root. */
  constructor(rule: RuleEntry, index: number, payload: T) {
    const match = rule.matches[index] as Match;
    const { type, value } = match.path;
    this.payload = payload;
    this.match = match;
    this.regex = type === 'RegularExpression' ? new Regex(value) : null;
    this.isExact = type === 'Exact';
    const path = this.path;
    this.prefixLength = type === 'PathPrefix' ? path.length : -1;
    this.#method = match.method === '' ? ANY_METHOD : methodId(match.method);
    this.#methodBytes = this.#method === METHOD.OTHER ? bytesOf(match.method) : NONE;
    const ofPath = match.headers.find(({ name }) => name === PATH_CONDITION);
    this.#call = ofPath === undefined ? null : new Regex(ofPath.value);
    const fields = ofPath === undefined ? match.headers : match.headers.filter((one) => one !== ofPath);
    const headers = firstOfEach(fields, (name) => name.toLowerCase());
    const query = firstOfEach(match.query, (name) => name);
    this.#headers = headers.length === 0 ? NO_HEADERS : headers.map((m) => new HeaderCondition(m));
    this.#query = query.length === 0 ? NO_QUERY : query.map((m) => new QueryCondition(m));
    const anyMethod = this.#method === ANY_METHOD && this.#call === null;
    this.plain = anyMethod && this.#headers.length === 0 && this.#query.length === 0;
    this.#rule = rule;
    this.#index = index;
  }

  /**
   * Path bytes, normalised; of a prefix without its trailing slash (so '/' is empty), of a regular expression none.
   * Made anew when a rule comes or goes: no lookup needs them.
   */
  get path(): Uint8Array {
    const { type, value } = this.match.path;
    return type === 'RegularExpression' ? NONE : pathBytes(value, type === 'PathPrefix');
  }

  /** Whether method, header and query conditions hold. */
  holds(mem: Uint8Array, head: Head): boolean {
    if (this.plain) return true;
    if (this.#method !== ANY_METHOD && !this.#isMethod(mem, head)) return false;
    const headers = this.#headers;
    for (let i = 0; i < headers.length; i++) if (!(headers[i] as HeaderCondition).holds(mem, head)) return false;
    const query = this.#query;
    for (let i = 0; i < query.length; i++) if (!(query[i] as QueryCondition).holds(mem, head)) return false;
    return this.#call === null || this.#call.matches(mem, head.pathStart, head.pathEnd);
  }

  #isMethod(mem: Uint8Array, head: Head): boolean {
    if (head.method !== this.#method) return false;
    if (this.#method !== METHOD.OTHER) return true;
    const bytes = this.#methodBytes;
    return head.methodEnd - head.methodStart === bytes.length && equalAt(mem, head.methodStart, bytes);
  }

  /**
   * Negative when `this` comes first. Gateway API v1.6.1, HTTPRouteRule.matches: a method match, most header matches,
   * most query matches, then the oldest route, the first by namespace/name, the first in the route. The path's part of
   * the order is the place in the tree, except for regular expressions, where the longer pattern comes first (as in
   * Envoy Gateway).
   */
  before(other: Candidate<T>): number {
    if (this.regex !== null && other.regex !== null && this.regex.pattern.length !== other.regex.pattern.length) {
      return other.regex.pattern.length - this.regex.pattern.length;
    }
    // GRPCRouteRule.matches: more characters of a method.
    const call = (other.#call?.pattern.length ?? 0) - (this.#call?.pattern.length ?? 0);
    if (call !== 0) return call;
    const method = Number(this.#method === ANY_METHOD) - Number(other.#method === ANY_METHOD);
    if (method !== 0) return method;
    if (this.#headers.length !== other.#headers.length) return other.#headers.length - this.#headers.length;
    if (this.#query.length !== other.#query.length) return other.#query.length - this.#query.length;
    const mine = this.#rule;
    const its = other.#rule;
    if (mine.created !== its.created) return mine.created - its.created;
    if (mine.route !== its.route) return mine.route < its.route ? -1 : 1;
    if (mine.index !== its.index) return mine.index - its.index;
    if (this.#index !== other.#index) return this.#index - other.#index;
    return mine.key < its.key ? -1 : Number(mine.key > its.key);
  }
}

/**
 * The matches of a rule, compiled: the same for every router that the rule belongs to. Throws RegexError, or Error for
 * an impossible path.
 */
export function candidatesOf<T>(rule: RuleEntry, payload: T): readonly Candidate<T>[] {
  return rule.matches.map((_, i) => new Candidate(rule, i, payload));
}

function methodId(method: string): number {
  const ids: Readonly<Record<string, number>> = METHOD;
  return method === 'OTHER' ? METHOD.OTHER : (ids[method] ?? METHOD.OTHER);
}

/**
 * Of several conditions on one name only the first counts (Gateway API, HTTPHeaderMatch.name,
 * HTTPQueryParamMatch.name).
 */
function firstOfEach(matches: readonly ValueMatch[], fold: (name: string) => string): ValueMatch[] {
  const seen = new Set<string>();
  return matches.filter((m) => {
    const name = fold(m.name);
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}

function pathBytes(value: string, prefix: boolean): Uint8Array {
  const path = normalizedPath(bytesOf(value));
  if (path === null) throw new Error(`path ${JSON.stringify(value)} is not a valid absolute path`);
  let end = path.length;
  if (prefix) while (end > 0 && path[end - 1] === 0x2f) end--;
  return path.slice(0, end);
}

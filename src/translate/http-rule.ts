// One rule of an HTTPRoute: matches, filters, timeouts and where it sends (apis/v1 HTTPRouteRule).

import { durationMs } from '../api/duration.ts';
import type { Problems } from '../api/problem.ts';
import { fields, isFields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { Action, ClusterEntry, Filter, Match, Retry, Timeouts, WeightedBackend } from '../ir/ir.ts';
import type { BackendFault } from './backend.ts';
import { resolveBackend } from './backend.ts';
import type { Reader } from './dependencies.ts';
import { filtersOf } from './http-filter.ts';
import { matchesOf } from './http-match.ts';
import { integer, list, shown, text } from './read.ts';

export interface Rule {
  readonly name: string;
  readonly matches: readonly Match[];
  readonly filters: readonly Filter[];
  readonly action: Action;
  readonly timeouts: Timeouts;
  readonly retry: Retry | null;
  /** Why the rule cannot be made as it is written; null when it can. */
  readonly invalid: Invalid | null;
  /** The matches themselves are among what cannot be made: nothing can be routed to the rule. */
  readonly unmatchable: boolean;
  /** The first backendRef that does not resolve. */
  readonly unresolved: BackendFault | null;
  /** Where it sends to. */
  readonly clusters: readonly ClusterEntry[];
}

export interface Invalid {
  readonly reason: 'UnsupportedValue' | 'IncompatibleFilters';
  readonly message: string;
}

/** Requests that a rule would have taken, but cannot serve as written, must not slip past it. */
const REFUSE: Action = { type: 'respond', status: 500 };

/** What fits a 32-bit timer, 24 days: longer ones are as good as that. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

const WEIGHT_MAX = 1_000_000;

/** More is no wish that a rule can be served with. */
const RETRY_ATTEMPTS_MAX = 100;
const DEFAULT_BACKOFF = '25ms';

export function translateRule(
  reader: Reader,
  routeKind: string,
  namespace: string,
  value: unknown,
  field: string,
  problems: Problems,
): Rule {
  const spec = fields(value);
  const found: { invalid: Invalid | null; unresolved: BackendFault | null; unmatchable: boolean } = {
    invalid: null,
    unresolved: null,
    unmatchable: false,
  };
  const report = (at: string, reason: Invalid['reason'], message: string): void => {
    problems.error(at, message);
    found.invalid ??= { reason, message };
  };
  const unsupported = (at: string, message: string): void => report(at, 'UnsupportedValue', message);
  const reports = {
    unsupported,
    incompatible: (at: string, message: string): void => report(at, 'IncompatibleFilters', message),
    warning: (at: string, message: string): void => problems.warning(at, message),
  };

  const matches = matchesOf(spec['matches'], `${field}.matches`, (at, message) => {
    found.unmatchable = true;
    unsupported(at, message);
  });
  const prefixOnly = matches.every((match) => match.path.type === 'PathPrefix');
  const checkPrefix = (at: string | null): void => {
    if (at !== null && !prefixOnly) {
      reports.incompatible(at, 'ReplacePrefixMatch needs a rule whose matches are all of type PathPrefix.');
    }
  };
  const { filters, redirect, prefixField } = filtersOf(spec['filters'], `${field}.filters`, reports);
  checkPrefix(prefixField);

  const refs = list(spec['backendRefs']).map(fields);
  if (redirect !== null && refs.length > 0) {
    reports.incompatible(`${field}.filters`, 'RequestRedirect excludes backendRefs.');
  }
  const clusters: ClusterEntry[] = [];
  const backends: WeightedBackend[] = refs.map((ref, i) => {
    const at = `${field}.backendRefs[${i}]`;
    const { cluster, label, fault } = resolveBackend(reader, routeKind, namespace, ref);
    if (fault !== null) {
      problems.error(fault.field === '' ? at : `${at}.${fault.field}`, fault.message);
      found.unresolved ??= fault;
    } else if (cluster !== null) clusters.push(cluster);
    const own = filtersOf(ref['filters'], `${at}.filters`, reports);
    checkPrefix(own.prefixField);
    if (own.redirect !== null) unsupported(`${at}.filters`, 'RequestRedirect is not supported on a backendRef.');
    const weight = integer(ref['weight'] ?? 1, 0, WEIGHT_MAX);
    if (weight === undefined) unsupported(`${at}.weight`, `${shown(ref['weight'])} is not a weight.`);
    return { cluster: cluster?.key ?? null, backend: label, weight: weight ?? 0, filters: own.filters };
  });

  for (const unserved of ['retry', 'sessionPersistence']) {
    if (isFields(spec[unserved]))
      problems.warning(`${field}.${unserved}`, `${unserved} is not supported and has no effect.`);
  }
  const timeouts = fields(spec['timeouts']);
  const timeout = (name: string): number | null => {
    const given = timeouts[name];
    if (given === undefined || given === null) return null;
    const ms = durationMs(typeof given === 'string' ? given : '');
    if (Number.isNaN(ms)) unsupported(`${field}.timeouts.${name}`, `${shown(given)} is not a duration.`);
    return Number.isNaN(ms) ? null : Math.min(ms, TIMEOUT_MAX_MS);
  };
  const requestMs = timeout('request');
  const backendMs = timeout('backendRequest');
  if (requestMs !== null && requestMs > 0 && backendMs !== null && backendMs > requestMs) {
    problems.warning(
      `${field}.timeouts.backendRequest`,
      'It is longer than timeouts.request, which ends the request first.',
    );
  }

  let action: Action;
  if (found.invalid !== null) action = REFUSE;
  else if (redirect !== null) action = { type: 'redirect', redirect };
  else if (!backends.some((backend) => backend.weight > 0)) {
    // No backendRefs, or all of weight 0: there is no share for anybody.
    problems.warning(`${field}.backendRefs`, 'No backend has a share of the requests: they answer 500.');
    action = REFUSE;
  } else action = { type: 'forward', backends };

  return {
    name: text(spec['name']) ?? '',
    matches,
    filters: found.invalid === null ? filters : [],
    action,
    timeouts: { requestMs, backendMs },
    retry: retryOf(spec['retry'], `${field}.retry`, unsupported),
    ...found,
    clusters: action.type === 'forward' ? clusters : [],
  };
}

/** GEP-1731, HTTPRouteRetry. What it leaves out is filled in here: nobody further down has to know a default. */
function retryOf(value: unknown, field: string, unsupported: (at: string, message: string) => void): Retry | null {
  if (!isFields(value)) return null;
  const attempts = integer(value['attempts'] ?? LIMITS.UPSTREAM_ATTEMPTS - 1, 0, RETRY_ATTEMPTS_MAX);
  if (attempts === undefined)
    unsupported(`${field}.attempts`, `${shown(value['attempts'])} is not a number of attempts.`);
  const codes = list(value['codes']).flatMap((code, i) => {
    const status = integer(code, 400, 599);
    if (status === undefined) unsupported(`${field}.codes[${i}]`, `${shown(code)} is not a status from 400 to 599.`);
    return status ?? [];
  });
  const backoff = durationMs(text(value['backoff']) ?? DEFAULT_BACKOFF);
  if (Number.isNaN(backoff)) unsupported(`${field}.backoff`, `${shown(value['backoff'])} is not a duration.`);
  return {
    attempts: attempts ?? 0,
    codes: [...new Set(codes)].sort((a, b) => a - b),
    backoffMs: Number.isNaN(backoff) ? 0 : Math.min(backoff, TIMEOUT_MAX_MS),
  };
}

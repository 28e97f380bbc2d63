// How long a rule waits and how often it tries again (apis/v1 HTTPRouteTimeouts, HTTPRouteRetry; GEP-1742, GEP-1731).

import { durationMs } from '../api/duration.ts';
import { fields, isFields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { Retry, Timeouts } from '../ir/ir.ts';
import type { FilterReports } from './http-filter.ts';
import { integer, list, shown, text } from './read.ts';

/** What fits a 32-bit timer, 24 days: longer ones are as good as that. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** More is no wish that a rule can be served with. */
const RETRY_ATTEMPTS_MAX = 100;
const DEFAULT_BACKOFF = '25ms';

export function timeoutsOf(value: unknown, field: string, reports: FilterReports): Timeouts {
  const spec = fields(value);
  const timeout = (name: string): number | null => {
    const given = spec[name];
    if (given === undefined || given === null) return null;
    const ms = durationMs(typeof given === 'string' ? given : '');
    if (Number.isNaN(ms)) reports.unsupported(`${field}.${name}`, `${shown(given)} is not a duration.`);
    return Number.isNaN(ms) ? null : Math.min(ms, TIMEOUT_MAX_MS);
  };
  const requestMs = timeout('request');
  const backendMs = timeout('backendRequest');
  if (requestMs !== null && requestMs > 0 && backendMs !== null && backendMs > requestMs) {
    reports.warning(`${field}.backendRequest`, 'It is longer than timeouts.request, which ends the request first.');
  }
  return { requestMs, backendMs };
}

/** What a retry leaves out is filled in here: nobody further down has to know a default. Null when there is none. */
export function retryOf(value: unknown, field: string, reports: FilterReports): Retry | null {
  if (!isFields(value)) return null;
  const attempts = integer(value['attempts'] ?? LIMITS.UPSTREAM_ATTEMPTS - 1, 0, RETRY_ATTEMPTS_MAX);
  if (attempts === undefined) {
    reports.unsupported(`${field}.attempts`, `${shown(value['attempts'])} is not a number of attempts.`);
  }
  const codes = list(value['codes']).flatMap((code, i) => {
    const status = integer(code, 400, 599);
    const message = `${shown(code)} is not a status from 400 to 599.`;
    if (status === undefined) reports.unsupported(`${field}.codes[${i}]`, message);
    return status ?? [];
  });
  const backoff = durationMs(text(value['backoff']) ?? DEFAULT_BACKOFF);
  if (Number.isNaN(backoff)) {
    reports.unsupported(`${field}.backoff`, `${shown(value['backoff'])} is not a duration.`);
  }
  return {
    attempts: attempts ?? 0,
    codes: [...new Set(codes)].sort((a, b) => a - b),
    backoffMs: Number.isNaN(backoff) ? 0 : Math.min(backoff, TIMEOUT_MAX_MS),
  };
}

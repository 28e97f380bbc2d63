// Where each number lives in a worker's cells. A cell is one double with one writer; blocks are assigned by the controller.
// `counter` cells outlive their worker, `gauge` cells are zeroed when a worker takes the slot.

import type { LIMITS } from '../base/limits.ts';

/** Request methods in the order of their integers: the `method` label. The last stands for every other one. */
export const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'PATCH',
  'OPTIONS',
  'CONNECT',
  'TRACE',
  'other',
] as const;

/** Fixed cells of every worker slot: name -> cell id. */
export const CELL = {
  // gauges first: [0, GAUGES)
  PID: 1,
  REVISION: 2,
  CONNECTIONS: 3,
  REQUESTS_ACTIVE: 4,
  UPSTREAM_CONNECTIONS: 5,
  UPSTREAM_IDLE: 6,
  ARENA_BYTES: 7,
  RSS_BYTES: 8,
  DRAINING: 9,
  // counters
  CONNECTIONS_TOTAL: 16,
  REQUESTS_TOTAL: 17,
  BYTES_DOWNSTREAM_READ: 18,
  BYTES_DOWNSTREAM_WRITTEN: 19,
  BYTES_UPSTREAM_READ: 20,
  BYTES_UPSTREAM_WRITTEN: 21,
  UPSTREAM_CONNECTS_TOTAL: 22,
  UPSTREAM_CONNECT_FAILURES_TOTAL: 23,
  UPSTREAM_REUSED_TOTAL: 24,
  UPSTREAM_RETRIES_TOTAL: 25,
  LOG_LINES_TOTAL: 26,
  LOG_DROPPED_TOTAL: 27,
  REVISIONS_APPLIED_TOTAL: 28,
  REVISIONS_REFUSED_TOTAL: 29,
  TURNS_TOTAL: 30,
  CPU_SECONDS: 31,
  /** One counter per limit, in the order of LIMITED. */
  LIMIT_REACHED: 64,
  /** One counter per fault, in the order of FAULTS (base/errors.ts). */
  FAULT: 128,
} as const;
export const GAUGES = 16;
export const FIXED_CELLS = 256;

/** Limits that can be reached at run time, each with a counter `rauta_limit_reached_total{limit}`. */
export const LIMITED = [
  'ARENA_BYTES',
  'HEAD_BYTES',
  'FIELDS',
  'URI_BYTES',
  'CHUNK_LINE_BYTES',
  'TRAILER_BYTES',
  'INTERIM_RESPONSES',
  'DOWNSTREAM_CONNECTIONS',
  'UPSTREAM_CONNECTIONS_PER_ENDPOINT',
  'UPSTREAM_PENDING_PER_ENDPOINT',
  'HEAD_MS',
  'BODY_PROGRESS_MS',
  'IDLE_MS',
  'UPSTREAM_CONNECT_MS',
  'LINGER_MS',
  'LINGER_BYTES',
  'LOG_RING_BYTES',
  'LOG_RECORD_BYTES',
  'FLOW_BYTES',
  'STREAM_IDLE_MS',
  'UPSTREAM_ATTEMPTS',
  'ACCEPT_PAUSE_MS',
  'CONNECTION_OPTIONS',
  'METHOD_BYTES',
  'UPSTREAM_PENDING_MS',
] as const satisfies readonly (keyof typeof LIMITS)[];
export type LimitedName = (typeof LIMITED)[number];

/** Status codes with a slot of their own; the last slot is any other. */
export const CODES = [
  100, 101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414,
  421, 429, 431, 499, 500, 502, 503, 504, 0,
] as const;
const codeSlot = new Uint8Array(1000).fill(CODES.length - 1);
CODES.forEach((code, slot) => {
  if (code !== 0) codeSlot[code] = slot;
});

/** Upper bounds of the duration histogram, seconds; one more bucket for the rest. */
export const DURATION_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;
const METHOD_COUNT = 10;

/** Offsets within a route's block. */
export const ROUTE = {
  /** [method][code slot] */
  REQUESTS: 0,
  DURATION: METHOD_COUNT * CODES.length,
  DURATION_SUM: METHOD_COUNT * CODES.length + DURATION_BUCKETS.length + 1,
  REQUEST_BYTES: METHOD_COUNT * CODES.length + DURATION_BUCKETS.length + 2,
  RESPONSE_BYTES: METHOD_COUNT * CODES.length + DURATION_BUCKETS.length + 3,
  SIZE: METHOD_COUNT * CODES.length + 32,
} as const;

/** Kinds of `rauta_backend_errors_total{backend,kind}`, each an offset from ENDPOINT.ERRORS. */
export const BACKEND_ERRORS = ['connect', 'connect_timeout', 'reset', 'malformed', 'timeout', 'status_5xx'] as const;
/** Offsets within an endpoint's block. */
export const ENDPOINT = { REQUESTS: 0, ACTIVE: 1, CONNECTIONS: 2, ERRORS: 4, SIZE: 16 } as const;

/** Cell of the request counter within a route's block. `method` is METHOD of proxy/head.ts, `status` 100..999. */
export function requestCell(block: number, method: number, status: number): number {
  return block + ROUTE.REQUESTS + method * CODES.length + (codeSlot[status] as number);
}

/** Cell of the duration bucket for `us` microseconds. */
export function durationCell(block: number, us: number): number {
  const seconds = us / 1e6;
  let i = 0;
  while (i < DURATION_BUCKETS.length && seconds > (DURATION_BUCKETS[i] as number)) i++;
  return block + ROUTE.DURATION + i;
}

/** Cell of a limit's counter. */
export function limitCell(name: LimitedName): number {
  return CELL.LIMIT_REACHED + LIMITED.indexOf(name);
}

/** Route block that counts what no route took (404) and every route past the ceiling of cells; endpoint block likewise. */
export const OTHER_ROUTE_BLOCK = FIXED_CELLS;
export const OTHER_ENDPOINT_BLOCK = FIXED_CELLS + ROUTE.SIZE;
/** First cell that the controller may assign. */
export const FIRST_FREE_CELL = 1024;

// Where each number lives in a worker's cells. A cell is one double with one writer; blocks are assigned by the
// controller. `counter` cells outlive their worker, `gauge` cells are zeroed when a worker takes the slot.

import { FAULTS, type Fault } from '../base/errors.ts';
import { LIMITS, type LimitName } from '../base/limits.ts';

/** Request methods as small integers; OTHER is any other token. */
export const METHOD = {
  GET: 0,
  HEAD: 1,
  POST: 2,
  PUT: 3,
  DELETE: 4,
  PATCH: 5,
  OPTIONS: 6,
  CONNECT: 7,
  TRACE: 8,
  OTHER: 9,
} as const;

/** The `method` label of each, by its integer. */
export const METHODS: readonly string[] = Object.entries(METHOD)
  .sort(([, a], [, b]) => a - b)
  .map(([name, id]) => (id === METHOD.OTHER ? 'other' : name));

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
  TUNNELS: 10,
  /** Behind the kinds of tunnels; by side. */
  HTTP2_STREAMS: 12,
  TLS_CONNECTIONS: 14,
  TLS_CONTEXTS: 15,
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
  /** Behind the handshakes. */
  MIRRORS_TOTAL: 56,
  MIRRORS_DROPPED_TOTAL: 57,
  MIRRORS_FAILED_TOTAL: 58,
  /** Questions to who decides about requests, by AUTH_VERDICTS. */
  AUTH_TOTAL: 59,
} as const;
export const GAUGES = 16;

/**
 * What came of asking an external authorization server: the `verdict` label. `open`: it failed, and nobody is kept out.
 */
export const AUTH_VERDICTS = ['allowed', 'denied', 'failed', 'open'] as const;
export type AuthVerdict = (typeof AUTH_VERDICTS)[number];
export function authCell(verdict: AuthVerdict): number {
  return CELL.AUTH_TOTAL + AUTH_VERDICTS.indexOf(verdict);
}

/** Sessions of layer 4: the `protocol` label, and what log lines say. */
export const SESSION_PROTOCOLS = ['TCP', 'TLS', 'UDP'] as const;
/** Who ended a session, or what; `refused`: it came to no backend. */
export const SESSION_ENDS = ['client', 'backend', 'idle', 'limit', 'drain', 'refused'] as const;
export type SessionEnd = (typeof SESSION_ENDS)[number];

/** What a connection that was switched to another protocol speaks: the `kind` label. */
export const TUNNEL_KINDS = ['websocket', 'other'] as const;
export function tunnelCell(kind: (typeof TUNNEL_KINDS)[number]): number {
  return CELL.TUNNELS + TUNNEL_KINDS.indexOf(kind);
}
/** Behind the single cells: one counter per limit, one per fault, each with room to grow. */
const FIRST_LIMIT_CELL = 64;
const FIRST_FAULT_CELL = 128;
const FIRST_BACKEND_TLS_CELL = 192;
const FIXED_CELLS = 256;
/** Behind the blocks that are not assigned. */
const FIRST_HTTP2_CELL = 384;
/** Gauges as well: those that found no place among the first. */
const FIRST_SESSIONS_CELL = 448;

/** Sessions that are open, by SESSION_PROTOCOLS. */
export function sessionsCell(protocol: number): number {
  return FIRST_SESSIONS_CELL + protocol;
}

/** Behind the gauges of sessions. */
const FIRST_DATAGRAMS_CELL = 456;
/** Datagrams from clients, and from backends: the `direction` label. */
export const DATAGRAM_DIRECTIONS = ['request', 'answer'] as const;
/**
 * What became of them: `passed` on; without a route or an endpoint (`refused`); past a limit; more than a socket holds
 * (`full`); not to be sent, of its size or because nobody is there (`failed`).
 */
export const DATAGRAM_RESULTS = ['passed', 'refused', 'limit', 'full', 'failed'] as const;
export type DatagramResult = (typeof DATAGRAM_RESULTS)[number];
export function datagramsCell(direction: (typeof DATAGRAM_DIRECTIONS)[number], result: DatagramResult): number {
  return FIRST_DATAGRAMS_CELL + DATAGRAM_DIRECTIONS.indexOf(direction) * 8 + DATAGRAM_RESULTS.indexOf(result);
}

/** Calls of gRPC without a name of their own (telemetry/grpc-methods.ts). Up to FIRST_FREE_CELL there is room. */
const OTHER_CALLS_CELL = 480;

/** TLS handshakes that ended well: by side, version and whether a session was taken up. */
const HANDSHAKES = 32;
export const TLS_SIDES = ['downstream', 'upstream'] as const;
export type TlsSide = (typeof TLS_SIDES)[number];
export function handshakeCell(side: TlsSide, tls13: boolean, resumed: boolean): number {
  return HANDSHAKES + TLS_SIDES.indexOf(side) * 4 + (tls13 ? 2 : 0) + (resumed ? 1 : 0);
}

/** Why a handshake with a client came to nothing: the `result` label. */
export const TLS_REFUSALS = [
  'not_tls',
  'bad_hello',
  'no_name',
  'certificate',
  'version',
  'no_cipher',
  'no_protocol',
  'client_certificate',
  'client_refused',
  'timeout',
  'gone',
  'other',
] as const;
export type TlsRefusal = (typeof TLS_REFUSALS)[number];
export function tlsRefusalCell(why: TlsRefusal): number {
  return HANDSHAKES + TLS_SIDES.length * 4 + TLS_REFUSALS.indexOf(why);
}

/** Why TLS with a backend failed: what the access log and /clusters say; without `TLS_`, the `result` label. */
export const BACKEND_TLS = [
  'TLS_UNKNOWN_CA',
  'TLS_HOSTNAME',
  'TLS_CERT_EXPIRED',
  'TLS_CERT_NOT_YET_VALID',
  'TLS_CERT_REVOKED',
  'TLS_CERT_INVALID',
  'TLS_CLIENT_CERT',
  'TLS_VERSION',
  'TLS_NO_PROTOCOL',
  'TLS_REFUSED',
  'TLS_NOT_TLS',
  'TLS_TIMEOUT',
  'TLS_CLOSED',
  'TLS_OTHER',
] as const;
export type BackendTlsError = (typeof BACKEND_TLS)[number];
export function backendTlsCell(error: BackendTlsError): number {
  return FIRST_BACKEND_TLS_CELL + BACKEND_TLS.indexOf(error);
}

/** Codes of HTTP/2's errors (RFC 9113 section 7) by their number; the last is any other. */
export const HTTP2_CODES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
  'other',
] as const;
/** Streams that were reset, and connections that were told to go, whoever said so: the side that it was with. */
const HTTP2_ENDS = ['resets', 'goaways'] as const;
export function http2Cell(what: (typeof HTTP2_ENDS)[number], side: TlsSide, code: number): number {
  const row = HTTP2_ENDS.indexOf(what) * TLS_SIDES.length + TLS_SIDES.indexOf(side);
  return FIRST_HTTP2_CELL + row * 16 + Math.min(code, HTTP2_CODES.length - 1);
}

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
  'UPSTREAM_SILENT_MS',
  'LINGER_MS',
  'LINGER_BYTES',
  'LOG_RING_BYTES',
  'LOG_RECORD_BYTES',
  'FLOW_BYTES',
  'STREAM_IDLE_MS',
  'UPSTREAM_ATTEMPTS',
  'RETRY_BUDGET_PERCENT',
  'ACCEPT_PAUSE_MS',
  'CONNECTION_OPTIONS',
  'METHOD_BYTES',
  'UPSTREAM_PENDING_MS',
  'TLS_HANDSHAKES_PER_TURN',
  'TLS_HANDSHAKES',
  'WORK_PER_TURN',
  'DECISION_MS',
  'DECISIONS_PENDING',
  'RESPONSE_FIELDS',
  'HTTP2_STREAMS',
  'HTTP2_CONTINUATIONS',
  'HTTP2_PRIORITIES',
  'HTTP2_CONTROL_FRAMES',
  'HTTP2_RESETS',
  'HTTP2_SETTINGS_MS',
  'MIRRORS',
  'MIRROR_MS',
  'UPSTREAM_PING_MS',
  'SESSIONS_PER_ENDPOINT',
  'SESSION_IDLE_MS',
  'SESSION_DRAIN_MS',
  'UDP_FLOWS',
  'UDP_FLOWS_PER_CLIENT',
  'UDP_NEW_FLOWS_PER_SECOND',
  'UDP_ANSWER_BYTES',
  'UDP_IDLE_MS',
  'UDP_LEAVE_MS',
  'DECISION_BODY_MS',
  'EXTERNAL_AUTH_MS',
  'EXTERNAL_AUTH_ANSWER_BYTES',
  'UPSTREAM_RESERVED_PER_ENDPOINT',
  'STALLED_MS',
  'REWRITE_EXPRESSION_BYTES',
  'TLS_SILENT_BYTES',
  'HTTP2_HELD_BYTES',
] as const satisfies readonly (keyof typeof LIMITS)[];
export type LimitedName = (typeof LIMITED)[number];

/** Status codes with a place of their own in a method's row; 0 is any other. */
export const CODES = [
  100, 101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414,
  421, 429, 431, 499, 500, 502, 503, 504, 0,
] as const;

/** Upper bounds of the duration histogram, seconds; one more bucket for the rest. */
export const DURATION_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

/** What a route's requests mostly are; the pairs of its other methods and codes are counted apart from it. */
const USUAL: readonly (readonly [keyof typeof METHOD, (typeof CODES)[number]])[] = [
  ['GET', 200],
  ['GET', 204],
  ['GET', 302],
  ['GET', 304],
  ['GET', 404],
  ['GET', 503],
  ['HEAD', 200],
  ['POST', 200],
  ['POST', 201],
  ['POST', 204],
  ['PUT', 200],
  ['DELETE', 204],
  ['OPTIONS', 204],
];

/**
 * What a route counts, in two forms. In shared memory: a block of SIZE cells with what nearly every route uses, and far
 * from it one row of codes for each method, for unusual pairs, one for sessions of layer 4, and one for calls of gRPC.
 * As a table of numbers (COUNTS long): the block, then the rows. These are offsets into the table, and those below SIZE
 * into the block.
 */
export const ROUTE = {
  DURATION: 0,
  /** Microseconds: whole numbers add up exactly, in whatever order. */
  DURATION_SUM_US: DURATION_BUCKETS.length + 1,
  REQUEST_BYTES: DURATION_BUCKETS.length + 2,
  RESPONSE_BYTES: DURATION_BUCKETS.length + 3,
  USUAL: DURATION_BUCKETS.length + 4,
  SIZE: 32,
  ROWS: 32,
  COUNTS: 32 + (METHODS.length + 2) * CODES.length,
} as const;

/** What went wrong at a backend: offsets from ENDPOINT.ERRORS. */
export const BACKEND_ERROR = {
  connect: 0,
  connectTimeout: 1,
  reset: 2,
  malformed: 3,
  timeout: 4,
  status5xx: 5,
  tls: 6,
} as const;
/** The `kind` label of each. */
export const BACKEND_ERROR_LABELS: Readonly<Record<keyof typeof BACKEND_ERROR, string>> = {
  connect: 'connect',
  connectTimeout: 'connect_timeout',
  reset: 'reset',
  malformed: 'malformed',
  timeout: 'timeout',
  status5xx: 'status_5xx',
  tls: 'tls',
};
/**
 * Offsets within an endpoint's block. TLS_ERROR: what its last connection failed for, one more than the place in
 * BACKEND_TLS; 0 when it stands.
 */
export const ENDPOINT = { REQUESTS: 0, ACTIVE: 1, CONNECTIONS: 2, TLS_ERROR: 3, ERRORS: 4, SIZE: 16 } as const;

/** Rows of a route: one for each method, then sessions, then calls of gRPC. */
export const ROUTE_ROWS = METHODS.length + 2;
const SESSION_ROW = METHODS.length;
const GRPC_ROW = METHODS.length + 1;

/** Codes of gRPC are 0 to 16. */
export const GRPC_CODES = 17;

// ---- where blocks, marks and rows lie

/** Cells of a page of memory: blocks and rows are laid out so that what is used together shares pages. */
const PAGE = 512;
/** Blocks lie below this cell; for each page of blocks there is a page of rows for each method. Whole segments. */
export const BLOCK_CELLS = Math.floor((LIMITS.SEGMENTS - 1) / (1 + ROUTE_ROWS)) * LIMITS.CELLS_PER_SEGMENT;
const FIRST_MARK = BLOCK_CELLS;
const BLOCK_SHIFT = Math.log2(ROUTE.SIZE);
const FIRST_ROW = FIRST_MARK + LIMITS.CELLS_PER_SEGMENT;

/** Route block of what no route took. */
export const NO_ROUTE_BLOCK = FIXED_CELLS;
/** Route block of every route that has none of its own, since all cells are taken; endpoint block likewise. */
export const OTHER_ROUTE_BLOCK = FIXED_CELLS + ROUTE.SIZE;
export const OTHER_ENDPOINT_BLOCK = FIXED_CELLS + 2 * ROUTE.SIZE;
/** First cell that the controller may assign. */
export const FIRST_FREE_CELL = PAGE;

/** What a mark says: BLOCK_USED, and of a route's for each method whether its row is. Bits, never taken back. */
export const BLOCK_USED = 1;
export function rowUsed(method: number): number {
  return 2 << method;
}

/**
 * The cell with the marks of the block at `block`, if it is a route's; two endpoints share one. Blocks whose marks are
 * 0 need not be read.
 */
export function markCell(block: number): number {
  return FIRST_MARK + (block >>> BLOCK_SHIFT);
}

/** First cell of the row of `method` (METHOD) that belongs to the route block at `block`. */
export function rowCell(block: number, method: number): number {
  const inPage = block & (PAGE - 1);
  return FIRST_ROW + (block - inPage) * ROUTE_ROWS + method * PAGE + inPage;
}

/** The cell that counts sessions of the route block at `block`, and the mark of their row. */
export function sessionCell(block: number, protocol: number, end: SessionEnd): number {
  return rowCell(block, SESSION_ROW) + protocol * SESSION_ENDS.length + SESSION_ENDS.indexOf(end);
}
export const SESSIONS_USED = rowUsed(SESSION_ROW);

/** Where they stand in the table of a route's numbers. */
export function sessionsOffset(protocol: number, end: SessionEnd): number {
  return ROUTE.ROWS + SESSION_ROW * CODES.length + protocol * SESSION_ENDS.length + SESSION_ENDS.indexOf(end);
}

/** The cell that counts calls of gRPC of the route block at `block`, by their code, and the mark of their row. */
export function grpcCell(block: number, code: number): number {
  return rowCell(block, GRPC_ROW) + code;
}
export const GRPC_USED = rowUsed(GRPC_ROW);

/** Where they stand in the table of a route's numbers. */
export function grpcOffset(code: number): number {
  return ROUTE.ROWS + GRPC_ROW * CODES.length + code;
}

/** Behind all rows: the calls of each method of gRPC that has a name. */
const FIRST_CALLS_CELL = FIRST_ROW + BLOCK_CELLS * ROUTE_ROWS;
const CALLS_SHIFT = 5;
/** Where calls that ended with code 0 are counted, the others behind it; then the microseconds of all. */
export const CALLS = { BY_CODE: 0, SUM_US: GRPC_CODES, SIZE: GRPC_CODES + 1 } as const;
/** The first of the CALLS of the named method `row`, below LIMITS.GRPC_METHODS; -1: of all others. */
export function callsCell(row: number): number {
  return row < 0 ? OTHER_CALLS_CELL : FIRST_CALLS_CELL + (row << CALLS_SHIFT);
}

const codeSlot = new Uint8Array(1000).fill(CODES.indexOf(0));
CODES.forEach((code, slot) => {
  if (code !== 0) codeSlot[code] = slot;
});

/** By method * 1000 + status: the offset of a usual pair within the block; 0 for the others. */
const usualAt = new Uint8Array(METHODS.length * 1000);
USUAL.forEach(([method, code], i) => {
  usualAt[METHOD[method] * 1000 + code] = ROUTE.USUAL + i;
});

/**
 * Where requests of `method` (METHOD) answered with `status` (0..999) are counted within a route's block; 0: in a row.
 */
export function usualOffset(method: number, status: number): number {
  return usualAt[method * 1000 + status] as number;
}

/** The place of `status` (0..999) within a row. */
export function codeOffset(status: number): number {
  return codeSlot[status] as number;
}

/** Where the requests of a pair stand in the table of a route's numbers. */
export function requestsOffset(method: number, code: (typeof CODES)[number]): number {
  return usualOffset(method, code) || ROUTE.ROWS + method * CODES.length + CODES.indexOf(code);
}

const BUCKETS_US = Float64Array.from(DURATION_BUCKETS, (seconds) => Math.round(seconds * 1e6));

/** Offset of the duration bucket for `us` microseconds. */
export function durationOffset(us: number): number {
  let i = 0;
  while (i < BUCKETS_US.length && us > (BUCKETS_US[i] as number)) i++;
  return ROUTE.DURATION + i;
}

/** The counters of limits and of faults. */
export const LIMIT_CELLS: ReadonlyMap<LimitName, number> = new Map(
  LIMITED.map((name, i) => [name, FIRST_LIMIT_CELL + i]),
);
export const FAULT_CELLS: ReadonlyMap<Fault, number> = new Map(
  Object.values(FAULTS).map((fault, i) => [fault, FIRST_FAULT_CELL + i]),
);

/** Cell of a limit's counter. */
export function limitCell(name: LimitedName): number {
  return LIMIT_CELLS.get(name) as number;
}

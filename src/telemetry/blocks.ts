// Counting a request of a route, and reading what was counted for a route or an endpoint. A route's unusual methods and
// codes lie far from its block, and are looked at only when their mark says that there is something: reading a page
// that was never written makes it memory, and ten thousand routes with their rows would be 27 MB of it.

import { type Cells, placeOf } from './cells.ts';
import {
  BLOCK_USED,
  CODES,
  codeOffset,
  durationOffset,
  ENDPOINT,
  GRPC_USED,
  grpcCell,
  markCell,
  ROUTE,
  ROUTE_ROWS,
  rowCell,
  rowUsed,
  SESSIONS_USED,
  type SessionEnd,
  sessionCell,
  usualOffset,
} from './layout.ts';

export type BlockKind = 'route' | 'endpoint';

/** Length of the table of numbers of each. */
export const COUNTS: Readonly<Record<BlockKind, number>> = { route: ROUTE.COUNTS, endpoint: ENDPOINT.SIZE };

/** What is counted of a request. */
export interface Counted {
  /** METHOD. */
  readonly method: number;
  /** 0..999. */
  readonly status: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The code that a call of gRPC ended with; -1 for what is none. */
  readonly grpcStatus: number;
}

/**
 * Counts a request of the route whose block is at `block`; it took `us` microseconds, a whole number. A block is marked
 * before its first count: a worker that dies between the two leaves a mark without a count, never a count that nobody
 * looks at.
 */
export function countRequest(cells: Cells, block: number, r: Counted, us: number): void {
  const segment = cells.segmentOf(block);
  const at = placeOf(block);
  const usual = usualOffset(r.method, r.status);
  if (usual !== 0) {
    const n = segment[at + usual] as number;
    if (n === 0) cells.mark(block, BLOCK_USED);
    segment[at + usual] = n + 1;
  } else countUnusual(cells, block, r.method, r.status);
  segment[at + durationOffset(us)]! += 1;
  segment[at + ROUTE.DURATION_SUM_US]! += us;
  segment[at + ROUTE.REQUEST_BYTES]! += r.requestBytes;
  segment[at + ROUTE.RESPONSE_BYTES]! += r.responseBytes;
  if (r.grpcStatus >= 0) countCall(cells, block, r.grpcStatus);
}

function countCall(cells: Cells, block: number, code: number): void {
  const cell = grpcCell(block, code);
  if (cells.get(cell) === 0) cells.mark(block, BLOCK_USED | GRPC_USED);
  cells.add(cell, 1);
}

function countUnusual(cells: Cells, block: number, method: number, status: number): void {
  const cell = rowCell(block, method) + codeOffset(status);
  if (cells.get(cell) === 0) cells.mark(block, BLOCK_USED | rowUsed(method));
  cells.add(cell, 1);
}

/** Counts a session of the route whose block is at `block`. */
export function countSession(cells: Cells, block: number, protocol: number, end: SessionEnd): void {
  const cell = sessionCell(block, protocol, end);
  if (cells.get(cell) === 0) cells.mark(block, BLOCK_USED | SESSIONS_USED);
  cells.add(cell, 1);
}

/** Adds what one worker slot counted in the block at `base` to `out`, which is COUNTS[kind] long. */
export function addBlock(cells: Cells, kind: BlockKind, base: number, out: Float64Array): void {
  const marks = cells.get(markCell(base));
  if (marks === 0) return;
  if (kind === 'endpoint') {
    const tlsError = out[ENDPOINT.TLS_ERROR] as number;
    cells.addTo(base, ENDPOINT.SIZE, out, 0);
    // A code, not a number of anything.
    out[ENDPOINT.TLS_ERROR] = Math.max(tlsError, cells.get(base + ENDPOINT.TLS_ERROR));
    return;
  }
  if ((marks & BLOCK_USED) !== 0) cells.addTo(base, ROUTE.SIZE, out, 0);
  if (marks === BLOCK_USED) return;
  for (let row = 0; row < ROUTE_ROWS; row++) {
    if ((marks & rowUsed(row)) === 0) continue;
    cells.addTo(rowCell(base, row), CODES.length, out, ROUTE.ROWS + row * CODES.length);
  }
}

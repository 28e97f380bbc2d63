// Counting a request of a route, and reading what was counted for a route or an endpoint. A route's unusual methods and codes lie far from its block, and are
// looked at only when their mark says that there is something: reading a page that was never written makes it memory, and
// ten thousand routes with their rows would be 27 MB of it.

import type { Cells } from './cells.ts';
import {
  BLOCK_USED,
  CODES,
  codeOffset,
  durationOffset,
  ENDPOINT,
  METHODS,
  markCell,
  ROUTE,
  rowCell,
  rowUsed,
  usualOffset,
} from './layout.ts';

export type BlockKind = 'route' | 'endpoint';

/** Length of the table of numbers of each. */
export const COUNTS: Readonly<Record<BlockKind, number>> = { route: ROUTE.COUNTS, endpoint: ENDPOINT.SIZE };

/** One request of the route whose block is at `block`: METHOD, status (0..999), microseconds it took. */
export function countRequest(cells: Cells, block: number, method: number, status: number, us: number): void {
  const usual = usualOffset(method, status);
  if (usual !== 0) cells.count(block + usual, markCell(block), BLOCK_USED);
  else cells.count(rowCell(block, method) + codeOffset(status), markCell(block), BLOCK_USED | rowUsed(method));
  cells.add(block + durationOffset(us), 1);
  cells.add(block + ROUTE.DURATION_SUM_US, us);
}

/** Bytes of its bodies; after `countRequest`, which says that the block is used. */
export function countBytes(cells: Cells, block: number, request: number, response: number): void {
  cells.add(block + ROUTE.REQUEST_BYTES, request);
  cells.add(block + ROUTE.RESPONSE_BYTES, response);
}

/** Adds what one worker slot counted in the block at `base` to `out`, which is COUNTS[kind] long. */
export function addBlock(cells: Cells, kind: BlockKind, base: number, out: Float64Array): void {
  if (kind === 'endpoint') {
    cells.addTo(base, ENDPOINT.SIZE, out, 0);
    return;
  }
  const marks = cells.get(markCell(base));
  if (marks === 0) return;
  if ((marks & BLOCK_USED) !== 0) cells.addTo(base, ROUTE.SIZE, out, 0);
  if (marks === BLOCK_USED) return;
  for (let method = 0; method < METHODS.length; method++) {
    if ((marks & rowUsed(method)) === 0) continue;
    cells.addTo(rowCell(base, method), CODES.length, out, ROUTE.ROWS + method * CODES.length);
  }
}

// Cells of faults and of what went wrong at a backend.

import { FAULTS, type Fault } from '../../base/errors.ts';
import type { LimitName } from '../../base/limits.ts';
import type { Cells } from '../../telemetry/cells.ts';
import { BACKEND_ERRORS, CELL, LIMITED } from '../../telemetry/layout.ts';

const faultCells = new Map<Fault, number>(Object.values(FAULTS).map((fault, i) => [fault, CELL.FAULT + i]));

/** The counter of a fault. */
export function faultCell(fault: Fault): number {
  return faultCells.get(fault) as number;
}

/** Offsets from ENDPOINT.ERRORS. */
export const BACKEND_ERROR = {
  connect: BACKEND_ERRORS.indexOf('connect'),
  connectTimeout: BACKEND_ERRORS.indexOf('connect_timeout'),
  reset: BACKEND_ERRORS.indexOf('reset'),
  malformed: BACKEND_ERRORS.indexOf('malformed'),
  timeout: BACKEND_ERRORS.indexOf('timeout'),
  status5xx: BACKEND_ERRORS.indexOf('status_5xx'),
} as const;

const limited: readonly LimitName[] = LIMITED;

/** Counts a limit that a codec ran into, if it has a counter. */
export function countLimit(cells: Cells, limit: LimitName | null): void {
  if (limit === null) return;
  const index = limited.indexOf(limit);
  if (index >= 0) cells.add(CELL.LIMIT_REACHED + index, 1);
}

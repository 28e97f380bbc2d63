// Cells of faults and limits.

import type { Fault } from '../base/errors.ts';
import type { LimitName } from '../base/limits.ts';
import type { Cells } from '../telemetry/cells.ts';
import { BACKEND_ERROR, FAULT_CELLS, LIMIT_CELLS } from '../telemetry/layout.ts';

export { BACKEND_ERROR };

/** The counter of a fault. */
export function faultCell(fault: Fault): number {
  return FAULT_CELLS.get(fault) as number;
}

/** Counts a limit that a codec ran into, if it has a counter. */
export function countLimit(cells: Cells, limit: LimitName | null): void {
  if (limit === null) return;
  const cell = LIMIT_CELLS.get(limit);
  if (cell !== undefined) cells.add(cell, 1);
}

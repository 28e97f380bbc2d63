// The shared memory behind a slot's cells, one segment after the other in one file.

import { LIMITS } from '../base/limits.ts';
import { mapShared } from '../native/index.ts';

export const SEGMENT_BYTES = LIMITS.CELLS_PER_SEGMENT * Float64Array.BYTES_PER_ELEMENT;

/** Maps segment `index` of the cells in `fd`, which must reach that far. */
export function mapSegment(fd: number, index: number): Float64Array {
  return new Float64Array(mapShared(fd, index * SEGMENT_BYTES, SEGMENT_BYTES));
}

// The shared memory behind a slot's cells, one segment after the other in one file. The file is as long from the start
// as it may ever become: pages nobody wrote to cost nothing, and no cell anybody can name lies behind its end (SIGBUS).

import { LIMITS } from '../base/limits.ts';
import { mapShared } from '../native/index.ts';

const SEGMENT_BYTES = LIMITS.CELLS_PER_SEGMENT * Float64Array.BYTES_PER_ELEMENT;
export const CELLS_BYTES = SEGMENT_BYTES * LIMITS.SEGMENTS;

/** Maps segment `index` (below LIMITS.SEGMENTS) of the cells in `fd`. */
export function mapSegment(fd: number, index: number): Float64Array {
  return new Float64Array(mapShared(fd, index * SEGMENT_BYTES, SEGMENT_BYTES));
}

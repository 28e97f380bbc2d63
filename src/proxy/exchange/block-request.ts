// A request of RAUTA's own making, whole, in a block of the arena: the copy for a mirror, the question to who decides.

import type { Core } from '../core.ts';
import type { PreparedRequest } from './sides.ts';

export abstract class BlockRequest implements PreparedRequest {
  /** Of the block; -1: there is none. */
  start = -1;
  methodEnd = 0;
  fieldsStart = 0;
  linesEnd = 0;
  bodyStart = 0;
  end = 0;
  trailersEnd = 0;
  length = 0;
  readonly done = true;
  readonly upgrade = false;
  readonly upgradeStart = 0;
  readonly upgradeEnd = 0;

  free({ io }: Core): void {
    if (this.start !== -1) io.free(this.start);
    this.start = -1;
  }
}

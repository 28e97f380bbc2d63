// What all connections of a worker share: the block that every read goes into, and the block in which small writes to one
// connection are gathered. Both are used and left within one call from the reactor, so an idle connection owns no buffer.

import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import type { Cells } from '../../telemetry/cells.ts';
import { Tally } from './tally.ts';

/** Whoever gathers its output in the shared write block, and can be told to send it. */
export interface CorkOwner {
  uncork(): void;
}

/** A connection whose codec is done with it and that still has to send or to drain. */
export interface Ending {
  /** Ends it now. */
  destroy(): void;
}

export class Shared {
  readonly io: Io;
  readonly cells: Cells;
  readonly mem: Uint8Array;
  /** LIMITS.READ_BYTES for reads, with READ_HEADROOM_BYTES in front that a rewritten head may grow into. */
  readonly readAt: number;
  /** Write block: [corkAt, corkEnd), of which [corkAt, corkUsed) waits to be sent by `corkOwner`. */
  readonly corkAt: number;
  readonly corkEnd: number;
  corkUsed: number;
  corkOwner: CorkOwner | null = null;
  /** Where what waits begins when it is held outside the write block ([heldAt, corkUsed) then), -1 when it is not. */
  heldAt = -1;
  /** Counts turns of the reactor: what was ready in a turn had happened before anything was sent in it. */
  turn = 0;
  readonly tally = new Tally();
  readonly endings = new Set<Ending>();
  /** Called when the last of `endings` is over. */
  onEndingsOver: () => void = () => {};

  constructor(io: Io, cells: Cells) {
    this.io = io;
    this.cells = cells;
    this.mem = io.mem;
    const read = io.alloc(LIMITS.READ_HEADROOM_BYTES + LIMITS.READ_BYTES);
    const cork = io.alloc(LIMITS.CORK_BYTES);
    if (read < 0 || cork < 0) throw new Error('no memory for the blocks that all connections share');
    this.readAt = read + LIMITS.READ_HEADROOM_BYTES;
    this.corkAt = cork;
    this.corkEnd = cork + LIMITS.CORK_BYTES;
    this.corkUsed = cork;
  }

  ended(ending: Ending): void {
    this.endings.delete(ending);
    if (this.endings.size === 0) this.onEndingsOver();
  }

  /** At the end of each turn. */
  onTurn(): void {
    this.turn++;
    this.tally.flush(this.cells);
  }

  dispose(): void {
    for (const ending of this.endings) ending.destroy();
    this.io.free(this.readAt - LIMITS.READ_HEADROOM_BYTES);
    this.io.free(this.corkAt);
    this.tally.flush(this.cells);
  }
}

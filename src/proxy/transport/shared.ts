// What all connections of a worker share: the block that every read goes into, and the cork. Both are used and left
// within one call from the reactor, so an idle connection owns no buffer.

import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import type { Cells } from '../../telemetry/cells.ts';
import { Backlog } from './backlog.ts';
import { Cork } from './cork.ts';
import { PipePool } from './pipes.ts';
import { Tally } from './tally.ts';

/** A message's head costs so much of LIMITS.WORK_PER_TURN, and its fields one each. */
export const HEAD_WORK = 32;

/** What `bytes` of framing (a chunk's line, a trailer section) cost. */
export function framingWork(bytes: number): number {
  return 1 + (bytes >> 6);
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
  readonly cork: Cork;
  readonly pipes: PipePool;
  /**
   * Work that the connection that is being read may still cause in this turn; its codec takes from it, and yields at 0.
   */
  work = 0;
  /** What is left of this turn's for connections of clients that were not read in it. */
  turnWork: number = LIMITS.WORK_OF_TURN;
  /** Bytes that the kernel moved from socket to socket in this turn. */
  #moved = 0;
  readonly backlog: Backlog;
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
    if (read < 0) throw new Error('no memory for the block that all connections read into');
    this.readAt = read + LIMITS.READ_HEADROOM_BYTES;
    this.cork = new Cork(io);
    this.backlog = new Backlog(io);
    this.pipes = new PipePool(io);
  }

  /** What `n` bytes that the kernel moved take from BYTES_PER_TURN of their connection. */
  costOfMoving(n: number): number {
    if (this.#moved >= LIMITS.SPLICED_PER_TURN) return n;
    this.#moved += n;
    return n / LIMITS.SPLICED_FOR_COPIED;
  }

  ended(ending: Ending): void {
    this.endings.delete(ending);
    if (this.endings.size === 0) this.onEndingsOver();
  }

  /** At the end of each turn. */
  onTurn(): void {
    this.turn++;
    this.turnWork = LIMITS.WORK_OF_TURN;
    this.#moved = 0;
    this.tally.flush(this.cells);
  }

  dispose(): void {
    for (const ending of this.endings) ending.destroy();
    this.io.free(this.readAt - LIMITS.READ_HEADROOM_BYTES);
    this.cork.dispose(this.io);
    this.pipes.dispose();
    this.tally.flush(this.cells);
  }
}

// A worker slot. It outlives its workers: its counters and log ring stay, so that a death loses only what was on the
// dead worker's own connections.

import { LIMITS } from '../base/limits.ts';
import { createShared } from '../native/index.ts';
import { CELLS_BYTES, mapSegment } from '../stream/segments.ts';
import { CELL } from '../telemetry/layout.ts';
import { ringBytes } from '../telemetry/log-ring.ts';
import { Backoff } from './backoff.ts';

export class Slot<Worker> {
  readonly index: number;
  readonly cellsFd: number;
  readonly ringFd: number;
  readonly backoff = new Backoff();
  worker: Worker | null = null;
  restarts = 0;
  readonly #cells: Float64Array;
  /** The heartbeat last seen, and when it was first seen with that value. */
  #beat = 0;
  #beatMs = 0;

  /** Throws NativeError when the system has no memory or no descriptor for it. */
  constructor(index: number) {
    this.index = index;
    this.cellsFd = createShared(`rauta-cells-${index}`, CELLS_BYTES);
    this.ringFd = createShared(`rauta-log-${index}`, ringBytes(LIMITS.LOG_RING_BYTES));
    this.#cells = mapSegment(this.cellsFd, 0);
  }

  /** Counts as seen alive at `nowMs`. */
  seen(nowMs: number): void {
    this.#beatMs = nowMs;
  }

  /** `ms` of the time since then do not count. */
  forgive(ms: number): void {
    this.#beatMs += ms;
  }

  /** Whether its worker turned since `nowMs` - HEARTBEAT_STALL_MS. */
  alive(nowMs: number): boolean {
    const beat = this.#cells[CELL.TURNS_TOTAL] as number;
    if (beat !== this.#beat) {
      this.#beat = beat;
      this.#beatMs = nowMs;
    }
    return nowMs - this.#beatMs <= LIMITS.HEARTBEAT_STALL_MS;
  }
}

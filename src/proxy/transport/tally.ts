// What changes with every request is counted here and written to the shared cells once a turn of the reactor.

import type { Cells } from '../../telemetry/cells.ts';
import { CELL } from '../../telemetry/layout.ts';

export class Tally {
  // ---- since the last flush
  downstreamRead = 0;
  downstreamWritten = 0;
  upstreamRead = 0;
  upstreamWritten = 0;
  requests = 0;
  reused = 0;
  // ---- now
  /** Exchanges under way. */
  active = 0;
  /** Idle upstream connections. */
  idle = 0;

  flush(cells: Cells): void {
    cells.add(CELL.BYTES_DOWNSTREAM_READ, this.downstreamRead);
    cells.add(CELL.BYTES_DOWNSTREAM_WRITTEN, this.downstreamWritten);
    cells.add(CELL.BYTES_UPSTREAM_READ, this.upstreamRead);
    cells.add(CELL.BYTES_UPSTREAM_WRITTEN, this.upstreamWritten);
    cells.add(CELL.REQUESTS_TOTAL, this.requests);
    cells.add(CELL.UPSTREAM_REUSED_TOTAL, this.reused);
    cells.set(CELL.REQUESTS_ACTIVE, this.active);
    cells.set(CELL.UPSTREAM_IDLE, this.idle);
    this.downstreamRead = 0;
    this.downstreamWritten = 0;
    this.upstreamRead = 0;
    this.upstreamWritten = 0;
    this.requests = 0;
    this.reused = 0;
  }
}

// Where every finished request ends: counted in the worker's cells, written to its log ring.

import { LineWriter } from './access-log.ts';
import type { Cells } from './cells.ts';
import { CELL, durationCell, limitCell, OTHER_ROUTE_BLOCK, ROUTE, requestCell } from './layout.ts';
import type { RingWriter } from './log-ring.ts';
import type { AccessRecord, RecordSink } from './record.ts';

const RING_FULL = limitCell('LOG_RING_BYTES');

export class Recorder implements RecordSink {
  readonly #cells: Cells;
  readonly #ring: RingWriter;
  readonly #line: LineWriter;

  constructor(cells: Cells, ring: RingWriter, options: { withQuery: boolean }) {
    this.#cells = cells;
    this.#ring = ring;
    this.#line = new LineWriter(options.withQuery);
  }

  record(r: AccessRecord): void {
    const cells = this.#cells;
    const block = r.routeBlock === 0 ? OTHER_ROUTE_BLOCK : r.routeBlock;
    const us = Math.max(0, r.endUs - r.startUs);
    cells.add(requestCell(block, r.method, r.status), 1);
    cells.add(durationCell(block, us), 1);
    cells.add(block + ROUTE.DURATION_SUM, us / 1e6);
    cells.add(block + ROUTE.REQUEST_BYTES, r.requestBytes);
    cells.add(block + ROUTE.RESPONSE_BYTES, r.responseBytes);
    const length = this.#line.format(r);
    if (this.#ring.write(this.#line.buffer, 0, length)) cells.add(CELL.LOG_LINES_TOTAL, 1);
    else {
      cells.add(CELL.LOG_DROPPED_TOTAL, 1);
      cells.add(RING_FULL, 1);
    }
  }
}

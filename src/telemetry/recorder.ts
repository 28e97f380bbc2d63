// Where every finished request ends: counted in the worker's cells, written to its log ring.

import { LINE_BYTES, LineWriter } from './access-log.ts';
import { countRequest, countSession } from './blocks.ts';
import type { Cells } from './cells.ts';
import { GrpcMethods } from './grpc-methods.ts';
import { CELL, limitCell, NO_ROUTE_BLOCK, type SessionEnd } from './layout.ts';
import type { RingWriter } from './log-ring.ts';
import { type AccessRecord, type RecordSink, severityOf } from './record.ts';

const RING_FULL = limitCell('LOG_RING_BYTES');

export class Recorder implements RecordSink {
  readonly #cells: Cells;
  readonly #ring: RingWriter;
  readonly #line: LineWriter;
  readonly #methods: GrpcMethods;
  readonly #aside = new Uint8Array(LINE_BYTES);
  readonly #asideView = new DataView(this.#aside.buffer);

  constructor(cells: Cells, ring: RingWriter, options: { withQuery: boolean }, methods = GrpcMethods.local()) {
    this.#cells = cells;
    this.#methods = methods;
    this.#ring = ring;
    this.#line = new LineWriter(options.withQuery);
  }

  record(r: AccessRecord): void {
    const block = r.routeBlock === 0 ? NO_ROUTE_BLOCK : r.routeBlock;
    if (r.session >= 0) {
      countSession(this.#cells, block, r.session, r.end === '' ? 'refused' : (r.end as SessionEnd));
      this.#log(r);
      return;
    }
    const us = Math.floor(Math.max(0, r.endUs - r.startUs));
    countRequest(this.#cells, block, r, us);
    if (r.grpcStatus >= 0) this.#methods.count(this.#cells, r, us);
    this.#log(r);
  }

  #log(r: AccessRecord): void {
    if (r.logged > 0 && severityOf(r) < r.logged) return;
    const ring = this.#ring;
    const at = ring.reserve(LINE_BYTES);
    if (at >= 0) {
      ring.commit(this.#line.format(ring.memory, ring.memoryView, at, r) - at);
    } else {
      // Near the ring's end, or nearly full: only the line itself has to fit, in two pieces if need be.
      const length = this.#line.format(this.#aside, this.#asideView, 0, r);
      if (!ring.write(this.#aside, 0, length)) {
        this.#cells.add(CELL.LOG_DROPPED_TOTAL, 1);
        this.#cells.add(RING_FULL, 1);
        return;
      }
    }
    this.#cells.add(CELL.LOG_LINES_TOTAL, 1);
  }
}

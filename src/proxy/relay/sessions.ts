// Sessions of layer 4 as they are counted and logged: one line and one count each, whatever they were.

import type { Cells } from '../../telemetry/cells.ts';
import { sessionsCell } from '../../telemetry/layout.ts';
import { AccessRecord, type RecordSink } from '../../telemetry/record.ts';

export class Sessions {
  readonly #cells: Cells;
  readonly #records: RecordSink;
  /** One for all: it is filled and read within one call. */
  readonly #record = new AccessRecord(new Uint8Array(0));

  constructor(cells: Cells, records: RecordSink) {
    this.#cells = cells;
    this.#records = records;
  }

  /** `protocol`: SESSION_PROTOCOLS. */
  began(protocol: number): void {
    this.#cells.add(sessionsCell(protocol), 1);
  }

  /** What is to be filled for one that ends, all else as it is at first; then `ended`. */
  record(protocol: number): AccessRecord {
    this.#record.reset();
    this.#record.session = protocol;
    return this.#record;
  }

  ended(record: AccessRecord): void {
    this.#cells.add(sessionsCell(record.session), -1);
    this.#records.record(record);
  }
}

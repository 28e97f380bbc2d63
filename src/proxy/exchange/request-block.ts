// The memory of one exchange: its UUID, the strings of its record, and the request as it goes upstream, so that it can be sent
// once a connection is there, and sent again. Taken from the arena when the exchange is first used, kept while it rests.

import type { Io } from '../../io/io.ts';
import { type AccessRecord, RECORD_ROOM } from '../../telemetry/record.ts';
import type { Edits } from '../filter/edits.ts';
import type { Head } from '../head.ts';
import type { Core } from './core.ts';
import type { Downstream, RequestEncoder } from './sides.ts';

const RECORD_AT = 40;
const REQUEST_AT = RECORD_AT + RECORD_ROOM;
const BLOCK_BYTES = 8192;

export const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

export class RequestBlock {
  readonly #io: Io;
  /** Also where the UUID stands; -1 when there is none yet. */
  at = -1;
  /** A larger one for a larger request, -1 for none. */
  #large = -1;
  /** The request as it goes upstream, as far as it is here. */
  start = 0;
  end = 0;
  #limit = 0;
  /** [start, end) is everything that the client has sent so far: it can be sent, and sent again. */
  whole = false;

  constructor(io: Io) {
    this.#io = io;
  }

  /** Makes sure that there is a block; false when there is no memory. */
  open(core: Core, record: AccessRecord): boolean {
    if (this.at !== -1) return true;
    this.at = this.#io.alloc(BLOCK_BYTES);
    if (this.at === -1) return false;
    record.use(core.mem, core.view, this.at + RECORD_AT);
    return true;
  }

  /** Room for `bytes`, valid until `close`; -1 when there is no memory. */
  room(bytes: number): number {
    if (bytes <= BLOCK_BYTES - REQUEST_AT) {
      this.#limit = this.at + BLOCK_BYTES;
      return this.at + REQUEST_AT;
    }
    this.#large = this.#io.alloc(bytes);
    this.#limit = this.#large + bytes;
    return this.#large;
  }

  /** Writes the head of the request; false when there is no memory. */
  head(
    encoder: RequestEncoder,
    mem: Uint8Array,
    head: Head,
    edits: Edits | null,
    prefixLength: number,
    down: Downstream,
  ): boolean {
    if (edits !== null) edits.applyRequest(mem, head);
    const at = this.room(encoder.bound(head, edits, down.client.length));
    if (at < 0) return false;
    this.start = at;
    this.end = encoder.head(mem, at, head, edits, prefixLength, down, this.at);
    this.whole = true;
    return true;
  }

  /** Adds content; false (and nothing) when it does not fit. */
  body(encoder: RequestEncoder, mem: Uint8Array, start: number, end: number, chunked: boolean): boolean {
    const at = encoder.body(mem, this.end, this.#limit, start, end, chunked);
    if (at >= 0) this.end = at;
    return at >= 0;
  }

  /** Adds the end of the content; false when it does not fit. */
  finish(encoder: RequestEncoder, mem: Uint8Array, start: number, end: number, chunked: boolean): boolean {
    const at = encoder.end(mem, this.end, this.#limit, start, end, chunked);
    if (at >= 0) this.end = at;
    return at >= 0;
  }

  /** The request is over. */
  close(): void {
    this.whole = false;
    if (this.#large === -1) return;
    this.#io.free(this.#large);
    this.#large = -1;
  }

  dispose(record: AccessRecord): void {
    if (this.at !== -1) this.#io.free(this.at);
    this.at = -1;
    record.use(NO_BYTES, NO_VIEW, 0);
  }
}

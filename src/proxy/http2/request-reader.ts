// Field sections of a client: decoded, and read as requests; one that comes again is known by its bytes.

import type { Fault } from '../../base/errors.ts';
import type { Core } from '../core.ts';
import { HEAD_WORK } from '../transport/shared.ts';
import { HPACK, HpackDecoder } from './hpack/decoder.ts';
import type { RepeatedHead } from './repeated.ts';
import { interpretRequest } from './request.ts';
import type { Turns } from './turns.ts';

export class RequestReader {
  readonly #core: Pick<Core, 'io' | 'mem' | 'request' | 'shared'>;
  readonly #turns: Pick<Turns, 'section' | 'sectionAt' | 'trailers'>;
  readonly #decoder: HpackDecoder;
  readonly #repeated: RepeatedHead;
  // ---- of the section that was decoded last: it was known, its block, the table's changes before it
  #again = false;
  #start = 0;
  #end = 0;
  #changes = 0;

  constructor(
    core: Pick<Core, 'io' | 'mem' | 'request' | 'shared'>,
    turns: Pick<Turns, 'section' | 'sectionAt' | 'trailers' | 'repeated'>,
  ) {
    this.#core = core;
    this.#turns = turns;
    this.#decoder = new HpackDecoder(core.io);
    this.#repeated = turns.repeated();
  }

  /**
   * Decodes the section mem[start..end), of trailers or of a request; of this, `request` reads the rest. `ended`:
   * nothing follows. Returns HPACK.
   */
  decode(start: number, end: number, trailing: boolean, ended: boolean): number {
    const { mem, request, shared } = this.#core;
    const decoder = this.#decoder;
    this.#again = !trailing && this.#repeated.has(decoder, ended, start, end);
    if (this.#again) {
      shared.work -= HEAD_WORK + this.#repeated.count;
      return HPACK.DECODED;
    }
    const { section, sectionAt, trailers } = this.#turns;
    const head = trailing ? trailers : request;
    this.#start = start;
    this.#end = end;
    this.#changes = decoder.changes;
    section.open(head, sectionAt, false, !trailing);
    const decoded = decoder.decode(mem, start, end, section);
    shared.work -= HEAD_WORK + head.count;
    return decoded;
  }

  /** The request that was decoded, in core.request: null, or why it is refused. */
  request(ended: boolean): Fault | null {
    const { io, request } = this.#core;
    if (this.#again) {
      this.#repeated.restore(request);
      return null;
    }
    const { count } = request;
    const fault = interpretRequest(io, this.#turns.section, request, ended);
    if (fault === null && !request.upgrade) {
      this.#repeated.note(this.#decoder, this.#changes, ended, this.#start, this.#end, request, count);
    }
    return fault;
  }

  dispose(): void {
    this.#decoder.dispose();
  }
}

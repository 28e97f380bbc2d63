// The answer of an authorization server as it comes: kept as far as a verdict needs it, within a limit.

import { textOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { grpcStatusIn, isGrpcType } from '../exchange/grpc.ts';
import { type Head, NAME } from '../head.ts';
import { type CheckResponse, decodeCheckResponse } from './ext-authz.ts';
import { brokenOff, FAILED, type Field, type Verdict, verdictOfCheck, verdictOfHttp } from './verdict.ts';

const ANSWER_LIMIT = limitCell('EXTERNAL_AUTH_ANSWER_BYTES');
/** In front of a message of gRPC. */
const PREFIX_BYTES = 5;

export interface Reply {
  /** Of its head, 0 while there is none. */
  readonly status: number;
  /** More came than is kept. */
  readonly full: boolean;
  /** Nothing came yet: another attempt begins. */
  clear(): void;
  head(head: Head): void;
  body(start: number, end: number): void;
  trailers(start: number, end: number): void;
  /** What it comes to, when all of it is here or it is `full`. */
  verdict(): Verdict;
  /** The same when no more of it comes. */
  broken(): Verdict;
}

/** Content, up to a limit. */
abstract class Kept {
  protected readonly core: Core;
  status = 0;
  full = false;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(core: Core) {
    this.core = core;
  }

  clear(): void {
    this.status = 0;
    this.full = false;
    this.#pieces = [];
    this.#bytes = 0;
  }

  broken(): Verdict {
    if (this.status === 0) return FAILED;
    this.full = true;
    return brokenOff(this.verdict());
  }

  abstract verdict(): Verdict;

  body(start: number, end: number): void {
    if (this.full) return;
    this.#bytes += end - start;
    if (this.#bytes > LIMITS.EXTERNAL_AUTH_ANSWER_BYTES) {
      this.full = true;
      this.core.cells.add(ANSWER_LIMIT, 1);
    } else this.#pieces.push(this.core.mem.slice(start, end));
  }

  protected get content(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }
}

export class HttpReply extends Kept implements Reply {
  readonly #copied: readonly string[];
  protected fields: Field[] = [];

  /** `copied`: names of fields that go on to the backend; none: all. */
  constructor(core: Core, copied: readonly string[]) {
    super(core);
    this.#copied = copied;
  }

  override clear(): void {
    super.clear();
    this.fields = [];
  }

  head(head: Head): void {
    const { mem } = this.core;
    this.status = head.status;
    for (let k = 0; k < head.count; k++) {
      if (head.dropped(k)) continue;
      const name = textOf(mem, head.nameStart(k), head.nameEnd(k));
      this.fields.push({ name, value: textOf(mem, head.valueStart(k), head.valueEnd(k)) });
    }
  }

  trailers(): void {}

  verdict(): Verdict {
    return verdictOfHttp(this.status, this.fields, this.#copied, this.content, !this.full);
  }
}

export class GrpcReply extends Kept implements Reply {
  #isGrpc = false;
  #code = -1;

  override clear(): void {
    super.clear();
    this.#isGrpc = false;
    this.#code = -1;
  }

  head(head: Head): void {
    const { mem } = this.core;
    this.status = head.status;
    const k = head.find(NAME.CONTENT_TYPE);
    this.#isGrpc = head.version === 20 && k >= 0 && isGrpcType(mem, head.valueStart(k), head.valueEnd(k));
    this.#code = grpcStatusIn(mem, head.fieldsStart, head.end);
  }

  trailers(start: number, end: number): void {
    this.#code = grpcStatusIn(this.core.mem, start, end);
  }

  /** One message that is not compressed, and a call that ended well; anything else is a failure. */
  verdict(): Verdict {
    const { content } = this;
    const good = this.status === 200 && this.#isGrpc && this.#code === 0 && !this.full;
    if (!good || content.length < PREFIX_BYTES || content[0] !== 0) return FAILED;
    const length = new DataView(content.buffer, content.byteOffset, content.length).getUint32(1);
    if (length !== content.length - PREFIX_BYTES) return FAILED;
    let response: CheckResponse;
    try {
      response = decodeCheckResponse(content.subarray(PREFIX_BYTES));
    } catch {
      return FAILED;
    }
    return verdictOfCheck(response);
  }
}

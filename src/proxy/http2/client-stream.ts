// A stream to a backend, as an exchange sees it: one attempt of a request, and its response.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { ReadySink } from '../../io/io.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, countLimit } from '../counts.ts';
import type { PreparedRequest, ResponseSide, Upstream } from '../exchange/sides.ts';
import { BODY, type Head } from '../head.ts';
import { interpretResponse } from './client-head.ts';
import { type Protocol, switchedHead } from './extended-connect.ts';
import { faultOfCode } from './fault-codes.ts';
import { CODE } from './frames.ts';
import type { FieldSection } from './hpack/section.ts';
import type { Sender } from './sender.ts';
import { Stream } from './stream.ts';

/** The connection of a stream. */
export interface ClientOwner {
  readonly out: Sender;
  /** It has served a request before: the backend may be leaving it just now. */
  readonly served: boolean;
  /** It ended for a fault of the backend's, whatever its streams did. */
  readonly misbehaved: boolean;
  /** Opens `stream` with the head of `request`; else why not. */
  open(stream: ClientStream, request: PreparedRequest, ended: boolean): Fault | null;
  usedContent(stream: Stream, bytes: number): void;
  /** So much of its content came and has to wait for its client. */
  waits(stream: Stream, bytes: number): void;
  /** Resets it, for a reason of our own, unless it is over already. */
  reset(stream: ClientStream, code: number): void;
  /** The response came whole. */
  ended(stream: ClientStream): void;
  /** The exchange is done with it. */
  detached(): void;
}

/** Content that waited is handed on in such pieces. */
const PIECE_BYTES = 32 * 1024;

export class ClientStream extends Stream implements Upstream, ReadySink {
  readonly #core: Core;
  readonly #owner: ClientOwner;
  #exchange: ResponseSide | null;
  /** Bytes of a response came. */
  #answered = false;
  /** Its final head came. */
  #headed = false;
  /** What it asks for by extended CONNECT; and the backend has switched to it: content is bytes, both ways. */
  protocol: Protocol | null = null;
  #tunnel = false;
  /** Of a tunnel: the exchange knows that the backend has ended. */
  #endTold = false;
  /** Content that may still come: without end when its length was not announced. */
  #left = 0;
  /** The client does not take more. */
  #paused = false;
  /** The trailer section of a response whose content waits, in a block of the arena; -1 for none. */
  #trailersAt = -1;
  #trailersEnd = 0;
  /** What the exchange is told in the next turn: none of its calls may end in its being called. */
  #late: Fault | null = null;
  #asked = false;

  constructor(core: Core, owner: ClientOwner, exchange: ResponseSide) {
    super(core.io);
    this.#core = core;
    this.#owner = owner;
    this.#exchange = exchange;
  }

  // ---- for the exchange

  /** Becomes stream `id`. */
  begin(id: number, window: number): void {
    this.openStream(id, window);
  }

  send(request: PreparedRequest): void {
    const ended = request.done && request.bodyStart === request.trailersEnd;
    const fault = this.#owner.open(this, request, ended);
    if (fault !== null) {
      this.#failLater(fault);
      return;
    }
    if (ended || this.protocol !== null) return;
    if (request.bodyStart < request.end) this.body(request.bodyStart, request.end);
    if (request.end < request.trailersEnd) this.trailers(request.end, request.trailersEnd);
    else if (request.done) this.end();
  }

  body(start: number, end: number): void {
    if (this.closed || this.#late !== null) return;
    if (!this.#owner.out.data(this, start, end)) this.#exhausted();
  }

  trailers(start: number, end: number): void {
    if (this.closed || this.#late !== null) return;
    if (!this.#owner.out.trailers(this, start, end)) this.#exhausted();
  }

  end(): void {
    if (!this.closed && this.#late === null) this.#owner.out.end(this);
  }

  #exhausted(): void {
    countLimit(this.#core.cells, 'ARENA_BYTES');
    this.#failLater(FAULTS.overload);
  }

  get plain(): null {
    return null;
  }

  flush(): boolean {
    return this.waiting === 0;
  }

  onSent(): void {
    this.#exchange?.onUpstreamDrained();
  }

  get sentBytes(): number {
    return this.framed;
  }

  resumeResponse(): void {
    this.#paused = false;
    if (this.held > 0) this.#ask();
  }

  cancel(): void {
    if (this.#exchange === null) return;
    // Of a tunnel that both sides have ended there is nothing to be cancelled.
    if (this.#tunnel && this.remoteEnded && this.localEnded) this.#owner.ended(this);
    this.#letGo();
  }

  // ---- calls of our own, in the next turn

  #failLater(fault: Fault): void {
    this.#late = fault;
    this.#ask();
  }

  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#core.io.again(this, 0);
  }

  onReady(): void {
    this.#asked = false;
    if (this.#late !== null) this.#fail(this.#late, BACKEND_ERROR.reset);
    else this.#deliver();
  }

  onAgain(): void {}

  // ---- the response's heads

  /** A field section came: of a head, or of the trailers. */
  onSection(section: FieldSection, ended: boolean): void {
    const exchange = this.#exchange;
    // A response that nobody waits for any more.
    if (exchange === null) return;
    if (this.remoteEnded) {
      this.#refuse(FAULTS.upstreamMalformed);
      return;
    }
    this.#answered = true;
    if (this.#headed) {
      this.#onTrailers(section, ended);
      return;
    }
    const { mem } = this.#core;
    const { head } = section;
    const fault = interpretResponse(mem, section, head, exchange.toHead, ended);
    if (fault !== null) {
      countLimit(this.#core.cells, head.limit);
      exchange.noteLimit(head.limit);
      this.#refuse(fault);
      return;
    }
    if (head.status < 200) {
      exchange.onInterim(head);
      return;
    }
    if (this.protocol !== null && this.#switches(this.protocol, exchange, head, ended)) return;
    this.#headed = true;
    this.#left = head.body === BODY.UNTIL_CLOSE ? Number.POSITIVE_INFINITY : head.contentLength;
    exchange.onResponse(head);
    if (!ended || this.#exchange !== exchange) return;
    this.remoteEnded = true;
    this.onRemoteEnd();
  }

  /** The head answers extended CONNECT: true when what it says was told; false: it is a response like others. */
  #switches(protocol: Protocol, exchange: ResponseSide, head: Head, ended: boolean): boolean {
    if (head.status >= 300) {
      // It is no tunnel, and there is no content.
      this.#owner.out.end(this);
      return false;
    }
    if (!switchedHead(this.#core.mem, head, protocol)) {
      this.#refuse(FAULTS.upstreamHead);
      return true;
    }
    this.#headed = true;
    this.#tunnel = true;
    this.#left = Number.POSITIVE_INFINITY;
    exchange.onSwitched(head);
    if (!ended || this.#exchange !== exchange) return true;
    this.remoteEnded = true;
    this.onRemoteEnd();
    return true;
  }

  #onTrailers(section: FieldSection, ended: boolean): void {
    const { io, mem } = this.#core;
    const { head } = section;
    const tooLarge = section.limit ?? (head.end - head.start > LIMITS.TRAILER_BYTES ? 'TRAILER_BYTES' : null);
    countLimit(this.#core.cells, tooLarge);
    if (this.#tunnel || !ended || tooLarge !== null || section.malformedTrailers) {
      this.#exchange?.noteLimit(tooLarge);
      this.#refuse(FAULTS.upstreamMalformed);
      return;
    }
    this.remoteEnded = true;
    if (head.count === 0) {
      this.onRemoteEnd();
    } else if (this.held === 0) {
      this.#endWith(head.start, head.end);
    } else {
      this.#trailersAt = io.alloc(head.end - head.start);
      if (this.#trailersAt >= 0) this.#trailersEnd = move(mem, this.#trailersAt, head.start, head.end);
      // They may say how it went (grpc-status): without them it has no end.
      else this.#exhausted();
    }
  }

  // ---- its content

  onContent(start: number, end: number): void {
    const exchange = this.#exchange;
    const n = end - start;
    if (exchange === null || this.#late !== null) {
      this.#owner.usedContent(this, n);
      return;
    }
    this.#left -= n;
    if (!this.#headed || this.#left < 0) {
      this.#refuse(FAULTS.upstreamMalformed);
      this.#owner.usedContent(this, n);
    } else if (this.#paused || this.held > 0) {
      const lost = this.hold(start, end);
      this.#owner.waits(this, n - lost);
      if (lost === 0) return;
      this.#exhausted();
      this.#owner.usedContent(this, lost);
    } else {
      exchange.responseBody(start, end, 0);
      this.#owner.usedContent(this, n);
    }
  }

  /** A response begins with a head, also one of no content (RFC 9113 section 8.1). */
  override onEmpty(): void {
    if (this.#exchange !== null && !this.#headed) this.#refuse(FAULTS.upstreamMalformed);
  }

  onFed(): void {
    const exchange = this.#exchange;
    if (exchange !== null && !this.#paused && !exchange.flushResponse()) this.#paused = true;
  }

  #deliver(): void {
    const queue = this.input;
    while (queue !== null && queue.bytes > 0) {
      const exchange = this.#exchange;
      if (exchange === null || this.#paused) return;
      const n = Math.min(queue.frontEnd - queue.front, PIECE_BYTES);
      exchange.responseBody(queue.front, queue.front + n, 0);
      if (this.#exchange !== exchange) return;
      queue.took(n);
      this.#owner.usedContent(this, n);
      if (!exchange.flushResponse()) this.#paused = true;
    }
    if (this.remoteEnded) this.onRemoteEnd();
  }

  /** Nothing more comes. */
  onRemoteEnd(): void {
    if (this.#late === null && this.held === 0) this.#endWith(Math.max(0, this.#trailersAt), this.#trailersEnd);
  }

  /** The response is complete, with the trailer section mem[start..end), none when start is end. */
  #endWith(start: number, end: number): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (this.#tunnel) {
      if (this.#endTold) return;
      this.#endTold = true;
      exchange.onBackendEnded();
      return;
    }
    // RFC 9113 section 8.1.1: the content is as long as was said.
    if (!this.#headed || (this.#left > 0 && this.#left !== Number.POSITIVE_INFINITY)) {
      this.#refuse(FAULTS.upstreamMalformed);
      return;
    }
    if (start < end) exchange.responseTrailers(start, end);
    this.#dropTrailers();
    this.#exchange = null;
    this.#owner.ended(this);
    exchange.responseEnded();
    this.#owner.detached();
  }

  /** What came and was not taken yet is kept while it is all of a response that somebody wants. */
  override forget(): number {
    const input = this.input;
    if (this.#isWhole()) this.input = null;
    else this.#dropTrailers();
    const held = super.forget();
    this.input = input;
    return held;
  }

  /**
   * All of a response came, and the client has yet to take some of it; or all that the backend has to say in a tunnel,
   * whose client may go on.
   */
  #isWhole(): boolean {
    return this.#exchange !== null && this.remoteEnded && (this.held > 0 || this.#tunnel);
  }

  #dropTrailers(): void {
    if (this.#trailersAt >= 0) this.#core.io.free(this.#trailersAt);
    this.#trailersAt = -1;
    this.#trailersEnd = 0;
  }

  // ---- ends

  /** What came is no response. */
  #refuse(fault: Fault): void {
    this.#owner.reset(this, CODE.PROTOCOL_ERROR);
    this.#fail(fault, BACKEND_ERROR.malformed);
  }

  onReset(code: number): void {
    if (this.#isWhole()) this.#takesNoMore();
    else this.#fail(faultOfCode(code, this.#answered), BACKEND_ERROR.reset);
  }

  /** What it had to say is here. What a tunnel's client still says goes nowhere, until it ends, too. */
  #takesNoMore(): void {
    if (this.#tunnel) this.#exchange?.onUpstreamDrained();
  }

  /** The backend leaves, and says that it has not begun to work on it. */
  onLeft(): void {
    this.#fail(FAULTS.upstreamLeft, BACKEND_ERROR.reset);
  }

  onGone(): void {
    if (this.#isWhole()) {
      this.#takesNoMore();
      return;
    }
    const exchange = this.#exchange;
    if (this.#owner.misbehaved) {
      this.#fail(FAULTS.upstreamMalformed, BACKEND_ERROR.malformed);
    } else if (exchange !== null && this.#owner.served && !this.#answered) {
      this.#letGo();
      exchange.onUpstreamStale();
    } else {
      this.#fail(FAULTS.upstreamReset, BACKEND_ERROR.reset);
    }
  }

  #fail(fault: Fault, error: number): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    this.#letGo();
    exchange.onUpstreamFault(fault, error);
  }

  /** The exchange has no more to do with it. */
  #letGo(): void {
    this.#exchange = null;
    this.#owner.reset(this, CODE.CANCEL);
    // It may have been over for the connection, and kept what was left.
    const { held } = this;
    this.input?.clear();
    this.#dropTrailers();
    this.#owner.usedContent(this, held);
    this.#owner.detached();
  }
}

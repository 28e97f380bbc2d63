// A stream of a client as an exchange sees it: one request and its response. Reused for others when both the exchange
// and the connection are done with it.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import type { SocketHost } from '../../ir/ir.ts';
import type { Fragment } from '../../telemetry/fragment.ts';
import type { ClientInfo } from '../client-info.ts';
import type { Core } from '../core.ts';
import { countLimit } from '../counts.ts';
import type { Answer } from '../exchange/answer.ts';
import type { Downstream, RequestSide } from '../exchange/sides.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import { BODY, type Head, METHOD, NAME } from '../head.ts';
import type { Transport } from '../transport/transport.ts';
import { answersKey, dropAccept, keyIn } from './extended-connect.ts';
import { codeOfFault } from './fault-codes.ts';
import {
  putAdded,
  putDateField,
  putFields,
  putLengthField,
  putLines,
  responseBound,
  SCRATCH_BYTES,
} from './fields-out.ts';
import { CODE } from './frames.ts';
import type { HpackEncoder } from './hpack/encoder.ts';
import type { Sender } from './sender.ts';
import { Stream } from './stream.ts';

/** The connection of a stream. */
export interface StreamOwner {
  readonly out: Sender;
  readonly transport: Transport;
  readonly encoder: HpackEncoder;
  readonly info: ClientInfo;
  usedContent(stream: Stream, bytes: number): void;
  /** So much of its content came and has to wait for its backend. */
  waits(stream: Stream, bytes: number): void;
  /** Both sides have ended it. */
  closeStream(stream: Stream): void;
  again(stream: Stream): void;
  /** Resets it, for a reason of our own. */
  resetStream(stream: Stream, code: number, theirs: boolean): number;
  /** As Downstream.requestsAt. */
  requestsAt(endpoint: object): number;
  /** The client may send nothing on any stream: the windows are ours to open. */
  readonly starved: boolean;
  /** The client broke the rules of a stream. */
  misbehaved(): void;
}

/** Who keeps streams for reuse. */
export interface StreamPool {
  give(stream: ServerStream): void;
}

// Of a stream that asks for another protocol: the backend has not said yet, or has.
const NO_TUNNEL = 0;
const ASKED = 1;
const TUNNEL = 2;

/** Content that waited is handed on in such pieces. */
const PIECE_BYTES = 32 * 1024;

export class ServerStream extends Stream implements Downstream, TimerSink {
  readonly #core: Core;
  readonly #pool: StreamPool;
  #owner!: StreamOwner;
  #exchange: RequestSide | null = null;
  /** The exchange is done with it. */
  #released = true;
  /** It is in the pool, or in nobody's hands. */
  #resting = true;
  requestUs = 0;
  #toHead = false;
  /** Content that was announced and has not come; -1 where nothing was announced. */
  #left = -1;
  /** The client waits for 100 before it sends any. */
  #awaits100 = false;
  /** The backend takes no more content for now. */
  #stalled = false;
  #tunnel = NO_TUNNEL;
  /** The key that a WebSocket's backend is to answer, '' for none. */
  #key = '';
  /** The end came, and has to wait for content that does; with a trailer section in a block, or -1. */
  #endHeld = false;
  /** Of a tunnel: what the backend says has ended meanwhile. */
  #endsLater = false;
  #heldTrailersAt = -1;
  #heldTrailersEnd = 0;
  /** It is reset with this CODE instead of being answered: its request is malformed. */
  #refusal: number = CODE.NO_ERROR;
  /** Something of the response could not be kept: what follows is of no use. */
  #broken = false;
  #asked = false;
  /** While announced content comes; while the client takes the rest of a response whose exchange is over. */
  #timer: Timer | null = null;
  #framedBefore = 0;

  constructor(core: Core, pool: StreamPool) {
    super(core.io);
    this.#core = core;
    this.#pool = pool;
  }

  // ---- the request

  /** Becomes stream `id` of `owner`, whose request is `exchange`'s. */
  open(owner: StreamOwner, id: number, window: number, exchange: RequestSide): void {
    this.openStream(id, window);
    this.#owner = owner;
    this.#exchange = exchange;
    this.#released = false;
    this.#resting = false;
    this.requestUs = this.#core.io.nowUs;
    this.#toHead = false;
    this.#left = -1;
    this.#stalled = false;
    this.#tunnel = NO_TUNNEL;
    this.#endHeld = false;
    this.#endsLater = false;
    this.#refusal = CODE.NO_ERROR;
    this.#broken = false;
  }

  /** A request that was read; `ended`: all of it. */
  begin(head: Head, ended: boolean): void {
    const exchange = this.#exchange as RequestSide;
    this.#toHead = head.method === METHOD.HEAD;
    this.remoteEnded = ended;
    this.#awaits100 = head.expectContinue;
    if (!ended && !head.upgrade && head.body !== BODY.UNTIL_CLOSE) this.#left = head.contentLength;
    if (this.#left > 0) this.#arm(this.#core.bodyProgressMs);
    const asks = head.upgrade;
    // What comes belongs to the other protocol, once that is spoken.
    if (asks) {
      this.#tunnel = ASKED;
      this.#stalled = true;
      this.#key = keyIn(this.#core.mem, head);
    }
    exchange.begin(this, head);
    if (ended || asks) this.#exchange?.requestEnded(0, 0);
  }

  /** It is answered by a reset: what came is no request. */
  refuseBy(code: number): void {
    this.#refusal = code;
  }

  onContent(start: number, end: number): void {
    const n = end - start;
    if (this.#left >= 0) {
      this.#left -= n;
      if (this.#left < 0) {
        this.#malformed();
        this.#owner.usedContent(this, n);
        return;
      }
      this.#awaits100 = false;
      if (this.#left > 0 && !this.#released) this.#arm(this.#core.bodyProgressMs);
    }
    const exchange = this.#exchange;
    if (exchange === null) {
      this.#owner.usedContent(this, n);
    } else if (this.#stalled || this.held > 0 || !exchange.takesBody) {
      const lost = this.hold(start, end);
      this.#owner.waits(this, n - lost);
      if (lost === 0) return;
      countLimit(this.#core.cells, 'ARENA_BYTES');
      exchange.fail(FAULTS.overload);
      this.#owner.usedContent(this, lost);
    } else {
      exchange.requestBody(start, end);
      this.#owner.usedContent(this, n);
    }
  }

  onFed(): void {
    const exchange = this.#exchange;
    if (exchange?.takesBody && !this.#stalled && !exchange.flushRequest()) this.#stalled = true;
  }

  onRemoteEnd(): void {
    this.endRequest(0, 0);
  }

  /** The request is complete, with the trailer section mem[start..end). */
  endRequest(start: number, end: number): void {
    if (this.#left > 0) {
      this.#malformed();
      return;
    }
    const exchange = this.#exchange;
    // The end waits like content where that is not taken: between two attempts, say, nobody would get it.
    const taken = exchange === null || exchange.takesBody;
    if (this.held === 0 && this.#tunnel !== ASKED && taken) {
      exchange?.requestEnded(start, end);
      return;
    }
    this.#endHeld = true;
    if (this.#tunnel === TUNNEL && this.ending) {
      // As in `end`, which came first.
      this.ending = false;
      this.#endsLater = true;
    }
    if (start === end) return;
    const { io, mem } = this.#core;
    this.#heldTrailersAt = io.alloc(end - start);
    // Without memory for them they are lost, as on any hop that does not take trailers (RFC 9110 section 6.5).
    if (this.#heldTrailersAt >= 0) this.#heldTrailersEnd = move(mem, this.#heldTrailersAt, start, end);
  }

  /** Its content is not what its head said (RFC 9113 section 8.1.1). */
  #malformed(): void {
    this.#refusal = CODE.PROTOCOL_ERROR;
    const exchange = this.#exchange;
    if (exchange !== null) exchange.fail(FAULTS.badRequest);
    else this.#owner.resetStream(this, CODE.PROTOCOL_ERROR, false);
    this.rest();
    this.#owner.misbehaved();
  }

  /** A trailer section that is none. */
  refuseTrailers(): void {
    this.#malformed();
  }

  resumeRequest(): void {
    this.#askAgain();
  }

  #askAgain(): void {
    if (this.closed || this.#asked) return;
    this.#asked = true;
    this.#owner.again(this);
  }

  onAgain(): void {
    this.#asked = false;
    const exchange = this.#exchange;
    if (exchange === null) {
      this.rest();
      return;
    }
    if (this.#broken) {
      this.#owner.resetStream(this, CODE.INTERNAL_ERROR, true);
      return;
    }
    if (this.#tunnel === ASKED) return;
    this.#stalled = false;
    const queue = this.input;
    while (queue !== null && queue.bytes > 0 && exchange.takesBody) {
      const n = Math.min(queue.frontEnd - queue.front, PIECE_BYTES);
      exchange.requestBody(queue.front, queue.front + n);
      if (this.#exchange !== exchange) return;
      queue.took(n);
      this.#owner.usedContent(this, n);
      const taken = exchange.flushRequest();
      // It may have been more than its rule admits, and answered.
      if (this.#exchange !== exchange) return;
      if (taken) continue;
      this.#stalled = true;
      return;
    }
    if (this.#endHeld && this.held === 0 && exchange.takesBody) this.#endHeldRequest(exchange);
  }

  #endHeldRequest(exchange: RequestSide): void {
    const at = this.#heldTrailersAt;
    this.#heldTrailersAt = -1;
    this.#endHeld = false;
    if (this.#endsLater) this.#owner.out.end(this);
    exchange.requestEnded(Math.max(0, at), at < 0 ? 0 : this.#heldTrailersEnd);
    if (at >= 0) this.#core.io.free(at);
  }

  override forget(): number {
    if (this.#heldTrailersAt >= 0) this.#core.io.free(this.#heldTrailersAt);
    this.#heldTrailersAt = -1;
    this.#endHeld = false;
    if (this.#timer !== null) this.#core.io.timers.cancel(this.#timer);
    return super.forget();
  }

  // ---- the client's ends

  onReset(): void {
    this.#gone();
  }

  onGone(): void {
    this.#gone();
  }

  #gone(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange !== null) {
      this.#released = true;
      exchange.onDownstreamGone();
    }
    this.rest();
  }

  /** Back to the pool, when nobody needs it any more. */
  rest(): void {
    if (this.#resting || !this.closed || !this.#released || this.#asked) return;
    this.#resting = true;
    this.#pool.give(this);
  }

  // ---- who asks

  get client(): Uint8Array {
    return this.#owner.info.client;
  }
  get connection(): object {
    return this.#owner.info;
  }
  requestsAt(endpoint: object): number {
    return this.#owner.requestsAt(endpoint);
  }
  isAt(endpoint: object): boolean {
    return this.#exchange?.isAt(endpoint) === true;
  }
  get trusted(): boolean {
    return this.#owner.info.trusted;
  }
  get secure(): boolean {
    return this.#owner.info.secure;
  }
  get host(): SocketHost | null {
    return this.#owner.info.host;
  }
  get certificate(): Uint8Array | null {
    return this.#owner.info.certificate;
  }
  get json(): Fragment {
    return this.#owner.info.json;
  }

  // ---- the response

  proceed(): void {
    if (!this.#awaits100 || this.closed) return;
    const { mem } = this.#core;
    const { out, encoder } = this.#owner;
    this.#awaits100 = false;
    this.#arm(this.#core.bodyProgressMs);
    const at = out.beginHead(responseBound(null, 0));
    out.endHead(this, at, encoder.status(mem, encoder.begin(mem, at), 100), false);
  }

  interim(head: Head): void {
    if (head.status === 100 && this.#awaits100) {
      this.#awaits100 = false;
      this.#arm(this.#core.bodyProgressMs);
    }
    if (!this.closed) this.#putHead(head, null, 0, false);
  }

  respond(head: Head, added: FieldLines | null, uuidAt: number): void {
    if (this.closed) return;
    const date = head.find(NAME.DATE);
    this.#putHead(head, added, uuidAt, (date < 0 || head.dropped(date)) && added?.dated !== true);
  }

  #putHead(head: Head, added: FieldLines | null, uuidAt: number, date: boolean): void {
    const { io, mem } = this.#core;
    const { out, encoder } = this.#owner;
    const lines = added === null ? 0 : added.http1.size;
    const bound = responseBound(head, lines);
    const at = out.beginHead(bound + lines);
    const scratch = at + bound - SCRATCH_BYTES;
    let to = encoder.status(mem, encoder.begin(mem, at), head.status);
    to = putFields(encoder, mem, to, head);
    if (date) to = putDateField(encoder, mem, to, io.wallMs, scratch);
    if (added !== null) to = putAdded(encoder, mem, to, added, uuidAt, at + bound);
    out.endHead(this, at, to, false);
  }

  body(start: number, end: number): void {
    if (this.closed || this.#broken) return;
    if (this.#owner.out.data(this, start, end)) return;
    countLimit(this.#core.cells, 'ARENA_BYTES');
    this.#broken = true;
    this.#askAgain();
  }

  trailers(start: number, end: number): void {
    if (this.closed || this.#broken) return;
    if (this.#owner.out.trailers(this, start, end)) return;
    countLimit(this.#core.cells, 'ARENA_BYTES');
    this.#broken = true;
    this.#askAgain();
  }

  end(): void {
    if (this.closed || this.#broken || this.localEnded || this.ending) return;
    // With both ends out the stream is over, and what of the client's waits here would be lost with it.
    if (this.#tunnel === TUNNEL && this.#endHeld) this.#endsLater = true;
    else this.#owner.out.end(this);
  }

  get plain(): null {
    return null;
  }

  flush(): boolean {
    return this.waiting === 0;
  }

  onSent(): void {
    this.#exchange?.onDownstreamDrained();
  }

  get sentBytes(): number {
    // What it has framed; and while the connection is what it waits for, what that has sent.
    return this.framed + (this.waiting > 0 && this.window > 0 ? this.#owner.transport.sentBytes : 0);
  }

  get unsentBytes(): number {
    return this.waiting + this.dropped;
  }

  answer(answer: Answer, start: number, end: number, uuidAt: number): number {
    if (this.closed) return 0;
    if (this.#refusal !== CODE.NO_ERROR) {
      this.#owner.resetStream(this, this.#refusal, false);
      return 0;
    }
    const { io, mem } = this.#core;
    const { out, encoder } = this.#owner;
    const { status, fields, body } = answer;
    const lines = fields === null ? 0 : fields.http1.size;
    const bound = responseBound(null, lines + end - start);
    const at = out.beginHead(bound + lines);
    const scratch = at + bound - SCRATCH_BYTES;
    let to = encoder.status(mem, encoder.begin(mem, at), status);
    if (fields?.dated !== true) to = putDateField(encoder, mem, to, io.wallMs, scratch);
    if (fields !== null) to = putAdded(encoder, mem, to, fields, uuidAt, at + bound);
    to = putLines(encoder, mem, to, start, end);
    // RFC 9110 section 8.6
    if (status >= 200 && status !== 204 && status !== 304) {
      to = putLengthField(encoder, mem, to, body.length, scratch);
    }
    out.endHead(this, at, to, false);
    const content = this.#toHead ? 0 : body.length;
    if (content > 0) this.#putContent(body);
    this.end();
    return content;
  }

  #putContent(body: Uint8Array): void {
    const { io, mem } = this.#core;
    const at = io.alloc(body.length);
    if (at < 0) {
      countLimit(this.#core.cells, 'ARENA_BYTES');
      this.#owner.resetStream(this, CODE.INTERNAL_ERROR, false);
      return;
    }
    mem.set(body, at);
    this.body(at, at + body.length);
    io.free(at);
  }

  /** A head is part of the connection's state of compression as soon as it is written. */
  retract(): boolean {
    return false;
  }

  /** The key is this hop's, and so is the look at what answers it (RFC 8441 section 5). */
  accepts(head: Head): boolean {
    return this.#key === '' || answersKey(this.#core.mem, head, this.#key);
  }

  /** The client gets 200 (RFC 8441 section 5), and what comes is the other protocol's. */
  switched(head: Head, added: FieldLines | null, uuidAt: number): void {
    if (this.closed) return;
    this.#tunnel = TUNNEL;
    head.status = 200;
    dropAccept(this.#core.mem, head);
    this.#putHead(head, added, uuidAt, false);
  }

  abort(fault: Fault): void {
    const code = this.#refusal === CODE.NO_ERROR ? codeOfFault(fault, this.#tunnel === TUNNEL) : this.#refusal;
    this.#owner.resetStream(this, code, false);
  }

  /** The worker waits no longer for tunnels, or for all that is none. True when that ended the request. */
  leave(tunnels: boolean): boolean {
    const exchange = this.#exchange;
    if (exchange !== null) return exchange.leave(tunnels);
    if (tunnels || this.closed) return false;
    // Its client has not taken the rest of a response in all this time.
    this.#owner.resetStream(this, CODE.CANCEL, false);
    this.rest();
    return true;
  }

  release(): void {
    this.#exchange = null;
    this.#released = true;
    if (!this.closed) this.#leave();
    this.rest();
  }

  /** The exchange is over, and the stream is not. */
  #leave(): void {
    if (this.localEnded && this.remoteEnded) {
      this.#owner.closeStream(this);
    } else if (this.localEnded) {
      // Nobody reads the rest of the request (section 8.1).
      this.#owner.resetStream(this, CODE.NO_ERROR, false);
    } else if (this.ending) {
      this.#framedBefore = this.framed;
      this.#arm(LIMITS.STREAM_IDLE_MS);
    } else {
      this.#owner.resetStream(this, CODE.INTERNAL_ERROR, false);
    }
  }

  /** END_STREAM went out. */
  onLocalEnd(): void {
    if (!this.#released) return;
    this.#owner.resetStream(this, CODE.NO_ERROR, false);
    this.rest();
  }

  #arm(ms: number): void {
    const { io } = this.#core;
    this.#timer ??= new Timer(this, 0);
    io.timers.arm(this.#timer, io.nowMs, ms);
  }

  /** Announced content comes at least so often, where the client may send it. */
  #onContentDue(exchange: RequestSide): void {
    if (this.#left <= 0) return;
    if (this.#awaits100 || this.#stalled || this.held > 0 || this.credit === 0 || this.#owner.starved) {
      this.#arm(this.#core.bodyProgressMs);
      return;
    }
    countLimit(this.#core.cells, 'BODY_PROGRESS_MS');
    exchange.noteLimit('BODY_PROGRESS_MS');
    exchange.fail(FAULTS.bodyTimeout);
  }

  onTimer(): void {
    if (this.#exchange !== null) {
      this.#onContentDue(this.#exchange);
      return;
    }
    const { cells } = this.#core;
    if (this.framed !== this.#framedBefore) {
      this.#framedBefore = this.framed;
      this.#arm(LIMITS.STREAM_IDLE_MS);
      return;
    }
    countLimit(cells, 'STREAM_IDLE_MS');
    this.#owner.resetStream(this, CODE.CANCEL, false);
    this.rest();
  }
}

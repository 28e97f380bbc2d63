// An HTTP/1 connection of a client: requests one after the other, each handed to an exchange; the next one is read only
// when the one before is answered (RFC 9112 section 9.3.2). It knows framing and its transport, nothing of routes or
// backends.

import { put } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import type { SocketHost } from '../../ir/ir.ts';
import type { Fragment } from '../../telemetry/fragment.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { ClientInfo } from '../client-info.ts';
import type { Connection, ConnectionOwner } from '../connection.ts';
import type { Answer } from '../exchange/answer.ts';
import type { Core } from '../exchange/core.ts';
import { countLimit } from '../exchange/counts.ts';
import type { Downstream, RequestSide } from '../exchange/sides.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import { BODY, bitsOf, type Head, METHOD, NAME } from '../head.ts';
import type { Listener } from '../listener.ts';
import { framingWork, HEAD_WORK } from '../transport/shared.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import { answerBound, putAnswer } from './answer.ts';
import { BODY_STATE, BodyReader } from './body.ts';
import { headBytes, putFinal, putInterim, putSwitched, CONNECTION as SAYS } from './heads.ts';
import { parseRequest } from './request.ts';
import { BAD, findHeadEnd, MORE } from './scan.ts';
import { putTrailers } from './trailers.ts';
import { CHUNK_END, CHUNK_HEAD_BYTES, LAST_CHUNK, putChunkHead, stripResponseInPlace } from './write.ts';

/** Between two requests. */
const IDLE = 0;
/** A part of a head is here. */
const HEAD = 1;
/** An exchange has the request; its content is being read. */
const BODY_ = 2;
/** The request is complete, its exchange under way; nothing is read. */
const WAIT = 3;
/** Answered; the client has yet to take the answer. */
const FLUSH = 4;
/** The protocol was switched: bytes, both ways. */
const TUNNEL = 5;
const CLOSED = 6;

const CODING = bitsOf(NAME.TRANSFER_ENCODING);

const IDLE_LIMIT = limitCell('IDLE_MS');
const HEAD_LIMIT = limitCell('HEAD_MS');
const BODY_LIMIT = limitCell('BODY_PROGRESS_MS');
const STALL_LIMIT = limitCell('STREAM_IDLE_MS');

export class Http1Server implements Connection, TransportUser, Downstream, TimerSink {
  readonly #core: Core;
  readonly listener: Listener;
  readonly #owner: ConnectionOwner;
  readonly #transport: Transport;
  readonly #timer: Timer;
  readonly #info: ClientInfo;
  /** Past the limit of connections: its first request is answered 503. */
  readonly #refused: boolean;
  #reader: BodyReader | null = null;

  #state = IDLE;
  #exchange: RequestSide | null = null;
  /** Of the request: its version, and whether the client wants to go on. */
  #version = 11;
  #keepAlive = true;
  /** It is HEAD: no content answers it. */
  #toHead = false;
  /** It holds its content back until it is asked for it. */
  #awaits100 = false;
  /** Bytes of its content that came with its head and are skipped when nobody wants them. */
  #skippable = 0;
  #requestDone = true;
  /** BODY of the response. */
  #framing = BODY.NONE as number;
  /** The connection ends with the answer that is being sent. */
  #closing = false;
  #scanned = 0;
  /** When the first byte of the request that comes next was here, in monotonic us; below 0 while none is. */
  #headUs = -0.5;
  /** Bytes the client had taken when last looked at, while flushing; bytes written to it before the response that is under way. */
  #sentBefore = 0;
  // ---- the owner's list
  next: Connection | null = null;
  previous: Connection | null = null;

  constructor(
    core: Core,
    listener: Listener,
    owner: ConnectionOwner,
    transport: Transport,
    info: ClientInfo,
    refused: boolean,
  ) {
    this.#core = core;
    this.listener = listener;
    this.#owner = owner;
    this.#transport = transport;
    this.#info = info;
    this.#refused = refused;
    this.#timer = new Timer(this, 0);
    transport.user = this;
    core.io.timers.arm(this.#timer, core.io.nowMs, core.clientIdleMs);
  }

  get client(): Uint8Array {
    return this.#info.client;
  }
  get trusted(): boolean {
    return this.#info.trusted;
  }
  get secure(): boolean {
    return this.#info.secure;
  }
  get host(): SocketHost | null {
    return this.#info.host;
  }
  get json(): Fragment {
    return this.#info.json;
  }

  // ---- for the owner

  /** The worker leaves: an idle connection is closed after `ms`, a busy one with its next answer. */
  drain(ms: number): void {
    const { io } = this.#core;
    if (this.#state === IDLE) io.timers.arm(this.#timer, io.nowMs, ms);
  }

  /** Ends it now. */
  destroy(): void {
    if (this.#state === CLOSED) return;
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#close();
    this.#transport.abort();
    exchange?.onDownstreamGone();
  }

  onTimer(): void {
    const { io, cells } = this.#core;
    switch (this.#state) {
      case IDLE:
        cells.add(IDLE_LIMIT, 1);
        this.#close();
        this.#transport.finish(false);
        break;
      case HEAD:
        cells.add(HEAD_LIMIT, 1);
        this.#refuse(FAULTS.headTimeout, 'HEAD_MS');
        break;
      case BODY_:
        // Not the client's fault while nobody reads what it sends, nor while it waits for 100 (RFC 9110 section 10.1.1).
        if (this.#transport.reading && !this.#awaits100) {
          cells.add(BODY_LIMIT, 1);
          const exchange = this.#exchange as RequestSide;
          exchange.noteLimit('BODY_PROGRESS_MS');
          exchange.fail(FAULTS.bodyTimeout);
        } else {
          io.timers.arm(this.#timer, io.nowMs, this.#core.bodyProgressMs);
        }
        break;
      case FLUSH:
        if (this.#transport.sentBytes !== this.#sentBefore) {
          this.#sentBefore = this.#transport.sentBytes;
          io.timers.arm(this.#timer, io.nowMs, LIMITS.STREAM_IDLE_MS);
        } else {
          cells.add(STALL_LIMIT, 1);
          this.destroy();
        }
        break;
    }
  }

  // ---- requests

  onConnected(): void {}
  onRelayed(): void {}

  onBytes(start: number, end: number): number {
    const at = this.#use(start, end);
    // What is left, unless it is content, begins the next request.
    if (at < end && this.#headUs < 0 && this.#state !== BODY_) this.#headUs = this.#core.io.nowUs;
    return at;
  }

  #use(start: number, end: number): number {
    const { shared } = this.#core;
    let at = start;
    while (at < end) {
      if (this.#state === BODY_) {
        at = this.#readBody(at, end);
        if ((this.#state as number) !== IDLE) return at;
      } else if (this.#state <= HEAD) {
        if (shared.work <= 0) {
          this.#transport.yield();
          return at;
        }
        const next = this.#readHead(at, end);
        if (next < 0) return at;
        at = next;
        // Read on only when the request is already answered, or its content may follow.
        if (this.#state === WAIT || this.#state === FLUSH) {
          this.#transport.pause();
          return at;
        }
      } else if (this.#state === TUNNEL) {
        return this.#tunnel(at, end);
      } else {
        return this.#state === CLOSED ? end : at;
      }
    }
    return at;
  }

  /** Bytes of the protocol that was switched to. */
  #tunnel(start: number, end: number): number {
    const exchange = this.#exchange as RequestSide;
    exchange.requestBody(start, end);
    if (!exchange.flushRequest()) this.#transport.pause();
    return end;
  }

  /** Returns where reading goes on, -1 when the head is not whole yet. */
  #readHead(start: number, end: number): number {
    const { io, mem, request: head } = this.#core;
    if (this.#scanned > 0) {
      if (end - start < LIMITS.HEAD_BYTES && findHeadEnd(mem, Math.max(start, start + this.#scanned - 3), end) < 0) {
        this.#scanned = end - start;
        return -1;
      }
      this.#scanned = 0;
    }
    const parsed = parseRequest(mem, start, end, head);
    if (parsed === MORE) {
      this.#scanned = end - start;
      if (this.#state === IDLE) {
        this.#state = HEAD;
        io.timers.arm(this.#timer, io.nowMs, LIMITS.HEAD_MS);
      }
      return -1;
    }
    if (parsed === BAD) {
      countLimit(this.#core.cells, head.limit);
      this.#refuse(head.fault as Fault, head.limit);
      return end;
    }
    this.#core.shared.work -= HEAD_WORK + head.count;
    return this.#begin(head, end);
  }

  #begin(head: Head, end: number): number {
    const { io } = this.#core;
    const bodyStart = head.end;
    const bodyKind = head.body;
    const length = head.contentLength;
    const exchange = this.#owner.request(this.listener);
    this.#exchange = exchange;
    this.#version = head.version;
    this.#keepAlive = head.keepAlive;
    this.#toHead = head.method === METHOD.HEAD;
    this.#awaits100 = head.expectContinue;
    this.#requestDone = bodyKind === BODY.NONE;
    this.#skippable = bodyKind === BODY.LENGTH && length <= end - bodyStart ? length : 0;
    if (this.#requestDone) {
      this.#state = WAIT;
    } else {
      this.#state = BODY_;
      this.#reader ??= new BodyReader();
      this.#reader.reset(bodyKind, length);
      io.timers.arm(this.#timer, io.nowMs, this.#core.bodyProgressMs);
    }
    if (this.#refused) {
      this.#keepAlive = false;
      exchange.refuse(this, FAULTS.overload, 'DOWNSTREAM_CONNECTIONS');
    } else exchange.begin(this, head);
    this.#headUs = -0.5;
    if (this.#exchange !== exchange) return bodyStart + this.#skipped();
    this.#skippable = 0;
    if (this.#requestDone) exchange.requestEnded(0, 0);
    else if (!exchange.takesBody) this.#transport.pause();
    else if (bodyStart === end) exchange.flushRequest();
    return bodyStart;
  }

  /** How much of the content of a request that was answered at once lies behind its head. */
  #skipped(): number {
    const n = this.#skippable;
    this.#skippable = 0;
    return n;
  }

  #readBody(start: number, end: number): number {
    const { io, mem, shared } = this.#core;
    const exchange = this.#exchange as RequestSide;
    const reader = this.#reader as BodyReader;
    if (!exchange.takesBody) {
      this.#transport.pause();
      return start;
    }
    let at = start;
    this.#awaits100 = false;
    for (;;) {
      const state = reader.read(mem, at, end);
      shared.work -= framingWork(reader.next - at - reader.dataBytes);
      at = reader.next;
      switch (state) {
        case BODY_STATE.DATA:
          exchange.requestBody(reader.dataStart, reader.dataEnd);
          if (shared.work > 0 || at === end) break;
          io.timers.arm(this.#timer, io.nowMs, LIMITS.BODY_PROGRESS_MS);
          if (exchange.flushRequest()) this.#transport.yield();
          else this.#transport.pause();
          return at;
        case BODY_STATE.TRAILERS:
          this.#complete();
          exchange.requestEnded(reader.trailersStart, reader.trailersEnd);
          return at;
        case BODY_STATE.END:
          this.#complete();
          exchange.requestEnded(0, 0);
          return at;
        case BODY_STATE.MORE:
          io.timers.arm(this.#timer, io.nowMs, this.#core.bodyProgressMs);
          if (!exchange.flushRequest()) this.#transport.pause();
          return at;
        default:
          countLimit(this.#core.cells, reader.limit);
          exchange.noteLimit(reader.limit);
          exchange.fail(FAULTS.badRequest);
          return end;
      }
    }
  }

  /** All of the request came. */
  #complete(): void {
    this.#requestDone = true;
    this.#state = WAIT;
    this.#transport.pause();
  }

  /** Answers what is no request, and ends the connection. */
  #refuse(fault: Fault, limit: LimitName | null): void {
    const exchange = this.#owner.request(this.listener);
    this.#exchange = exchange;
    this.#state = WAIT;
    this.#version = 11;
    this.#keepAlive = false;
    this.#toHead = false;
    this.#requestDone = false;
    exchange.refuse(this, fault, limit);
    this.#headUs = -0.5;
  }

  resumeRequest(): void {
    this.#transport.resume();
  }

  onEnd(): void {
    if (this.#state === IDLE || this.#state === HEAD) {
      this.#close();
      this.#transport.finish(false);
    } else if (this.#state === BODY_) {
      this.destroy();
    } else if (this.#state === TUNNEL) {
      this.#exchange?.requestEnded(0, 0);
    }
  }

  /**
   * The client sends no more, and something is not answered yet. It may be waiting (RFC 9112 section 9.6 lets it), but most that
   * send FIN are gone: docs/adr/0011-half-close.md.
   */
  onPeerClosed(): void {
    if (!this.#core.halfClose && this.#state !== TUNNEL) this.destroy();
  }

  onLost(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#close();
    exchange?.onDownstreamGone();
  }

  onHangup(): void {
    this.destroy();
  }

  onDrained(): void {
    if (this.#state === FLUSH) this.#nextRequest();
    else this.#exchange?.onDownstreamDrained();
  }

  // ---- the response

  interim(head: Head): void {
    // HTTP/1.0 knows none (RFC 9110 section 15.2).
    if (this.#version <= 10) return;
    const { io, mem, bodyProgressMs } = this.#core;
    if (head.status === 100 && this.#awaits100) {
      // From now on it is the client's turn.
      this.#awaits100 = false;
      if (this.#state === BODY_) io.timers.arm(this.#timer, io.nowMs, bodyProgressMs);
    }
    const transport = this.#transport;
    transport.commit(putInterim(mem, transport.reserve(headBytes(head, null)), head));
    transport.uncork();
  }

  switched(head: Head): void {
    const { io, mem } = this.#core;
    const transport = this.#transport;
    this.#state = TUNNEL;
    this.#framing = BODY.UNTIL_CLOSE;
    // Never taken back.
    this.#sentBefore = -1;
    this.#closing = true;
    io.timers.cancel(this.#timer);
    transport.commit(putSwitched(mem, transport.reserve(headBytes(head, null)), head));
  }

  respond(head: Head, added: FieldLines | null, uuidAt: number): void {
    const { io, mem, leaving } = this.#core;
    const transport = this.#transport;
    let chunk = false;
    let framing = head.body;
    if (framing === BODY.UNTIL_CLOSE && this.#version > 10) {
      framing = BODY.CHUNKED;
      chunk = true;
    } else if (this.#version <= 10) {
      // HTTP/1.0 knows no transfer codings, not even announced in an answer to HEAD (RFC 9112 section 6.1).
      if (framing === BODY.CHUNKED) framing = BODY.UNTIL_CLOSE;
      head.dropAll(CODING);
    }
    this.#framing = framing;
    this.#sentBefore = transport.sentBytes + transport.unsentBytes;
    if (framing === BODY.UNTIL_CLOSE) transport.endsByClosing();
    const keep =
      this.#keepAlive && this.#requestDone && framing !== BODY.UNTIL_CLOSE && !leaving && this.listener.entry !== null;
    this.#closing = !keep;
    const date = head.find(NAME.DATE);
    const dated = date >= 0 && !head.dropped(date);
    if (dated && keep && added === null && !chunk && this.#version > 10) {
      // Nothing to insert: the head goes on where it stands, and content that is behind it with it.
      const start = stripResponseInPlace(mem, head);
      if (start >= 0) {
        transport.hold(start, head.end);
        return;
      }
    }
    const connection = !keep ? SAYS.CLOSE : this.#version === 10 ? SAYS.KEEP_ALIVE : SAYS.NOTHING;
    const at = transport.reserve(headBytes(head, added));
    transport.commit(putFinal(mem, at, head, added, uuidAt, chunk, dated ? -1 : io.wallMs, connection));
  }

  body(start: number, end: number, free: number): void {
    const transport = this.#transport;
    if (this.#framing !== BODY.CHUNKED) {
      transport.write(start, end, free);
      return;
    }
    const mem = this.#core.mem;
    transport.commit(putChunkHead(mem, transport.reserve(CHUNK_HEAD_BYTES), end - start));
    transport.write(start, end, 0);
    transport.commit(put(mem, transport.reserve(CHUNK_END.length), CHUNK_END));
  }

  trailers(start: number, end: number): void {
    if (this.#framing !== BODY.CHUNKED) return;
    const at = this.#transport.reserve(LAST_CHUNK.length + end - start);
    this.#transport.commit(putTrailers(this.#core.mem, at, start, end));
    // The section ends the body.
    this.#framing = BODY.NONE;
  }

  end(): void {
    const transport = this.#transport;
    if (this.#state === TUNNEL) {
      transport.end();
      return;
    }
    if (this.#framing === BODY.CHUNKED) {
      transport.commit(put(this.#core.mem, transport.reserve(LAST_CHUNK.length), LAST_CHUNK));
    }
    transport.uncork();
  }

  get requestUs(): number {
    return this.#headUs < 0 ? this.#core.io.nowUs : this.#headUs;
  }

  get sentBytes(): number {
    return this.#transport.sentBytes;
  }

  get unsentBytes(): number {
    return this.#transport.unsentBytes;
  }

  flush(): boolean {
    this.#transport.uncork();
    return !this.#transport.congested;
  }

  answer(answer: Answer, start: number, end: number, uuidAt: number): number {
    const { io, mem } = this.#core;
    const transport = this.#transport;
    const toHead = this.#toHead;
    if (answer.closes) this.#keepAlive = false;
    const close = this.#mustClose();
    const at = transport.reserve(answerBound(answer) + end - start);
    transport.commit(putAnswer(mem, at, answer, start, end, uuidAt, io.wallMs, close, toHead));
    transport.uncork();
    return toHead ? 0 : answer.body.length;
  }

  /** Whether an answer of our own ends the connection: also when content of its request is still to come. */
  #mustClose(): boolean {
    // Content that is all here is skipped; it is as if the request had none.
    if (!this.#requestDone && this.#skippable > 0) this.#requestDone = true;
    this.#closing =
      !this.#keepAlive ||
      !this.#requestDone ||
      this.#core.leaving ||
      this.#version === 10 ||
      this.listener.entry === null;
    return this.#closing;
  }

  retract(): boolean {
    const transport = this.#transport;
    // All of it that was written is still gathered.
    if (transport.sentBytes + transport.unsentBytes !== this.#sentBefore) return false;
    transport.discard();
    this.#framing = BODY.NONE;
    return true;
  }

  abort(): void {
    this.#exchange = null;
    this.#close();
    // What came before the fault is the client's.
    this.#transport.uncork();
    this.#transport.abort();
  }

  release(): void {
    if (this.#state === CLOSED) return;
    this.#exchange = null;
    if (this.#closing) {
      const wasTunnel = this.#state === TUNNEL;
      this.#close();
      if (wasTunnel) {
        this.#transport.finish(false);
        return;
      }
      // A client that did not ask for the close may have sent more already, which would turn ours into a reset that
      // takes the answer with it (RFC 9112 section 9.6).
      this.#transport.finish(!this.#requestDone || this.#transport.unread || this.#keepAlive);
      return;
    }
    if (this.#transport.congested) {
      const { io } = this.#core;
      this.#state = FLUSH;
      this.#sentBefore = this.#transport.sentBytes;
      io.timers.arm(this.#timer, io.nowMs, LIMITS.STREAM_IDLE_MS);
      return;
    }
    this.#nextRequest();
  }

  #nextRequest(): void {
    const { io, draining, clientIdleMs } = this.#core;
    this.#state = IDLE;
    this.#scanned = 0;
    io.timers.arm(this.#timer, io.nowMs, draining ? LIMITS.DRAIN_IDLE_MS : clientIdleMs);
    this.#transport.resume();
  }

  #close(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#core.io.timers.cancel(this.#timer);
    this.#owner.closed(this);
  }
}

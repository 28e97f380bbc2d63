// An HTTP/1.1 connection to a backend: one exchange at a time. It knows framing (RFC 9112) and its pool, nothing of
// routes.

import { put } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { ERRNO, type Handle } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { CELL, limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../exchange/core.ts';
import { BACKEND_ERROR, countLimit } from '../exchange/counts.ts';
import type { PreparedRequest, ResponseSide, Upstream } from '../exchange/sides.ts';
import { BODY } from '../head.ts';
import { framingWork } from '../transport/shared.ts';
import { Tcp } from '../transport/tcp.ts';
import type { TransportUser } from '../transport/transport.ts';
import { PlainWire } from '../transport/wire.ts';
import type { EndpointPool } from '../upstream/endpoint.ts';
import { BODY_STATE, BodyReader } from './body.ts';
import { parseResponse } from './response.ts';
import { BAD, findHeadEnd, MORE } from './scan.ts';
import { putTrailers } from './trailers.ts';
import { CHUNK_END, CHUNK_HEAD_BYTES, LAST_CHUNK, putChunkHead } from './write.ts';

const CONNECTING = 0;
const IDLE = 1;
/** Waiting for a response head, or reading it. */
const HEAD = 2;
const BODY_ = 3;
const CLOSED = 4;

const CONNECT_LIMIT = limitCell('UPSTREAM_CONNECT_MS');

export class Http1Client implements TransportUser, Upstream, TimerSink {
  readonly #core: Core;
  readonly #pool: EndpointPool;
  readonly #transport: Tcp;
  readonly #handle: Handle;
  readonly #timer: Timer;
  readonly #reader = new BodyReader();
  #state = CONNECTING;
  #exchange: ResponseSide | null = null;
  /** It has served a request before: the backend may be closing it just now (RFC 9112 section 9.5). */
  #served = false;
  /** Bytes of a response to the exchange's request came. */
  #answered = false;
  #keepAlive = true;
  /** The whole request went out. */
  #sent = false;
  /** Its content has no announced length. */
  #chunked = false;
  /** Bytes of an unfinished head that were searched for its end. */
  #scanned = 0;
  /** Turn of the reactor in which it stopped being idle. */
  #takenTurn = -1;
  nextIdle: Http1Client | null = null;
  previousIdle: Http1Client | null = null;

  constructor(core: Core, pool: EndpointPool, handle: Handle) {
    this.#core = core;
    this.#pool = pool;
    this.#handle = handle;
    this.#transport = new Tcp(core.shared, new PlainWire(core.io, handle), false, true);
    this.#transport.user = this;
    this.#timer = new Timer(this, 0);
  }

  // ---- for the pool

  /** The exchange it is for from now on. */
  assign(exchange: ResponseSide): void {
    this.#exchange = exchange;
    this.#answered = false;
    this.#sent = false;
    this.#scanned = 0;
    if (this.#state === CONNECTING) return;
    this.#state = HEAD;
    this.#takenTurn = this.#core.shared.turn;
  }

  /** Begins connecting. */
  open(): void {
    const { io } = this.#core;
    // Responses before requests: what is under way ends, and its connection is free, before more begins; and each
    // side's work in a row is cheaper than both in turn (docs/adr/0001-event-loop.md).
    if (io.watch(this.#handle, this.#transport, true) < 0) {
      this.onLost(ERRNO.ENOMEM);
      return;
    }
    io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_CONNECT_MS);
  }

  /** It is idle now, in the pool. */
  rest(): void {
    const { io } = this.#core;
    this.#state = IDLE;
    io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_IDLE_MS);
  }

  /** Closes it, whatever it is doing. */
  close(): void {
    if (this.#state === CLOSED) return;
    const wasIdle = this.#state === IDLE;
    const orderly = wasIdle || this.#state === BODY_;
    this.#state = CLOSED;
    this.#exchange = null;
    this.#core.io.timers.cancel(this.#timer);
    // What is unfinished is reset, so that the backend stops working for nobody.
    if (orderly && this.#sent) this.#transport.finish(false);
    else this.#transport.abort();
    this.#pool.gone(this, wasIdle);
  }

  onTimer(): void {
    if (this.#state === CONNECTING) {
      this.#core.cells.add(CONNECT_LIMIT, 1);
      this.#core.cells.add(CELL.UPSTREAM_CONNECT_FAILURES_TOTAL, 1);
      this.#fail(FAULTS.connectTimeout, BACKEND_ERROR.connectTimeout);
    } else if (this.#state === IDLE) {
      this.close();
    }
  }

  // ---- for the exchange

  send(request: PreparedRequest): void {
    const transport = this.#transport;
    this.#sent = request.done;
    this.#chunked = request.length < 0;
    if (!this.#chunked) {
      transport.write(request.start, request.end, 0);
      return;
    }
    // Gathered: the head, a chunk of what is here, and the end if it is.
    transport.commit(transport.reserve(0));
    transport.write(request.start, request.bodyStart, 0);
    if (request.bodyStart < request.end) this.body(request.bodyStart, request.end);
    if (request.end < request.trailersEnd) this.trailers(request.end, request.trailersEnd);
    else if (request.done) this.end();
    transport.uncork();
  }

  body(start: number, end: number): void {
    const transport = this.#transport;
    if (!this.#chunked) {
      transport.write(start, end, 0);
      return;
    }
    transport.commit(putChunkHead(this.#core.mem, transport.reserve(CHUNK_HEAD_BYTES), end - start));
    transport.write(start, end, 0);
    transport.commit(put(this.#core.mem, transport.reserve(CHUNK_END.length), CHUNK_END));
  }

  trailers(start: number, end: number): void {
    const transport = this.#transport;
    if (this.#chunked) {
      const at = transport.reserve(LAST_CHUNK.length + end - start);
      transport.commit(putTrailers(this.#core.mem, at, start, end));
    }
    this.#sent = true;
  }

  end(): void {
    if (this.#chunked) {
      this.#transport.commit(put(this.#core.mem, this.#transport.reserve(LAST_CHUNK.length), LAST_CHUNK));
    }
    this.#sent = true;
  }

  flush(): boolean {
    this.#transport.uncork();
    return !this.#transport.congested;
  }

  get sentBytes(): number {
    return this.#transport.sentBytes;
  }

  resumeResponse(): void {
    this.#transport.resume();
  }

  cancel(): void {
    this.#sent = false;
    this.close();
  }

  // ---- for the transport

  onConnected(): void {
    const { io } = this.#core;
    io.timers.cancel(this.#timer);
    const exchange = this.#exchange as ResponseSide;
    if (this.#transport.unread) {
      // It has spoken, or ended, before it was asked.
      this.#fail(FAULTS.connectFailed, BACKEND_ERROR.connect);
      return;
    }
    this.#state = HEAD;
    this.#takenTurn = -1;
    exchange.onUpstreamReady(this);
  }

  onBytes(start: number, end: number): number {
    // Bytes without a request are nobody's response: whoever came next would get them (RFC 9112 section 9.2). What was
    // ready in the turn in which an idle connection was taken had come before its request.
    if (this.#state === IDLE) {
      this.close();
      return end;
    }
    if (this.#takenTurn === this.#core.shared.turn && this.#served && !this.#answered) {
      this.#lost();
      return end;
    }
    let at = start;
    if (this.#state === HEAD) {
      at = this.#readHeads(start, end);
      if (at < 0) return end;
      if (this.#state === HEAD) return at;
    }
    // Behind a head, all before the content is free, and the headroom of the shared block too.
    const free = at === start ? 0 : at - start + (start === this.#core.shared.readAt ? LIMITS.READ_HEADROOM_BYTES : 0);
    at = this.#readBody(at, end, free);
    const exchange = this.#exchange;
    if (exchange !== null && !exchange.flushResponse()) this.#transport.pause();
    return at;
  }

  /** Interim heads and the final one. Returns where reading goes on, -1 when the connection is over or released. */
  #readHeads(start: number, end: number): number {
    const { mem, response: head } = this.#core;
    const exchange = this.#exchange as ResponseSide;
    let at = start;
    this.#answered = true;
    for (;;) {
      if (at === end) return at;
      if (this.#scanned > 0) {
        if (end - at < LIMITS.HEAD_BYTES && findHeadEnd(mem, Math.max(at, at + this.#scanned - 3), end) < 0) {
          this.#scanned = end - at;
          return at;
        }
        this.#scanned = 0;
      }
      const parsed = parseResponse(mem, at, end, head, exchange.toHead);
      if (parsed === MORE) {
        this.#scanned = end - at;
        return at;
      }
      // 101 answers an Upgrade, which was not asked for (RFC 9110 section 15.2.2).
      if (parsed === BAD || head.status === 101) {
        if (parsed === BAD) countLimit(this.#core.cells, head.limit);
        this.#fail(FAULTS.upstreamMalformed, BACKEND_ERROR.malformed);
        return -1;
      }
      at = head.end;
      if (head.status >= 200) break;
      exchange.onInterim(head);
      if (this.#exchange !== exchange) return -1;
    }
    this.#state = BODY_;
    this.#keepAlive = head.keepAlive;
    this.#reader.reset(head.body, head.contentLength, true);
    exchange.onResponse(head);
    return this.#exchange === exchange ? at : -1;
  }

  #readBody(start: number, end: number, free: number): number {
    const { mem, shared } = this.#core;
    const reader = this.#reader;
    const exchange = this.#exchange as ResponseSide;
    let at = start;
    for (;;) {
      const state = reader.read(mem, at, end);
      shared.work -= framingWork(reader.next - at - reader.dataBytes);
      at = reader.next;
      switch (state) {
        case BODY_STATE.DATA:
          exchange.responseBody(reader.dataStart, reader.dataEnd, reader.dataStart === start ? free : 0);
          if (shared.work > 0 || at === end) break;
          this.#transport.yield();
          return at;
        case BODY_STATE.TRAILERS:
          exchange.responseTrailers(reader.trailersStart, reader.trailersEnd);
          break;
        case BODY_STATE.END:
          this.#complete(at < end);
          return end;
        case BODY_STATE.MORE:
          return at;
        default:
          countLimit(this.#core.cells, reader.limit);
          this.#fail(FAULTS.upstreamMalformed, BACKEND_ERROR.malformed);
          return end;
      }
    }
  }

  /** The response is complete. `excess`: bytes follow it. */
  #complete(excess: boolean): void {
    const exchange = this.#exchange as ResponseSide;
    const transport = this.#transport;
    const reusable = this.#keepAlive && this.#sent && !excess && !transport.congested && transport.open;
    this.#exchange = null;
    this.#served = true;
    if (!reusable) {
      this.#state = CLOSED;
      this.#core.io.timers.cancel(this.#timer);
      if (this.#sent && !transport.congested) transport.finish(false);
      else transport.abort();
      this.#pool.gone(this, false);
      exchange.responseEnded();
      return;
    }
    exchange.responseEnded();
    this.#pool.release(this);
  }

  onEnd(): void {
    if (this.#state === IDLE) this.close();
    else if (this.#state === BODY_ && this.#reader.kind === BODY.UNTIL_CLOSE) this.#complete(false);
    else this.#lost();
  }

  onLost(errno: number): void {
    if (this.#state === IDLE) {
      this.close();
    } else if (this.#state === CONNECTING) {
      this.#core.cells.add(CELL.UPSTREAM_CONNECT_FAILURES_TOTAL, 1);
      const timedOut = errno === ERRNO.ETIMEDOUT;
      this.#fail(
        timedOut ? FAULTS.connectTimeout : FAULTS.connectFailed,
        timedOut ? BACKEND_ERROR.connectTimeout : BACKEND_ERROR.connect,
      );
    } else {
      this.#lost();
    }
  }

  /** Reading goes on when it is resumed, and will find out. */
  onHangup(): void {}
  onPeerClosed(): void {}
  onRelayed(): void {}

  onDrained(): void {
    this.#exchange?.onUpstreamDrained();
  }

  /** The connection ended before the response did. */
  #lost(): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (this.#served && !this.#answered) {
      this.#detach();
      exchange.onUpstreamStale();
    } else {
      this.#fail(FAULTS.upstreamReset, BACKEND_ERROR.reset);
    }
  }

  #fail(fault: Fault, error: number): void {
    const exchange = this.#exchange;
    this.#detach();
    exchange?.onUpstreamFault(fault, error);
  }

  #detach(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#exchange = null;
    this.#core.io.timers.cancel(this.#timer);
    this.#transport.abort();
    this.#pool.gone(this, false);
  }
}

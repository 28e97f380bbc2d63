// An HTTP/1.1 connection to a backend: one exchange at a time. It knows framing (RFC 9112) and its pool, nothing of
// routes.

import { present } from '../../base/assert.ts';
import { bytesOf, equalLowerAt, put } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, countLimit } from '../counts.ts';
import type { PreparedRequest, ResponseSide, Upstream } from '../exchange/sides.ts';
import { BODY, bitsOf, type Head, NAME } from '../head.ts';
import { framingWork } from '../transport/shared.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import type { ConnectionPool, Connector, UpstreamConnection } from '../upstream/connection.ts';
import { BODY_STATE, BodyReader } from './body.ts';
import { parseResponse } from './response.ts';
import { BAD, findHeadEnd, MORE } from './scan.ts';
import { putTrailers } from './trailers.ts';
import { CHUNK_END, CHUNK_HEAD_BYTES, LAST_CHUNK, putChunkHead } from './write.ts';

const IDLE = 0;
/** Waiting for a response head, or reading it. */
const HEAD = 1;
const BODY_ = 2;
/** The protocol was switched: bytes, both ways. */
const TUNNEL = 3;
const CLOSED = 4;

const KEEP_ALIVE = bitsOf(NAME.KEEP_ALIVE);
const TIMEOUT = bytesOf('timeout=');
/** A backend that closes a connection sooner than this after a response never meant to keep it. */
const ABRUPT_MS = 1000;

/** Makes clients of transports that stand. */
export class Http1Connector implements Connector {
  readonly expected = 1;
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  connect(transport: Transport, pool: ConnectionPool): UpstreamConnection | null {
    // Of a layer only it can say whether something is left to read.
    if (transport.wire.layered ? !transport.isQuiet() : transport.unread) {
      // It has spoken, or ended, before it was asked.
      transport.abort();
      return null;
    }
    return new Http1Client(this.#core, pool, transport);
  }
}

class Http1Client implements TransportUser, Upstream, UpstreamConnection, TimerSink {
  readonly #core: Core;
  readonly #pool: ConnectionPool;
  readonly #transport: Transport;
  readonly #timer: Timer;
  readonly #reader = new BodyReader();
  #state = IDLE;
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
  /** It asks for another protocol. */
  #upgrade = false;
  /** Of a tunnel: what the client and the backend said is over. */
  #clientEnded = false;
  #backendEnded = false;
  /** Bytes of an unfinished head that were searched for its end. */
  #scanned = 0;
  /** Turn of the reactor in which it stopped being idle. */
  #takenTurn = -1;
  /** When it was free last (monotonic ms), and for how long it may rest. */
  #restedMs = 0;
  #restedTurn = -1;
  #restMs: number = LIMITS.UPSTREAM_IDLE_MS;
  readonly opening = false;
  // ---- the pool's list
  listed = false;
  next: UpstreamConnection | null = null;
  previous: UpstreamConnection | null = null;

  constructor(core: Core, pool: ConnectionPool, transport: Transport) {
    this.#core = core;
    this.#pool = pool;
    this.#transport = transport;
    this.#timer = new Timer(this, 0);
    transport.user = this;
  }

  // ---- for the pool

  get free(): number {
    return this.#state === IDLE ? 1 : 0;
  }

  get busy(): number {
    return this.#state === IDLE ? 0 : 1;
  }

  take(exchange: ResponseSide): Upstream {
    this.#exchange = exchange;
    this.#answered = false;
    this.#sent = false;
    this.#scanned = 0;
    this.#state = HEAD;
    this.#takenTurn = this.#core.shared.turn;
    return this;
  }

  isQuiet(): boolean {
    // Since the turn in which it became free the reactor would have told: backends come first in each (ADR 1).
    if (this.#restedTurn !== this.#core.shared.turn) return !this.#transport.unread;
    return this.#transport.isQuiet();
  }

  rest(): void {
    const { io } = this.#core;
    io.timers.arm(this.#timer, io.nowMs, this.#restMs);
  }

  close(): void {
    this.#close(false);
  }

  leave(): void {
    this.#keepAlive = false;
    if (this.#state === IDLE) this.#close(false);
  }

  #close(unannounced: boolean): void {
    if (this.#state === CLOSED) return;
    // What is unfinished is reset, so that the backend stops working for nobody; what a tunnel's client said comes
    // before.
    const tunnel = this.#state === TUNNEL;
    const orderly = tunnel ? this.#clientEnded && this.#backendEnded : this.#sent && this.#state !== HEAD;
    this.#state = CLOSED;
    this.#exchange = null;
    this.#core.io.timers.cancel(this.#timer);
    if (orderly) this.#transport.finish(false);
    else if (tunnel) this.#transport.breakOff();
    else this.#transport.abort();
    this.#pool.gone(this, unannounced);
  }

  /** A backend that ends it now had never meant to keep it. */
  #isAbrupt(): boolean {
    return this.#served && this.#core.io.nowMs - this.#restedMs < ABRUPT_MS;
  }

  onTimer(): void {
    if (this.#state === IDLE) this.#close(false);
  }

  // ---- for the exchange

  send(request: PreparedRequest): void {
    const transport = this.#transport;
    this.#sent = request.done;
    this.#chunked = request.length < 0;
    this.#upgrade = request.upgrade;
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
    // A chunk of nothing is the last one.
    if (start === end) return;
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
    if (this.#state === TUNNEL) {
      this.#clientEnded = true;
      this.#transport.end();
      return;
    }
    if (this.#chunked) {
      this.#transport.commit(put(this.#core.mem, this.#transport.reserve(LAST_CHUNK.length), LAST_CHUNK));
    }
    this.#sent = true;
  }

  get plain(): Transport | null {
    return this.#transport;
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

  cancel(unused: boolean): void {
    this.#sent = false;
    if (!unused || this.#state !== HEAD || !this.#transport.open) {
      this.close();
      return;
    }
    this.#exchange = null;
    this.#state = IDLE;
    this.#pool.released(this);
  }

  // ---- for the transport

  onConnected(): void {}

  onBytes(start: number, end: number): number {
    // Bytes without a request are nobody's response: whoever came next would get them (RFC 9112 section 9.2). What was
    // ready in the turn in which an idle connection was taken had come before its request.
    if (this.#state === IDLE) {
      this.close();
      return end;
    }
    if (this.#state === TUNNEL) return this.#tunnel(start, end);
    if (this.#takenTurn === this.#core.shared.turn && this.#served && !this.#answered) {
      this.#lost();
      return end;
    }
    let at = start;
    if (this.#state === HEAD) {
      at = this.#readHeads(start, end);
      if (at < 0) return end;
      if (this.#state === HEAD) return at;
      if ((this.#state as number) === TUNNEL) return at < end ? this.#tunnel(at, end) : end;
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
      // 101 answers an Upgrade; where none was asked for it is a fault (RFC 9110 section 15.2.2).
      const switched = head.status === 101;
      if (parsed === BAD || (switched && !(this.#upgrade && head.upgrade && this.#sent))) {
        if (parsed === BAD) {
          countLimit(this.#core.cells, head.limit);
          exchange.noteLimit(head.limit);
        }
        const fault = parsed === BAD && head.fault !== null ? head.fault : FAULTS.upstreamMalformed;
        this.#fail(fault, BACKEND_ERROR.malformed);
        return -1;
      }
      at = head.end;
      if (switched) {
        this.#state = TUNNEL;
        exchange.onSwitched(head);
        return this.#exchange === exchange ? at : -1;
      }
      if (head.status >= 200) break;
      exchange.onInterim(head);
      if (this.#exchange !== exchange) return -1;
    }
    this.#state = BODY_;
    this.#keepAlive = head.keepAlive;
    if ((head.seen & KEEP_ALIVE) !== 0) this.#readKeepAlive(head);
    this.#reader.reset(head.body, head.contentLength, true);
    exchange.onResponse(head);
    return this.#exchange === exchange ? at : -1;
  }

  /**
   * `Keep-Alive: timeout=N` (RFC 2068 section 19.7.1.1): the backend closes the connection N seconds after a response.
   */
  #readKeepAlive(head: Head): void {
    const { mem } = this.#core;
    const k = head.find(NAME.KEEP_ALIVE);
    const end = head.valueEnd(k);
    let at = head.valueStart(k);
    while (at + TIMEOUT.length < end && !equalLowerAt(mem, at, TIMEOUT)) at++;
    at += TIMEOUT.length;
    let seconds = 0;
    const first = at;
    for (; at < end && at < first + 6; at++) {
      const digit = (mem[at] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      seconds = seconds * 10 + digit;
    }
    if (at === first) return;
    if (seconds === 0) this.#keepAlive = false;
    // We give it up before the backend does: a request on its way would meet the end.
    this.#restMs = Math.min(LIMITS.UPSTREAM_IDLE_MS, seconds * 1000 - Math.min(1000, seconds * 500));
  }

  #endTunnel(): void {
    this.#backendEnded = true;
    this.#exchange?.onBackendEnded();
  }

  /** Bytes of the protocol that was switched to. */
  #tunnel(start: number, end: number): number {
    const exchange = present(this.#exchange, 'the exchange');
    exchange.responseBody(start, end, 0);
    if (!exchange.flushResponse()) this.#transport.pause();
    return end;
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
    this.#state = IDLE;
    this.#restedMs = this.#core.io.nowMs;
    this.#restedTurn = this.#core.shared.turn;
    this.#pool.released(this);
  }

  onEnd(): void {
    if (this.#state === IDLE) this.#close(this.#isAbrupt());
    else if (this.#state === TUNNEL) this.#endTunnel();
    else if (this.#state === BODY_ && this.#reader.kind === BODY.UNTIL_CLOSE) this.#complete(false);
    else this.#lost();
  }

  onLost(): void {
    if (this.#state === IDLE) this.#close(this.#isAbrupt());
    else this.#lost();
  }

  /**
   * Reading goes on when it is resumed, and will find out. A backend that has ended a tunnel takes no more of it: who
   * waits for that is told to go on, until the client ends it, too.
   */
  onHangup(): void {
    if (this.#backendEnded) this.#exchange?.onUpstreamDrained();
  }
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
      this.#detach(this.#isAbrupt());
      exchange.onUpstreamStale();
    } else {
      this.#fail(FAULTS.upstreamReset, BACKEND_ERROR.reset);
    }
  }

  #fail(fault: Fault, error: number): void {
    const exchange = this.#exchange;
    this.#detach(false);
    exchange?.onUpstreamFault(fault, error);
  }

  #detach(unannounced: boolean): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#exchange = null;
    this.#core.io.timers.cancel(this.#timer);
    this.#transport.abort();
    this.#pool.gone(this, unannounced);
  }
}

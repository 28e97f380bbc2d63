// An HTTP/1 connection of a client: requests one after the other, each handed to an exchange; the next one is read only
// when the one before is answered (RFC 9112 section 9.3.2). It knows framing and its transport, nothing of routes or
// backends.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { ClientInfo } from '../client-info.ts';
import type { Connection, ConnectionOwner } from '../connection.ts';
import type { Core } from '../core.ts';
import { countLimit } from '../counts.ts';
import type { RequestSide } from '../exchange/sides.ts';
import type { Head } from '../head.ts';
import type { Listener } from '../listener.ts';
import { HEAD_WORK } from '../transport/shared.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import { type AnsweredConnection, Http1Downstream } from './downstream.ts';
import { parseRequest } from './request.ts';
import { type ContentOwner, RequestContent } from './request-content.ts';
import { BAD, findHeadEnd, MORE } from './scan.ts';
import { BODY, CLOSED, FLUSH, HEAD, IDLE, LEFT, TUNNEL, WAIT } from './server-states.ts';

const IDLE_LIMIT = limitCell('IDLE_MS');
const HEAD_LIMIT = limitCell('HEAD_MS');
const STALL_LIMIT = limitCell('STREAM_IDLE_MS');

export class Http1Server implements Connection, TransportUser, AnsweredConnection, ContentOwner, TimerSink {
  readonly #core: Core;
  readonly listener: Listener;
  readonly #owner: ConnectionOwner;
  readonly #transport: Transport;
  readonly #timer: Timer;
  readonly #down: Http1Downstream;
  /** Past the limit of connections: its first request is answered 503. */
  readonly #refused: boolean;
  #content: RequestContent | null = null;

  #state = IDLE;
  #exchange: RequestSide | null = null;
  #scanned = 0;
  /** When the first byte of the request that comes next was here, in monotonic us; below 0 while none is. */
  #headUs = -0.5;
  /** Bytes the client had taken when last looked at, while flushing. */
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
    this.#down = new Http1Downstream(core, this, transport, info, refused);
    this.#refused = refused;
    this.#timer = new Timer(this, 0);
    transport.user = this;
    this.#arm(core.clientIdleMs);
  }

  // ---- for the owner

  /** The worker leaves: an idle connection is closed after `ms`, a busy one with its next answer. */
  drain(ms: number): void {
    if (this.#state === IDLE) this.#arm(ms);
  }

  leave(tunnels: boolean): number {
    const exchange = this.#exchange;
    if (exchange !== null) return exchange.leave(tunnels) ? 1 : 0;
    if (tunnels || this.#state === CLOSED) return 0;
    this.#close();
    this.#transport.finish(false);
    return 0;
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
    const { cells } = this.#core;
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
      case BODY:
        (this.#content as RequestContent).late(this.#exchange as RequestSide, this.#down.awaits100);
        break;
      case FLUSH:
        if (this.#transport.sentBytes !== this.#sentBefore) {
          this.#sentBefore = this.#transport.sentBytes;
          this.#arm(LIMITS.STREAM_IDLE_MS);
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
    if (at < end && this.#headUs < 0 && this.#state !== BODY) this.#headUs = this.#core.io.nowUs;
    return at;
  }

  #use(start: number, end: number): number {
    const { shared } = this.#core;
    let at = start;
    while (at < end) {
      if (this.#state === BODY) {
        this.#down.awaits100 = false;
        at = (this.#content as RequestContent).read(this.#exchange as RequestSide, at, end);
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
    const { mem, request: head } = this.#core;
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
        this.#arm(LIMITS.HEAD_MS);
      }
      return -1;
    }
    if (parsed === BAD) {
      const other = head.fault === FAULTS.version ? this.#down.prefaced(this.#owner, this, start) : null;
      if (other !== null) {
        this.#state = LEFT;
        this.#core.io.timers.cancel(this.#timer);
        return other.onBytes(start, end);
      }
      countLimit(this.#core.cells, head.limit);
      this.#refuse(head.fault as Fault, head.limit);
      return end;
    }
    this.#core.shared.work -= HEAD_WORK + head.count;
    return this.#begin(head, end);
  }

  #begin(head: Head, end: number): number {
    const bodyStart = head.end;
    const exchange = this.#owner.request(this.listener);
    this.#exchange = exchange;
    const down = this.#down;
    down.begin(head, end - bodyStart);
    if (down.requestDone) {
      this.#state = WAIT;
    } else {
      this.#state = BODY;
      this.#content ??= new RequestContent(this.#core, this, this.#transport, this.#timer);
      this.#content.begin(head);
    }
    if (this.#refused) {
      down.keepAlive = false;
      exchange.refuse(down, FAULTS.overload, 'DOWNSTREAM_CONNECTIONS');
    } else exchange.begin(down, head);
    this.#headUs = -0.5;
    const skippable = down.skippable;
    down.skippable = 0;
    if (this.#exchange !== exchange) return bodyStart + skippable;
    if (down.requestDone) exchange.requestEnded(0, 0);
    else if (!exchange.takesBody) this.#transport.pause();
    else if (bodyStart === end) exchange.flushRequest();
    return bodyStart;
  }

  onContentComplete(): void {
    this.#down.requestDone = true;
    this.#state = WAIT;
    this.#transport.pause();
  }

  /** Answers what is no request, and ends the connection. */
  #refuse(fault: Fault, limit: LimitName | null): void {
    const exchange = this.#owner.request(this.listener);
    this.#exchange = exchange;
    this.#state = WAIT;
    this.#down.beginRefused();
    exchange.refuse(this.#down, fault, limit);
    this.#headUs = -0.5;
  }

  onEnd(): void {
    if (this.#state === IDLE || this.#state === HEAD) {
      this.#close();
      this.#transport.finish(false);
    } else if (this.#state === BODY) {
      this.destroy();
    } else if (this.#state === TUNNEL) {
      this.#exchange?.requestEnded(0, 0);
    }
  }

  /**
   * The client sends no more, and something is not answered yet. It may be waiting (RFC 9112 section 9.6 lets it), but
   * most that send FIN are gone: docs/adr/0011-half-close.md.
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
    if (this.#state !== TUNNEL || this.#exchange?.orphan() !== true) this.destroy();
  }

  onDrained(): void {
    if (this.#state === FLUSH) this.#nextRequest();
    else this.#exchange?.onDownstreamDrained();
  }

  // ---- the response

  get requestUs(): number {
    return this.#headUs < 0 ? this.#core.io.nowUs : this.#headUs;
  }

  onContinued(): void {
    if (this.#state === BODY) this.#arm(this.#core.bodyProgressMs);
  }

  onSwitched(): void {
    this.#state = TUNNEL;
    this.#core.io.timers.cancel(this.#timer);
  }

  onAborted(): void {
    this.#exchange = null;
    this.#close();
    // What came before the fault is the client's.
    this.#transport.breakOff();
  }

  onReleased(): void {
    if (this.#state === CLOSED) return;
    this.#exchange = null;
    const down = this.#down;
    if (down.closing) {
      const wasTunnel = this.#state === TUNNEL;
      this.#close();
      // A client that did not ask for the close may have sent more already, which would turn ours into a reset that
      // takes the answer with it (RFC 9112 section 9.6).
      const saidMore = !down.requestDone || this.#transport.unread || down.keepAlive;
      this.#transport.finish(saidMore && !wasTunnel);
      return;
    }
    if (this.#transport.congested) {
      this.#state = FLUSH;
      this.#sentBefore = this.#transport.sentBytes;
      this.#arm(LIMITS.STREAM_IDLE_MS);
      return;
    }
    this.#nextRequest();
  }

  #nextRequest(): void {
    const { draining, clientIdleMs } = this.#core;
    this.#state = IDLE;
    this.#scanned = 0;
    this.#arm(draining ? LIMITS.DRAIN_IDLE_MS : clientIdleMs);
    this.#transport.resume();
  }

  /** What it waits for now has to come within `ms`. */
  #arm(ms: number): void {
    const { io } = this.#core;
    io.timers.arm(this.#timer, io.nowMs, ms);
  }

  #close(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#core.io.timers.cancel(this.#timer);
    this.#owner.closed(this);
  }
}

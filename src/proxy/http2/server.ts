// A connection of a client that speaks HTTP/2: its requests go to exchanges, each a stream of its own.

import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { ClientInfo } from '../client-info.ts';
import type { Connection, ConnectionOwner } from '../connection.ts';
import { countLimit } from '../counts.ts';
import type { Head } from '../head.ts';
import type { Listener } from '../listener.ts';
import type { Transport } from '../transport/transport.ts';
import type { ServerStream, StreamOwner } from './downstream.ts';
import { putTrailerLines, trailersBound } from './fields-out.ts';
import { CODE, FLAG, MOST } from './frames.ts';
import { HPACK } from './hpack/decoder.ts';
import { HpackEncoder } from './hpack/encoder.ts';
import { priorityOf, UNSAID } from './priority.ts';
import { RequestReader } from './request-reader.ts';
import type { Http2Servers } from './servers.ts';
import { Session } from './session.ts';
import { SETTING } from './settings.ts';
import type { Stream } from './stream.ts';

const IDLE_LIMIT = limitCell('IDLE_MS');
const HEAD_LIMIT = limitCell('HEAD_MS');
const STREAMS_LIMIT = limitCell('HTTP2_STREAMS');
const PRIORITIES_LIMIT = limitCell('HTTP2_PRIORITIES');
const SETTINGS_LIMIT = limitCell('HTTP2_SETTINGS_MS');
const STALL_LIMIT = limitCell('STREAM_IDLE_MS');

const SETTINGS: readonly (readonly [number, number])[] = [
  [SETTING.MAX_CONCURRENT_STREAMS, LIMITS.HTTP2_STREAMS],
  [SETTING.INITIAL_WINDOW_SIZE, LIMITS.HTTP2_STREAM_WINDOW_BYTES],
  [SETTING.MAX_HEADER_LIST_SIZE, LIMITS.HEAD_BYTES],
  [SETTING.ENABLE_CONNECT_PROTOCOL, 1],
  [SETTING.NO_RFC7540_PRIORITIES, 1],
];

// Timers.
const IDLE = 0;
const SETTLED = 1;
const SECTION = 2;

// How far it is with leaving (section 6.8): clients were told that they should, and which streams count.
const STAYS = 0;
const WARNED = 1;
const LEAVES = 2;

export class Http2Server extends Session implements Connection, StreamOwner, TimerSink {
  readonly #servers: Http2Servers;
  readonly #owner: ConnectionOwner;
  readonly listener: Listener;
  readonly info: ClientInfo;
  /** Past the limit of connections: its requests are answered 503. */
  readonly #refused: boolean;
  readonly encoder: HpackEncoder;
  readonly #reader: RequestReader;
  readonly #idle = new Timer(this, IDLE);
  readonly #settled = new Timer(this, SETTLED);
  readonly #section = new Timer(this, SECTION);
  #leaving = STAYS;
  /** Streams above it are not taken any more. */
  #lastTaken = MOST;
  #full = false;
  /** Those said of streams that are still to be opened. */
  #priorities: Map<number, number> | null = null;
  #sentBefore = 0;
  // ---- the owner's list
  next: Connection | null = null;
  previous: Connection | null = null;

  constructor(
    servers: Http2Servers,
    listener: Listener,
    owner: ConnectionOwner,
    transport: Transport,
    info: ClientInfo,
    refused: boolean,
  ) {
    super(servers.core, servers.turns, transport, false);
    this.#servers = servers;
    this.listener = listener;
    this.#owner = owner;
    this.info = info;
    this.#refused = refused;
    const { io } = servers.core;
    this.encoder = new HpackEncoder(io);
    this.#reader = new RequestReader(servers.core, servers.turns);
    transport.user = this;
    transport.mayQueue(LIMITS.HTTP2_QUEUE_BYTES);
    this.greet(SETTINGS);
    // Its first SETTINGS have to come as soon as a head would.
    io.timers.arm(this.#section, io.nowMs, LIMITS.HEAD_MS);
  }

  // ---- requests

  protected isIdle(id: number): boolean {
    return id > this.lastPeerId || (id & 1) === 0;
  }

  protected onSection(id: number, stream: Stream | null, start: number, end: number, flags: number): number {
    const { core } = this;
    const ended = (flags & FLAG.END_STREAM) !== 0;
    const decoded = this.#reader.decode(start, end, stream !== null, ended);
    if (decoded !== HPACK.DECODED) return this.undecoded(decoded);
    if (stream !== null) return this.#onTrailers(stream as ServerStream, flags);
    if ((id & 1) === 0) return CODE.PROTOCOL_ERROR;
    if (id <= this.lastPeerId) return this.wasReset(id) ? CODE.NO_ERROR : CODE.STREAM_CLOSED;
    this.lastPeerId = id;
    if (id > this.#lastTaken) return this.refuseStream(id, 1);
    if (this.streams.size >= LIMITS.HTTP2_STREAMS) {
      core.cells.add(STREAMS_LIMIT, 1);
      return this.refuseExcess(id);
    }
    this.#begin(id, ended);
    return CODE.NO_ERROR;
  }

  #begin(id: number, ended: boolean): void {
    const { core } = this;
    const head = core.request;
    const fault = this.#reader.request(ended);
    const exchange = this.#owner.request(this.listener);
    const stream = this.#servers.take();
    stream.open(this, id, this.peer.initialWindow, exchange);
    this.addStream(stream);
    this.#prioritize(stream, head);
    if (this.#leaving === STAYS) core.io.timers.cancel(this.#idle);
    if (core.leaving || this.#refused || this.listener.entry === null) this.drain(LIMITS.DRAIN_IDLE_MS);
    if (fault === null && !this.#refused) {
      stream.begin(head, ended);
      if (!ended) this.expectContent(stream);
      return;
    }
    stream.remoteEnded = ended;
    if (fault === null) {
      exchange.refuse(stream, FAULTS.overload, 'DOWNSTREAM_CONNECTIONS');
      return;
    }
    countLimit(core.cells, head.limit);
    const malformed = fault === FAULTS.badRequest;
    if (malformed) stream.refuseBy(CODE.PROTOCOL_ERROR);
    exchange.refuse(stream, fault, head.limit);
    if (malformed) this.misbehaved();
  }

  requestsAt(endpoint: object): number {
    if (this.streams.size <= LIMITS.UPSTREAM_FEW_REQUESTS) return this.streams.size;
    let there = 0;
    for (const stream of this.streams.slots) if (stream !== null && (stream as ServerStream).isAt(endpoint)) there++;
    return there;
  }

  /** What was said ahead of the request is newer than its field (RFC 9218 section 7). */
  #prioritize(stream: ServerStream, head: Head): void {
    const said = this.#priorities?.get(stream.id);
    if (said !== undefined) this.#priorities?.delete(stream.id);
    const priority = said ?? priorityOf(this.core.mem, head);
    if (priority !== UNSAID) this.out.prioritize(stream, priority);
  }

  /** Of a few streams: more than that nobody has to keep (RFC 9218 section 7.1). */
  protected onEarlyPriority(id: number, priority: number): void {
    this.#priorities ??= new Map();
    const early = this.#priorities;
    if (early.size >= LIMITS.HTTP2_PRIORITIES) for (const of of early.keys()) if (!this.isIdle(of)) early.delete(of);
    if (early.size < LIMITS.HTTP2_PRIORITIES || early.has(id)) early.set(id, priority);
    else this.core.cells.add(PRIORITIES_LIMIT, 1);
  }

  /** The section behind a request's content (section 8.1). Returns a CODE. */
  #onTrailers(stream: ServerStream, flags: number): number {
    const { core } = this;
    const { section, trailers } = this.#servers.turns;
    if (stream.remoteEnded) return this.resetStream(stream, CODE.STREAM_CLOSED, true);
    const tooLarge = section.limit ?? (trailers.end - trailers.start > LIMITS.TRAILER_BYTES ? 'TRAILER_BYTES' : null);
    countLimit(core.cells, tooLarge);
    if ((flags & FLAG.END_STREAM) === 0 || tooLarge !== null || section.malformedTrailers) {
      stream.refuseTrailers();
      return CODE.NO_ERROR;
    }
    stream.remoteEnded = true;
    stream.endRequest(trailers.count === 0 ? trailers.end : trailers.start, trailers.end);
    return CODE.NO_ERROR;
  }

  misbehaved(): void {
    const code = this.spendReset(1);
    if (code !== CODE.NO_ERROR) this.fail(code);
  }

  // ---- responses

  trailersBound(start: number, end: number): number {
    return trailersBound(end - start);
  }

  putTrailers(at: number, start: number, end: number): number {
    return putTrailerLines(this.encoder, this.core.mem, at, start, end);
  }

  override onLocalEnd(stream: ServerStream): void {
    super.onLocalEnd(stream);
    stream.onLocalEnd();
  }

  /** A client that does not take what it asked for may not ask for more: nothing is read. */
  onCongested(): void {
    if (this.#full || this.closed) return;
    const { io } = this.core;
    this.#full = true;
    this.transport.pause();
    if (this.streams.size === 0) this.#rest(LIMITS.STREAM_IDLE_MS);
    else if (this.#leaving === STAYS) io.timers.cancel(this.#idle);
  }

  override onDrained(): void {
    super.onDrained();
    if (this.closed || !this.#full || this.transport.congested) return;
    this.#full = false;
    this.transport.resume();
    if (this.streams.size === 0) this.onIdle();
  }

  // ---- the connection

  protected onSettings(): void {
    const { io } = this.core;
    io.timers.cancel(this.#section);
    // From now on it speaks, and has ours to acknowledge.
    if (this.unacknowledged > 0 && this.#settled.due === -1) {
      io.timers.arm(this.#settled, io.nowMs, LIMITS.HTTP2_SETTINGS_MS);
    }
    this.encoder.resize(this.peer.headerTableLeast);
    this.encoder.resize(this.peer.headerTableSize);
    if (this.streams.size === 0) this.onIdle();
  }

  protected onAcknowledged(): void {
    this.core.io.timers.cancel(this.#settled);
  }

  protected onSectionOpen(open: boolean): void {
    const { io } = this.core;
    if (open) io.timers.arm(this.#section, io.nowMs, LIMITS.HEAD_MS);
    else io.timers.cancel(this.#section);
  }

  /** The client knows. What it had asked for by then may stand behind its answer: libraries put that in front. */
  protected onPong(): void {
    const { io } = this.core;
    if (this.#leaving === WARNED) io.timers.arm(this.#idle, io.nowMs, LIMITS.DRAIN_PONG_MS);
  }

  /** It will ask for nothing more, but may have more to say; what it asked for is answered. */
  protected onGoaway(): void {
    if (this.streams.size === 0) this.end(CODE.NO_ERROR, true);
  }

  protected onIdle(): void {
    if (this.#leaving === LEAVES) this.end(CODE.NO_ERROR, true);
    else if (!this.#full && this.#leaving === STAYS)
      this.#rest(this.core.draining ? LIMITS.DRAIN_IDLE_MS : this.core.clientIdleMs);
  }

  #rest(ms: number): void {
    const { io } = this.core;
    this.#sentBefore = this.transport.sentBytes;
    io.timers.arm(this.#idle, io.nowMs, ms);
  }

  onTimer({ id }: Timer): void {
    const { io, cells } = this.core;
    if (id === IDLE) {
      this.#onIdleTimer();
    } else if (id === SECTION) {
      cells.add(HEAD_LIMIT, 1);
      this.fail(CODE.ENHANCE_YOUR_CALM);
    } else if (this.#full) {
      // It may have been acknowledged: nobody reads.
      io.timers.arm(this.#settled, io.nowMs, LIMITS.HTTP2_SETTINGS_MS);
    } else {
      cells.add(SETTINGS_LIMIT, 1);
      this.fail(CODE.SETTINGS_TIMEOUT);
    }
  }

  #onIdleTimer(): void {
    const { cells } = this.core;
    if (this.#leaving === WARNED) {
      this.#leave();
    } else if (this.#full) {
      if (this.transport.sentBytes !== this.#sentBefore) {
        this.#rest(LIMITS.STREAM_IDLE_MS);
        return;
      }
      cells.add(STALL_LIMIT, 1);
      this.destroy();
    } else {
      cells.add(IDLE_LIMIT, 1);
      this.fail(CODE.NO_ERROR);
    }
  }

  /**
   * The client is told to leave, in two steps (section 6.8): what it sends before it knows is still taken. `ms`: for
   * so long, unless it answers sooner.
   */
  drain(ms: number): void {
    if (this.closed || this.#leaving !== STAYS) return;
    const { io } = this.core;
    this.#leaving = WARNED;
    this.out.goaway(MOST, CODE.NO_ERROR);
    this.ping();
    this.out.flush();
    io.timers.arm(this.#idle, io.nowMs, ms);
  }

  leave(tunnels: boolean): number {
    if (!tunnels && !this.closed && this.#leaving !== LEAVES) this.#leave();
    return this.streams.all().filter((stream) => (stream as ServerStream).leave(tunnels)).length;
  }

  #leave(): void {
    this.#leaving = LEAVES;
    this.#lastTaken = this.lastPeerId;
    this.core.io.timers.cancel(this.#idle);
    this.out.goaway(this.lastPeerId, CODE.NO_ERROR);
    if (this.streams.size === 0) this.end(CODE.NO_ERROR, true);
  }

  protected onOver(): void {
    const { timers } = this.core.io;
    timers.cancel(this.#idle);
    timers.cancel(this.#settled);
    timers.cancel(this.#section);
    this.encoder.dispose();
    this.#reader.dispose();
    this.#owner.closed(this);
  }
}

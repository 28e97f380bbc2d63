// A connection to a backend that speaks HTTP/2: many exchanges, each a stream of its own (client-stream.ts). It counts
// as ready when the backend has said how many.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { NO_HANDLE } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR } from '../counts.ts';
import type { PreparedRequest, ResponseSide, Upstream } from '../exchange/sides.ts';
import { FieldTable } from '../field-table.ts';
import { HEAD_WORK } from '../transport/shared.ts';
import type { Transport } from '../transport/transport.ts';
import type { ConnectionPool, Connector, UpstreamConnection } from '../upstream/connection.ts';
import { putRequest, requestBound, scanRequest } from './client-head.ts';
import { type ClientOwner, ClientStream } from './client-stream.ts';
import { protocolOf } from './extended-connect.ts';
import { putTrailerLines, trailersBound } from './fields-out.ts';
import { CODE, FLAG, MOST } from './frames.ts';
import { HPACK, HpackDecoder } from './hpack/decoder.ts';
import { HpackEncoder } from './hpack/encoder.ts';
import { COST } from './life.ts';
import { Session } from './session.ts';
import { SETTING } from './settings.ts';
import type { Stream } from './stream.ts';
import type { Turns } from './turns.ts';

const CONNECT_LIMIT = limitCell('UPSTREAM_CONNECT_MS');
const PING_LIMIT = limitCell('UPSTREAM_PING_MS');

/** Times that a server of gRPC is asked too early before it ends the connection (max_ping_strikes). */
const MOST_EARLY = 2;

const SETTINGS: readonly (readonly [number, number])[] = [
  [SETTING.ENABLE_PUSH, 0],
  [SETTING.INITIAL_WINDOW_SIZE, LIMITS.HTTP2_STREAM_WINDOW_BYTES],
  [SETTING.MAX_HEADER_LIST_SIZE, LIMITS.HEAD_BYTES],
];

/** Makes clients of transports that stand, and keeps what they share. */
export class Http2Connector implements Connector {
  readonly core: Core;
  readonly turns: Turns;
  readonly expected: number = LIMITS.UPSTREAM_STREAMS;
  /** Of the request that is being encoded. */
  readonly table = new FieldTable();

  constructor(core: Core, turns: Turns) {
    this.core = core;
    this.turns = turns;
  }

  connect(transport: Transport, pool: ConnectionPool): UpstreamConnection {
    return new Http2Client(this, pool, transport);
  }
}

class Http2Client extends Session implements UpstreamConnection, ClientOwner, TimerSink {
  readonly #connector: Http2Connector;
  readonly #pool: ConnectionPool;
  readonly #encoder: HpackEncoder;
  readonly #decoder: HpackDecoder;
  readonly #timer = new Timer(this, 0);
  opening = true;
  served = false;
  misbehaved = false;
  /** It takes no more. */
  #leaving = false;
  /** Of the stream that is opened next. */
  nextId = 1;
  /** Exchanges that have one of its streams, opened or not. */
  busy = 0;
  /** When it had none for the last time, and when the backend said something (monotonic ms). */
  #restedMs = 0;
  #heardMs = 0;
  /** It was asked for a sign of life; when it was last asked (monotonic ms). */
  #asked = false;
  #askedMs = 0;
  /** Since then it said something of a response, and it got another request. */
  #spoke = true;
  #opened = false;
  /** Times that it was asked before it had to be. */
  #early = 0;
  // ---- the pool's list
  listed = false;
  next: UpstreamConnection | null = null;
  previous: UpstreamConnection | null = null;

  constructor(connector: Http2Connector, pool: ConnectionPool, transport: Transport) {
    const { core, turns } = connector;
    super(core, turns, transport, true);
    this.#connector = connector;
    this.#pool = pool;
    this.#encoder = new HpackEncoder(core.io);
    this.#decoder = new HpackDecoder(core.io);
    transport.user = this;
    transport.mayQueue(LIMITS.HTTP2_QUEUE_BYTES);
    this.greet(SETTINGS);
    core.io.timers.arm(this.#timer, core.io.nowMs, LIMITS.UPSTREAM_CONNECT_MS);
  }

  // ---- for the pool

  get free(): number {
    if (this.opening || this.#leaving || this.closed) return 0;
    return Math.max(0, Math.min(LIMITS.UPSTREAM_STREAMS, this.peer.maxConcurrentStreams) - this.busy);
  }

  take(exchange: ResponseSide): Upstream {
    this.busy++;
    return new ClientStream(this.core, this, exchange);
  }

  /** Its backend says when it leaves, and what of the requests it did not take. */
  isQuiet(): boolean {
    return !this.closed && this.transport.open;
  }

  rest(): void {
    this.#restedMs = this.core.io.nowMs;
  }

  close(): void {
    if (this.closed) return;
    if (this.busy > 0) {
      this.destroy();
      return;
    }
    this.out.goaway(0, CODE.NO_ERROR);
    this.end(CODE.NO_ERROR, false);
  }

  leave(): void {
    this.#leaving = true;
    if (this.busy === 0) this.close();
  }

  // ---- for its streams

  open(stream: ClientStream, request: PreparedRequest, ended: boolean): Fault | null {
    if (this.closed || this.#leaving) return FAULTS.upstreamLeft;
    const { mem } = this.core;
    const { table } = this.#connector;
    if (!scanRequest(mem, request, table)) return FAULTS.overload;
    // Whoever does not know extended CONNECT is asked without: Upgrade may be ignored (RFC 9110 section 7.8).
    const protocol = request.upgrade && this.peer.connectProtocol ? protocolOf(mem, request, table) : null;
    const ends = ended && protocol === null;
    const at = this.out.beginHead(requestBound(request, protocol));
    const secure = this.transport.wire.plain === NO_HANDLE;
    const end = putRequest(this.#encoder, mem, at, request, secure, table, protocol);
    stream.protocol = protocol;
    const id = this.nextId;
    this.nextId += 2;
    stream.begin(id, this.peer.initialWindow);
    this.#opened = true;
    this.addStream(stream);
    this.out.endHead(stream, at, end, ends);
    // Numbers are not used twice (section 5.1.1).
    if (this.nextId > MOST - 2) this.#takeNoMore();
    return null;
  }

  reset(stream: ClientStream, code: number): void {
    this.resetStream(stream, code, false);
  }

  ended(stream: ClientStream): void {
    this.served = true;
    this.earn();
    if (stream.localEnded) this.closeStream(stream);
    // Nobody wants the rest of the request any more (section 8.1).
    else this.resetStream(stream, CODE.NO_ERROR, false);
  }

  detached(): void {
    this.busy--;
    if (this.closed) return;
    if (this.#leaving && this.busy === 0) this.close();
    else this.#pool.released(this);
  }

  #takeNoMore(): void {
    this.#leaving = true;
    this.#pool.released(this);
  }

  // ---- what comes

  override onBytes(start: number, end: number): number {
    this.#heardMs = this.core.io.nowMs;
    this.#asked = false;
    return super.onBytes(start, end);
  }

  /** A backend opens no streams: pushes were refused. */
  protected isIdle(id: number): boolean {
    return id >= this.nextId || (id & 1) === 0;
  }

  protected onSection(id: number, stream: Stream | null, start: number, end: number, flags: number): number {
    const { core } = this;
    const { turns } = this.#connector;
    const { section } = turns;
    this.#spoke = true;
    section.open(core.response, turns.sectionAt, true);
    const decoded = this.#decoder.decode(core.mem, start, end, section);
    core.shared.work -= HEAD_WORK + core.response.count;
    if (decoded !== HPACK.DECODED) return this.undecoded(decoded);
    if (stream === null) return this.isIdle(id) ? CODE.PROTOCOL_ERROR : CODE.NO_ERROR;
    (stream as ClientStream).onSection(section, (flags & FLAG.END_STREAM) !== 0);
    this.expectContent(stream);
    return CODE.NO_ERROR;
  }

  override usedContent(stream: Stream, bytes: number): void {
    this.#spoke = true;
    super.usedContent(stream, bytes);
  }

  protected onSettings(): void {
    this.#encoder.resize(this.peer.headerTableLeast);
    this.#encoder.resize(this.peer.headerTableSize);
    if (!this.opening) {
      this.#pool.released(this);
      return;
    }
    const { io } = this.core;
    this.opening = false;
    this.#restedMs = io.nowMs;
    io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_PING_QUIET_MS);
    this.#pool.opened(this);
  }

  protected onGoaway(): void {
    this.#takeNoMore();
    for (const stream of this.streams.all() as ClientStream[]) {
      if (stream.id <= this.goneAbove) continue;
      this.closeStream(stream);
      stream.onLeft();
    }
    if (this.busy === 0) this.close();
  }

  /** Its frames that ask for nothing are what its responses are made of. */
  protected override spend(cost: number): number {
    return cost === COST.PLAIN ? CODE.NO_ERROR : super.spend(cost);
  }

  /** What it resets is its own work. */
  protected override spendReset(): number {
    return CODE.NO_ERROR;
  }

  trailersBound(start: number, end: number): number {
    return trailersBound(end - start);
  }

  putTrailers(at: number, start: number, end: number): number {
    return putTrailerLines(this.#encoder, this.core.mem, at, start, end);
  }

  /** A stream is over when its response is, and that is told by `ended`. */
  override onLocalEnd(): void {}

  protected onAcknowledged(): void {}
  protected onSectionOpen(): void {}
  protected onPong(): void {}
  protected onEarlyPriority(): void {}
  protected onIdle(): void {}
  /** What waits is bounded, and its streams wait for it. */
  onCongested(): void {}

  // ---- time

  onTimer(): void {
    if (this.closed) return;
    const { io, cells } = this.core;
    if (this.opening) {
      cells.add(CONNECT_LIMIT, 1);
      this.#failure = FAULTS.connectTimeout;
      this.destroy();
      return;
    }
    const quiet = this.#quietMs() - io.nowMs;
    if (this.busy === 0) {
      const left = this.#restedMs + LIMITS.UPSTREAM_IDLE_MS - io.nowMs;
      if (left <= 0) this.close();
      else io.timers.arm(this.#timer, io.nowMs, Math.min(left, LIMITS.UPSTREAM_PING_QUIET_MS));
    } else if (this.#asked) {
      cells.add(PING_LIMIT, 1);
      this.destroy();
    } else if (quiet <= 0) {
      this.#askForLife();
      io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_PING_MS);
    } else {
      io.timers.arm(this.#timer, io.nowMs, Math.min(quiet, LIMITS.UPSTREAM_PING_QUIET_MS));
    }
  }

  /**
   * Until when it may be quiet (monotonic ms). Servers of gRPC count who asks within five minutes of the last time and
   * got nothing of a response in between, and end the third (gRFC A8): a stream that rests is no reason to be one.
   */
  #quietMs(): number {
    const due = this.#heardMs + LIMITS.UPSTREAM_PING_QUIET_MS;
    if (this.#spoke || (this.#opened && this.#early < MOST_EARLY)) return due;
    return Math.max(due, this.#askedMs + LIMITS.UPSTREAM_PING_AGAIN_MS);
  }

  #askForLife(): void {
    const { nowMs } = this.core.io;
    if (this.#spoke) this.#early = 0;
    else if (nowMs - this.#askedMs < LIMITS.UPSTREAM_PING_AGAIN_MS) this.#early++;
    this.#spoke = false;
    this.#opened = false;
    this.#asked = true;
    this.#askedMs = nowMs;
    this.ping();
    this.out.flush();
  }

  // ---- ends

  /** Why it never became ready. */
  #failure: Fault = FAULTS.connectFailed;

  override fail(code: number): void {
    this.misbehaved = true;
    super.fail(code);
  }

  /** Whoever looks for a connection now, since a stream of it fails, is not to find this one. */
  protected override shut(): void {
    super.shut();
    if (this.listed) this.#pool.released(this);
  }

  protected onOver(): void {
    this.core.io.timers.cancel(this.#timer);
    this.#encoder.dispose();
    this.#decoder.dispose();
    if (!this.opening) {
      this.#pool.gone(this, false);
      return;
    }
    const timedOut = this.#failure === FAULTS.connectTimeout;
    this.#pool.failed(this, this.#failure, timedOut ? BACKEND_ERROR.connectTimeout : BACKEND_ERROR.connect);
  }
}

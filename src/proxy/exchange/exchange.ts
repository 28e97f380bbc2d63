// One request and its response, between two codecs it knows nothing of. Its states:
//
//   RESTING   in the pool
//   WAITING   the request head is prepared; a backend's connection is awaited (connecting, or the pool is full)
//   SENDING   an upstream has the request; its content follows as it comes
//   ANSWERING the final response head went to the client; its content follows
//
//   RESTING -> WAITING -> SENDING -> ANSWERING -> RESTING      the way of most
//              SENDING -> WAITING                             another attempt
//              any     -> RESTING                             finish(): complete, refused, timed out, either side gone
//
// Whatever the end, it passes through `finish`, so that it is counted, logged and returned to the pool exactly once.

import { present } from '../../base/assert.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { CELL, ENDPOINT, limitCell } from '../../telemetry/layout.ts';
import { AccessRecord, RECORD_AGENT_BYTES, RECORD_HOST_BYTES, RECORD_PATH_BYTES } from '../../telemetry/record.ts';
import { type Head, METHOD, SCHEME } from '../head.ts';
import { isSameListener, type Listener } from '../listener.ts';
import { normalizeTarget } from '../route/normalize.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { EndpointPool } from '../upstream/endpoint.ts';
import { type Answer, TEXT_ANSWERS } from './answer.ts';
import type { Core } from './core.ts';
import { BACKEND_ERROR, faultCell } from './counts.ts';
import { forwardedClient, markForwarded } from './forwarded.ts';
import { NO_BYTES, RequestBlock } from './request-block.ts';
import { REQUEST_ID_BYTES } from './request-id.ts';
import { ACTION, type CompiledBackend, type CompiledRule } from './rule.ts';
import type { Downstream, RequestSide, ResponseSide, Upstream } from './sides.ts';

export const STATE = { RESTING: 0, WAITING: 1, SENDING: 2, ANSWERING: 3 } as const;

const INTERIM_LIMIT = limitCell('INTERIM_RESPONSES');
const ATTEMPTS_LIMIT = limitCell('UPSTREAM_ATTEMPTS');
const IDLE_LIMIT = limitCell('STREAM_IDLE_MS');
const PENDING_LIMIT = limitCell('UPSTREAM_PENDING_MS');
const ARENA_LIMIT = limitCell('ARENA_BYTES');
const NEVER = Number.MAX_SAFE_INTEGER;

/** Who keeps exchanges for reuse. */
export interface ExchangeOwner {
  /** It has ended. */
  over(exchange: Exchange): void;
}

export class Exchange implements TimerSink, RequestSide, ResponseSide {
  readonly core: Core;
  readonly #owner: ExchangeOwner;
  readonly record = new AccessRecord(NO_BYTES);
  readonly #timer: Timer;
  readonly #request: RequestBlock;
  state: number = STATE.RESTING;
  down: Downstream | null = null;
  up: Upstream | null = null;

  // ---- the request
  /** Where it came from; set by who takes the exchange for it. */
  listener: Listener | null = null;
  toHead = false;
  #idempotent = false;
  rule: CompiledRule | null = null;
  backend: CompiledBackend | null = null;
  #cluster: Cluster | null = null;
  #hash = 0;
  endpoint: EndpointPool | null = null;

  /** `up` was not yet given what is in `#request`. */
  #unsent = false;

  /** A pooled connection was stale: the next attempt takes a new one. */
  fresh = false;
  #interims = 0;
  /** The response is complete, and the client has yet to take the rest of it. */
  #delivering = false;

  // ---- waiting for a connection: the endpoint's queue
  waitingAt: EndpointPool | null = null;
  nextWaiting: Exchange | null = null;
  previousWaiting: Exchange | null = null;

  // ---- deadlines, monotonic ms
  #requestDue = NEVER;
  #backendDue = NEVER;
  #idleDue = NEVER;
  /** While it waits in an endpoint's queue. */
  #pendingDue = NEVER;
  #sentUs = 0;
  /** What both sides had taken when the timer last looked. */
  #sentBytes = 0;

  constructor(core: Core, owner: ExchangeOwner) {
    this.core = core;
    this.#owner = owner;
    this.#timer = new Timer(this, 0);
    this.#request = new RequestBlock(core.io);
  }

  // ---- the request, from downstream

  begin(down: Downstream, head: Head): void {
    const core = this.core;
    const { mem } = core;
    const record = this.record;
    this.#open(down);
    const method = head.method;
    this.toHead = method === METHOD.HEAD;
    this.#idempotent = method !== METHOD.POST && method !== METHOD.PATCH && method < METHOD.CONNECT;
    record.method = method;
    record.version = head.version;
    if (!this.#request.open(core, record)) {
      this.#exhausted();
      return;
    }
    if (method === METHOD.OTHER) {
      record.methodStart = record.copy(mem, head.methodStart, head.methodEnd);
      record.methodEnd = record.used;
    }
    record.hostStart = record.copy(mem, head.hostStart, head.hostEnd, RECORD_HOST_BYTES);
    record.hostEnd = record.used;
    const uuidAt = this.#request.at;
    core.ids.put(mem, uuidAt);
    const agent = markForwarded(mem, head, down.trusted);
    record.idStart = uuidAt;
    record.idEnd = uuidAt + REQUEST_ID_BYTES;
    if (down.trusted) {
      const id = agent.requestId;
      if (id >= 0) {
        record.idStart = record.copy(mem, head.valueStart(id), head.valueEnd(id));
        record.idEnd = record.used;
      }
      record.client = forwardedClient(core.trusted, mem, head, down.client);
    }
    if (agent.userAgent >= 0) {
      record.agentStart = record.copy(
        mem,
        head.valueStart(agent.userAgent),
        head.valueEnd(agent.userAgent),
        RECORD_AGENT_BYTES,
      );
      record.agentEnd = record.used;
    }
    record.pathStart = record.copy(mem, head.pathStart, head.pathEnd, RECORD_PATH_BYTES);
    record.pathEnd = record.used;
    if (head.hasQuery) {
      record.queryStart = record.copy(mem, head.queryStart, head.queryEnd);
      record.queryEnd = record.used;
    }
    this.#route(present(this.listener, 'the listener'), head);
  }

  refuse(down: Downstream, fault: Fault): void {
    this.#open(down);
    this.toHead = false;
    this.fail(fault);
  }

  #open(down: Downstream): void {
    const { io } = this.core;
    const record = this.record;
    record.reset();
    record.startUs = down.requestUs;
    record.startWallMs = io.wallMs - (io.nowUs - down.requestUs) / 1000;
    record.client = down.client;
    record.connectionJson = down.json;
    record.method = METHOD.OTHER;
    this.down = down;
    this.state = STATE.WAITING;
    this.fresh = false;
    this.#interims = 0;
    this.#delivering = false;
    this.#unsent = false;
    this.#requestDue = NEVER;
    this.#backendDue = NEVER;
    this.#idleDue = NEVER;
    const { tally } = this.core.shared;
    tally.active++;
    tally.requests++;
  }

  #route(listener: Listener, head: Head): void {
    const { io, mem } = this.core;
    const record = this.record;
    const router = listener.router;
    if (!normalizeTarget(mem, head)) {
      this.fail(FAULTS.badRequest);
      return;
    }
    if (head.scheme === SCHEME.HTTPS && !(this.down as Downstream).secure) {
      this.fail(FAULTS.misdirected);
      return;
    }
    // CONNECT asks for a tunnel, which no rule offers (RFC 9110 section 9.3.6).
    const rule = head.method === METHOD.CONNECT ? null : router.find(mem, head);
    if (router.host !== null) {
      record.listenerJson = listener.jsonOf(router.host);
      const asked = (this.down as Downstream).host;
      if (asked !== null && !isSameListener(asked, router.host)) {
        this.fail(FAULTS.misdirected);
        return;
      }
    }
    if (rule === null) {
      this.fail(FAULTS.noRoute);
      return;
    }
    this.rule = rule;
    record.routeJson = rule.json;
    record.routeBlock = rule.cells.route;
    if (rule.action !== ACTION.FORWARD) {
      const port = router.host === null ? 0 : router.host.port;
      this.#answerByRule(rule, port, head, router.prefixLength);
      return;
    }
    const backend = rule.pick();
    const cluster = backend === null || backend.cluster === null ? null : backend.cluster.current;
    if (backend !== null) record.backendJson = backend.json;
    if (backend === null || cluster === null) {
      this.fail(FAULTS.noCluster);
      return;
    }
    this.backend = backend;
    this.#cluster = cluster;
    this.#hash = cluster.hashes ? cluster.hash(mem, head, record.client) : 0;
    const endpoint = cluster.pick(this.#hash);
    if (endpoint === null) {
      this.fail(FAULTS.noEndpoint);
      return;
    }
    if (!this.#request.prepare(mem, head, backend.edits, router.prefixLength, this.down as Downstream)) {
      this.#exhausted();
      return;
    }
    const now = io.nowMs;
    this.#idleDue = now + LIMITS.STREAM_IDLE_MS;
    if (rule.requestTimeoutMs > 0) this.#requestDue = now + rule.requestTimeoutMs;
    io.timers.arm(this.#timer, now, Math.min(rule.requestTimeoutMs || LIMITS.STREAM_IDLE_MS, LIMITS.STREAM_IDLE_MS));
    this.#attempt(endpoint);
  }

  /** `port`: of the listener, as its Gateway writes it. */
  #answerByRule(rule: CompiledRule, port: number, head: Head, prefixLength: number): void {
    const { mem } = this.core;
    let start = 0;
    let end = 0;
    if (rule.redirect !== null) {
      start = this.#request.room(rule.redirect.locationBound(head) + 16);
      if (start < 0) {
        this.#exhausted();
        return;
      }
      const secure = (this.down as Downstream).secure;
      end = rule.redirect.putLine(mem, start, head, prefixLength, secure, port);
    }
    this.#answer(rule.answer as Answer, start, end);
    this.finish('');
  }

  /** Tells the client what no backend said; mem[start..end) are further field lines. */
  #answer(answer: Answer, start: number, end: number): void {
    const record = this.record;
    record.status = answer.status;
    record.responseBytes = (this.down as Downstream).answer(answer, start, end, this.#request.at);
  }

  get takesBody(): boolean {
    return this.state >= STATE.SENDING;
  }

  requestBody(start: number, end: number): void {
    this.record.requestBytes += end - start;
    this.#idleDue = this.core.io.nowMs + LIMITS.STREAM_IDLE_MS;
    const request = this.#request;
    if (request.whole) {
      // What still fits is kept, so that the request can be sent again; while nothing was sent it waits there for more.
      if (request.add(this.core.mem, start, end)) {
        if (!this.#unsent) present(this.up, 'the upstream').body(start, end);
        return;
      }
      if (this.#unsent) this.#send();
      request.whole = false;
    }
    present(this.up, 'the upstream').body(start, end);
  }

  requestEnded(trailersStart: number, trailersEnd: number): void {
    const request = this.#request;
    if (request.whole && request.addTrailers(this.core.mem, trailersStart, trailersEnd)) {
      request.done = true;
      if (this.#unsent) {
        if (this.state === STATE.SENDING) this.#send();
        return;
      }
    } else {
      if (this.#unsent) this.#send();
      request.whole = false;
      request.done = true;
    }
    const up = present(this.up, 'the upstream');
    if (trailersStart < trailersEnd) up.trailers(trailersStart, trailersEnd);
    else up.end();
    up.flush();
  }

  flushRequest(): boolean {
    if (!this.takesBody) return true;
    if (this.#unsent) this.#send();
    return present(this.up, 'the upstream').flush();
  }

  onDownstreamDrained(): void {
    if (this.state !== STATE.ANSWERING) return;
    if (this.up !== null) this.up.resumeResponse();
    else if (this.#delivering) this.finish('');
  }

  onDownstreamGone(): void {
    this.#forgetUnsent();
    this.down = null;
    this.fail(FAULTS.clientGone);
  }

  // ---- the upstream side

  #attempt(endpoint: EndpointPool): void {
    this.state = STATE.WAITING;
    this.#unsent = true;
    this.#backendDue = NEVER;
    this.endpoint = endpoint;
    const record = this.record;
    record.attempts++;
    record.endpointJson = endpoint.json;
    record.endpointBlock = endpoint.block;
    this.core.cells.add(endpoint.block + ENDPOINT.REQUESTS, 1);
    endpoint.setActive(endpoint.active + 1);
    endpoint.acquire(this, this.fresh);
    if (this.waitingAt === null) return;
    const { io } = this.core;
    this.#pendingDue = io.nowMs + LIMITS.UPSTREAM_PENDING_MS;
    if (this.#pendingDue < this.#timer.due) io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_PENDING_MS);
  }

  /** `up` is being connected for this exchange. */
  onConnecting(up: Upstream): void {
    this.up = up;
  }

  /** `up` is connected and this exchange's. */
  onUpstream(up: Upstream): void {
    this.up = up;
    this.state = STATE.SENDING;
    const io = this.core.io;
    this.#sentUs = io.nowUs;
    const timeout = (this.rule as CompiledRule).backendTimeoutMs;
    if (timeout > 0) {
      this.#backendDue = io.nowMs + timeout;
      if (this.#backendDue < this.#timer.due) io.timers.arm(this.#timer, io.nowMs, timeout);
    }
  }

  /** The same, after waiting: what is held goes out, and the client may go on. */
  onUpstreamReady(up: Upstream): void {
    this.onUpstream(up);
    this.#send();
    if (!this.#request.done) (this.down as Downstream).resumeRequest();
  }

  #send(): void {
    this.#unsent = false;
    present(this.up, 'the upstream').send(this.#request);
    this.#sentBytes = this.#taken();
  }

  /** Bytes that both sides have taken. */
  #taken(): number {
    return (this.down === null ? 0 : this.down.sentBytes) + (this.up === null ? 0 : this.up.sentBytes);
  }

  onUpstreamDrained(): void {
    if (!this.#request.done && this.down !== null) this.down.resumeRequest();
  }

  onInterim(head: Head): void {
    if (++this.#interims > LIMITS.INTERIM_RESPONSES) {
      this.core.cells.add(INTERIM_LIMIT, 1);
      this.onUpstreamFault(FAULTS.upstreamMalformed, BACKEND_ERROR.malformed);
      return;
    }
    this.#idleDue = this.core.io.nowMs + LIMITS.STREAM_IDLE_MS;
    (this.down as Downstream).interim(head);
  }

  onResponse(head: Head): void {
    const { io, cells, mem } = this.core;
    const record = this.record;
    this.state = STATE.ANSWERING;
    record.upstreamUs = io.nowUs - this.#sentUs;
    record.status = head.status;
    this.#idleDue = io.nowMs + LIMITS.STREAM_IDLE_MS;
    if (head.status >= 500) cells.add(record.endpointBlock + ENDPOINT.ERRORS + BACKEND_ERROR.status5xx, 1);
    const edits = (this.backend as CompiledBackend).edits;
    if (edits !== null) edits.applyResponse(mem, head);
    (this.down as Downstream).respond(head, edits === null ? null : edits.responseLines, this.#request.at);
  }

  responseBody(start: number, end: number, free: number): void {
    this.record.responseBytes += end - start;
    this.#idleDue = this.core.io.nowMs + LIMITS.STREAM_IDLE_MS;
    (this.down as Downstream).body(start, end, free);
  }

  responseTrailers(start: number, end: number): void {
    (this.down as Downstream).trailers(start, end);
  }

  responseEnded(): void {
    const down = this.down as Downstream;
    this.up = null;
    down.end();
    if (down.flush() || !this.#request.done) {
      this.finish('');
      return;
    }
    // What became of it is known when the client has taken the rest; the backend is done with it.
    this.#delivering = true;
    this.#leaveEndpoint();
    this.#requestDue = NEVER;
    this.#backendDue = NEVER;
  }

  /** What the client did not get is not logged as sent. */
  #forgetUnsent(): void {
    const unsent = this.down === null ? 0 : this.down.unsentBytes;
    this.record.responseBytes = Math.max(0, this.record.responseBytes - unsent);
  }

  flushResponse(): boolean {
    return this.down === null || this.down.flush();
  }

  /**
   * The attempt failed, `up` is gone. `fault.retryable`: nothing of the request was sent, so another endpoint may have
   * it whatever its method is.
   */
  onUpstreamFault(fault: Fault, error: number): void {
    const up = this.up;
    this.up = null;
    if (up !== null) up.cancel();
    this.core.cells.add(this.record.endpointBlock + ENDPOINT.ERRORS + error, 1);
    if (fault.retryable && this.#mayRetry()) {
      const cluster = this.#cluster as Cluster;
      this.#leaveEndpoint();
      // A hash that would choose the same endpoint again is changed with each attempt.
      const next = cluster.pick((this.#hash + Math.imul(this.record.attempts, 0x9e3779b9)) >>> 0);
      if (next !== null) {
        this.core.cells.add(CELL.UPSTREAM_RETRIES_TOTAL, 1);
        this.fresh = false;
        this.#retry(next);
        return;
      }
    }
    this.fail(fault);
  }

  /**
   * A connection that had served before ended before any byte of the response. RFC 9110 section 9.2.2: only an
   * idempotent request is sent again, and only while all of it is still here.
   */
  onUpstreamStale(): void {
    this.up = null;
    if (this.#idempotent && !this.fresh && this.#mayRetry()) {
      const endpoint = this.endpoint as EndpointPool;
      this.#leaveEndpoint();
      this.core.cells.add(CELL.UPSTREAM_RETRIES_TOTAL, 1);
      this.fresh = true;
      this.#retry(endpoint);
      return;
    }
    this.onUpstreamFault(FAULTS.upstreamReset, BACKEND_ERROR.reset);
  }

  #retry(endpoint: EndpointPool): void {
    this.#attempt(endpoint);
    // An idle connection was there: nobody else is going to say that the request can be sent.
    if (this.state !== STATE.SENDING || !this.#unsent) return;
    this.#send();
    if (!this.#request.done) (this.down as Downstream).resumeRequest();
  }

  #mayRetry(): boolean {
    if (this.state === STATE.ANSWERING || !this.#request.whole) return false;
    if (this.record.attempts < LIMITS.UPSTREAM_ATTEMPTS) return true;
    this.core.cells.add(ATTEMPTS_LIMIT, 1);
    return false;
  }

  // ---- ends

  /** Ends the exchange by `fault`: answered where that is still possible, else the response is cut off. */
  fail(fault: Fault): void {
    const { cells } = this.core;
    cells.add(faultCell(fault), 1);
    this.#letGoOfUpstream();
    const record = this.record;
    const down = this.down;
    if (down !== null && this.state === STATE.ANSWERING && !down.retract()) {
      down.abort();
      this.#forgetUnsent();
    } else if (down !== null) {
      const answer = TEXT_ANSWERS.of(fault);
      if (answer !== null) this.#answer(answer, 0, 0);
    } else if (this.state !== STATE.ANSWERING) {
      record.status = CLIENT_CLOSED_REQUEST;
    }
    this.finish(fault.flag);
  }

  #exhausted(): void {
    this.core.cells.add(ARENA_LIMIT, 1);
    this.fail(FAULTS.overload);
  }

  #letGoOfUpstream(): void {
    const up = this.up;
    this.up = null;
    if (up !== null) up.cancel();
    if (this.waitingAt !== null) this.waitingAt.giveUp(this);
  }

  #leaveEndpoint(): void {
    const endpoint = this.endpoint;
    if (endpoint === null) return;
    this.endpoint = null;
    endpoint.setActive(endpoint.active - 1);
  }

  /** The one end of every exchange. */
  finish(flag: string): void {
    const { io, records } = this.core;
    const record = this.record;
    const down = this.down;
    // A complete response that came before the request did: nobody reads the rest of it.
    this.#letGoOfUpstream();
    this.#leaveEndpoint();
    record.flags = flag;
    record.endUs = io.nowUs;
    this.state = STATE.RESTING;
    this.down = null;
    this.rule = null;
    this.backend = null;
    this.#cluster = null;
    this.listener = null;
    this.#request.close();
    this.core.shared.tally.active--;
    records.record(record);
    record.client = NO_BYTES;
    this.#owner.over(this);
    if (down !== null) down.release();
  }

  /** Frees what a resting exchange holds. */
  dispose(): void {
    this.core.io.timers.cancel(this.#timer);
    this.#request.dispose(this.record);
  }

  /** The timer is never cancelled when an exchange ends, only set later by the next: what counts are the deadlines. */
  onTimer(): void {
    if (this.state === STATE.RESTING) return;
    const { io, cells } = this.core;
    const now = io.nowMs;
    // A slow reader is not idle while it takes anything at all.
    const sent = this.#taken();
    if (this.#idleDue <= now && sent !== this.#sentBytes) this.#idleDue = now + LIMITS.STREAM_IDLE_MS;
    this.#sentBytes = sent;
    const pendingDue = this.waitingAt === null ? NEVER : this.#pendingDue;
    const due = Math.min(this.#requestDue, this.#backendDue, this.#idleDue, pendingDue);
    if (due > now) {
      if (due !== NEVER) io.timers.arm(this.#timer, now, due - now);
      return;
    }
    if (pendingDue <= now) {
      cells.add(PENDING_LIMIT, 1);
      this.fail(FAULTS.overload);
      return;
    }
    if (this.record.attempts > 0 && !this.#delivering)
      cells.add(this.record.endpointBlock + ENDPOINT.ERRORS + BACKEND_ERROR.timeout, 1);
    if (this.#idleDue <= now) cells.add(IDLE_LIMIT, 1);
    if (this.#delivering) this.fail(FAULTS.clientGone);
    else this.fail(this.#requestDue <= now ? FAULTS.requestTimeout : FAULTS.backendTimeout);
  }
}

/** nginx's status for the log when the client left before an answer; nobody gets it. */
const CLIENT_CLOSED_REQUEST = 499;

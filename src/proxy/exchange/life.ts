// What an exchange is made of, how it begins to be one, and its one end: whatever it was, it is counted, logged and
// returned to its pool exactly once.

import { present } from '../../base/assert.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { limitCell } from '../../telemetry/layout.ts';
import { AccessRecord } from '../../telemetry/record.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, faultCell } from '../counts.ts';
import { withoutSaid } from '../filter/cors.ts';
import { type GatewayPolicy, NO_POLICY } from '../gateway-policy.ts';
import { METHOD } from '../head.ts';
import type { Listener } from '../listener.ts';
import { type EndpointPool, OUTCOME } from '../upstream/endpoint.ts';
import type { Waiter, WaiterQueue } from '../upstream/line.ts';
import type { Stallable, StalledList } from '../upstream/stalled.ts';
import type { FieldChange } from './amend.ts';
import { Answer } from './answer.ts';
import { Attempts } from './attempts.ts';
import { type DeadlineOwner, Deadlines, NEVER } from './deadlines.ts';
import { Deciding } from './deciding.ts';
import type { Asked, Asker } from './decision.ts';
import { GRPC_ANSWERS, grpcAnswerOf, grpcStatusOf } from './grpc.ts';
import type { GrpcWeb } from './grpc-web.ts';
import { NO_BYTES, RequestBlock } from './request-block.ts';
import type { Found } from './route.ts';
import type { CompiledBackend } from './rule.ts';
import type { Downstream, Upstream } from './sides.ts';
import { STATE, transition } from './states.ts';
import type { Tap } from './tap.ts';

const ARENA_LIMIT = limitCell('ARENA_BYTES');
const STALLED_LIMIT = limitCell('STALLED_MS');
/** nginx's status for the log when the client left before an answer; nobody gets it. */
const CLIENT_CLOSED_REQUEST = 499;
/** What a 2xx becomes that would say that another protocol is spoken now. */
export const NOT_IMPLEMENTED = 501;
const NO_CHANGES: readonly FieldChange[] = [];

/** Who keeps exchanges for reuse. */
export interface ExchangeOwner {
  /** It has ended. */
  over(exchange: Life): void;
}

export abstract class Life implements DeadlineOwner, Asker, Stallable {
  protected readonly core: Core;
  protected readonly owner: ExchangeOwner;
  protected readonly record = new AccessRecord(NO_BYTES);
  protected readonly deadlines: Deadlines;
  protected readonly request: RequestBlock;
  protected readonly attempts: Attempts;
  protected state: number = STATE.RESTING;
  protected down: Downstream | null = null;
  protected up: Upstream | null = null;

  // ---- the request
  /** Where it came from; set by who takes the exchange for it. */
  listener: Listener | null = null;
  /** Of its Gateway, as far as that is known. */
  protected policy: GatewayPolicy = NO_POLICY;
  toHead = false;
  /** A call of gRPC: answered as one. */
  protected grpc = false;
  /** It is one of gRPC-Web, and `down` is this. */
  protected web: GrpcWeb | null = null;
  /** It asks for another protocol on a stream, where any 2xx says that this is spoken now (RFC 8441 section 5). */
  protected asksTunnel = false;
  protected idempotent = false;
  /** The client waits for 100 before it sends content. */
  protected expects = false;
  protected readonly found: Found = { rule: null, prefixLength: 0, port: 0 };
  protected backend: CompiledBackend | null = null;
  /** `up` was not yet given what is in `request`. */
  protected unsent = false;
  protected interims = 0;
  /** The response is complete, and the client has yet to take the rest of it. */
  protected delivering = false;
  protected sentUs = 0;
  /** The backend answered that it failed. */
  protected failed = false;
  protected tap: Tap | null = null;
  /** Who may read the answer by its rule's CORS filter; '' is nobody else. */
  protected origin = '';
  protected readonly deciding: Deciding;
  /** What whoever decided about the request changes of the response to it. */
  protected told: readonly FieldChange[] = NO_CHANGES;
  /** What it changed of the request. */
  protected changed: readonly FieldChange[] = NO_CHANGES;
  /** Of a tunnel: who has ended its direction. */
  protected clientEnded = false;
  /** Of a tunnel: its client was reset, and what it said before is still to be read. */
  protected orphaned = false;
  protected backendEnded = false;
  /** Its bytes go from connection to connection, and are counted there: what those had been given before. */
  protected relayed = false;
  #requestBase = 0;
  #responseBase = 0;
  /** Where it is counted; 0 while it is none. */
  protected tunnelCell = 0;

  /** Whom the next attempt goes to, when its time has come. */
  protected later: EndpointPool | null = null;

  // ---- Stallable
  stalledIn: StalledList | null = null;
  nextStalled: Stallable | null = null;
  previousStalled: Stallable | null = null;
  stalledMs = 0;
  stalledBytes = 0;
  /** The backend takes no more of the request for now. */
  protected backendFull = false;

  /** Bytes of content that the request may have. */
  protected contentMost = NEVER;

  // ---- Waiter
  waiting = false;
  queue: WaiterQueue | null = null;
  nextWaiting: Waiter | null = null;
  previousWaiting: Waiter | null = null;

  constructor(core: Core, owner: ExchangeOwner) {
    this.core = core;
    this.owner = owner;
    this.deadlines = new Deadlines(core.io, this, core.streamIdleMs);
    this.request = new RequestBlock(core.io);
    this.deciding = new Deciding(core, this, this.request);
    this.attempts = new Attempts(core);
  }

  protected open(down: Downstream): void {
    const { io, shared } = this.core;
    const record = this.record;
    record.reset();
    record.startUs = down.requestUs;
    record.startWallMs = io.wallMs - (io.nowUs - down.requestUs) / 1000;
    record.client = down.client;
    record.connectionJson = down.json;
    record.method = METHOD.OTHER;
    this.down = down;
    this.policyIs(this.listener === null ? NO_POLICY : this.listener.policy);
    this.state = transition(this.state, STATE.WAITING);
    this.attempts.count = 0;
    this.grpc = false;
    this.asksTunnel = false;
    this.failed = false;
    this.interims = 0;
    this.delivering = false;
    this.unsent = false;
    this.origin = '';
    this.told = NO_CHANGES;
    this.changed = NO_CHANGES;
    this.clientEnded = false;
    this.backendEnded = false;
    this.orphaned = false;
    this.relayed = false;
    this.deadlines.clear();
    this.contentMost = NEVER;
    shared.tally.active++;
    shared.tally.requests++;
  }

  protected policyIs(policy: GatewayPolicy): void {
    this.policy = policy;
    this.record.logged = policy.logged;
  }

  noteLimit(limit: LimitName | null): void {
    if (limit !== null) this.record.limit = limit;
  }

  // ---- ends

  fail(fault: Fault): void {
    if (this.relayed) this.countRelayed();
    this.core.cells.add(faultCell(fault), 1);
    this.letGoOfUpstream();
    const record = this.record;
    const down = this.down;
    if (down !== null && this.state >= STATE.ANSWERING && !down.retract()) {
      down.abort(fault);
      this.forgetUnsent();
    } else if (down !== null) {
      const answer = (this.grpc ? GRPC_ANSWERS : this.policy.errors.faults).of(fault);
      if (answer !== null) this.answer(answer, 0, 0);
    } else if (this.state < STATE.ANSWERING) {
      record.status = CLIENT_CLOSED_REQUEST;
    }
    this.finish(fault.flag);
  }

  /** A tunnel breaks off, as for any other end that is none of its sides'; a request is answered, if it can be. */
  leave(tunnels: boolean): boolean {
    const { state } = this;
    if (state === STATE.RESTING || (state === STATE.TUNNEL) !== tunnels) return false;
    this.record.end = 'drain';
    this.fail(FAULTS.leaving);
    return true;
  }

  orphan(): boolean {
    const { up } = this;
    if (this.state !== STATE.TUNNEL || this.clientEnded || up === null || up.flush()) return false;
    if (!this.orphaned) this.deadlines.hurry(LIMITS.LINGER_MS);
    this.orphaned = true;
    return true;
  }

  /** Tells the client what no backend said; mem[start..end) are further field lines. */
  protected answer(answer: Answer, start: number, end: number): void {
    const record = this.record;
    const down = present(this.down, 'the client');
    if (this.grpc && answer.status !== 200) {
      this.answer(grpcAnswerOf(answer.status), 0, 0);
      return;
    }
    if (this.asksTunnel && answer.status < 300) {
      this.answer(new Answer(NOT_IMPLEMENTED, answer.fields, answer.body, answer.closes), start, end);
      return;
    }
    record.status = answer.status;
    if (this.grpc) record.grpcStatus = grpcStatusOf(answer);
    const crossOrigin = this.found.rule === null ? null : this.found.rule.crossOrigin;
    if (crossOrigin === null) {
      record.responseBytes = down.answer(answer, start, end, this.request.at);
      return;
    }
    const lines = crossOrigin.linesFor(this.origin);
    const own = answer.withFields((fields) => withoutSaid(fields, lines.lines));
    if (start < end) {
      record.responseBytes = down.answer(own, start, end, this.request.at);
      return;
    }
    // A script may read why it got no answer from a backend.
    const at = this.request.room(lines.http1.size);
    const to = at < 0 ? 0 : lines.http1.put(this.core.mem, at, this.request.at);
    record.responseBytes = down.answer(own, Math.max(at, 0), to, this.request.at);
  }

  protected exhausted(): void {
    this.core.cells.add(ARENA_LIMIT, 1);
    this.fail(FAULTS.overload);
  }

  /** What the client did not get is not logged as sent. */
  protected forgetUnsent(): void {
    const unsent = this.down === null ? 0 : this.down.unsentBytes;
    this.record.responseBytes = Math.max(0, this.record.responseBytes - unsent);
  }

  /**
   * Where nobody has to see what goes through a tunnel, it goes from connection to connection, within the kernel where
   * both are plain (relay.ts). Their ends and their being full are told as before.
   */
  protected relay(down: Downstream, up: Upstream): void {
    const to = up.plain;
    const from = down.plain;
    if (to === null || from === null || this.tap !== null) return;
    this.relayed = true;
    this.#requestBase = up.sentBytes + to.unsentBytes;
    this.#responseBase = down.sentBytes + down.unsentBytes;
    from.relayTo(to, Number.POSITIVE_INFINITY);
    to.relayTo(from, Number.POSITIVE_INFINITY);
    this.deadlines.watch(down.sentBytes + up.sentBytes);
  }

  /** While both sides are still known. */
  protected countRelayed(): void {
    const { up, down, record } = this;
    if (up === null || down === null) return;
    this.relayed = false;
    record.requestBytes = up.sentBytes - this.#requestBase;
    record.responseBytes = down.sentBytes + down.unsentBytes - this.#responseBase;
  }

  // ---- who waits for its client (upstream/stalled.ts)

  get client(): object {
    return this.down === null ? this : this.down.connection;
  }

  requestsAt(endpoint: object): number {
    return this.down === null ? 1 : this.down.requestsAt(endpoint);
  }

  isAt(endpoint: object): boolean {
    return this.attempts.endpoint === endpoint;
  }

  get stalled(): boolean {
    if (this.up === null || this.down === null) return false;
    // Who waits for 100 waits for the backend.
    const asks = this.expects && this.interims === 0;
    if (this.state === STATE.SENDING) return !this.request.done && !this.backendFull && !asks;
    return this.down.unsentBytes > 0;
  }

  get movedBytes(): number {
    const taken = this.down === null ? 0 : this.down.sentBytes;
    // What goes from connection to connection is counted there.
    return taken + (this.relayed && this.up !== null ? this.up.sentBytes : this.record.requestBytes);
  }

  giveWay(): void {
    this.core.cells.add(STALLED_LIMIT, 1);
    this.record.limit = 'STALLED_MS';
    this.record.end = 'limit';
    this.fail(this.state < STATE.ANSWERING ? FAULTS.bodyTimeout : FAULTS.streamIdle);
  }

  /** From now on it may be its client that it waits for. */
  protected mayStall(): void {
    if (this.stalledIn === null) this.attempts.endpoint?.stalled.add(this);
  }

  protected letGoOfUpstream(): void {
    const up = this.up;
    this.up = null;
    this.stalledIn?.remove(this);
    if (up !== null) up.cancel(this.unsent);
    if (this.waiting) this.stopWaiting();
  }

  protected leaveEndpoint(): void {
    const { upstreamUs } = this.record;
    const answered = upstreamUs >= 0;
    this.attempts.leave(answered ? (this.failed ? BACKEND_ERROR.status5xx : OUTCOME.ANSWERED) : OUTCOME.NONE);
  }

  /** The one end of every exchange. */
  finish(flag: string): void {
    const { io, records, shared } = this.core;
    const record = this.record;
    const down = this.down;
    if (this.relayed) this.countRelayed();
    // A complete response that came before the request did: nobody reads the rest of it.
    this.letGoOfUpstream();
    this.leaveEndpoint();
    this.deciding.end();
    if (this.tap !== null) {
      this.tap.close(flag === '');
      this.tap = null;
    }
    if (this.tunnelCell !== 0) {
      this.core.cells.add(this.tunnelCell, -1);
      this.tunnelCell = 0;
    }
    record.flags = flag;
    record.endUs = io.nowUs;
    this.state = transition(this.state, STATE.RESTING);
    this.down = null;
    this.found.rule = null;
    this.backend = null;
    this.later = null;
    this.web?.close();
    this.web = null;
    this.listener = null;
    this.attempts.clear();
    this.request.close();
    shared.tally.active--;
    records.record(record);
    record.client = NO_BYTES;
    this.owner.over(this);
    if (down !== null) down.release();
  }

  /** Frees what a resting exchange holds. */
  dispose(): void {
    this.deadlines.dispose();
    this.request.dispose(this.record);
  }

  /** It waits for capacity, and wants none any more. */
  protected abstract stopWaiting(): void;
  abstract onDeadline(nowMs: number): void;
  abstract onDecided(answer: Answer | null, start: number, end: number, asked: Asked): void;
  abstract onRefused(fault: Fault, asked: Asked): void;
}

// The request of an exchange, from its being prepared: attempts, each with the capacity of an endpoint, and content as
// it comes.

import { present } from '../../base/assert.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { CELL } from '../../telemetry/layout.ts';
import { BACKEND_ERROR } from '../counts.ts';
import { type EndpointPool, OUTCOME } from '../upstream/endpoint.ts';
import type { Waiter } from '../upstream/line.ts';
import { Answering } from './answering.ts';
import { NEVER } from './deadlines.ts';
import { keptTrailers } from './kept-trailers.ts';
import type { Upstream } from './sides.ts';
import { STATE, transition } from './states.ts';

/** After which a rule's `retry` holds although nobody answered (apis/v1 HTTPRouteRetry). */
const CONNECTION_ERRORS: ReadonlySet<Fault> = new Set<Fault>([
  FAULTS.connectFailed,
  FAULTS.connectTimeout,
  FAULTS.tlsFailed,
  FAULTS.upstreamReset,
]);

export abstract class Sending extends Answering implements Waiter {
  get fresh(): boolean {
    return this.attempts.fresh;
  }

  get once(): boolean {
    return !this.idempotent;
  }

  // ---- the request's content

  get takesBody(): boolean {
    return this.state >= STATE.SENDING || this.state === STATE.COLLECTING;
  }

  requestBody(start: number, stop: number): void {
    this.record.requestBytes += stop - start;
    this.deadlines.moved();
    const end = this.web === null ? stop : this.web.decode(start, stop);
    if (this.state === STATE.COLLECTING) {
      this.deciding.content?.add(start, end);
      return;
    }
    this.tap?.requestBody(start, end);
    const request = this.request;
    if (request.whole) {
      // What still fits is kept, so that the request can be sent again; while nothing was sent it waits there for more.
      if (request.add(this.core.mem, start, end)) {
        if (!this.unsent) present(this.up, 'the upstream').body(start, end);
        return;
      }
      if (this.unsent) this.send();
      request.whole = false;
    }
    present(this.up, 'the upstream').body(start, end);
  }

  /** It came without a length, and is more than its rule admits: it never looks whole to a backend. */
  protected refusesContent(): boolean {
    if (this.record.requestBytes <= this.contentMost || this.state === STATE.TUNNEL) return false;
    this.fail(FAULTS.bodyTooLarge);
    return true;
  }

  requestEnded(trailersStart: number, trailersEnd: number): void {
    const request = this.request;
    if (this.refusesContent()) return;
    if (this.web?.whole === false) {
      this.fail(FAULTS.badRequest);
      return;
    }
    if (this.state === STATE.COLLECTING) {
      this.collected(trailersStart, trailersEnd);
      return;
    }
    this.tap?.requestEnded();
    if (this.state === STATE.TUNNEL) {
      this.endTunnel(true);
      return;
    }
    if (this.state === STATE.DECIDING) {
      request.done = true;
      return;
    }
    const kept = this.keptTrailers(trailersStart, trailersEnd);
    if (request.whole && request.addTrailers(this.core.mem, trailersStart, kept)) {
      request.done = true;
      if (this.unsent) {
        if (this.state === STATE.SENDING) this.send();
        return;
      }
    } else {
      if (this.unsent) this.send();
      request.whole = false;
      request.done = true;
    }
    const up = present(this.up, 'the upstream');
    if (trailersStart < kept) up.trailers(trailersStart, kept);
    else up.end();
    up.flush();
  }

  /** Where the trailer section mem[start..end) ends without what it may not say; for a request that has a backend. */
  protected keptTrailers(start: number, end: number): number {
    if (start === end) return end;
    const edits = this.backend === null || this.backend.edits === null ? null : this.backend.edits.request;
    const clients = this.request.trusted ? null : this.policy.clients;
    return keptTrailers(this.core.mem, start, end, edits, this.changed, clients);
  }

  flushRequest(): boolean {
    if (this.refusesContent()) return true;
    if (this.state === STATE.COLLECTING) {
      this.contentFits();
      return true;
    }
    if (!this.takesBody) return true;
    if (this.unsent) this.send();
    this.backendFull = !present(this.up, 'the upstream').flush();
    return !this.backendFull;
  }

  /** All of the content that is held for somebody is here. */
  protected abstract collected(trailersStart: number, trailersEnd: number): void;
  /** False: there is more of it than may be held, and the request is answered. */
  protected abstract contentFits(): boolean;

  onDownstreamDrained(): void {
    if (this.state < STATE.ANSWERING || this.closeTunnel()) return;
    if (this.up !== null) this.up.resumeResponse();
    else if (this.delivering) this.finish('');
  }

  onDownstreamGone(): void {
    if (this.relayed) this.countRelayed();
    this.forgetUnsent();
    this.down = null;
    this.record.end = 'client';
    this.fail(FAULTS.clientGone);
  }

  // ---- attempts

  protected attempt(endpoint: EndpointPool): void {
    const { io } = this.core;
    const record = this.record;
    const deadlines = this.deadlines;
    if (this.state !== STATE.WAITING) this.state = transition(this.state, STATE.WAITING);
    this.unsent = true;
    deadlines.backend = NEVER;
    record.endpointJson = endpoint.json;
    this.attempts.begin(endpoint);
    record.attempts = this.attempts.count;
    const up = endpoint.acquire(this);
    if (up !== null) {
      this.got(up);
    } else if (this.waiting) {
      deadlines.wait = io.nowMs + LIMITS.UPSTREAM_PENDING_MS;
      deadlines.arm(deadlines.wait);
    }
  }

  protected stopWaiting(): void {
    this.attempts.endpoint?.giveUp(this);
  }

  /** Capacity is there; the request goes out with what its codec has to add, or by `send`. */
  protected got(up: Upstream): void {
    const { io } = this.core;
    const deadlines = this.deadlines;
    this.up = up;
    this.state = transition(this.state, STATE.SENDING);
    this.sentUs = io.nowUs;
    deadlines.wait = NEVER;
    const timeout = present(this.found.rule, 'the rule').backendTimeoutMs;
    if (timeout > 0) {
      deadlines.backend = io.nowMs + timeout;
      deadlines.arm(deadlines.backend);
    }
  }

  onUpstreamReady(up: Upstream): void {
    this.got(up);
    this.sendNow();
  }

  /** What is held goes out, and the client may go on. */
  protected sendNow(): void {
    this.send();
    if (!this.request.done) present(this.down, 'the client').resumeRequest();
  }

  protected send(): void {
    this.unsent = false;
    this.backendFull = false;
    present(this.up, 'the upstream').send(this.request);
    if (!this.request.done) this.mayStall();
  }

  /** Another attempt, in whatever call: when capacity is there at once, nobody else is going to send the request. */
  protected again(endpoint: EndpointPool): void {
    this.core.cells.add(CELL.UPSTREAM_RETRIES_TOTAL, 1);
    this.attempt(endpoint);
    if (this.state === STATE.SENDING && this.unsent) this.sendNow();
  }

  /**
   * The attempt failed. `fault.retryable`: nothing of the request was sent, so another endpoint may have it whatever
   * its method is. A backend that resets the new connection behind a stale one is on its way out: another one may have
   * what may be sent twice. That one leaves in order is no error of its, where the request is sent again.
   */
  onUpstreamFault(fault: Fault, error: number): void {
    if (this.relayed) this.countRelayed();
    this.up = null;
    this.stalledIn?.remove(this);
    const failed = this.attempts.endpoint;
    const leaves = error === BACKEND_ERROR.reset && this.attempts.fresh && this.idempotent;
    const left = fault === FAULTS.upstreamLeft;
    this.attempts.leave(left ? OUTCOME.NONE : error);
    const mayRepeat = (fault.retryable || leaves) && this.request.whole && this.state < STATE.ANSWERING;
    if (mayRepeat && failed !== null) {
      const next = this.attempts.next(failed, fault);
      if (next !== null && (fault.retryable || next !== failed)) {
        this.again(next);
        return;
      }
    }
    if (CONNECTION_ERRORS.has(fault) && this.retriesFailure(failed)) return;
    if (left) failed?.countError(error);
    if (failed !== null) this.record.endpointJson = failed.failedJson;
    this.record.end = 'backend';
    this.fail(fault);
  }

  /** The rule wants the request to be sent again after `failed` gave no answer, and it is. */
  protected retriesFailure(failed: EndpointPool | null): boolean {
    if (failed === null || !this.request.whole || this.state >= STATE.ANSWERING) return false;
    const next = this.attempts.afterFailure(failed);
    if (next !== null) {
      this.backOff(next);
      return true;
    }
    this.noteBudget();
    if (!this.attempts.constrained) return false;
    this.fail(FAULTS.overload);
    return true;
  }

  /** RFC 9110 section 9.2.2: only an idempotent request is sent again, and only while all of it is still here. */
  onUpstreamStale(): void {
    this.up = null;
    this.stalledIn?.remove(this);
    const endpoint = this.attempts.endpoint;
    const whole = this.request.whole && this.state < STATE.ANSWERING;
    if (this.idempotent && whole && endpoint !== null && this.attempts.again()) {
      this.attempts.leave(OUTCOME.NONE);
      this.again(endpoint);
      return;
    }
    this.onUpstreamFault(FAULTS.upstreamReset, BACKEND_ERROR.reset);
  }

  /** The rule wants the request to be sent again after this response, and it is; false when it cannot be. */
  protected retriesAfter(status: number): boolean {
    const attempts = this.attempts;
    const next = this.request.whole ? attempts.after(status) : null;
    if (next === null) {
      this.noteBudget();
      if (!attempts.constrained) return false;
    }
    this.letGoOfUpstream();
    attempts.leave(status >= 500 ? BACKEND_ERROR.status5xx : OUTCOME.ANSWERED);
    if (next === null) this.fail(FAULTS.overload);
    else this.backOff(next);
    return true;
  }

  private noteBudget(): void {
    if (this.attempts.overBudget) this.record.limit = 'RETRY_BUDGET_PERCENT';
  }

  /** The next attempt, at `next`, has its time. */
  private backOff(next: EndpointPool): void {
    const { io } = this.core;
    this.state = transition(this.state, STATE.BACKOFF);
    this.later = next;
    this.deadlines.backend = NEVER;
    this.deadlines.wait = io.nowMs + this.attempts.backoffMs(io);
    this.deadlines.arm(this.deadlines.wait);
  }
}

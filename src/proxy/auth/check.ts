// One request to an authorization server, through the same pools, attempts and codecs as any other: from its being
// asked to a verdict, in bounded time.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, countLimit } from '../counts.ts';
import { Attempts } from '../exchange/attempts.ts';
import type { Upstream } from '../exchange/sides.ts';
import type { Head } from '../head.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { type EndpointPool, OUTCOME } from '../upstream/endpoint.ts';
import type { Waiter, WaiterQueue } from '../upstream/line.ts';
import type { Question } from './question.ts';
import type { Reply } from './reply.ts';
import { FAILED, type Verdict } from './verdict.ts';

const TIME_LIMIT = limitCell('EXTERNAL_AUTH_MS');

/** Who asked. */
export interface CheckOwner {
  /** It is over; null when nobody is to hear of it. */
  over(check: Check, verdict: Verdict | null): void;
}

export class Check implements Waiter, TimerSink {
  readonly #core: Core;
  readonly #owner: CheckOwner;
  readonly #question: Question;
  readonly #reply: Reply;
  readonly #attempts: Attempts;
  readonly #timer = new Timer(this, 0);
  #up: Upstream | null = null;
  #interims = 0;
  #ended = false;

  // ---- Waiter
  /** A question may be asked twice. */
  readonly once = false;
  readonly toHead: boolean;
  readonly client = this;
  waiting = false;
  queue: WaiterQueue | null = null;
  nextWaiting: Waiter | null = null;
  previousWaiting: Waiter | null = null;

  constructor(core: Core, owner: CheckOwner, question: Question, reply: Reply, toHead: boolean) {
    this.#core = core;
    this.#owner = owner;
    this.#question = question;
    this.#reply = reply;
    this.#attempts = new Attempts(core);
    this.toHead = toHead;
  }

  requestsAt(): number {
    return 1;
  }

  get fresh(): boolean {
    return this.#attempts.fresh;
  }

  /** Asks `cluster`; may be over when it returns. */
  start(cluster: Cluster, hash: number): void {
    const { io } = this.#core;
    io.timers.arm(this.#timer, io.nowMs, LIMITS.EXTERNAL_AUTH_MS);
    const endpoint = this.#attempts.first(cluster, hash, null);
    if (endpoint === null) this.#over(FAILED);
    else this.#attempt(endpoint);
  }

  #attempt(endpoint: EndpointPool): void {
    this.#reply.clear();
    this.#attempts.begin(endpoint);
    const up = endpoint.acquire(this);
    if (up !== null) this.onUpstreamReady(up);
  }

  onUpstreamReady(up: Upstream): void {
    this.#up = up;
    up.send(this.#question);
    up.flush();
  }

  onTimer(): void {
    this.#core.cells.add(TIME_LIMIT, 1);
    this.#stop();
    this.#attempts.leave(BACKEND_ERROR.timeout);
    this.#over(this.#reply.broken());
  }

  /** Nobody waits for it any more. */
  cut(): void {
    if (this.#ended) return;
    this.#stop();
    this.#attempts.leave(OUTCOME.NONE);
    this.#over(null);
  }

  #stop(): void {
    const up = this.#up;
    this.#up = null;
    if (up !== null) up.cancel(false);
    else if (this.waiting) this.#attempts.endpoint?.giveUp(this);
  }

  #over(verdict: Verdict | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#core.io.timers.cancel(this.#timer);
    this.#attempts.clear();
    this.#question.free(this.#core);
    this.#owner.over(this, verdict);
  }

  /** The server's answer, as far as it is needed. */
  #answered(): void {
    const verdict = this.#reply.verdict();
    const outcome = this.#reply.status >= 500 ? BACKEND_ERROR.status5xx : OUTCOME.ANSWERED;
    this.#attempts.leave(outcome);
    this.#over(verdict);
  }

  // ---- the response

  onInterim(_head: Head): void {
    if (++this.#interims <= LIMITS.INTERIM_RESPONSES) return;
    countLimit(this.#core.cells, 'INTERIM_RESPONSES');
    this.#stop();
    this.#attempts.leave(BACKEND_ERROR.malformed);
    this.#over(FAILED);
  }

  onResponse(head: Head): void {
    this.#reply.head(head);
  }

  onSwitched(_head: Head): void {
    this.#stop();
    this.#attempts.leave(BACKEND_ERROR.malformed);
    this.#over(FAILED);
  }

  onBackendEnded(): void {}

  responseBody(start: number, end: number): void {
    this.#reply.body(start, end);
  }

  responseTrailers(start: number, end: number): void {
    this.#reply.trailers(start, end);
  }

  responseEnded(): void {
    this.#up = null;
    this.#answered();
  }

  /** An answer without end is not waited for. */
  flushResponse(): boolean {
    if (!this.#reply.full || this.#ended) return true;
    this.#stop();
    this.#answered();
    return true;
  }

  onUpstreamDrained(): void {}

  onUpstreamStale(): void {
    this.#up = null;
    const { endpoint } = this.#attempts;
    if (endpoint !== null && this.#attempts.again()) {
      this.#attempts.leave(OUTCOME.NONE);
      this.#attempt(endpoint);
      return;
    }
    this.#attempts.leave(BACKEND_ERROR.reset);
    this.#over(this.#reply.broken());
  }

  noteLimit(): void {}

  onUpstreamFault(fault: Fault, error: number): void {
    this.#up = null;
    const failed = this.#attempts.endpoint;
    const left = fault === FAULTS.upstreamLeft;
    this.#attempts.leave(left ? OUTCOME.NONE : error);
    const next = failed !== null && fault.retryable ? this.#attempts.next(failed, fault) : null;
    if (next !== null) {
      this.#attempt(next);
      return;
    }
    if (left) failed?.countError(error);
    this.#over(this.#reply.broken());
  }
}

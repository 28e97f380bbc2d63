// Which endpoint gets a request, and which one next. What failed before a byte was sent goes to an endpoint that was
// not tried, while there is one; always of the backend that the rule's weights chose: its share, and the edits that
// belong to it, are not another's. The rest is the rule's to say (RuleEntry.retry), or the defaults of base/limits.ts.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Retry } from '../../ir/ir.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import type { RetryBudget } from '../upstream/budget.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { EndpointPool } from '../upstream/endpoint.ts';
import type { Random } from '../upstream/pick/picker.ts';

const ATTEMPTS_LIMIT = limitCell('UPSTREAM_ATTEMPTS');
const BUDGET_LIMIT = limitCell('RETRY_BUDGET_PERCENT');
const NONE: readonly EndpointPool[] = [];

export class Attempts {
  readonly #core: Core;
  #cluster: Cluster | null = null;
  #hash = 0;
  #policy: Retry | null = null;
  #tried: EndpointPool[] = NONE as EndpointPool[];
  /** Times that the request was sent again by the rule's wish; connections that were refused are not among them. */
  #repeats = 0;
  /** What allowed the first of them. */
  #budget: RetryBudget | null = null;
  /** The rule would have it sent again, but its cluster has too many such already. */
  overBudget = false;
  /** Connections that were left by their backend before it worked on the request. */
  #left = 0;
  /** Attempts so far. */
  count = 0;
  /** Where the attempt under way is; null between two. */
  endpoint: EndpointPool | null = null;
  /** A connection that had served was stale: only a new one will do. */
  fresh = false;

  constructor(core: Core) {
    this.#core = core;
  }

  /** A request for `cluster`; the endpoint of its first attempt, null when none is ready. */
  first(cluster: Cluster, hash: number, policy: Retry | null): EndpointPool | null {
    this.#cluster = cluster;
    this.#hash = hash;
    this.#policy = policy;
    this.count = 0;
    this.#repeats = 0;
    this.overBudget = false;
    this.#left = 0;
    this.fresh = false;
    if (this.#tried.length > 0) this.#tried.length = 0;
    cluster.constraint?.requested(this.#core.io.nowMs);
    return cluster.pick(hash);
  }

  begin(endpoint: EndpointPool): void {
    this.count++;
    this.endpoint = endpoint;
    endpoint.begun();
  }

  /** The attempt is over; tells the endpoint how it went. */
  leave(outcome: number): void {
    const { endpoint } = this;
    if (endpoint === null) return;
    this.endpoint = null;
    endpoint.finished(outcome);
  }

  /** After an attempt at `failed` of which nothing was sent: where the next one goes, null when there is no more. */
  next(failed: EndpointPool, fault: Fault): EndpointPool | null {
    const cluster = this.#cluster;
    if (cluster === null) return null;
    // Another of its connections, or a new one, will do: it costs nothing, and the shares stay as they are.
    if (fault === FAULTS.upstreamLeft && ++this.#left < LIMITS.UPSTREAM_TRIED) return failed;
    if (this.#tried === NONE) this.#tried = [];
    this.#tried.push(failed);
    this.fresh = false;
    // One that refuses costs nothing: all may be asked. One that is silent costs its time, and each counts.
    if (fault === FAULTS.connectFailed && this.#tried.length < LIMITS.UPSTREAM_TRIED) {
      const other = cluster.pickOther(this.#hash, this.#tried);
      if (other !== null) return other;
    }
    if (!this.#mayRepeat()) return null;
    // When all were tried, any of them once more, but another one than that which just failed.
    return (
      cluster.pickOther(this.#hash, this.#tried) ?? cluster.pickOther(this.#hash, [failed]) ?? cluster.pick(this.#hash)
    );
  }

  /** Whether what was sent on a stale connection may go to its endpoint again. */
  again(): boolean {
    if (this.fresh || !this.#mayRepeat()) return false;
    this.fresh = true;
    return true;
  }

  /**
   * Where the request goes when the attempt under way was answered by a `status` that the rule takes for a failure: to
   * another endpoint, or the same when it is the only one. Null when it is not to be sent again.
   */
  after(status: number): EndpointPool | null {
    const { endpoint } = this;
    if (this.#policy?.codes.includes(status) !== true || endpoint === null) return null;
    return this.afterFailure(endpoint);
  }

  /**
   * The same when `failed` gave no answer: it closed the connection or took too long. A rule that says how to repeat
   * means that, too (apis/v1 HTTPRouteRetry).
   */
  afterFailure(failed: EndpointPool): EndpointPool | null {
    const cluster = this.#cluster;
    const policy = this.#policy;
    if (policy === null || cluster === null || this.#repeats >= policy.attempts) return null;
    if (!this.#affords(cluster)) {
      this.#core.cells.add(BUDGET_LIMIT, 1);
      this.overBudget = true;
      return null;
    }
    this.#repeats++;
    if (this.#tried === NONE) this.#tried = [];
    this.#tried.push(failed);
    this.fresh = false;
    return cluster.pickOther(this.#hash, this.#tried) ?? cluster.pick(this.#hash);
  }

  /** A policy's budget is asked for each, that of the limits once for all of a request's. */
  #affords(cluster: Cluster): boolean {
    const { constraint } = cluster;
    if (constraint !== null) return constraint.take(this.#core.io.nowMs);
    this.#budget ??= cluster.takeRetry();
    return this.#budget !== null;
  }

  /** A policy says that there is no more: the request is answered 503 (apis/v1alpha1 RetryConstraint). */
  get constrained(): boolean {
    return this.overBudget && this.#cluster !== null && this.#cluster.constraint !== null;
  }

  /**
   * How long the next attempt waits: at least the rule's time, doubled with each, and up to a quarter more by chance.
   */
  backoffMs(random: Random): number {
    const policy = this.#policy;
    if (policy === null || policy.backoffMs === 0) return 0;
    const least = policy.backoffMs * 2 ** Math.min(16, this.#repeats - 1);
    const jitter = random.random32() / 0x1_0000_0000 / 4;
    return Math.min(LIMITS.RETRY_BACKOFF_MAX_MS, Math.ceil(least * (1 + jitter)));
  }

  /** What a backend left unbegun is bounded by itself, and is no attempt that failed. */
  #mayRepeat(): boolean {
    if (this.count - this.#left < LIMITS.UPSTREAM_ATTEMPTS) return true;
    this.#core.cells.add(ATTEMPTS_LIMIT, 1);
    return false;
  }

  /** The request is over. */
  clear(): void {
    this.#cluster = null;
    this.#policy = null;
    if (this.#budget !== null) {
      this.#budget.giveBack();
      this.#budget = null;
    }
    if (this.#tried.length > 0) this.#tried.length = 0;
  }
}

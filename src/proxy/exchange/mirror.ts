// Mirrors: copies of requests for another backend, whose answers nobody reads (HTTPRequestMirrorFilter). A request is
// copied while it passes and goes out when it is complete, so that what breaks off is not mirrored in part; it slows
// nobody, and what does not fit in its limits is left away and counted.

import type { Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { CELL, limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, countLimit } from '../counts.ts';
import type { Head } from '../head.ts';
import { type EndpointPool, OUTCOME } from '../upstream/endpoint.ts';
import type { Waiter, WaiterQueue } from '../upstream/line.ts';
import { BlockRequest } from './block-request.ts';
import type { ClusterRef } from './rule.ts';
import type { PreparedRequest, Upstream } from './sides.ts';
import type { Tap, TapReader, TapSource } from './tap.ts';

const MIRRORS_LIMIT = limitCell('MIRRORS');
const MIRROR_LIMIT = limitCell('MIRROR_MS');
const ARENA_LIMIT = limitCell('ARENA_BYTES');
const HEAD = 'HEAD';

/** The mirrors of one worker. */
export class Mirrors {
  readonly core: Core;
  readonly #under = new Set<Mirror>();

  constructor(core: Core) {
    this.core = core;
  }

  /** Of `of` requests, `share` are mirrored to the cluster, by chance. */
  source(cluster: ClusterRef, share: number, of: number): TapSource {
    return {
      wants: () => share >= of || (this.core.io.random32() / 0x1_0000_0000) * of < share,
      open: (tap) => this.#open(cluster, tap),
    };
  }

  #open(cluster: ClusterRef, tap: Tap): TapReader {
    const { cells } = this.core;
    if (this.#under.size >= LIMITS.MIRRORS) {
      cells.add(MIRRORS_LIMIT, 1);
      cells.add(CELL.MIRRORS_DROPPED_TOTAL, 1);
      return NOBODY;
    }
    const mirror = new Mirror(this, cluster, tap);
    this.#under.add(mirror);
    return mirror;
  }

  /** Those under way. */
  get count(): number {
    return this.#under.size;
  }

  over(mirror: Mirror): void {
    this.#under.delete(mirror);
  }

  /** Ends all that are under way. */
  stop(): void {
    for (const mirror of [...this.#under]) mirror.cut();
  }
}

const NOBODY: TapReader = {
  request: () => {},
  requestBody: () => {},
  requestEnded: () => {},
  responseBody: () => {},
  over: () => {},
};

/** The copy of a request: its bytes stand in a block of their own. */
class CopiedRequest extends BlockRequest {
  /** False when there is no memory. */
  copy({ io, mem }: Core, from: PreparedRequest): boolean {
    const at = io.alloc(from.end - from.start);
    if (at < 0) return false;
    move(mem, at, from.start, from.end);
    this.#stand(from, at);
    this.length = from.length;
    return true;
  }

  add(core: Core, start: number, end: number): boolean {
    const { io, mem } = core;
    const bytes = this.end - this.start + end - start;
    if (bytes > io.sizeOf(this.start)) {
      // Twice as much, so that many small pieces are not copied over and over.
      const at = io.alloc(Math.max(bytes, Math.min(2 * io.sizeOf(this.start), LIMITS.TAP_BYTES)));
      if (at < 0) return false;
      move(mem, at, this.start, this.end);
      const before = this.start;
      this.#stand(this, at);
      io.free(before);
    }
    move(mem, this.end, start, end);
    this.end += end - start;
    this.trailersEnd = this.end;
    return true;
  }

  #stand(from: PreparedRequest, at: number): void {
    const delta = at - from.start;
    this.methodEnd = from.methodEnd + delta;
    this.fieldsStart = from.fieldsStart + delta;
    this.linesEnd = from.linesEnd + delta;
    this.bodyStart = from.bodyStart + delta;
    // Trailers are not mirrored.
    this.end = from.end + delta;
    this.trailersEnd = this.end;
    this.start = at;
  }
}

class Mirror implements TapReader, Waiter, TimerSink {
  readonly #mirrors: Mirrors;
  readonly #core: Core;
  readonly #cluster: ClusterRef;
  readonly #tap: Tap;
  readonly #request = new CopiedRequest();
  readonly #timer = new Timer(this, 0);
  #complete = false;
  #ended = false;
  #endpoint: EndpointPool | null = null;
  #up: Upstream | null = null;
  #interims = 0;
  toHead = false;

  // ---- Waiter
  readonly fresh = false;
  /** It is nobody's loss when it is not sent. */
  readonly once = true;
  /** All copies are one client's. */
  readonly client: Mirrors;
  waiting = false;
  queue: WaiterQueue | null = null;
  nextWaiting: Waiter | null = null;
  previousWaiting: Waiter | null = null;

  constructor(mirrors: Mirrors, cluster: ClusterRef, tap: Tap) {
    this.#tap = tap;
    this.#mirrors = mirrors;
    this.client = mirrors;
    this.#core = mirrors.core;
    this.#cluster = cluster;
  }

  requestsAt(): number {
    return this.#mirrors.count;
  }

  // ---- the request, as it passes

  request(request: PreparedRequest): void {
    if (request.upgrade) this.#drop();
    else if (this.#request.copy(this.#core, request)) this.toHead = this.#method() === HEAD;
    else this.#exhausted();
  }

  #method(): string {
    const { start, methodEnd } = this.#request;
    return methodEnd - start === HEAD.length ? String.fromCharCode(...this.#core.mem.subarray(start, methodEnd)) : '';
  }

  requestBody(start: number, end: number): void {
    if (!this.#ended && !this.#request.add(this.#core, start, end)) this.#exhausted();
  }

  requestEnded(): void {
    if (this.#ended || this.#complete) return;
    this.#complete = true;
    this.#send();
  }

  /** Both the mirrored exchange's content and that of the copy: nobody reads either. */
  responseBody(start: number, end: number): void {
    if (!this.#complete) this.#tap.took(end - start);
  }

  over(): void {
    // What did not end, or did not fit, is no request.
    if (!this.#complete) this.#drop();
  }

  // ---- on its way

  #send(): void {
    const { io, cells } = this.#core;
    const endpoint = this.#cluster.current?.pick(io.random32()) ?? null;
    if (endpoint === null) {
      this.#fail();
      return;
    }
    io.timers.arm(this.#timer, io.nowMs, LIMITS.MIRROR_MS);
    cells.add(CELL.MIRRORS_TOTAL, 1);
    this.#endpoint = endpoint;
    endpoint.begun();
    const up = endpoint.acquire(this);
    if (up !== null) this.onUpstreamReady(up);
  }

  onUpstreamReady(up: Upstream): void {
    this.#up = up;
    up.send(this.#request);
    up.flush();
  }

  onTimer(): void {
    this.#core.cells.add(MIRROR_LIMIT, 1);
    this.#stop();
    this.#over(BACKEND_ERROR.timeout);
  }

  /** Nothing is to become of it. */
  cut(): void {
    if (this.#endpoint === null) this.#drop();
    else {
      this.#stop();
      this.#over(OUTCOME.NONE);
    }
  }

  #stop(): void {
    const up = this.#up;
    this.#up = null;
    if (up !== null) up.cancel(false);
    else if (this.waiting) this.#endpoint?.giveUp(this);
  }

  #exhausted(): void {
    this.#core.cells.add(ARENA_LIMIT, 1);
    this.#drop();
  }

  /** It is not sent. */
  #drop(): void {
    if (this.#ended) return;
    this.#core.cells.add(CELL.MIRRORS_DROPPED_TOTAL, 1);
    this.#end();
  }

  #fail(): void {
    this.#core.cells.add(CELL.MIRRORS_FAILED_TOTAL, 1);
    this.#end();
  }

  #over(outcome: number): void {
    if (this.#ended) return;
    const endpoint = this.#endpoint;
    this.#endpoint = null;
    endpoint?.finished(outcome);
    if (outcome === OUTCOME.ANSWERED) this.#end();
    else this.#fail();
  }

  #end(): void {
    this.#ended = true;
    this.#core.io.timers.cancel(this.#timer);
    this.#request.free(this.#core);
    this.#mirrors.over(this);
  }

  // ---- the response, which nobody reads

  onInterim(_head: Head): void {
    if (++this.#interims <= LIMITS.INTERIM_RESPONSES) return;
    countLimit(this.#core.cells, 'INTERIM_RESPONSES');
    this.#stop();
    this.#over(BACKEND_ERROR.malformed);
  }
  onResponse(_head: Head): void {}
  onSwitched(_head: Head): void {
    this.#stop();
    this.#over(BACKEND_ERROR.malformed);
  }
  onBackendEnded(): void {}
  responseTrailers(): void {}
  responseEnded(): void {
    this.#up = null;
    this.#over(OUTCOME.ANSWERED);
  }
  flushResponse(): boolean {
    return true;
  }
  onUpstreamDrained(): void {}
  onUpstreamStale(): void {
    this.#up = null;
    this.#over(BACKEND_ERROR.reset);
  }
  noteLimit(): void {}
  onUpstreamFault(_fault: Fault, error: number): void {
    this.#up = null;
    this.#over(error);
  }
}

// One request and its response, between two codecs it knows nothing of (sides.ts), through the states of states.ts. Its
// way:
//
//   begin      what the log will say is noted, the rule found (route.ts)
//   #walk      the rule's chain, step by step: decisions, taps, then forward, redirect or respond (rule.ts)
//   #attempt   an endpoint's capacity (attempts.ts, upstream/), again where that is allowed
//   #send      the prepared request (request-block.ts) to the upstream, content behind it as it comes
//   onResponse the answer's head with the rule's edits, content behind it as it comes
//   finish     whatever the end: counted, logged and returned to the pool, exactly once

import { present } from '../../base/assert.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import type { LimitName } from '../../base/limits.ts';
import { limitCell } from '../../telemetry/layout.ts';
import { BACKEND_ERROR } from '../counts.ts';
import type { CompiledCors } from '../filter/cors.ts';
import { BODY, type Head, METHOD } from '../head.ts';
import { Answer, NO_BODY } from './answer.ts';
import { Consulting } from './consulting.ts';
import { DUE, NEVER } from './deadlines.ts';
import { isGrpc } from './grpc.ts';
import { GrpcWeb, grpcWebMode, WEB_MODE } from './grpc-web.ts';
import { noteRequest } from './noted.ts';
import { NO_BYTES } from './request-block.ts';
import { findRule } from './route.ts';
import { type CompiledRule, STEP } from './rule.ts';
import type { Downstream, RequestSide } from './sides.ts';
import { STATE } from './states.ts';
import { Tap } from './tap.ts';

/** No Content: what a preflight is answered, whoever asks. */
const PREFLIGHT = new Answer(204, null, NO_BODY, false);
const IDLE_LIMIT = limitCell('STREAM_IDLE_MS');
const LINGER_LIMIT = limitCell('LINGER_MS');
const PENDING_LIMIT = limitCell('UPSTREAM_PENDING_MS');
const REWRITE_LIMIT = limitCell('REWRITE_EXPRESSION_BYTES');
const DECISION_LIMIT = limitCell('DECISION_MS');
const DECISION_BODY_LIMIT = limitCell('DECISION_BODY_MS');

export class Exchange extends Consulting implements RequestSide {
  begin(down: Downstream, head: Head): void {
    const core = this.core;
    const method = head.method;
    this.open(down);
    this.toHead = method === METHOD.HEAD;
    this.expects = head.expectContinue;
    this.asksTunnel = head.upgrade && head.version === 20;
    this.grpc = !head.upgrade && isGrpc(core.mem, head);
    this.idempotent = method !== METHOD.POST && method !== METHOD.PATCH && method < METHOD.CONNECT;
    if (!this.request.open(core, this.record)) {
      this.exhausted();
      return;
    }
    const listener = present(this.listener, 'the listener');
    this.policyIs(listener.policyFor(core.mem, head));
    const { clients } = this.policy;
    const trusted = clients === null ? down.trusted : clients.trusts(down.client);
    this.request.trusted = trusted;
    noteRequest(core, this.record, head, down, this.request.at, clients, trusted);
    const fault = findRule(core.mem, this.record, listener, head, down, trusted, this.found);
    if (fault !== null) this.fail(fault);
    else if (!present(this.found.rule, 'the rule').grpcWeb || this.openWeb(down, head)) this.walk(0, head);
  }

  /** A call of gRPC-Web is translated from here on; false when there is no memory, and it is answered. */
  protected openWeb(down: Downstream, head: Head): boolean {
    const mode = grpcWebMode(this.core.mem, head);
    if (mode === WEB_MODE.NONE) return true;
    const web = new GrpcWeb(this.core.io);
    if (!web.open(down, mode, head)) {
      this.exhausted();
      return false;
    }
    this.grpc = true;
    this.web = web;
    this.down = web;
    return true;
  }

  refuse(down: Downstream, fault: Fault, limit: LimitName | null): void {
    this.open(down);
    this.noteLimit(limit);
    this.toHead = false;
    this.fail(fault);
  }

  // ---- the rule's chain

  /** From step `from` on, until the request waits for something or is answered. */
  protected walk(from: number, head: Head): void {
    const rule = present(this.found.rule, 'the rule');
    const { chain } = rule;
    for (let i = from; i < chain.length; i++) {
      const step = chain[i] as CompiledRule['chain'][number];
      switch (step.kind) {
        case STEP.ACCESS:
          if (step.access.permits(this.core.mem, head, this.record.client)) break;
          this.fail(FAULTS.accessDenied);
          return;
        case STEP.CORS:
          if (!this.crossOrigin(step.cors, head)) return;
          break;
        case STEP.CONTENT:
          if (this.admitsContent(step.bytes, head)) break;
          return;
        case STEP.DECIDE:
          if (step.decision.contentBytes > 0 && this.collects(step.decision, i, head)) return;
          if (!this.decide(step.decision, i, head)) return;
          break;
        case STEP.TAP:
          if (step.source.wants()) this.tap = new Tap(step.source, this.tap);
          break;
        case STEP.FORWARD:
          this.forward(rule, head);
          return;
        case STEP.REDIRECT:
          this.redirect(rule, head);
          return;
        case STEP.RESPOND:
          this.answer(step.written ? step.answer : this.policy.errors.ofRule(step.answer), 0, 0);
          this.finish('');
          return;
      }
    }
  }

  /** False: it announces more than `bytes`, and is answered. */
  protected admitsContent(bytes: number, head: Head): boolean {
    this.contentMost = bytes;
    if (head.body !== BODY.LENGTH || head.contentLength <= bytes) return true;
    this.fail(FAULTS.bodyTooLarge);
    return false;
  }

  /** False: it was a browser's question whether it may ask, which is answered here. */
  protected crossOrigin(cors: CompiledCors, head: Head): boolean {
    const { mem } = this.core;
    this.origin = cors.originOf(mem, head);
    if (!cors.isPreflight(mem, head)) return true;
    const lines = cors.preflight(mem, head, this.origin);
    const at = this.request.room(lines.length);
    if (at < 0) {
      this.exhausted();
      return false;
    }
    mem.set(lines, at);
    this.answer(PREFLIGHT, at, at + lines.length);
    this.finish('');
    return false;
  }

  protected redirect(rule: CompiledRule, head: Head): void {
    const redirect = present(rule.redirect, 'the redirect');
    const { prefixLength, port } = this.found;
    const lines = rule.crossOrigin === null ? null : rule.crossOrigin.linesFor(this.origin).http1;
    const start = this.request.room(redirect.locationBound(head) + 16 + (lines === null ? 0 : lines.size));
    if (start < 0) {
      this.exhausted();
      return;
    }
    const secure = present(this.down, 'the client').secure;
    const { mem } = this.core;
    let end = redirect.putLine(mem, start, head, prefixLength, secure, port);
    if (lines !== null) end = lines.put(mem, end, this.request.at);
    this.answer(present(rule.answer, 'the answer'), start, end);
    this.finish('');
  }

  protected forward(rule: CompiledRule, head: Head): void {
    const { mem } = this.core;
    const record = this.record;
    const request = this.request;
    const backend = rule.pick();
    const cluster = backend === null || backend.cluster === null ? null : backend.cluster.current;
    if (backend !== null) record.backendJson = backend.json;
    if (backend === null || cluster === null) {
      this.fail(FAULTS.noCluster);
      return;
    }
    const refused = backend.edits?.path?.refuses(mem, head) ?? null;
    if (refused !== null) {
      if (refused === FAULTS.uriTooLong) {
        this.core.cells.add(REWRITE_LIMIT, 1);
        record.limit = 'REWRITE_EXPRESSION_BYTES';
      }
      this.fail(refused);
      return;
    }
    this.backend = backend;
    const hash = cluster.hashes ? cluster.hash(mem, head, record.client) : 0;
    const { retry } = rule.entry;
    const repeats = retry !== null && (retry.idempotent !== true || this.idempotent) ? retry : null;
    const endpoint = this.attempts.first(cluster, hash, repeats);
    if (endpoint === null) {
      this.fail(FAULTS.noEndpoint);
      return;
    }
    // A request that was kept for a decision may be complete by now.
    const { content, kept } = this.deciding;
    const done = kept !== null && request.done;
    const own = this.web === null ? NO_BYTES : this.web.line;
    const held = content === null ? 0 : content.trailersEnd - content.start;
    const down = present(this.down, 'the client');
    request.port = rule.ofIngress ? this.found.port : 0;
    request.client = record.client;
    if (!request.prepare(mem, head, backend.edits, this.found.prefixLength, down, own, held)) {
      this.exhausted();
      return;
    }
    if (content !== null) {
      request.add(mem, content.start, content.end);
      request.addTrailers(mem, content.end, this.keptTrailers(content.end, content.trailersEnd));
    }
    request.done = done;
    if (request.upgrade) record.upgradeStart = record.copy(mem, request.upgradeStart, request.upgradeEnd);
    if (request.upgrade) record.upgradeEnd = record.used;
    this.tap?.request(request);
    if (done) this.tap?.requestEnded();
    const deadlines = this.deadlines;
    deadlines.take(rule.timed, rule.idleTimeoutMs);
    this.startClock(head);
    deadlines.arm(Math.min(deadlines.request, deadlines.idle));
    this.attempt(endpoint);
  }

  // ---- deadlines

  onDeadline(now: number): void {
    if (this.state === STATE.RESTING) return;
    const deadlines = this.deadlines;
    const down = this.down;
    const sent = (down === null ? 0 : down.sentBytes) + (this.up === null ? 0 : this.up.sentBytes);
    switch (deadlines.over(now, sent, down !== null && down.unsentBytes > 0)) {
      case DUE.WAIT:
        this.waited();
        return;
      case DUE.IDLE:
        if (this.orphaned) {
          this.core.cells.add(LINGER_LIMIT, 1);
          this.record.limit = 'LINGER_MS';
          this.record.end = 'client';
          this.fail(FAULTS.clientGone);
          return;
        }
        this.core.cells.add(IDLE_LIMIT, 1);
        this.record.limit = 'STREAM_IDLE_MS';
        this.record.end = 'idle';
        if (this.delivering) this.fail(FAULTS.clientGone);
        else this.timedOut(FAULTS.streamIdle);
        return;
      case DUE.REQUEST:
        if (this.state === STATE.ANSWERING && deadlines.extendCall(now)) deadlines.rearm();
        else this.timedOut(deadlines.own ? FAULTS.grpcDeadline : FAULTS.requestTimeout);
        return;
      case DUE.BACKEND:
        this.backendTimedOut();
        return;
      default:
        deadlines.rearm();
    }
  }

  /** The attempt has had its time; the rule may give the request another. */
  protected backendTimedOut(): void {
    const { endpoint } = this.attempts;
    if (this.state !== STATE.SENDING) {
      this.timedOut(FAULTS.backendTimeout);
      return;
    }
    this.letGoOfUpstream();
    this.attempts.leave(BACKEND_ERROR.timeout);
    if (!this.retriesFailure(endpoint)) this.fail(FAULTS.backendTimeout);
    else if ((this.state as number) === STATE.BACKOFF) this.deadlines.rearm();
  }

  protected timedOut(fault: Fault): void {
    this.letGoOfUpstream();
    this.attempts.leave(BACKEND_ERROR.timeout);
    this.fail(fault);
  }

  /** What it waited for has not come in time; or the next attempt's time has. */
  protected waited(): void {
    const { cells } = this.core;
    this.deadlines.wait = NEVER;
    const later = this.later;
    if (this.state === STATE.BACKOFF && later !== null) {
      this.later = null;
      this.again(later);
      if ((this.state as number) !== STATE.RESTING) this.deadlines.rearm();
      return;
    }
    if (this.state === STATE.COLLECTING) {
      cells.add(DECISION_BODY_LIMIT, 1);
      this.record.limit = 'DECISION_BODY_MS';
      this.fail(FAULTS.bodyTimeout);
      return;
    }
    const deciding = this.state === STATE.DECIDING;
    cells.add(deciding ? DECISION_LIMIT : PENDING_LIMIT, 1);
    this.record.limit = deciding ? 'DECISION_MS' : 'UPSTREAM_PENDING_MS';
    this.fail(FAULTS.overload);
  }
}

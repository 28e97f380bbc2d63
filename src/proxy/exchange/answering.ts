// The response of an exchange: what comes from the backend, with the rule's edits, to the client.

import { present } from '../../base/assert.ts';
import { bytesOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { limitCell, tunnelCell } from '../../telemetry/layout.ts';
import { BACKEND_ERROR } from '../counts.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import type { Head } from '../head.ts';
import { amendResponse } from './amend.ts';
import { NEVER } from './deadlines.ts';
import { grpcStatusIn } from './grpc.ts';
import { Life, NOT_IMPLEMENTED } from './life.ts';
import type { ResponseSide } from './sides.ts';
import { STATE, transition } from './states.ts';
import { switchesAsAsked } from './upgrade.ts';

const INTERIM_LIMIT = limitCell('INTERIM_RESPONSES');
const WEBSOCKET = bytesOf('websocket');
const WEBSOCKETS = tunnelCell('websocket');
const OTHER_TUNNELS = tunnelCell('other');

export abstract class Answering extends Life implements ResponseSide {
  onInterim(head: Head): void {
    const { cells } = this.core;
    if (++this.interims > LIMITS.INTERIM_RESPONSES) {
      cells.add(INTERIM_LIMIT, 1);
      this.record.limit = 'INTERIM_RESPONSES';
      this.letGoOfUpstream();
      this.onUpstreamFault(FAULTS.upstreamMalformed, BACKEND_ERROR.malformed);
      return;
    }
    this.deadlines.moved();
    // What the rule takes from the response no interim one says either.
    this.#edit(head);
    present(this.down, 'the client').interim(head);
  }

  onResponse(head: Head): void {
    const { io, mem } = this.core;
    const record = this.record;
    if (this.retriesAfter(head.status)) return;
    this.state = transition(this.state, STATE.ANSWERING);
    record.upstreamUs = io.nowUs - this.sentUs;
    this.failed = head.status >= 500;
    if (this.asksTunnel && head.status < 300) head.status = NOT_IMPLEMENTED;
    record.status = head.status;
    if (this.grpc) record.grpcStatus = grpcStatusIn(mem, head.fieldsStart, head.end);
    this.deadlines.moved();
    present(this.down, 'the client').respond(head, this.#edit(head), this.request.at);
  }

  /** Marks the fields of `head` that do not go on by the rule, and by who decided; returns those that are added. */
  #edit(head: Head): FieldLines | null {
    const { mem } = this.core;
    const { edits, crossOrigin } = present(this.backend, 'the backend');
    if (edits !== null) edits.applyResponse(mem, head);
    const own = edits === null ? null : edits.responseLines;
    const added = crossOrigin === null ? own : crossOrigin.linesFor(this.origin);
    return this.told.length === 0 ? added : amendResponse(mem, head, added, this.told);
  }

  onSwitched(head: Head): void {
    const { io, cells } = this.core;
    const record = this.record;
    const down = present(this.down, 'the client');
    if (this.core.tunnelsOver) {
      record.end = 'drain';
      this.fail(FAULTS.leaving);
      return;
    }
    if (!switchesAsAsked(this.core.mem, head, this.request) || !down.accepts(head)) {
      this.letGoOfUpstream();
      this.onUpstreamFault(FAULTS.upstreamMalformed, BACKEND_ERROR.malformed);
      return;
    }
    this.state = transition(this.state, STATE.TUNNEL);
    this.tunnelCell = record.upgradesTo(WEBSOCKET) ? WEBSOCKETS : OTHER_TUNNELS;
    cells.add(this.tunnelCell, 1);
    record.upstreamUs = io.nowUs - this.sentUs;
    record.status = head.status;
    // How long it lives is not a request's time: only that nothing moves ends it.
    this.deadlines.request = NEVER;
    this.deadlines.backend = NEVER;
    this.deadlines.patient = false;
    this.deadlines.moved();
    this.deadlines.arm(this.deadlines.idle);
    down.switched(head, this.#edit(head), this.request.at);
    down.flush();
    this.relay(down, present(this.up, 'the upstream'));
    this.mayStall();
    down.resumeRequest();
  }

  responseBody(start: number, end: number, free: number): void {
    this.record.responseBytes += end - start;
    this.deadlines.moved();
    this.tap?.responseBody(start, end);
    present(this.down, 'the client').body(start, end, free);
  }

  responseTrailers(start: number, end: number): void {
    if (this.grpc) this.record.grpcStatus = grpcStatusIn(this.core.mem, start, end);
    present(this.down, 'the client').trailers(start, end);
  }

  responseEnded(): void {
    const down = present(this.down, 'the client');
    this.up = null;
    this.stalledIn?.remove(this);
    down.end();
    if (down.flush() || !this.request.done) {
      this.finish('');
      return;
    }
    // What became of it is known when the client has taken the rest; the backend is done with it.
    this.delivering = true;
    this.leaveEndpoint();
    this.deadlines.request = NEVER;
    this.deadlines.backend = NEVER;
  }

  onBackendEnded(): void {
    this.endTunnel(false);
  }

  /** One side of a tunnel sends no more; the other may go on. */
  protected endTunnel(client: boolean): void {
    if (this.record.end === '') this.record.end = client ? 'client' : 'backend';
    if (client) {
      this.clientEnded = true;
      present(this.up, 'the upstream').end();
    } else {
      this.backendEnded = true;
      present(this.down, 'the client').end();
    }
    this.closeTunnel();
  }

  /** It is over when both have ended, and took what was said to them; false while it is not. */
  protected closeTunnel(): boolean {
    if (!this.clientEnded || !this.backendEnded) return false;
    const taken = present(this.down, 'the client').flush();
    if (present(this.up, 'the upstream').flush() && taken) this.finish('');
    return true;
  }

  flushResponse(): boolean {
    if (this.down === null || this.down.flush()) return true;
    this.mayStall();
    return false;
  }

  onUpstreamDrained(): void {
    this.backendFull = false;
    if (this.closeTunnel()) return;
    if (this.down !== null && (!this.request.done || this.state === STATE.TUNNEL)) this.down.resumeRequest();
  }

  /** The rule wants the request to be sent again after this response, and it will be. */
  protected abstract retriesAfter(status: number): boolean;
  abstract onUpstreamFault(fault: Fault, error: number): void;
  abstract onUpstreamStale(): void;
}

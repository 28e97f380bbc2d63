// What is known of one request when it ends: the access log, the ring of recent requests and the counters read it.
// An exchange owns one, fills it as it goes, and hands it over once. Names that repeat (route, backend) are prepared
// JSON fragments, made when the configuration was compiled.

import { equalLowerAt } from '../base/bytes.ts';
import { type Fragment, NO_FRAGMENT } from './fragment.ts';
import { copyPlain, PLAIN_SLACK } from './plain.ts';

/**
 * Bytes kept of what the client sent (method, host, path, user agent, referer); longer values are cut and marked with
 * '…'.
 */
export const RECORD_BYTES = 2048;
/** Room that a record needs for them. */
export const RECORD_ROOM = RECORD_BYTES + PLAIN_SLACK;
/**
 * Of them for one value, so that a long one pushes no other out of the log: a DNS name with room to spare, and the
 * path.
 */
export const RECORD_HOST_BYTES = 256;
export const RECORD_AGENT_BYTES = 512;
export const RECORD_REFERER_BYTES = 512;
export const RECORD_PATH_BYTES = 1024;
const CUT = [0xe2, 0x80, 0xa6] as const;

/** Which records get a line in the log, by what they say (severityOf). */
export const LOGGED = { ALL: 0, WARNINGS: 1, ERRORS: 2 } as const;
export type Logged = (typeof LOGGED)[keyof typeof LOGGED];

export class AccessRecord {
  /** Copy of the client's strings in [base, base + RECORD_BYTES); the ranges below index into it. */
  bytes: Uint8Array;
  /** The same memory. */
  view: DataView;
  base: number;
  used: number;
  /** Nothing of what was copied needs care inside a JSON string. */
  plain = true;

  /** Of a method that METHODS does not name. */
  methodStart = 0;
  methodEnd = 0;
  hostStart = 0;
  hostEnd = 0;
  pathStart = 0;
  pathEnd = 0;
  /** Without '?'; start === end for none. */
  queryStart = 0;
  queryEnd = 0;
  agentStart = 0;
  agentEnd = 0;
  /** Kept only where the log has a place for it. */
  refererStart = 0;
  refererEnd = 0;
  /** Request id, printable ASCII. */
  idStart = 0;
  idEnd = 0;
  /** Address of the client without port, ASCII. */
  client: Uint8Array = EMPTY;

  /** Unix ms and monotonic us at which the request's first byte was seen. */
  startWallMs = 0;
  startUs = 0;
  /** Monotonic us of the end. */
  endUs = 0;
  /** First byte of the response head minus the request sent upstream, us; -1 when no upstream answered. */
  upstreamUs = -1;

  /** SESSION_PROTOCOLS of telemetry/layout.ts, for a session of layer 4; -1 for a request. */
  session = -1;
  /** METHOD of telemetry/layout.ts. */
  method = 0;
  /** 10, 11, 20. */
  version = 11;
  status = 0;
  /** How a call of gRPC ended; -1 for what is none, or did not say. */
  grpcStatus = -1;
  /** Response flags ('' for none), e.g. 'UF'. */
  flags = '';
  /** LOGGED: which get a line, by the Gateway they came by. */
  logged: Logged = LOGGED.ALL;
  /** Name of the limit that was reached, '' for none. */
  limit = '';
  /**
   * Of a tunnel: who ended it, or what ('client', 'backend', 'idle'); of a session, SESSION_ENDS; '' while nobody has.
   */
  end = '';
  /** The protocol that the request asked to be switched to; start === end for none. */
  upgradeStart = 0;
  upgradeEnd = 0;
  requestBytes = 0;
  responseBytes = 0;
  attempts = 0;
  /** What whoever was asked about the request said: 'allowed', 'denied', 'failed'; '' when nobody was. */
  auth = '';

  /** `,"tls":"TLSv1.3","cipher":"..."` or empty. */
  connectionJson: Fragment = NO_FRAGMENT;
  /** `,"gateway":"ns/name","listener":"http"` or empty. */
  listenerJson: Fragment = NO_FRAGMENT;
  /** `,"route":"ns/name","rule":"0"` or empty. */
  routeJson: Fragment = NO_FRAGMENT;
  /** `,"backend":"ns/name:80"` or empty. */
  backendJson: Fragment = NO_FRAGMENT;
  /** `,"endpoint":"10.0.0.1:80"` or empty. */
  endpointJson: Fragment = NO_FRAGMENT;

  /** Cells. */
  routeBlock = 0;
  endpointBlock = 0;

  /** Without arguments the copy is in memory of its own. */
  constructor(bytes: Uint8Array = new Uint8Array(RECORD_ROOM), view = new DataView(bytes.buffer), base = 0) {
    this.bytes = bytes;
    this.view = view;
    this.base = base;
    this.used = base;
  }

  /** Keeps the strings at bytes[base..) from now on: in the memory they come from, copying them costs little. */
  use(bytes: Uint8Array, view: DataView, base: number): void {
    this.bytes = bytes;
    this.view = view;
    this.base = base;
    this.used = base;
  }

  /**
   * Copies mem[start..end), cut to `most` and to what is left; sets nothing but `used` and `plain`. Returns the offset
   * of the copy.
   */
  copy(mem: Uint8Array, start: number, end: number, most: number = RECORD_BYTES): number {
    const at = this.used;
    const n = Math.min(end - start, most, this.base + RECORD_BYTES - at);
    const bytes = this.bytes;
    if (bytes !== mem) {
      for (let i = 0; i < n; i++) bytes[at + i] = mem[start + i] as number;
      this.plain = false;
    } else if (!copyPlain(mem, at, start, start + n)) {
      this.plain = false;
    }
    this.used = at + n;
    if (n < end - start && n >= CUT.length) {
      for (let i = 0; i < CUT.length; i++) bytes[at + n - 3 + i] = CUT[i] as number;
      this.plain = false;
    }
    return at;
  }

  /** Whether `lower`, whatever its case, is the one protocol that the request asked to be switched to. */
  upgradesTo(lower: Uint8Array): boolean {
    const { upgradeStart, upgradeEnd } = this;
    return upgradeEnd - upgradeStart === lower.length && equalLowerAt(this.bytes, upgradeStart, lower);
  }

  reset(): void {
    this.used = this.base;
    this.plain = true;
    this.methodStart = this.methodEnd = 0;
    this.hostStart = this.hostEnd = 0;
    this.pathStart = this.pathEnd = 0;
    this.queryStart = this.queryEnd = 0;
    this.agentStart = this.agentEnd = 0;
    this.refererStart = this.refererEnd = 0;
    this.idStart = this.idEnd = 0;
    this.client = EMPTY;
    this.startWallMs = 0;
    this.startUs = 0;
    this.endUs = 0;
    this.upstreamUs = -1;
    this.session = -1;
    this.method = 0;
    this.version = 11;
    this.status = 0;
    this.grpcStatus = -1;
    this.flags = '';
    this.logged = LOGGED.ALL;
    this.limit = '';
    this.end = '';
    this.upgradeStart = this.upgradeEnd = 0;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.attempts = 0;
    this.auth = '';
    this.connectionJson = NO_FRAGMENT;
    this.listenerJson = NO_FRAGMENT;
    this.routeJson = NO_FRAGMENT;
    this.backendJson = NO_FRAGMENT;
    this.endpointJson = NO_FRAGMENT;
    this.routeBlock = 0;
    this.endpointBlock = 0;
  }
}

const EMPTY = new Uint8Array(0);

/** Statuses of gRPC that say that a server failed (OpenTelemetry's conventions for RPC): 2, 4, 12, 13, 14, 15. */
const GRPC_FAILURES = (1 << 2) | (1 << 4) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 15);

/**
 * How bad it was, as LOGGED counts: an error is a server that failed, a response that broke off, a session without a
 * backend; a warning is a client that was refused, or that left.
 */
export function severityOf(r: AccessRecord): Logged {
  if (r.session >= 0) return r.flags === '' ? LOGGED.ALL : LOGGED.ERRORS;
  if (r.status >= 500 || (r.grpcStatus > 0 && ((1 << r.grpcStatus) & GRPC_FAILURES) !== 0)) return LOGGED.ERRORS;
  if (r.status >= 400 || r.grpcStatus > 0 || r.flags === 'DC') return LOGGED.WARNINGS;
  return r.flags === '' ? LOGGED.ALL : LOGGED.ERRORS;
}

/** Who takes finished records (telemetry/access-log.ts writes JSON lines into a shared ring; tests collect them). */
export interface RecordSink {
  record(record: AccessRecord): void;
}

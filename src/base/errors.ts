// Errors of the data plane are values: one table maps each to the status, the response flag of the access log (Envoy's
// letters) and the metric label, as docs/reference/answers.md prints it.

export type FaultSource = 'downstream' | 'upstream' | 'internal';

export interface Fault {
  readonly kind: string;
  readonly source: FaultSource;
  /** The request may be sent again: nothing of it can have been acted on. */
  readonly retryable: boolean;
  /** Answered to the client; 0 when there is nobody to answer. */
  readonly status: number;
  /** Response flag of the access log. */
  readonly flag: string;
  /** Short text/plain body of the answer. */
  readonly text: string;
}

function fault(
  kind: string,
  source: FaultSource,
  status: number,
  flag: string,
  text: string,
  retryable = false,
): Fault {
  return { kind, source, retryable, status, flag, text };
}

export const FAULTS = {
  // downstream
  badRequest: fault('bad_request', 'downstream', 400, 'DPE', 'malformed request'),
  headTooLarge: fault('head_too_large', 'downstream', 431, 'DPE', 'request head too large'),
  uriTooLong: fault('uri_too_long', 'downstream', 414, 'DPE', 'request target too long'),
  expectation: fault('expectation', 'downstream', 417, 'DPE', 'unknown expectation'),
  transferCoding: fault('transfer_coding', 'downstream', 501, 'DPE', 'unknown transfer coding'),
  methodTooLong: fault('method_too_long', 'downstream', 501, 'DPE', 'request method too long'),
  version: fault('version', 'downstream', 505, 'DPE', 'unsupported HTTP version'),
  headTimeout: fault('head_timeout', 'downstream', 408, 'DT', 'request head too slow'),
  bodyTimeout: fault('body_timeout', 'downstream', 408, 'DT', 'request body too slow'),
  clientGone: fault('client_gone', 'downstream', 0, 'DC', ''),
  // internal
  noRoute: fault('no_route', 'internal', 404, 'NR', 'no route'),
  /** By an AccessControlFilter. */
  accessDenied: fault('access_denied', 'internal', 403, 'RBAC', 'access denied'),
  noCluster: fault('no_cluster', 'internal', 500, 'NC', 'no usable backend reference'),
  noEndpoint: fault('no_endpoint', 'internal', 503, 'UH', 'no ready endpoint'),
  overload: fault('overload', 'internal', 503, 'UO', 'overloaded'),
  /** The worker leaves, and the request has had the time that one may take then. */
  leaving: fault('leaving', 'internal', 503, 'LR', 'the proxy is leaving'),
  // upstream
  connectFailed: fault('connect_failed', 'upstream', 503, 'UF', 'upstream connect failed', true),
  connectTimeout: fault('connect_timeout', 'upstream', 503, 'UF', 'upstream connect timeout', true),
  tlsFailed: fault('upstream_tls', 'upstream', 503, 'UF', 'upstream TLS handshake failed', true),
  upstreamReset: fault('upstream_reset', 'upstream', 502, 'UC', 'upstream closed the connection'),
  /** The backend did not begin to work on it, and said so (RFC 9113 section 8.7): it wants no more, or it leaves. */
  upstreamRefused: fault('upstream_refused', 'upstream', 503, 'UC', 'upstream refused the request', true),
  /** The backend gave up what it had begun (CANCEL), or wants fewer of them (ENHANCE_YOUR_CALM). */
  upstreamCancelled: fault('upstream_cancelled', 'upstream', 502, 'UC', 'upstream cancelled the request'),
  upstreamCalm: fault('upstream_calm', 'upstream', 503, 'UC', 'upstream wants fewer requests'),
  upstreamLeft: fault('upstream_left', 'upstream', 503, 'UC', 'upstream is leaving', true),
  upstreamMalformed: fault('upstream_malformed', 'upstream', 502, 'UPE', 'malformed upstream response'),
  requestTimeout: fault('request_timeout', 'upstream', 504, 'UT', 'request timeout'),
  backendTimeout: fault('backend_timeout', 'upstream', 504, 'UT', 'backend timeout'),
  /** The time that a call of gRPC gave itself (grpc-timeout). */
  grpcDeadline: fault('grpc_deadline', 'upstream', 504, 'UT', 'deadline exceeded'),
  upstreamHead: fault('upstream_head', 'upstream', 502, 'UPE', 'upstream response head too large'),
  streamIdle: fault('stream_idle', 'upstream', 504, 'SI', 'nothing moved for too long'),
  /** Asked for over a connection that cannot serve it, e.g. an https target in the clear (RFC 9110 section 7.4). */
  misdirected: fault('misdirected', 'downstream', 421, 'NR', 'misdirected request'),
  /** Larger than who has to see it before it goes on wants it (HTTPExternalAuthFilter.forwardBody). */
  bodyTooLarge: fault('body_too_large', 'downstream', 413, 'DPE', 'request body too large'),
  /** Who decides about the request could not be asked, or said nothing of sense. */
  authFailed: fault('auth_failed', 'internal', 403, 'UAEX', 'authorization failed'),
} as const satisfies Record<string, Fault>;

/** Something is wrong with how the program was called or set up: message and exit code, no stack for the user. */
export class ExitError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = 'ExitError';
    this.code = code;
  }
}

/** Exit codes of `rauta`. */
export const EXIT = { ok: 0, configuration: 1, usage: 2, cannotRun: 3, bug: 70 } as const;

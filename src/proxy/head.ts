// A head (request or response) as a flat table over arena bytes. HTTP/1 fills it while parsing in place; HTTP/2 decodes
// into the same table. One instance is reused for every head: what must outlive the handling of a head is copied.

import type { Fault } from '../base/errors.ts';
import { LIMITS, type LimitName } from '../base/limits.ts';

/** Small integers of the names the proxy knows; 0 is any other name. The order is free, names.ts maps bytes to ids. */
export const NAME = {
  OTHER: 0,
  HOST: 1,
  CONNECTION: 2,
  CONTENT_LENGTH: 3,
  TRANSFER_ENCODING: 4,
  TE: 5,
  TRAILER: 6,
  UPGRADE: 7,
  KEEP_ALIVE: 8,
  PROXY_CONNECTION: 9,
  PROXY_AUTHORIZATION: 10,
  PROXY_AUTHENTICATE: 11,
  EXPECT: 12,
  USER_AGENT: 13,
  X_FORWARDED_FOR: 14,
  X_FORWARDED_PROTO: 15,
  X_FORWARDED_HOST: 16,
  X_FORWARDED_PORT: 17,
  FORWARDED: 18,
  X_REQUEST_ID: 19,
  COOKIE: 20,
  ACCEPT: 21,
  ACCEPT_ENCODING: 22,
  ACCEPT_LANGUAGE: 23,
  CACHE_CONTROL: 24,
  CONTENT_TYPE: 25,
  DATE: 26,
  SERVER: 27,
  LOCATION: 28,
  ORIGIN: 29,
  REFERER: 30,
  AUTHORIZATION: 31,
  TRACEPARENT: 32,
  SET_COOKIE: 33,
  VIA: 34,
  X_REAL_IP: 35,
  IF_NONE_MATCH: 36,
  ETAG: 37,
  LAST_MODIFIED: 38,
  CONTENT_ENCODING: 39,
  VARY: 40,
  HTTP2_SETTINGS: 41,
} as const;

/** Request methods as small integers: the index into METHODS of telemetry/layout.ts; OTHER is any other token. */
export const METHOD = {
  GET: 0,
  HEAD: 1,
  POST: 2,
  PUT: 3,
  DELETE: 4,
  PATCH: 5,
  OPTIONS: 6,
  CONNECT: 7,
  TRACE: 8,
  OTHER: 9,
} as const;

/** Scheme of an absolute target or of `:scheme`; NONE when the target has none (it is then that of the connection). */
export const SCHEME = { NONE: 0, HTTP: 1, HTTPS: 2 } as const;

/** How the end of a body is found (RFC 9112 section 6.3). */
export const BODY = {
  /** Also for `Content-Length: 0`. */
  NONE: 0,
  LENGTH: 1,
  CHUNKED: 2,
  /** Responses only: until the connection closes. */
  UNTIL_CLOSE: 3,
} as const;

export class Head {
  // ---- the raw head, HTTP/1 only: [start, end) in the arena, fields begin at `fieldsStart`, end is behind the empty line
  start = 0;
  end = 0;
  fieldsStart = 0;

  /** 10 or 11 for HTTP/1.x, 20 for HTTP/2. */
  version = 11;

  // ---- request
  method = METHOD.OTHER as number;
  methodStart = 0;
  methodEnd = 0;
  /** The request target as sent. */
  targetStart = 0;
  targetEnd = 0;
  /**
   * Path of the target without query; for `OPTIONS *` the asterisk; empty for CONNECT. Where an absolute target has no
   * path it is "/" (RFC 9110 section 4.2.3): the range is then the second slash of "://", in front of the authority.
   */
  pathStart = 0;
  pathEnd = 0;
  /** Behind the '?'; start === end when there is none. `hasQuery` tells "/a?" from "/a". */
  queryStart = 0;
  queryEnd = 0;
  hasQuery = false;
  /** SCHEME. */
  scheme = SCHEME.NONE as number;
  /** host[:port] from an absolute target if there is one, else from Host (RFC 9112 section 3.2.2); port and case as sent. */
  authorityStart = 0;
  authorityEnd = 0;
  /** The host without port (IPv6 with its brackets), within authority. */
  hostStart = 0;
  hostEnd = 0;
  /** Index of the Host field, -1 when there is none. It is dropped when an absolute target replaces it. */
  hostField = -1;

  // ---- response
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;

  // ---- fields, in order of arrival
  count = 0;
  readonly nameStart = new Int32Array(LIMITS.FIELDS);
  readonly nameEnd = new Int32Array(LIMITS.FIELDS);
  /** Without surrounding white space. */
  readonly valueStart = new Int32Array(LIMITS.FIELDS);
  readonly valueEnd = new Int32Array(LIMITS.FIELDS);
  /** HTTP/1: where the field line ends, behind its CRLF; the line begins at nameStart. */
  readonly lineEnd = new Int32Array(LIMITS.FIELDS);
  /** NAME id. */
  readonly name = new Uint8Array(LIMITS.FIELDS);
  /** 1: the field is not forwarded (hop-by-hop, replaced, removed by a filter). The parser marks hop-by-hop fields. */
  readonly drop = new Uint8Array(LIMITS.FIELDS);

  // ---- framing, decided by the codec
  body = BODY.NONE as number;
  /** For BODY.LENGTH, else 0 (a response to HEAD keeps its Content-Length field, but body is NONE). */
  contentLength = 0;
  /** The message allows this connection to be used again (RFC 9112 section 9.3). */
  keepAlive = true;
  /** Request: Expect: 100-continue. */
  expectContinue = false;
  /** Connection names `upgrade` and there is an Upgrade field. */
  upgrade = false;
  /** TE lists `trailers`: the client takes trailers. */
  teTrailers = false;

  /** Why parsing failed. */
  fault: Fault | null = null;
  /** Which limit it was, if it was one. */
  limit: LimitName | null = null;
}

// A head (request or response) as a flat table over arena bytes. HTTP/1 fills it while parsing in place; HTTP/2 decodes
// into the same table. One instance is reused for every head: what must outlive the handling of a head is copied.

import type { Fault } from '../base/errors.ts';
import type { LimitName } from '../base/limits.ts';
import { METHOD } from '../telemetry/layout.ts';
import { FIELD, FieldTable } from './field-table.ts';

/** Head.method; telemetry counts by the same integers. */
export { METHOD };

/**
 * Small integers of the names the proxy knows; 0 is any other name. names.ts maps bytes to ids. Names that the proxy
 * acts on are 10 to 31, so that each has a bit of its own in Head.seen: the hop-by-hop and framing ones first, then
 * those that tell of the client.
 */
export const NAME = {
  OTHER: 0,
  COOKIE: 1,
  ACCEPT: 2,
  ACCEPT_ENCODING: 3,
  ACCEPT_LANGUAGE: 4,
  CACHE_CONTROL: 5,
  CONTENT_TYPE: 6,
  SERVER: 7,
  REFERER: 8,
  AUTHORIZATION: 9,
  HOST: 10,
  CONNECTION: 11,
  CONTENT_LENGTH: 12,
  TRANSFER_ENCODING: 13,
  TE: 14,
  TRAILER: 15,
  UPGRADE: 16,
  KEEP_ALIVE: 17,
  PROXY_CONNECTION: 18,
  PROXY_AUTHORIZATION: 19,
  PROXY_AUTHENTICATE: 20,
  EXPECT: 21,
  HTTP2_SETTINGS: 22,
  X_FORWARDED_FOR: 23,
  X_FORWARDED_PROTO: 24,
  X_FORWARDED_HOST: 25,
  X_FORWARDED_PORT: 26,
  FORWARDED: 27,
  X_REAL_IP: 28,
  X_REQUEST_ID: 29,
  USER_AGENT: 30,
  DATE: 31,
  TRACEPARENT: 32,
  SET_COOKIE: 33,
  VIA: 34,
  ORIGIN: 35,
  LOCATION: 36,
  IF_NONE_MATCH: 37,
  ETAG: 38,
  LAST_MODIFIED: 39,
  CONTENT_ENCODING: 40,
  VARY: 41,
} as const;

/** The bits of these names in Head.seen. */
export function bitsOf(...ids: readonly number[]): number {
  return ids.reduce((bits, id) => bits | (1 << id), 0);
}

/** Scheme of an absolute target or of `:scheme`; NONE when the target has none (it is then that of the connection). */
export const SCHEME = { NONE: 0, HTTP: 1, HTTPS: 2 } as const;

/** How the end of a body is found (RFC 9112 section 6.3). */
export const BODY = {
  /** Also for `Content-Length: 0`. */
  NONE: 0,
  LENGTH: 1,
  CHUNKED: 2,
  /** Until the connection closes (HTTP/1: responses only) or the stream ends: of unknown length. */
  UNTIL_CLOSE: 3,
} as const;

export class Head {
  // ---- the head as lines in [start, end) of the arena; fields begin at `fieldsStart`, end is behind the empty line
  /** HTTP/1: the start line stands in place, in front of the fields. */
  raw = true;
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
  /**
   * host[:port] from an absolute target if there is one, else from Host (RFC 9112 section 3.2.2); port and case as
   * sent.
   */
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
  /** FIELD of each: side by side, since a head is walked field by field. What is behind `count` is of heads before. */
  readonly table = new FieldTable();
  readonly fields: Int32Array = this.table.words;
  /** Bit `id & 31` of every NAME id among the fields, and of those that came more than once: exact for ids 10 to 31. */
  seen = 0;
  twice = 0;
  /** Whether any field is dropped. */
  drops = false;

  // ---- framing, decided by the codec
  body = BODY.NONE as number;
  /** For BODY.LENGTH, else 0 (a response to HEAD keeps its Content-Length field, but body is NONE). */
  contentLength = 0;
  /** The message allows this connection to be used again (RFC 9112 section 9.3). */
  keepAlive = true;
  /** Request: Expect: 100-continue. */
  expectContinue = false;
  /**
   * Connection names `upgrade` and there is an Upgrade field. Of a request: one that goes on (one field, no content
   * behind the head, not to HTTP/2 in the clear).
   */
  upgrade = false;
  /** TE lists `trailers`: the client takes trailers. */
  teTrailers = false;

  /** Why parsing failed. */
  fault: Fault | null = null;
  /** Which limit it was, if it was one. */
  limit: LimitName | null = null;

  /** Becomes the table of `from`, whose bytes were copied to stand `delta` further behind. */
  rebase(from: Head, delta: number): void {
    // A request that names no host has none of these places.
    const named = from.authorityEnd === 0 ? 0 : delta;
    this.raw = from.raw;
    this.start = from.start + delta;
    this.end = from.end + delta;
    this.fieldsStart = from.fieldsStart + delta;
    this.version = from.version;
    this.method = from.method;
    this.methodStart = from.methodStart + delta;
    this.methodEnd = from.methodEnd + delta;
    this.targetStart = from.targetStart + delta;
    this.targetEnd = from.targetEnd + delta;
    this.pathStart = from.pathStart + delta;
    this.pathEnd = from.pathEnd + delta;
    this.queryStart = from.queryStart + delta;
    this.queryEnd = from.queryEnd + delta;
    this.hasQuery = from.hasQuery;
    this.scheme = from.scheme;
    this.authorityStart = from.authorityStart + named;
    this.authorityEnd = from.authorityEnd + named;
    this.hostStart = from.hostStart + named;
    this.hostEnd = from.hostEnd + named;
    this.hostField = from.hostField;
    this.count = from.count;
    const words = this.fields;
    const rows = from.fields;
    for (let at = 0; at < from.count * FIELD.WORDS; at += FIELD.WORDS) {
      for (let word = at; word <= at + FIELD.LINE_END; word++) words[word] = (rows[word] as number) + delta;
      words[at + FIELD.NAME] = rows[at + FIELD.NAME] as number;
      words[at + FIELD.DROP] = rows[at + FIELD.DROP] as number;
    }
    this.seen = from.seen;
    this.twice = from.twice;
    this.drops = from.drops;
    this.body = from.body;
    this.contentLength = from.contentLength;
    this.keepAlive = from.keepAlive;
    this.expectContinue = from.expectContinue;
    this.upgrade = from.upgrade;
    this.teTrailers = from.teTrailers;
  }

  // ---- field `k`, where a few nanoseconds do not matter

  nameStart(k: number): number {
    return this.fields[k * FIELD.WORDS + FIELD.NAME_START] as number;
  }

  nameEnd(k: number): number {
    return this.fields[k * FIELD.WORDS + FIELD.NAME_END] as number;
  }

  valueStart(k: number): number {
    return this.fields[k * FIELD.WORDS + FIELD.VALUE_START] as number;
  }

  valueEnd(k: number): number {
    return this.fields[k * FIELD.WORDS + FIELD.VALUE_END] as number;
  }

  lineEnd(k: number): number {
    return this.fields[k * FIELD.WORDS + FIELD.LINE_END] as number;
  }

  /** NAME id. */
  name(k: number): number {
    return this.fields[k * FIELD.WORDS + FIELD.NAME] as number;
  }

  dropped(k: number): boolean {
    return this.fields[k * FIELD.WORDS + FIELD.DROP] !== 0;
  }

  /** The field is not forwarded. */
  drop(k: number): void {
    this.fields[k * FIELD.WORDS + FIELD.DROP] = 1;
    this.drops = true;
  }

  /** The first field with this NAME id, -1 when there is none. */
  find(id: number): number {
    if ((this.seen & (1 << id)) !== 0) for (let k = 0; k < this.count; k++) if (this.name(k) === id) return k;
    return -1;
  }

  /** No field of these names (bitsOf, of ids 10 to 31) is forwarded. */
  dropAll(bits: number): void {
    if ((this.seen & bits) === 0) return;
    for (let k = 0; k < this.count; k++) {
      const id = this.name(k);
      if (id < 32 && (bits & (1 << id)) !== 0) this.drop(k);
    }
  }
}

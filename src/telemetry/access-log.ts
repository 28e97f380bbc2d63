// One finished request as one JSON line (docs/reference/access-log.md), written into a scratch buffer without strings.

import { bytesOf, put, putDecimal } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { Fragment, NO_FRAGMENT } from './fragment.ts';
import { ESCAPE_FACTOR, putEscaped } from './json-bytes.ts';
import { METHODS, SESSION_ENDS, SESSION_PROTOCOLS } from './layout.ts';
import { type AccessRecord, RECORD_BYTES } from './record.ts';

/** `{"time":"2026-01-02T03:04:05.678Z","id":"`, with the time put in its place. */
const STAMP = '{"time":"0000-00-00T00:00:00.000Z","id":"';
const STAMP_AT = 9;
const ID = '","id":"';
const CLIENT = new Fragment('","client":"');
const METHOD = new Fragment('","method":"');
const HOST = new Fragment('","host":"');
/** By METHOD: `","method":"GET","host":"`; any other method is written out. */
const METHOD_HOST = METHODS.map((name) => new Fragment(`","method":"${name}","host":"`));
const OTHER = METHODS.length - 1;
const PATH = new Fragment('","path":"');
const RESPONSE_BYTES = new Fragment(',"response_bytes":');
const DURATION = new Fragment(',"duration_ms":');
const UPSTREAM = new Fragment(',"upstream_ms":');
const ATTEMPTS = new Fragment(',"attempts":');
const AGENT = new Fragment(',"user_agent":"');
const ONE_ATTEMPT_AGENT = new Fragment(',"attempts":1,"user_agent":"');
const REFERER = new Fragment('","referer":"');
const QUESTION_MARK = 0x3f;
const UPGRADE = new Fragment('","upgrade":"');
/** The status of a tunnel. */
const SWITCHED = 101;
const END = new Fragment('"}\n');
const VERSIONS: Readonly<Record<number, string>> = { 10: '1.0', 11: '1.1', 20: '2.0' };

/** Room for any line: what a client sent escaped at its worst, names from the configuration, fixed text. */
export const LINE_BYTES = RECORD_BYTES * ESCAPE_FACTOR + LIMITS.LOG_RECORD_BYTES;

export class LineWriter {
  readonly #withQuery: boolean;
  /** STAMP with the time of #stampMs. */
  readonly #stamp = new Uint8Array((STAMP.length + 7) & ~7);
  readonly #stampWords = new Float64Array(this.#stamp.buffer);
  #stampMs = -1;
  #second = -1;
  /** `","protocol":"HTTP/1.1","status":200,"flags":"","request_bytes":` by what it says. */
  readonly #outcomes = new Map<number | string, Fragment>();
  #lastOutcome = 0;
  #last = NO_FRAGMENT;

  constructor(withQuery: boolean) {
    this.#withQuery = withQuery;
    this.#stamp.set(bytesOf(STAMP));
  }

  /**
   * Formats `r` at out[at..], which has LINE_BYTES of room (`view` is the same memory); returns the offset behind its
   * newline.
   */
  format(out: Uint8Array, view: DataView, at: number, r: AccessRecord): number {
    let o = this.#putTime(view, at, r.startWallMs);
    if (r.session >= 0) return putSession(out, view, o - ID.length, r);
    o = putText(out, view, o, r, r.idStart, r.idEnd);
    o = CLIENT.put(view, o);
    o = put(out, o, r.client);
    if (r.method < OTHER) {
      o = (METHOD_HOST[r.method] as Fragment).put(view, o);
    } else {
      o = METHOD.put(view, o);
      o = putText(out, view, o, r, r.methodStart, r.methodEnd);
      o = HOST.put(view, o);
    }
    o = putText(out, view, o, r, r.hostStart, r.hostEnd);
    o = PATH.put(view, o);
    o = putText(out, view, o, r, r.pathStart, r.pathEnd);
    if (this.#withQuery && r.queryEnd > r.queryStart) {
      out[o++] = 0x3f;
      o = putText(out, view, o, r, r.queryStart, r.queryEnd);
    }
    o = this.#outcome(r.version, r.status, r.flags).put(view, o);
    o = putDecimal(out, o, r.requestBytes);
    o = RESPONSE_BYTES.put(view, o);
    o = putDecimal(out, o, r.responseBytes);
    o = DURATION.put(view, o);
    o = putMilliseconds(out, o, Math.max(0, r.endUs - r.startUs));
    if (r.upstreamUs >= 0) {
      o = UPSTREAM.put(view, o);
      o = putMilliseconds(out, o, r.upstreamUs);
    }
    o = r.connectionJson.put(view, o);
    o = r.listenerJson.put(view, o);
    o = r.routeJson.put(view, o);
    o = r.backendJson.put(view, o);
    o = r.endpointJson.put(view, o);
    if (r.attempts === 1) {
      o = ONE_ATTEMPT_AGENT.put(view, o);
    } else {
      o = ATTEMPTS.put(view, o);
      o = putDecimal(out, o, r.attempts);
      o = AGENT.put(view, o);
    }
    o = putText(out, view, o, r, r.agentStart, r.agentEnd);
    const rare =
      r.limit !== '' ||
      r.auth !== '' ||
      r.upgradeStart < r.upgradeEnd ||
      r.refererStart < r.refererEnd ||
      r.grpcStatus >= 0;
    return rare ? putRare(out, view, o, r, this.#withQuery) : END.put(view, o);
  }

  /** Nearly every request ends like the one before. */
  #outcome(version: number, status: number, flags: string): Fragment {
    const code = flags === '' ? status * 100 + version : 0;
    if (code !== 0 && code === this.#lastOutcome) return this.#last;
    const key = code !== 0 ? code : `${version} ${status} ${flags}`;
    let found = this.#outcomes.get(key);
    if (found === undefined) {
      const protocol = `HTTP/${VERSIONS[version] ?? '1.1'}`;
      found = new Fragment(`","protocol":"${protocol}","status":${status},"flags":"${flags}","request_bytes":`);
      if (this.#outcomes.size < LIMITS.LOG_OUTCOMES) this.#outcomes.set(key, found);
    }
    if (code !== 0) {
      this.#lastOutcome = code;
      this.#last = found;
    }
    return found;
  }

  /** `{"time":"2026-01-02T03:04:05.678Z","id":"`: worked out once a millisecond, the calendar once a second. */
  #putTime(view: DataView, at: number, wallMs: number): number {
    if (wallMs !== this.#stampMs) this.#setStamp(wallMs);
    const words = this.#stampWords;
    for (let i = 0; i < words.length; i++) view.setFloat64(at + i * 8, words[i] as number, true);
    return at + STAMP.length;
  }

  #setStamp(wallMs: number): void {
    const stamp = this.#stamp;
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const text = new Date(second * 1000).toISOString();
      for (let i = 0; i < 23; i++) stamp[STAMP_AT + i] = text.charCodeAt(i);
    }
    const ms = Math.floor(wallMs - second * 1000);
    stamp[STAMP_AT + 20] = 0x30 + Math.floor(ms / 100);
    stamp[STAMP_AT + 21] = 0x30 + (Math.floor(ms / 10) % 10);
    stamp[STAMP_AT + 22] = 0x30 + (ms % 10);
    this.#stampMs = wallMs;
  }
}

/** By SESSION_PROTOCOLS. */
const SESSION_PROTOCOL = SESSION_PROTOCOLS.map((name) => new Fragment(`","protocol":"${name}","flags":"`));
const REQUEST_BYTES = new Fragment('","request_bytes":');
const SESSION_END = new Map<string, Fragment>(SESSION_ENDS.map((end) => [end, new Fragment(`,"end":"${end}`)]));
const NO_END = new Fragment(',"end":"');

/** The line of a session of layer 4: what a request has besides means nothing there. */
function putSession(out: Uint8Array, view: DataView, at: number, r: AccessRecord): number {
  let o = CLIENT.put(view, at);
  o = put(out, o, r.client);
  o = (SESSION_PROTOCOL[r.session] as Fragment).put(view, o);
  if (r.flags !== '') o = put(out, o, bytesOf(r.flags));
  o = REQUEST_BYTES.put(view, o);
  o = putDecimal(out, o, r.requestBytes);
  o = RESPONSE_BYTES.put(view, o);
  o = putDecimal(out, o, r.responseBytes);
  o = DURATION.put(view, o);
  o = putMilliseconds(out, o, Math.max(0, r.endUs - r.startUs));
  if (r.upstreamUs >= 0) {
    o = UPSTREAM.put(view, o);
    o = putMilliseconds(out, o, r.upstreamUs);
  }
  o = r.connectionJson.put(view, o);
  o = r.listenerJson.put(view, o);
  o = r.routeJson.put(view, o);
  o = r.backendJson.put(view, o);
  o = r.endpointJson.put(view, o);
  o = ATTEMPTS.put(view, o);
  o = putDecimal(out, o, r.attempts);
  o = (SESSION_END.get(r.end) ?? NO_END).put(view, o);
  if (r.limit !== '') o = put(out, o, bytesOf(`","limit":"${r.limit}`));
  return END.put(view, o);
}

/** `","grpc_status":"0`: text, as all that stands behind the user agent. */
const GRPC_STATUS = Array.from({ length: 17 }, (_, code) => new Fragment(`","grpc_status":"${code}`));

/**
 * What few lines have: the referer, how a call ended, what was decided about it, the limit reached, what became of a
 * switch of protocols.
 */
function putRare(out: Uint8Array, view: DataView, at: number, r: AccessRecord, withQuery: boolean): number {
  let o = at;
  if (r.refererStart < r.refererEnd) {
    const query = withQuery ? -1 : r.bytes.indexOf(QUESTION_MARK, r.refererStart);
    const end = query >= 0 && query < r.refererEnd ? query : r.refererEnd;
    o = REFERER.put(view, o);
    o = putText(out, view, o, r, r.refererStart, end);
  }
  if (r.grpcStatus >= 0) o = (GRPC_STATUS[r.grpcStatus] as Fragment).put(view, o);
  if (r.auth !== '') o = put(out, o, bytesOf(`","auth":"${r.auth}`));
  if (r.limit !== '') o = put(out, o, bytesOf(`","limit":"${r.limit}`));
  if (r.upgradeStart < r.upgradeEnd) {
    o = UPGRADE.put(view, o);
    o = putText(out, view, o, r, r.upgradeStart, r.upgradeEnd);
    if (r.status === SWITCHED && r.end !== '') o = put(out, o, bytesOf(`","end":"${r.end}`));
  }
  return END.put(view, o);
}

/** What a client sent: as it is, when it is known to be plain. */
function putText(out: Uint8Array, view: DataView, at: number, r: AccessRecord, start: number, end: number): number {
  if (!r.plain) return putEscaped(out, view, at, r.bytes, r.view, start, end);
  const source = r.view;
  let i = start;
  let o = at;
  // Plain text has the bit pattern of no NaN, so eight bytes may go as a number.
  for (; i + 8 <= end; i += 8, o += 8) view.setFloat64(o, source.getFloat64(i, true), true);
  for (; i < end; i += 4, o += 4) view.setInt32(o, source.getInt32(i, true), true);
  return at + end - start;
}

/** `12.345`: milliseconds with three decimals from microseconds. */
function putMilliseconds(out: Uint8Array, at: number, us: number): number {
  // Up to half an hour in integers.
  const small = us < 0x7fffffff;
  const ms = small ? ((us | 0) / 1000) | 0 : Math.floor(us / 1000);
  const rest = (small ? (us | 0) - ms * 1000 : Math.floor(us) - ms * 1000) | 0;
  const o = putDecimal(out, at, ms);
  const hundreds = (rest / 100) | 0;
  const tens = (rest / 10) | 0;
  out[o] = 0x2e;
  out[o + 1] = 0x30 + hundreds;
  out[o + 2] = 0x30 + (tens - hundreds * 10);
  out[o + 3] = 0x30 + (rest - tens * 10);
  return o + 4;
}

// One finished request as one JSON line (docs/reference/access-log.md), written into a scratch buffer without strings.

import { put, putDecimal } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { Fragment } from './fragment.ts';
import { ESCAPE_FACTOR, putEscaped } from './json-bytes.ts';
import { type AccessRecord, RECORD_BYTES } from './record.ts';

const TIME = new Fragment('{"time":"');
const ID = new Fragment('Z","id":"');
const CLIENT = new Fragment('","client":"');
const METHOD = new Fragment('","method":"');
const HOST = new Fragment('","host":"');
const PATH = new Fragment('","path":"');
const PROTOCOL = new Fragment('","protocol":"HTTP/');
const STATUS = new Fragment('","status":');
const FLAGS = new Fragment(',"flags":"');
const REQUEST_BYTES = new Fragment('","request_bytes":');
const RESPONSE_BYTES = new Fragment(',"response_bytes":');
const DURATION = new Fragment(',"duration_ms":');
const UPSTREAM = new Fragment(',"upstream_ms":');
const ATTEMPTS = new Fragment(',"attempts":');
const AGENT = new Fragment(',"user_agent":"');
const END = new Fragment('"}\n');
const VERSIONS: Readonly<Record<number, Fragment>> = {
  10: new Fragment('1.0'),
  11: new Fragment('1.1'),
  20: new Fragment('2.0'),
};

const STAMP_BYTES = 23;

/** Room for any line: what a client sent escaped at its worst, names from the configuration, fixed text. */
export const LINE_BYTES = RECORD_BYTES * ESCAPE_FACTOR + LIMITS.LOG_RECORD_BYTES;

export class LineWriter {
  readonly #withQuery: boolean;
  /** `2026-01-02T03:04:05.678` of #stampMs. */
  readonly #stamp = new Uint8Array(24);
  readonly #stampWords = new Float64Array(this.#stamp.buffer);
  #stampMs = -1;
  #second = -1;

  constructor(withQuery: boolean) {
    this.#withQuery = withQuery;
  }

  /** Formats `r` at out[at..], which has LINE_BYTES of room (`view` is the same memory); returns the offset behind its newline. */
  format(out: Uint8Array, view: DataView, at: number, r: AccessRecord): number {
    const bytes = r.bytes;
    let o = TIME.put(view, at);
    o = this.#putTime(view, o, r.startWallMs);
    o = ID.put(view, o);
    o = putEscaped(out, view, o, bytes, r.view, r.idStart, r.idEnd);
    o = CLIENT.put(view, o);
    o = put(out, o, r.client);
    o = METHOD.put(view, o);
    o = putEscaped(out, view, o, bytes, r.view, r.methodStart, r.methodEnd);
    o = HOST.put(view, o);
    o = putEscaped(out, view, o, bytes, r.view, r.hostStart, r.hostEnd);
    o = PATH.put(view, o);
    o = putEscaped(out, view, o, bytes, r.view, r.pathStart, r.pathEnd);
    if (this.#withQuery && r.queryEnd > r.queryStart) {
      out[o++] = 0x3f;
      o = putEscaped(out, view, o, bytes, r.view, r.queryStart, r.queryEnd);
    }
    o = PROTOCOL.put(view, o);
    o = (VERSIONS[r.version] ?? (VERSIONS[11] as Fragment)).put(view, o);
    o = STATUS.put(view, o);
    o = putDecimal(out, o, r.status);
    o = FLAGS.put(view, o);
    for (let i = 0; i < r.flags.length; i++) out[o++] = r.flags.charCodeAt(i);
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
    o = r.listenerJson.put(view, o);
    o = r.routeJson.put(view, o);
    o = r.backendJson.put(view, o);
    o = r.endpointJson.put(view, o);
    o = ATTEMPTS.put(view, o);
    o = putDecimal(out, o, r.attempts);
    o = AGENT.put(view, o);
    o = putEscaped(out, view, o, bytes, r.view, r.agentStart, r.agentEnd);
    return END.put(view, o);
  }

  /** `2026-01-02T03:04:05.678`: worked out once a millisecond, the calendar once a second. */
  #putTime(view: DataView, at: number, wallMs: number): number {
    if (wallMs !== this.#stampMs) this.#setStamp(wallMs);
    const words = this.#stampWords;
    for (let i = 0; i < words.length; i++) view.setFloat64(at + i * 8, words[i] as number, true);
    return at + STAMP_BYTES;
  }

  #setStamp(wallMs: number): void {
    const stamp = this.#stamp;
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const text = new Date(second * 1000).toISOString();
      for (let i = 0; i < STAMP_BYTES; i++) stamp[i] = text.charCodeAt(i);
    }
    const ms = Math.floor(wallMs - second * 1000);
    stamp[20] = 0x30 + Math.floor(ms / 100);
    stamp[21] = 0x30 + (Math.floor(ms / 10) % 10);
    stamp[22] = 0x30 + (ms % 10);
    this.#stampMs = wallMs;
  }
}

/** `12.345`: milliseconds with three decimals from microseconds. */
function putMilliseconds(out: Uint8Array, at: number, us: number): number {
  const whole = Math.floor(us);
  const ms = Math.floor(whole / 1000);
  const rest = whole - ms * 1000;
  const o = putDecimal(out, at, ms);
  out[o] = 0x2e;
  out[o + 1] = 0x30 + Math.floor(rest / 100);
  out[o + 2] = 0x30 + (Math.floor(rest / 10) % 10);
  out[o + 3] = 0x30 + (rest % 10);
  return o + 4;
}

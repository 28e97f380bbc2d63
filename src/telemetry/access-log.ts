// One finished request as one JSON line (docs/reference/access-log.md), written into a scratch buffer without strings.

import { bytesOf, put, putDecimal } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { ESCAPE_FACTOR, putEscaped } from './json-bytes.ts';
import { type AccessRecord, RECORD_BYTES } from './record.ts';

const TIME = bytesOf('{"time":"');
const ID = bytesOf('Z","id":"');
const CLIENT = bytesOf('","client":"');
const METHOD = bytesOf('","method":"');
const HOST = bytesOf('","host":"');
const PATH = bytesOf('","path":"');
const PROTOCOL = bytesOf('","protocol":"HTTP/');
const STATUS = bytesOf('","status":');
const FLAGS = bytesOf(',"flags":"');
const REQUEST_BYTES = bytesOf('","request_bytes":');
const RESPONSE_BYTES = bytesOf(',"response_bytes":');
const DURATION = bytesOf(',"duration_ms":');
const UPSTREAM = bytesOf(',"upstream_ms":');
const ATTEMPTS = bytesOf(',"attempts":');
const AGENT = bytesOf(',"user_agent":"');
const END = bytesOf('"}\n');
const COMMA = 0x2c;
const VERSIONS: Readonly<Record<number, Uint8Array>> = { 10: bytesOf('1.0'), 11: bytesOf('1.1'), 20: bytesOf('2.0') };

/** Room for any line: what a client sent escaped at its worst, names from the configuration, fixed text. */
export const LINE_BYTES = RECORD_BYTES * ESCAPE_FACTOR + LIMITS.LOG_RECORD_BYTES;

export class LineWriter {
  readonly #withQuery: boolean;
  /** `2026-01-02T03:04:05.` of #second. */
  readonly #stamp = new Uint8Array(20);
  #second = -1;

  constructor(withQuery: boolean) {
    this.#withQuery = withQuery;
  }

  /** Formats `r` at out[at..], which has LINE_BYTES of room; returns the offset behind its newline. */
  format(out: Uint8Array, at: number, r: AccessRecord): number {
    const bytes = r.bytes;
    let o = put(out, at, TIME);
    o = this.#putTime(out, o, r.startWallMs);
    o = put(out, o, ID);
    o = putEscaped(out, o, bytes, r.idStart, r.idEnd);
    o = put(out, o, CLIENT);
    o = put(out, o, r.client);
    o = put(out, o, METHOD);
    o = putEscaped(out, o, bytes, r.methodStart, r.methodEnd);
    o = put(out, o, HOST);
    o = putEscaped(out, o, bytes, r.hostStart, r.hostEnd);
    o = put(out, o, PATH);
    o = putEscaped(out, o, bytes, r.pathStart, r.pathEnd);
    if (this.#withQuery && r.queryEnd > r.queryStart) {
      out[o++] = 0x3f;
      o = putEscaped(out, o, bytes, r.queryStart, r.queryEnd);
    }
    o = put(out, o, PROTOCOL);
    o = put(out, o, VERSIONS[r.version] ?? (VERSIONS[11] as Uint8Array));
    o = put(out, o, STATUS);
    o = putDecimal(out, o, r.status);
    o = put(out, o, FLAGS);
    for (let i = 0; i < r.flags.length; i++) out[o++] = r.flags.charCodeAt(i);
    o = put(out, o, REQUEST_BYTES);
    o = putDecimal(out, o, r.requestBytes);
    o = put(out, o, RESPONSE_BYTES);
    o = putDecimal(out, o, r.responseBytes);
    o = put(out, o, DURATION);
    o = putMilliseconds(out, o, Math.max(0, r.endUs - r.startUs));
    if (r.upstreamUs >= 0) {
      o = put(out, o, UPSTREAM);
      o = putMilliseconds(out, o, r.upstreamUs);
    }
    o = putFragment(out, o, r.listenerJson);
    o = putFragment(out, o, r.routeJson);
    o = putFragment(out, o, r.backendJson);
    o = putFragment(out, o, r.endpointJson);
    o = put(out, o, ATTEMPTS);
    o = putDecimal(out, o, r.attempts);
    o = put(out, o, AGENT);
    o = putEscaped(out, o, bytes, r.agentStart, r.agentEnd);
    return put(out, o, END);
  }

  /** `2026-01-02T03:04:05.678`: the calendar is worked out once a second. */
  #putTime(out: Uint8Array, at: number, wallMs: number): number {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const text = new Date(second * 1000).toISOString();
      for (let i = 0; i < 20; i++) this.#stamp[i] = text.charCodeAt(i);
    }
    const o = put(out, at, this.#stamp);
    const ms = Math.floor(wallMs - second * 1000);
    out[o] = 0x30 + Math.floor(ms / 100);
    out[o + 1] = 0x30 + (Math.floor(ms / 10) % 10);
    out[o + 2] = 0x30 + (ms % 10);
    return o + 3;
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

function putFragment(out: Uint8Array, at: number, fragment: Uint8Array): number {
  if (fragment.length === 0) return at;
  out[at] = COMMA;
  return put(out, at + 1, fragment);
}

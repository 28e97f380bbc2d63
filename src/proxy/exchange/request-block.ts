// The memory of one exchange: its UUID, the strings of its record, and the request as it goes upstream, so that it can
// be sent once a connection is there, and sent again. Taken from the arena when the exchange is first used, kept while
// it rests.
//
//   start   methodEnd      fieldsStart        linesEnd      bodyStart        end
//   |GET    | /a HTTP/1.1  |Host: ... fields  |HTTP/1's own |content as it is|trailer section
//
// No codec is asked: whichever connection is got frames it (docs/adr/0009-the-middle.md). [start, bodyStart) happens to
// be a whole HTTP/1.1 head, so that one with a length goes out in one piece from where it stands.

import { bytesOf, put } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Io } from '../../io/io.ts';
import { type AccessRecord, RECORD_ROOM } from '../../telemetry/record.ts';
import type { Core } from '../core.ts';
import type { Edits } from '../filter/edits.ts';
import { putRequestLine, requestLineBound } from '../filter/path-edit.ts';
import { BODY, bitsOf, type Head, METHOD, NAME } from '../head.ts';
import { CRLF, copyFields, copyLineAndFields, keepsRequestLine, putHost } from '../lines.ts';
import { FORWARDED_BYTES, putForwarded } from './forwarded.ts';
import { INGRESS_BYTES, putIngressFields } from './ingress-fields.ts';
import type { Downstream, PreparedRequest } from './sides.ts';

const RECORD_AT = 40;
const REQUEST_AT = RECORD_AT + RECORD_ROOM;

export const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

/** RFC 9110 section 10.1.4: TE is named in Connection. */
const TE_TRAILERS = bytesOf('TE: trailers\r\nConnection: TE\r\n');
const UPGRADE = bytesOf('Connection: upgrade\r\nUpgrade: ');
const TE_UPGRADE = bytesOf('TE: trailers\r\nConnection: TE, upgrade\r\nUpgrade: ');
const CHUNKED = bytesOf('Transfer-Encoding: chunked\r\n');
const NO_CONTENT = bytesOf('Content-Length: 0\r\n');
const LENGTH = bitsOf(NAME.CONTENT_LENGTH);

export class RequestBlock implements PreparedRequest {
  readonly #io: Io;
  /** Also where the UUID stands; -1 when there is none yet. */
  at = -1;
  /** A larger one for a larger request, -1 for none. */
  #large = -1;
  #limit = 0;
  /** [start, end) and the trailers are everything that the client has sent so far: it can be sent, and sent again. */
  whole = false;

  // ---- PreparedRequest
  start = 0;
  methodEnd = 0;
  fieldsStart = 0;
  linesEnd = 0;
  bodyStart = 0;
  end = 0;
  trailersEnd = 0;
  length = 0;
  done = false;
  upgrade = false;
  upgradeStart = 0;
  upgradeEnd = 0;

  /** What the request says of its client is believed. */
  trusted = false;
  /** The backend is told of it as those of an Ingress are, who asked this port (of the listener); 0: it is not. */
  port = 0;
  /** Of whom it is told then: as the log has it. */
  client: Uint8Array = NO_BYTES;
  /** The head as it came, while somebody decides about it; -1 for none. */
  #kept = -1;

  constructor(io: Io) {
    this.#io = io;
  }

  /** Makes sure that there is a block; false when there is no memory. */
  open(core: Core, record: AccessRecord): boolean {
    if (this.at !== -1) return true;
    this.at = this.#io.alloc(LIMITS.EXCHANGE_BYTES);
    if (this.at === -1) return false;
    record.use(core.mem, core.view, this.at + RECORD_AT);
    return true;
  }

  /** Keeps the bytes of `head`, and in `kept` their table; false when there is no memory. Until `dropKept`. */
  keep(mem: Uint8Array, head: Head, kept: Head): boolean {
    const at = this.#io.alloc(head.end - head.start);
    if (at < 0) return false;
    this.#kept = at;
    move(mem, at, head.start, head.end);
    kept.rebase(head, at - head.start);
    this.done = false;
    return true;
  }

  /** Makes room for so many bytes more behind those of `kept`, the head that is kept; false when there is no memory. */
  extend(mem: Uint8Array, kept: Head, bytes: number): boolean {
    const { start, end } = kept;
    const at = this.#io.alloc(end - start + bytes);
    if (at < 0) return false;
    move(mem, at, start, end);
    kept.rebase(kept, at - start);
    this.#io.free(this.#kept);
    this.#kept = at;
    return true;
  }

  dropKept(): void {
    if (this.#kept === -1) return;
    this.#io.free(this.#kept);
    this.#kept = -1;
  }

  /** Room for `bytes`, valid until `close`; -1 when there is no memory. */
  room(bytes: number): number {
    if (bytes <= LIMITS.EXCHANGE_BYTES - REQUEST_AT) {
      this.#limit = this.at + LIMITS.EXCHANGE_BYTES;
      return this.at + REQUEST_AT;
    }
    if (this.#large !== -1) this.#io.free(this.#large);
    this.#large = this.#io.alloc(bytes);
    this.#limit = this.#large + bytes;
    return this.#large;
  }

  /**
   * Writes the request's head as it goes upstream: its lines as they came where they may stay so, those of
   * X-Forwarded-*, those of the edits, and `own`, lines for this request alone. `prefixLength`: what the match covered
   * of the path. `held`: bytes of content that are added at once, and are to be kept. False when there is no memory.
   */
  prepare(
    mem: Uint8Array,
    head: Head,
    edits: Edits | null,
    prefixLength: number,
    down: Downstream,
    own: Uint8Array,
    held: number,
  ): boolean {
    if (edits !== null) edits.applyRequest(mem, head);
    const told = down.client.length + (down.certificate === null ? 0 : down.certificate.length);
    const more = own.length + held + (this.port === 0 ? 0 : INGRESS_BYTES + this.client.length);
    const at = this.room(headBound(head, edits, told) + more);
    if (at < 0) return false;
    const path = edits === null ? null : edits.path;
    let out: number;
    this.start = at;
    this.methodEnd = at + head.methodEnd - head.methodStart;
    if (path === null && keepsRequestLine(mem, head)) {
      this.fieldsStart = at + head.fieldsStart - head.methodStart;
      out = copyLineAndFields(mem, at, head);
    } else {
      out = putRequestLine(mem, at, head, prefixLength, path);
      this.fieldsStart = out;
      if (edits === null || edits.hostname === null) out = putHost(mem, out, head);
      out = copyFields(mem, out, head);
    }
    const fields = edits === null ? null : edits.request;
    out = putForwarded(mem, out, head, down.client, this.trusted, down.secure, this.at, fields);
    if (this.port !== 0) out = putIngressFields(mem, out, head, this.client, this.trusted, down.secure, this.port);
    if (down.certificate !== null) out = put(mem, out, down.certificate);
    if (edits !== null) out = edits.putRequestLines(mem, out, this.at);
    if (own.length > 0) out = put(mem, out, own);
    this.linesEnd = out;
    this.length = head.body === BODY.NONE ? 0 : head.body === BODY.LENGTH ? head.contentLength : -1;
    this.upgrade = head.upgrade;
    if (head.upgrade) out = this.#putUpgrade(mem, out, head);
    else if (head.teTrailers) out = put(mem, out, TE_TRAILERS);
    if (this.length < 0) out = put(mem, out, CHUNKED);
    else if (saysNothing(head)) out = put(mem, out, NO_CONTENT);
    out = put(mem, out, CRLF);
    this.bodyStart = out;
    this.end = out;
    this.trailersEnd = out;
    this.done = false;
    this.whole = true;
    return true;
  }

  #putUpgrade(mem: Uint8Array, at: number, head: Head): number {
    const field = head.find(NAME.UPGRADE);
    this.upgradeStart = put(mem, at, head.teTrailers ? TE_UPGRADE : UPGRADE);
    this.upgradeEnd = move(mem, this.upgradeStart, head.valueStart(field), head.valueEnd(field));
    return put(mem, this.upgradeEnd, CRLF);
  }

  /** Keeps content; false (and nothing is kept) when it does not fit. */
  add(mem: Uint8Array, start: number, end: number): boolean {
    const at = this.end;
    if (at + end - start > this.#limit) return false;
    this.end = move(mem, at, start, end);
    this.trailersEnd = this.end;
    return true;
  }

  /** Keeps the trailer section, which may be empty; false when it does not fit. */
  addTrailers(mem: Uint8Array, start: number, end: number): boolean {
    if (start === end) return true;
    if (this.end + end - start > this.#limit) return false;
    this.trailersEnd = move(mem, this.end, start, end);
    return true;
  }

  /** The request is over. */
  close(): void {
    this.whole = false;
    this.done = false;
    if (this.#large === -1) return;
    this.#io.free(this.#large);
    this.#large = -1;
  }

  dispose(record: AccessRecord): void {
    if (this.at !== -1) this.#io.free(this.at);
    this.at = -1;
    record.use(NO_BYTES, NO_VIEW, 0);
  }
}

/**
 * Whether it is to be said that a request has no content: its method means some, and HTTP/2, in which a stream's end
 * tells, lets clients leave it out. Some servers answer 411 to that (RFC 9110 section 8.6).
 */
function saysNothing(head: Head): boolean {
  if (head.version !== 20 || head.upgrade || (head.seen & LENGTH) !== 0) return false;
  return head.method === METHOD.POST || head.method === METHOD.PUT || head.method === METHOD.PATCH;
}

/** Most bytes of a prepared head. `client`: length of the client's address, and of what is told of its certificate. */
function headBound(head: Head, edits: Edits | null, client: number): number {
  const authority = head.authorityEnd - head.authorityStart;
  // Fields that X-Forwarded-For is made of are not copied besides, so the head's own size covers them, and a ', ' for
  // each.
  return (
    head.end -
    head.start +
    requestLineBound(head, edits === null ? null : edits.path) +
    2 * (authority + 8) +
    FORWARDED_BYTES +
    client +
    2 * head.count +
    (edits === null ? 0 : edits.requestSize) +
    TE_UPGRADE.length +
    CHUNKED.length +
    CRLF.length
  );
}

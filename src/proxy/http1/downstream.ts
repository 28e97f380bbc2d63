// What an exchange writes to a client in HTTP/1.1 and 1.0: how long a response says it is, and whether its connection
// goes on behind it (RFC 9112 sections 6 and 9). One of a connection, used by its requests one after the other.

import { bytesOf, put } from '../../base/bytes.ts';
import type { SocketHost } from '../../ir/ir.ts';
import type { Fragment } from '../../telemetry/fragment.ts';
import type { ClientInfo } from '../client-info.ts';
import type { Connection, ConnectionOwner } from '../connection.ts';
import type { Core } from '../core.ts';
import type { Answer } from '../exchange/answer.ts';
import type { Downstream } from '../exchange/sides.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import { BODY, bitsOf, type Head, METHOD, NAME } from '../head.ts';
import type { Listener } from '../listener.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import { answerBound, putAnswer } from './answer.ts';
import { headBytes, putFinal, putInterim, putSwitched, CONNECTION as SAYS } from './heads.ts';
import { putTrailers } from './trailers.ts';
import { CHUNK_END, CHUNK_HEAD_BYTES, LAST_CHUNK, putChunkHead, stripResponseInPlace } from './write.ts';

const PROCEED = bytesOf('HTTP/1.1 100 Continue\r\n\r\n');
const CODING = bitsOf(NAME.TRANSFER_ENCODING);

/** The connection whose requests are answered. */
export interface AnsweredConnection {
  readonly listener: Listener;
  /** When the first byte of the request came, in monotonic us. */
  readonly requestUs: number;
  /** The client was told to go on with its content. */
  onContinued(): void;
  /** From now on it carries another protocol. */
  onSwitched(): void;
  onAborted(): void;
  /** The exchange is over. */
  onReleased(): void;
}

export class Http1Downstream implements Downstream {
  readonly #core: Core;
  readonly #connection: AnsweredConnection;
  readonly #transport: Transport;
  readonly #info: ClientInfo;
  /** Past the limit of connections. */
  readonly #refused: boolean;
  /** Nothing was asked yet. */
  #fresh = true;
  #version = 11;
  /** The request is HEAD: no content answers it. */
  #toHead = false;
  /** BODY of the response. */
  #framing = BODY.NONE as number;
  /** Bytes written to the client before the response that is under way; below 0: it is never taken back. */
  #startedAt = 0;
  /** What is written belongs to no HTTP any more. */
  #switched = false;
  // ---- the connection's too
  /** The client wants to go on behind this request. */
  keepAlive = true;
  /** All of the request is here. */
  requestDone = true;
  /** Bytes of its content that came with its head and are skipped when nobody wants them. */
  skippable = 0;
  /** The client holds its content back until it is asked for it. */
  awaits100 = false;
  /** The connection ends with the answer that is being sent. */
  closing = false;

  constructor(core: Core, connection: AnsweredConnection, transport: Transport, info: ClientInfo, refused: boolean) {
    this.#core = core;
    this.#connection = connection;
    this.#transport = transport;
    this.#info = info;
    this.#refused = refused;
  }

  /**
   * What goes on with the bytes at `at`, in another protocol than HTTP/1, when they are the first of the connection and
   * `owner` knows the protocol; null for others. The connection is no longer `before` then.
   */
  prefaced(owner: ConnectionOwner, before: Connection, at: number): TransportUser | null {
    if (!this.#fresh) return null;
    return owner.prefaced(before, at, this.#transport, this.#info, this.#refused);
  }

  /** A request whose head is here, with so much of its content behind it (`here` bytes). */
  begin(head: Head, here: number): void {
    const length = head.contentLength;
    this.#fresh = false;
    this.#version = head.version;
    this.#toHead = head.method === METHOD.HEAD;
    this.keepAlive = head.keepAlive;
    this.awaits100 = head.expectContinue;
    this.requestDone = head.body === BODY.NONE;
    this.skippable = head.body === BODY.LENGTH && length <= here ? length : 0;
  }

  /** What came is no request: the connection ends with its answer. */
  beginRefused(): void {
    this.#version = 11;
    this.#toHead = false;
    this.keepAlive = false;
    this.requestDone = false;
  }

  get client(): Uint8Array {
    return this.#info.client;
  }
  get connection(): object {
    return this.#info;
  }
  requestsAt(): number {
    return 1;
  }
  get trusted(): boolean {
    return this.#info.trusted;
  }
  get secure(): boolean {
    return this.#info.secure;
  }
  get host(): SocketHost | null {
    return this.#info.host;
  }
  get certificate(): Uint8Array | null {
    return this.#info.certificate;
  }
  get json(): Fragment {
    return this.#info.json;
  }

  get requestUs(): number {
    return this.#connection.requestUs;
  }

  resumeRequest(): void {
    this.#transport.resume();
  }

  proceed(): void {
    if (!this.awaits100 || this.#version <= 10) return;
    const transport = this.#transport;
    this.awaits100 = false;
    this.#connection.onContinued();
    transport.commit(put(this.#core.mem, transport.reserve(PROCEED.length), PROCEED));
    transport.uncork();
  }

  interim(head: Head): void {
    // HTTP/1.0 knows none (RFC 9110 section 15.2).
    if (this.#version <= 10) return;
    const { mem } = this.#core;
    if (head.status === 100 && this.awaits100) {
      this.awaits100 = false;
      this.#connection.onContinued();
    }
    const transport = this.#transport;
    transport.commit(putInterim(mem, transport.reserve(headBytes(head, null)), head));
    transport.uncork();
  }

  accepts(): boolean {
    return true;
  }

  switched(head: Head, added: FieldLines | null, uuidAt: number): void {
    const { mem } = this.#core;
    const transport = this.#transport;
    this.#switched = true;
    this.#framing = BODY.UNTIL_CLOSE;
    this.#startedAt = -1;
    this.closing = true;
    this.#connection.onSwitched();
    transport.commit(putSwitched(mem, transport.reserve(headBytes(head, added)), head, added, uuidAt));
  }

  get plain(): Transport | null {
    return this.#transport;
  }

  respond(head: Head, added: FieldLines | null, uuidAt: number): void {
    const { io, mem, leaving } = this.#core;
    const transport = this.#transport;
    let chunk = false;
    let framing = head.body;
    if (framing === BODY.UNTIL_CLOSE && this.#version > 10) {
      framing = BODY.CHUNKED;
      chunk = true;
    } else if (this.#version <= 10) {
      // HTTP/1.0 knows no transfer codings, not even announced in an answer to HEAD (RFC 9112 section 6.1).
      if (framing === BODY.CHUNKED) framing = BODY.UNTIL_CLOSE;
      head.dropAll(CODING);
    }
    this.#framing = framing;
    this.#startedAt = transport.sentBytes + transport.unsentBytes;
    if (framing === BODY.UNTIL_CLOSE) transport.endsByClosing();
    const keep =
      this.keepAlive &&
      this.requestDone &&
      framing !== BODY.UNTIL_CLOSE &&
      !leaving &&
      this.#connection.listener.entry !== null;
    this.closing = !keep;
    const date = head.find(NAME.DATE);
    const dated = (date >= 0 && !head.dropped(date)) || added?.dated === true;
    if (dated && keep && added === null && !chunk && this.#version > 10) {
      // Nothing to insert: the head goes on where it stands, and content that is behind it with it.
      const start = stripResponseInPlace(mem, head);
      if (start >= 0) {
        transport.hold(start, head.end);
        return;
      }
    }
    const connection = !keep ? SAYS.CLOSE : this.#version === 10 ? SAYS.KEEP_ALIVE : SAYS.NOTHING;
    const at = transport.reserve(headBytes(head, added));
    transport.commit(putFinal(mem, at, head, added, uuidAt, chunk, dated ? -1 : io.wallMs, connection));
  }

  body(start: number, end: number, free: number): void {
    // A chunk of nothing is the last one.
    if (start === end) return;
    const transport = this.#transport;
    if (this.#framing !== BODY.CHUNKED) {
      transport.write(start, end, free);
      return;
    }
    const mem = this.#core.mem;
    transport.commit(putChunkHead(mem, transport.reserve(CHUNK_HEAD_BYTES), end - start));
    transport.write(start, end, 0);
    transport.commit(put(mem, transport.reserve(CHUNK_END.length), CHUNK_END));
  }

  trailers(start: number, end: number): void {
    if (this.#framing !== BODY.CHUNKED) return;
    const at = this.#transport.reserve(LAST_CHUNK.length + end - start);
    this.#transport.commit(putTrailers(this.#core.mem, at, start, end));
    // The section ends the body.
    this.#framing = BODY.NONE;
  }

  end(): void {
    const transport = this.#transport;
    if (this.#switched) {
      transport.end();
      return;
    }
    if (this.#framing === BODY.CHUNKED) {
      transport.commit(put(this.#core.mem, transport.reserve(LAST_CHUNK.length), LAST_CHUNK));
    }
    transport.uncork();
  }

  get sentBytes(): number {
    return this.#transport.sentBytes;
  }

  get unsentBytes(): number {
    return this.#transport.unsentBytes;
  }

  flush(): boolean {
    this.#transport.uncork();
    return !this.#transport.congested;
  }

  answer(answer: Answer, start: number, end: number, uuidAt: number): number {
    const { io, mem } = this.#core;
    const transport = this.#transport;
    const toHead = this.#toHead;
    if (answer.closes) this.keepAlive = false;
    const close = this.#mustClose();
    const at = transport.reserve(answerBound(answer) + end - start);
    transport.commit(putAnswer(mem, at, answer, start, end, uuidAt, io.wallMs, close, toHead));
    transport.uncork();
    return toHead ? 0 : answer.body.length;
  }

  /** Whether an answer of our own ends the connection: also when content of its request is still to come. */
  #mustClose(): boolean {
    // Content that is all here is skipped; it is as if the request had none.
    if (!this.requestDone && this.skippable > 0) this.requestDone = true;
    this.closing =
      !this.keepAlive ||
      !this.requestDone ||
      this.#core.leaving ||
      this.#version === 10 ||
      this.#connection.listener.entry === null;
    return this.closing;
  }

  retract(): boolean {
    const transport = this.#transport;
    // All of it that was written is still gathered.
    if (transport.sentBytes + transport.unsentBytes !== this.#startedAt) return false;
    transport.discard();
    this.#framing = BODY.NONE;
    return true;
  }

  abort(): void {
    this.#connection.onAborted();
  }

  release(): void {
    this.#connection.onReleased();
  }
}

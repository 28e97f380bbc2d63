// gRPC-Web (PROTOCOL-WEB of gRPC): calls of browsers, which see no trailers and may be bound to text. To the backend
// they are calls like any others; to the client the trailers are the last message, and everything Base64 where it asks
// for text. It stands between an exchange and its client, for such calls only.

import { bytesOf, equalLowerAt } from '../../base/bytes.ts';
import type { Fault } from '../../base/errors.ts';
import type { Io } from '../../io/io.ts';
import type { SocketHost } from '../../ir/ir.ts';
import type { Fragment } from '../../telemetry/fragment.ts';
import { FieldLines } from '../filter/field-lines.ts';
import { BODY, bitsOf, type Head, METHOD, NAME } from '../head.ts';
import { Answer } from './answer.ts';
import { Base64Decoder, encodeBase64 } from './base64.ts';
import { isGrpcType } from './grpc.ts';
import type { Downstream } from './sides.ts';

const WEB = bytesOf('application/grpc-web');
const TEXT = bytesOf('-text');
const PLUS = 0x2b;
const SEMICOLON = 0x3b;
const SPACE = 0x20;
const CONTENT_TYPE = bytesOf('Content-Type: application/grpc');
const CONTENT = bitsOf(NAME.CONTENT_LENGTH);
/** The bit of a message's prefix that makes it the trailers. */
const TRAILERS = 0x80;
const PREFIX_BYTES = 5;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

export const WEB_MODE = { NONE: 0, BINARY: 1, TEXT: 2 } as const;

/** Content that becomes text is encoded in pieces of so many bytes: a multiple of three. */
const PIECE_BYTES = 6144;
const SCRATCH_BYTES = (PIECE_BYTES / 3) * 4 + PREFIX_BYTES;

/** WEB_MODE of a request by its method and content type. */
export function grpcWebMode(mem: Uint8Array, head: Head): number {
  const k = head.method === METHOD.POST ? head.find(NAME.CONTENT_TYPE) : -1;
  if (k < 0) return WEB_MODE.NONE;
  const start = head.valueStart(k);
  const end = head.valueEnd(k);
  let at = start + WEB.length;
  if (at > end || !equalLowerAt(mem, start, WEB)) return WEB_MODE.NONE;
  const text = at + TEXT.length <= end && equalLowerAt(mem, at, TEXT);
  if (text) at += TEXT.length;
  if (at < end && mem[at] !== PLUS && mem[at] !== SEMICOLON && mem[at] !== SPACE) return WEB_MODE.NONE;
  return text ? WEB_MODE.TEXT : WEB_MODE.BINARY;
}

const TYPES = ['', 'application/grpc-web+proto', 'application/grpc-web-text+proto'] as const;
const NOTHING = new FieldLines([]);

/** `lines` with the content type of a mode; made when they are first seen with it. */
class Typed {
  readonly #type: string;
  readonly #made = new WeakMap<FieldLines, FieldLines>();
  readonly #answers = new WeakMap<Answer, Answer>();

  constructor(type: string) {
    this.#type = type;
  }

  lines(lines: FieldLines): FieldLines {
    let made = this.#made.get(lines);
    if (made === undefined) {
      const rest = lines.lines.filter(({ name }) => name.toLowerCase() !== 'content-type');
      made = new FieldLines([...rest, { name: 'Content-Type', value: this.#type }]);
      this.#made.set(lines, made);
    }
    return made;
  }

  answer(answer: Answer): Answer {
    let made = this.#answers.get(answer);
    if (made === undefined) {
      made = new Answer(answer.status, this.lines(answer.fields ?? NOTHING), answer.body, answer.closes);
      this.#answers.set(answer, made);
    }
    return made;
  }
}
const TYPED = TYPES.map((type) => new Typed(type));

export class GrpcWeb implements Downstream {
  readonly #io: Io;
  readonly #decoder = new Base64Decoder();
  #down!: Downstream;
  #mode: number = WEB_MODE.NONE;
  /** What the backend answers is a call's, and is translated. */
  #translates = false;
  /** The request is not Base64, as it said. What is left of it is not asked, and it is answered when it ends. */
  #broken = false;
  /** Scratch. */
  #at = -1;
  /** `+proto` and what else stands behind the type, as the client says it. */
  #format = new Uint8Array(0);

  constructor(io: Io) {
    this.#io = io;
  }

  /** Takes a call whose head says `mode`, which is not NONE; false when there is no memory. Until `close`. */
  open(down: Downstream, mode: number, head: Head): boolean {
    const { mem } = this.#io;
    this.#at = this.#io.alloc(mode === WEB_MODE.TEXT ? SCRATCH_BYTES : PREFIX_BYTES);
    if (this.#at < 0) return false;
    this.#down = down;
    this.#mode = mode;
    this.#translates = false;
    this.#decoder.reset();
    const k = head.find(NAME.CONTENT_TYPE);
    const from = head.valueStart(k) + WEB.length + (mode === WEB_MODE.TEXT ? TEXT.length : 0);
    this.#format = mem.slice(from, head.valueEnd(k));
    head.drop(k);
    head.teTrailers = true;
    if (mode === WEB_MODE.TEXT && head.body === BODY.LENGTH) {
      head.body = BODY.UNTIL_CLOSE;
      head.dropAll(CONTENT);
    }
    return true;
  }

  /** The line of its content type as the backend gets it. */
  get line(): Uint8Array {
    return Buffer.concat([CONTENT_TYPE, this.#format, bytesOf('\r\n')]);
  }

  /** The request's content where it stands: the offset behind what it means, which is nothing once it is broken. */
  decode(start: number, end: number): number {
    if (this.#mode !== WEB_MODE.TEXT) return end;
    const to = this.#broken ? -1 : this.#decoder.decode(this.#io.mem, start, end);
    this.#broken = to < 0;
    return Math.max(start, to);
  }

  /** The request may end here: what came of it is all that it said. */
  get whole(): boolean {
    return !this.#broken && this.#decoder.whole;
  }

  // ---- Downstream

  respond(head: Head, added: FieldLines | null, uuidAt: number): void {
    const { mem } = this.#io;
    const k = head.find(NAME.CONTENT_TYPE);
    // No content may answer so, not even the trailers as a message (RFC 9110 sections 15.3.5 and 15.4.5).
    const empty = head.status === NO_CONTENT || head.status === NOT_MODIFIED;
    this.#translates = !empty && k >= 0 && isGrpcType(mem, head.valueStart(k), head.valueEnd(k));
    if (!this.#translates) {
      this.#down.respond(head, added, uuidAt);
      return;
    }
    head.drop(k);
    head.dropAll(CONTENT);
    if (head.body === BODY.LENGTH || head.body === BODY.NONE) head.body = BODY.UNTIL_CLOSE;
    this.#down.respond(head, this.#typed.lines(added ?? NOTHING), uuidAt);
  }

  body(start: number, end: number, free: number): void {
    if (!this.#translates || this.#mode === WEB_MODE.BINARY) {
      this.#down.body(start, end, free);
      return;
    }
    const { mem } = this.#io;
    for (let at = start; at < end; at += PIECE_BYTES) {
      const to = encodeBase64(mem, this.#at, at, Math.min(end, at + PIECE_BYTES));
      this.#down.body(this.#at, to, 0);
    }
  }

  trailers(start: number, end: number): void {
    if (!this.#translates) {
      this.#down.trailers(start, end);
      return;
    }
    const { mem } = this.#io;
    // Without the empty line that ends a section.
    const stop = Math.max(start, end - 2);
    lowerNames(mem, start, stop);
    const text = this.#mode === WEB_MODE.TEXT;
    // Text is made of it behind where the prefix stands.
    const prefix = text ? this.#at + SCRATCH_BYTES - PREFIX_BYTES : this.#at;
    mem[prefix] = TRAILERS;
    for (let i = 0; i < 4; i++) mem[prefix + 1 + i] = ((stop - start) >>> (24 - 8 * i)) & 0xff;
    this.body(prefix, prefix + PREFIX_BYTES, 0);
    this.body(start, stop, 0);
  }

  answer(answer: Answer, start: number, end: number, uuidAt: number): number {
    return this.#down.answer(this.#typed.answer(answer), start, end, uuidAt);
  }

  get #typed(): Typed {
    return TYPED[this.#mode] as Typed;
  }

  /** The call is over, whether its client is still there or not. */
  close(): void {
    this.#io.free(this.#at);
    this.#at = -1;
  }

  release(): void {
    this.#down.release();
  }

  // ---- as the client's codec does it

  get client(): Uint8Array {
    return this.#down.client;
  }
  get trusted(): boolean {
    return this.#down.trusted;
  }
  get secure(): boolean {
    return this.#down.secure;
  }
  get certificate(): Uint8Array | null {
    return this.#down.certificate;
  }
  get host(): SocketHost | null {
    return this.#down.host;
  }
  get connection(): object {
    return this.#down.connection;
  }
  requestsAt(endpoint: object): number {
    return this.#down.requestsAt(endpoint);
  }
  get json(): Fragment {
    return this.#down.json;
  }
  get plain(): null {
    return null;
  }
  get requestUs(): number {
    return this.#down.requestUs;
  }
  get sentBytes(): number {
    return this.#down.sentBytes;
  }
  get unsentBytes(): number {
    return this.#down.unsentBytes;
  }
  resumeRequest(): void {
    this.#down.resumeRequest();
  }
  proceed(): void {
    this.#down.proceed();
  }
  interim(head: Head): void {
    this.#down.interim(head);
  }
  end(): void {
    this.#down.end();
  }
  flush(): boolean {
    return this.#down.flush();
  }
  retract(): boolean {
    return this.#down.retract();
  }
  accepts(head: Head): boolean {
    return this.#down.accepts(head);
  }
  switched(head: Head, added: FieldLines | null, uuidAt: number): void {
    this.#down.switched(head, added, uuidAt);
  }
  abort(fault: Fault): void {
    this.#down.abort(fault);
  }
}

/** Names of trailers are lower case in the message, whatever a backend of HTTP/1 wrote. */
function lowerNames(mem: Uint8Array, start: number, end: number): void {
  let name = true;
  for (let i = start; i < end; i++) {
    const c = mem[i] as number;
    if (c === 0x3a) name = false;
    else if (c === 0x0a) name = true;
    else if (name && c >= 0x41 && c <= 0x5a) mem[i] = c | 0x20;
  }
}

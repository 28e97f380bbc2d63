// Between an exchange and the two codecs it stands between: how it sees them, and how each of them sees it. HTTP/1
// implements each side by a connection, HTTP/2 by a stream. Nobody here knows who is behind an interface.

import type { Fault } from '../../base/errors.ts';
import type { LimitName } from '../../base/limits.ts';
import type { SocketHost } from '../../ir/ir.ts';
import type { Fragment } from '../../telemetry/fragment.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import type { Head } from '../head.ts';
import type { Transport } from '../transport/transport.ts';
import type { Answer } from './answer.ts';

/** The client's side. What it writes is gathered until `flush`. */
export interface Downstream {
  /** Address of the client's end of the connection, ASCII without port. */
  readonly client: Uint8Array;
  /** The client's end is a trusted proxy: what it says about its own client is believed. */
  readonly trusted: boolean;
  /** The request came over TLS. */
  readonly secure: boolean;
  /** The host that the client named in its TLS handshake, the only one that it may ask; null: any of the socket's. */
  readonly host: SocketHost | null;
  /** What backends are told of the client's certificate: a field line; null for nothing. */
  readonly certificate: Uint8Array | null;
  /** What log lines say of the connection. */
  readonly json: Fragment;
  /** Stands for the connection: requests of the same have the same. */
  readonly connection: object;
  /** Requests of it that are at `endpoint`; more than these only as long as all it has are few. */
  requestsAt(endpoint: object): number;

  /** When the first byte of the request came, in monotonic us. */
  readonly requestUs: number;
  /** Bytes that the client has taken so far. */
  readonly sentBytes: number;
  /** Bytes written for the client that it has not taken, or never will. */
  readonly unsentBytes: number;

  /** The exchange takes the body now; and, after it was refused because of back-pressure, again. */
  resumeRequest(): void;
  /** The client is told to send its content, if it waits for that (RFC 9110 section 10.1.1). */
  proceed(): void;
  /** An interim response (1xx) whose fields not dropped are relayed; nothing where the client cannot take one. */
  interim(head: Head): void;
  /**
   * The head of the final response: head's fields that are not dropped, then those `added`. `uuidAt`: the request's
   * UUID, for those that want it.
   */
  respond(head: Head, added: FieldLines | null, uuidAt: number): void;
  /** Content of the response, in mem[start..end); `free` bytes in front of it may be overwritten. */
  body(start: number, end: number, free: number): void;
  /** The trailer section [start, end) as BodyReader gave it. */
  trailers(start: number, end: number): void;
  /** The response is complete. */
  end(): void;
  /**
   * Sends what was gathered; false when the client does not take it: pause the source until
   * RequestSide.onDownstreamDrained.
   */
  flush(): boolean;
  /**
   * An answer of the proxy's own, complete, with further field lines in mem[start..end), none when start is end.
   * Returns the bytes of content that the client gets.
   */
  answer(answer: Answer, start: number, end: number, uuidAt: number): number;
  /** Takes the response back, as if `respond` had not been called; false when something of it has gone already. */
  retract(): boolean;
  /**
   * Whether `head` (101) answers what the proxy asked for in the client's place; what a client asked for by itself it
   * looks at by itself.
   */
  accepts(head: Head): boolean;
  /**
   * The protocol is switched, as head (101) says: from now on content is bytes without framing, both ways, and `end`
   * the end of what the backend says. `added` and `uuidAt` as of `respond`.
   */
  switched(head: Head, added: FieldLines | null, uuidAt: number): void;
  /** Of a switched protocol: the connection whose bytes are the tunnel's as they are; null where they are framed. */
  readonly plain: Transport | null;
  /**
   * The response cannot be completed, for this fault: ends it in the way that nobody takes for its end (RFC 9112
   * section 8), and says why where the protocol can.
   */
  abort(fault: Fault): void;
  /** The exchange is over: the connection (or stream) is the codec's again. */
  release(): void;
}

/**
 * A request as it goes upstream, in the arena: every codec takes from it what its wire needs. Fields are lines in
 * HTTP/1.1's form; the target is mem[methodEnd + 1, fieldsStart - 11).
 */
export interface PreparedRequest {
  /**
   * [start, bodyStart) is a whole head of HTTP/1.1: with TE, Transfer-Encoding and the like, which other wires leave.
   */
  readonly start: number;
  readonly methodEnd: number;
  /** [fieldsStart, linesEnd): the lines that belong to the request, whatever the wire. */
  readonly fieldsStart: number;
  readonly linesEnd: number;
  /** Content as far as it is here, unframed. */
  readonly bodyStart: number;
  readonly end: number;
  /** [end, trailersEnd) is the trailer section, as it came. */
  readonly trailersEnd: number;
  /** Length of the content, -1 when it is not announced. */
  readonly length: number;
  /** All of it is here. */
  readonly done: boolean;
  /** It asks for the protocols in mem[upgradeStart, upgradeEnd) (RFC 9110 section 7.8). */
  readonly upgrade: boolean;
  readonly upgradeStart: number;
  readonly upgradeEnd: number;
}

/** The backend's side of one attempt. */
export interface Upstream {
  /** Bytes that the backend has taken so far. */
  readonly sentBytes: number;

  /** Sends the request as far as it is here. */
  send(request: PreparedRequest): void;
  /** As Downstream.plain. */
  readonly plain: Transport | null;
  /** More of the request's content, its trailer section, its end. */
  body(start: number, end: number): void;
  trailers(start: number, end: number): void;
  end(): void;
  /** Sends what was gathered; false when the backend does not take it: pause until ResponseSide.onUpstreamDrained. */
  flush(): boolean;
  resumeResponse(): void;
  /**
   * The exchange wants no more of it: nothing is called any more. `unused`: nothing was sent, so others may have it.
   */
  cancel(unused: boolean): void;
}

/** What a client's codec calls: the request as it comes. */
export interface RequestSide {
  /**
   * A request whose head stands in `head` (valid during this call only). May be over when it returns:
   * Downstream.release.
   */
  begin(down: Downstream, head: Head): void;
  /**
   * A request that cannot be read: its head is malformed, too large (`limit` says what for) or too slow. Over when it
   * returns.
   */
  refuse(down: Downstream, fault: Fault, limit: LimitName | null): void;
  /** Its attempt under way is at `endpoint`. */
  isAt(endpoint: object): boolean;
  /** Whether content can be taken now; when it changes, Downstream.resumeRequest. */
  readonly takesBody: boolean;
  requestBody(start: number, end: number): void;
  /** The request is complete, with a trailer section unless trailersStart is trailersEnd. */
  requestEnded(trailersStart: number, trailersEnd: number): void;
  /** What came is to be sent now; false when the backend does not take more: pause until Downstream.resumeRequest. */
  flushRequest(): boolean;
  /** Which limit the request was beyond, in front of `fail`. */
  noteLimit(limit: LimitName | null): void;
  /** The request cannot be read on. */
  fail(fault: Fault): void;
  /**
   * The client was reset. True: what it said in a tunnel is read on as the backend takes it, for a while; it is told
   * when that is over, by onDownstreamGone or Downstream.abort.
   */
  orphan(): boolean;
  /** The worker waits no longer for tunnels, or for all that is none. True when that ended it. */
  leave(tunnels: boolean): boolean;
  onDownstreamDrained(): void;
  /** The client is gone: nothing can be answered any more. */
  onDownstreamGone(): void;
}

/** What a backend's codec calls: the response as it comes. */
export interface ResponseSide {
  /** The request is HEAD: no content answers it. */
  readonly toHead: boolean;
  onInterim(head: Head): void;
  onResponse(head: Head): void;
  /** The backend switches to the protocol that it was asked for, by head (101): bytes follow, both ways. */
  onSwitched(head: Head): void;
  /** After that: the backend sends no more. */
  onBackendEnded(): void;
  /** As Downstream.body. */
  responseBody(start: number, end: number, free: number): void;
  responseTrailers(start: number, end: number): void;
  /** The response is complete; the upstream has already let go of the exchange. */
  responseEnded(): void;
  /** False: pause the response until Upstream.resumeResponse. */
  flushResponse(): boolean;
  onUpstreamDrained(): void;
  /** A connection that had served before ended before any byte of the response; the upstream has let go. */
  onUpstreamStale(): void;
  /** Which limit the response was beyond, in front of the fault. */
  noteLimit(limit: LimitName | null): void;
  /** The attempt failed, the upstream has let go. `error`: which of BACKEND_ERROR. */
  onUpstreamFault(fault: Fault, error: number): void;
}

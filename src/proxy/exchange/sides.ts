// How an exchange sees the two codecs it stands between. HTTP/1 implements each by a connection, HTTP/2 by a stream.

import type { Edits } from '../filter/edits.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import type { Head } from '../head.ts';
import type { Answer } from './answer.ts';

/** The client's side. What it writes is gathered until `flush`. */
export interface Downstream {
  /** Address of the client's end of the connection, ASCII without port. */
  readonly client: Uint8Array;
  /** The client's end is a trusted proxy: what it says about its own client is believed. */
  readonly trusted: boolean;
  /** The request came over TLS. */
  readonly secure: boolean;

  /** When the first byte of the request came, in monotonic us. */
  readonly requestUs: number;
  /** Bytes that the client has taken so far. */
  readonly sentBytes: number;
  /** Bytes written for the client that it has not taken, or never will. */
  readonly unsentBytes: number;

  /** The exchange takes the body now; and, after it was refused because of back-pressure, again. */
  resumeRequest(): void;
  /** An interim response (1xx) whose fields not dropped are relayed; nothing where the client cannot take one. */
  interim(head: Head): void;
  /**
   * The head of the final response: head's fields that are not dropped, then those `added`. `uuidAt`: the request's UUID, for those
   * that want it.
   */
  respond(head: Head, added: FieldLines | null, uuidAt: number): void;
  /** Content of the response, in mem[start..end); `free` bytes in front of it may be overwritten. */
  body(start: number, end: number, free: number): void;
  /** The trailer section [start, end) as BodyReader gave it. */
  trailers(start: number, end: number): void;
  /** The response is complete. */
  end(): void;
  /** Sends what was gathered; false when the client does not take it: pause the source until Exchange.onDownstreamDrained. */
  flush(): boolean;
  /**
   * An answer of the proxy's own, complete, with further field lines in mem[start..end), none when start is end. Returns the
   * bytes of content that the client gets.
   */
  answer(answer: Answer, start: number, end: number, uuidAt: number): number;
  /** The response cannot be completed: ends it in the way that nobody takes for its end (RFC 9112 section 8). */
  abort(): void;
  /** The exchange is over: the connection (or stream) is the codec's again. */
  release(): void;
}

/** The backend's side of one attempt. */
export interface Upstream {
  /** Bytes that the backend has taken so far. */
  readonly sentBytes: number;

  /** Sends the request, or its next piece, as prepared in mem[start..end). */
  send(start: number, end: number): void;
  /** More of the request's content, its trailer section, its end. */
  body(start: number, end: number): void;
  trailers(start: number, end: number): void;
  end(): void;
  /** Sends what was gathered; false when the backend does not take it: pause until Exchange.onUpstreamDrained. */
  flush(): boolean;
  resumeResponse(): void;
  /** The exchange wants no more of it: nothing is called any more. */
  cancel(): void;
}

/** How a request is written for an upstream protocol, ahead of having a connection, so that it can be sent again. */
export interface RequestEncoder {
  /** Most bytes that `head` writes. `client`: length of the client's address. */
  bound(head: Head, edits: Edits | null, client: number): number;
  /** Writes the head at `at`, edits applied and put; `uuidAt`: the request's UUID. Returns the offset behind it. */
  head(
    mem: Uint8Array,
    at: number,
    head: Head,
    edits: Edits | null,
    prefixLength: number,
    down: Downstream,
    uuidAt: number,
  ): number;
  /** Writes content; -1 (and nothing) when it does not fit before `limit`. `chunked`: its length was not announced. */
  body(mem: Uint8Array, at: number, limit: number, start: number, end: number, chunked: boolean): number;
  /** Writes the end, with the trailer section [start, end) unless that is empty; -1 when it does not fit. */
  end(mem: Uint8Array, at: number, limit: number, start: number, end: number, chunked: boolean): number;
}

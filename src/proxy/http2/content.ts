// DATA frames as they come (RFC 9113 sections 6.1 and 6.9): in pieces, without waiting for a whole frame, and the
// windows by which the peer may send them. Only what was used is granted anew, so that all content that waits in a
// connection is bounded by its window.

import { LIMITS } from '../../base/limits.ts';
import type { Core } from '../core.ts';
import { countLimit } from '../counts.ts';
import type { Transport } from '../transport/transport.ts';
import { CODE, FIRST_WINDOW, FLAG, FRAME_HEAD } from './frames.ts';
import type { Lending } from './lending.ts';
import { COST, Life } from './life.ts';
import type { Stream } from './stream.ts';
import type { Turns } from './turns.ts';

/** A piece of content so large is sent on before more is taken. */
const FLUSH_BYTES = 32 * 1024;

export abstract class Content extends Life {
  #credit = FIRST_WINDOW;
  #used = 0;
  /** By how much windows of streams have grown, all together. */
  #grown = 0;
  /** Of what a backend sends nothing is counted: its streams are those of many clients. */
  readonly #lending: Lending | null;
  /** What waits here and is not counted in the connection's window; the last of it was refused. */
  #lent = 0;
  #full = false;
  /** Of the frame that is being read: content and padding that are still to come, and whose it is (null: nobody's). */
  #left = 0;
  #padding = 0;
  #ends = false;
  #content: Stream | null = null;
  protected inData = false;
  /** Content was given to it, so much, and it was not told that no more comes for now. */
  #fed: Stream | null = null;
  #fedBytes = 0;

  constructor(core: Core, turns: Turns, transport: Transport, fromServer: boolean) {
    super(core, turns, transport, fromServer);
    this.#lending = fromServer ? null : turns.lending;
  }

  /** The connection's window becomes as large as it is to be: what is written here goes behind our SETTINGS. */
  protected openWindow(): void {
    this.#credit = LIMITS.HTTP2_CONNECTION_WINDOW_BYTES;
    this.out.windowUpdate(0, LIMITS.HTTP2_CONNECTION_WINDOW_BYTES - FIRST_WINDOW);
  }

  /**
   * The head of a DATA frame at `at`, with its pad length if it has one. Returns where its content begins, or -CODE of
   * the fault that ends the connection.
   */
  protected beginData(at: number, length: number, flags: number, id: number): number {
    let from = at + FRAME_HEAD;
    let padding = 0;
    if ((flags & FLAG.PADDED) !== 0) {
      if (length === 0) return -CODE.FRAME_SIZE_ERROR;
      padding = this.core.mem[from++] as number;
      if (padding >= length) return -CODE.PROTOCOL_ERROR;
    }
    const framing = from - at - FRAME_HEAD + padding;
    const ends = (flags & FLAG.END_STREAM) !== 0;
    const code = this.#receive(id, length, length - framing, ends);
    if (code !== CODE.NO_ERROR) return -code;
    this.#left = length - framing;
    this.#padding = padding;
    this.#ends = ends;
    this.inData = true;
    if (framing > 0) this.#usedOf(this.#content, framing);
    // Nothing is to come: it is over already.
    if (this.#left + padding === 0) this.readContent(from, from);
    return from;
  }

  /** A frame of `length` bytes, `content` of them content, is about to come. Returns a CODE. */
  #receive(id: number, length: number, content: number, ends: boolean): number {
    this.#content = null;
    if (id === 0 || this.isIdle(id)) return CODE.PROTOCOL_ERROR;
    if (length > this.#credit) return CODE.FLOW_CONTROL_ERROR;
    this.#credit -= length;
    // A frame that carries nothing costs as much as others do.
    if (content === 0 && !ends) {
      const calm = this.spend(COST.PLAIN);
      if (calm !== CODE.NO_ERROR) return calm;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return this.wasReset(id) ? CODE.NO_ERROR : CODE.STREAM_CLOSED;
    if (stream.remoteEnded) return this.resetStream(stream, CODE.STREAM_CLOSED, true);
    if (length > stream.credit) return this.resetStream(stream, CODE.FLOW_CONTROL_ERROR, true);
    stream.credit -= length;
    this.#content = stream;
    if (content === 0 && !ends) stream.onEmpty();
    return CODE.NO_ERROR;
  }

  /** Reads of mem[at..end) what belongs to the frame; returns the offset behind that. */
  protected readContent(at: number, end: number): number {
    const n = Math.min(this.#left, end - at);
    if (n > 0) {
      this.#left -= n;
      this.#feed(at, at + n);
      if (this.closed) return end;
    }
    if (this.#left > 0) return at + n;
    const padding = Math.min(this.#padding, end - at - n);
    this.#padding -= padding;
    if (this.#padding > 0) return at + n + padding;
    this.inData = false;
    // Its own content may have closed it.
    const ended = this.#content;
    this.#content = null;
    if (this.#ends && ended !== null) {
      ended.remoteEnded = true;
      ended.onRemoteEnd();
    }
    return at + n + padding;
  }

  #feed(start: number, end: number): void {
    const stream = this.#content;
    if (stream === null) {
      this.#usedOfConnection(end - start);
      return;
    }
    if (this.#fed !== stream) {
      this.endFeeding();
      this.#fed = stream;
      this.#fedBytes = 0;
    }
    this.#fedBytes += end - start;
    stream.onContent(start, end);
    if (this.#fedBytes >= FLUSH_BYTES) this.endFeeding();
  }

  /** The peer may send no content at all: what it sent waits here, in whatever streams. */
  get starved(): boolean {
    return this.#credit === 0;
  }

  /** Content of `stream` may be here already, and goes on with what began it. */
  protected expectContent(stream: Stream): void {
    if (this.closed || stream.closed) return;
    this.#fed = stream;
    this.#fedBytes = 0;
  }

  /** What was given of content is sent on. */
  protected endFeeding(): void {
    const fed = this.#fed;
    this.#fed = null;
    fed?.onFed();
  }

  protected onStreamClosed(stream: Stream, held: number): void {
    if (this.#content === stream) this.#content = null;
    if (this.#fed === stream) this.#fed = null;
    if (held > 0) this.#usedOfConnection(held - this.#takeBack(stream, held));
    this.#shrink(stream);
  }

  /**
   * `bytes` that came for `stream` wait for the other side. They are no longer counted in the connection's window,
   * which others share who take what comes for them: what may wait is bounded by the windows of streams, by how far
   * these have grown together, and, of what clients send, by what all of them have waiting (Lending).
   */
  waits(stream: Stream, bytes: number): void {
    if (this.closed || bytes === 0) return;
    if (this.#lending?.take(this.#lent, bytes) === false) {
      if (!this.#full) countLimit(this.core.cells, 'HTTP2_HELD_BYTES');
      this.#full = true;
      return;
    }
    this.#full = false;
    this.#lent += bytes;
    stream.lent += bytes;
    this.#usedOfConnection(bytes);
  }

  /** Of `bytes` that waited and do no longer, those that the connection's window did not count. */
  #takeBack(stream: Stream, bytes: number): number {
    const back = Math.min(stream.lent, bytes);
    stream.lent -= back;
    this.#lent -= back;
    this.#lending?.give(back);
    return back;
  }

  protected override shut(): void {
    super.shut();
    this.#lending?.give(this.#lent);
    this.#lent = 0;
  }

  /** Its window is nobody's any more. */
  #shrink(stream: Stream): void {
    if (!stream.closed || stream.lent > 0) return;
    this.#grown -= stream.grant - LIMITS.HTTP2_STREAM_WINDOW_BYTES;
    stream.grant = LIMITS.HTTP2_STREAM_WINDOW_BYTES;
  }

  /** `bytes` of the content that came for `stream` were used: so many more may come. */
  usedContent(stream: Stream, bytes: number): void {
    if (!this.closed && bytes > 0) this.#usedOf(stream, bytes);
  }

  #usedOf(stream: Stream | null, bytes: number): void {
    this.#usedOfConnection(stream === null ? bytes : bytes - this.#takeBack(stream, bytes));
    if (stream === null) return;
    if (stream.closed) this.#shrink(stream);
    if (stream.remoteEnded || stream.closed) return;
    stream.used += bytes;
    if (stream.used < stream.grant >> 1) return;
    let more = stream.used;
    // Nothing waits here: with a larger window the peer need not wait for us (docs/adr/0025-http2.md).
    if (stream.held === 0 && this.#mayGrow(stream.grant)) {
      more += stream.grant;
      this.#grown += stream.grant;
      stream.grant *= 2;
    }
    stream.used = 0;
    stream.credit += more;
    this.out.windowUpdate(stream.id, more);
  }

  #mayGrow(window: number): boolean {
    return window < LIMITS.HTTP2_STREAM_WINDOW_MAX_BYTES && this.#grown + window <= LIMITS.HTTP2_GROWN_WINDOWS_BYTES;
  }

  #usedOfConnection(bytes: number): void {
    this.#used += bytes;
    if (this.#used < LIMITS.HTTP2_CONNECTION_WINDOW_BYTES >> 1) return;
    this.#credit += this.#used;
    this.out.windowUpdate(0, this.#used);
    this.#used = 0;
  }
}

// A stream (RFC 9113 section 5), on either side of the proxy: its two windows, and what waits in each direction. What
// comes is used at once or waits here until its user takes it, and only what was used is granted anew; what goes waits
// here, not in the connection, when a window is empty or the connection is full, so that streams share it in turns.

import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import { ChunkQueue } from '../transport/queue.ts';
import { URGENCY } from './priority.ts';

export abstract class Stream {
  readonly #io: Io;
  id = 0;
  /** It is over for the connection: nothing of it is sent or taken any more. */
  closed = true;
  /** When it was opened (monotonic ms). */
  openedMs = 0;
  /** It is among those that metrics count as open. */
  counted = false;
  /** The peer's END_STREAM came, and ours went out. */
  remoteEnded = false;
  localEnded = false;

  // ---- what comes
  /**
   * Bytes that the peer may still send, how many it may have on their way at once, and how many it is to be told of.
   */
  credit = 0;
  grant = 0;
  used = 0;
  /** Of what waits here, bytes that the connection's window counts no longer (Content.waits). */
  lent = 0;
  /** Content that nobody took yet; null until that first happens. */
  input: ChunkQueue | null = null;

  // ---- what goes
  /** Bytes that may be sent; below zero when the peer made its windows smaller (section 6.9.2). */
  window = 0;
  /** Content that waits for a window, or for the connection. */
  output: ChunkQueue | null = null;
  /** END_STREAM follows what waits, */
  ending = false;
  /** and before it the trailer section of these lines, in a block of the arena; -1 for none. */
  trailersAt = -1;
  trailersEnd = 0;
  /** Bytes of content that were framed, and that never will be. */
  framed = 0;
  dropped = 0;
  /** The head of its last frame, while that is still gathered in this batch of the sender. */
  frameAt = 0;
  frameBatch = -1;
  // ---- the sender's ring of those that can go on, and how soon (priority.ts)
  urgency = URGENCY;
  incremental = true;
  ready = false;
  nextReady: Stream | null = null;
  previousReady: Stream | null = null;

  constructor(io: Io) {
    this.#io = io;
  }

  /** Begins a stream of this number, with the windows that both sides begin with. */
  protected openStream(id: number, window: number): void {
    this.id = id;
    this.openedMs = this.#io.nowMs;
    this.closed = false;
    this.remoteEnded = false;
    this.localEnded = false;
    this.credit = LIMITS.HTTP2_STREAM_WINDOW_BYTES;
    this.grant = LIMITS.HTTP2_STREAM_WINDOW_BYTES;
    this.used = 0;
    this.lent = 0;
    this.window = window;
    this.ending = false;
    this.framed = 0;
    this.dropped = 0;
    this.frameBatch = -1;
    this.urgency = URGENCY;
    this.incremental = true;
  }

  /** Bytes that wait to be sent. */
  get waiting(): number {
    return this.output === null ? 0 : this.output.bytes;
  }

  /** Bytes that came and were not taken. */
  get held(): number {
    return this.input === null ? 0 : this.input.bytes;
  }

  /** Content waits to be sent; false when it is more than may wait, or there is no memory. */
  wait(start: number, end: number): boolean {
    this.output ??= new ChunkQueue(this.#io);
    return this.output.push(start, end);
  }

  /** Content that came waits: its window bounds it. Returns the bytes that do not, since there is no memory. */
  hold(start: number, end: number): number {
    this.input ??= new ChunkQueue(this.#io, LIMITS.HTTP2_STREAM_WINDOW_MAX_BYTES);
    const before = this.input.bytes;
    return this.input.push(start, end) ? 0 : end - start - (this.input.bytes - before);
  }

  /** Forgets what waits in both directions; returns the bytes that came and that nobody will take. */
  forget(): number {
    const held = this.held;
    this.dropped += this.waiting;
    this.input?.clear();
    this.output?.clear();
    if (this.trailersAt !== -1) this.#io.free(this.trailersAt);
    this.trailersAt = -1;
    this.ending = false;
    return held;
  }

  /** Content came, mem[start..end): to be used (also where nobody wants it), or held. */
  abstract onContent(start: number, end: number): void;
  /** A frame of content came that carries none, and no end. */
  onEmpty(): void {}
  /** No more of it comes for now: what was used is to be sent on. */
  abstract onFed(): void;
  /** The peer has ended its direction, without trailers. */
  abstract onRemoteEnd(): void;
  /** The peer has reset it, with this CODE. The stream is closed. */
  abstract onReset(code: number): void;
  /** All that waited to be sent was framed. */
  abstract onSent(): void;
  /** It had asked for that: Life.again. */
  abstract onAgain(): void;
  /** The connection is gone, and the stream with it. */
  abstract onGone(): void;
}

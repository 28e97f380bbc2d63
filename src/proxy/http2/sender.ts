// What a connection sends: frames gathered in a block until the end of the turn, so that the responses of one turn are
// one write; content within both windows (RFC 9113 section 5.2), and what waits for them stream by stream in turns, one
// frame each.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import { http2Cell, type TlsSide } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import type { Transport } from '../transport/transport.ts';
import {
  CODE,
  FIRST_WINDOW,
  FLAG,
  FRAME_HEAD,
  FRAME_PAYLOAD,
  GOAWAY_FRAME,
  MOST,
  PING_FRAME,
  putFrameHead,
  putGoaway,
  putPing,
  putSettings,
  putWordFrame,
  settingsFrame,
  TYPE,
  WORD_FRAME,
} from './frames.ts';
import { isIncremental, urgencyOf } from './priority.ts';
import { Ring } from './ring.ts';
import type { Stream } from './stream.ts';
import type { Turns } from './turns.ts';

/** What the sender tells its connection. */
export interface SenderOwner {
  /** Encodes the trailer lines mem[start..end) at `at`; returns the offset behind them, -1 when none may go on. */
  putTrailers(at: number, start: number, end: number): number;
  /** Bytes that they may take. */
  trailersBound(start: number, end: number): number;
  /** END_STREAM of this stream was framed. */
  onLocalEnd(stream: Stream): void;
  /** The socket is full: `onDrained` of the transport tells when it is not. */
  onCongested(): void;
}

export class Sender {
  readonly #core: Core;
  readonly #mem: Uint8Array;
  readonly #turns: Turns;
  readonly #transport: Transport;
  readonly #owner: SenderOwner;
  /** The connection's window. */
  window = FIRST_WINDOW;
  /** Frames of content that went out, and that whoever bounds what the peer may say in return has not counted yet. */
  contentFrames = 0;
  /** Most content of one frame. */
  frameBytes = FRAME_PAYLOAD;

  // ---- what is gathered: mem[#block, #used), in a block up to #end; -1 for none
  #block = -1;
  #used = 0;
  #end = 0;
  /** Counts what was gathered and sent. */
  #batch = 0;
  /** It is among those that send at the end of the turn. */
  dirty = false;
  /** Whom it sends to. */
  readonly #side: TlsSide;
  #closed = false;

  /** Streams that have content waiting and a window for it. */
  readonly #ring = new Ring();

  constructor(core: Core, turns: Turns, transport: Transport, owner: SenderOwner, side: TlsSide) {
    this.#core = core;
    this.#mem = core.mem;
    this.#turns = turns;
    this.#transport = transport;
    this.#owner = owner;
    this.#side = side;
  }

  // ---- gathering

  /** Offset of room for `n` bytes. */
  #room(n: number): number {
    if (this.#block !== -1) {
      if (n <= this.#end - this.#used) return this.#used;
      this.flush();
    }
    const { io } = this.#core;
    const block = io.alloc(Math.max(n, LIMITS.HTTP2_BATCH_BYTES));
    if (block < 0) return this.#transport.reserve(n);
    if (!this.dirty) {
      this.dirty = true;
      this.#turns.add(this);
    }
    this.#block = block;
    this.#used = block;
    this.#end = block + io.sizeOf(block);
    return block;
  }

  /** What was written at #room ends here. */
  #commit(end: number): void {
    if (this.#block !== -1) {
      this.#used = end;
      return;
    }
    // There was no memory to gather in: it goes by itself.
    this.#transport.commit(end);
    this.#transport.uncork();
    this.#batch++;
  }

  /** Sends what is gathered. */
  flush(): void {
    const block = this.#block;
    if (block === -1) return;
    this.#block = -1;
    this.#batch++;
    if (!this.#closed) this.#transport.write(block, this.#used, 0);
    this.#core.io.free(block);
    if (!this.#closed && this.#transport.congested) this.#owner.onCongested();
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.flush();
    this.#ring.clear();
  }

  // ---- frames of the connection, and the ends of streams

  settings(pairs: readonly (readonly [number, number])[]): void {
    this.#commit(putSettings(this.#mem, this.#room(settingsFrame(pairs.length)), pairs));
  }

  acknowledgeSettings(): void {
    this.#commit(putFrameHead(this.#mem, this.#room(FRAME_HEAD), 0, TYPE.SETTINGS, FLAG.ACK, 0));
  }

  /** A PING with the eight bytes at `from`. */
  ping(flags: number, from: number): void {
    this.#commit(putPing(this.#mem, this.#room(PING_FRAME), flags, from));
  }

  windowUpdate(stream: number, bytes: number): void {
    this.#commit(putWordFrame(this.#mem, this.#room(WORD_FRAME), TYPE.WINDOW_UPDATE, stream, bytes));
  }

  reset(stream: number, code: number): void {
    this.#core.cells.add(http2Cell('resets', this.#side, code), 1);
    this.#commit(putWordFrame(this.#mem, this.#room(WORD_FRAME), TYPE.RST_STREAM, stream, code));
  }

  goaway(lastStream: number, code: number): void {
    this.#core.cells.add(http2Cell('goaways', this.#side, code), 1);
    this.#commit(putGoaway(this.#mem, this.#room(GOAWAY_FRAME), lastStream, code));
  }

  /** mem[start..end) as it stands: the client's preface. */
  raw(start: number, end: number): void {
    this.#commit(move(this.#mem, this.#room(end - start), start, end));
  }

  // ---- heads

  /** Where a field section of at most `bound` bytes is to be encoded; `endHead` follows at once. */
  beginHead(bound: number): number {
    return this.#room(FRAME_HEAD + bound + Math.ceil(bound / FRAME_PAYLOAD) * FRAME_HEAD) + FRAME_HEAD;
  }

  /** The section in mem[at..end) goes out as HEADERS, and CONTINUATION where it is longer than a frame. */
  endHead(stream: Stream, at: number, end: number, endStream: boolean): void {
    const mem = this.#mem;
    const length = end - at;
    const head = at - FRAME_HEAD;
    const flags = endStream ? FLAG.END_STREAM : 0;
    const first = Math.min(length, FRAME_PAYLOAD);
    putFrameHead(mem, head, first, TYPE.HEADERS, first === length ? flags | FLAG.END_HEADERS : flags, stream.id);
    const more = Math.ceil(length / FRAME_PAYLOAD) - 1;
    for (let k = more; k > 0; k--) {
      const from = at + k * FRAME_PAYLOAD;
      const n = Math.min(FRAME_PAYLOAD, end - from);
      const to = from + (k - 1) * FRAME_HEAD;
      move(mem, to + FRAME_HEAD, from, from + n);
      putFrameHead(mem, to, n, TYPE.CONTINUATION, k === more ? FLAG.END_HEADERS : 0, stream.id);
    }
    this.#noteFrame(stream, head);
    this.#commit(end + Math.max(0, more) * FRAME_HEAD);
    if (endStream) this.#ended(stream);
  }

  #noteFrame(stream: Stream, at: number): void {
    stream.frameAt = at;
    stream.frameBatch = this.#batch;
  }

  #ended(stream: Stream): void {
    stream.localEnded = true;
    stream.ending = false;
    this.#owner.onLocalEnd(stream);
  }

  // ---- content

  /** Content of `stream`, as far as it may go now; the rest waits. False when it may not wait either. */
  data(stream: Stream, start: number, end: number): boolean {
    const most = this.frameBytes;
    let at = start;
    if (stream.waiting === 0 && this.#ring.isFirst(stream.urgency)) {
      while (at < end && !this.#transport.congested) {
        const n = Math.min(end - at, stream.window, this.window, most);
        if (n <= 0) break;
        at = this.#frame(stream, at, n);
      }
    }
    if (at === end) return true;
    if (!stream.wait(at, end)) return false;
    if (!stream.ready && stream.window > 0) this.#ring.add(stream);
    return true;
  }

  /** One DATA frame; returns the offset behind its content. */
  #frame(stream: Stream, start: number, n: number): number {
    const mem = this.#mem;
    const at = this.#room(FRAME_HEAD + n);
    const out = move(mem, putFrameHead(mem, at, n, TYPE.DATA, 0, stream.id), start, start + n);
    this.#noteFrame(stream, at);
    this.#commit(out);
    stream.window -= n;
    this.window -= n;
    stream.framed += n;
    // Whoever opens windows byte by byte makes frames of a byte, and nothing else of it.
    if (n >= LIMITS.HTTP2_DRIBBLE_BYTES || (stream.window > 0 && this.window > 0)) this.contentFrames++;
    return start + n;
  }

  /** END_STREAM behind all that was given for `stream`. */
  end(stream: Stream): void {
    if (stream.waiting > 0) {
      stream.ending = true;
      return;
    }
    const mem = this.#mem;
    if (this.#block !== -1 && stream.frameBatch === this.#batch) {
      mem[stream.frameAt + 4] = (mem[stream.frameAt + 4] as number) | FLAG.END_STREAM;
    } else {
      this.#commit(putFrameHead(mem, this.#room(FRAME_HEAD), 0, TYPE.DATA, FLAG.END_STREAM, stream.id));
    }
    this.#ended(stream);
  }

  /** The trailer lines mem[start..end), and END_STREAM; false when they have to wait and there is no memory. */
  trailers(stream: Stream, start: number, end: number): boolean {
    if (stream.waiting === 0) {
      this.#putTrailers(stream, start, end);
      return true;
    }
    const at = this.#core.io.alloc(end - start);
    if (at < 0) return false;
    stream.trailersAt = at;
    stream.trailersEnd = move(this.#mem, at, start, end);
    stream.ending = true;
    return true;
  }

  #putTrailers(stream: Stream, start: number, end: number): void {
    const at = this.beginHead(this.#owner.trailersBound(start, end));
    const to = this.#owner.putTrailers(at, start, end);
    // An empty section ends a stream as well, but browsers take it for a fault.
    if (to < 0) this.end(stream);
    else this.endHead(stream, at, to, true);
  }

  // ---- what waits

  /** `stream` sends no more. */
  forget(stream: Stream): void {
    if (stream.ready) this.#ring.remove(stream);
  }

  /** How urgent it is from now on (priority.ts). */
  prioritize(stream: Stream, priority: number): void {
    const { ready } = stream;
    if (ready) this.#ring.remove(stream);
    stream.urgency = urgencyOf(priority);
    stream.incremental = isIncremental(priority);
    if (ready) this.#ring.add(stream);
  }

  /** The window of `stream` grew by `bytes`, maybe below zero: returns a CODE. */
  widen(stream: Stream, bytes: number): number {
    if (stream.window + bytes > MOST) return CODE.FLOW_CONTROL_ERROR;
    stream.window += bytes;
    if (stream.waiting > 0 && stream.window > 0 && !stream.ready) this.#ring.add(stream);
    else if (stream.ready && stream.window <= 0) this.#ring.remove(stream);
    return CODE.NO_ERROR;
  }

  /**
   * Sends what waits, as far as windows and the socket go, a frame each time: the most urgent first, in turns. True
   * when it had its share of this turn and is to be called in the next.
   */
  pump(): boolean {
    let left: number = LIMITS.BYTES_PER_TURN;
    while (!this.#ring.empty && this.window > 0 && !this.#transport.congested) {
      if (left <= 0) return true;
      const stream = this.#ring.next() as Stream;
      const queue = stream.output as NonNullable<typeof stream.output>;
      const n = Math.min(queue.frontEnd - queue.front, stream.window, this.window, this.frameBytes);
      this.#frame(stream, queue.front, n);
      queue.took(n);
      left -= n;
      if (queue.bytes > 0 && stream.window > 0) {
        this.#ring.hadTurn(stream);
        continue;
      }
      this.#ring.remove(stream);
      if (queue.bytes > 0) continue;
      if (stream.ending) this.#sayEnd(stream);
      stream.onSent();
    }
    return false;
  }

  /** What waited is gone, and the end of the stream is known. */
  #sayEnd(stream: Stream): void {
    const at = stream.trailersAt;
    if (at === -1) {
      this.end(stream);
      return;
    }
    stream.trailersAt = -1;
    this.#putTrailers(stream, at, stream.trailersEnd);
    this.#core.io.free(at);
  }
}

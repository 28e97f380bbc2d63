// A connection of HTTP/2, on either side of the proxy: its streams, what its peer may make of it for nothing, and its
// end. What comes is read by its subclasses: content.ts, session.ts, and server.ts for a client's.

import { LIMITS } from '../../base/limits.ts';
import type { ReadySink } from '../../io/io.ts';
import { READABLE } from '../../io/io.ts';
import { CELL, limitCell, type TlsSide } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import type { Transport } from '../transport/transport.ts';
import { Budget } from './budget.ts';
import { CODE } from './frames.ts';
import { Sender, type SenderOwner } from './sender.ts';
import { PeerSettings } from './settings.ts';
import type { Stream } from './stream.ts';
import { Streams } from './streams.ts';
import type { Turns } from './turns.ts';

const CONTROL_LIMIT = limitCell('HTTP2_CONTROL_FRAMES');
const RESETS_LIMIT = limitCell('HTTP2_RESETS');
const STREAMS: Readonly<Record<TlsSide, number>> = {
  downstream: CELL.HTTP2_STREAMS,
  upstream: CELL.HTTP2_STREAMS + 1,
};

/** Numbers of streams that were reset here, so that what the peer had sent before it knew is no fault. */
const RESET_IDS = 256;
/**
 * What a control frame costs that asks nothing of us, and one that is answered; and, of the budget for resets, a stream
 * beyond what the peer knows it may open.
 */
export const COST = { PLAIN: 1, ANSWERED: 2, EXCESS: 4 } as const;

export abstract class Life implements SenderOwner, ReadySink {
  protected readonly core: Core;
  /** The peer is a server. */
  protected readonly fromServer: boolean;
  protected readonly side: TlsSide;
  readonly transport: Transport;
  readonly out: Sender;
  readonly peer = new PeerSettings();
  protected readonly streams = new Streams();
  /** The highest number of a stream that the peer opened. */
  protected lastPeerId = 0;
  protected closed = false;

  readonly #control: Budget;
  readonly #resets: Budget;
  #resetIds: Int32Array | null = null;
  #resetCount = 0;
  /** Streams that were refused before the peer can have known how many it may open. */
  #early = 0;
  /** All up to this number may have been reset here: those of #resetIds that made room for others, and refused ones. */
  #resetUpTo = 0;
  /** SETTINGS of ours that were not acknowledged yet. */
  protected unacknowledged = 0;
  /** Streams that are asked again in the next turn. */
  #again: Stream[] = [];
  #againAsked = false;

  constructor(core: Core, turns: Turns, transport: Transport, fromServer: boolean) {
    this.core = core;
    this.fromServer = fromServer;
    this.side = fromServer ? 'upstream' : 'downstream';
    this.transport = transport;
    this.out = new Sender(core, turns, transport, this, this.side);
    const { nowMs } = core.io;
    this.#control = new Budget(LIMITS.HTTP2_CONTROL_FRAMES, LIMITS.HTTP2_CONTROL_FRAMES_PER_SECOND, nowMs);
    this.#resets = new Budget(LIMITS.HTTP2_RESETS, LIMITS.HTTP2_RESETS_PER_SECOND, nowMs);
  }

  // ---- roles

  /** Nobody has used the stream of this number yet. */
  protected abstract isIdle(id: number): boolean;
  /** `stream` closed, with so many bytes of content that nobody will take. */
  protected abstract onStreamClosed(stream: Stream, held: number): void;
  /** The last stream closed. */
  protected abstract onIdle(): void;
  /** It is over, whoever ended it; `code` is why, if it was for a fault of the peer's. Streams are gone. */
  protected abstract onOver(code: number): void;
  abstract putTrailers(at: number, start: number, end: number): number;
  abstract trailersBound(start: number, end: number): number;
  abstract onCongested(): void;

  // ---- what the peer may make of it

  /** A frame that leads to nothing by itself. Returns a CODE. */
  protected spend(cost: number): number {
    const { contentFrames } = this.out;
    if (contentFrames > 0) {
      this.out.contentFrames = 0;
      this.#control.earn(contentFrames * LIMITS.HTTP2_CONTROL_FRAMES_PER_CONTENT);
    }
    if (this.#control.spend(this.core.io.nowMs, cost)) return CODE.NO_ERROR;
    this.core.cells.add(CONTROL_LIMIT, 1);
    return CODE.ENHANCE_YOUR_CALM;
  }

  /** The peer has work thrown away: it reset a stream, or made us do so. Returns a CODE. */
  protected spendReset(cost: number): number {
    if (this.#resets.spend(this.core.io.nowMs, cost)) return CODE.NO_ERROR;
    this.core.cells.add(RESETS_LIMIT, 1);
    return CODE.ENHANCE_YOUR_CALM;
  }

  /** A stream came to its end in order. */
  protected earn(): void {
    this.#resets.earn(1);
    this.#control.earn(LIMITS.HTTP2_CONTROL_FRAMES_PER_STREAM);
  }

  // ---- streams

  /** `stream`, which has its number, is open. */
  protected addStream(stream: Stream): void {
    this.streams.add(stream);
    stream.counted = true;
    this.core.cells.add(STREAMS[this.side], 1);
  }

  /**
   * Resets `stream`; `theirs`: for what the peer did, and then its user is told. Returns a CODE: whoever has too many
   * streams reset is told to calm down (CVE-2025-8671).
   */
  resetStream(stream: Stream, code: number, theirs: boolean): number {
    if (this.closed || stream.closed) return CODE.NO_ERROR;
    this.out.reset(stream.id, code);
    if (!stream.remoteEnded) this.#noteReset(stream.id);
    this.closeStream(stream);
    if (!theirs) return CODE.NO_ERROR;
    stream.onReset(code);
    return this.spendReset(1);
  }

  /**
   * A stream is refused that was never opened here: nothing of it was acted on, and it may be sent again (section 8.7).
   * `cost`: of the budget for resets. Returns a CODE.
   */
  protected refuseStream(id: number, cost: number): number {
    this.out.reset(id, CODE.REFUSED_STREAM);
    this.#noteReset(id);
    return cost === 0 ? CODE.NO_ERROR : this.spendReset(cost);
  }

  /** The same beyond what the peer may have open, which it cannot know before it has our SETTINGS (section 5.1.2). */
  protected refuseExcess(id: number): number {
    const early = this.unacknowledged > 0 && this.#early < LIMITS.HTTP2_EARLY_STREAMS;
    if (!early) return this.refuseStream(id, COST.EXCESS);
    this.#early++;
    this.#resetUpTo = id;
    return this.refuseStream(id, 0);
  }

  #noteReset(id: number): void {
    this.#resetIds ??= new Int32Array(RESET_IDS);
    const at = this.#resetCount++ % RESET_IDS;
    // Of what came longer ago nobody can tell any more whether its frames are still on their way.
    this.#resetUpTo = Math.max(this.#resetUpTo, this.#resetIds[at] as number);
    this.#resetIds[at] = id;
  }

  /** It was reset here, not long ago, or may have been. */
  protected wasReset(id: number): boolean {
    return id <= this.#resetUpTo || this.#resetIds?.includes(id) === true;
  }

  /** `stream` is over for the connection. */
  closeStream(stream: Stream): void {
    if (stream.closed) return;
    stream.closed = true;
    this.streams.delete(stream.id);
    if (stream.counted) this.core.cells.add(STREAMS[this.side], -1);
    stream.counted = false;
    this.out.forget(stream);
    const held = stream.forget();
    if (this.closed) return;
    this.onStreamClosed(stream, held);
    if (this.streams.size === 0) this.onIdle();
  }

  onLocalEnd(stream: Stream): void {
    if (!stream.remoteEnded) return;
    this.earn();
    this.closeStream(stream);
  }

  /** `stream` is asked again in the next turn (Stream.onAgain). */
  again(stream: Stream): void {
    this.#again.push(stream);
    this.#askAgain();
  }

  #askAgain(): void {
    if (this.#againAsked) return;
    this.#againAsked = true;
    this.core.io.again(this, READABLE);
  }

  onReady(): void {
    this.#againAsked = false;
    if (this.closed) return;
    const streams = this.#again;
    if (streams.length > 0) {
      this.#again = [];
      for (const stream of streams) stream.onAgain();
    }
    this.pump();
  }

  /** Sends what waits, if it can be sent now. */
  protected pump(): void {
    if (!this.closed && this.out.pump()) this.#askAgain();
  }

  // ---- ends

  /** A fault of the peer's that nothing can go on behind (section 5.4.1). */
  fail(code: number): void {
    if (this.closed) return;
    this.out.goaway(this.lastPeerId, code);
    this.end(code, true);
  }

  /** Ends it in order, once what is gathered is sent. `linger`: the peer may still be sending. */
  protected end(code: number, linger: boolean): void {
    if (this.closed) return;
    this.out.flush();
    this.shut();
    this.transport.finish(linger);
    this.#over(code);
  }

  /** Ends it at once, by a reset. */
  destroy(): void {
    if (this.closed) return;
    this.shut();
    this.transport.abort();
    this.#over(CODE.NO_ERROR);
  }

  protected shut(): void {
    this.closed = true;
    this.out.close();
    this.#again.length = 0;
  }

  #over(code: number): void {
    for (const stream of this.streams.all()) {
      // The end of one may have been that of others.
      if (this.streams.get(stream.id) !== stream) continue;
      this.closeStream(stream);
      stream.onGone();
    }
    this.onOver(code);
  }

  onLost(): void {
    if (this.closed) return;
    this.shut();
    this.#over(CODE.NO_ERROR);
  }

  onHangup(): void {
    this.destroy();
  }

  /** Nobody can be answered by a peer that says nothing more: windows would stay as they are. */
  onEnd(): void {
    if (this.streams.size > 0) this.destroy();
    else this.end(CODE.NO_ERROR, false);
  }

  onDrained(): void {
    this.pump();
  }
}

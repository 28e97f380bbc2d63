// The frames of a connection as they come (RFC 9113 sections 4 to 6): each to its stream, or answered here. Of field
// sections it knows where they stand, not what is in them.

import { bytesOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { http2Cell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { countLimit } from '../counts.ts';
import { framingWork, HEAD_WORK } from '../transport/shared.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import { SectionBlock } from './block.ts';
import { Content } from './content.ts';
import { CODE, FLAG, FRAME_HEAD, FRAME_PAYLOAD, frameLength, MOST, PREFACE, TYPE, word, word31 } from './frames.ts';
import { HPACK } from './hpack/decoder.ts';
import { COST } from './life.ts';
import { parsePriority } from './priority.ts';
import type { Stream } from './stream.ts';
import type { Turns } from './turns.ts';

const PREFACE_BYTES = bytesOf(PREFACE);
/** What our PINGs say. */
const PING_BYTES = bytesOf('rauta  0');

export abstract class Session extends Content implements TransportUser {
  /** GOAWAY came: the peer takes no streams above this. */
  protected goneAbove = MOST;
  #settingsSeen = false;
  /** Bytes of the preface that are still to come. */
  #preface: number;
  readonly #block: SectionBlock;

  /** `fromServer`: the peer is one, and sends no preface. */
  constructor(core: Core, turns: Turns, transport: Transport, fromServer: boolean) {
    super(core, turns, transport, fromServer);
    this.#block = new SectionBlock(core);
    this.#preface = fromServer ? 0 : PREFACE_BYTES.length;
  }

  /** Says what we want of the peer, and widens the connection's window (section 3.4). */
  protected greet(settings: readonly (readonly [number, number])[]): void {
    if (this.fromServer) {
      const { mem, shared } = this.core;
      // In the room in front of what was read, where nothing is kept.
      const at = shared.readAt - PREFACE_BYTES.length;
      mem.set(PREFACE_BYTES, at);
      this.out.raw(at, shared.readAt);
    }
    this.out.settings(settings);
    this.unacknowledged++;
    this.openWindow();
  }

  // ---- roles

  /**
   * A whole field section, of `stream` or, when it is null, of one that is not open; FLAG.END_STREAM among `flags`. It
   * has to be decoded whatever becomes of it: the encoder at the other end goes on from it (RFC 7541 section 2.2).
   * Returns a CODE: of what ends the connection.
   */
  protected abstract onSection(id: number, stream: Stream | null, start: number, end: number, flags: number): number;
  /** The peer's settings changed; they hold from now on. */
  protected abstract onSettings(): void;
  /** All our settings are acknowledged. */
  protected abstract onAcknowledged(): void;
  /** A PING of ours was answered. */
  protected abstract onPong(): void;
  protected abstract onGoaway(code: number): void;
  /** The priority of a stream that is still to be opened. */
  protected abstract onEarlyPriority(id: number, priority: number): void;
  /** A section began and is not whole, or is now. */
  protected abstract onSectionOpen(open: boolean): void;

  /** What a field section that was not decoded costs the connection: a CODE. */
  protected undecoded(decoded: number): number {
    if (decoded === HPACK.MEMORY) {
      countLimit(this.core.cells, 'ARENA_BYTES');
      return CODE.INTERNAL_ERROR;
    }
    if (decoded !== HPACK.FLOOD) return CODE.COMPRESSION_ERROR;
    countLimit(this.core.cells, 'HEAD_BYTES');
    return CODE.ENHANCE_YOUR_CALM;
  }

  // ---- what comes

  onBytes(start: number, end: number): number {
    const { shared } = this.core;
    let at = start;
    if (this.#preface > 0) {
      at = this.#readPreface(start, end);
      if (this.closed) return end;
    }
    while (at < end && !this.closed) {
      if (this.inData) {
        at = this.readContent(at, end);
        continue;
      }
      if (shared.work <= 0) {
        this.transport.yield();
        break;
      }
      const next = this.#readFrame(at, end);
      if (next < 0) break;
      at = next;
    }
    this.endFeeding();
    return this.closed ? end : at;
  }

  #readPreface(start: number, end: number): number {
    const { mem } = this.core;
    let at = start;
    while (at < end && this.#preface > 0) {
      if (mem[at++] !== PREFACE_BYTES[PREFACE_BYTES.length - this.#preface--]) {
        this.fail(CODE.PROTOCOL_ERROR);
        return end;
      }
    }
    return at;
  }

  /** A frame at `at`; returns the offset behind what was read of it, -1 while too little of it is here. */
  #readFrame(at: number, end: number): number {
    if (end - at < FRAME_HEAD) return -1;
    const { mem, shared } = this.core;
    const length = frameLength(mem, at);
    const type = mem[at + 3] as number;
    const flags = mem[at + 4] as number;
    const id = word31(mem, at + 5);
    if (length > FRAME_PAYLOAD) return this.#fault(CODE.FRAME_SIZE_ERROR, end);
    // Section 3.4: SETTINGS comes first; section 6.10: nothing comes between the parts of a field section.
    if (!this.#settingsSeen && (type !== TYPE.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      return this.#fault(CODE.PROTOCOL_ERROR, end);
    }
    if (this.#block.open && (type !== TYPE.CONTINUATION || id !== this.#block.id)) {
      return this.#fault(CODE.PROTOCOL_ERROR, end);
    }
    if (type === TYPE.DATA) {
      if ((flags & FLAG.PADDED) !== 0 && length > 0 && end - at === FRAME_HEAD) return -1;
      shared.work -= 1;
      const from = this.beginData(at, length, flags, id);
      return from < 0 ? this.#fault(-from, end) : from;
    }
    const from = at + FRAME_HEAD;
    const to = from + length;
    if (to > end) return -1;
    shared.work -= framingWork(length);
    const code = this.#onFrame(type, flags, id, from, to);
    return code === CODE.NO_ERROR ? to : this.#fault(code, end);
  }

  #fault(code: number, end: number): number {
    this.fail(code);
    return end;
  }

  #onFrame(type: number, flags: number, id: number, from: number, to: number): number {
    switch (type) {
      case TYPE.HEADERS:
        return this.#onHeaders(flags, id, from, to);
      case TYPE.CONTINUATION:
        return this.#onContinuation(flags, from, to);
      case TYPE.PRIORITY:
        return this.#onPriority(id, from, to);
      case TYPE.RST_STREAM:
        return this.#onReset(id, from, to);
      case TYPE.SETTINGS:
        return this.#onSettings(flags, id, from, to);
      case TYPE.PUSH_PROMISE:
        // Clients do not push, and servers were told not to (section 6.6).
        return CODE.PROTOCOL_ERROR;
      case TYPE.PING:
        return this.#onPing(flags, id, from, to);
      case TYPE.GOAWAY:
        return this.#onGoawayFrame(id, from, to);
      case TYPE.WINDOW_UPDATE:
        return this.#onWindowUpdate(id, from, to);
      case TYPE.PRIORITY_UPDATE:
        return this.#onPriorityUpdate(id, from, to);
      default:
        // Section 5.5: what is not known is ignored.
        return this.spend(COST.PLAIN);
    }
  }

  // ---- field sections

  #onHeaders(flags: number, id: number, from: number, to: number): number {
    const { mem } = this.core;
    if (id === 0) return CODE.PROTOCOL_ERROR;
    let start = from;
    let end = to;
    if ((flags & FLAG.PADDED) !== 0) {
      if (start === end) return CODE.FRAME_SIZE_ERROR;
      end -= mem[start++] as number;
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (to - start < 5) return CODE.FRAME_SIZE_ERROR;
      // A stream that depends on itself: RFC 7540 section 5.3.1, which others still hold us to.
      if (word31(mem, start) === id) return CODE.PROTOCOL_ERROR;
      start += 5;
    }
    if (start > end) return CODE.PROTOCOL_ERROR;
    if ((flags & FLAG.END_HEADERS) !== 0) return this.#section(id, start, end, flags);
    this.onSectionOpen(true);
    return this.#block.begin(id, flags, start, end);
  }

  #onContinuation(flags: number, from: number, to: number): number {
    const block = this.#block;
    if (!block.open) return CODE.PROTOCOL_ERROR;
    const added = block.add(from, to);
    if (added !== CODE.NO_ERROR || (flags & FLAG.END_HEADERS) === 0) return added;
    this.onSectionOpen(false);
    const at = block.close();
    const code = this.#section(block.id, at, block.end, block.flags);
    this.core.io.free(at);
    return code;
  }

  #section(id: number, start: number, end: number, flags: number): number {
    this.endFeeding();
    return this.onSection(id, this.streams.get(id) ?? null, start, end, flags);
  }

  // ---- streams

  /** RFC 9113 took its meaning away (section 5.3.2): it is read, and that is all. */
  #onPriority(id: number, from: number, to: number): number {
    if (id === 0) return CODE.PROTOCOL_ERROR;
    const selfish = to - from === 5 && word31(this.core.mem, from) === id;
    if (to - from === 5 && !selfish) return this.spend(COST.PLAIN);
    const code = selfish ? CODE.PROTOCOL_ERROR : CODE.FRAME_SIZE_ERROR;
    const stream = this.streams.get(id);
    return stream === undefined ? code : this.resetStream(stream, code, true);
  }

  /** RFC 9218 section 7.1: of a stream, by a frame of the connection, and of clients only. */
  #onPriorityUpdate(id: number, from: number, to: number): number {
    if (id !== 0 || this.fromServer) return CODE.PROTOCOL_ERROR;
    if (to - from < 4) return CODE.FRAME_SIZE_ERROR;
    const of = word31(this.core.mem, from);
    // Streams of even numbers would be pushed ones.
    if ((of & 1) === 0) return CODE.PROTOCOL_ERROR;
    const stream = this.streams.get(of);
    const priority = parsePriority(this.core.mem, from + 4, to);
    if (stream !== undefined) this.out.prioritize(stream, priority);
    else if (this.isIdle(of)) this.onEarlyPriority(of, priority);
    return this.spend(COST.PLAIN);
  }

  #onReset(id: number, from: number, to: number): number {
    if (to - from !== 4) return CODE.FRAME_SIZE_ERROR;
    if (id === 0 || this.isIdle(id)) return CODE.PROTOCOL_ERROR;
    const stream = this.streams.get(id);
    if (stream === undefined) return this.spend(COST.PLAIN);
    const code = word(this.core.mem, from);
    this.core.cells.add(http2Cell('resets', this.side, code), 1);
    this.closeStream(stream);
    stream.onReset(code);
    // An exchange that is thrown away takes a connection to a backend with it.
    this.core.shared.work -= HEAD_WORK;
    const rapid = this.core.io.nowMs - stream.openedMs < LIMITS.HTTP2_RAPID_MS;
    return rapid ? this.spendReset(1) : CODE.NO_ERROR;
  }

  // ---- the connection

  #onSettings(flags: number, id: number, from: number, to: number): number {
    const length = to - from;
    if (id !== 0) return CODE.PROTOCOL_ERROR;
    if ((flags & FLAG.ACK) !== 0) return this.#onSettingsAck(length);
    if (length % 6 !== 0) return CODE.FRAME_SIZE_ERROR;
    const before = this.peer.initialWindow;
    const code = this.peer.read(this.core.mem, from, to, this.fromServer);
    if (code !== CODE.NO_ERROR) return code;
    const change = this.peer.initialWindow - before;
    if (change !== 0) {
      for (const stream of this.streams.all()) {
        if (this.out.widen(stream, change) !== CODE.NO_ERROR) return CODE.FLOW_CONTROL_ERROR;
      }
    }
    this.#settingsSeen = true;
    this.onSettings();
    this.out.acknowledgeSettings();
    if (change > 0) this.pump();
    return this.spend(COST.ANSWERED + (length >> 3));
  }

  #onSettingsAck(length: number): number {
    if (length !== 0) return CODE.FRAME_SIZE_ERROR;
    if (this.unacknowledged > 0 && --this.unacknowledged === 0) this.onAcknowledged();
    return this.spend(COST.PLAIN);
  }

  #onPing(flags: number, id: number, from: number, to: number): number {
    if (id !== 0) return CODE.PROTOCOL_ERROR;
    if (to - from !== 8) return CODE.FRAME_SIZE_ERROR;
    if ((flags & FLAG.ACK) !== 0) {
      this.onPong();
      return this.spend(COST.PLAIN);
    }
    this.out.ping(FLAG.ACK, from);
    return this.spend(COST.ANSWERED);
  }

  /** Asks the peer for a sign of life, or for where it is. */
  protected ping(): void {
    const { mem, shared } = this.core;
    // As in `greet`.
    const at = shared.readAt - PING_BYTES.length;
    mem.set(PING_BYTES, at);
    this.out.ping(0, at);
  }

  #onGoawayFrame(id: number, from: number, to: number): number {
    if (id !== 0) return CODE.PROTOCOL_ERROR;
    if (to - from < 8) return CODE.FRAME_SIZE_ERROR;
    this.goneAbove = Math.min(this.goneAbove, word31(this.core.mem, from));
    const code = word(this.core.mem, from + 4);
    this.core.cells.add(http2Cell('goaways', this.side, code), 1);
    this.onGoaway(code);
    return this.spend(COST.PLAIN);
  }

  #onWindowUpdate(id: number, from: number, to: number): number {
    if (to - from !== 4) return CODE.FRAME_SIZE_ERROR;
    const bytes = word31(this.core.mem, from);
    if (id === 0) {
      if (bytes === 0) return CODE.PROTOCOL_ERROR;
      if (this.out.window + bytes > MOST) return CODE.FLOW_CONTROL_ERROR;
      this.out.window += bytes;
    } else {
      if (this.isIdle(id)) return CODE.PROTOCOL_ERROR;
      const stream = this.streams.get(id);
      if (stream === undefined) return this.spend(COST.PLAIN);
      if (bytes === 0) return this.resetStream(stream, CODE.PROTOCOL_ERROR, true);
      if (this.out.widen(stream, bytes) !== CODE.NO_ERROR) {
        return this.resetStream(stream, CODE.FLOW_CONTROL_ERROR, true);
      }
    }
    this.pump();
    return this.spend(COST.PLAIN);
  }

  // ---- ends

  protected override shut(): void {
    super.shut();
    const block = this.#block.close();
    if (block !== -1) this.core.io.free(block);
  }

  onConnected(): void {}
  onRelayed(): void {}
  onPeerClosed(): void {}
}

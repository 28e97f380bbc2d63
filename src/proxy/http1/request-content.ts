// The content of the requests of one connection, from its framing to their exchanges.

import { FAULTS } from '../../base/errors.ts';
import type { Timer } from '../../io/wheel.ts';
import { limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { countLimit } from '../counts.ts';
import type { RequestSide } from '../exchange/sides.ts';
import type { Head } from '../head.ts';
import { framingWork } from '../transport/shared.ts';
import type { Transport } from '../transport/transport.ts';
import { BODY_STATE, BodyReader } from './body.ts';

const PROGRESS_LIMIT = limitCell('BODY_PROGRESS_MS');

/** The connection that the content comes on. */
export interface ContentOwner {
  /** All of it came; the exchange is told next. */
  onContentComplete(): void;
}

export class RequestContent {
  readonly #core: Core;
  readonly #owner: ContentOwner;
  readonly #transport: Transport;
  /** Bounds how long the client may send nothing. */
  readonly #timer: Timer;
  readonly #reader = new BodyReader();

  constructor(core: Core, owner: ContentOwner, transport: Transport, timer: Timer) {
    this.#core = core;
    this.#owner = owner;
    this.#transport = transport;
    this.#timer = timer;
  }

  /** The content that `head` announces comes next. */
  begin(head: Head): void {
    const { io, bodyProgressMs } = this.#core;
    this.#reader.reset(head.body, head.contentLength);
    io.timers.arm(this.#timer, io.nowMs, bodyProgressMs);
  }

  /**
   * The timer is over. Not the client's fault while nobody reads what it sends, nor while it waits for 100 (RFC 9110
   * section 10.1.1).
   */
  late(exchange: RequestSide, awaits100: boolean): void {
    const { io, cells, bodyProgressMs } = this.#core;
    if (!this.#transport.reading || awaits100) {
      io.timers.arm(this.#timer, io.nowMs, bodyProgressMs);
      return;
    }
    cells.add(PROGRESS_LIMIT, 1);
    exchange.noteLimit('BODY_PROGRESS_MS');
    exchange.fail(FAULTS.bodyTimeout);
  }

  /** Reads mem[start..end) for the exchange. Returns up to where it was used. */
  read(exchange: RequestSide, start: number, end: number): number {
    const { io, mem, shared, bodyProgressMs } = this.#core;
    const reader = this.#reader;
    if (!exchange.takesBody) {
      this.#transport.pause();
      return start;
    }
    let at = start;
    for (;;) {
      const state = reader.read(mem, at, end);
      shared.work -= framingWork(reader.next - at - reader.dataBytes);
      at = reader.next;
      switch (state) {
        case BODY_STATE.DATA:
          exchange.requestBody(reader.dataStart, reader.dataEnd);
          if (shared.work > 0 || at === end) break;
          io.timers.arm(this.#timer, io.nowMs, bodyProgressMs);
          if (exchange.flushRequest()) this.#transport.yield();
          else this.#transport.pause();
          return at;
        case BODY_STATE.TRAILERS:
          this.#owner.onContentComplete();
          exchange.requestEnded(reader.trailersStart, reader.trailersEnd);
          return at;
        case BODY_STATE.END:
          this.#owner.onContentComplete();
          exchange.requestEnded(0, 0);
          return at;
        case BODY_STATE.MORE:
          io.timers.arm(this.#timer, io.nowMs, bodyProgressMs);
          if (!exchange.flushRequest()) this.#transport.pause();
          return at;
        default:
          countLimit(this.#core.cells, reader.limit);
          exchange.noteLimit(reader.limit);
          exchange.fail(FAULTS.badRequest);
          return end;
      }
    }
  }
}

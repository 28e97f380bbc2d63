// The controller's process: started, watched, replaced. Traffic goes on without it.

import { LIMITS } from '../base/limits.ts';
import type { Level, Logger } from '../base/log.ts';
import type { ChannelEnd } from '../stream/channel.ts';
import { fromController } from '../stream/checks.ts';
import { type Begin, decodeBegin, decodePut, FRAME, type Frame } from '../stream/frames.ts';
import {
  type FromController,
  NO_RESTARTS,
  PROTOCOL,
  type RestartCause,
  type Restarts,
  type SocketWish,
  type ToController,
} from '../stream/messages.ts';
import { ProtocolError } from '../stream/protocol-error.ts';
import { Backoff } from './backoff.ts';
import type { Incoming } from './revisions.ts';
import type { Child, ChildEnd, System } from './system.ts';

export interface RevisionTaker {
  /** A revision is coming. */
  begun(begin: Begin): void;
  /** Of the one that is coming; null removes it. */
  entry(key: string, value: Buffer | null): void;
  /** It is whole; one that began may never be. */
  commit(revision: Incoming): void;
}

export interface ControllerOwner {
  /** It has started and knows nothing yet. */
  onHello(): void;
  onLogLevel(level: Level): void;
  readonly revisions: RevisionTaker;
  /** What it was asked to read again has been read. */
  onReread(): void;
  /** It cannot go on, for a reason that another one would have too. */
  onFatal(code: number, message: string): void;
  /** It ended by itself and is replaced after a pause. `failures`: how often in a row. */
  onDeath(failures: number, why: string): void;
}

interface Begun {
  readonly revision: number;
  readonly change: Map<string, Buffer | null>;
  sockets: readonly SocketWish[] | null;
}

export class ControllerProcess<Options> {
  readonly #system: System;
  readonly #log: Logger;
  readonly #owner: ControllerOwner;
  readonly #backoff = new Backoff();
  readonly #restarts: Record<RestartCause, number> = { ...NO_RESTARTS };
  #child: Child<ToController<Options>> | null = null;
  #welcomed = false;
  /** The revision it is in the middle of sending. One that it does not end is none. */
  #begun: Begun | null = null;
  #newest = 0;
  #beatMs = 0;
  /** Grows each time it is found standing still: what is merely slow gets done in the end. */
  #patienceMs: number = LIMITS.CONTROLLER_STALL_MS;
  #condemned: RestartCause | null = null;
  #reason: string | null = null;
  /** The program ends: called when it is gone, or has said its last word. */
  #onStopped: (() => void) | null = null;

  constructor(system: System, log: Logger, owner: ControllerOwner) {
    this.#system = system;
    this.#log = log;
    this.#owner = owner;
  }

  get restarts(): Restarts {
    return { ...this.#restarts };
  }

  start(): void {
    if (this.#onStopped !== null) return;
    const now = this.#system.nowMs();
    this.#backoff.started(now);
    this.#beatMs = now;
    this.#begun = null;
    this.#condemned = null;
    this.#reason = null;
    this.#welcomed = false;
    this.#child = this.#system.spawn('controller', {
      onFrame: (frame) => this.#onFrame(frame),
      onEnded: (end) => this.#onEnded(end),
      onExit: (end) => this.#onExit(end),
    });
  }

  /** Only one that has said hello is told anything: whatever it missed is part of its welcome. */
  tell(message: ToController<Options>, fds: readonly number[] = []): void {
    if (this.#welcomed) this.#child?.link.message(message, fds);
  }
  send(frame: Buffer): void {
    if (this.#welcomed) this.#child?.link.send(frame);
  }

  /** The program ends: it writes what is left in the log rings, then `done` is called, after FLUSH_MS at the latest. */
  stop(done: () => void): void {
    let called = false;
    this.#onStopped = (): void => {
      if (called) return;
      called = true;
      this.#child?.kill();
      done();
    };
    if (this.#child === null || !this.#welcomed) {
      this.#onStopped();
      return;
    }
    this.tell({ type: 'stop' });
    this.#system.after(LIMITS.FLUSH_MS, this.#onStopped);
  }

  kill(): void {
    this.#child?.kill();
  }

  /** Kills one that makes no progress. */
  watch(nowMs: number): void {
    const child = this.#child;
    if (child === null || this.#onStopped !== null || nowMs - this.#beatMs <= this.#patienceMs) return;
    this.#log.error('controller makes no progress, killing it', { pid: child.pid, silent_ms: nowMs - this.#beatMs });
    this.#patienceMs = Math.min(LIMITS.CONTROLLER_STALL_MAX_MS, this.#patienceMs * 2);
    this.#beatMs = nowMs;
    this.#condemned ??= 'stalled';
    child.kill();
  }

  /** This process itself stood still for `ms`, which count for nobody. */
  forgive(ms: number): void {
    this.#beatMs += ms;
  }

  #onFrame(frame: Frame): void {
    if (this.#condemned !== null) return;
    this.#beatMs = this.#system.nowMs();
    switch (frame.type) {
      case FRAME.MESSAGE:
        this.#onMessage(fromController(frame.body));
        break;
      case FRAME.BEGIN:
        this.#begin(decodeBegin(frame.body));
        break;
      case FRAME.PUT: {
        const { key, value } = decodePut(frame.body);
        this.#inRevision().change.set(key, value);
        this.#owner.revisions.entry(key, value);
        break;
      }
      case FRAME.DELETE: {
        const key = frame.body.toString();
        this.#inRevision().change.set(key, null);
        this.#owner.revisions.entry(key, null);
        break;
      }
      case FRAME.COMMIT: {
        const begun = this.#inRevision();
        this.#begun = null;
        this.#newest = begun.revision;
        this.#owner.revisions.commit(begun);
        break;
      }
      default:
        throw new ProtocolError(`a frame of type ${frame.type} from a controller`);
    }
  }

  #begin({ revision, base }: Begin): void {
    if (!this.#welcomed || this.#begun !== null || base !== this.#newest || revision <= base)
      throw new ProtocolError(`revision ${revision} does not begin here`);
    this.#begun = { revision, change: new Map(), sockets: null };
    this.#owner.revisions.begun({ revision, base });
  }

  #inRevision(): Begun {
    if (this.#begun === null) throw new ProtocolError('an entry outside a revision');
    return this.#begun;
  }

  #onMessage(message: FromController): void {
    switch (message.type) {
      case 'hello':
        this.#onHello(message.protocol);
        break;
      case 'beat':
        break;
      case 'sockets':
        this.#inRevision().sockets = message.sockets;
        break;
      case 'logLevel':
        this.#owner.onLogLevel(message.level);
        break;
      case 'fatal':
        this.#reason = message.message;
        this.#owner.onFatal(message.code, message.message);
        this.#child?.kill();
        break;
      case 'reread':
        this.#owner.onReread();
        break;
      case 'flushed':
        this.#onStopped?.();
        break;
    }
  }

  #onHello(protocol: number): void {
    if (protocol !== PROTOCOL) {
      this.#reason = `speaks version ${protocol} of the stream, this program ${PROTOCOL}: start the whole anew`;
      this.#child?.kill();
      return;
    }
    if (this.#welcomed) throw new ProtocolError("a second 'hello'");
    this.#welcomed = true;
    this.#owner.onHello();
  }

  /** Without its channel it is of no use, whatever it does. */
  #onEnded({ cause, reason }: ChannelEnd): void {
    // Who said why it cannot go on, and who was told to end, is gone as soon as it is heard.
    const expected = cause !== 'violation' && (this.#reason !== null || this.#onStopped !== null);
    if (cause !== 'closed' && !expected) {
      this.#log.error('the channel to the controller broke, killing it', { pid: this.#child?.pid, cause, reason });
      this.#reason ??= reason;
    }
    this.#condemned ??= cause === 'violation' ? 'violation' : 'exit';
    this.#child?.kill();
  }

  #onExit({ code, signal, failure, hint }: ChildEnd): void {
    const pid = this.#child?.pid;
    this.#child?.link.close();
    this.#child = null;
    this.#welcomed = false;
    this.#begun = null;
    if (this.#onStopped !== null) {
      this.#onStopped();
      return;
    }
    this.#restarts[this.#condemned ?? 'exit']++;
    const guess = (this.#condemned ?? 'exit') === 'exit' ? hint : null;
    const reason = failure ?? guess ?? this.#reason ?? undefined;
    const wait = this.#backoff.died(this.#system.nowMs());
    this.#log.error(failure === null ? 'controller died, traffic goes on' : 'cannot start the controller', {
      pid,
      code,
      signal,
      cause: this.#condemned ?? 'exit',
      reason,
      restart_in_ms: wait,
    });
    this.#system.after(wait, () => this.#child === null && this.start());
    const why = reason ?? (signal === null ? `it ended with ${code}` : `it ended by ${signal}`);
    this.#owner.onDeath(this.#backoff.failures, why);
  }
}

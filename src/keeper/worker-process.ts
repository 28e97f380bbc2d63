// A process that is, or can become, the worker of a slot: what it was told, what it said, and whether it may still say
// anything. It is not believed: its messages are checked, answers must have been asked for, and whoever breaks that is
// killed.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { ChannelEnd } from '../stream/channel.ts';
import { fromWorker } from '../stream/checks.ts';
import { FRAME, type Frame } from '../stream/frames.ts';
import { type FromWorker, PROTOCOL, type RestartCause, type ToWorker } from '../stream/messages.ts';
import { Outbox } from '../stream/outbox.ts';
import { ProtocolError } from '../stream/protocol-error.ts';
import type { Slot } from './slot.ts';
import type { Child, ChildEnd, System } from './system.ts';

export interface WorkerOwner {
  /** It has loaded everything and waits to be told what to do. */
  onLoaded(worker: WorkerProcess): void;
  onAcked(worker: WorkerProcess): void;
  onRefused(worker: WorkerProcess, revision: number, reason: string): void;
  onUnsocketed(worker: WorkerProcess, key: string): void;
  onDrained(worker: WorkerProcess): void;
  onExit(worker: WorkerProcess, end: WorkerEnd): void;
}

export interface WorkerEnd extends ChildEnd {
  readonly cause: RestartCause;
  /** What is known of why. */
  readonly reason: string | null;
}

export class WorkerProcess {
  readonly outbox: Outbox;
  slot: Slot<WorkerProcess> | null = null;
  #loaded = false;
  /** Since when it has had its time to load. */
  #startedMs: number;
  #drained = false;
  readonly #log: Logger;
  readonly #owner: WorkerOwner;
  readonly #child: Child<ToWorker>;
  /** Listening sockets it was given, and those it was asked to let go of. */
  readonly #given = new Set<string>();
  readonly #asked = new Set<string>();
  #draining = false;
  /** Why it is being killed: from then on it says nothing. */
  #condemned: RestartCause | null = null;
  #reason: string | null = null;

  constructor(system: System, log: Logger, owner: WorkerOwner) {
    this.#log = log;
    this.#owner = owner;
    this.#startedMs = system.nowMs();
    this.#child = system.spawn('worker', {
      onFrame: (frame) => this.#onFrame(frame),
      onEnded: (end) => this.#onEnded(end),
      onExit: (end) => this.#onExit(end),
    });
    this.outbox = new Outbox(this.#child.link);
  }

  get pid(): number {
    return this.#child.pid;
  }
  get loaded(): boolean {
    return this.#loaded;
  }
  get drained(): boolean {
    return this.#drained;
  }

  /** Whether at `nowMs` it still has time to load. */
  mayLoad(nowMs: number): boolean {
    return nowMs - this.#startedMs <= LIMITS.CHILD_START_MS;
  }
  /** It has `ms` more. */
  forgive(ms: number): void {
    this.#startedMs += ms;
  }

  say(message: ToWorker, fds: readonly number[] = []): void {
    this.#child.link.message(message, fds);
  }
  send(frames: Buffer): void {
    this.#child.link.send(frames);
  }

  giveSocket(key: string, fd: number): void {
    this.#given.add(key);
    this.say({ type: 'socket', key }, [fd]);
  }

  letGo(key: string): void {
    this.#asked.add(key);
    this.say({ type: 'unsocket', key });
  }

  drain(): void {
    this.#draining = true;
    this.say({ type: 'drain' });
  }

  /** Ends it at once, for a cause of ours or by request. */
  kill(cause: RestartCause = 'exit', reason: string | null = null): void {
    this.#condemned ??= cause;
    this.#reason ??= reason;
    this.#child.kill();
  }

  #onFrame(frame: Frame): void {
    if (this.#condemned !== null) return;
    if (frame.type !== FRAME.MESSAGE) throw new ProtocolError(`a frame of type ${frame.type} from a worker`);
    const message = fromWorker(frame.body);
    if (message.type !== 'hello' && message.type !== 'failed' && this.slot === null)
      throw new ProtocolError(`'${message.type}' from a worker without a slot`);
    this.#onMessage(message);
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'hello':
        this.#onHello(message.protocol);
        break;
      case 'failed':
        if (this.#reason !== null) throw new ProtocolError("a second 'failed'");
        this.#reason = message.reason;
        break;
      case 'ack':
        this.outbox.answered(message.revision, true);
        this.#owner.onAcked(this);
        break;
      case 'nack':
        this.outbox.answered(message.revision, false);
        this.#owner.onRefused(this, message.revision, message.reason);
        break;
      case 'unsocketed':
        this.#onUnsocketed(message.key);
        break;
      case 'drained':
        if (!this.#draining) throw new ProtocolError("'drained' from a worker that was not told to drain");
        this.#drained = true;
        this.kill();
        this.#owner.onDrained(this);
        break;
    }
  }

  #onUnsocketed(key: string): void {
    const held = this.#given.delete(key);
    // While it drains it lets go of what it has by itself.
    if (!this.#asked.delete(key) && !(this.#draining && held))
      throw new ProtocolError('a socket let go of that it was not asked for');
    this.#owner.onUnsocketed(this, key);
  }

  #onHello(protocol: number): void {
    if (protocol !== PROTOCOL) {
      this.kill('exit', `speaks version ${protocol} of the stream, this program ${PROTOCOL}: start the whole anew`);
      return;
    }
    if (this.#loaded) throw new ProtocolError("a second 'hello'");
    this.#loaded = true;
    this.#owner.onLoaded(this);
  }

  /** Without its channel it is of no use, whatever it does. */
  #onEnded({ cause, reason }: ChannelEnd): void {
    if (cause === 'violation') {
      this.#log.error('a worker broke the protocol, killing it', { pid: this.pid, reason });
      this.kill('violation', reason);
    } else this.kill('exit', cause === 'closed' ? null : `its channel failed: ${reason}`);
  }

  #onExit(end: ChildEnd): void {
    this.#child.link.close();
    const cause = this.#condemned ?? 'exit';
    this.#condemned = cause;
    // A channel that failed is what it looks like when somebody is killed.
    const reason = end.failure ?? (cause === 'exit' ? end.hint : null) ?? this.#reason;
    this.#owner.onExit(this, { ...end, cause, reason });
  }
}

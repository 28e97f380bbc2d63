// `--takeover PATH`: a running program gives its listening sockets to the one that is started after it, and leaves when that
// one serves. The sockets are the same open files in both, so what waits in their queues is taken by either; nothing is
// bound anew and nothing is lost. Who may connect to PATH may have the sockets: it is made with mode 0600.

import { unlinkSync } from 'node:fs';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { ERRNO, type Handle, NO_HANDLE, type ReadySink } from '../io/io.ts';
import { errnoName, type NativeIo } from '../native/index.ts';
import { Channel } from '../stream/channel.ts';
import { FRAME, type Frame } from '../stream/frames.ts';
import type { FromPredecessor, FromSuccessor } from '../stream/messages.ts';

const ENOENT = 2;
const PRIVATE = 0o177;

export interface TakeoverOwner {
  /** Every listening socket there is, in the order of the slots. */
  listening(): Iterable<{ readonly address: string; readonly port: number; readonly handles: readonly Handle[] }>;
  onInherited(address: string, port: number, handle: Handle): void;
  /** The successor serves: time to drain and end. */
  onSucceeded(): void;
  /** The successor went away before it served: everything stays as it was. */
  onForsaken(): void;
  /** The predecessor is gone, in order or not. */
  onGone(): void;
}

export class Takeover implements ReadySink {
  readonly #io: NativeIo;
  readonly #log: Logger;
  readonly #path: string;
  readonly #owner: TakeoverOwner;
  #listener: Handle = NO_HANDLE;
  #predecessor: Channel<FromSuccessor> | null = null;
  #successor: Channel<FromPredecessor> | null = null;
  #begin: (() => void) | null = null;

  constructor(io: NativeIo, log: Logger, path: string, owner: TakeoverOwner) {
    this.#io = io;
    this.#log = log;
    this.#path = path;
    this.#owner = owner;
  }

  /** Somebody else still answers for the whole. */
  get hasPredecessor(): boolean {
    return this.#predecessor !== null;
  }
  /** The sockets are also somebody else's. */
  get hasSuccessor(): boolean {
    return this.#successor !== null;
  }

  /** Asks who listens on the path for its sockets; calls `begin` when all are here, at once when nobody does. */
  take(begin: () => void): void {
    const handle = this.#io.connect({ family: 'unix', path: this.#path });
    if (handle < 0) {
      if (handle !== -ENOENT && handle !== -ERRNO.ECONNREFUSED) throw this.#unusable(-handle);
      begin();
      return;
    }
    this.#begin = begin;
    const channel = new Channel<FromSuccessor>(this.#io, handle, {
      onFrame: (frame) => this.#fromPredecessor(channel, frame),
      onClosed: () => this.#lost(),
    });
    this.#predecessor = channel;
    channel.message({ type: 'take' });
    setTimeout(() => {
      if (this.#begin === null) return;
      this.#log.warn('the running program does not hand over, going on without it', { path: this.#path });
      channel.close();
      this.#lost();
    }, LIMITS.TAKEOVER_WAIT_MS);
  }

  /** This program serves: the predecessor may go, the next successor may come. Throws ExitError when the path is unusable. */
  serve(): void {
    if (this.#predecessor === null) {
      this.#listen();
      return;
    }
    this.#predecessor.message({ type: 'ready' });
  }

  /** Nobody can take over any more. */
  close(): void {
    this.#successor?.close();
    this.#successor = null;
    if (this.#listener < 0) return;
    this.#io.close(this.#listener);
    this.#listener = NO_HANDLE;
    remove(this.#path);
  }

  /** Somebody connects. */
  onReady(): void {
    for (;;) {
      const handle = this.#io.accept(this.#listener);
      if (handle < 0) return;
      if (this.#successor !== null) {
        this.#io.close(handle);
        continue;
      }
      const channel = new Channel<FromPredecessor>(this.#io, handle, {
        onFrame: (frame) => this.#fromSuccessor(channel, frame),
        onClosed: () => {
          this.#successor = null;
          if (this.#listener < 0) return;
          this.#log.warn('the successor is gone before it served');
          this.#owner.onForsaken();
        },
      });
      this.#successor = channel;
    }
  }

  #fromSuccessor(channel: Channel<FromPredecessor>, frame: Frame): void {
    const message = messageOf<FromSuccessor>(frame);
    if (message?.type === 'take') {
      let count = 0;
      for (const { address, port, handles } of this.#owner.listening()) {
        for (const handle of handles) {
          channel.message({ type: 'inherit', address, port }, [this.#io.fdOf(handle)]);
          count++;
        }
      }
      channel.message({ type: 'inherited' });
      this.#log.info('a successor takes the listening sockets over', { sockets: count });
    } else if (message?.type === 'ready') {
      // The path is the successor's now; the channel stays, so that it sees when we end.
      this.#io.close(this.#listener);
      this.#listener = NO_HANDLE;
      remove(this.#path);
      channel.message({ type: 'leaving' });
      this.#owner.onSucceeded();
    }
  }

  #fromPredecessor(channel: Channel<FromSuccessor>, frame: Frame): void {
    const message = messageOf<FromPredecessor>(frame);
    if (message?.type === 'inherit') {
      this.#owner.onInherited(message.address, message.port, this.#io.adopt(channel.takeFd()));
    } else if (message?.type === 'inherited') {
      this.#start();
    } else if (message?.type === 'leaving') {
      this.#listen();
    }
  }

  /** The predecessor ended: as it should, or with what it had not yet sent. */
  #lost(): void {
    this.#predecessor = null;
    this.#start();
    this.#owner.onGone();
  }

  #start(): void {
    const begin = this.#begin;
    this.#begin = null;
    begin?.();
  }

  #listen(): void {
    if (this.#listener >= 0) return;
    // Nobody answers there: take() asked, or whoever did is leaving.
    remove(this.#path);
    const mask = process.umask(PRIVATE);
    const handle = this.#io.listen({ family: 'unix', path: this.#path }, { reusePort: false, backlog: 1 });
    process.umask(mask);
    if (handle < 0) throw this.#unusable(-handle);
    this.#listener = handle;
    this.#io.watch(handle, this);
  }

  #unusable(errno: number): ExitError {
    return new ExitError(EXIT.cannotRun, `--takeover ${this.#path}: ${errnoName(errno)}`);
  }
}

function messageOf<T>(frame: Frame): T | null {
  return frame.type === FRAME.MESSAGE ? (JSON.parse(frame.body.toString()) as T) : null;
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is not there: what was wanted.
  }
}

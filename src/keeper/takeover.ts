// `--takeover PATH`: a running program gives its listening sockets to the one that is started after it, and leaves when
// that one serves. The sockets are the same open files in both, so what waits in their queues is taken by either;
// nothing is bound anew and nothing is lost. PATH is made with mode 0600, and each side asks the kernel who is at the
// other end: only the same user and root are believed. Nothing is removed from PATH that is not known to be one's own
// or dead.

import { accessSync, type BigIntStats, constants, lstatSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { ERRNO, type Handle, NO_HANDLE, type ReadySink } from '../io/io.ts';
import { errnoName, isShared, type NativeIo, PORT_TABLE_BYTES, peerCredentials } from '../native/index.ts';
import { Channel, type ChannelEnd } from '../stream/channel.ts';
import { fromPredecessor, fromSuccessor } from '../stream/checks.ts';
import { encodeFrame, FRAME, type Frame } from '../stream/frames.ts';
import { type FromPredecessor, type FromSuccessor, TAKEOVER_PROTOCOL } from '../stream/messages.ts';
import { ProtocolError } from '../stream/protocol-error.ts';
import type { Announcer } from './announcer.ts';
import type { Slots } from './slots.ts';
import type { Sockets } from './sockets.ts';
import type { System } from './system.ts';
import type { Tickets } from './tickets.ts';

const ENOENT = 2;
const PRIVATE = 0o177;
/** unix(7): sun_path, without the NUL at its end. */
const PATH_BYTES = 107;

export interface TakeoverOwner {
  /** All of these are handed on, and taken over. */
  readonly sockets: Pick<Sockets, 'given' | 'inherit' | 'inheritPassed' | 'admit'>;
  readonly tickets: Tickets;
  /** The table of ports of datagrams. */
  readonly ports: Pick<Slots, 'portsFd' | 'inheritPorts'>;
  readonly announcer: Pick<Announcer, 'watchdogUs' | 'inherit'>;
  /** A successor has begun to take over, or is gone before it served. */
  onSuccession(begun: boolean): void;
  /** The successor serves: time to drain and end. */
  onSucceeded(): void;
  /** The predecessor is gone, in order or not. */
  onGone(): void;
  /** The one that runs does not hand over, and goes on running: this program cannot. */
  onRefused(reason: string): void;
}

interface Successor {
  readonly channel: Channel<FromPredecessor>;
  readonly pid: number;
}

export class Takeover implements ReadySink {
  readonly #system: System;
  readonly #io: NativeIo;
  readonly #log: Logger;
  readonly #path: string;
  readonly #owner: TakeoverOwner;
  #listener: Handle = NO_HANDLE;
  /** What stands at the path and is ours to remove: what a dead program left there, then our own socket. */
  #file: BigIntStats | null = null;
  #predecessor: Channel<FromSuccessor> | null = null;
  /** The predecessor was told that we serve. */
  #ready = false;
  #successor: Successor | null = null;
  #begin: (() => void) | null = null;

  /** Of --takeover; null: nobody takes over. */
  static at(path: string | null, system: System, log: Logger, owner: TakeoverOwner): Takeover | null {
    return path === null ? null : new Takeover(system, log, path, owner);
  }

  constructor(system: System, log: Logger, path: string, owner: TakeoverOwner) {
    this.#system = system;
    this.#io = system.io;
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

  /**
   * Asks who listens on the path for its sockets; calls `begin` when all are here, at once when nobody does. Throws
   * ExitError when what is there is not a socket of ours.
   */
  take(begin: () => void): void {
    if (Buffer.byteLength(this.#path) > PATH_BYTES)
      throw this.#unusable(`the path of a socket has at most ${PATH_BYTES} bytes`);
    this.#file = look(this.#path);
    if (this.#file !== null && !this.#file.isSocket())
      throw this.#unusable('there is something there that is no socket, and it stays');
    if (this.#file !== null && !isTrusted(Number(this.#file.uid)))
      throw this.#unusable(`the socket there belongs to user ${this.#file.uid}`);
    const handle = this.#io.connect({ family: 'unix', path: this.#path });
    if (handle < 0) {
      if (handle !== -ENOENT && handle !== -ERRNO.ECONNREFUSED) throw this.#unusable(errnoName(handle));
      this.#mayListen();
      begin();
      return;
    }
    const { uid, pid } = peerCredentials(this.#io, handle);
    if (!isTrusted(uid)) {
      this.#io.close(handle);
      throw this.#unusable(`user ${uid} listens there (pid ${pid})`);
    }
    this.#begin = begin;
    const channel = new Channel<FromSuccessor>(this.#io, handle, {
      onFrame: (frame) => this.#fromPredecessor(channel, frame),
      onEnded: (end) => this.#lost(end),
    });
    this.#predecessor = channel;
    channel.message({ type: 'take', protocol: TAKEOVER_PROTOCOL });
    this.#system.after(LIMITS.TAKEOVER_WAIT_MS, () => {
      if (this.#begin !== null)
        this.#refused(`the program that runs (pid ${pid}) has not handed over within ${LIMITS.TAKEOVER_WAIT_MS} ms`);
    });
  }

  /** Found out before it serves: nobody could take over from it. */
  #mayListen(): void {
    try {
      accessSync(dirname(this.#path), constants.W_OK | constants.X_OK);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      throw this.#unusable(`${code}: no socket can be made in ${dirname(this.#path)}`);
    }
  }

  /** This program serves: the predecessor may go, the next successor may come. */
  serve(): void {
    this.#ready = true;
    if (this.#predecessor === null) this.#listen();
    else this.#predecessor.message({ type: 'ready' });
  }

  /** Nobody can take over any more, and nothing is taken over. */
  close(): void {
    this.#predecessor?.close();
    this.#predecessor = null;
    this.#successor?.channel.close();
    this.#successor = null;
    this.#unlisten();
  }

  /** Whoever could not be accepted at its time (no descriptor was left) is now. */
  onTick(): void {
    if (this.#listener >= 0) this.onReady();
  }

  /** Somebody connects. */
  onReady(): void {
    for (let handle = this.#io.accept(this.#listener); handle >= 0; handle = this.#io.accept(this.#listener))
      this.#meet(handle);
  }

  #meet(handle: Handle): void {
    const { uid, pid } = peerCredentials(this.#io, handle);
    let ours = false;
    const channel = new Channel<FromPredecessor>(
      this.#io,
      handle,
      {
        onFrame: (frame) => this.#fromSuccessor(channel, frame),
        onEnded: (end) => ours && this.#forsaken(end),
      },
      { frameBytes: LIMITS.WORKER_FRAME_BYTES, descriptors: false },
    );
    const other = this.#successor;
    if (!isTrusted(uid)) this.#sendAway(channel, pid, `user ${uid} may not take over from user ${process.geteuid?.()}`);
    else if (other !== null) this.#sendAway(channel, pid, `pid ${other.pid} is taking over already`);
    else {
      ours = true;
      this.#successor = { channel, pid };
    }
  }

  #sendAway(channel: Channel<FromPredecessor>, pid: number, reason: string): void {
    this.#log.warn('somebody who wants to take over is sent away', { pid, reason });
    channel.message({ type: 'refused', reason });
    channel.close();
  }

  #fromSuccessor(channel: Channel<FromPredecessor>, frame: Frame): void {
    const message = fromSuccessor(bodyOf(frame));
    if (message.type === 'take' && message.protocol !== TAKEOVER_PROTOCOL) {
      this.#successor = null;
      const reason = `it speaks version ${message.protocol} of taking over, the one that runs ${TAKEOVER_PROTOCOL}`;
      this.#sendAway(channel, 0, reason);
    } else if (message.type === 'take') this.#handOver(channel);
    else if (this.#listener >= 0) {
      // The path is the successor's now; the channel stays, so that it sees when we end.
      this.#unlisten();
      channel.message({ type: 'leaving' });
      this.#owner.onSucceeded();
    }
  }

  #handOver(channel: Channel<FromPredecessor>): void {
    let count = 0;
    for (const { transport, address, port, handle, passed } of this.#owner.sockets.given()) {
      const fds = [this.#io.fdOf(handle)];
      if (transport === 'udp') channel.message({ type: 'inheritDatagrams', address, port }, fds);
      else channel.message({ type: 'inherit', address, port, ...(passed === undefined ? {} : { passed }) }, fds);
      count++;
    }
    channel.message({ type: 'inheritPorts' }, [this.#owner.ports.portsFd]);
    channel.send(encodeFrame(FRAME.TICKETS, this.#owner.tickets.keys));
    const { watchdogUs } = this.#owner.announcer;
    channel.message({ type: 'inherited', ...(watchdogUs === 0 ? {} : { watchdogUs }) });
    this.#log.info('a successor takes the listening sockets over', { sockets: count });
    this.#owner.onSuccession(true);
  }

  #forsaken({ reason }: ChannelEnd): void {
    this.#successor = null;
    if (this.#listener < 0) return;
    this.#log.warn('the successor is gone before it served', { reason });
    this.#owner.onSuccession(false);
    this.#owner.sockets.admit();
  }

  #fromPredecessor(channel: Channel<FromSuccessor>, frame: Frame): void {
    if (frame.type === FRAME.TICKETS) {
      if (!this.#owner.tickets.adopt(frame.body)) throw new ProtocolError('keys of tickets that are none');
      return;
    }
    const message = fromPredecessor(bodyOf(frame));
    switch (message.type) {
      case 'inherit': {
        const { address, port, passed: name } = message;
        const fd = channel.takeFd();
        const handle = this.#io.adopt(fd);
        // An older program may have told it less.
        this.#io.tuning.listening(fd);
        if (name === undefined) this.#owner.sockets.inherit('tcp', address, port, handle);
        else this.#owner.sockets.inheritPassed({ name, address, port, handle });
        break;
      }
      case 'inheritDatagrams':
        this.#owner.sockets.inherit('udp', message.address, message.port, this.#io.adopt(channel.takeFd()));
        break;
      case 'inheritPorts': {
        const fd = channel.takeFd();
        if (!isShared(fd, PORT_TABLE_BYTES)) throw new ProtocolError('a table of ports that is none');
        this.#owner.ports.inheritPorts(fd);
        break;
      }
      case 'inherited':
        this.#owner.announcer.inherit(message.watchdogUs ?? 0);
        this.#start();
        break;
      case 'refused':
        this.#refused(`the program that runs does not hand over: ${message.reason}`);
        break;
      case 'leaving':
        this.#file = null;
        this.#listen();
        break;
    }
  }

  /** The predecessor ended: as it should, or with what it had not yet sent. */
  #lost({ cause, reason }: ChannelEnd): void {
    if (cause === 'violation' && this.#begin !== null) {
      this.#refused(`what the program that runs sent is not to be understood: ${reason}`);
      return;
    }
    this.#predecessor = null;
    this.#start();
    // It ended between being told that we serve and leaving.
    if (this.#ready) this.#listen();
    this.#owner.onGone();
  }

  #refused(reason: string): void {
    this.#begin = null;
    this.#predecessor?.close();
    this.#predecessor = null;
    this.#file = null;
    this.#owner.onRefused(`--takeover ${this.#path}: ${reason}`);
  }

  #start(): void {
    const begin = this.#begin;
    this.#begin = null;
    begin?.();
  }

  #listen(): void {
    if (this.#listener >= 0) return;
    // What a program left there that is no more: take() asked it, and nobody answers any longer.
    this.#remove();
    const mask = process.umask(PRIVATE);
    const handle = this.#io.listen({ family: 'unix', path: this.#path }, { reusePort: false, backlog: 1 });
    process.umask(mask);
    if (handle < 0) {
      // It serves; only no successor will find it.
      this.#log.error(this.#unusable(errnoName(handle)).message);
      return;
    }
    this.#file = look(this.#path);
    this.#listener = handle;
    this.#io.watch(handle, this);
  }

  #unlisten(): void {
    if (this.#listener < 0) return;
    this.#io.close(this.#listener);
    this.#listener = NO_HANDLE;
    this.#remove();
  }

  /** Removes what stands at the path if it is what is known to be ours to remove. */
  #remove(): void {
    const [ours, now] = [this.#file, look(this.#path)];
    this.#file = null;
    if (ours === null || now === null || ours.ino !== now.ino || ours.dev !== now.dev) return;
    try {
      unlinkSync(this.#path);
    } catch (error) {
      this.#log.warn('cannot remove the socket of --takeover', { path: this.#path, reason: String(error) });
    }
  }

  #unusable(reason: string): ExitError {
    return new ExitError(EXIT.cannotRun, `--takeover ${this.#path}: ${reason}`);
  }
}

function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

function bodyOf(frame: Frame): Buffer {
  if (frame.type !== FRAME.MESSAGE) throw new ProtocolError(`a frame of type ${frame.type}`);
  return frame.body;
}

/** What stands at `path` itself, links not followed; null when nothing does, or it cannot be told. */
function look(path: string): BigIntStats | null {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}

// The keeper: the first process. It owns what must not die with anybody else (listening sockets, counters, log rings, the
// configuration that workers acked) and starts and watches the others. It parses nothing that comes from outside.

import { EXIT } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { STATE_PREFIX } from '../ir/keys.ts';
import { type NativeIo, openNative, Reactor } from '../native/index.ts';
import { decodePut, encodeFrame, encodeJson, encodePut, FRAME, type Frame } from '../stream/frames.ts';
import { type FromController, PROTOCOL, type SocketWish, type ToController } from '../stream/messages.ts';
import { Snapshot } from '../stream/snapshot.ts';
import { Backoff } from './backoff.ts';
import { GiveBack } from './give-back.ts';
import type { Options } from './options.ts';
import { type Child, startChild } from './process.ts';
import { type Slot, Slots, type WorkerProcess } from './slots.ts';
import { type OpenSocket, Sockets } from './sockets.ts';
import { Takeover } from './takeover.ts';

const KEEPER_ARENA_BYTES = 64 * 1024 * 1024;

interface Incoming {
  readonly revision: number;
  readonly change: Map<string, Buffer | null>;
  sockets: readonly SocketWish[] | null;
}

export class Keeper {
  readonly #options: Options;
  readonly #log: Logger;
  readonly #io: NativeIo = openNative({ arenaBytes: KEEPER_ARENA_BYTES });
  readonly #slots: Slots;
  readonly #sockets: Sockets;
  /** What workers are given. */
  readonly #snapshot = new Snapshot();
  /** What only the controller reads back. */
  readonly #state = new Map<string, Buffer>();
  /** The controller's newest revision; the snapshot is behind it while that one is quarantined. */
  #wanted = new Map<string, Buffer>();
  #wantedRevision = 0;
  readonly #giveBack = new GiveBack();
  #quarantined = 0;
  #incoming: Incoming | null = null;
  #deathsOf = { revision: 0, count: 0 };
  #acked = 0;
  /** Sockets no longer wished, closed when every worker has let go of them; null until they are asked to. */
  readonly #closing = new Map<string, { socket: OpenSocket; waiting: Set<WorkerProcess> | null }>();
  readonly #takeover: Takeover | null;

  #controller: Child<ToController<Options>> | null = null;
  readonly #controllerBackoff = new Backoff();
  #phase: 'starting' | 'serving' | 'draining' | 'stopping' = 'starting';
  /** The listening sockets are being let go of: no revision opens one again. */
  #leaving = false;
  /** Drains because a successor serves, not because somebody asked it to stop. */
  #succeeded = false;
  #exitCode: number = EXIT.ok;
  #done: (code: number) => void = () => {};

  constructor(options: Options, log: Logger) {
    this.#options = options;
    this.#log = log;
    const settings = {
      trustedProxies: options.trustedProxies,
      accessLogQuery: options.accessLogQuery,
      user: options.user,
      logLevel: options.logLevel,
      logJson: options.logFormat === 'json',
      drainTimeoutMs: options.drainTimeoutMs,
      clientIdleMs: options.clientIdleMs,
      halfClose: options.halfClose,
    };
    this.#slots = new Slots(this.#io, log, options.workers, settings, {
      onAssigned: (worker) => this.#synchronise(worker),
      onAcked: () => this.#checkAcked(),
      onRefused: (worker, revision, reason) => {
        this.#tell({ type: 'refused', slot: worker.slot?.index ?? -1, revision, reason });
        this.#checkAcked();
      },
      onUnsocketed: (worker, key) => this.#letGo(worker, key),
      onDrained: () => this.#checkDrained(),
      onDeath: (slot, cause) => this.#onDeath(slot, cause),
    });
    this.#sockets = new Sockets(this.#io, log, options.workers);
    this.#takeover =
      options.takeover === null
        ? null
        : new Takeover(this.#io, log, options.takeover, {
            listening: () =>
              [...this.#sockets.open.values()].map(({ wish: { address, port }, handles }) => ({
                address,
                port,
                handles,
              })),
            onInherited: (address, port, handle) => this.#sockets.inherit(address, port, handle),
            onSucceeded: () => this.#succeed(),
            onForsaken: () => this.#sockets.admit(),
            onGone: () => this.#showAdmin(),
          });
  }

  /** Serves until stopped; resolves with the exit code. */
  run(): Promise<number> {
    process.on('SIGTERM', () => this.#stop('SIGTERM'));
    process.on('SIGINT', () => this.#stop('SIGINT'));
    process.on('SIGHUP', () => this.#tell({ type: 'reread' }));
    process.on('SIGUSR1', () => this.#tell({ type: 'reopenLogs' }));
    new Reactor(this.#io).run();
    if (this.#takeover === null) this.#begin();
    else this.#takeover.take(() => this.#begin());
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  #begin(): void {
    this.#startController();
    this.#slots.start();
    setInterval(() => this.#tick(), LIMITS.HEARTBEAT_MS);
  }

  // ---- the controller

  #startController(): void {
    const child = startChild<ToController<Options>>(this.#io, 'controller', {
      onFrame: (frame) => this.#onFrame(frame),
      onClosed: () => {},
    });
    this.#controller = child;
    this.#controllerBackoff.started(this.#io.nowMs);
    const onExit = (code: number | null, signal: string | null): void => {
      child.channel.close();
      if (this.#controller === child) this.#controller = null;
      this.#incoming = null;
      if (this.#phase === 'stopping') {
        this.#finish();
        return;
      }
      if (this.#adminHidden && !this.#takeover?.hasPredecessor) {
        this.#startController();
        return;
      }
      const wait = this.#controllerBackoff.died(this.#io.nowMs);
      this.#log.error('controller died, traffic goes on', {
        pid: child.process.pid,
        code,
        signal,
        restart_in_ms: wait,
      });
      setTimeout(() => this.#phase !== 'stopping' && this.#startController(), wait);
    };
    child.process.on('exit', onExit);
    child.process.on('error', (error) => {
      this.#log.error('cannot start the controller', { reason: error.message });
      if (child.process.pid === undefined) onExit(null, null);
    });
  }

  #tell(message: ToController<Options>, fds: readonly number[] = []): void {
    this.#controller?.channel.message(message, fds);
  }

  #onFrame(frame: Frame): void {
    switch (frame.type) {
      case FRAME.MESSAGE:
        this.#onMessage(JSON.parse(frame.body.toString()) as FromController);
        break;
      case FRAME.BEGIN:
        this.#incoming = {
          revision: (JSON.parse(frame.body.toString()) as { revision: number }).revision,
          change: new Map(),
          sockets: null,
        };
        break;
      case FRAME.PUT: {
        const { key, value } = decodePut(frame.body);
        this.#incoming?.change.set(key, value);
        break;
      }
      case FRAME.DELETE:
        this.#incoming?.change.set(frame.body.toString(), null);
        break;
      case FRAME.COMMIT:
        if (this.#incoming !== null) this.#commit(this.#incoming);
        this.#incoming = null;
        break;
    }
  }

  #onMessage(message: FromController): void {
    switch (message.type) {
      case 'hello':
        if (message.protocol === PROTOCOL) this.#welcome();
        else {
          this.#log.error('a controller of another version, killing it: replace the whole program', {
            protocol: message.protocol,
            expected: PROTOCOL,
          });
          this.#controller?.process.kill('SIGKILL');
        }
        break;
      case 'sockets':
        if (this.#incoming !== null) this.#incoming.sockets = message.sockets;
        break;
      case 'logLevel':
        this.#log.level = message.level;
        for (const worker of this.#slots.workers) this.#slots.say(worker, message);
        break;
      case 'fatal':
        this.#log.error(message.message);
        this.#exitCode = message.code;
        this.#slots.kill();
        this.#shutDown();
        break;
      case 'flushed':
        if (this.#phase === 'stopping') this.#finish();
        break;
      case 'retired':
        this.#controller?.process.kill('SIGKILL');
        break;
    }
  }

  /** The controller has no admin server, since its port is still the predecessor's. */
  #adminHidden = false;

  /** The predecessor is gone: a controller that is started now can have its ports. */
  #showAdmin(): void {
    if (this.#adminHidden && this.#controller !== null) this.#tell({ type: 'retire' });
  }

  /** Gives a controller that just started everything that outlived the one before. */
  #welcome(): void {
    this.#adminHidden = this.#takeover?.hasPredecessor === true;
    const options = this.#adminHidden ? { ...this.#options, admin: null, requests: null } : this.#options;
    this.#tell({ type: 'options', options });
    for (const slot of this.#slots.all) this.#tell({ type: 'slot', slot: slot.index }, [slot.cellsFd, slot.ringFd]);
    const channel = this.#controller?.channel;
    for (const [key, value] of [...this.#wanted, ...this.#state]) channel?.send(encodePut(key, value));
    this.#tell({ type: 'welcome', revision: this.#wantedRevision });
    this.#tell({ type: 'sockets', revision: this.#wantedRevision, failed: this.#sockets.failed });
    this.#tellWorkers();
    if (this.#acked > 0) this.#tell({ type: 'acked', revision: this.#acked });
    if (this.#phase === 'draining' && !this.#succeeded) this.#tell({ type: 'draining' });
  }

  // ---- revisions

  #commit({ revision, change, sockets }: Incoming): void {
    const forWorkers = new Map<string, Buffer | null>();
    for (const [key, value] of change) {
      if (!key.startsWith(STATE_PREFIX)) forWorkers.set(key, value);
      else if (value === null) this.#state.delete(key);
      else this.#state.set(key, value);
    }
    for (const [key, value] of forWorkers) {
      if (value === null) this.#wanted.delete(key);
      else this.#wanted.set(key, value);
    }
    this.#wantedRevision = revision;
    if (this.#quarantined !== 0) {
      // The snapshot went back: bring it to where the controller is, and everybody with it.
      this.#quarantined = 0;
      for (const key of this.#snapshot.entries.keys()) if (!this.#wanted.has(key)) forWorkers.set(key, null);
      for (const [key, value] of this.#wanted) forWorkers.set(key, value);
      for (const worker of this.#slots.workers) worker.outbox.behind = true;
    }
    this.#snapshot.commit(revision, forWorkers, this.#io.nowMs);
    this.#giveBack.revised(change.size);

    const { opened, closing } =
      sockets === null || this.#leaving ? { opened: [], closing: [] } : this.#wantSockets(sockets);
    const frames = encodeChange(revision, false, forWorkers);
    for (const worker of this.#slots.workers) {
      if (worker.loaded && worker.outbox.takesChange()) this.#send(worker, frames, opened);
    }
    this.#close(closing);
    this.#catchUp();
    if (sockets !== null) this.#tell({ type: 'sockets', revision, failed: this.#sockets.failed });
    this.#checkAcked();
  }

  #wantSockets(wishes: readonly SocketWish[]): { opened: OpenSocket[]; closing: OpenSocket[] } {
    const again: OpenSocket[] = [];
    for (const { key } of wishes) {
      const left = this.#closing.get(key);
      if (left === undefined) continue;
      this.#closing.delete(key);
      this.#sockets.reopen(left.socket);
      again.push(left.socket);
    }
    const { opened, closing } = this.#sockets.want(wishes);
    return { opened: [...again, ...opened], closing };
  }

  /** Everything from the start, for a worker that is new, fell behind, or refused something. */
  #synchronise(worker: WorkerProcess): void {
    if (this.#wantedRevision === 0) return;
    worker.outbox.behind = false;
    const frames = encodeChange(this.#snapshot.revision, true, this.#snapshot.entries);
    const sockets = [...this.#sockets.open.values()].filter((s) => this.#snapshot.entries.has(s.wish.key));
    this.#send(worker, frames, sockets);
  }

  #catchUp(): void {
    for (const worker of this.#slots.workers)
      if (worker.loaded && worker.outbox.hungry && worker.refused !== this.#snapshot.revision)
        this.#synchronise(worker);
  }

  #send(worker: WorkerProcess, frames: Change, opened: readonly OpenSocket[]): void {
    const channel = worker.child.channel;
    const slot = (worker.slot as Slot).index;
    channel.send(frames.head);
    for (const { wish, handles } of opened)
      this.#slots.say(worker, { type: 'socket', key: wish.key }, [this.#io.fdOf(handles[slot] as number)]);
    for (const part of frames.parts) channel.send(part);
  }

  #checkAcked(): void {
    const serving = this.#slots.workers;
    const least = serving.length === 0 ? 0 : Math.min(...serving.map((w) => w.acked));
    if (least > this.#acked) {
      this.#acked = least;
      if (this.#phase === 'starting') this.#started();
      this.#tell({ type: 'acked', revision: least });
    }
    this.#tellWorkers();
    this.#catchUp();
  }

  #started(): void {
    this.#phase = 'serving';
    if (this.#sockets.open.size === 0 && this.#sockets.failed.length > 0) {
      this.#log.error('no listening socket could be opened, stopping');
      this.#exitCode = EXIT.cannotRun;
      this.#slots.kill();
      this.#shutDown();
      return;
    }
    this.#sockets.disinherit();
    try {
      this.#takeover?.serve();
    } catch (error) {
      // It serves; only no successor will find it.
      this.#log.error(error instanceof Error ? error.message : String(error));
    }
    this.#log.info('serving', { revision: this.#acked, workers: this.#slots.workers.length });
    // Only now: at the start it would take CPU from those who are to serve.
    setTimeout(() => this.#slots.keepSpare(), LIMITS.SPARE_DELAY_MS);
  }

  /**
   * Lets go of `sockets` so that nobody is reset: no handshake begins there any more, those under way end, the workers take
   * what waits, and only then it is closed. Sockets that a successor has too simply become its own.
   */
  #close(sockets: readonly OpenSocket[], then: () => void = () => {}): void {
    for (const socket of sockets) this.#closing.set(socket.wish.key, { socket, waiting: null });
    const ask = (): void => {
      for (const { wish } of sockets) this.#askToLetGo(wish.key);
      then();
    };
    if (this.#takeover?.hasSuccessor || sockets.length === 0) {
      ask();
      return;
    }
    for (const socket of sockets) this.#sockets.hold(socket);
    setTimeout(ask, LIMITS.SOCKET_SETTLE_MS);
  }

  #askToLetGo(key: string): void {
    const closing = this.#closing.get(key);
    // Wished again meanwhile.
    if (closing === undefined || closing.waiting !== null) return;
    closing.waiting = new Set(this.#slots.workers.filter((w) => w.loaded));
    for (const worker of closing.waiting) this.#slots.say(worker, { type: 'unsocket', key });
    this.#closeIfFree(key);
  }

  #letGo(worker: WorkerProcess, key: string): void {
    this.#closing.get(key)?.waiting?.delete(worker);
    this.#closeIfFree(key);
  }

  #closeIfFree(key: string): void {
    const closing = this.#closing.get(key);
    if (closing?.waiting?.size !== 0) return;
    this.#closing.delete(key);
    this.#sockets.close(closing.socket);
  }

  // ---- deaths

  #onDeath(slot: Slot, cause: 'exit' | 'stalled'): void {
    this.#tell({ type: 'restarted', cause });
    const alive = new Set(this.#slots.workers);
    for (const [key, { waiting }] of this.#closing)
      for (const worker of waiting ?? []) if (!alive.has(worker)) this.#letGo(worker, key);
    const now = this.#io.nowMs;
    const blamed = this.#snapshot.blamed(now);
    if (blamed !== null) {
      if (this.#deathsOf.revision !== blamed) this.#deathsOf = { revision: blamed, count: 0 };
      if (++this.#deathsOf.count >= LIMITS.QUARANTINE_DEATHS && blamed > 1) this.#quarantine(blamed);
    }
    this.#log.debug('slot is empty', { worker: slot.index });
    this.#checkAcked();
    setTimeout(() => this.#slots.keepSpare(), LIMITS.SPARE_DELAY_MS);
  }

  #quarantine(revision: number): void {
    const reverted = this.#snapshot.revert();
    if (reverted === null) return;
    this.#quarantined = revision;
    this.#log.error('revision is quarantined: workers died of it, new ones get the one before', { revision });
    this.#tell({ type: 'quarantined', revision });
  }

  #tick(): void {
    const now = this.#io.nowMs;
    this.#slots.watch(now);
    this.#snapshot.forget(now);
    this.#retrySockets(now);
    this.#catchUp();
  }

  #retriedMs = 0;

  #retrySockets(now: number): void {
    if (this.#leaving || this.#sockets.failed.length === 0 || now - this.#retriedMs < LIMITS.SOCKET_RETRY_MS) return;
    this.#retriedMs = now;
    const opened = this.#sockets.retry();
    if (opened.length === 0) return;
    for (const worker of this.#slots.workers) {
      if (!worker.loaded || worker.outbox.behind) continue;
      for (const { wish, handles } of opened)
        this.#slots.say(worker, { type: 'socket', key: wish.key }, [
          this.#io.fdOf(handles[(worker.slot as Slot).index] as number),
        ]);
    }
    this.#tell({ type: 'sockets', revision: this.#wantedRevision, failed: this.#sockets.failed });
  }

  #tellWorkers(): void {
    this.#tell({ type: 'workers', workers: this.#slots.states(), storm: this.#slots.storm(this.#io.nowMs) });
  }

  // ---- the end

  #stop(signal: string): void {
    if (this.#phase === 'stopping' || (this.#phase === 'draining' && !this.#succeeded)) {
      this.#log.warn('stopping at once', { signal });
      this.#slots.kill();
      this.#shutDown();
      return;
    }
    // A signal to one that leaves anyway: it goes on leaving, the next one ends it.
    if (this.#succeeded) {
      this.#succeeded = false;
      return;
    }
    this.#log.info('draining', {
      signal,
      delay_ms: this.#options.drainDelayMs,
      timeout_ms: this.#options.drainTimeoutMs,
    });
    this.#phase = 'draining';
    this.#tell({ type: 'draining' });
    this.#slots.leaveSoon();
    setTimeout(() => this.#phase === 'draining' && this.#drain(), this.#options.drainDelayMs);
  }

  /** The successor serves on the same sockets: to clients, and to whoever asks for readiness, nothing happens. */
  #succeed(): void {
    if (this.#phase !== 'serving') return;
    this.#log.info('handed over, draining', { timeout_ms: this.#options.drainTimeoutMs });
    this.#phase = 'draining';
    this.#succeeded = true;
    this.#drain();
  }

  #drain(): void {
    this.#leaving = true;
    this.#close(this.#sockets.all(), () => {
      this.#slots.drain();
      this.#checkDrained();
    });
    setTimeout(() => {
      if (this.#phase !== 'draining') return;
      this.#log.warn('requests in flight did not end in time');
      this.#slots.kill();
      this.#shutDown();
    }, this.#options.drainTimeoutMs);
  }

  #checkDrained(): void {
    if (this.#phase !== 'draining' || this.#slots.workers.some((w) => !w.drained)) return;
    this.#shutDown();
  }

  /** No worker is left: the controller writes what is still in the log rings, then all ends. */
  #shutDown(): void {
    if (this.#phase === 'stopping') return;
    this.#phase = 'stopping';
    if (!this.#takeover?.hasSuccessor) this.#takeover?.close();
    for (const socket of this.#sockets.all()) this.#sockets.close(socket);
    if (this.#controller === null) this.#finish();
    else {
      this.#tell({ type: 'stop' });
      setTimeout(() => this.#finish(), LIMITS.FLUSH_MS);
    }
  }

  #finish(): void {
    this.#controller?.process.kill('SIGKILL');
    this.#log.info('stopped');
    this.#done(this.#exitCode);
  }
}

/** A revision as it goes to workers: `head`, then sockets, then `parts` up to the commit. */
interface Change {
  readonly head: Buffer;
  readonly parts: readonly Buffer[];
}

function encodeChange(revision: number, full: boolean, change: ReadonlyMap<string, Buffer | null>): Change {
  const parts: Buffer[] = [];
  let batch: Buffer[] = [];
  let size = 0;
  const flush = (): void => {
    if (batch.length > 0) parts.push(Buffer.concat(batch));
    batch = [];
    size = 0;
  };
  for (const [key, value] of change) {
    const frame = value === null ? encodeFrame(FRAME.DELETE, Buffer.from(key)) : encodePut(key, value);
    batch.push(frame);
    size += frame.length;
    if (size >= LIMITS.READ_BYTES) flush();
  }
  batch.push(encodeJson(FRAME.COMMIT, { revision }));
  flush();
  return { head: encodeJson(FRAME.BEGIN, { revision, full }), parts };
}

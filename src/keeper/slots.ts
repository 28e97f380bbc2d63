// Who serves in which slot, when that is replaced, and the spare that waits for somebody to die.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { closeDescriptor, createShared, PORT_TABLE_BYTES } from '../native/index.ts';
import { encodeFrame, FRAME } from '../stream/frames.ts';
import {
  type MemoryMessage,
  NO_RESTARTS,
  type RestartCause,
  type Restarts,
  type WorkerSettings,
  type WorkerState,
} from '../stream/messages.ts';
import { METHOD_TABLE_BYTES } from '../telemetry/grpc-methods.ts';
import { Backoff } from './backoff.ts';
import { Slot } from './slot.ts';
import type { System } from './system.ts';
import type { Tickets } from './tickets.ts';
import { type WorkerEnd, type WorkerOwner, WorkerProcess } from './worker-process.ts';

export interface SlotsOwner {
  /** `worker` took a slot and knows nothing yet: give it the configuration and its sockets. */
  onAssigned(worker: WorkerProcess): void;
  onAcked(worker: WorkerProcess): void;
  onRefused(worker: WorkerProcess, revision: number, reason: string): void;
  onUnsocketed(worker: WorkerProcess, key: string): void;
  /** A worker drained, or died while it should have. */
  onDrained(): void;
  /** A worker of a slot died; it is replaced unless the program is stopping. `why`: what is known of it. */
  onDeath(worker: WorkerProcess, slot: Slot<WorkerProcess>, why: string): void;
}

export class Slots implements WorkerOwner {
  readonly all: readonly Slot<WorkerProcess>[];
  readonly #system: System;
  readonly #log: Logger;
  readonly #settings: WorkerSettings;
  readonly #owner: SlotsOwner;
  readonly #tickets: Tickets;
  #spare: WorkerProcess | null = null;
  readonly #spareBackoff = new Backoff();
  /** There is none because of a storm. */
  #spareOwed = false;
  #stopping = false;
  /** Workers say so in their answers. */
  #leaving = false;
  readonly #restarts: Record<RestartCause, number> = { ...NO_RESTARTS };
  /** Shared memory of all workers: which ports they send datagrams from (native/local-ports.ts). */
  #portsFd = createShared('rauta-ports', PORT_TABLE_BYTES);
  /** Likewise, and the controller's: names of the methods of gRPC that they count (telemetry/grpc-methods.ts). */
  readonly #methodsFd = createShared('rauta-methods', METHOD_TABLE_BYTES);

  /** Throws NativeError when the system has no memory or no descriptors for so many. */
  constructor(
    system: System,
    log: Logger,
    count: number,
    settings: WorkerSettings,
    tickets: Tickets,
    owner: SlotsOwner,
  ) {
    this.#system = system;
    this.#log = log;
    this.#settings = settings;
    this.#tickets = tickets;
    this.#owner = owner;
    this.all = Array.from({ length: count }, (_, i) => new Slot<WorkerProcess>(i));
  }

  start(): void {
    for (const slot of this.all) this.#fill(slot);
  }

  get workers(): WorkerProcess[] {
    return this.all.flatMap((s) => (s.worker === null ? [] : [s.worker]));
  }
  /** Those that can be told something. */
  get loaded(): WorkerProcess[] {
    return this.workers.filter((w) => w.loaded);
  }
  get restarts(): Restarts {
    return { ...this.#restarts };
  }

  /** What of all this a controller reads. */
  give(tell: (message: MemoryMessage, fds: readonly number[]) => void): void {
    tell({ type: 'methods' }, [this.#methodsFd]);
    for (const { index, cellsFd, ringFd } of this.all) tell({ type: 'slot', slot: index }, [cellsFd, ringFd]);
  }

  states(): WorkerState[] {
    return this.all.map(({ index, worker, restarts }) => ({
      slot: index,
      pid: worker?.pid ?? 0,
      state: this.#stateOf(worker),
      revision: worker?.outbox.acked ?? 0,
      restarts,
    }));
  }

  #stateOf(worker: WorkerProcess | null): WorkerState['state'] {
    if (worker === null) return 'down';
    if (!worker.loaded || worker.outbox.acked === 0) return 'starting';
    return this.#stopping ? 'draining' : 'serving';
  }

  storm(nowMs: number): boolean {
    return this.all.some((slot) => slot.backoff.storm(nowMs));
  }

  /** Kills workers that make no progress; makes up for what a storm forbade; gives out new keys of tickets. */
  watch(nowMs: number): void {
    if (this.#tickets.rotate(nowMs)) {
      for (const worker of this.loaded) worker.send(encodeFrame(FRAME.TICKETS, this.#tickets.keys));
    }
    if (this.#spareOwed) this.keepSpare();
    for (const worker of this.#everybody()) {
      const slot = worker.slot;
      const alive = worker.loaded ? slot === null || slot.alive(nowMs) : worker.mayLoad(nowMs);
      if (alive) continue;
      this.#log.error('worker makes no progress, killing it', { worker: slot?.index, pid: worker.pid });
      slot?.seen(nowMs);
      worker.kill('stalled');
    }
  }

  /** This process itself stood still for `ms`, which count for nobody that was not seen to move meanwhile. */
  forgive(ms: number): void {
    for (const slot of this.all) slot.forgive(ms);
    for (const worker of this.#everybody()) worker.forgive(ms);
  }

  #everybody(): readonly WorkerProcess[] {
    return this.#spare === null ? this.workers : [...this.workers, this.#spare];
  }

  /**
   * Starts the one process that waits for somebody to die, if it is not there yet; in a storm, when that has passed.
   */
  keepSpare(): void {
    if (this.#spare !== null || this.#stopping) return;
    const now = this.#system.nowMs();
    this.#spareOwed = this.storm(now);
    if (this.#spareOwed) return;
    this.#spareBackoff.started(now);
    this.#spare = new WorkerProcess(this.#system, this.#log, this);
  }

  /**
   * Workers are going to drain: connections that are kept should move while there is time. Those that replace one are
   * told too.
   */
  leaveSoon(): void {
    this.#leaving = true;
    for (const worker of this.workers) worker.say({ type: 'leaveSoon' });
  }

  drain(): void {
    this.#stopping = true;
    this.#spare?.kill();
    for (const worker of this.workers) worker.drain();
  }

  kill(): void {
    this.#stopping = true;
    this.#spare?.kill();
    for (const worker of this.workers) worker.kill();
  }

  #fill(slot: Slot<WorkerProcess>): void {
    const spare = this.#spare;
    slot.backoff.started(this.#system.nowMs());
    if (spare?.loaded) {
      this.#spare = null;
      this.#assign(spare, slot);
      return;
    }
    const worker = new WorkerProcess(this.#system, this.#log, this);
    worker.slot = slot;
    slot.worker = worker;
  }

  get portsFd(): number {
    return this.#portsFd;
  }

  /** What a predecessor's workers had is taken into account: its table, before there is any worker. */
  inheritPorts(fd: number): void {
    closeDescriptor(this.#portsFd);
    this.#portsFd = fd;
  }

  #assign(worker: WorkerProcess, slot: Slot<WorkerProcess>): void {
    worker.slot = slot;
    slot.worker = worker;
    const now = this.#system.nowMs();
    slot.backoff.started(now);
    slot.seen(now);
    worker.say({ type: 'assign', slot: slot.index, settings: this.#settings }, [
      slot.cellsFd,
      slot.ringFd,
      this.#portsFd,
      this.#methodsFd,
    ]);
    worker.send(encodeFrame(FRAME.TICKETS, this.#tickets.keys));
    if (this.#leaving) worker.say({ type: 'leaveSoon' });
    this.#owner.onAssigned(worker);
  }

  // ---- WorkerOwner

  onLoaded(worker: WorkerProcess): void {
    if (worker === this.#spare) worker.say({ type: 'drop', user: this.#settings.user });
    if (worker.slot !== null) this.#assign(worker, worker.slot);
    else this.#log.debug('a spare worker waits', { pid: worker.pid });
  }
  onAcked(worker: WorkerProcess): void {
    this.#owner.onAcked(worker);
  }
  onRefused(worker: WorkerProcess, revision: number, reason: string): void {
    this.#owner.onRefused(worker, revision, reason);
  }
  onUnsocketed(worker: WorkerProcess, key: string): void {
    this.#owner.onUnsocketed(worker, key);
  }
  onDrained(): void {
    this.#owner.onDrained();
  }

  onExit(worker: WorkerProcess, end: WorkerEnd): void {
    const slot = worker.slot;
    if (worker === this.#spare) this.#onSpareExit(worker, end);
    else if (slot !== null && slot.worker === worker) this.#onSlotExit(worker, slot, end);
  }

  #onSpareExit({ pid }: WorkerProcess, { code, signal, failure, reason }: WorkerEnd): void {
    this.#spare = null;
    if (this.#stopping) return;
    const wait = LIMITS.SPARE_DELAY_MS + this.#spareBackoff.died(this.#system.nowMs());
    const message = failure === null ? 'the spare worker died' : 'cannot start a spare worker';
    this.#log.warn(message, { pid, code, signal, reason: reason ?? undefined, restart_in_ms: wait });
    this.#system.after(wait, () => this.keepSpare());
  }

  #onSlotExit(worker: WorkerProcess, slot: Slot<WorkerProcess>, end: WorkerEnd): void {
    slot.worker = null;
    if (this.#stopping) {
      if (!worker.drained) this.#owner.onDrained();
      return;
    }
    const now = this.#system.nowMs();
    const wait = slot.backoff.died(now);
    slot.restarts++;
    this.#restarts[end.cause]++;
    const { code, signal, cause, reason } = end;
    this.#log.error(end.failure === null ? 'worker died' : 'cannot start a worker', {
      worker: slot.index,
      pid: worker.pid,
      code,
      signal,
      cause,
      reason: reason ?? undefined,
      restart_in_ms: wait,
    });
    if (slot.backoff.storm(now))
      this.#log.error('workers keep dying', { worker: slot.index, deaths: slot.backoff.recent(now) });
    this.#owner.onDeath(worker, slot, describe(end));
    if (wait === 0) this.#refill(slot);
    else this.#system.after(wait, () => this.#refill(slot));
  }

  #refill(slot: Slot<WorkerProcess>): void {
    if (!this.#stopping && slot.worker === null) this.#fill(slot);
  }
}

function describe({ code, signal, reason }: WorkerEnd): string {
  if (reason !== null) return reason;
  return signal === null ? `it ended with ${code}` : `it ended by ${signal}`;
}

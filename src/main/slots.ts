// The worker slots: who serves in each, what it has, when it is replaced. A slot outlives its workers: its listening
// sockets, counters and log ring stay, so that a death loses only what was on the dead worker's own connections.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { createShared, type NativeIo } from '../native/index.ts';
import { FRAME, type Frame } from '../stream/frames.ts';
import { type FromWorker, PROTOCOL, type ToWorker, type WorkerSettings, type WorkerState } from '../stream/messages.ts';
import { Outbox } from '../stream/outbox.ts';
import { CELL } from '../telemetry/layout.ts';
import { ringBytes } from '../telemetry/log-ring.ts';
import { Backoff } from './backoff.ts';
import { type Child, startChild } from './process.ts';
import { CELLS_BYTES, mapSegment } from './segments.ts';

/** A process that is, or can become, the worker of a slot. */
export interface WorkerProcess {
  readonly child: Child<ToWorker>;
  slot: Slot | null;
  loaded: boolean;
  acked: number;
  readonly outbox: Outbox;
  /** The revision it refused last: it is not asked to take that one again. */
  refused: number;
  drained: boolean;
}

export class Slot {
  readonly index: number;
  readonly cellsFd: number;
  readonly ringFd: number;
  readonly cells: Float64Array;
  readonly backoff = new Backoff();
  worker: WorkerProcess | null = null;
  restarts = 0;
  /** The heartbeat last seen, and when it was first seen with that value. */
  beat = 0;
  beatMs = 0;

  constructor(index: number) {
    this.index = index;
    this.cellsFd = createShared(`rauta-cells-${index}`, CELLS_BYTES);
    this.ringFd = createShared(`rauta-log-${index}`, ringBytes(LIMITS.LOG_RING_BYTES));
    this.cells = mapSegment(this.cellsFd, 0);
  }

  /** Whether its worker turned since `nowMs` - HEARTBEAT_STALL_MS. */
  alive(nowMs: number): boolean {
    const beat = this.cells[CELL.TURNS_TOTAL] as number;
    if (beat !== this.beat) {
      this.beat = beat;
      this.beatMs = nowMs;
    }
    return nowMs - this.beatMs <= LIMITS.HEARTBEAT_STALL_MS;
  }
}

export interface SlotsOwner {
  /** `worker` took `slot` and knows nothing yet: give it the configuration and its sockets. */
  onAssigned(worker: WorkerProcess): void;
  onAcked(worker: WorkerProcess, revision: number): void;
  onRefused(worker: WorkerProcess, revision: number, reason: string): void;
  onUnsocketed(worker: WorkerProcess, key: string): void;
  onDrained(): void;
  /** A worker of a slot died; it is replaced unless the program is stopping. */
  onDeath(slot: Slot, cause: 'exit' | 'stalled'): void;
}

export class Slots {
  readonly all: readonly Slot[];
  readonly #io: NativeIo;
  readonly #log: Logger;
  readonly #settings: WorkerSettings;
  readonly #owner: SlotsOwner;
  #spare: WorkerProcess | null = null;
  readonly #spareBackoff = new Backoff();
  /** There is none because of a storm. */
  #spareOwed = false;
  #stopping = false;
  /** Workers say so in their answers. */
  #leaving = false;
  readonly #stalled = new Set<WorkerProcess>();

  constructor(io: NativeIo, log: Logger, count: number, settings: WorkerSettings, owner: SlotsOwner) {
    this.#io = io;
    this.#log = log;
    this.#settings = settings;
    this.#owner = owner;
    this.all = Array.from({ length: count }, (_, i) => new Slot(i));
  }

  start(): void {
    for (const slot of this.all) this.#spawn(slot);
  }

  get workers(): WorkerProcess[] {
    return this.all.flatMap((s) => (s.worker === null ? [] : [s.worker]));
  }

  states(): WorkerState[] {
    return this.all.map((slot) => {
      const w = slot.worker;
      const state =
        w === null ? 'down' : !w.loaded || w.acked === 0 ? 'starting' : this.#stopping ? 'draining' : 'serving';
      return {
        slot: slot.index,
        pid: w?.child.process.pid ?? 0,
        state,
        revision: w?.acked ?? 0,
        restarts: slot.restarts,
      };
    });
  }

  storm(nowMs: number): boolean {
    return this.all.some((slot) => slot.backoff.storm(nowMs));
  }

  /** Kills workers that make no progress; makes up for what a storm forbade. */
  watch(nowMs: number): void {
    if (this.#spareOwed) this.keepSpare();
    for (const slot of this.all) {
      const worker = slot.worker;
      if (worker === null || !worker.loaded || slot.alive(nowMs)) continue;
      this.#log.error('worker makes no progress, killing it', { worker: slot.index, pid: worker.child.process.pid });
      this.#stalled.add(worker);
      slot.beatMs = nowMs;
      worker.child.process.kill('SIGKILL');
    }
  }

  /** Starts the one process that waits for somebody to die, if it is not there yet; in a storm, when that has passed. */
  keepSpare(): void {
    if (this.#spare !== null || this.#stopping) return;
    this.#spareOwed = this.storm(this.#io.nowMs);
    if (!this.#spareOwed) this.#spare = this.#start(null);
  }

  say(worker: WorkerProcess, message: ToWorker, fds: readonly number[] = []): void {
    worker.child.channel.message(message, fds);
  }

  /** Workers are going to drain: connections that are kept should move while there is time. Workers that replace one are told too. */
  leaveSoon(): void {
    this.#leaving = true;
    for (const worker of this.workers) this.say(worker, { type: 'leaveSoon' });
  }

  drain(): void {
    this.#stopping = true;
    this.#spare?.child.process.kill('SIGKILL');
    for (const worker of this.workers) this.say(worker, { type: 'drain' });
  }

  kill(): void {
    this.#stopping = true;
    this.#spare?.child.process.kill('SIGKILL');
    for (const worker of this.workers) worker.child.process.kill('SIGKILL');
  }

  #spawn(slot: Slot): void {
    const spare = this.#spare;
    if (spare?.loaded) {
      this.#spare = null;
      this.#assign(spare, slot);
    } else slot.worker = this.#start(slot);
  }

  #start(slot: Slot | null): WorkerProcess {
    const worker: { -readonly [K in keyof WorkerProcess]: WorkerProcess[K] } = {
      child: null as unknown as Child<ToWorker>,
      slot,
      loaded: false,
      acked: 0,
      outbox: null as unknown as Outbox,
      refused: 0,
      drained: false,
    };
    worker.child = startChild(this.#io, 'worker', {
      onFrame: (frame) => this.#onFrame(worker, frame),
      onClosed: () => {},
    });
    worker.outbox = new Outbox(worker.child.channel);
    worker.child.process.on('exit', (code, signal) => this.#onExit(worker, code, signal));
    worker.child.process.on('error', (error) => {
      this.#log.error('cannot start a worker', { reason: error.message });
      // It never was, so nobody will say that it ended.
      if (worker.child.process.pid === undefined) this.#onExit(worker, null, null);
    });
    (slot?.backoff ?? this.#spareBackoff).started(this.#io.nowMs);
    return worker;
  }

  #onFrame(worker: WorkerProcess, frame: Frame): void {
    if (frame.type !== FRAME.MESSAGE) return;
    const message = JSON.parse(frame.body.toString()) as FromWorker;
    switch (message.type) {
      case 'hello':
        if (message.protocol !== PROTOCOL) {
          this.#log.error('a worker of another version, killing it: replace the whole program', {
            pid: worker.child.process.pid,
            protocol: message.protocol,
            expected: PROTOCOL,
          });
          worker.child.process.kill('SIGKILL');
          break;
        }
        worker.loaded = true;
        if (worker.slot !== null) this.#assign(worker, worker.slot);
        else this.#log.debug('a spare worker waits', { pid: worker.child.process.pid });
        break;
      case 'ack':
        worker.acked = message.revision;
        this.#owner.onAcked(worker, message.revision);
        break;
      case 'nack':
        worker.outbox.behind = true;
        worker.refused = message.revision;
        this.#owner.onRefused(worker, message.revision, message.reason);
        break;
      case 'unsocketed':
        this.#owner.onUnsocketed(worker, message.key);
        break;
      case 'drained':
        worker.drained = true;
        worker.child.process.kill('SIGKILL');
        this.#owner.onDrained();
        break;
    }
  }

  #assign(worker: WorkerProcess, slot: Slot): void {
    worker.slot = slot;
    slot.worker = worker;
    const now = this.#io.nowMs;
    slot.backoff.started(now);
    slot.beatMs = now;
    this.say(worker, { type: 'assign', slot: slot.index, settings: this.#settings }, [slot.cellsFd, slot.ringFd]);
    if (this.#leaving) this.say(worker, { type: 'leaveSoon' });
    this.#owner.onAssigned(worker);
  }

  #onExit(worker: WorkerProcess, code: number | null, signal: string | null): void {
    worker.child.channel.close();
    if (worker === this.#spare) {
      this.#spare = null;
      if (this.#stopping) return;
      const wait = LIMITS.SPARE_DELAY_MS + this.#spareBackoff.died(this.#io.nowMs);
      this.#log.warn('the spare worker died', { pid: worker.child.process.pid, code, signal, restart_in_ms: wait });
      setTimeout(() => this.keepSpare(), wait);
      return;
    }
    const slot = worker.slot;
    if (slot === null || slot.worker !== worker) return;
    slot.worker = null;
    if (this.#stopping) {
      if (!worker.drained) this.#owner.onDrained();
      return;
    }
    const cause = this.#stalled.delete(worker) ? 'stalled' : 'exit';
    const now = this.#io.nowMs;
    const wait = slot.backoff.died(now);
    slot.restarts++;
    this.#log.error('worker died', {
      worker: slot.index,
      pid: worker.child.process.pid,
      code,
      signal,
      cause,
      restart_in_ms: wait,
    });
    if (slot.backoff.storm(now))
      this.#log.error('workers keep dying', { worker: slot.index, deaths: slot.backoff.recent(now) });
    this.#owner.onDeath(slot, cause);
    if (wait === 0) this.#spawn(slot);
    else setTimeout(() => !this.#stopping && slot.worker === null && this.#spawn(slot), wait);
  }
}

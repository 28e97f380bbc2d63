// The keeper: the first process. It owns what must not die with anybody else (listening sockets, counters, log rings,
// the configuration that workers acked) and starts and watches the others. It parses nothing that comes from outside.

import { EXIT } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { encodePut } from '../stream/frames.ts';
import type { ToController } from '../stream/messages.ts';
import { Announcer } from './announcer.ts';
import { ControllerProcess } from './controller-process.ts';
import { Departures } from './departures.ts';
import { Distribution } from './distribution.ts';
import { Grants } from './grants.ts';
import { type KeeperOptions, workerSettings } from './options.ts';
import type { Slot } from './slot.ts';
import { Slots } from './slots.ts';
import { Sockets } from './sockets.ts';
import type { System } from './system.ts';
import { Takeover } from './takeover.ts';
import { Tickets } from './tickets.ts';
import type { WorkerProcess } from './worker-process.ts';

type Phase = 'starting' | 'serving' | 'draining' | 'stopping' | 'stopped';

export class Keeper<Options extends KeeperOptions> {
  readonly #options: Options;
  readonly #system: System;
  readonly #log: Logger;
  readonly #slots: Slots;
  readonly #sockets: Sockets;
  readonly #tickets: Tickets;
  readonly #departures: Departures<WorkerProcess>;
  readonly #distribution: Distribution;
  readonly #controller: ControllerProcess<Options>;
  readonly #takeover: Takeover | null;
  readonly #grants: Grants;
  readonly #announcer: Announcer;
  #phase: Phase = 'starting';
  #draining = false;
  /** Drains because a successor serves, not because somebody asked it to stop. */
  #succeeded = false;
  #crashed = false;
  #exitCode: number = EXIT.ok;
  readonly #done: (code: number, handedOver: boolean) => void;
  #lastTickMs = 0;

  /** `done` is called once. Throws NativeError when the system has not what so many workers need. */
  constructor(options: Options, system: System, log: Logger, done: (code: number, handedOver: boolean) => void) {
    this.#options = options;
    this.#system = system;
    this.#log = log;
    this.#done = done;
    this.#announcer = new Announcer(system, () => this.#distribution.acked);
    this.#sockets = new Sockets(system.io, log, options.workers, system.supervisor.passed);
    this.#tickets = new Tickets(system.nowMs(), options.keysFile, log);
    this.#slots = new Slots(system, log, options.workers, workerSettings(options), this.#tickets, {
      onAssigned: (worker) => this.#onAssigned(worker),
      onAcked: () => this.#onAnswer(),
      onRefused: (worker, revision, reason) => this.#onRefused(worker, revision, reason),
      onUnsocketed: (worker, key) => this.#departures.letGo(worker, key),
      onDrained: () => this.#checkDrained(),
      onDeath: (worker, slot, why) => this.#onDeath(worker, slot, why),
    });
    this.#departures = new Departures(system, this.#sockets, () => this.#slots.loaded);
    const parts = { system, log, options, slots: this.#slots, sockets: this.#sockets, departures: this.#departures };
    this.#distribution = new Distribution(parts, {
      onServed: (revision) => this.#onServed(revision),
      onHeld: (held) => this.#tell({ type: 'held', held }),
      onSockets: () => this.#tellSockets(),
      shared: () => this.#takeover?.hasSuccessor === true,
      succeeds: () => this.#takeover?.hasPredecessor === true,
      onGrant: (grant, fds) => this.#tell(grant, fds),
    });
    this.#controller = new ControllerProcess<Options>(system, log, {
      onHello: () => this.#welcome(),
      onLogLevel: (level) => {
        this.#log.change(level);
        for (const worker of this.#slots.workers) worker.say({ type: 'logLevel', level });
      },
      revisions: this.#distribution,
      onReread: () => this.#announcer.reloaded(),
      onFatal: (code, message) => this.#onFatal(code, message),
      onDeath: (failures, why) => this.#onControllerDeath(failures, why),
    });
    this.#grants = new Grants(system.io, log, options, (grant, fds) => this.#tell(grant, fds));
    this.#takeover = Takeover.at(options.takeover, system, log, {
      ...{ sockets: this.#sockets, tickets: this.#tickets, ports: this.#slots, announcer: this.#announcer },
      onSucceeded: () => this.#succeed(),
      onSuccession: (begun) => this.#tell({ type: 'succession', begun }),
      onGone: () => this.#grants.retry(),
      onRefused: (reason) => this.#fail(EXIT.cannotRun, reason),
    });
  }

  // ---- phases

  /** Serves until stopped. */
  start(): void {
    if (this.#takeover === null) this.#begin();
    else this.#takeover.take(() => this.#begin());
  }

  #begin(): void {
    if (this.#phase !== 'starting') return;
    const problem = this.#tickets.open() ?? this.#grants.open(this.#takeover?.hasPredecessor === true);
    if (problem !== null) return void this.#fail(EXIT.cannotRun, problem);
    this.#controller.start();
    this.#slots.start();
    this.#lastTickMs = this.#system.nowMs();
    this.#system.after(LIMITS.HEARTBEAT_MS, () => this.#tick());
  }

  /** Every worker serves the first revision. */
  #started(): void {
    if (this.#sockets.open.size === 0 && this.#sockets.failed.length > 0) {
      // Whoever holds them may be on its way out: a worker of a keeper that was killed.
      this.#system.after(LIMITS.SOCKET_RETRY_MS, () => this.#startedLate());
      return;
    }
    this.#phase = 'serving';
    this.#sockets.disinherit();
    this.#announcer.serving();
    this.#takeover?.serve();
    this.#log.info('serving', { revision: this.#distribution.acked, workers: this.#slots.workers.length });
    // Only now: at the start it would take CPU from those who are to serve.
    this.#keepSpareLater();
  }

  #startedLate(): void {
    if (this.#phase !== 'starting') return;
    this.#distribution.retrySockets();
    if (this.#sockets.open.size > 0) this.#started();
    else this.#fail(EXIT.cannotRun, 'no listening socket could be opened, stopping');
  }

  reread(): void {
    this.#announcer.reloading();
    this.#grants.reread();
    this.#tell({ type: 'reread' });
  }
  reopenLogs(): void {
    this.#grants.reopenLog();
  }

  /** A signal asks it to stop: in order, then at once. */
  stop(signal: string): void {
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
    const { drainDelayMs, drainTimeoutMs } = this.#options;
    this.#log.info('draining', { signal, delay_ms: drainDelayMs, timeout_ms: drainTimeoutMs });
    this.#phase = 'draining';
    this.#announcer.stopping('draining');
    this.#tell({ type: 'draining' });
    this.#slots.leaveSoon();
    this.#system.after(drainDelayMs, () => this.#phase === 'draining' && this.#drain());
  }

  /** The successor serves on the same sockets: to clients, and to whoever asks for readiness, nothing happens. */
  #succeed(): void {
    if (this.#phase !== 'serving') return;
    this.#log.info('handed over, draining', { timeout_ms: this.#options.drainTimeoutMs });
    this.#phase = 'draining';
    this.#succeeded = true;
    this.#announcer.succeeded();
    this.#drain();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#distribution.leave(() => {
      this.#slots.drain();
      this.#checkDrained();
    });
    const { drainTimeoutMs: requests, tunnelDrainTimeoutMs: tunnels } = this.#options;
    // Workers end what is late. When old tunnels are left, all that others ask a program for is the successor's.
    this.#system.after(requests, () => this.#takeover?.hasSuccessor && this.#grants.retire());
    this.#system.after(Math.max(requests, tunnels) + LIMITS.DRAIN_GRACE_MS, () => {
      if (this.#phase !== 'draining') return;
      this.#log.warn('workers did not end in time');
      this.#slots.kill();
      this.#shutDown();
    });
  }

  #checkDrained(): void {
    if (this.#phase !== 'draining' || this.#slots.workers.some((w) => !w.drained)) return;
    this.#shutDown();
  }

  /** It cannot go on, and never served. */
  #fail(code: number, message: string): void {
    this.#log.error(message);
    this.#announcer.stopping(message);
    this.#exitCode = code;
    this.#slots.kill();
    this.#shutDown();
  }

  /** A bug. What it knows may be wrong: it ends, the others in order; a second one ends everything at once. */
  crash(error: unknown): void {
    this.#log.error('a bug in the keeper, ending', { stack: error instanceof Error ? error.stack : String(error) });
    const again = this.#crashed;
    this.#crashed = true;
    this.#announcer.stopping('a bug in the keeper');
    this.#exitCode = EXIT.bug;
    if (again || this.#phase === 'stopping') {
      this.#finish();
      return;
    }
    this.#phase = 'draining';
    this.#tell({ type: 'draining' });
    this.#drain();
  }

  /** No worker is left: the controller writes what is still in the log rings, then all ends. */
  #shutDown(): void {
    if (this.#phase === 'stopping' || this.#phase === 'stopped') return;
    this.#phase = 'stopping';
    if (!this.#takeover?.hasSuccessor) this.#takeover?.close();
    for (const socket of this.#sockets.all()) this.#sockets.close(socket);
    this.#controller.stop(() => this.#finish());
  }

  #finish(): void {
    if (this.#phase === 'stopped') return;
    this.#phase = 'stopped';
    this.#slots.kill();
    this.#controller.kill();
    this.#log.info('stopped');
    // Whoever it is that ends the process, and when: what others wait for is free now.
    this.#takeover?.close();
    this.#grants.close();
    this.#done(this.#exitCode, this.#succeeded);
  }

  // ---- time

  #tick(): void {
    if (this.#phase === 'stopping' || this.#phase === 'stopped') return;
    const now = this.#system.nowMs();
    const passed = now - this.#lastTickMs;
    if (passed > LIMITS.HEARTBEAT_STALL_MS) this.#log.warn('the keeper stood still', { ms: passed });
    // It was this process that was late, most often with the whole machine: nobody else is to die of that.
    const late = Math.max(0, passed - LIMITS.HEARTBEAT_MS);
    for (const blamed of [this.#slots, this.#controller]) blamed.forgive(late);
    this.#lastTickMs = now;
    this.#slots.watch(now);
    this.#controller.watch(now);
    this.#distribution.tick(now);
    this.#grants.tick(now);
    this.#takeover?.onTick();
    this.#system.after(LIMITS.HEARTBEAT_MS, () => this.#tick());
  }

  #keepSpareLater(): void {
    this.#system.after(LIMITS.SPARE_DELAY_MS, () => this.#phase === 'serving' && this.#slots.keepSpare());
  }

  // ---- the controller

  #tell(message: ToController<Options>, fds: readonly number[] = []): void {
    this.#controller.tell(message, fds);
  }

  /** Gives a controller that just started everything that outlived the one before. */
  #welcome(): void {
    this.#tell({ type: 'options', options: this.#options });
    this.#grants.give();
    this.#slots.give((message, fds) => this.#tell(message, fds));
    const { revisions, acked } = this.#distribution;
    for (const [key, value] of revisions.memory()) this.#controller.send(encodePut(key, value));
    const succeeds = this.#phase === 'starting' && this.#takeover?.hasPredecessor === true;
    this.#distribution.giveKept();
    this.#tell({ type: 'welcome', revision: revisions.wanted, succeeds });
    this.#tellSockets();
    this.#tellWorkers();
    this.#tell({ type: 'held', held: revisions.held });
    if (acked > 0) this.#tell({ type: 'acked', revision: acked });
    if (this.#phase === 'draining' && !this.#succeeded) this.#tell({ type: 'draining' });
    this.#announcer.reloaded();
  }

  /** Only a program that never served ends of it. */
  #onFatal(code: number, message: string): void {
    if (this.#phase === 'starting') this.#fail(code, message);
    else this.#log.error('the controller cannot go on', { reason: message });
  }

  #onControllerDeath(failures: number, why: string): void {
    this.#tellWorkers();
    if (this.#phase === 'starting' && failures >= LIMITS.START_ATTEMPTS)
      this.#fail(EXIT.cannotRun, `the controller cannot start: ${why}`);
  }

  #tellWorkers(): void {
    this.#tell({
      type: 'workers',
      workers: this.#slots.states(),
      storm: this.#slots.storm(this.#system.nowMs()),
      restarts: { worker: this.#slots.restarts, controller: this.#controller.restarts },
    });
  }
  #tellSockets(): void {
    this.#tell({ type: 'sockets', revision: this.#distribution.revisions.wanted, failed: this.#sockets.failed });
  }

  // ---- workers

  #onServed(revision: number): void {
    if (this.#phase === 'starting') this.#started();
    this.#tell({ type: 'acked', revision });
  }

  #onAssigned(worker: WorkerProcess): void {
    this.#distribution.synchronise(worker);
    this.#tellWorkers();
  }

  #onAnswer(): void {
    this.#distribution.checkAcked();
    this.#tellWorkers();
  }

  #onRefused(worker: WorkerProcess, revision: number, reason: string): void {
    this.#distribution.refuse(worker.slot?.index ?? -1, revision, reason);
    this.#tellWorkers();
  }

  #onDeath(worker: WorkerProcess, slot: Slot<WorkerProcess>, why: string): void {
    this.#log.debug('slot is empty', { worker: slot.index });
    if (this.#phase === 'starting' && slot.backoff.failures >= LIMITS.START_ATTEMPTS) {
      this.#fail(EXIT.cannotRun, `workers cannot start: ${why}`);
      return;
    }
    this.#distribution.died(worker);
    this.#tellWorkers();
    this.#keepSpareLater();
  }
}

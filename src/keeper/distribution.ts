// The way of a revision to the workers: sockets are opened, each worker is told what it lacks, sockets are closed,
// answers are counted. What every live worker serves is known here, and nowhere guessed.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Begin } from '../stream/frames.ts';
import type { Grant, Held, SocketWish } from '../stream/messages.ts';
import { Ahead } from './ahead.ts';
import type { RevisionTaker } from './controller-process.ts';
import type { Departures } from './departures.ts';
import { commitFrame, type EncodedStep, encodeStep } from './encode.ts';
import { type Incoming, Revisions, type Step } from './revisions.ts';
import type { Slots } from './slots.ts';
import type { OpenSocket, Sockets } from './sockets.ts';
import { StateFile, type StateFileSettings } from './state-file.ts';
import type { System } from './system.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface DistributionParts {
  readonly system: System;
  readonly log: Logger;
  readonly slots: Slots;
  readonly sockets: Sockets;
  readonly departures: Departures<WorkerProcess>;
  /** Where what is served is written down; null for nowhere. */
  readonly options: { readonly stateFile: StateFileSettings | null };
}

export interface DistributionOwner {
  /** What every live worker serves is another revision than before. */
  onServed(revision: number): void;
  /** The newest revision is held back, for this reason; null: it is not, or no longer. */
  onHeld(held: Held | null): void;
  /** Which sockets could not be opened has changed, or was asked for. */
  onSockets(): void;
  /** Whether a successor has the same sockets. */
  shared(): boolean;
  /** Whether another program serves on them still, to which this one is the successor. */
  succeeds(): boolean;
  /** The state file, for the controller. */
  onGrant(grant: Grant, fds: readonly number[]): void;
}

export class Distribution implements RevisionTaker {
  readonly revisions = new Revisions();
  readonly #parts: DistributionParts;
  readonly #owner: DistributionOwner;
  readonly #stateFile: StateFile | null;
  #acked = 0;
  /** The first revision, while it comes. */
  #ahead: Ahead | null = null;
  /** Of the last attempt at sockets that could not be opened. */
  #retriedMs = 0;
  #leaving = false;

  constructor(parts: DistributionParts, owner: DistributionOwner) {
    this.#parts = parts;
    this.#owner = owner;
    const { system, log } = parts;
    const { stateFile } = parts.options;
    this.#stateFile =
      stateFile === null ? null : new StateFile(stateFile, system, log, () => this.#settled(), owner.onGrant);
  }

  /** The revision that every live worker serves; 0 before the first one. */
  get acked(): number {
    return this.#acked;
  }

  /** What is to be written down: what every live worker serves, as long as that is not another one's matter. */
  #settled(): Iterable<readonly [key: string, value: Buffer]> | null {
    const { held, revision } = this.revisions;
    if (held !== null || revision === 0 || this.#acked !== revision || this.revisions.kept) return null;
    return this.#owner.shared() || this.#owner.succeeds() ? null : this.revisions.memory();
  }

  /** What an earlier program served, to a controller that has nothing else. */
  giveKept(): void {
    if (this.revisions.wanted === 0 && !this.#owner.succeeds()) this.#stateFile?.give();
  }

  begun(begin: Begin): void {
    const first = this.revisions.revision === 0 && begin.base === 0;
    this.#ahead = first
      ? new Ahead(
          begin,
          this.#parts.slots.loaded.filter(({ outbox }) => outbox.takes(0)),
        )
      : null;
  }
  entry(key: string, value: Buffer | null): void {
    this.#ahead?.add(key, value);
  }

  commit(incoming: Incoming): void {
    const before = this.revisions.held;
    this.#pass(this.revisions.commit(incoming, this.#parts.system.nowMs()));
    if (this.revisions.held !== before) this.#owner.onHeld(this.revisions.held);
    this.#parts.system.revised(incoming.change.size);
    if (incoming.sockets !== null) this.#owner.onSockets();
    this.checkAcked();
  }

  refuse(worker: number, revision: number, reason: string): void {
    const before = this.revisions.held;
    this.#goBack(this.revisions.refuse(revision, `worker ${worker} refused it: ${reason}`), before);
  }

  died(worker: WorkerProcess): void {
    this.#parts.departures.gone(worker);
    const before = this.revisions.held;
    this.#goBack(this.revisions.died(this.#parts.system.nowMs(), worker.outbox.atHand), before);
  }

  /** Everything from the start, for a worker that is new, fell behind, or refused something. */
  synchronise(worker: WorkerProcess): void {
    if (this.revisions.revision === 0) return;
    const sockets = [...this.#parts.sockets.open.values()].filter((s) => this.revisions.has(s.wish.key));
    this.#send([worker], encodeStep(this.revisions.full()), sockets);
  }

  /** Makes up for what could not be done at its time. */
  tick(nowMs: number): void {
    this.revisions.forget(this.#acked, nowMs);
    this.#catchUp();
    if (nowMs - this.#retriedMs < LIMITS.SOCKET_RETRY_MS) return;
    this.#retriedMs = nowMs;
    this.retrySockets();
  }

  /** Tries again what could not be opened. */
  retrySockets(): void {
    const { sockets, slots } = this.#parts;
    if (this.#leaving || sockets.failed.length === 0) return;
    const opened = sockets.retry();
    if (opened.length === 0) return;
    for (const worker of slots.loaded)
      if (worker.outbox.has === this.revisions.revision) this.#giveSockets(worker, opened);
    this.#owner.onSockets();
  }

  /** Lets go of all sockets, and opens none again; `then` is called when the workers have been asked. */
  leave(then: () => void): void {
    this.#leaving = true;
    this.#stateFile?.finish();
    this.#parts.departures.start(this.#parts.sockets.all(), this.#owner.shared(), then);
  }

  checkAcked(): void {
    const acks = this.#parts.slots.workers.map((w) => w.outbox.acked);
    // None may be said to serve more than is given: one that has yet to go back still has what is held.
    const least = acks.length === 0 ? 0 : Math.min(this.revisions.revision, ...acks);
    if (least > this.#acked) this.#serves(least);
    this.#catchUp();
  }

  #serves(revision: number): void {
    this.#acked = revision;
    this.#owner.onServed(revision);
    this.#stateFile?.served();
  }

  #goBack(step: Step | null, before: Held | null): void {
    const { held } = this.revisions;
    const news = held !== null && held !== before;
    if (news) {
      const { revision, cause, reason } = held;
      const what = cause === 'deaths' ? 'revision is quarantined' : 'revision is refused';
      const then = step === null ? 'there is none before it' : 'the one before is served';
      this.#parts.log.error(`${what}: ${then}`, { revision, reason, serving: step?.revision });
    }
    // However often one goes back for one reason: what is said to be served goes back, too.
    if (step !== null && step.revision < this.#acked) this.#serves(step.revision);
    if (news) this.#owner.onHeld(held);
    this.#pass(step);
    this.checkAcked();
  }

  /** From one content to the next. */
  #pass(step: Step | null): void {
    if (step === null) return;
    const { slots, departures } = this.#parts;
    const { opened, closing } =
      step.sockets === null || this.#leaving ? { opened: [], closing: [] } : this.#wantSockets(step.sockets);
    const { base } = step;
    const takers = base === null ? [] : slots.loaded.filter(({ outbox }) => outbox.takes(base));
    const left = this.#endAhead(step, takers, opened);
    if (left.length > 0) this.#send(left, encodeStep(step), opened);
    departures.start(closing, this.#owner.shared());
    this.#catchUp();
  }

  /** Who has the entries of `step` is given its end; those that have not are returned. */
  #endAhead(step: Step, takers: readonly WorkerProcess[], opened: readonly OpenSocket[]): readonly WorkerProcess[] {
    const ahead = this.#ahead;
    this.#ahead = null;
    const { revision, base } = step;
    if (ahead === null || ahead.begin.revision !== revision || ahead.begin.base !== base) return takers;
    const have = new Set(ahead.finish());
    for (const worker of takers.filter((taker) => have.has(taker))) {
      this.#giveSockets(worker, opened);
      worker.send(commitFrame(revision));
      worker.outbox.sent({ revision, base });
    }
    return takers.filter((taker) => !have.has(taker));
  }

  #wantSockets(wishes: readonly SocketWish[]): { opened: OpenSocket[]; closing: OpenSocket[] } {
    const { sockets, departures } = this.#parts;
    const again = wishes.flatMap(({ key }) => departures.takeBack(key) ?? []);
    for (const socket of again) sockets.reopen(socket);
    const { opened, closing } = sockets.want(wishes);
    return { opened: [...again, ...opened], closing };
  }

  #catchUp(): void {
    for (const worker of this.#parts.slots.loaded)
      if (worker.outbox.wants(this.revisions.revision)) this.synchronise(worker);
  }

  /** Sockets go between the revision's beginning and its entries: they wait there for what gives them a meaning. */
  #send(workers: readonly WorkerProcess[], step: EncodedStep, opened: readonly OpenSocket[]): void {
    // A small one is one piece, by which the worker is woken once.
    let first: Buffer | null = opened.length === 0 ? step.begin : null;
    for (const worker of first === null ? workers : []) {
      worker.send(step.begin);
      this.#giveSockets(worker, opened);
    }
    for (const part of step.parts) {
      const piece = first === null ? part : Buffer.concat([first, part]);
      first = null;
      for (const worker of workers) worker.send(piece);
    }
    for (const worker of workers) worker.outbox.sent(step);
  }

  #giveSockets(worker: WorkerProcess, sockets: readonly OpenSocket[]): void {
    const index = worker.slot?.index ?? 0;
    for (const { wish, handles } of sockets)
      worker.giveSocket(wish.key, this.#parts.system.io.fdOf(handles[index] as number));
  }
}

// The deadlines of one exchange, by one timer: it is never cancelled when an exchange ends, only set later by the next,
// since what counts are the deadlines.

import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';

export const NEVER = Number.MAX_SAFE_INTEGER;

/** Looks at bytes that nobody tells of in the time after which nothing moved: it is noticed a quarter late at most. */
const LOOKS = 4;

/** Which of them is over. */
export const DUE = { NONE: 0, WAIT: 1, IDLE: 2, REQUEST: 3, BACKEND: 4 } as const;

export interface DeadlineOwner {
  /** The timer fired: look which of them is over. */
  onDeadline(nowMs: number): void;
}

/** All in monotonic ms. */
export class Deadlines implements TimerSink {
  readonly #io: Io;
  readonly #owner: DeadlineOwner;
  readonly #timer = new Timer(this, 0);
  /** Of the whole exchange, and of this attempt. */
  request = NEVER;
  backend = NEVER;
  /** `request` is the call's own (grpc-timeout), for it is less than the rule's, which is kept. */
  own = false;
  #rule = NEVER;
  #extended = false;
  /** No byte moved since; and how long that may be. */
  idle = NEVER;
  readonly #usualIdleMs: number;
  #idleMs: number;
  /** Nothing may happen for as long as it likes: the rule has times of its own, which hold. */
  patient = false;
  /** What both sides had taken when the timer last fired. */
  #taken = 0;
  /** Bytes move without a word (`moved`); and looks since some did. */
  #silent = false;
  #quiet = 0;
  /** Of what it waits for now: capacity, a decision, the next attempt. */
  wait = NEVER;

  constructor(io: Io, owner: DeadlineOwner, idleMs: number) {
    this.#io = io;
    this.#usualIdleMs = idleMs;
    this.#idleMs = idleMs;
    this.#owner = owner;
  }

  clear(): void {
    this.request = NEVER;
    this.backend = NEVER;
    this.idle = NEVER;
    this.wait = NEVER;
    this.patient = false;
    this.own = false;
    this.#extended = false;
    this.#silent = false;
    this.#idleMs = this.#usualIdleMs;
  }

  /** A call has the time until `due` that it gives itself, if that is less than the rule's. */
  limitCall(due: number): void {
    this.own = due < this.request;
    if (!this.own) return;
    this.#rule = this.request;
    this.request = due;
  }

  /**
   * A call that is being answered is past its own time, which client and endpoint know as well: they end it with the
   * code that says so, where all that is left to say here is a reset, which clients take for CANCELLED. False when they
   * had their time for that.
   */
  extendCall(nowMs: number): boolean {
    if (!this.own || this.#extended) return false;
    this.#extended = true;
    this.request = nowMs + LIMITS.GRPC_DEADLINE_GRACE_MS;
    this.own = this.request < this.#rule;
    if (!this.own) this.request = this.#rule;
    return true;
  }

  /** What its rule says of its times; `idleMs`: 0 for the usual. */
  take(patient: boolean, idleMs: number): void {
    this.patient = patient;
    if (idleMs > 0) this.#idleMs = idleMs;
    this.moved();
  }

  /** From now on `moved` is not called for every byte: what both sides took tells. */
  watch(sent: number): void {
    this.#silent = true;
    this.#quiet = 0;
    this.#taken = sent;
    this.idle = this.#io.nowMs + Math.ceil(this.#idleMs / LOOKS);
    this.arm(this.idle);
  }

  /** Something has to move within so long from now on, whatever was said before. */
  hurry(ms: number): void {
    this.#idleMs = ms;
    this.#quiet = 0;
    this.idle = this.#io.nowMs + (this.#silent ? Math.ceil(ms / LOOKS) : ms);
    this.arm(this.idle);
  }

  /** Whether nothing moved for too long, at a look at bytes that move without a word. */
  #look(sent: number): boolean {
    this.#quiet = sent === this.#taken ? this.#quiet + 1 : 0;
    this.#taken = sent;
    this.idle = this.#io.nowMs + Math.ceil(this.#idleMs / LOOKS);
    return this.#quiet >= LOOKS;
  }

  /** Some byte moved, or the time in which one has to begins. */
  moved(): void {
    this.idle = this.#io.nowMs + this.#idleMs;
  }

  /** `sent`: bytes that both sides have taken so far. `waits`: the client takes nothing of what is here for it. */
  over(nowMs: number, sent: number, waits: boolean): number {
    if (this.wait <= nowMs) return DUE.WAIT;
    if (this.#silent) return this.idle <= nowMs && this.#look(sent) ? DUE.IDLE : DUE.NONE;
    if (this.idle <= nowMs) {
      // A slow reader is not idle while it takes anything at all.
      if (sent === this.#taken && (!this.patient || waits)) return DUE.IDLE;
      this.moved();
    }
    this.#taken = sent;
    if (this.request <= nowMs) return DUE.REQUEST;
    return this.backend <= nowMs ? DUE.BACKEND : DUE.NONE;
  }

  /** To be called when one of them was set to what may be earlier than all others. */
  arm(due: number): void {
    const timer = this.#timer;
    if (timer.due === -1 || due < timer.due) this.#io.timers.arm(timer, this.#io.nowMs, due - this.#io.nowMs);
  }

  /** Looks again at the earliest. */
  rearm(): void {
    const due = Math.min(this.request, this.backend, this.idle, this.wait);
    if (due !== NEVER) this.#io.timers.arm(this.#timer, this.#io.nowMs, Math.max(1, due - this.#io.nowMs));
  }

  onTimer(): void {
    this.#owner.onDeadline(this.#io.nowMs);
  }

  dispose(): void {
    this.#io.timers.cancel(this.#timer);
  }
}

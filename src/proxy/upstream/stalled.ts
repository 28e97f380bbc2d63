// Requests that have an endpoint's capacity and go on only when their client does something: takes what is there for
// it, or sends the content that is to come. They may rest as long as nobody else needs what they have. While somebody
// waits whose client has no more there than theirs, the one that has rested longest gives way: at the soonest
// STALLED_MS after it last moved, as far as that was seen, which is from when somebody waits.

import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';

/** A request that may be among them. */
export interface Stallable {
  /** It goes on only when its client does something. */
  readonly stalled: boolean;
  /** Bytes that its client has taken and sent so far. */
  readonly movedBytes: number;
  /** Requests that its client has at `endpoint`, itself among them. */
  requestsAt(endpoint: object): number;
  /** Somebody else needs what it has: it ends. */
  giveWay(): void;
  // ---- the list
  stalledIn: StalledList | null;
  nextStalled: Stallable | null;
  previousStalled: Stallable | null;
  /** When it was last looked at (monotonic ms), and what had moved then. */
  stalledMs: number;
  stalledBytes: number;
}

/** Whose capacity it is. */
export interface StalledOwner {
  /** Somebody waits for whom nothing is on its way. */
  readonly short: boolean;
  /** Who waits may look for somebody who gives way. */
  onStallDue(): void;
}

export class StalledList implements TimerSink {
  readonly #io: Io;
  readonly #owner: StalledOwner;
  readonly #timer = new Timer(this, 0);
  /** Whoever was looked at first. */
  #first: Stallable | null = null;
  #last: Stallable | null = null;

  constructor(io: Io, owner: StalledOwner) {
    this.#io = io;
    this.#owner = owner;
  }

  /** From now on it may be waiting for its client. */
  add(one: Stallable): void {
    if (one.stalledIn !== null) return;
    this.#append(one);
    if (this.#owner.short) this.ask();
  }

  #append(one: Stallable): void {
    one.stalledIn = this;
    one.stalledMs = this.#io.nowMs;
    one.stalledBytes = one.movedBytes;
    one.previousStalled = this.#last;
    if (this.#last === null) this.#first = one;
    else this.#last.nextStalled = one;
    this.#last = one;
  }

  remove(one: Stallable): void {
    const { previousStalled, nextStalled } = one;
    if (previousStalled === null) this.#first = nextStalled;
    else previousStalled.nextStalled = nextStalled;
    if (nextStalled === null) this.#last = previousStalled;
    else nextStalled.previousStalled = previousStalled;
    one.nextStalled = null;
    one.previousStalled = null;
    one.stalledIn = null;
  }

  /** Somebody waits: the owner is called when one of these may have rested long enough. */
  ask(): void {
    if (this.#timer.due !== -1) return;
    this.#lookAgain();
    const one = this.#first;
    if (one === null) return;
    const { nowMs, timers } = this.#io;
    const left = one.stalledMs + LIMITS.STALLED_MS - nowMs;
    // Whoever was looked at and did not have to give way is looked at again in a while.
    timers.arm(this.#timer, nowMs, Math.max(1, left));
  }

  /** What moved before anybody waited says nothing of who rests now: their time begins anew. */
  #lookAgain(): void {
    let one = this.#first;
    for (let looks: number = LIMITS.STALLED_LOOKS; one !== null && looks > 0; looks--) {
      const next: Stallable | null = one.nextStalled;
      if (hasMoved(one)) {
        this.remove(one);
        this.#append(one);
      }
      one = next;
    }
  }

  onTimer(): void {
    if (this.#owner.short) this.#owner.onStallDue();
  }

  /** Who gives way to a client that has `requests` requests at `endpoint`; null for nobody now. */
  find(endpoint: object, requests: number): Stallable | null {
    const { nowMs } = this.#io;
    for (let looks: number = LIMITS.STALLED_LOOKS; looks > 0; looks--) {
      const one = this.#first;
      if (one === null || one.stalledMs + LIMITS.STALLED_MS > nowMs) return null;
      if (one.stalled && !hasMoved(one) && one.requestsAt(endpoint) >= requests) return one;
      this.remove(one);
      this.#append(one);
    }
    return null;
  }

  dispose(): void {
    this.#io.timers.cancel(this.#timer);
  }
}

/** Since it was last looked at. */
function hasMoved(one: Stallable): boolean {
  return Math.abs(one.movedBytes - one.stalledBytes) >= LIMITS.STALLED_BYTES;
}

// Those who wait for an endpoint's capacity. Clients that have few requests there come one after the other, those that
// have many in turns, a request each; and of the two kinds one after the other, so that nobody waits for what a single
// client has queued. Lists go through the waiters themselves; a table of clients is made only when one has many.

import type { ResponseSide, Upstream } from '../exchange/sides.ts';

/** Who waits for an endpoint's capacity: one attempt of a request. */
export interface Waiter extends ResponseSide {
  /** A connection that served before was stale: only a new one will do. */
  readonly fresh: boolean;
  /** The request must not be sent a second time, so a connection is looked at before it is taken. */
  readonly once: boolean;
  /** Here it is, in a later call than that which asked. */
  onUpstreamReady(up: Upstream): void;
  /** Who asks: requests of one connection of a client have the same. */
  readonly client: object;
  /** Requests that it has at `endpoint`, or a few more; this one is among them. */
  requestsAt(endpoint: object): number;
  // ---- the line
  waiting: boolean;
  queue: WaiterQueue | null;
  nextWaiting: Waiter | null;
  previousWaiting: Waiter | null;
}

/** Waiters in the order in which they came. */
export class WaiterQueue {
  /** Whose they are; null for everybody's. */
  readonly client: object | null;
  first: Waiter | null = null;
  #last: Waiter | null = null;

  constructor(client: object | null) {
    this.client = client;
  }

  add(waiter: Waiter): void {
    waiter.queue = this;
    waiter.previousWaiting = this.#last;
    if (this.#last === null) this.first = waiter;
    else this.#last.nextWaiting = waiter;
    this.#last = waiter;
  }

  remove(waiter: Waiter): void {
    const { previousWaiting, nextWaiting } = waiter;
    if (previousWaiting === null) this.first = nextWaiting;
    else previousWaiting.nextWaiting = nextWaiting;
    if (nextWaiting === null) this.#last = previousWaiting;
    else nextWaiting.previousWaiting = previousWaiting;
    waiter.nextWaiting = null;
    waiter.previousWaiting = null;
    waiter.queue = null;
  }

  /** The first whom `fits` takes. */
  find(fits: Fits): Waiter | null {
    let waiter = this.first;
    while (waiter !== null && !fits(waiter)) waiter = waiter.nextWaiting;
    return waiter;
  }
}

export type Fits = (waiter: Waiter) => boolean;

export class WaitingLine {
  readonly #few = new WaiterQueue(null);
  /** By client, the next one's first. */
  readonly #many = new Map<object, WaiterQueue>();
  few = 0;
  many = 0;
  /** The last one served was of a client with few. */
  #fewServed = false;

  get size(): number {
    return this.few + this.many;
  }

  /** `many`: its client has many requests here already. */
  add(waiter: Waiter, many: boolean): void {
    waiter.waiting = true;
    if (!many) {
      this.few++;
      this.#few.add(waiter);
      return;
    }
    this.many++;
    const { client } = waiter;
    const queue = this.#many.get(client) ?? new WaiterQueue(client);
    if (queue.first === null) this.#many.set(client, queue);
    queue.add(waiter);
  }

  /** It waits no more, because it was `served` or for whatever reason. */
  remove(waiter: Waiter, served: boolean): void {
    const queue = waiter.queue as WaiterQueue;
    const { client } = queue;
    queue.remove(waiter);
    waiter.waiting = false;
    if (served) this.#fewServed = client === null;
    if (client === null) {
      this.few--;
      return;
    }
    this.many--;
    if (queue.first !== null && !served) return;
    this.#many.delete(client);
    // Others come first now.
    if (queue.first !== null) this.#many.set(client, queue);
  }

  /** Whose turn it is of those whom `fits` takes; `manyToo`: of clients with many, too. */
  next(fits: Fits, manyToo: boolean): Waiter | null {
    const few = this.#few.find(fits);
    if (few !== null && (!manyToo || this.many === 0 || !this.#fewServed)) return few;
    if (!manyToo || this.many === 0) return few;
    for (const queue of this.#many.values()) {
      const waiter = queue.find(fits);
      if (waiter !== null) return waiter;
    }
    return few;
  }
}

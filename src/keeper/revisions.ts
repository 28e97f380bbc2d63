// The keeper's memory of the configuration: opaque values by key. What the controller wants and what workers are given
// are two things: a revision that workers die of, or that one of them refuses, is held back, and everybody goes back to
// the one before until a new one comes. A revision's number goes with its content: nothing is ever called by the number
// of something else. Pure: time comes as an argument, what is to be sent goes out as a step.

import { LIMITS } from '../base/limits.ts';
import { KEPT_KEY, STATE_PREFIX } from '../ir/keys.ts';
import type { Held, SocketWish } from '../stream/messages.ts';

export type Change = ReadonlyMap<string, Buffer | null>;

/** A revision as the controller sends it: what differs from its last one. */
export interface Incoming {
  readonly revision: number;
  /** null removes a key. */
  readonly change: Change;
  /** null: as before. */
  readonly sockets: readonly SocketWish[] | null;
}

/** From one content to the next. */
export interface Step {
  readonly revision: number;
  /** The revision it changes; null: `change` is everything there is. */
  readonly base: number | null;
  readonly change: Change;
  /** The listening sockets that belong to it; null: those there are. */
  readonly sockets: readonly SocketWish[] | null;
}

interface Past {
  readonly revision: number;
  readonly before: number;
  readonly atMs: number;
  /** What undoes this revision. */
  readonly undo: Change;
  readonly sockets: readonly SocketWish[];
  refused: boolean;
}

export class Revisions {
  /** What workers are given. */
  readonly #entries = new Map<string, Buffer>();
  #revision = 0;
  #sockets: readonly SocketWish[] = [];
  #past: Past[] = [];

  /** What the controller sent last; differs from the above while that is held back. */
  readonly #wanted = new Map<string, Buffer>();
  #wantedRevision = 0;
  #wantedSockets: readonly SocketWish[] = [];
  /** What only the controller reads back. */
  readonly #state = new Map<string, Buffer>();

  #held: Held | null = null;
  #deaths = { revision: 0, count: 0 };

  /** Of what workers are given. */
  get revision(): number {
    return this.#revision;
  }
  /** Of what the controller sent last. */
  get wanted(): number {
    return this.#wantedRevision;
  }
  get held(): Held | null {
    return this.#held;
  }
  /** Everything that the controller ever said and that still holds. */
  *memory(): Iterable<readonly [key: string, value: Buffer]> {
    yield* this.#wanted;
    yield* this.#state;
  }
  /** What is served came out of a state file: that is its newest copy. */
  get kept(): boolean {
    return this.#state.has(KEPT_KEY);
  }
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** For a worker that is new or fell behind. */
  full(): Step {
    return { revision: this.#revision, base: null, change: this.#entries, sockets: null };
  }

  /** Takes a revision over; what workers are to be sent of it, or null when what they have stays. */
  commit({ revision, change, sockets }: Incoming, nowMs: number): Step | null {
    const news = this.#want(change);
    const moved = sockets !== null && !sameSockets(sockets, this.#wantedSockets);
    this.#wantedRevision = revision;
    if (sockets !== null) this.#wantedSockets = sockets;
    const held = this.#held;
    if (held === null) return this.#advance(revision, news, sockets, nowMs);
    if (news.size === 0 && !moved && held.revision !== this.#revision) {
      // A controller that was started again and says what the one before said: no reason to try once more.
      this.#held = { ...held, revision };
      return null;
    }
    this.#held = null;
    return this.#advance(revision, this.#difference(), this.#wantedSockets, nowMs);
  }

  /** A worker refused `revision`, which it was given. What everybody is to be sent to go back, or null. */
  refuse(revision: number, reason: string): Step | null {
    const past = this.#past.find((p) => p.revision === revision);
    if (past !== undefined) past.refused = true;
    // A newer one is under way to that worker, whole.
    if (revision !== this.#revision) return null;
    // On the way back from what is held already: the reason for that stays the one to tell.
    this.#held ??= { revision: this.#wantedRevision, cause: 'refused', reason };
    return this.#back();
  }

  /**
   * A worker died that had `atHand`. What everybody is to be sent to go back when it was of the newest revision, or
   * null.
   */
  died(nowMs: number, atHand: readonly number[]): Step | null {
    const last = this.#past.at(-1);
    if (last === undefined || nowMs - last.atMs > LIMITS.QUARANTINE_WINDOW_MS) return null;
    // Who never had it did not die of it; and of several that die at once those that are heard of later had one that is
    // held back already: that is why.
    if (!atHand.includes(last.revision) || atHand.some((revision) => revision > last.revision)) return null;
    if (this.#deaths.revision !== last.revision) this.#deaths = { revision: last.revision, count: 0 };
    if (++this.#deaths.count < LIMITS.QUARANTINE_DEATHS || last.before === 0) return null;
    const reason = `${this.#deaths.count} workers died within ${LIMITS.QUARANTINE_WINDOW_MS / 1000} s of it`;
    this.#held = { revision: this.#wantedRevision, cause: 'deaths', reason };
    return this.#back();
  }

  /** Drops history that every worker acked and that is too old to be blamed for a death. */
  forget(acked: number, nowMs: number): void {
    const old = (p: Past): boolean => p.revision <= acked && nowMs - p.atMs > LIMITS.QUARANTINE_WINDOW_MS;
    const keep = this.#past.findIndex((p) => !old(p));
    this.#past = keep === -1 ? [] : this.#past.slice(Math.max(keep, this.#past.length - LIMITS.QUARANTINE_HISTORY));
  }

  /** What of `change` is for workers. */
  #want(change: Change): Map<string, Buffer | null> {
    const news = new Map<string, Buffer | null>();
    for (const [key, value] of change) {
      const state = key.startsWith(STATE_PREFIX);
      const kept = state ? this.#state : this.#wanted;
      if (value === null) kept.delete(key);
      else kept.set(key, value);
      if (!state) news.set(key, value);
    }
    return news;
  }

  #advance(revision: number, change: Change, sockets: readonly SocketWish[] | null, nowMs: number): Step {
    const base = this.#revision;
    const undo = this.#apply(change);
    this.#past.push({ revision, before: base, atMs: nowMs, undo, sockets: this.#sockets, refused: false });
    if (this.#past.length > LIMITS.QUARANTINE_HISTORY) this.#past.shift();
    this.#revision = revision;
    if (sockets !== null) this.#sockets = sockets;
    return { revision, base, change, sockets };
  }

  /** To before the newest revision, and before those that were refused; null when nothing lies there. */
  #back(): Step | null {
    const base = this.#revision;
    const change = new Map<string, Buffer | null>();
    let past = this.#past.at(-1);
    let first = true;
    while (past !== undefined && past.before > 0 && (first || past.refused)) {
      first = false;
      this.#apply(past.undo);
      for (const [key, value] of past.undo) change.set(key, value);
      this.#revision = past.before;
      this.#sockets = past.sockets;
      this.#past.pop();
      past = this.#past.at(-1);
    }
    return this.#revision === base ? null : { revision: this.#revision, base, change, sockets: this.#sockets };
  }

  #apply(change: Change): Change {
    const undo = new Map<string, Buffer | null>();
    for (const [key, value] of change) {
      undo.set(key, this.#entries.get(key) ?? null);
      if (value === null) this.#entries.delete(key);
      else this.#entries.set(key, value);
    }
    return undo;
  }

  /** From what workers are given to what is wanted. */
  #difference(): Change {
    const change = new Map<string, Buffer | null>();
    for (const key of this.#entries.keys()) if (!this.#wanted.has(key)) change.set(key, null);
    for (const [key, value] of this.#wanted) if (this.#entries.get(key) !== value) change.set(key, value);
    return change;
  }
}

function sameSockets(a: readonly SocketWish[], b: readonly SocketWish[]): boolean {
  const text = (wishes: readonly SocketWish[]): string =>
    wishes
      .map(({ key, address, port }) => `${key} ${address} ${port}`)
      .sort()
      .join('\n');
  return text(a) === text(b);
}

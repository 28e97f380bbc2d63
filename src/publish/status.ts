// Statuses as a stream: what the translator says of objects goes to a sink (files: /config; Kubernetes: the API) as
// soon as it is true, and only when it is another than what was written last. What says that something is programmed is
// true when every live worker acked the revision that programs it; until then, and while that revision is refused or
// quarantined, False says why. A status that changes in other parts does not take back what is served (ADR 16).

import type { ObjectKey } from '../api/object.ts';
import { equal } from '../base/equal.ts';
import type { Condition, Status } from '../translate/conditions.ts';
import { condition } from '../translate/conditions.ts';

/** Where statuses end. Conditions come without `pendsOn`, and without lastTransitionTime, which the sink adds. */
export interface StatusSink {
  /** The whole of our part of an object's status; null: nothing is said of it any more. */
  write(key: ObjectKey, status: Status | null): void;
}

interface Noted {
  readonly status: Status;
  readonly revision: number;
  /** What was served before: digests of Condition.pendsOn. */
  readonly before: ReadonlySet<string>;
  written: Status | null;
}

const NOTHING: ReadonlySet<string> = new Set();

/** The newest revision, while it is not what is served: a worker refused it, or workers died of it. */
export interface Held {
  readonly revision: number;
  readonly cause: 'refused' | 'deaths';
  readonly reason: string;
}

export class StatusStream {
  readonly #sink: StatusSink;
  readonly #noted = new Map<ObjectKey, Noted>();
  /** Objects with a condition that pends. */
  readonly #pending = new Set<ObjectKey>();
  #acked = 0;
  #held: Held | null = null;

  constructor(sink: StatusSink) {
    this.#sink = sink;
  }

  /** `statuses`: what `revision` changed; null takes back what was said. */
  note(revision: number, statuses: ReadonlyMap<ObjectKey, Status | null>): void {
    for (const [key, status] of statuses) {
      const last = this.#noted.get(key);
      if (status === null) {
        this.#noted.delete(key);
        this.#pending.delete(key);
        if (last !== undefined) this.#sink.write(key, null);
        continue;
      }
      const before = last === undefined ? NOTHING : this.#served(last);
      this.#noted.set(key, { status, revision, before, written: last?.written ?? null });
      if (conditionsOf(status).some(({ pendsOn }) => pendsOn !== undefined)) this.#pending.add(key);
      else this.#pending.delete(key);
      this.#write(key);
    }
  }

  /** What every live worker serves; less than before when a revision is held back. */
  acked(revision: number): void {
    this.#acked = revision;
    this.#settle();
  }

  /** The newest revision is held back; null when it no longer is. */
  held(held: Held | null): void {
    this.#held = held;
    this.#settle();
  }

  #settle(): void {
    for (const key of this.#pending) this.#write(key);
  }

  #write(key: ObjectKey): void {
    const noted = this.#noted.get(key) as Noted;
    const { status } = noted;
    // What pends on nothing is written as it is: of ten thousand routes most have the same one.
    const settled = this.#pending.has(key) ? mapConditions(status, (said) => this.#condition(noted, said)) : status;
    if (noted.written !== null && equal(noted.written, settled)) return;
    noted.written = settled;
    this.#sink.write(key, settled);
  }

  #condition(noted: Noted, said: Condition): Condition {
    if (said.pendsOn === undefined) return said;
    const { pendsOn, ...written } = said;
    if (noted.before.has(pendsOn) || this.#serves(noted.revision)) return written;
    const held = this.#held;
    if (held !== null && noted.revision <= held.revision) {
      const name = held.cause === 'refused' ? 'programmedRefused' : 'programmedQuarantined';
      const message = `The configuration is held back, and the one before it served: ${held.reason}`;
      return condition(name, written.observedGeneration, message);
    }
    return condition('programmedPending', written.observedGeneration);
  }

  #serves(revision: number): boolean {
    return revision <= this.#acked;
  }

  /** What is served of what a status says. */
  #served({ status, revision, before }: Noted): ReadonlySet<string> {
    const served = conditionsOf(status).flatMap(({ pendsOn }) =>
      pendsOn !== undefined && (this.#serves(revision) || before.has(pendsOn)) ? [pendsOn] : [],
    );
    return served.length === 0 ? NOTHING : new Set(served);
  }
}

function mapConditions(status: Status, map: (condition: Condition) => Condition): Status {
  if ('loadBalancer' in status) return status;
  if ('parents' in status) {
    return { parents: status.parents.map((parent) => ({ ...parent, conditions: parent.conditions.map(map) })) };
  }
  if ('ancestors' in status) {
    return { ancestors: status.ancestors.map((one) => ({ ...one, conditions: one.conditions.map(map) })) };
  }
  const conditions = status.conditions.map(map);
  if (!('listeners' in status)) return { ...status, conditions };
  const listeners = status.listeners.map((listener) => ({ ...listener, conditions: listener.conditions.map(map) }));
  return { ...status, conditions, listeners };
}

function conditionsOf(status: Status): readonly Condition[] {
  if ('loadBalancer' in status) return [];
  if ('parents' in status) return status.parents.flatMap(({ conditions }) => conditions);
  if ('ancestors' in status) return status.ancestors.flatMap(({ conditions }) => conditions);
  if (!('listeners' in status)) return status.conditions;
  return [...status.conditions, ...status.listeners.flatMap(({ conditions }) => conditions)];
}

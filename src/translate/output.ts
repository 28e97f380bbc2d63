// What the translator has handed out, and what the update being made adds to it. Only differences get into an update.

import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { CertificateEntry, Delta, Entry, Key } from '../ir/ir.ts';
import type { Status } from './conditions.ts';
import type { Generated } from './exposure.ts';

/**
 * What one revision changes. Statuses and diagnostics are whole per object; null or [] takes back what was said before.
 */
export interface Update {
  readonly delta: Delta;
  readonly statuses: ReadonlyMap<ObjectKey, Status | null>;
  /** By the object they are about. */
  readonly diagnostics: ReadonlyMap<ObjectKey, readonly Problem[]>;
  /** What is made for Gateways, by the key of what is made; null: nothing is said of it any more. */
  readonly generated: ReadonlyMap<ObjectKey, Generated | null>;
}

/** Takes entries while an update is still being made, so that who serves them need not wait for what is only told. */
export interface Early {
  /** A listener names it and it is good; that it will be among the entries is likely, and no more. */
  certificate(entry: CertificateEntry): void;
  /** What the update hands out is all there. */
  entries(): void;
  /** Between two pieces of what is only told: who hands on what came before may go on with it. */
  between(): void;
}

export class Output {
  readonly entries = new Map<Key, Entry>();
  readonly statuses = new Map<ObjectKey, Status>();
  readonly diagnostics = new Map<ObjectKey, readonly Problem[]>();
  readonly generated = new Map<ObjectKey, Generated>();
  // (Each entry belongs to one unit, and a unit is computed once an update: no key comes up twice.)
  #upserts: Entry[] = [];
  #removals: Key[] = [];
  #statuses = new Map<ObjectKey, Status | null>();
  #diagnostics = new Map<ObjectKey, readonly Problem[]>();
  #generated = new Map<ObjectKey, Generated | null>();

  /** What came since the last call. */
  take(): Update {
    const update = {
      delta: { upserts: this.#upserts, removals: this.#removals },
      statuses: this.#statuses,
      diagnostics: this.#diagnostics,
      generated: this.#generated,
    };
    this.#upserts = [];
    this.#removals = [];
    this.#statuses = new Map();
    this.#diagnostics = new Map();
    this.#generated = new Map();
    return update;
  }

  upsert(entry: Entry): void {
    if (equal(this.entries.get(entry.key), entry)) return;
    this.entries.set(entry.key, entry);
    this.#upserts.push(entry);
  }

  remove(key: Key): void {
    if (this.entries.delete(key)) this.#removals.push(key);
  }

  /** Removes the entries of `before` that are not among `after`, and hands those out. */
  replace(before: readonly Entry[], after: readonly Entry[]): void {
    const kept = new Set<Key>(after.map((entry) => entry.key));
    for (const { key } of before) if (!kept.has(key)) this.remove(key);
    for (const entry of after) this.upsert(entry);
  }

  status(key: ObjectKey, status: Status | null): void {
    if (status === null) {
      if (this.statuses.delete(key)) this.#statuses.set(key, null);
    } else if (!equal(this.statuses.get(key), status)) {
      this.statuses.set(key, status);
      this.#statuses.set(key, status);
    }
  }

  generate(key: ObjectKey, generated: Generated | null): void {
    if (generated === null) {
      if (this.generated.delete(key)) this.#generated.set(key, null);
    } else if (!equal(this.generated.get(key), generated)) {
      this.generated.set(key, generated);
      this.#generated.set(key, generated);
    }
  }

  diagnose(key: ObjectKey, problems: readonly Problem[]): void {
    if (problems.length === 0) {
      if (this.diagnostics.delete(key)) this.#diagnostics.set(key, []);
    } else if (!equal(this.diagnostics.get(key), problems)) {
      this.diagnostics.set(key, problems);
      this.#diagnostics.set(key, problems);
    }
  }
}

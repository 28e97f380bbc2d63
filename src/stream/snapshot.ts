// The keeper's memory of the configuration: opaque values by key, with enough history to give a new worker the revision
// before one that killed two workers.

import { LIMITS } from '../base/limits.ts';

type Change = ReadonlyMap<string, Buffer | null>;

interface Past {
  readonly revision: number;
  readonly atMs: number;
  /** What undoes this revision. */
  readonly undo: Change;
}

export class Snapshot {
  readonly #entries = new Map<string, Buffer>();
  #past: Past[] = [];
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }
  get entries(): ReadonlyMap<string, Buffer> {
    return this.#entries;
  }

  /** Takes `revision` over: null removes a key. */
  commit(revision: number, change: Change, nowMs: number): void {
    const undo = new Map<string, Buffer | null>();
    for (const [key, value] of change) {
      undo.set(key, this.#entries.get(key) ?? null);
      if (value === null) this.#entries.delete(key);
      else this.#entries.set(key, value);
    }
    this.#revision = revision;
    this.#past.push({ revision, atMs: nowMs, undo });
    this.forget(nowMs);
  }

  /** Drops history that can no longer be blamed for a death. */
  forget(nowMs: number): void {
    const keep = this.#past.findIndex((p) => nowMs - p.atMs <= LIMITS.QUARANTINE_WINDOW_MS);
    if (keep !== 0) this.#past = keep === -1 ? [] : this.#past.slice(keep);
    if (this.#past.length > LIMITS.QUARANTINE_HISTORY) this.#past = this.#past.slice(-LIMITS.QUARANTINE_HISTORY);
  }

  /** The newest revision young enough to be blamed for a death at `nowMs`, or null. */
  blamed(nowMs: number): number | null {
    const last = this.#past.at(-1);
    return last !== undefined && nowMs - last.atMs <= LIMITS.QUARANTINE_WINDOW_MS ? last.revision : null;
  }

  /** Goes back to before the newest revision; what that changes, or null if its past is forgotten. */
  revert(): { revision: number; change: Change } | null {
    const last = this.#past.pop();
    if (last === undefined) return null;
    for (const [key, value] of last.undo) {
      if (value === null) this.#entries.delete(key);
      else this.#entries.set(key, value);
    }
    return { revision: last.revision, change: last.undo };
  }
}

// What the log says of the configuration: which changes serve, what is wrong, and when that is over. Each once, and
// bounded.

import type { ObjectKey } from '../api/object.ts';
import { objectText, type Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Timers } from '../base/timers.ts';

/** What a revision came of. */
interface Revision {
  readonly revision: number;
  readonly changed: readonly ObjectKey[];
  readonly removed: readonly ObjectKey[];
}

export class Journal {
  readonly #log: Logger;
  readonly #timers: Timers;
  readonly #locate: (problem: Problem) => Problem;
  /** What was last said to be wrong, by whom. */
  readonly #told = new Map<string, readonly Problem[]>();
  /** What is wrong by now, by whom, and not said yet. */
  readonly #settling = new Map<string, readonly Problem[]>();
  #unsettle: (() => void) | null = null;
  #begun = false;
  /** Revisions that not every worker serves yet. */
  #pending: Revision[] = [];
  /** Those that are served and not told of yet. */
  #served: Revision[] = [];
  #resting = false;

  /** `locate`: adds file, line and column where an object came from a file. */
  constructor(log: Logger, timers: Timers, locate: (problem: Problem) => Problem) {
    this.#log = log;
    this.#timers = timers;
    this.#locate = locate;
  }

  /** Replaces what was wrong under `origin`: says what is new and what is over. */
  problems(origin: string, problems: readonly Problem[]): void {
    this.#settling.delete(origin);
    this.#compare([[origin, problems]]);
  }

  /**
   * The same of what objects mean together, once nothing has changed it for a moment: while files are copied one by
   * one, a route is there before its Gateway, and nobody has to be told of that. Before the first `settled` not at all.
   */
  meaning(origin: string, problems: readonly Problem[]): void {
    if (this.#begun) this.#unsettle ??= this.#timers.after(LIMITS.PROBLEMS_SETTLE_MS, () => this.settled());
    this.#settling.set(origin, problems);
  }

  /** What is wrong is said now. */
  settled(): void {
    this.#begun = true;
    this.#unsettle?.();
    this.#unsettle = null;
    const all = [...this.#settling];
    this.#settling.clear();
    this.#compare(all);
  }

  #compare(all: readonly (readonly [origin: string, problems: readonly Problem[]])[]): void {
    const fresh: Problem[] = [];
    const over: Problem[] = [];
    for (const [origin, problems] of all) {
      const before = new Map((this.#told.get(origin) ?? []).map((p) => [identity(p), p]));
      const now = new Set(problems.map(identity));
      if (problems.length === 0) this.#told.delete(origin);
      else this.#told.set(origin, problems);
      fresh.push(...problems.filter((p) => !before.has(identity(p))));
      // What only reads otherwise now is not over.
      const still = new Set(problems.map(placeOf));
      over.push(...[...before].filter(([id, p]) => !now.has(id) && !still.has(placeOf(p))).map(([, p]) => p));
    }
    const { PROBLEMS_LOGGED: most } = LIMITS;
    for (const problem of fresh.slice(0, most)) {
      const { severity, message, place, effect } = this.#locate(problem);
      const fields = effect === undefined ? { ...place } : { ...place, effect };
      this.#log[severity === 'error' ? 'error' : 'warn'](message, fields);
    }
    if (fresh.length > most) this.#log.warn('more problems at /config/problems', { more: fresh.length - most });
    for (const { message, place } of over.slice(0, most)) {
      const { file, object, field } = place;
      this.#log.info('a problem is over', { was: message, file, object, field });
    }
    if (over.length > most) this.#log.info('more problems are over', { more: over.length - most });
  }

  /** `revision` was made of these changes. */
  revised(revision: Revision): void {
    this.#pending.push(revision);
    if (this.#pending.length > LIMITS.REVISIONS_PENDING) this.#pending.shift();
  }

  /** These changes were read, and what is served stays as it is. */
  unchanged(revision: Revision): void {
    if (revision.changed.length + revision.removed.length > 0) this.#tell('what is served stays as it is', [revision]);
  }

  /** Every worker serves this revision, and with it those before. */
  served(revision: number): void {
    this.#served.push(...this.#pending.filter((p) => p.revision <= revision));
    this.#pending = this.#pending.filter((p) => p.revision > revision);
    if (!this.#resting) this.#flush();
  }

  /** At most one line a second, however much changes. */
  #flush(): void {
    this.#resting = this.#served.length > 0;
    if (!this.#resting) return;
    this.#tell('configuration changed', this.#served);
    this.#served = [];
    this.#timers.after(LIMITS.CHANGES_LOGGED_MS, () => this.#flush());
  }

  #tell(message: string, revisions: readonly Revision[]): void {
    const removed = new Set<ObjectKey>();
    const changed = new Set<ObjectKey>();
    for (const one of revisions) {
      for (const key of one.removed) {
        removed.add(key);
        changed.delete(key);
      }
      for (const key of one.changed) {
        changed.add(key);
        removed.delete(key);
      }
    }
    const files = new Set<string>();
    for (const key of changed) {
      if (files.size > LIMITS.NAMES_LISTED) break;
      const { file } = this.#locate({ severity: 'warning', message: '', place: { object: key } }).place;
      if (file !== undefined) files.add(file);
    }
    this.#log.info(message, {
      revision: revisions.at(-1)?.revision,
      ...(changed.size > 0 ? { changed: listed([...changed].map(objectText)) } : {}),
      ...(removed.size > 0 ? { removed: listed([...removed].map(objectText)) } : {}),
      ...(files.size > 0 ? { files: listed([...files]) } : {}),
    });
  }
}

function placeOf({ place }: Problem): string {
  return JSON.stringify([place.file, place.object, place.field]);
}

/** The same complaint, though it may have moved to another line. */
function identity({ severity, message, place, effect }: Problem): string {
  return JSON.stringify([severity, message, place.file, place.object, place.field, effect]);
}

function listed(names: readonly string[]): string {
  const some = names.slice(0, LIMITS.NAMES_LISTED).sort().join(', ');
  return names.length > LIMITS.NAMES_LISTED ? `${some} and ${names.length - LIMITS.NAMES_LISTED} more` : some;
}

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
    const before = new Map((this.#told.get(origin) ?? []).map((p) => [identity(p), p]));
    const now = new Set(problems.map(identity));
    if (problems.length === 0) this.#told.delete(origin);
    else this.#told.set(origin, problems);
    this.#say(
      problems.filter((p) => !before.has(identity(p))).map((p) => this.#locate(p)),
      ({ severity, message, place, effect }) => {
        const fields = effect === undefined ? { ...place } : { ...place, effect };
        this.#log[severity === 'error' ? 'error' : 'warn'](message, fields);
      },
    );
    // What only reads otherwise now is not over.
    const still = new Set(problems.map(({ place }) => JSON.stringify([place.file, place.object, place.field])));
    const over = [...before].filter(([id]) => !now.has(id)).map(([, p]) => p);
    this.#say(
      over.filter(({ place }) => !still.has(JSON.stringify([place.file, place.object, place.field]))),
      ({ message, place: { file, object, field } }) =>
        this.#log.info('a problem is over', { was: message, file, object, field }),
    );
  }

  #say(problems: readonly Problem[], say: (problem: Problem) => void): void {
    for (const problem of problems.slice(0, LIMITS.PROBLEMS_LOGGED)) say(problem);
    const more = problems.length - LIMITS.PROBLEMS_LOGGED;
    if (more > 0) this.#log.warn('more problems at /config/problems', { more });
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

/** The same complaint, though it may have moved to another line. */
function identity({ severity, message, place, effect }: Problem): string {
  return JSON.stringify([severity, message, place.file, place.object, place.field, effect]);
}

function listed(names: readonly string[]): string {
  const some = names.slice(0, LIMITS.NAMES_LISTED).sort().join(', ');
  return names.length > LIMITS.NAMES_LISTED ? `${some} and ${names.length - LIMITS.NAMES_LISTED} more` : some;
}

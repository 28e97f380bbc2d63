// What is said of kinds that cannot be read, or are not followed any more: not at once, for watches break off all the
// time, and once for all that have the same reason.

import type { Problem } from '../../api/problem.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';

/** How it stands with one kind. */
interface Following {
  readonly kind: string;
  /** It has been read as a whole once. */
  readonly synced: boolean;
  /** Why it is not read or followed just now; null: it is, or nobody expects it to be. */
  readonly reason: string | null;
}

export class Unfollowed {
  readonly #timers: Timers;
  readonly #kinds: () => Iterable<Following>;
  readonly #say: (problems: readonly Problem[]) => void;
  /** What was said, by kind: it stays as long as its first word does, for the rest may be another each time. */
  #said: ReadonlyMap<string, string> = new Map();
  #cancel: (() => void) | null = null;

  /** `say` is given all that is wrong, each time that it may be another; an empty list: nothing any more. */
  constructor(timers: Timers, kinds: () => Iterable<Following>, say: (problems: readonly Problem[]) => void) {
    this.#timers = timers;
    this.#kinds = kinds;
    this.#say = say;
  }

  /** Something may be wrong, or right again. */
  changed(): void {
    this.#cancel ??= this.#timers.after(LIMITS.KUBERNETES_UNFOLLOWED_MS, () => this.#look());
  }

  stop(): void {
    this.#cancel?.();
  }

  #look(): void {
    this.#cancel = null;
    const said = new Map<string, string>();
    const unread = new Set<string>();
    for (const { kind, synced, reason } of this.#kinds()) {
      if (reason === null) continue;
      const before = this.#said.get(kind);
      said.set(kind, before !== undefined && firstWord(before) === firstWord(reason) ? before : reason);
      if (!synced) unread.add(kind);
    }
    if (said.size === 0 && this.#said.size === 0) return;
    this.#said = said;
    const alike = Map.groupBy(
      said.keys(),
      (kind) => `${unread.has(kind) ? 'not read' : 'not followed'}: ${said.get(kind)}`,
    );
    this.#say(
      [...alike].map(([what, kinds]): Problem => {
        const severity = kinds.some((kind) => unread.has(kind)) ? 'error' : 'warning';
        return { severity, message: `${kinds.join(', ')} ${kinds.length > 1 ? 'are' : 'is'} ${what}`, place: {} };
      }),
    );
    if (said.size > 0) this.changed();
  }
}

function firstWord(reason: string): string {
  return reason.slice(0, reason.indexOf(':'));
}

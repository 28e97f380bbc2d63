// Where resources come from. A source delivers whole objects, says when it has delivered everything once, and names
// what it could not read; it never decides what an object means.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';

export interface SourceSink {
  /** Objects that appeared or changed, and keys that vanished, in one step (one file, one batch of watch events). */
  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void;
  /** Replaces everything earlier said under `origin` (a file path, a kind); an empty list means it is whole again. */
  problems(origin: string, problems: readonly Problem[]): void;
  /** Everything there was at the start has been delivered. */
  synced(): void;
}

export interface Source {
  start(sink: SourceSink): void;
  stop(): Promise<void>;
  /** Rereads everything (SIGHUP). */
  rescan(): void;
  /**
   * Of `kind` (one of BY_REFERENCE in api/kinds.ts) exactly these are referred to from now on. A source that can fetch
   * by name delivers no others; one that has everything at hand has no need of it.
   */
  want?(kind: string, keys: ReadonlySet<ObjectKey>): void;
}

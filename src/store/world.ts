// The desired world as the translator sees it: objects by kind and name, and what a revision changed.

import type { KubeObject, ObjectKey } from '../api/object.ts';

/** Read-only view of the store at one revision. */
export interface World {
  get(kind: string, namespace: string | undefined, name: string): KubeObject | undefined;
  /** Of a kind, those that `index` (store/index.ts) files under `value`. */
  by(index: string, value: string): Iterable<KubeObject>;
}

/** What a revision changed: keys of objects that appeared, changed or vanished. */
export interface Changes {
  readonly keys: ReadonlySet<ObjectKey>;
}

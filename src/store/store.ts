// The desired world in memory. Sources apply to it; the translator, the publisher and the admin server read it.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { keptSecret } from '../api/tls-secret.ts';
import { equal } from '../base/equal.ts';
import { bucketName, bucketsOf } from './index.ts';
import type { World } from './world.ts';

/** Written by tools for themselves and as large as the object: nobody here reads it. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

export class Store implements World {
  readonly #kinds = new Map<string, Map<ObjectKey, KubeObject>>();
  readonly #buckets = new Map<string, Map<ObjectKey, KubeObject>>();
  readonly #readOfStatus: (object: KubeObject) => unknown;

  /** `readOfStatus`: what of an object's status anybody reads; nothing unless said. */
  constructor(readOfStatus: (object: KubeObject) => unknown = () => undefined) {
    this.#readOfStatus = readOfStatus;
  }

  /**
   * Takes objects over and forgets others; returns the keys of those that really appeared, changed or vanished.
   * `restated` is given those of which nothing changed but what nobody reads of the status.
   */
  apply(
    upserts: readonly KubeObject[],
    removals: readonly ObjectKey[],
    restated: Set<ObjectKey> | null = null,
  ): Set<ObjectKey> {
    const changed = new Set<ObjectKey>();
    for (const key of removals) if (this.#remove(key)) changed.add(key);
    for (const object of upserts) {
      const news = this.#upsert(object);
      if (news === 'nothing') continue;
      const key = keyOf(object);
      // In one delivery it may come twice: a change of meaning is not made up for.
      if (news === 'all') restated?.delete(key);
      else if (!changed.has(key)) restated?.add(key);
      changed.add(key);
    }
    return changed;
  }

  get(kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#kinds.get(kind)?.get(`${kind}/${namespace ?? ''}/${name}`);
  }

  by(index: string, value: string): Iterable<KubeObject> {
    return this.#buckets.get(bucketName(index, value))?.values() ?? [];
  }

  /** Every object, in no particular order. */
  *all(): Iterable<KubeObject> {
    for (const objects of this.#kinds.values()) yield* objects.values();
  }

  /** Keys of the objects of one kind. */
  keysOf(kind: string): Iterable<ObjectKey> {
    return this.#kinds.get(kind)?.keys() ?? [];
  }

  /** Keys of every object, for a first translation. */
  *keys(): Iterable<ObjectKey> {
    for (const objects of this.#kinds.values()) yield* objects.keys();
  }

  get size(): number {
    let n = 0;
    for (const objects of this.#kinds.values()) n += objects.size;
    return n;
  }

  /** What of it is new: nothing, what nobody reads of its status alone, or (whatever that is) all. */
  #upsert(incoming: KubeObject): 'nothing' | 'status' | 'all' {
    const object = trim(incoming);
    const key = keyOf(object);
    let objects = this.#kinds.get(object.kind);
    if (objects === undefined) {
      objects = new Map();
      this.#kinds.set(object.kind, objects);
    }
    const old = objects.get(key);
    // An equal object is stored too: its resourceVersion is what the next status write must name.
    if (old !== undefined) this.#unfile(key, old);
    objects.set(key, object);
    for (const name of bucketsOf(object)) {
      const bucket = this.#buckets.get(name);
      if (bucket === undefined) this.#buckets.set(name, new Map([[key, object]]));
      else bucket.set(key, object);
    }
    if (old === undefined) return 'all';
    if (equalObjects(old, object)) return 'nothing';
    if (!equalObjects({ ...old, status: object.status }, { ...object, status: object.status })) return 'all';
    return equal(this.#readOfStatus(old), this.#readOfStatus(object)) ? 'status' : 'all';
  }

  #remove(key: ObjectKey): boolean {
    const objects = this.#kinds.get(key.slice(0, key.indexOf('/')));
    const old = objects?.get(key);
    if (objects === undefined || old === undefined) return false;
    this.#unfile(key, old);
    objects.delete(key);
    return true;
  }

  #unfile(key: ObjectKey, object: KubeObject): void {
    for (const name of bucketsOf(object)) {
      const bucket = this.#buckets.get(name);
      bucket?.delete(key);
      if (bucket?.size === 0) this.#buckets.delete(name);
    }
  }
}

/** Without what only the API server's bookkeeping needs, and as short as it can be. The argument is left as it was. */
function trim(object: KubeObject): KubeObject {
  const metadata = object.metadata as KubeObject['metadata'] & { readonly managedFields?: unknown };
  const annotations = metadata.annotations;
  const applied = annotations !== undefined && annotations !== null && LAST_APPLIED in annotations;
  if (metadata.managedFields === undefined && !applied) return keptSecret(object);
  const { managedFields: _, ...kept } = metadata;
  if (!applied) return keptSecret({ ...object, metadata: kept });
  const { [LAST_APPLIED]: __, ...others } = annotations;
  return keptSecret({ ...object, metadata: { ...kept, annotations: others } });
}

/** Equal in everything but resourceVersion, which also moves when nothing else does. */
function equalObjects(a: KubeObject, b: KubeObject): boolean {
  const { metadata: ma, ...ra } = a;
  const { metadata: mb, ...rb } = b;
  return equal({ ...ma, resourceVersion: '' }, { ...mb, resourceVersion: '' }) && equal(ra, rb);
}

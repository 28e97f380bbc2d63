// What all files together define: of the same object in several files the one in the first path counts. Gives each
// object its generation and says what changed since the last time.

import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ObjectKey } from '../../store/world.ts';
import type { Place } from '../source.ts';
import type { ConfigFile } from './config-file.ts';

interface Delivered {
  /** As the file says it. */
  readonly said: KubeObject;
  /** As it was delivered, with its generation. */
  readonly object: KubeObject;
}

export interface CatalogChange {
  readonly upserts: readonly KubeObject[];
  readonly removals: readonly ObjectKey[];
  /** Files whose problems may read differently now, the changed ones included. */
  readonly files: ReadonlySet<string>;
}

export class Catalog {
  readonly files = new Map<string, ConfigFile>();
  /** Paths of the files that define an object, sorted. */
  readonly #owners = new Map<ObjectKey, readonly string[]>();
  readonly #delivered = new Map<ObjectKey, Delivered>();

  /** Replaces files by path (null removes one) and returns what that changes. */
  update(changed: ReadonlyMap<string, ConfigFile | null>): CatalogChange {
    const touched = new Set<ObjectKey>();
    const files = new Set(changed.keys());
    for (const [path, file] of changed) {
      const before = this.files.get(path);
      const claims = file?.claims;
      for (const [key, claim] of before?.claims ?? []) {
        const now = claims?.get(key);
        this.#rivals(key, files);
        if (now === undefined) this.#disown(key, path);
        if (now?.object !== claim.object) touched.add(key);
      }
      for (const key of claims?.keys() ?? []) {
        if (before?.claims.has(key)) continue;
        this.#own(key, path);
        touched.add(key);
      }
      if (file === null) this.files.delete(path);
      else this.files.set(path, file);
    }
    const upserts: KubeObject[] = [];
    const removals: ObjectKey[] = [];
    for (const key of touched) {
      this.#rivals(key, files);
      const change = this.#settle(key);
      if (change === 'gone') removals.push(key);
      else if (change !== null) upserts.push(change);
    }
    return { upserts, removals, files };
  }

  /** Where an object of `path` stands first, if that is in another file. */
  firstPlace(key: ObjectKey, path: string): Place | null {
    const first = this.#owners.get(key)?.[0];
    return first === undefined || first === path ? null : (this.files.get(first)?.placeOf(key, '') ?? null);
  }

  placeOf(key: ObjectKey, field: string): Place | null {
    const first = this.#owners.get(key)?.[0];
    return first === undefined ? null : (this.files.get(first)?.placeOf(key, field) ?? null);
  }

  objects(): KubeObject[] {
    return [...this.#delivered.values()].map((d) => d.object);
  }

  #own(key: ObjectKey, path: string): void {
    const owners = this.#owners.get(key);
    this.#owners.set(key, owners === undefined ? [path] : [...owners, path].sort());
  }

  #disown(key: ObjectKey, path: string): void {
    const rest = this.#owners.get(key)?.filter((p) => p !== path) ?? [];
    if (rest.length === 0) this.#owners.delete(key);
    else this.#owners.set(key, rest);
  }

  /** A file that moves or drops an object changes what the others that define it say. */
  #rivals(key: ObjectKey, files: Set<string>): void {
    const owners = this.#owners.get(key);
    if (owners !== undefined && owners.length > 1) for (const path of owners) files.add(path);
  }

  /** What is to be delivered for a key now: its object when that changed, `gone`, or null when nothing did. */
  #settle(key: ObjectKey): KubeObject | 'gone' | null {
    const first = this.#owners.get(key)?.[0];
    const said = first === undefined ? undefined : this.files.get(first)?.claims.get(key)?.object;
    const before = this.#delivered.get(key);
    if (said === undefined) return this.#delivered.delete(key) ? 'gone' : null;
    if (before !== undefined && isDeepStrictEqual(before.said, said)) return null;
    const generation = before?.object.metadata.generation ?? 1;
    const grown = before !== undefined && !sameSpec(before.said, said) ? generation + 1 : generation;
    // Status and resourceVersion of a dump are another cluster's.
    const { status: _, ...rest } = said;
    const { resourceVersion: _version, generation: _generation, ...metadata } = said.metadata;
    const object: KubeObject = { ...rest, metadata: { ...metadata, generation: grown } };
    this.#delivered.set(key, { said, object });
    return object;
  }
}

/** Whether all but metadata and status is equal: what `metadata.generation` counts. */
function sameSpec(a: KubeObject, b: KubeObject): boolean {
  const { metadata: _a, status: _s, ...left } = a;
  const { metadata: _b, status: _t, ...right } = b;
  return isDeepStrictEqual(left, right);
}

// What all files together define: of the same object in several files the one in the first path counts. Gives each
// object its generation and says what changed since the last time.

import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ObjectKey } from '../../api/object.ts';
import type { Place, Problem } from '../../api/problem.ts';
import { LIMITS } from '../../base/limits.ts';
import type { ConfigFile } from './config-file.ts';

interface Delivered {
  /** As the file says it. */
  readonly said: KubeObject;
  /** As it was delivered, with its generation. */
  readonly object: KubeObject;
}

/** The files that define an object of which there are several. */
interface Owners {
  readonly paths: Set<string>;
  /** The first path, which counts; null when that is to be found anew. */
  first: string | null;
}

export interface CatalogChange {
  readonly upserts: readonly KubeObject[];
  readonly removals: readonly ObjectKey[];
  /** Files whose problems may read differently now, the changed ones included. */
  readonly files: ReadonlySet<string>;
}

export class Catalog {
  readonly files = new Map<string, ConfigFile>();
  /** Ages that objects had in an earlier life of this process. */
  readonly #ages: ReadonlyMap<ObjectKey, string>;
  /** A path where there is one, as mostly. */
  readonly #owners = new Map<ObjectKey, string | Owners>();
  /** By path, the objects of a file that other files define too. */
  readonly #contested = new Map<string, Set<ObjectKey>>();
  /** How many objects of each of somebody else's kinds there are, and in which files. */
  readonly #foreign = new Map<string, number>();
  readonly #foreignIn = new Set<string>();
  readonly #delivered = new Map<ObjectKey, Delivered>();

  constructor(ages: ReadonlyMap<ObjectKey, string> = new Map()) {
    this.#ages = ages;
  }

  /**
   * Replaces files by path (null removes one) and returns what that changes. Objects that appear are as old as their
   * files say, or of the age `born` (RFC 3339) when that is given.
   */
  update(changed: ReadonlyMap<string, ConfigFile | null>, born: string | null = null): CatalogChange {
    const touched = new Set<ObjectKey>();
    const files = new Set(changed.keys());
    this.#addRivals(changed.keys(), files);
    for (const [path, file] of changed) {
      const before = this.files.get(path);
      const objects = file?.objects;
      for (const [key, object] of before?.objects ?? []) {
        const now = objects?.get(key);
        if (now === undefined) this.#disown(key, path);
        if (now !== object) touched.add(key);
      }
      for (const key of objects?.keys() ?? []) {
        if (before?.objects.has(key)) continue;
        this.#own(key, path);
        touched.add(key);
      }
      this.#countForeign(path, before, -1);
      this.#countForeign(path, file, 1);
      if (file === null) this.files.delete(path);
      else this.files.set(path, file);
    }
    this.#addRivals(changed.keys(), files);
    const upserts: KubeObject[] = [];
    const removals: ObjectKey[] = [];
    for (const key of touched) {
      const change = this.#settle(key, born);
      if (change === 'gone') removals.push(key);
      else if (change !== null) upserts.push(change);
    }
    return { upserts, removals, files };
  }

  /** What is wrong with a file. */
  problems(path: string): Problem[] {
    const file = this.files.get(path);
    if (file === undefined) return [];
    const elsewhere = new Map<ObjectKey, Place>();
    for (const key of this.#contested.get(path) ?? []) {
      if (elsewhere.size > LIMITS.CONFIG_FILE_PROBLEMS) break;
      if (this.#first(key) !== path && file.objects.has(key)) elsewhere.set(key, this.placeOf(key, '') as Place);
    }
    return file.problems(elsewhere);
  }

  /** One warning for all objects of kinds that are not read here. */
  foreignProblems(): Problem[] {
    if (this.#foreign.size === 0) return [];
    const kinds = [...this.#foreign].sort(([, a], [, b]) => b - a);
    const named = kinds.slice(0, LIMITS.NAMES_LISTED).map(([name, n]) => (n === 1 ? name : `${name} (${n})`));
    const more = kinds.length > named.length ? ` and ${kinds.length - named.length} kinds more` : '';
    const [only] = this.#foreignIn;
    const place = this.#foreignIn.size === 1 ? (this.files.get(only as string) as ConfigFile).foreignPlace : {};
    return [{ severity: 'warning', message: `not read here, ignored: ${named.join(', ')}${more}`, place }];
  }

  #countForeign(path: string, file: ConfigFile | null | undefined, sign: 1 | -1): void {
    for (const [name, n] of file?.foreign ?? []) {
      const count = (this.#foreign.get(name) ?? 0) + sign * n;
      if (count > 0) this.#foreign.set(name, count);
      else this.#foreign.delete(name);
    }
    if (sign === 1 && file && file.foreign.size > 0) this.#foreignIn.add(path);
    else if (sign === -1) this.#foreignIn.delete(path);
  }

  /** Whether an object goes on as it was because its file cannot be read or says it wrongly. */
  keeps(key: ObjectKey): boolean {
    const first = this.#first(key);
    return first !== undefined && this.files.get(first)?.keeps(key) === true;
  }

  placeOf(key: ObjectKey, field: string): Place | null {
    const first = this.#first(key);
    return first === undefined ? null : (this.files.get(first)?.placeOf(key, field) ?? null);
  }

  objects(): KubeObject[] {
    return [...this.#delivered.values()].map((d) => d.object);
  }

  #own(key: ObjectKey, path: string): void {
    const owners = this.#owners.get(key);
    if (owners === undefined || owners === path) {
      this.#owners.set(key, path);
      return;
    }
    if (typeof owners === 'string') {
      this.#owners.set(key, { paths: new Set([owners, path]), first: path < owners ? path : owners });
      this.#contest(key, owners);
    } else {
      owners.paths.add(path);
      if (owners.first !== null && path < owners.first) owners.first = path;
    }
    this.#contest(key, path);
  }

  #contest(key: ObjectKey, path: string): void {
    this.#contested.set(path, (this.#contested.get(path) ?? new Set()).add(key));
  }

  #disown(key: ObjectKey, path: string): void {
    const owners = this.#owners.get(key);
    if (owners === path) this.#owners.delete(key);
    if (owners === undefined || typeof owners === 'string' || !owners.paths.delete(path)) return;
    if (owners.first === path) owners.first = null;
    this.#uncontest(key, path);
    const [last, another] = owners.paths;
    if (last === undefined || another !== undefined) return;
    this.#uncontest(key, last);
    this.#owners.set(key, last);
  }

  #uncontest(key: ObjectKey, path: string): void {
    const keys = this.#contested.get(path);
    keys?.delete(key);
    if (keys?.size === 0) this.#contested.delete(path);
  }

  /** Of several files the one with the first path counts. */
  #first(key: ObjectKey): string | undefined {
    const owners = this.#owners.get(key);
    if (owners === undefined || typeof owners === 'string') return owners;
    if (owners.first !== null) return owners.first;
    let first: string | null = null;
    for (const path of owners.paths) if (first === null || path < first) first = path;
    owners.first = first;
    return first ?? undefined;
  }

  /** A file that moves or drops an object changes what the others that define it say. */
  #addRivals(paths: Iterable<string>, files: Set<string>): void {
    const seen = new Set<ObjectKey>();
    for (const path of paths) for (const key of this.#contested.get(path) ?? []) seen.add(key);
    for (const key of seen) for (const owner of this.#pathsOf(key)) files.add(owner);
  }

  #pathsOf(key: ObjectKey): Iterable<string> {
    const owners = this.#owners.get(key);
    return owners === undefined ? [] : typeof owners === 'string' ? [owners] : owners.paths;
  }

  /** What is to be delivered for a key now: its object when that changed, `gone`, or null when nothing did. */
  #settle(key: ObjectKey, born: string | null): KubeObject | 'gone' | null {
    const first = this.#first(key);
    const said = first === undefined ? undefined : this.files.get(first)?.objects.get(key);
    const before = this.#delivered.get(key);
    if (said === undefined) return this.#delivered.delete(key) ? 'gone' : null;
    if (before !== undefined && isDeepStrictEqual(before.said, said)) return null;
    const generation = before?.object.metadata.generation ?? 1;
    const grown = before !== undefined && !sameSpec(before.said, said) ? generation + 1 : generation;
    // Status and resourceVersion of a dump are another cluster's.
    const { status: _, ...rest } = said;
    const { resourceVersion: _v, generation: _g, creationTimestamp: given, ...metadata } = said.metadata;
    // Once delivered an object keeps its age, whatever its file says.
    const age =
      before === undefined ? (born ?? this.#ages.get(key) ?? given) : before.object.metadata.creationTimestamp;
    const aged = age === undefined ? {} : { creationTimestamp: age };
    const object: KubeObject = { ...rest, metadata: { ...metadata, ...aged, generation: grown } };
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

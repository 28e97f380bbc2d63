// Where symbolic links of the configuration lead: in which folders something may be changed, or put in the place of
// another, that is read by a path elsewhere.

import { readlinkSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';

/** As many links as the kernel follows (path_resolution(7)). */
const LINKS = 40;

export class Links {
  /** By folder and name in it, the paths that are read through it. */
  readonly #paths = new Map<string, Map<string, Set<string>>>();
  /** By path, the places that it leads through. */
  readonly #places = new Map<string, readonly string[]>();

  /** `path` leads where it leads now. `whole`: any part of it may be a link, not the last alone. */
  follow(path: string, whole: boolean): void {
    const places = whole || isForeign(path) ? placesOf(resolve(path)) : [];
    const before = this.#places.get(path) ?? [];
    if (before.length === places.length && before.every((place, i) => place === places[i])) return;
    this.forget(path);
    if (places.length === 0) return;
    this.#places.set(path, places);
    for (const place of places) {
      const names = this.#paths.get(dirname(place)) ?? new Map<string, Set<string>>();
      this.#paths.set(dirname(place), names);
      const paths = names.get(basename(place)) ?? new Set();
      names.set(basename(place), paths.add(path));
    }
  }

  forget(path: string): void {
    for (const place of this.#places.get(path) ?? []) {
      const names = this.#paths.get(dirname(place));
      const paths = names?.get(basename(place));
      paths?.delete(path);
      if (paths?.size === 0) names?.delete(basename(place));
      if (names?.size === 0) this.#paths.delete(dirname(place));
    }
    this.#places.delete(path);
  }

  /** Whether some path leads through `folder`. */
  has(folder: string): boolean {
    return this.#paths.has(folder);
  }

  /** Folders that `path` leads through. */
  foldersOf(path: string): string[] {
    return [...new Set((this.#places.get(path) ?? []).map((place) => dirname(place)))];
  }

  /** The paths that lead through `name` in `folder`; null: through anything there. */
  *through(folder: string, name: string | null): Generator<string> {
    const names = this.#paths.get(folder);
    if (names === undefined) return;
    for (const paths of name === null ? names.values() : [names.get(name) ?? []]) yield* paths;
  }
}

/** Whether it is a link; those of a ConfigMap mount (`..data/NAME`) change with something in their own folder. */
function isForeign(path: string): boolean {
  const target = targetOf(path);
  return target !== null && !/^\.\.[^/]/.test(target);
}

/** Each link on the way to what `path` means, and the end of it; nothing where no part of it is a link. */
function placesOf(path: string): string[] {
  const places: string[] = [];
  const left = path.split(sep).reverse();
  let at: string = sep;
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (name === '' || name === '.') continue;
    const next = name === '..' ? dirname(at) : join(at, name);
    const target = name === '..' ? null : targetOf(next);
    if (target === null) {
      at = next;
      continue;
    }
    places.push(next);
    if (places.length === LINKS) return places;
    if (target.startsWith(sep)) at = sep;
    left.push(...target.split(sep).reverse());
  }
  return places.length === 0 ? [] : [...places, at];
}

function targetOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // No link, or not there.
    return null;
  }
}

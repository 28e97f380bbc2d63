// Everything below some paths, read once: for checking without serving.

import { normalize } from 'node:path';
import type { KubeObject, ObjectKey } from '../../api/object.ts';
import type { Place, Problem } from '../../api/problem.ts';
import type { CheckOptions } from '../../api/schema.ts';
import { Catalog } from './catalog.ts';
import { ConfigFile } from './config-file.ts';
import { readContents } from './disk.ts';
import { Tree } from './tree.ts';

export interface Reading {
  readonly objects: readonly KubeObject[];
  readonly problems: readonly Problem[];
  /** Files read. */
  readonly files: number;
  /** Which of the given paths cannot be read, and why. */
  readonly unreadable: readonly Problem[];
  placeOf(key: ObjectKey, field: string): Place | null;
}

/** `given`: the contents of files that are none, under the names by which they are spoken of. */
export function readAll(
  paths: readonly string[],
  options: CheckOptions = {},
  given: ReadonlyMap<string, Uint8Array> = new Map(),
): Reading {
  const roots = [...new Set(paths.map((p) => normalize(p).replace(/(.)\/+$/, '$1')))];
  const catalog = new Catalog();
  const files = new Map<string, ConfigFile>();
  for (const [name, bytes] of given) files.set(name, new ConfigFile(name, options).next(bytes));
  const problems: Problem[] = [];
  const unreadable: Problem[] = [];
  const tree = new Tree(roots, {
    *file(path, stamp) {
      const contents = readContents(path, stamp);
      if (contents.kind === 'missing') return;
      const empty = new ConfigFile(path, options);
      if (contents.kind === 'error') empty.failure = contents.message;
      files.set(path, contents.kind === 'found' ? yield* empty.reading(contents.bytes) : empty);
      tree.taken(path, stamp);
    },
    givenUp: () => true,
    fileGone: (path) => files.delete(path),
    folder: () => {},
    folderGone: () => {},
    trouble: (path, message) => {
      if (message === null) return;
      const problem: Problem = { severity: 'error', message, place: { file: path } };
      (roots.includes(path) ? unreadable : problems).push(problem);
    },
  });
  for (const root of roots) for (const _ of tree.visit(root));
  catalog.update(files);
  for (const path of files.keys()) problems.push(...catalog.problems(path));
  problems.push(...catalog.foreignProblems());
  return {
    objects: catalog.objects(),
    problems,
    files: files.size,
    unreadable,
    placeOf: (key, field) => catalog.placeOf(key, field),
  };
}

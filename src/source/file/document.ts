// One chunk of a file read: its objects, checked, and what is wrong with it, by offsets within the chunk. A chunk whose
// text has not changed is not read again, wherever in the file it has moved to.

import { hash } from 'node:crypto';
import { type KubeObject, keyOf, type ObjectKey } from '../../api/object.ts';
import type { Problem } from '../../api/problem.ts';
import { type CheckOptions, checkObject } from '../../api/schema.ts';
import { keptSecret } from '../../api/tls-secret.ts';
import { tight } from '../../base/tight.ts';
import { readPlainSecret } from './plain-secret.ts';
import { suspectOf, suspectsIn } from './suspects.ts';
import { type Parsed, parseChunk, parsing } from './yaml.ts';

export interface LocalProblem extends Problem {
  /** Within the chunk. */
  readonly offset: number;
}

export interface ReadObject {
  /** Null when it does not say what it is. */
  readonly key: ObjectKey | null;
  /** Null when it is wrong. */
  readonly object: KubeObject | null;
  /** Which value of the chunk, and the field path of the object within it (`items[2]`, or empty). */
  readonly value: number;
  readonly base: string;
  readonly offset: number;
}

export interface ReadChunk {
  /**
   * The same text may stand at another offset of a newer file; the newer copy replaces it, so that no old file is held.
   */
  text: string;
  /**
   * Digest of the text where that is not kept: all that its objects hold is kept in a shorter form (api/tls-secret.ts).
   */
  readonly digest: string | null;
  readonly objects: readonly ReadObject[];
  readonly problems: readonly LocalProblem[];
  /** Kinds of objects that are somebody else's (`Deployment of apps/v1`), and where the first stands. */
  readonly foreign: readonly { readonly name: string; readonly offset: number }[];
  /** It could not be parsed, or does not say of which object it speaks: what it defines is not known. */
  readonly broken: boolean;
}

/** Others may have a turn at each step: there may be thousands of objects in one List. */
export function* readingChunk(text: string, options: CheckOptions): Generator<void, ReadChunk> {
  const secret = options.cel === undefined ? readPlainSecret(text, options.defaultNamespace ?? 'default') : null;
  if (secret === null) return yield* readingByRule(text, options);
  yield;
  const { object, offset } = secret;
  options.found?.(object);
  const read: ReadObject = { key: keyOf(object), object, value: 0, base: '', offset };
  return { text: '', digest: digestOf(text), objects: [read], problems: NONE, foreign: NONE, broken: false };
}

/** The same for whatever there is, without the reader of Secrets that are plain. */
export function* readingByRule(text: string, options: CheckOptions): Generator<void, ReadChunk> {
  const parsed = yield* parsing(text);
  const problems: LocalProblem[] = parsed.problems.map((p) => ({
    severity: p.severity,
    message: p.message,
    place: {},
    offset: p.offset,
    ...(p.severity === 'error' ? { hides: suspectsIn(text) } : {}),
  }));
  const objects: ReadObject[] = [];
  const foreign: { name: string; offset: number }[] = [];
  for (const [index, value] of parsed.values.entries()) {
    for (const [item, base] of items(value)) {
      yield;
      const checked = checkObject(item, options);
      const offset = parsed.locate(index, base);
      const nameless = checked.key === null && checked.problems.some(isError) ? { hides: [suspectOf(item)] } : {};
      for (const problem of checked.problems) problems.push({ ...located(problem, parsed, index, base), ...nameless });
      if (checked.foreign !== null) foreign.push({ name: checked.foreign, offset });
      else if (checked.key !== null || checked.problems.some(isError))
        objects.push({ key: checked.key, object: kept(checked.object, options), value: index, base, offset });
    }
  }
  const broken = parsed.problems.some(isError) || objects.some((o) => o.key === null);
  const secret = objects.length > 0 && objects.every(({ object }) => object?.kind === 'Secret');
  return {
    text: secret ? '' : text,
    digest: secret ? digestOf(text) : null,
    objects: exact(objects),
    problems: exact(problems),
    foreign: exact(foreign),
    broken,
  };
}

function kept(object: KubeObject | null, { found }: CheckOptions): KubeObject | null {
  if (object === null) return null;
  const whole = tight(keptSecret(object));
  found?.(whole);
  return whole;
}

/**
 * By which a chunk is looked for: a text that is looked for in a Map is copied by V8 (internalized), and the copy stays
 * as long as anything of the text does.
 */
export function digestOf(text: string): string {
  return hash('sha256', text, 'base64');
}

const NONE: readonly never[] = [];

/** Without room to grow; of most chunks there is nothing to tell. */
function exact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice();
}

function isError({ severity }: { readonly severity: 'error' | 'warning' }): boolean {
  return severity === 'error';
}

function located(problem: Problem, parsed: Parsed, value: number, base: string): LocalProblem {
  return { ...problem, offset: parsed.locate(value, join(base, problem.place.field ?? '')) };
}

function join(base: string, field: string): string {
  if (base === '' || field === '') return base + field;
  return field.startsWith('[') ? base + field : `${base}.${field}`;
}

/**
 * Offset of a field of one of the chunk's objects. Parses the chunk again, for its nodes are not kept; where its text
 * is not kept either, that of the object.
 */
export function locateInChunk(chunk: ReadChunk, object: ReadObject, field: string): number {
  if (chunk.digest !== null) return object.offset;
  return parseChunk(chunk.text).locate(object.value, join(object.base, field));
}

/** The objects of a value with their paths: itself, or the items of a List, which may leave out what the list says. */
function items(value: unknown): [unknown, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[value, '']];
  const { kind, apiVersion, items: list } = value as Record<string, unknown>;
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(list)) return [[value, '']];
  const itemKind = kind.slice(0, -'List'.length);
  return list.map((item: unknown, i) => {
    const whole = typeof item !== 'object' || item === null || Array.isArray(item) || itemKind === '';
    return [whole ? item : { apiVersion, kind: itemKind, ...item }, `items[${i}]`];
  });
}

// One configuration file: its text cut into chunks, the objects it defines, and its problems with line and column.

import { isUtf8 } from 'node:buffer';
import type { KubeObject, ObjectKey } from '../../api/object.ts';
import type { Place, Problem } from '../../api/problem.ts';
import type { CheckOptions } from '../../api/schema.ts';
import { LIMITS } from '../../base/limits.ts';
import { locateInChunk, type ReadChunk, type ReadObject } from './document.ts';
import { EMPTY, layingOut } from './layout.ts';
import { Lines } from './lines.ts';
import { atOnce } from './yaml.ts';

/** Objects that are somebody else's: how many of each kind, and where the first stands. */
export interface Foreign {
  readonly counts: ReadonlyMap<string, number>;
  readonly offset: number;
}

const NO_FOREIGN: Foreign = { counts: new Map(), offset: 0 };

export class ConfigFile {
  readonly path: string;
  /** The objects it defines, the ones it only keeps included. */
  objects: ReadonlyMap<ObjectKey, KubeObject> = new Map();
  /** Why the file itself cannot be read; null when it can. */
  failure: string | null = null;
  /** Whether the last line is whole: editors and programs end files so, and half-written ones seldom do. */
  endsWithNewline = true;
  #layout = EMPTY;
  /** Where each object that it defines stands: its chunk and its place in it. */
  #places: ReadonlyMap<ObjectKey, { readonly chunk: number; readonly read: ReadObject }> = new Map();
  #lines = new Lines('');
  /** Keys of objects that it no longer says but keeps, for it cannot be read as a whole, or the object is wrong now. */
  #kept: ReadonlySet<ObjectKey> = new Set();
  /** Second definitions within this file: key and offset. */
  #doubles: readonly { key: ObjectKey; offset: number }[] = [];
  #foreign: Foreign = NO_FOREIGN;
  /** Complaints about the file as a whole. */
  #whole: readonly Problem[] = [];

  readonly #options: CheckOptions;

  /** `options`: how its objects are checked. */
  constructor(path: string, options: CheckOptions = {}) {
    this.path = path;
    this.#options = options;
  }

  get empty(): boolean {
    return this.#layout.chunks.length === 0;
  }

  /** Whether anything in it could not be parsed. */
  get broken(): boolean {
    return this.#layout.chunks.some((c) => c.broken);
  }

  /** Whether anything in it is broken, or an object wrong. */
  get wrong(): boolean {
    return (
      this.#whole.length > 0 ||
      this.#layout.chunks.some((c) => c.broken || c.objects.some((o) => o.key !== null && o.object === null))
    );
  }

  /** Whether it says the object now. */
  defines(key: ObjectKey): boolean {
    return this.objects.has(key) && !this.#kept.has(key);
  }

  /** A file of these bytes that reuses the unchanged chunks of this one and keeps what can no longer be read. */
  next(bytes: Uint8Array): ConfigFile {
    return atOnce(this.reading(bytes));
  }

  /** The same, where others may have a turn at each step. */
  *reading(bytes: Uint8Array): Generator<void, ConfigFile> {
    const file = new ConfigFile(this.path, this.#options);
    yield* file.#read(bytes, this);
    return file;
  }

  *#read(bytes: Uint8Array, before: ConfigFile): Generator<void> {
    if (!isUtf8(bytes)) {
      this.#keep(before, `not UTF-8 (byte ${firstBadByte(bytes) + 1})`);
      return;
    }
    let text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
    if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    const layout = yield* layingOut(text, before.#layout, LIMITS.CONFIG_FILE_DOCUMENTS, this.#options);
    if (layout === null) {
      this.#keep(before, `more than ${LIMITS.CONFIG_FILE_DOCUMENTS} documents`);
      return;
    }
    this.#layout = layout;
    this.#lines = new Lines(text, layout.text !== null);
    this.endsWithNewline = text === '' || text.endsWith('\n');
    this.#claim(before);
  }

  /** As `before`, with a complaint about the whole file. */
  #keep(before: ConfigFile, message: string): void {
    this.#layout = before.#layout;
    this.#places = before.#places;
    this.#lines = before.#lines;
    this.endsWithNewline = before.endsWithNewline;
    this.#doubles = before.#doubles;
    this.#foreign = before.#foreign;
    this.objects = before.objects;
    this.#kept = before.#kept;
    this.#whole = [{ severity: 'error', message, place: { file: this.path, line: 1, column: 1 } }];
  }

  #claim(before: ConfigFile): void {
    const objects = new Map<ObjectKey, KubeObject>();
    const places = new Map<ObjectKey, { readonly chunk: number; readonly read: ReadObject }>();
    const doubles: { key: ObjectKey; offset: number }[] = [];
    const wrong: ObjectKey[] = [];
    const foreign = new Map<string, number>();
    let first = -1;
    this.#layout.chunks.forEach((chunk, i) => {
      for (const { name, offset } of chunk.foreign) {
        foreign.set(name, (foreign.get(name) ?? 0) + 1);
        if (first < 0) first = (this.#layout.starts[i] as number) + offset;
      }
      for (const read of chunk.objects) {
        const { key, object, offset } = read;
        if (key === null) continue;
        if (objects.has(key)) doubles.push({ key, offset: (this.#layout.starts[i] as number) + offset });
        else if (object === null) wrong.push(key);
        else {
          objects.set(key, object);
          places.set(key, { chunk: i, read });
        }
      }
    });
    // What cannot be read keeps what it last said: a wrong object itself, a broken document whatever is missing now.
    const kept = new Set<ObjectKey>();
    for (const key of this.broken ? before.objects.keys() : wrong) {
      const object = before.objects.get(key);
      if (object === undefined || objects.has(key)) continue;
      objects.set(key, object);
      kept.add(key);
    }
    this.objects = objects;
    this.#places = places;
    this.#kept = kept;
    this.#doubles = doubles;
    this.#foreign = foreign.size === 0 ? NO_FOREIGN : { counts: foreign, offset: first };
  }

  /** Objects of somebody else's kinds: how many of each. */
  get foreign(): ReadonlyMap<string, number> {
    return this.#foreign.counts;
  }

  /** Where the first of those stands. */
  get foreignPlace(): Place {
    return this.#position(this.#foreign.offset);
  }

  /** What is wrong; `first`: where objects of this file stand already, in other files. */
  problems(first: ReadonlyMap<ObjectKey, Place>): Problem[] {
    const file = this.path;
    const effect = this.objects.size > 0 ? AS_BEFORE : NOT_SERVED;
    if (this.failure !== null) return [{ severity: 'error', message: this.failure, place: { file }, ...effect }];
    const found: Problem[] = this.#whole.map((problem) => ({ ...problem, ...effect }));
    this.#layout.chunks.forEach((chunk, i) => {
      for (const { offset, ...problem } of chunk.problems) {
        const { severity, place } = problem;
        found.push({
          ...problem,
          place: { ...place, ...this.#position((this.#layout.starts[i] as number) + offset) },
          ...(severity === 'error' ? this.#effect(place.object) : {}),
        });
      }
    });
    for (const { key, offset } of this.#doubles) {
      found.push(doubled(key, this.#position(offset), this.placeOf(key, '')));
    }
    for (const [key, place] of first) {
      if (this.defines(key)) found.push(doubled(key, this.placeOf(key, ''), place));
    }
    if (found.length <= LIMITS.CONFIG_FILE_PROBLEMS) return found;
    const rest = found.length - LIMITS.CONFIG_FILE_PROBLEMS;
    const more: Problem = {
      severity: 'error',
      message: `and ${rest} problems more`,
      place: { file, line: 1, column: 1 },
    };
    return [...found.slice(0, LIMITS.CONFIG_FILE_PROBLEMS), more];
  }

  /** What an error means: for the object that it is about, or for whatever a broken document defines. */
  #effect(object: ObjectKey | undefined): Pick<Problem, 'effect'> {
    if (object === undefined) return this.#kept.size > 0 ? AS_BEFORE : NOT_SERVED;
    if (this.#kept.has(object)) return AS_BEFORE;
    return this.objects.has(object) ? {} : NOT_SERVED;
  }

  /** Whether it no longer says the object, but keeps it as it last was. */
  keeps(key: ObjectKey): boolean {
    return this.objects.has(key) && (this.#kept.has(key) || this.#whole.length > 0 || this.failure !== null);
  }

  /** Where a field of an object stands; of the object when the field is not written. */
  placeOf(key: ObjectKey, field: string): Place {
    const place: Place = { file: this.path, object: key };
    const found = this.#places.get(key);
    if (found === undefined) return place;
    const { chunks, starts } = this.#layout;
    const { chunk, read } = found;
    const offset = field === '' ? read.offset : locateInChunk(chunks[chunk] as ReadChunk, read, field);
    return { ...place, ...this.#position((starts[chunk] as number) + offset) };
  }

  #position(offset: number): Place {
    return { file: this.path, ...this.#lines.at(offset) };
  }
}

const AS_BEFORE = { effect: 'goes on as before' } as const;
const NOT_SERVED = { effect: 'is not served' } as const;

function doubled(key: ObjectKey, place: Place, first: Place): Problem {
  const where = `${first.file}${first.line === undefined ? '' : `:${first.line}:${first.column}`}`;
  return {
    severity: 'error',
    message: `already defined in ${where}, ignored here: each may stand once`,
    place: { ...place, object: key },
  };
}

/** Index of the first byte that makes the bytes no UTF-8. */
function firstBadByte(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  // The longest good prefix, up to the at most three bytes of a character cut by the probe.
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    let good = false;
    for (let cut = 0; cut < 4 && !good; cut++) good = isUtf8(bytes.subarray(0, middle - cut));
    if (good) low = middle;
    else high = middle;
  }
  let cut = 0;
  while (!isUtf8(bytes.subarray(0, low - cut))) cut++;
  return low - cut;
}

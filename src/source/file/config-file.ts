// One configuration file: its text cut into chunks, the objects it defines, and its problems with line and column.

import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../../base/limits.ts';
import type { KubeObject, ObjectKey } from '../../store/world.ts';
import type { Place, Problem } from '../source.ts';
import { locateInChunk, type ReadChunk, type ReadObject, readChunk } from './document.ts';
import { Lines } from './lines.ts';
import { split } from './yaml.ts';

/** An object as a file defines it. */
export interface Claim {
  readonly object: KubeObject;
  /** Where it stands now; null when the file no longer says it but cannot be read as a whole, so that it is kept. */
  readonly at: { readonly chunk: number; readonly read: ReadObject } | null;
}

export class ConfigFile {
  readonly path: string;
  claims: ReadonlyMap<ObjectKey, Claim> = new Map();
  /** Why the file itself cannot be read; null when it can. */
  failure: string | null = null;
  #text = '';
  #chunks: readonly ReadChunk[] = [];
  #starts: readonly number[] = [];
  #lines = new Lines('');
  /** Second definitions within this file: key and offset. */
  #doubles: readonly { key: ObjectKey; offset: number }[] = [];
  /** Complaints about the file as a whole. */
  #whole: readonly Problem[] = [];

  constructor(path: string) {
    this.path = path;
  }

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Whether anything in it could not be parsed. */
  get broken(): boolean {
    return this.#chunks.some((c) => c.broken);
  }

  /** Whether anything in it is broken, or an object wrong. */
  get wrong(): boolean {
    return (
      this.#whole.length > 0 ||
      this.#chunks.some((c) => c.broken || c.objects.some((o) => o.key !== null && o.object === null))
    );
  }

  /** Whether it says the object now. */
  defines(key: ObjectKey): boolean {
    return (this.claims.get(key)?.at ?? null) !== null;
  }

  /** A file of these bytes that reuses the unchanged chunks of this one and keeps what can no longer be read. */
  next(bytes: Uint8Array): ConfigFile {
    const file = new ConfigFile(this.path);
    file.#read(bytes, this);
    return file;
  }

  #read(bytes: Uint8Array, before: ConfigFile): void {
    if (!isUtf8(bytes)) {
      this.#keep(before, `not UTF-8 (byte ${firstBadByte(bytes) + 1})`);
      return;
    }
    let text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
    if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    const parts = split(text);
    if (parts.length > LIMITS.CONFIG_FILE_DOCUMENTS) {
      this.#keep(before, `more than ${LIMITS.CONFIG_FILE_DOCUMENTS} documents`);
      return;
    }
    this.#text = text;
    this.#lines = new Lines(text);
    this.#starts = parts.map((p) => p.start);
    this.#chunks = reread(parts, before.#chunks);
    this.#claim(before);
  }

  /** As `before`, with a complaint about the whole file. */
  #keep(before: ConfigFile, message: string): void {
    this.#text = before.#text;
    this.#lines = before.#lines;
    this.#starts = before.#starts;
    this.#chunks = before.#chunks;
    this.#doubles = before.#doubles;
    this.claims = before.claims;
    this.#whole = [{ severity: 'error', message, place: { file: this.path, line: 1, column: 1 } }];
  }

  #claim(before: ConfigFile): void {
    const claims = new Map<ObjectKey, Claim>();
    const doubles: { key: ObjectKey; offset: number }[] = [];
    const wrong = new Set<ObjectKey>();
    this.#chunks.forEach((chunk, i) => {
      for (const read of chunk.objects) {
        if (read.key === null) continue;
        if (claims.has(read.key)) doubles.push({ key: read.key, offset: (this.#starts[i] as number) + read.offset });
        else if (read.object === null) wrong.add(read.key);
        else claims.set(read.key, { object: read.object, at: { chunk: i, read } });
      }
    });
    // What cannot be read keeps what it last said: a wrong object itself, a broken document whatever is missing now.
    if (this.broken)
      for (const [key, claim] of before.claims) if (!claims.has(key)) claims.set(key, { ...claim, at: null });
    for (const key of wrong) {
      const claim = before.claims.get(key);
      if (claim !== undefined && !claims.has(key)) claims.set(key, { ...claim, at: null });
    }
    this.claims = claims;
    this.#doubles = doubles;
  }

  /** What is wrong; `firstPlace` says where an object of this file stands first, if that is another file. */
  problems(firstPlace: (key: ObjectKey) => Place | null): Problem[] {
    const file = this.path;
    if (this.failure !== null) return [{ severity: 'error', message: this.failure, place: { file } }];
    const found: Problem[] = [...this.#whole];
    this.#chunks.forEach((chunk, i) => {
      for (const { severity, message, place, offset } of chunk.problems) {
        found.push({ severity, message, place: { ...place, ...this.#position((this.#starts[i] as number) + offset) } });
      }
    });
    for (const { key, offset } of this.#doubles) {
      found.push(doubled(key, this.#position(offset), this.placeOf(key, '')));
    }
    for (const [key, claim] of this.claims) {
      const first = claim.at === null ? null : firstPlace(key);
      if (first !== null) found.push(doubled(key, this.placeOf(key, ''), first));
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

  /** Where a field of an object stands; of the object when the field is not written. */
  placeOf(key: ObjectKey, field: string): Place {
    const at = this.claims.get(key)?.at ?? null;
    if (at === null) return { file: this.path, object: key };
    const chunk = this.#chunks[at.chunk] as ReadChunk;
    const offset = field === '' ? at.read.offset : locateInChunk(chunk, at.read, field);
    return { ...this.#position((this.#starts[at.chunk] as number) + offset), object: key };
  }

  #position(offset: number): Place {
    return { file: this.path, ...this.#lines.at(offset) };
  }

  /** Whether the last line is whole: editors and programs end files so, and half-written ones seldom do. */
  get endsWithNewline(): boolean {
    return this.#text === '' || this.#text.endsWith('\n');
  }
}

function doubled(key: ObjectKey, place: Place, first: Place): Problem {
  const where = `${first.file}${first.line === undefined ? '' : `:${first.line}:${first.column}`}`;
  return { severity: 'error', message: `already defined in ${where}, ignored here`, place: { ...place, object: key } };
}

/** Reads the parts, taking over chunks of the same text: by position first, then wherever they stood. */
function reread(parts: readonly { text: string }[], before: readonly ReadChunk[]): ReadChunk[] {
  let byText: Map<string, ReadChunk> | null = null;
  const lengthened = parts.length - before.length;
  return parts.map(({ text }, i) => {
    let known: ReadChunk | undefined = before[i];
    if (known?.text !== text) known = before[i - lengthened];
    if (known?.text !== text && before.length > 0) {
      byText ??= new Map(before.map((c) => [c.text, c]));
      known = byText.get(text);
    }
    if (known === undefined || known.text !== text) return readChunk(text);
    known.text = text;
    return known;
  });
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

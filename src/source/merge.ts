// Several sources as one, by precedence: of an object that more than one delivers, that of the first source counts, and
// when it goes the next one's comes to light. Who is covered is told so.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import type { Source, SourceSink } from './source.ts';

export interface NamedSource {
  /** As messages name it: `the files`. */
  readonly name: string;
  readonly source: Source;
}

export class Merge implements Source {
  readonly #sources: readonly NamedSource[];
  /** What each source last said of a key, by the source's place in the order; where nothing stands it says nothing. */
  readonly #said = new Map<ObjectKey, (KubeObject | undefined)[]>();
  #waitingFor: number;
  #sink: SourceSink | null = null;

  /** `sources`: the first has precedence. */
  constructor(sources: readonly NamedSource[]) {
    this.#sources = sources;
    this.#waitingFor = sources.length;
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.#sources.forEach(({ name, source }, i) => {
      source.start({
        apply: (upserts, removals) => this.#apply(i, upserts, removals),
        // Origins of two sources may be called the same.
        problems: (origin, problems) => sink.problems(i === 0 ? origin : `${name}: ${origin}`, problems),
        synced: () => {
          if (--this.#waitingFor === 0) sink.synced();
        },
      });
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sources.map(({ source }) => source.stop()));
  }

  rescan(): void {
    for (const { source } of this.#sources) source.rescan();
  }

  want(kind: string, keys: ReadonlySet<ObjectKey>): void {
    for (const { source } of this.#sources) source.want?.(kind, keys);
  }

  #apply(place: number, upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    const changes = new Map<ObjectKey, KubeObject | null>();
    for (const key of removals) this.#say(place, key, undefined, changes);
    for (const object of upserts) this.#say(place, keyOf(object), object, changes);
    const come: KubeObject[] = [];
    const gone: ObjectKey[] = [];
    for (const [key, object] of changes) {
      if (object === null) gone.push(key);
      else come.push(object);
    }
    if (come.length > 0 || gone.length > 0) this.#sink?.apply(come, gone);
  }

  /** A source says this of a key now. What that changes goes into `changes`. */
  #say(
    place: number,
    key: ObjectKey,
    object: KubeObject | undefined,
    changes: Map<ObjectKey, KubeObject | null>,
  ): void {
    const said = this.#said.get(key) ?? [];
    const before = said.find((o) => o !== undefined);
    const covered = this.#covered(said);
    said[place] = object;
    const now = said.find((o) => o !== undefined);
    if (now === undefined) this.#said.delete(key);
    else this.#said.set(key, said);
    if (now !== before) changes.set(key, now ?? null);
    const after = this.#covered(said);
    if (covered !== after) this.#tell(key, after);
  }

  /** Of a key that several deliver, whose counts and whose does not; null when nobody is covered. */
  #covered(said: readonly (KubeObject | undefined)[]): string | null {
    if (this.#sources.length < 2) return null;
    const names = this.#sources.filter((_, i) => said[i] !== undefined).map(({ name }) => name);
    if (names.length < 2) return null;
    return `comes from ${names.join(' and ')}; ${names[0]} count`;
  }

  #tell(key: ObjectKey, message: string | null): void {
    const problems: Problem[] = message === null ? [] : [{ severity: 'warning', message, place: { object: key } }];
    this.#sink?.problems(`merge ${key}`, problems);
  }
}

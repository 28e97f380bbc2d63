// What each unit of translation has read, so that a change recomputes what it can reach and nothing else. A unit is one
// class, Gateway, route or cluster; reading goes through a Reader, which notes every key and index bucket it is asked
// for, found or not. Thus no unit declares what it depends on, and none can forget to.

import { BY_REFERENCE } from '../api/kinds.ts';
import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import { bucketName } from '../store/index.ts';
import type { World } from '../store/world.ts';

export type Unit = string;
/** An object's key, an index bucket's name, or a fact (see translator.ts). */
export type Fact = string;

/** Facts that begin so stand for the use of an object: it is asked whether anybody reads them. */
const USE = 'use of ';

export function useOf(object: ObjectKey): Fact {
  return `${USE}${object}`;
}

export class Dependencies {
  readonly #reads = new Map<Unit, readonly Fact[]>();
  /** Mostly one, or a few: a list of two takes a tenth of what a set of two does. */
  readonly #readers = new Map<Fact, Unit | Unit[] | Set<Unit>>();

  /** Of kinds that are fetched by reference, the keys that some unit reads. */
  readonly #wanted = new Map<string, Set<Fact>>(BY_REFERENCE.map((kind) => [kind, new Set()]));
  #changed = new Set<string>();
  /** Objects that are used, and those of which that has changed. */
  readonly #used = new Set<ObjectKey>();
  #uses: ObjectKey[] = [];

  isUsed(object: ObjectKey): boolean {
    return this.#used.has(object);
  }

  /** Objects that came into use or are used no more, since this was last asked. */
  takeUses(): readonly ObjectKey[] {
    const uses = this.#uses;
    if (uses.length > 0) this.#uses = [];
    return uses;
  }

  /** By kind, what is read of it now, where that has changed since this was last asked. */
  takeWanted(): Map<string, ReadonlySet<ObjectKey>> {
    const changed = this.#changed;
    this.#changed = new Set();
    return new Map([...changed].map((kind) => [kind, this.#wanted.get(kind) as Set<Fact>]));
  }

  #note(fact: Fact, read: boolean): void {
    if (fact.startsWith(USE)) {
      const object = fact.slice(USE.length);
      if (read) this.#used.add(object);
      else this.#used.delete(object);
      this.#uses.push(object);
      return;
    }
    const kind = fact.slice(0, Math.max(fact.indexOf('/'), 0));
    const wanted = this.#wanted.get(kind);
    if (wanted === undefined) return;
    if (read) wanted.add(fact);
    else wanted.delete(fact);
    this.#changed.add(kind);
  }

  /** Replaces what `unit` depends on. */
  set(unit: Unit, facts: ReadonlySet<Fact>): void {
    const before = this.#reads.get(unit);
    if (before !== undefined) for (const fact of before) if (!facts.has(fact)) this.#drop(fact, unit);
    for (const fact of facts) {
      const readers = this.#readers.get(fact);
      if (readers === undefined) {
        this.#readers.set(fact, unit);
        this.#note(fact, true);
      } else {
        const now = withReader(readers, unit);
        if (now !== readers) this.#readers.set(fact, now);
      }
    }
    // A list of ten takes a quarter of what a set of ten does.
    this.#reads.set(unit, [...facts]);
  }

  forget(unit: Unit): void {
    for (const fact of this.#reads.get(unit) ?? []) this.#drop(fact, unit);
    this.#reads.delete(unit);
  }

  /** Units that read `fact` when they were last computed. */
  readersOf(fact: Fact): Iterable<Unit> {
    const readers = this.#readers.get(fact);
    return readers === undefined ? [] : typeof readers === 'string' ? [readers] : readers;
  }

  #drop(fact: Fact, unit: Unit): void {
    const readers = this.#readers.get(fact);
    if (readers === undefined) return;
    if (typeof readers === 'string') {
      if (readers !== unit) return;
    } else if (Array.isArray(readers)) {
      const left = readers.filter((reader) => reader !== unit);
      if (left.length > 0) return void this.#readers.set(fact, left);
    } else {
      readers.delete(unit);
      if (readers.size > 0) return;
    }
    this.#readers.delete(fact);
    this.#note(fact, false);
  }
}

/** Readers of one fact that are looked for one by one. */
const FEW_READERS = 8;

function withReader(readers: Unit | Unit[] | Set<Unit>, unit: Unit): Unit | Unit[] | Set<Unit> {
  if (typeof readers === 'string') return readers === unit ? readers : [readers, unit];
  if (!Array.isArray(readers)) return readers.add(unit);
  if (readers.includes(unit)) return readers;
  return readers.length < FEW_READERS ? [...readers, unit] : new Set([...readers, unit]);
}

/** A world that notes what is read from it. */
export class Reader {
  readonly facts = new Set<Fact>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  get(kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
    this.facts.add(objectKey(kind, namespace, name));
    return this.#world.get(kind, namespace, name);
  }

  /** Sorted by name, so that the order in which objects arrived shows nowhere. */
  by(index: string, value: string): KubeObject[] {
    this.facts.add(bucketName(index, value));
    return [...this.#world.by(index, value)].sort(byName);
  }

  note(fact: Fact): void {
    this.facts.add(fact);
  }
}

function byName(a: KubeObject, b: KubeObject): number {
  return compare(a.metadata.namespace ?? '', b.metadata.namespace ?? '') || compare(a.metadata.name, b.metadata.name);
}

/** Order of texts by code units: the same on every machine, whatever its locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// Secrets and ConfigMaps are fetched by name, one watch each: RAUTA reads none that nothing refers to. Where many of
// one namespace are wanted, one watch of the namespace is cheaper for the server; what else comes by it is dropped.

import type { ObjectKey } from '../../api/object.ts';
import { LIMITS } from '../../base/limits.ts';
import type { RawName, Reflector } from './reflector.ts';

/** Makes a reflector of one object, or of a whole namespace (name null). */
export type MakeReflector = (namespace: string, name: string | null) => Reflector;

interface Space {
  /** Names that are wanted. */
  wanted: ReadonlySet<string>;
  /** By name; '' is the whole namespace. */
  readonly reflectors: Map<string, Reflector>;
}

export class Named {
  readonly kind: string;
  readonly #namespaces: readonly string[];
  readonly #make: MakeReflector;
  readonly #spaces = new Map<string, Space>();

  constructor(kind: string, namespaces: readonly string[], make: MakeReflector) {
    this.kind = kind;
    this.#namespaces = namespaces;
    this.#make = make;
  }

  get reflectors(): Reflector[] {
    return [...this.#spaces.values()].flatMap((space) => [...space.reflectors.values()]);
  }

  wants(key: ObjectKey): boolean {
    const [, namespace = '', name = ''] = key.split('/');
    return this.#spaces.get(namespace)?.wanted.has(name) === true;
  }

  /** Exactly these from now on; returns the keys of those that were wanted and are no longer. */
  want(keys: Iterable<ObjectKey>): ObjectKey[] {
    const next = new Map<string, Set<string>>();
    for (const key of keys) {
      const [kind, namespace = '', name = ''] = key.split('/');
      if (kind !== this.kind || namespace === '' || name === '') continue;
      if (this.#namespaces.length > 0 && !this.#namespaces.includes(namespace)) continue;
      const names = next.get(namespace);
      if (names === undefined) next.set(namespace, new Set([name]));
      else names.add(name);
    }
    const gone: ObjectKey[] = [];
    for (const namespace of new Set([...this.#spaces.keys(), ...next.keys()]))
      this.#settle(namespace, next.get(namespace) ?? new Set(), gone);
    return gone;
  }

  #settle(namespace: string, wanted: ReadonlySet<string>, gone: ObjectKey[]): void {
    const space: Space = this.#spaces.get(namespace) ?? { wanted: new Set(), reflectors: new Map() };
    this.#spaces.set(namespace, space);
    const before = space.wanted;
    space.wanted = wanted;
    for (const name of before) if (!wanted.has(name)) gone.push(`${this.kind}/${namespace}/${name}`);
    const whole = space.reflectors.get('');
    if (wanted.size === 0) {
      for (const reflector of space.reflectors.values()) reflector.stop();
      this.#spaces.delete(namespace);
    } else if (whole !== undefined) {
      this.#keep(space, (name) => name === '' || wanted.has(name));
      // What was dropped when it came is needed now: it is fetched by itself, or all are where these are many.
      const fresh = [...wanted].filter((name) => !before.has(name) && !space.reflectors.has(name));
      if (space.reflectors.size + fresh.length <= LIMITS.KUBERNETES_NAMED)
        for (const name of fresh) this.#start(space, namespace, name);
      else if (fresh.length > 0) whole.relist('asked');
    } else if (wanted.size > LIMITS.KUBERNETES_NAMED) {
      const old = [...space.reflectors.values()];
      for (const reflector of old) reflector.stop();
      space.reflectors.clear();
      this.#start(
        space,
        namespace,
        '',
        old.flatMap((reflector) => [...reflector.names]),
      );
    } else {
      this.#keep(space, (name) => wanted.has(name));
      for (const name of wanted) if (!space.reflectors.has(name)) this.#start(space, namespace, name);
    }
  }

  /** Where the namespace is watched as a whole, what was fetched by itself is followed by that from now on. */
  prune(): void {
    for (const space of this.#spaces.values()) {
      if (space.reflectors.get('')?.health.synced !== true) continue;
      this.#keep(space, (name) => name === '' || space.reflectors.get(name)?.health.synced !== true);
    }
  }

  #keep({ reflectors }: Space, is: (name: string) => boolean): void {
    for (const [name, reflector] of reflectors) {
      if (is(name)) continue;
      reflector.stop();
      reflectors.delete(name);
    }
  }

  #start(space: Space, namespace: string, name: string, known: readonly RawName[] = []): void {
    const reflector = this.#make(namespace, name === '' ? null : name);
    reflector.adopt(known);
    space.reflectors.set(name, reflector);
    reflector.start();
  }
}

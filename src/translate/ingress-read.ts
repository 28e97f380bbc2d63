// One Ingress's annotations as they are read: by name, with what is wrong of each.

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { flagOf } from '../base/flag-text.ts';
import { shown } from './read.ts';

export interface Reading<T> {
  /** Why nothing of the Ingress may be served. */
  readonly refused: string | null;
  readonly value: T;
}

export class Annotations {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #problems: Problems;
  readonly #asked = new Set<string>();
  /** Empty ones that are told. */
  readonly #empty = new Set<string>();

  constructor(ingress: KubeObject, problems: Problems) {
    this.#values = fields(ingress.metadata.annotations);
    this.#problems = problems;
  }

  /** As in ingress-nginx an empty one counts as not there: charts write them. */
  text(name: string): string | null {
    const value = this.written(name);
    if (value === null || value.trim() !== '') return value;
    if (!this.#empty.has(name)) this.idle(name, 'It is empty, and counts as not there.');
    this.#empty.add(name);
    return null;
  }

  /** The same of what keeps somebody out: an empty one is there. */
  written(name: string): string | null {
    this.#asked.add(name);
    return this.peek(name);
  }

  /** As it stands, without its being taken for read. */
  peek(name: string): string | null {
    const value = this.#values[name];
    return typeof value === 'string' ? value : null;
  }

  /** `fallback` where it is not there or is neither. */
  flag(name: string, fallback: boolean): boolean {
    const value = this.text(name);
    if (value === null) return fallback;
    const said = flagOf(value);
    if (said !== null) return said;
    this.wrong(name, `must be "true" or "false", in quotes, not ${shown(value)}`);
    return fallback;
  }

  wrong(name: string, message: string): void {
    this.#problems.error(`metadata.annotations[${name}]`, message);
  }

  /** Without it things work, but not as its author may think. */
  idle(name: string, message: string): void {
    this.#problems.warning(`metadata.annotations[${name}]`, message);
  }

  /** Annotations of `prefix` that nobody asked for. */
  left(prefix: string): string[] {
    return Object.keys(this.#values).filter((name) => name.startsWith(prefix) && !this.#asked.has(name));
  }
}

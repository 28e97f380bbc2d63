// One Ingress's annotations as they are read: by name, with what is wrong of each.

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
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

  constructor(ingress: KubeObject, problems: Problems) {
    this.#values = fields(ingress.metadata.annotations);
    this.#problems = problems;
  }

  text(name: string): string | null {
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
    if (value === 'true' || value === 'false') return value === 'true';
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

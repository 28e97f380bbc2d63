// Collects the complaints about one object. Values of secret kinds never get into a message.

import type { Problem } from '../source/source.ts';

export type Fields = Readonly<Record<string, unknown>>;

export class Report {
  readonly problems: Problem[] = [];
  errors = 0;
  readonly #secret: boolean;

  constructor(secret: boolean) {
    this.#secret = secret;
  }

  error(field: string, message: string): void {
    this.errors++;
    this.problems.push({ severity: 'error', message, place: { field } });
  }

  warning(field: string, message: string): void {
    this.problems.push({ severity: 'warning', message, place: { field } });
  }

  /** `, not "x"`: the offending value, short and escaped; nothing for secret kinds. */
  not(value: unknown): string {
    if (this.#secret) return '';
    const json = JSON.stringify(value) ?? 'undefined';
    return `, not ${json.length > 80 ? `${json.slice(0, 77)}...` : json}`;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The kind of a JSON value in words. */
export function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'number') return 'a number';
  return typeof value === 'boolean' ? 'a boolean' : 'a string';
}

/** The path of a field: `spec.rules`, or in brackets when its name is not a plain word: `data[tls.crt]`. */
export function at(path: string, name: string): string {
  if (!/^[\w-]+$/.test(name)) return `${path}[${name}]`;
  return path === '' ? name : `${path}.${name}`;
}

/** Sets a field whose name comes from outside: `__proto__` is a name like any other. */
export function setField(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') {
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  } else target[name] = value;
}

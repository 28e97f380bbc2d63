// A small file of the system, parsed, and parsed again when it has changed.

import { readFileSync, statSync } from 'node:fs';

export class SmallFile<T> {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #parse: (text: string) => T;
  #state = '';
  #value: T;

  /** A file that is missing, unreadable or longer than `maxBytes` counts as empty. */
  constructor(path: string, maxBytes: number, parse: (text: string) => T) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#parse = parse;
    this.#value = parse('');
  }

  get value(): T {
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    const state = found === undefined ? '' : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs}`;
    if (state === this.#state) return this.#value;
    this.#state = state;
    this.#value = this.#parse(found !== undefined && found.size <= this.#maxBytes ? this.#read() : '');
    return this.#value;
  }

  #read(): string {
    try {
      return readFileSync(this.#path, 'utf8');
    } catch {
      return '';
    }
  }
}

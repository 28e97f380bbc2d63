// Who may ask (AccessControlFilter): by the client's address, the method and the path, before anything else of a rule.

import { bytesOf, equalAt, textOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Access } from '../../ir/ir.ts';
import type { Head } from '../head.ts';
import { AddressRanges } from '../ranges.ts';
import { normalizedPath, plainestPath } from '../route/normalize.ts';
import { FilterError } from './field-edits.ts';

const SLASH = 0x2f;
const scratch = new Uint8Array(LIMITS.URI_BYTES);

interface Path {
  /** Normalised; of a prefix without its trailing slash. */
  readonly bytes: Uint8Array;
  readonly exact: boolean;
}

export class CompiledAccess {
  readonly #allows: boolean;
  /** null: of any. */
  readonly #clients: AddressRanges | null;
  readonly #methods: readonly Uint8Array[];
  readonly #paths: readonly Path[];
  /** A connection names its client by the same bytes each time: it is looked up once. */
  readonly #known = new WeakMap<Uint8Array, boolean>();

  /** Throws when a range or a path is none. */
  constructor({ effect, ranges, methods, paths }: Access) {
    this.#allows = effect === 'allow';
    this.#clients = ranges.length === 0 ? null : new AddressRanges(ranges, 'access control');
    this.#methods = methods.map(bytesOf);
    this.#paths = paths.map(({ type, value }) => compiledPath(value, type === 'Exact'));
  }

  /** Whether the request may go on. `client`: its address, ASCII. The path is normalised. */
  permits(mem: Uint8Array, head: Head, client: Uint8Array): boolean {
    return this.#means(mem, head, client) === this.#allows;
  }

  #means(mem: Uint8Array, head: Head, client: Uint8Array): boolean {
    return this.#isMethod(mem, head) && this.#isPath(mem, head) && this.#isClient(client);
  }

  #isMethod(mem: Uint8Array, head: Head): boolean {
    const methods = this.#methods;
    if (methods.length === 0) return true;
    const length = head.methodEnd - head.methodStart;
    for (let i = 0; i < methods.length; i++) {
      const method = methods[i] as Uint8Array;
      if (method.length === length && equalAt(mem, head.methodStart, method)) return true;
    }
    return false;
  }

  #isPath(mem: Uint8Array, head: Head): boolean {
    const { pathStart, pathEnd } = head;
    if (this.#paths.length === 0 || this.#covers(mem, pathStart, pathEnd)) return true;
    // Whoever is kept out of /a gets no further by /a%2Fb or /a;x, which some backends read as what is kept shut.
    return !this.#allows && this.#covers(scratch, 0, plainestPath(scratch, mem, pathStart, pathEnd));
  }

  #covers(mem: Uint8Array, start: number, end: number): boolean {
    const paths = this.#paths;
    const length = end - start;
    for (let i = 0; i < paths.length; i++) {
      const { bytes, exact } = paths[i] as Path;
      if (length < bytes.length || (exact && length > bytes.length)) continue;
      if (!equalAt(mem, start, bytes)) continue;
      if (length === bytes.length || mem[start + bytes.length] === SLASH) return true;
    }
    return false;
  }

  #isClient(client: Uint8Array): boolean {
    if (this.#clients === null) return true;
    let known = this.#known.get(client);
    if (known === undefined) {
      known = this.#clients.has(textOf(client));
      this.#known.set(client, known);
    }
    return known;
  }
}

/** Prefixes are of whole elements, as those of rules (HTTPPathMatch). */
function compiledPath(value: string, exact: boolean): Path {
  const path = normalizedPath(bytesOf(value));
  if (path === null) throw new FilterError(`access control: path ${JSON.stringify(value)} is not a valid path`);
  let end = path.length;
  if (!exact) while (end > 0 && path[end - 1] === SLASH) end--;
  return { bytes: path.slice(0, end), exact };
}

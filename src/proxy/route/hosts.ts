// Hostnames: exact ones, wildcards ('*.example.com': one or more labels under it) and '*', found by the bytes of a request's
// host. One pass from right to left folds the case and hashes every suffix that begins a label, so that exact and wildcard
// lookups need no further reading.

import { bytesOf } from '../../base/bytes.ts';
import { ByteTable } from './byte-table.ts';

const DOT = 0x2e;
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5 | 0;
/** A DNS name has 253 characters at the most (RFC 1035 section 2.3.4); longer hosts can still be under a wildcard. */
const NAME_BYTES = 256;

/** The host of one request, lower case, and its suffixes. Reused for every request. */
export class HostReader {
  readonly bytes = new Uint8Array(NAME_BYTES);
  /** Where the name begins in `bytes`; it ends at NAME_BYTES. */
  start = NAME_BYTES;
  hash = FNV_OFFSET;
  /** The bytes hold the whole name. */
  whole = true;
  /** Number of suffixes behind a dot; the shortest first. */
  suffixes = 0;
  readonly suffixStart = new Int32Array(NAME_BYTES / 2);
  readonly suffixHash = new Int32Array(NAME_BYTES / 2);

  /** Reads mem[start..end): a host without its port. One trailing dot (a fully qualified name) is ignored. */
  read(mem: Uint8Array, start: number, end: number): void {
    const last = end > start && mem[end - 1] === DOT ? end - 1 : end;
    const first = last - start > NAME_BYTES - 1 ? last - (NAME_BYTES - 1) : start;
    const bytes = this.bytes;
    let at = NAME_BYTES;
    let hash = FNV_OFFSET;
    let suffixes = 0;
    for (let i = last - 1; i >= first; i--) {
      let c = mem[i] as number;
      if (c >= 0x41 && c <= 0x5a) c |= 0x20;
      // A dot at the very beginning has no label before it, which a wildcard needs; empty suffixes are none.
      else if (c === DOT && i > start && at < NAME_BYTES && suffixes < NAME_BYTES / 2) {
        this.suffixStart[suffixes] = at;
        this.suffixHash[suffixes] = hash;
        suffixes++;
      }
      bytes[--at] = c;
      hash = Math.imul(hash ^ c, FNV_PRIME);
    }
    this.start = at;
    this.hash = hash;
    this.whole = first === start;
    this.suffixes = suffixes;
  }
}

interface Key {
  readonly label: Uint8Array;
  readonly hash: number;
}

/** Label and hash as HostReader would read them. */
function keyOf(name: string): Key {
  const label = bytesOf(name);
  let hash = FNV_OFFSET;
  for (let i = label.length - 1; i >= 0; i--) hash = Math.imul(hash ^ (label[i] as number), FNV_PRIME);
  return { label, hash };
}

export class HostMap<V> {
  /** Under '*'. */
  any: V | null = null;
  readonly #exact = new ByteTable<V>();
  readonly #wildcard = new ByteTable<V>();
  /** All of them by name, for changes. */
  readonly #names = new Map<string, V>();

  get size(): number {
    return this.#names.size;
  }
  get(hostname: string): V | undefined {
    return this.#names.get(hostname);
  }
  values(): IterableIterator<V> {
    return this.#names.values();
  }

  /** Adds a hostname that is not in the map: '*', '*.suffix' or exact, lower case. */
  add(hostname: string, value: V): void {
    this.#names.set(hostname, value);
    if (hostname === '*') {
      this.any = value;
    } else if (hostname.startsWith('*.')) {
      const { label, hash } = keyOf(hostname.slice(2));
      this.#wildcard.add(hash, label, value);
    } else {
      const { label, hash } = keyOf(hostname);
      this.#exact.add(hash, label, value);
    }
  }

  remove(hostname: string): void {
    if (!this.#names.delete(hostname)) return;
    if (hostname === '*') {
      this.any = null;
    } else if (hostname.startsWith('*.')) {
      const { label, hash } = keyOf(hostname.slice(2));
      this.#wildcard.remove(hash, label);
    } else {
      const { label, hash } = keyOf(hostname);
      this.#exact.remove(hash, label);
    }
  }

  exact(host: HostReader): V | null {
    if (this.#exact.size === 0 || !host.whole) return null;
    return this.#exact.find(host.hash, host.bytes, host.start, NAME_BYTES);
  }

  /** The wildcard whose suffix is number `i` of the host's suffixes; begin with suffixes - 1, the longest. */
  wildcard(host: HostReader, i: number): V | null {
    return this.#wildcard.find(host.suffixHash[i] as number, host.bytes, host.suffixStart[i] as number, NAME_BYTES);
  }
  get hasWildcards(): boolean {
    return this.#wildcard.size !== 0;
  }

  /** The most specific: exact, then the wildcard with the longest suffix, then '*'. */
  best(host: HostReader): V | null {
    const exact = this.exact(host);
    if (exact !== null) return exact;
    if (this.#wildcard.size !== 0) {
      for (let i = host.suffixes - 1; i >= 0; i--) {
        const value = this.wildcard(host, i);
        if (value !== null) return value;
      }
    }
    return this.any;
  }
}

// Hostnames: exact ones, wildcards ('*.example.com': one or more labels under it) and '*', found by the bytes of a request's
// host. One pass from right to left folds the case and hashes every suffix that begins a label, so that exact and wildcard
// lookups need no further reading.

import { bytesOf } from '../../base/bytes.ts';
import { ByteTable, type Entry } from './byte-table.ts';

const DOT = 0x2e;
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5 | 0;
/** A DNS name has 253 characters at the most (RFC 1035 section 2.3.4); longer hosts can still be under a wildcard. */
const NAME_BYTES = 256;
const MAX_SUFFIXES = NAME_BYTES / 2;

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
  readonly suffixStart = new Int32Array(MAX_SUFFIXES);
  readonly suffixHash = new Int32Array(MAX_SUFFIXES);

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
      // A dot at the very beginning has no label before it, which a wildcard needs; nor is there a suffix behind the last one.
      else if (c === DOT && i > start && at < NAME_BYTES && suffixes < MAX_SUFFIXES) {
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

/** The key of a hostname: without '*.', as HostReader reads it. */
export function hostKey(hostname: string): Uint8Array {
  return bytesOf(hostname.startsWith('*.') ? hostname.slice(2) : hostname);
}

/** Hash of a key as HostReader computes it. */
export function hostHash(key: Uint8Array): number {
  let hash = FNV_OFFSET;
  for (let i = key.length - 1; i >= 0; i--) hash = Math.imul(hash ^ (key[i] as number), FNV_PRIME);
  return hash;
}

/** Entries by hostname; an entry's key and hash are hostKey and hostHash of it. */
export class HostMap<E extends Entry> {
  /** Under '*'. */
  any: E | null = null;
  readonly #exact = new ByteTable<E>();
  readonly #wildcard = new ByteTable<E>();

  get size(): number {
    return this.#exact.size + this.#wildcard.size + Number(this.any !== null);
  }
  get hasWildcards(): boolean {
    return this.#wildcard.size !== 0;
  }

  /** The entry of a hostname as configuration writes it: '*', '*.suffix' or exact, lower case. */
  get(hostname: string): E | null {
    if (hostname === '*') return this.any;
    const key = hostKey(hostname);
    return this.#tableOf(hostname).find(hostHash(key), key, 0, key.length);
  }

  /** Adds an entry whose hostname is not in the map. */
  add(hostname: string, entry: E): void {
    if (hostname === '*') this.any = entry;
    else this.#tableOf(hostname).add(entry);
  }

  /** Takes out an entry that is in the map. */
  remove(hostname: string, entry: E): void {
    if (hostname === '*') this.any = null;
    else this.#tableOf(hostname).remove(entry);
  }

  #tableOf(hostname: string): ByteTable<E> {
    return hostname.startsWith('*.') ? this.#wildcard : this.#exact;
  }

  exact(host: HostReader): E | null {
    if (this.#exact.size === 0 || !host.whole) return null;
    return this.#exact.find(host.hash, host.bytes, host.start, NAME_BYTES);
  }

  /** The wildcard whose suffix is number `i` of the host's suffixes; suffixes - 1 is the longest. */
  wildcard(host: HostReader, i: number): E | null {
    return this.#wildcard.find(host.suffixHash[i] as number, host.bytes, host.suffixStart[i] as number, NAME_BYTES);
  }

  /** The most specific: exact, then the wildcard with the longest suffix, then '*'. */
  best(host: HostReader): E | null {
    const exact = this.exact(host);
    if (exact !== null) return exact;
    if (this.#wildcard.size !== 0) {
      for (let i = host.suffixes - 1; i >= 0; i--) {
        const entry = this.wildcard(host, i);
        if (entry !== null) return entry;
      }
    }
    return this.any;
  }
}

// Hostnames: exact ones, wildcards ('*.example.com': one or more labels under it; '?.example.com': one) and '*', found
// by the bytes of a request's host. It is read once, four bytes at a time; only where there are wildcards it is read
// again, from right to left, to hash every suffix that begins a label.

import { bytesOf, viewOf } from '../../base/bytes.ts';
import { ByteTable, type Entry } from './byte-table.ts';

const DOT = 0x2e;
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5 | 0;
/** A DNS name has 253 characters at the most (RFC 1035 section 2.3.4); longer hosts can still be under a wildcard. */
const NAME_BYTES = 256;
const MAX_SUFFIXES = NAME_BYTES / 2;
/**
 * Folds letters; of the other bytes that a host can have none becomes one that it can have ('_' is 0x7f then, '[' is
 * '{').
 */
const FOLD = 0x20;
const FOLD_WORD = 0x20202020;

/** The host of one request, folded, and its suffixes. Reused for every request. */
export class HostReader {
  readonly #bytes = new Uint8Array(NAME_BYTES);
  /** The name begins at 0. */
  readonly words = new DataView(this.#bytes.buffer);
  length = 0;
  hash = 0;
  /** The bytes hold the whole name. */
  whole = true;
  /** Number of suffixes behind a dot, once `split`; the shortest first. */
  suffixes = 0;
  readonly suffixStart = new Int32Array(MAX_SUFFIXES);
  readonly suffixHash = new Int32Array(MAX_SUFFIXES);
  #isSplit = false;

  /** Reads mem[start..end): a host without its port. One trailing dot (a fully qualified name) is ignored. */
  read(mem: Uint8Array, start: number, end: number): void {
    const last = end > start && mem[end - 1] === DOT ? end - 1 : end;
    const first = last - start > NAME_BYTES - 1 ? last - (NAME_BYTES - 1) : start;
    const from = viewOf(mem);
    const to = this.words;
    const length = last - first;
    let hash = length;
    let at = 0;
    for (; at + 4 <= length; at += 4) {
      const word = from.getInt32(first + at, true) | FOLD_WORD;
      to.setInt32(at, word, true);
      hash = mixed(hash, word);
    }
    for (; at < length; at++) {
      const byte = from.getUint8(first + at) | FOLD;
      to.setUint8(at, byte);
      hash = mixed(hash, byte);
    }
    this.length = length;
    this.hash = hash;
    this.whole = first === start;
    this.#isSplit = false;
  }

  /** Finds the suffixes of what was read. */
  split(): void {
    if (this.#isSplit) return;
    this.#isSplit = true;
    const bytes = this.#bytes;
    // A dot at the very beginning has no label before it, which a wildcard needs; nor is there a suffix behind the last
    // one.
    const first = this.whole ? 1 : 0;
    let hash = FNV_OFFSET;
    let suffixes = 0;
    for (let i = this.length - 1; i >= first; i--) {
      const c = bytes[i] as number;
      if (c === DOT && i < this.length - 1 && suffixes < MAX_SUFFIXES) {
        this.suffixStart[suffixes] = i + 1;
        this.suffixHash[suffixes] = hash;
        suffixes++;
      }
      hash = Math.imul(hash ^ c, FNV_PRIME);
    }
    this.suffixes = suffixes;
  }
}

function mixed(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, FNV_PRIME);
  return h ^ (h >>> 15);
}

/** A hostname with '*.' or '?.' in front. */
function isWildcard(hostname: string): boolean {
  return hostname.startsWith('*.') || hostname.startsWith('?.');
}

/** The key of a hostname: without '*.' and '?.', as HostReader reads it. */
export function hostKey(hostname: string): Uint8Array {
  const key = bytesOf(isWildcard(hostname) ? hostname.slice(2) : hostname);
  for (let i = 0; i < key.length; i++) key[i] = (key[i] as number) | FOLD;
  return key;
}

/**
 * Hash of the key of a hostname as HostReader computes it: of a wildcard that of a suffix, else that of a whole name.
 */
export function hostHash(hostname: string): number {
  const key = hostKey(hostname);
  if (isWildcard(hostname)) return key.reduceRight((hash, byte) => Math.imul(hash ^ byte, FNV_PRIME), FNV_OFFSET);
  let hash = key.length;
  let at = 0;
  for (; at + 4 <= key.length; at += 4) hash = mixed(hash, wordAt(key, at));
  for (; at < key.length; at++) hash = mixed(hash, key[at] as number);
  return hash;
}

/** Four bytes as HostReader reads them. A view of so short a key would have it moved out of V8's heap. */
function wordAt(key: Uint8Array, at: number): number {
  const [a, b, c, d] = [key[at], key[at + 1], key[at + 2], key[at + 3]] as [number, number, number, number];
  return a | (b << 8) | (c << 16) | (d << 24);
}

/** Entries by hostname; an entry's key and hash are hostKey and hostHash of it. */
export class HostMap<E extends Entry> {
  /** Under '*'. */
  any: E | null = null;
  readonly #exact = new ByteTable<E>();
  readonly #wildcard = new ByteTable<E>();
  readonly #oneLabel = new ByteTable<E>();

  get size(): number {
    return this.#exact.size + this.#wildcard.size + this.#oneLabel.size + Number(this.any !== null);
  }
  get hasWildcards(): boolean {
    return this.#wildcard.size !== 0 || this.#oneLabel.size !== 0;
  }

  /** The entry of a hostname as configuration writes it: '*', '*.suffix', '?.suffix' or exact, lower case. */
  get(hostname: string): E | null {
    if (hostname === '*') return this.any;
    const key = hostKey(hostname);
    return this.#tableOf(hostname).find(hostHash(hostname), new DataView(key.buffer), 0, key.length);
  }

  /** Adds an entry whose hostname is not in the map. */
  add(hostname: string, entry: E): void {
    if (hostname === '*') this.any = entry;
    else this.#tableOf(hostname).add(entry);
  }

  /** All of them. */
  values(): E[] {
    const tables = [this.#exact, this.#wildcard, this.#oneLabel];
    return [...(this.any === null ? [] : [this.any]), ...tables.flatMap((table) => table.values())];
  }

  /** Takes out an entry that is in the map. */
  remove(hostname: string, entry: E): void {
    if (hostname === '*') this.any = null;
    else this.#tableOf(hostname).remove(entry);
  }

  #tableOf(hostname: string): ByteTable<E> {
    if (!isWildcard(hostname)) return this.#exact;
    return hostname.startsWith('*') ? this.#wildcard : this.#oneLabel;
  }

  exact(host: HostReader): E | null {
    if (this.#exact.size === 0 || !host.whole) return null;
    return this.#exact.find(host.hash, host.words, 0, host.length);
  }

  /** The wildcard for one label whose suffix is all of the host, which is `split`, but its first label. */
  oneLabel(host: HostReader): E | null {
    const i = host.suffixes - 1;
    if (i < 0 || !host.whole || this.#oneLabel.size === 0) return null;
    return this.#oneLabel.find(host.suffixHash[i] as number, host.words, host.suffixStart[i] as number, host.length);
  }

  /** The wildcard whose suffix is number `i` of the host's suffixes, which is `split`; suffixes - 1 is the longest. */
  wildcard(host: HostReader, i: number): E | null {
    return this.#wildcard.find(host.suffixHash[i] as number, host.words, host.suffixStart[i] as number, host.length);
  }

  /** The most specific: exact, then the wildcard with the longest suffix, then '*'. No '?.suffix' is asked for. */
  best(host: HostReader): E | null {
    const exact = this.exact(host);
    if (exact !== null) return exact;
    if (this.#wildcard.size !== 0) {
      host.split();
      for (let i = host.suffixes - 1; i >= 0; i--) {
        const entry = this.wildcard(host, i);
        if (entry !== null) return entry;
      }
    }
    return this.any;
  }
}

// Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section
// 3.4): a table that gives every backend an almost equal share, and of which little changes when a backend comes or
// goes.

import { bytesOf } from '../../../base/bytes.ts';
import { hash32 } from '../../../base/hash.ts';
import { LIMITS } from '../../../base/limits.ts';
import type { Picker } from './types.ts';

/**
 * Each about twice the one before, so that a changing number of backends rarely changes the size (which moves
 * everything).
 */
const PRIMES = [503, 1009, 2003, 4099, 8209, 16_411, 32_771, LIMITS.MAGLEV_ENTRIES] as const;
/** Entries for each backend: at M >= 100 N the shares differ by 1 % at the most (section 5.3). */
const ENTRIES_PER_BACKEND = 100;
export const COMPACT_ENTRIES = 4099;

/** `auto`: by the number of backends; `compact`: COMPACT_ENTRIES whatever their number. */
export type MaglevSize = 'auto' | 'compact';
export type MaglevTable = Uint16Array | Uint32Array;

/** Number of table entries for so many backends: prime, at least 100 for each up to LIMITS.MAGLEV_ENTRIES. */
export function tableSize(backends: number, size: MaglevSize): number {
  if (size === 'compact') return COMPACT_ENTRIES;
  return PRIMES.find((prime) => prime >= backends * ENTRIES_PER_BACKEND) ?? LIMITS.MAGLEV_ENTRIES;
}

export class Maglev implements Picker {
  /** The table holds ranks: positions in the order of identities. */
  readonly table: MaglevTable;
  readonly #entries: number;
  /** The choice of each rank. */
  readonly #choices: Int32Array;

  /** `ids` are the stable identities of the choices, `weights` above 0. */
  constructor(choices: Int32Array, ids: readonly string[], weights: readonly number[], size: MaglevSize) {
    // Ranked by identity, the table does not depend on the order in which the choices were listed.
    const ranked = [...ids.keys()].sort((a, b) => compare(ids[a] as string, ids[b] as string) || a - b);
    this.#choices = Int32Array.from(ranked, (i) => choices[i] as number);
    this.table = sharedTable(
      ranked.map((i) => ids[i] as string),
      ranked.map((i) => weights[i] as number),
      tableSize(ids.length, size),
    );
    this.#entries = this.table.length;
  }

  pick(hash: number): number {
    return this.#choices[this.table[hash % this.#entries] as number] as number;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Tables in use, by what they were built from: equal sets of backends share one. */
const tables = new Map<string, WeakRef<MaglevTable>>();
let sweepAt = 64;

function sharedTable(ids: readonly string[], weights: readonly number[], entries: number): MaglevTable {
  const key = JSON.stringify([entries, ids, weights]);
  const known = tables.get(key)?.deref();
  if (known !== undefined) return known;
  const table = buildTable(ids, weights, entries);
  tables.set(key, new WeakRef(table));
  if (tables.size >= sweepAt) {
    for (const [other, ref] of tables) if (ref.deref() === undefined) tables.delete(other);
    sweepAt = Math.max(64, tables.size * 2);
  }
  return table;
}

/**
 * Fills a table of `entries` (a prime) with ranks. Each backend walks the table in an order of its own, `offset + n *
 * skip`, and takes the next free entry of it when its turn comes; of a lower weight, it is left out of as many turns.
 */
export function buildTable(ids: readonly string[], weights: readonly number[], entries: number): MaglevTable {
  const n = ids.length;
  const table = n <= 0xffff ? new Uint16Array(entries) : new Uint32Array(entries);
  if (n === 0) throw new RangeError('a Maglev table needs a backend');
  const next = new Uint32Array(n);
  const skip = new Uint32Array(n);
  ids.forEach((id, i) => {
    const bytes = bytesOf(id);
    next[i] = hash32(bytes, 0, bytes.length, OFFSET_SEED) % entries;
    skip[i] = (hash32(bytes, 0, bytes.length, SKIP_SEED) % (entries - 1)) + 1;
  });
  const heaviest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  // A backend takes part in the turn in which the sum of its shares reaches the next whole number (as Envoy weighs it).
  const share = Float64Array.from(weights, (weight) => weight / heaviest);
  const credit = new Float64Array(n);
  const taken = new Uint8Array(entries);
  for (let filled = 0; ; ) {
    for (let i = 0; i < n; i++) {
      const earned = (credit[i] as number) + (share[i] as number);
      if (earned < 1 - 1e-9) {
        credit[i] = earned;
        continue;
      }
      credit[i] = earned - 1;
      let entry = next[i] as number;
      const step = skip[i] as number;
      while (taken[entry] === 1) entry = entry + step >= entries ? entry + step - entries : entry + step;
      taken[entry] = 1;
      table[entry] = i;
      if (++filled === entries) return table;
      next[i] = entry + step >= entries ? entry + step - entries : entry + step;
    }
  }
}

const OFFSET_SEED = 0x6f666673;
const SKIP_SEED = 0x736b6970;

// Maglev against what the paper says of it (NSDI 2016, sections 3.4 and 5.3).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildTable, COMPACT_ENTRIES, Maglev, type MaglevTable, tableSize } from './maglev.ts';

const names = (n: number, prefix = 'default/pod-'): string[] => Array.from({ length: n }, (_, i) => `${prefix}${i}`);
const ones = (n: number): number[] => new Array<number>(n).fill(1);

function shares(table: MaglevTable, n: number): number[] {
  const result = new Array<number>(n).fill(0);
  for (const rank of table) result[rank] = (result[rank] as number) + 1;
  return result;
}

/** Entries whose owner changed, though both tables have it. */
function moved(before: MaglevTable, ids: readonly string[], after: MaglevTable, idsAfter: readonly string[]): number {
  let count = 0;
  before.forEach((rank, entry) => {
    const id = ids[rank] as string;
    if (id !== idsAfter[after[entry] as number] && idsAfter.includes(id)) count++;
  });
  return count;
}

test('the size is a prime of at least 100 entries a backend, 65,537 at the most', () => {
  const isPrime = (n: number): boolean => {
    for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
    return n > 1;
  };
  for (let n = 1; n <= 700; n++) {
    const size = tableSize(n, 'auto');
    assert.ok(isPrime(size) && size <= 65_537);
    assert.ok(size >= Math.min(100 * n, 65_537));
  }
  assert.deepEqual(
    [1, 5, 6, 40, 41, 655, 656, 5000].map((n) => tableSize(n, 'auto')),
    [503, 503, 1009, 4099, 8209, 65_537, 65_537, 65_537],
  );
  assert.equal(tableSize(300, 'compact'), COMPACT_ENTRIES);
});

test('every entry is taken, and the shares of equal backends differ by one entry', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.string(), (n, prefix) => {
      const table = buildTable(names(n, prefix), ones(n), 4099);
      const list = shares(table, n);
      assert.equal(Math.max(...list) - Math.min(...list) <= 1, true);
    }),
    { seed: 20261121, numRuns: 50 },
  );
});

test('section 5.3: with 65,537 entries for up to 655 backends no share is 1 % off', () => {
  for (const n of [10, 100, 655]) {
    const list = shares(buildTable(names(n), ones(n), 65_537), n);
    const mean = 65_537 / n;
    assert.ok(Math.max(...list) / mean < 1.01 && Math.min(...list) / mean > 0.99);
  }
});

test('removing one of N moves its own entries and few others', () => {
  for (const [n, entries] of [
    [5, 503],
    [10, 1009],
    [50, 8209],
    [100, 65_537],
  ] as const) {
    const ids = names(n);
    const before = buildTable(ids, ones(n), entries);
    let others = 0;
    for (let gone = 0; gone < n; gone += Math.ceil(n / 10)) {
      const left = ids.filter((_, i) => i !== gone);
      const after = buildTable(left, ones(n - 1), entries);
      others = Math.max(others, moved(before, ids, after, left) / entries);
    }
    // The paper's figure 12: around 1-2 % at 100 entries a backend, less with more.
    assert.ok(others < 0.04, `${n} backends: ${(others * 100).toFixed(2)} % of the others' entries moved`);
  }
});

test('adding one moves about its share', () => {
  const ids = names(20);
  const before = buildTable(ids, ones(20), 65_537);
  const more = [...ids, 'default/new'];
  const after = buildTable(more, ones(21), 65_537);
  let changed = 0;
  before.forEach((rank, entry) => {
    if (ids[rank] !== more[after[entry] as number]) changed++;
  });
  const share = changed / 65_537;
  assert.ok(share > 1 / 21 && share < 1 / 21 + 0.02, `${share}`);
});

test('weights set the shares', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 20 }), (weights) => {
      const sum = weights.reduce((total, weight) => total + weight, 0);
      const list = shares(buildTable(names(weights.length), weights, 16_411), weights.length);
      list.forEach((n, i) => {
        const wanted = (16_411 * (weights[i] as number)) / sum;
        // The filling may end anywhere in a turn of all weights.
        assert.ok(
          Math.abs(n - wanted) <= weights.length + 1,
          `weight ${weights[i]} of ${sum}: ${n} entries, not ${wanted}`,
        );
      });
    }),
    { seed: 20261121, numRuns: 40 },
  );
});

test('a weight that changes moves little more than the difference', () => {
  const ids = names(10);
  const before = buildTable(ids, ones(10), 65_537);
  const after = buildTable(ids, [2, ...ones(9)], 65_537);
  let changed = 0;
  before.forEach((rank, entry) => {
    if (rank !== after[entry]) changed++;
  });
  // 1/10 becomes 2/11.
  assert.ok(changed / 65_537 < 2 / 11 - 1 / 10 + 0.03, `${changed / 65_537}`);
});

test('equal sets of backends share one table, in any order; other sets do not', () => {
  const a = new Maglev(Int32Array.of(0, 1, 2), ['x', 'y', 'z'], [1, 1, 2], 'auto');
  const b = new Maglev(Int32Array.of(0, 1, 2), ['z', 'x', 'y'], [2, 1, 1], 'auto');
  assert.equal(a.table, b.table);
  for (let hash = 0; hash < 503; hash++) assert.equal(['x', 'y', 'z'][a.pick(hash)], ['z', 'x', 'y'][b.pick(hash)]);
  for (const other of [
    new Maglev(Int32Array.of(0, 1, 2), ['x', 'y', 'z'], [1, 1, 1], 'auto'),
    new Maglev(Int32Array.of(0, 1, 2), ['x', 'y', 'w'], [1, 1, 2], 'auto'),
    new Maglev(Int32Array.of(0, 1, 2), ['x', 'y', 'z'], [1, 1, 2], 'compact'),
  ]) {
    assert.notEqual(other.table, a.table);
  }
});

test('more backends than entries: the table is full, and each entry has one owner', () => {
  const table = buildTable(names(600), ones(600), 503);
  assert.equal(new Set(table).size, 503);
});

test('equal identities share the load all the same', () => {
  const list = shares(buildTable(['same', 'same', 'x'], ones(3), 503), 3);
  assert.ok(Math.max(...list) - Math.min(...list) <= 1);
});

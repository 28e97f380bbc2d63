import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mulberry32 } from '../../../../test/support/mulberry32.ts';
import type { Balancer, Endpoint } from '../../../ir/ir.ts';
import { LeastRequest } from './least-request.ts';
import { Maglev } from './maglev.ts';
import { endpointPicker, type Picker, type Random, splitPicker, usableOf } from './picker.ts';

/** A repeatable source. */
function seeded(seed: number): Random {
  const next = mulberry32(seed);
  return { random32: () => next() * 2 ** 32 };
}

function picks(picker: Picker, n: number): number[] {
  return Array.from({ length: n }, () => picker.pick(0));
}

/** How often each index below `choices` was picked. */
function counts(list: readonly number[], choices: number): number[] {
  const result = new Array<number>(choices).fill(0);
  for (const i of list) result[i] = (result[i] as number) + 1;
  return result;
}

function endpoint(id: string, weight = 1, state: Endpoint['state'] = 'ready'): Endpoint {
  return { id, address: '127.0.0.1', port: 80, zone: '', weight, state };
}

/** Everybody may be picked. */
const all = (n: number): Uint8Array => new Uint8Array(n).fill(1);

const roundRobin: Balancer = { type: 'roundRobin' };
const balancers: readonly Balancer[] = [
  roundRobin,
  { type: 'leastRequest' },
  { type: 'maglev', key: 'clientAddress', name: '' },
];

test('a split is nginx smooth weighted round robin', () => {
  assert.deepEqual(picks(splitPicker([5, 1, 1]), 14), [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
  assert.deepEqual(picks(splitPicker([1, 2]), 6), [1, 0, 1, 1, 0, 1]);
});

test('equal weights take turns', () => {
  assert.deepEqual(picks(splitPicker([3, 3, 3]), 6), [0, 1, 2, 0, 1, 2]);
  assert.deepEqual(picks(splitPicker([7]), 3), [0, 0, 0]);
});

test('over each cycle the shares are exact; weight 0 gets nothing', () => {
  const weights = fc.array(fc.nat(30), { minLength: 1, maxLength: 16 });
  fc.assert(
    fc.property(weights, (list) => {
      const cycle = list.reduce((sum, weight) => sum + weight, 0);
      const picker = splitPicker(list);
      if (cycle === 0) {
        assert.deepEqual(picks(picker, 3), [-1, -1, -1]);
        return;
      }
      for (let round = 0; round < 3; round++) assert.deepEqual(counts(picks(picker, cycle), list.length), list);
    }),
    { seed: 20261121, numRuns: 200 },
  );
});

test('shares are spread out: at no time is a backend a whole turn of all others ahead or behind', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 8 }), (list) => {
      const sum = list.reduce((total, weight) => total + weight, 0);
      const picker = splitPicker(list);
      const got = new Array<number>(list.length).fill(0);
      for (let n = 1; n <= sum; n++) {
        const picked = picker.pick(0);
        got[picked] = (got[picked] as number) + 1;
        list.forEach((weight, i) => {
          assert.ok(Math.abs((got[i] as number) - (n * weight) / sum) < list.length);
        });
      }
    }),
    { seed: 20261121, numRuns: 100 },
  );
});

test('the largest weights of the API', () => {
  const picker = splitPicker([1_000_000, 1]);
  assert.deepEqual(counts(picks(picker, 1_000_001), 2), [1_000_000, 1]);
});

test('round robin over endpoints begins at a random one and goes round', () => {
  const endpoints = ['a', 'b', 'c', 'd'].map((id) => endpoint(id));
  const starts = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const list = picks(endpointPicker(roundRobin, endpoints, new Int32Array(4), seeded(seed), all(4)), 8);
    starts.add(list[0] as number);
    assert.deepEqual(counts(list, 4), [2, 2, 2, 2]);
    assert.deepEqual(list.slice(0, 4), list.slice(4));
  }
  assert.equal(starts.size, 4);
});

test('every balancer: no endpoint, none of weight 0, draining ones only while none is ready', () => {
  for (const balancer of balancers) {
    const of = (...endpoints: Endpoint[]): number[] => {
      const picker = endpointPicker(
        balancer,
        endpoints,
        new Int32Array(endpoints.length),
        seeded(1),
        all(endpoints.length),
      );
      const random = seeded(2);
      const list = Array.from({ length: 400 }, () => picker.pick(random.random32()));
      return [...new Set(list)].sort();
    };
    assert.deepEqual(of(), [-1]);
    assert.deepEqual(of(endpoint('a', 0), endpoint('b', 0, 'draining')), [-1]);
    assert.deepEqual(of(endpoint('a', 0), endpoint('b'), endpoint('c', 1, 'draining'), endpoint('d')), [1, 3]);
    assert.deepEqual(of(endpoint('a', 0), endpoint('b', 1, 'draining'), endpoint('c', 2, 'draining')), [1, 2]);
    assert.deepEqual(of(endpoint('a')), [0]);
  }
});

test('every balancer: far ones only while fewer than half of those that are near can be used', () => {
  const endpoints = [
    ...['a', 'b', 'c', 'd'].map((id) => endpoint(id)),
    endpoint('e', 1, 'far'),
    endpoint('f', 1, 'far'),
    endpoint('g', 1, 'draining'),
  ];
  for (const balancer of balancers) {
    const of = (...unhealthy: readonly number[]): number[] => {
      const health = Uint8Array.from(endpoints, (_, i) => (unhealthy.includes(i) ? 0 : 1));
      const picker = endpointPicker(balancer, endpoints, new Int32Array(7), seeded(1), health);
      const random = seeded(2);
      return [...new Set(Array.from({ length: 400 }, () => picker.pick(random.random32())))].sort();
    };
    assert.deepEqual(of(), [0, 1, 2, 3]);
    assert.deepEqual(of(0, 1), [2, 3], 'half of them are enough');
    assert.deepEqual(of(0, 1, 2), [3, 4, 5]);
    assert.deepEqual(of(0, 1, 2, 3), [4, 5]);
    assert.deepEqual(of(0, 1, 2, 3, 4, 5), [6]);
  }
  const tried = (...list: readonly number[]): number[] => usableOf(endpoints, all(7), (i) => list.includes(i));
  assert.deepEqual(tried(0), [1, 2, 3], 'another try stays near');
  assert.deepEqual(tried(0, 1, 2), [3, 4, 5]);
});

test('every balancer respects the weights of endpoints', () => {
  const endpoints = [endpoint('a', 1), endpoint('b', 4), endpoint('c', 5)];
  for (const balancer of balancers) {
    const picker = endpointPicker(balancer, endpoints, new Int32Array(3), seeded(3), all(3));
    const random = seeded(4);
    const list = Array.from({ length: 20_000 }, () => picker.pick(random.random32()));
    counts(list, 3).forEach((n, i) => {
      const share = n / list.length;
      assert.ok(Math.abs(share - ([0.1, 0.4, 0.5][i] as number)) < 0.02, `${balancer.type} ${i}: ${share}`);
    });
  }
});

test('least request takes the less loaded of two, never the most loaded of all', () => {
  const active = Int32Array.of(9, 1, 1, 1);
  const picker = new LeastRequest(Int32Array.of(0, 1, 2, 3), [1, 1, 1, 1], active, seeded(5));
  assert.equal(counts(picks(picker, 2000), 4)[0], 0);
  const two = new LeastRequest(Int32Array.of(0, 1), [1, 1], Int32Array.of(3, 2), seeded(5));
  assert.deepEqual([...new Set(picks(two, 50))], [1]);
  const weighted = new LeastRequest(Int32Array.of(0, 1), [4, 1], Int32Array.of(3, 2), seeded(5));
  assert.deepEqual([...new Set(picks(weighted, 50))], [0], '3 active of weight 4 are less than 2 of weight 1');
});

test('least request keeps a closed system level, where random choice does not', () => {
  const n = 16;
  const spread = (choose: (active: Int32Array) => Picker): number => {
    const active = new Int32Array(n);
    const picker = choose(active);
    const random = seeded(6);
    for (let i = 0; i < n * 10; i++) active[picker.pick(random.random32())]!++;
    let most = 0;
    for (let i = 0; i < 20_000; i++) {
      // One random active request ends, another begins.
      let k = random.random32() % (n * 10);
      let at = 0;
      while (k >= (active[at] as number)) k -= active[at++] as number;
      active[at]!--;
      active[picker.pick(random.random32())]!++;
      most = Math.max(most, ...active);
    }
    return most;
  };
  const all = Int32Array.from({ length: n }, (_, i) => i);
  const two = spread((active) => new LeastRequest(all, new Array<number>(n).fill(1), active, seeded(7)));
  const random = spread(() => ({ pick: (hash) => hash % n }));
  assert.ok(two <= 14, `${two} of mean 10`);
  assert.ok(random >= 18, `${random} of mean 10`);
});

test('equal hashes go to the same endpoint, whatever the order of the endpoints', () => {
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const one = new Maglev(Int32Array.of(0, 1, 2, 3, 4), ids, [1, 1, 1, 1, 1], 'auto');
  const other = new Maglev(Int32Array.of(4, 3, 2, 1, 0), [...ids].reverse(), [1, 1, 1, 1, 1], 'auto');
  const random = seeded(8);
  for (let i = 0; i < 2000; i++) {
    const hash = random.random32();
    assert.equal(one.pick(hash), one.pick(hash));
    assert.equal(one.pick(hash), other.pick(hash));
  }
  assert.ok(one.pick(0xffffffff) >= 0);
});

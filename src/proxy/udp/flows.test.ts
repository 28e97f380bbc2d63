import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../sim/random.ts';
import { Flows, KEY_WORDS } from './flows.ts';
import { KeyTable } from './key-table.ts';

const random = new Random(7);
const seed = (): number => random.u32();

function key(address: number, port: number, local = 1, listener = 0): Int32Array {
  return Int32Array.of(address, 0, 0, 0, port, local, 0, 0, 0, 0, listener);
}

test('the table of keys against a Map, through many insertions and removals', () => {
  const table = new KeyTable(2, 100, seed());
  const truth = new Map<string, number>();
  for (let step = 0; step < 50_000; step++) {
    const words = Int32Array.of(random.between(0, 30), random.between(0, 6));
    const name = words.join();
    const known = truth.get(name);
    assert.equal(table.find(words, 0), known ?? -1);
    if (known !== undefined && random.chance(0.6)) {
      table.remove(known);
      truth.delete(name);
    } else if (known === undefined) {
      const number = table.insert(words, 0);
      assert.equal(number === -1, truth.size === 100);
      if (number >= 0) {
        assert.ok(![...truth.values()].includes(number), 'a number of its own');
        truth.set(name, number);
      }
    }
    assert.equal(table.count, truth.size);
  }
});

test('flows differ by client, port, the address asked and the listener', () => {
  const flows = new Flows(seed, 8, 8);
  const keys = [key(1, 1), key(2, 1), key(1, 2), key(1, 1, 2), key(1, 1, 1, 1)];
  const numbers = keys.map((k) => flows.add(k, 0));
  assert.equal(new Set(numbers).size, keys.length);
  assert.deepEqual(
    keys.map((k) => flows.find(k, 0)),
    numbers,
  );
  const path = new Int32Array(KEY_WORDS);
  flows.path(numbers[3] as number, path, 0);
  assert.deepEqual([...path.subarray(0, 10)], [...key(1, 1, 2).subarray(0, 10)]);
});

test('the one that rested longest makes room; who was heard of since an answer goes last', () => {
  const flows = new Flows(seed, 4, 4);
  const [a, b, c, d] = [1, 2, 3, 4].map((n) => flows.add(key(n, 1), 0)) as [number, number, number, number];
  assert.equal(flows.victim(key(9, 1), 0), a);
  flows.touch(a);
  assert.equal(flows.victim(key(9, 1), 0), b);
  flows.prove(b);
  assert.equal(flows.victim(key(9, 1), 0), c);
  for (const flow of [a, c, d]) flows.prove(flow);
  assert.equal(flows.victim(key(9, 1), 0), b);
  flows.remove(b);
  assert.equal(flows.victim(key(9, 1), 0), -1);
});

test('a client at its limit makes room by its own flows, whatever room there is', () => {
  const flows = new Flows(seed, 10, 2);
  const other = flows.add(key(2, 1), 0);
  const first = flows.add(key(1, 1), 0);
  flows.add(key(1, 2), 0);
  assert.equal(flows.isCrowded(key(1, 3), 0), true);
  assert.equal(flows.victim(key(1, 3), 0), first);
  assert.equal(flows.victim(key(2, 2), 0), -1);
  flows.remove(first);
  assert.equal(flows.victim(key(1, 3), 0), -1);
  flows.remove(other);
  assert.equal(flows.count, 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOf } from '../../base/bytes.ts';
import { ByteTable, type Entry } from './byte-table.ts';
import { LABELS } from './labels.ts';

interface Named extends Entry {
  readonly name: string;
}

/** Few different hashes, so that keys collide. */
const hashOf = (name: string, spread: number): number =>
  Math.imul(name.length * 7 + name.charCodeAt(0), 0x01000193) % spread;

test('a table behaves as a Map, whatever is added and removed, also when hashes collide', () => {
  const name = fc.stringMatching(/^[ab/]{1,4}$/);
  const actions = fc.array(fc.record({ name, add: fc.boolean() }), { maxLength: 200 });
  fc.assert(
    fc.property(actions, fc.constantFrom(1, 3, 1 << 30), (list, spread) => {
      const table = new ByteTable<Named>();
      const model = new Map<string, Named>();
      for (const action of list) {
        const known = model.get(action.name);
        if (action.add && known === undefined) {
          const key = bytesOf(action.name);
          const entry = {
            name: action.name,
            hash: hashOf(action.name, spread),
            labelStart: LABELS.add(key),
            keyLength: key.length,
          };
          model.set(action.name, entry);
          table.add(entry);
        } else if (!action.add && known !== undefined) {
          model.delete(action.name);
          table.remove(known);
          LABELS.remove(known.labelStart, known.keyLength);
        }
        assert.equal(table.size, model.size);
        for (const { name: each } of list) {
          const bytes = bytesOf(`<${each}>`);
          const found = table.find(
            hashOf(each, spread),
            new DataView(bytes.buffer, bytes.byteOffset),
            1,
            bytes.length - 1,
          );
          assert.equal(found, model.get(each) ?? null);
        }
      }
      assert.equal(table.first() !== null, model.size > 0);
    }),
    { seed: 20261121, numRuns: 60 },
  );
});

test('removing what is not in the table is a bug that shows', () => {
  const table = new ByteTable<Named>();
  assert.throws(() => table.remove({ name: 'x', hash: 1, labelStart: 0, keyLength: 1 }), /not in the table/);
});

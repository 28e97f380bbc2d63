import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stream } from './stream.ts';
import { Streams } from './streams.ts';

const stream = (id: number): Stream => ({ id }) as Stream;

/** Opens and closes streams as `next` numbers them, at most `most` at once, and holds the table to a Map. */
function compare(next: (i: number) => number, most: number, random: () => number): void {
  const table = new Streams();
  const model = new Map<number, Stream>();
  for (let i = 0; i < 1500; i++) {
    const full = model.size >= most;
    if (!full && random() < 0.55) {
      const one = stream(next(i));
      table.add(one);
      model.set(one.id, one);
    } else if (model.size > 0) {
      const ids = [...model.keys()];
      const id = ids[Math.floor(random() * ids.length)] as number;
      table.delete(id);
      model.delete(id);
    }
    assert.equal(table.size, model.size);
    for (const [id, one] of model) assert.equal(table.get(id), one);
    for (const id of [0, 1, next(i) + 2, 0x7fff_ffff]) assert.equal(table.get(id), model.get(id));
    const before = table.size;
    table.delete(next(i) + 2);
    assert.equal(table.size, before, 'what is not there cannot be taken out');
  }
  assert.deepEqual(
    table.all().map(({ id }) => id),
    [...model.keys()].sort((a, b) => a - b),
  );
  assert.ok(
    table.slots.length <= Math.max(16, most * 4),
    'it grows with those that are open, not with those that were',
  );
}

test('streams are found by their numbers whatever order they come and go in', () => {
  let seed = 7;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  compare((i) => 2 * i + 1, 128, random);
  compare((i) => 2 * i + 1, 3, random);
  // Numbers that all stand in the same place, and in the last two.
  compare((i) => 1024 * i + 1, 128, random);
  compare((i) => 1024 * i + 1024 - 1 - 2 * (i & 1), 128, random);
  compare((i) => 0x7fff_ffff - 2 * (1500 - i), 40, random);
});

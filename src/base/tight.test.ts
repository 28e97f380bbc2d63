import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from './limits.ts';
import { one, shared, tight } from './tight.ts';

test('what is kept says the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(JSON.stringify(tight(JSON.parse(text))), text);
    }),
    { seed: 2, numRuns: 500 },
  );
});

test('empty lists are one, which nobody can add to', () => {
  const { a, b } = tight({ a: [] as number[], b: [] as number[] });
  assert.equal(a, b);
  assert.throws(() => a.push(1), TypeError);
});

test('a list does not keep its room to grow', () => {
  const grown: string[] = [];
  for (let i = 0; i < 3; i++) grown.push(`text-${i}`);
  assert.notEqual(tight(grown), grown);
  assert.deepEqual(tight(grown), ['text-0', 'text-1', 'text-2']);
});

test('equal values are one, any number goes through', () => {
  assert.equal(one({ a: [1] }), one({ a: [1] }));
  assert.notEqual(one({ a: [1] }), one({ a: [2] }));
  for (let i = 0; i < 3 * LIMITS.SHARED_VALUES; i++) assert.deepEqual(one({ i }), { i });
});

test('any number of texts goes through, and the table stays bounded', () => {
  for (let i = 0; i < 3 * LIMITS.SHARED_TEXTS; i++) assert.equal(shared(`text ${i}`), `text ${i}`);
  const long = 'x'.repeat(LIMITS.SHARED_TEXT_CHARS + 1);
  assert.equal(shared(long), long);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Lines } from './lines.ts';

test('lines come out whole, however the bytes were cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).map((s) => s.replaceAll('\n', ' '))),
      fc.array(fc.nat(60)),
      (texts, cuts) => {
        const bytes = Buffer.from(texts.map((t) => `${t}\n`).join(''));
        const lines = new Lines(10_000);
        const got: string[] = [];
        let at = 0;
        for (const cut of cuts) {
          lines.push(bytes.subarray(at, at + cut), (line) => got.push(line));
          at = Math.min(bytes.length, at + cut);
        }
        lines.push(bytes.subarray(at), (line) => got.push(line));
        assert.deepEqual(got, texts);
        assert.equal(lines.partial, false);
      },
    ),
  );
});

test('half a line is no line; empty ones are passed over', () => {
  const lines = new Lines(100);
  const got: string[] = [];
  lines.push(Buffer.from('\n{"a":1}\n{"b"'), (line) => got.push(line));
  assert.deepEqual(got, ['{"a":1}']);
  assert.equal(lines.partial, true);
});

test('a line without an end does not fill the memory', () => {
  const lines = new Lines(100);
  const add = (n: number): void => lines.push(Buffer.alloc(n, 0x78), () => {});
  for (let i = 0; i < 10; i++) add(10);
  assert.throws(
    () => add(1),
    (said: unknown) => (said as { reason: string }).reason === 'Broken',
  );
  assert.throws(() => new Lines(3).push(Buffer.from('1234\n'), () => {}));
});

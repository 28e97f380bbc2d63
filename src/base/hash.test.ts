import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf } from './bytes.ts';
import { hash32, mix32 } from './hash.ts';

const over = (text: string, seed = 0): number => hash32(bytesOf(text), 0, bytesOf(text).length, seed);

test('hash32 is MurmurHash3_x86_32 (its published vectors)', () => {
  assert.equal(over(''), 0);
  assert.equal(over('', 1), 0x514e28b7);
  assert.equal(over('', 0xffffffff), 0x81f16f39);
  assert.equal(over('test'), 0xba6bd213);
  assert.equal(over('test', 0x9747b28c), 0x704b81dc);
  assert.equal(over('Hello, world!'), 0xc0363e43);
  assert.equal(over('Hello, world!', 0x9747b28c), 0x24884cba);
  assert.equal(over('The quick brown fox jumps over the lazy dog'), 0x2e4ff723);
  assert.equal(over('The quick brown fox jumps over the lazy dog', 0x9747b28c), 0x2fa826cd);
});

test('a hash is of its range alone', () => {
  const bytes = bytesOf('xxhello, rangeyy');
  assert.equal(hash32(bytes, 2, 14), over('hello, range'));
});

test('hash32 spreads similar keys evenly, in its low bits and in its high bits', () => {
  const buckets = 64;
  const low = new Array<number>(buckets).fill(0);
  const high = new Array<number>(buckets).fill(0);
  const keys = 64_000;
  for (let i = 0; i < keys; i++) {
    const hash = over(`10.0.${i >> 8}.${i & 255}`);
    low[hash % buckets] = (low[hash % buckets] as number) + 1;
    high[hash >>> 26] = (high[hash >>> 26] as number) + 1;
  }
  // Chi-squared with 63 degrees of freedom: below 103 with 99.9 %.
  const chi = (counts: number[]): number => counts.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  assert.ok(chi(low) < 103, `low bits: ${chi(low)}`);
  assert.ok(chi(high) < 103, `high bits: ${chi(high)}`);
});

test('mix32 changes about half of the bits for each bit of input', () => {
  let changed = 0;
  for (let bit = 0; bit < 32; bit++) {
    for (let value = 1; value < 200; value++) {
      let difference = mix32(value) ^ mix32(value ^ (1 << bit));
      for (; difference !== 0; difference &= difference - 1) changed++;
    }
  }
  const mean = changed / (32 * 199);
  assert.ok(Math.abs(mean - 16) < 0.5, `${mean} bits`);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../base/limits.ts';
import { Lending } from './lending.ts';

const PIECE = 16_384;

/** Bytes that a connection which takes all it can has in the end. */
function greedy(lending: Lending): number {
  let had = 0;
  while (lending.take(had, PIECE)) had += PIECE;
  return had;
}

test('however many connections take all they can, the next one has something, and all together no more than there is', () => {
  const lending = new Lending();
  const shares = Array.from({ length: 40 }, () => greedy(lending));
  assert.equal(
    lending.bytes,
    shares.reduce((a, b) => a + b, 0),
  );
  assert.ok(lending.bytes <= LIMITS.HTTP2_HELD_BYTES, `${lending.bytes}`);
  // The first one has what a hundred streams have that stand still from their beginning.
  assert.ok((shares[0] as number) > 100 * LIMITS.HTTP2_STREAM_WINDOW_BYTES, `${shares[0]}`);
  for (const share of shares) assert.ok(share >= LIMITS.HTTP2_STREAM_WINDOW_BYTES, `${share}`);
  for (const share of shares) lending.give(share);
  assert.equal(lending.bytes, 0);
});

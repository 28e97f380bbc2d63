import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Propagation, type PropagationStage } from './propagation.ts';

/** How often, and how many seconds together. */
function of(it: Propagation, stage: PropagationStage): [number, number] {
  const { counts, sum } = it.histograms[stage];
  return [counts.reduce((a, b) => a + b, 0), Math.round(sum * 1e6) / 1e6];
}

test('each stage is measured from the first event of a revision', () => {
  const it = new Propagation();
  it.event(100);
  it.event(102);
  it.closed(105);
  it.sent(7, 106);
  assert.deepEqual(
    [of(it, 'gathered'), of(it, 'translated'), of(it, 'total')],
    [
      [1, 0.005],
      [1, 0.001],
      [0, 0],
    ],
  );
  it.acked(6, 107);
  assert.deepEqual(of(it, 'acked'), [0, 0]);
  it.acked(7, 109);
  assert.deepEqual(
    [of(it, 'acked'), of(it, 'total')],
    [
      [1, 0.003],
      [1, 0.009],
    ],
  );
  assert.deepEqual(it.histograms.total.counts, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  // Acked once, not with each word of it.
  it.acked(7, 200);
  assert.deepEqual(of(it, 'total'), [1, 0.009]);
});

test('a change by which nothing is another thing, and one that is held back, say nothing', () => {
  const it = new Propagation();
  it.event(1);
  it.closed(2);
  it.sent(null, 3);
  assert.deepEqual(of(it, 'gathered'), [0, 0]);
  it.event(10);
  it.closed(11);
  it.sent(2, 12);
  it.held();
  it.acked(3, 9_000);
  assert.deepEqual(of(it, 'total'), [0, 0]);
});

test('of revisions that nobody acks so many are remembered, and one ack counts for all before it', () => {
  const it = new Propagation();
  for (let revision = 1; revision <= LIMITS.PROPAGATION_REVISIONS + 5; revision++) {
    it.event(revision);
    it.closed(revision);
    it.sent(revision, revision);
  }
  it.acked(LIMITS.PROPAGATION_REVISIONS + 5, 20_000);
  assert.deepEqual(of(it, 'acked')[0], LIMITS.PROPAGATION_REVISIONS);
  assert.equal(it.histograms.acked.counts.at(-1), LIMITS.PROPAGATION_REVISIONS, 'slower than the last bound');
});

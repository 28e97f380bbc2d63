import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Backoff } from './backoff.ts';

test('the first death costs nothing, the next ones more and more, up to a ceiling', () => {
  const b = new Backoff();
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    b.started(i * 10);
    waits.push(b.died(i * 10 + 5));
  }
  assert.equal(waits[0], 0);
  assert.equal(waits[1], LIMITS.RESTART_MIN_MS);
  assert.equal(waits[2], LIMITS.RESTART_MIN_MS * 2);
  assert.equal(waits.at(-1), LIMITS.RESTART_MAX_MS);
});

test('a process that lived long starts afresh', () => {
  const b = new Backoff();
  b.started(0);
  b.died(1);
  b.started(2);
  assert.equal(b.died(2 + LIMITS.RESTART_STABLE_MS), 0);
});

test('one that dies before it started does not pass for one that lived long', () => {
  const b = new Backoff();
  b.started(0);
  const long = 2 * LIMITS.RESTART_STABLE_MS;
  assert.equal(b.died(long), 0);
  assert.equal(b.died(long + 10), LIMITS.RESTART_MIN_MS);
});

test('a storm is many deaths in a short time, and passes', () => {
  const b = new Backoff();
  for (let i = 0; i < LIMITS.STORM_DEATHS; i++) b.died(i);
  assert.ok(b.storm(LIMITS.STORM_DEATHS));
  assert.ok(!b.storm(LIMITS.STORM_WINDOW_MS + LIMITS.STORM_DEATHS));
});

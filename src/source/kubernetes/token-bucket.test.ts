import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from './backoff.ts';
import { Gate, TokenBucket } from './token-bucket.ts';

test('a burst at once, then at the rate, and never more saved up than a burst', () => {
  let ms = 0;
  const bucket = new TokenBucket(50, 3, () => ms, { after: () => () => {} });
  const waits = (n: number): number[] => Array.from({ length: n }, () => Math.round(bucket.reserve()));
  assert.deepEqual(waits(6), [0, 0, 0, 20, 40, 60]);
  ms = 60;
  assert.deepEqual(waits(1), [20]);
  ms = 1e6;
  assert.deepEqual(waits(4), [0, 0, 0, 20]);
});

test('who waits for a token is woken when it is due', async () => {
  const due: [number, () => void][] = [];
  const timers = {
    after: (ms: number, fire: () => void) => {
      due.push([ms, fire]);
      return () => {};
    },
  };
  const bucket = new TokenBucket(10, 1, () => 0, timers);
  await bucket.take();
  let taken = false;
  const waiting = bucket.take().then(() => {
    taken = true;
  });
  assert.deepEqual(
    due.map(([ms]) => ms),
    [100],
  );
  assert.equal(taken, false);
  due[0]?.[1]();
  await waiting;
});

test('a gate lets so many in, the others in their order', async () => {
  const gate = new Gate(2);
  const seen: number[] = [];
  const enter = (n: number): Promise<void> => gate.enter().then(() => void seen.push(n));
  await Promise.all([enter(1), enter(2)]);
  const rest = [enter(3), enter(4)];
  gate.leave();
  await rest[0];
  assert.deepEqual(seen, [1, 2, 3]);
  gate.leave();
  await rest[1];
  assert.deepEqual(seen, [1, 2, 3, 4]);
});

test('waits grow to a limit, and two of us do not wait alike', () => {
  const most = [1, 2, 3, 5, 8, 9, 40].map((n) => backoffMs(n, 0.999999));
  assert.deepEqual(most.map(Math.round), [200, 400, 800, 3_200, 25_600, 30_000, 30_000]);
  assert.equal(backoffMs(3, 0), 400);
});

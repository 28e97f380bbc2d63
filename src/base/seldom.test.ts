import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Seldom } from './seldom.ts';

test('what is asked for often is done at once, and once more after a pause', () => {
  const waiting: (() => void)[] = [];
  let done = 0;
  const after = (_: number, fire: () => void): (() => void) => {
    waiting.push(fire);
    return () => {};
  };
  const seldom = new Seldom({ after }, 1_000, () => {
    done++;
  });
  seldom.ask();
  assert.equal(done, 1);
  for (let i = 0; i < 5; i++) seldom.ask();
  assert.equal(done, 1);
  waiting.shift()?.();
  assert.equal(done, 2, 'all that came meanwhile, together');
  waiting.shift()?.();
  assert.deepEqual([done, waiting.length], [2, 0], 'and then it rests');
  seldom.settle();
  assert.equal(done, 2, 'nobody asked');
  seldom.ask();
  seldom.ask();
  seldom.settle();
  assert.equal(done, 4);
  waiting.shift()?.();
  assert.deepEqual([done, waiting.length], [4, 0], 'what was done when somebody looked is not done again');
});

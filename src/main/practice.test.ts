import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { practise } from './practice.ts';
import { DEFAULT_TRANSLATION } from './resources.ts';

test('each change that is practised is a route with two rules, a step of its own', () => {
  const steps = practise({ ...DEFAULT_TRANSLATION, implicitClass: null, fromFiles: false });
  let changes = 0;
  let last = steps.next();
  for (; last.done !== true; last = steps.next()) changes++;
  assert.equal(changes, LIMITS.PRACTICE_CHANGES);
  // Besides the rules: socket, gateway, cluster, endpoints and the rest that all of them share.
  const shared = last.value - 2 * changes;
  assert.ok(shared >= 3 && shared <= 6, `${last.value} entries`);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selects } from './selector.ts';

const labels = { tier: 'front', team: 'a' };
const expression = (key: unknown, operator: unknown, values?: unknown): unknown => ({
  matchExpressions: [{ key, operator, values }],
});

test('labels and expressions are ANDed', () => {
  assert.ok(selects({}, labels));
  assert.ok(selects({ matchLabels: { tier: 'front' } }, labels));
  assert.ok(!selects({ matchLabels: { tier: 'front', team: 'b' } }, labels));
  assert.ok(!selects({ matchLabels: { tier: 'front' }, ...(expression('team', 'In', ['b']) as object) }, labels));
});

test('each operator', () => {
  assert.ok(selects(expression('team', 'In', ['a', 'b']), labels));
  assert.ok(!selects(expression('none', 'In', ['a']), labels));
  assert.ok(selects(expression('team', 'NotIn', ['b']), labels));
  assert.ok(selects(expression('none', 'NotIn', ['b']), labels), 'an absent label is not in any list');
  assert.ok(!selects(expression('team', 'NotIn', ['a']), labels));
  assert.ok(selects(expression('team', 'Exists'), labels));
  assert.ok(!selects(expression('none', 'Exists'), labels));
  assert.ok(selects(expression('none', 'DoesNotExist'), labels));
  assert.ok(!selects(expression('team', 'DoesNotExist'), labels));
});

test('an invalid expression selects nothing', () => {
  assert.ok(!selects(expression('team', 'Near', ['a']), labels));
  assert.ok(!selects(expression(undefined, 'Exists'), labels));
  assert.ok(!selects({ matchExpressions: [null] }, labels));
});

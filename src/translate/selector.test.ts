import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSelector, selects } from './selector.ts';

const labels = { tier: 'front', team: 'a' };
const expression = (key: unknown, operator: unknown, values?: unknown): unknown => ({
  matchExpressions: [{ key, operator, values }],
});

/** Whether it selects `labels`; what is wrong with it, by field, when it cannot be read. */
function reads(selector: unknown): boolean | string[] {
  const wrong: string[] = [];
  const parsed = parseSelector(selector, 's', (at, message) => wrong.push(`${at}: ${message}`));
  assert.equal(parsed === null, wrong.length > 0);
  return parsed === null ? wrong : selects(parsed, labels);
}

test('labels and expressions are ANDed, and none select everything', () => {
  assert.equal(reads({}), true);
  assert.equal(reads({ matchLabels: { tier: 'front' } }), true);
  assert.equal(reads({ matchLabels: { tier: 'front', team: 'b' } }), false);
  assert.equal(reads({ matchLabels: { tier: 'front' }, ...(expression('team', 'In', ['b']) as object) }), false);
});

test('each operator', () => {
  assert.equal(reads(expression('team', 'In', ['a', 'b'])), true);
  assert.equal(reads(expression('none', 'In', ['a'])), false);
  assert.equal(reads(expression('team', 'NotIn', ['b'])), true);
  assert.equal(reads(expression('none', 'NotIn', ['b'])), true, 'an absent label is not in any list');
  assert.equal(reads(expression('team', 'NotIn', ['a'])), false);
  assert.equal(reads(expression('team', 'Exists')), true);
  assert.equal(reads(expression('none', 'Exists', [])), false);
  assert.equal(reads(expression('none', 'DoesNotExist')), true);
  assert.equal(reads(expression('team', 'DoesNotExist')), false);
});

test('an operator that lacks its values, or has some it does not take, is invalid (LabelSelectorRequirement)', () => {
  const at = 's.matchExpressions[0]';
  assert.deepEqual(reads(expression('team', 'NotIn', [])), [`${at}.values: NotIn needs at least one value.`]);
  assert.deepEqual(reads(expression('team', 'NotIn')), [`${at}.values: NotIn needs at least one value.`]);
  assert.deepEqual(reads(expression('team', 'In', 'a')), [`${at}.values: In needs at least one value.`]);
  assert.deepEqual(reads(expression('team', 'Exists', ['a'])), [`${at}.values: Exists takes no values.`]);
  assert.deepEqual(reads(expression('team', 'DoesNotExist', ['a'])), [`${at}.values: DoesNotExist takes no values.`]);
  const operators = 'is not one of In, NotIn, Exists, DoesNotExist.';
  assert.deepEqual(reads(expression('team', 'in', ['a'])), [`${at}.operator: "in" ${operators}`]);
  assert.deepEqual(reads(expression('team', undefined)), [`${at}.operator: nothing ${operators}`]);
});

test('keys and values are those of labels', () => {
  assert.equal(reads({ matchLabels: { 'example.com/tier': 'x' } }), false);
  assert.equal(reads(expression('tier', 'In', ['', 'front'])), true);
  for (const selector of [
    expression(undefined, 'Exists'),
    expression('a b', 'Exists'),
    expression('/tier', 'Exists'),
    expression('Example.com/tier', 'Exists'),
    expression('tier', 'In', ['a b']),
    expression('tier', 'In', [7]),
    expression('x'.repeat(64), 'Exists'),
    { matchLabels: { tier: true } },
    { matchLabels: { tier: '-' } },
    { matchExpressions: [null] },
    null,
    'tier=front',
    [],
  ]) {
    assert.ok(Array.isArray(reads(selector)), JSON.stringify(selector));
  }
});

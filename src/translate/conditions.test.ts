import assert from 'node:assert/strict';
import { test } from 'node:test';
import { condition, conditionTable } from './conditions.ts';

test('types and reasons have the form the API server demands', () => {
  for (const { type, reason } of conditionTable()) {
    assert.match(type, /^(rauta\.io\/)?[A-Z][A-Za-z]{0,300}$/);
    assert.match(reason, /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/);
  }
});

test('a message is cut to what the API server takes', () => {
  assert.equal(condition('routeValue', 1, 'x'.repeat(40_000)).message.length, 32_768);
});

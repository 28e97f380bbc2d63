import assert from 'node:assert/strict';
import { test } from 'node:test';
import { condition, conditionTable, settled } from './conditions.ts';

test('what pends on acks is False until they are there', () => {
  const conditions = [condition('listenerAccepted', 3), condition('listenerProgrammed', 3)];
  assert.deepEqual(settled(conditions, true)[1], {
    type: 'Programmed',
    status: 'True',
    reason: 'Programmed',
    message: 'Configured in the data plane.',
    observedGeneration: 3,
  });
  assert.deepEqual(settled(conditions, false), [
    condition('listenerAccepted', 3),
    {
      type: 'Programmed',
      status: 'False',
      reason: 'Pending',
      message: 'Waiting for the data plane.',
      observedGeneration: 3,
    },
  ]);
});

test('what is False anyway does not pend', () => {
  const [written] = settled([condition('gatewayAddress', 1, 'no such address')], false);
  assert.equal(written?.reason, 'AddressNotUsable');
});

test('types and reasons have the form the API server demands', () => {
  for (const { type, reason } of conditionTable()) {
    assert.match(type, /^[A-Z][A-Za-z]{0,315}$/);
    assert.match(reason, /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/);
  }
});

test('a message is cut to what the API server takes', () => {
  assert.equal(condition('routeValue', 1, 'x'.repeat(40_000)).message.length, 32_768);
});

// Each test of the official conformance suite that is of Gateways has one of ours here, named after it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counterparts } from '../../tools/features.ts';
import { SUITE_TESTS } from './suite.ts';

test('every test of the conformance suite that is of Gateways has its counterpart', () => {
  const named = counterparts();
  assert.equal(SUITE_TESTS.length, 131);
  assert.deepEqual(
    SUITE_TESTS.filter((name) => !named.has(name)),
    [],
  );
});

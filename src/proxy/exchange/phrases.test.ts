import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { test } from 'node:test';
import { PHRASES } from './phrases.ts';

test('statuses are called what Node calls them', () => {
  assert.deepEqual(PHRASES, { ...STATUS_CODES });
});

import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { test } from 'node:test';
import { PHRASES } from './phrases.ts';

test('statuses are called what Node calls them, and two as RFC 9110 does since', () => {
  assert.deepEqual(PHRASES, { ...STATUS_CODES, 413: 'Content Too Large', 422: 'Unprocessable Content' });
});

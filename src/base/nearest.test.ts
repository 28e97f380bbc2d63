import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './nearest.ts';

test('the nearest name: by edits, else by its beginning', () => {
  const names = ['hostnames', 'headers', 'method', 'path', 'queryParams', 'port', 'parentRefs'];
  assert.equal(nearest('methods', names), 'method');
  assert.equal(nearest('HEADER', names), 'headers');
  assert.equal(nearest('host', names), 'hostnames');
  assert.equal(nearest('query', names), 'queryParams');
  assert.equal(nearest('pa', names), undefined);
  assert.equal(nearest('par', names), 'parentRefs');
  assert.equal(nearest('p', ['path', 'port']), undefined);
  assert.equal(nearest('url', names), undefined);
  assert.equal(nearest('', names), undefined);
});

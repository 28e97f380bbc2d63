import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amendedQuery } from './amend-query.ts';

const set = (name: string, value: string) => ({ name, value });
const gone = (name: string) => ({ name, value: null });

test('parameters are set where they stood, or behind all others, and removed however they are written', () => {
  assert.equal(amendedQuery('a=1&b=2&a=3', [set('a', '9')]), 'a=9&b=2');
  assert.equal(amendedQuery('b=2', [set('a', 'x y&=%')]), 'b=2&a=x%20y%26%3D%25');
  assert.equal(amendedQuery('', [set('a', '')]), 'a=');
  assert.equal(amendedQuery('%74oken=1&b&token=2&token', [gone('token')]), 'b');
  assert.equal(amendedQuery('a+b=1&a%20b=2&c', [gone('a b')]), 'c');
  assert.equal(amendedQuery('%zz=1&a=%zz&', [gone('b')]), '%zz=1&a=%zz&');
  assert.equal(amendedQuery('a=1', [set('b', '2'), gone('b'), gone('a')]), '');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intersect, intersectAll, isHostname, isPreciseHostname } from './hostname.ts';

test('hostnames of the API', () => {
  for (const good of ['a', 'a.b', '*.a', 'a-b.c0', '1.2', 'a'.repeat(253)]) assert.ok(isHostname(good), good);
  for (const bad of [
    '',
    '*',
    '*.',
    'a.',
    '.a',
    '*.*.a',
    'a.*',
    'A',
    'a_b',
    '-a',
    'a-',
    'a b',
    'a:80',
    'a'.repeat(254),
  ]) {
    assert.ok(!isHostname(bad), bad);
  }
  assert.ok(isPreciseHostname('a.b'));
  assert.ok(!isPreciseHostname('*.a.b'));
});

test('the more specific of both, either way round', () => {
  const cases: [string, string, string | null][] = [
    ['*', '*', '*'],
    ['*', 'a.example', 'a.example'],
    ['*', '*.example', '*.example'],
    ['a.example', 'a.example', 'a.example'],
    ['a.example', 'b.example', null],
    ['*.example', 'a.example', 'a.example'],
    ['*.example', 'a.b.example', 'a.b.example'],
    ['*.example', 'example', null],
    ['*.example', 'aexample', null],
    ['*.example', '*.example', '*.example'],
    ['*.example', '*.a.example', '*.a.example'],
    ['*.a.example', '*.b.example', null],
    ['*.a.example', 'a.example', null],
  ];
  for (const [a, b, both] of cases) {
    assert.equal(intersect(a, b), both, `${a} and ${b}`);
    assert.equal(intersect(b, a), both, `${b} and ${a}`);
  }
});

test("a route without hostnames takes the listener's; doubles fall together", () => {
  assert.deepEqual(intersectAll('*.example', []), ['*.example']);
  assert.deepEqual(intersectAll('a.b.example', ['*.example', '*.b.example', 'other']), ['a.b.example']);
  assert.deepEqual(intersectAll('*.example', ['other']), []);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request, written } from '../../../test/support/routing.ts';
import type { PathModifier } from '../../ir/ir.ts';
import { PathEdit, putTarget, targetBound } from './path-edit.ts';

const prefix = (value: string): PathModifier => ({ type: 'ReplacePrefixMatch', value });
const full = (value: string): PathModifier => ({ type: 'ReplaceFullPath', value });

/** The target that is forwarded when `matched` bytes of the path were matched. */
function rewritten(target: string, matched: number, modifier: PathModifier | null, method = 'GET'): string {
  const message = request('h', target, [], method);
  const edit = modifier === null ? null : new PathEdit(modifier);
  const text = written(message, (at) => putTarget(message.mem, at, message.head, matched, edit));
  assert.ok(text.length <= targetBound(message.head, edit));
  return text;
}

// The table of HTTPPathModifier.replacePrefixMatch (Gateway API v1.6.1). The router gives the length of a prefix
// without its trailing slash.
const table: readonly (readonly [path: string, matched: string, replacement: string, expected: string])[] = [
  ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
  ['/foo', '/foo', '/xyz', '/xyz'],
  ['/foo/', '/foo', '/xyz', '/xyz/'],
  ['/foo/bar', '/foo', '', '/bar'],
  ['/foo/', '/foo', '', '/'],
  ['/foo', '/foo', '', '/'],
  ['/foo/', '/foo', '/', '/'],
  ['/foo', '/foo', '/', '/'],
  // and beyond it
  ['/foo/bar', '', '/xyz', '/xyz/foo/bar'],
  ['/', '', '/xyz', '/xyz/'],
  ['/foo/bar', '/foo', 'xyz', '/xyz/bar'],
  ['/foo/bar', '/foo', '/x/y//', '/x/y/bar'],
];
for (const [path, matched, replacement, expected] of table) {
  test(`ReplacePrefixMatch: ${path}, prefix '${matched}', replaced by '${replacement}'`, () => {
    assert.equal(rewritten(path, matched.length, prefix(replacement)), expected);
    assert.equal(rewritten(`${path}?q=/foo&r`, matched.length, prefix(replacement)), `${expected}?q=/foo&r`);
  });
}

test('conformance HTTPRouteRewritePath', () => {
  assert.equal(rewritten('/prefix/one/two', 11, prefix('/one')), '/one/two');
  assert.equal(rewritten('/strip-prefix/three', 13, prefix('/')), '/three');
  assert.equal(rewritten('/strip-prefix', 13, prefix('/')), '/');
  assert.equal(rewritten('/full/one/two', 9, full('/one')), '/one');
  assert.equal(rewritten('/full/rewrite-path-and-modify-headers/test', 37, full('/test')), '/test');
});

test('ReplaceFullPath keeps the query alone', () => {
  assert.equal(rewritten('/a/b?c=d?e', 2, full('/x/')), '/x/?c=d?e');
  assert.equal(rewritten('/a/b?', 2, full('/x')), '/x?');
  assert.equal(rewritten('/a/b', 2, full('')), '/');
  assert.equal(rewritten('/a/b', 2, full('x')), '/x');
});

test('without an edit the target goes on in origin form', () => {
  assert.equal(rewritten('/a/b?c', 2, null), '/a/b?c');
  assert.equal(rewritten('http://h/a/b?c', 0, null), '/a/b?c');
  assert.equal(rewritten('http://h?c', 0, null), '/?c');
});

test('an asterisk is no path to be rewritten (RFC 9112 section 3.2.4)', () => {
  assert.equal(rewritten('*', 0, prefix('/x'), 'OPTIONS'), '*');
  assert.equal(rewritten('*', 0, full('/x'), 'OPTIONS'), '*');
});

test('what cannot stand in a path is escaped: a value ends neither path nor line', () => {
  assert.equal(
    rewritten('/a', 2, full('/x?y#z "<>\\^`{|}\r\n\0é')),
    '/x%3Fy%23z%20%22%3C%3E%5C%5E%60%7B%7C%7D%0D%0A%00%C3%A9',
  );
  assert.equal(rewritten('/a', 2, full('/a%20b/~;,@:=')), '/a%20b/~;,@:=');
});

test('what cannot stand in a path is escaped, in a prefix, a whole path and a redirect alike (routing.md)', () => {
  for (const modifier of [prefix, full]) {
    assert.equal(rewritten('/foo', 4, modifier('/bar baz')), '/bar%20baz');
    assert.equal(rewritten('/foo', 4, modifier('/\u00fc')), '/%C3%BC');
    assert.equal(rewritten('/foo', 4, modifier('/a?b#c\r\nX: y')), '/a%3Fb%23c%0D%0AX:%20y');
    assert.equal(rewritten('/foo', 4, modifier('/a%20b%2f%zz%')), '/a%20b%2f%25zz%25');
  }
});

const expression = (path: string, value: string): PathModifier => ({
  type: 'ReplaceExpression',
  pattern: `(?i:${path}).*`,
  value,
});

// What ingress-nginx makes of a path, a rewrite-target and a request (its page on rewriting, and beyond it).
const captured: readonly (readonly [path: string, value: string, request: string, expected: string])[] = [
  ['/something(/|$)(.*)', '/$2', '/something', '/'],
  ['/something(/|$)(.*)', '/$2', '/something/', '/'],
  ['/something(/|$)(.*)', '/$2', '/something/new', '/new'],
  ['/something(/|$)(.*)', '/$2', '/Something/a/b%2Fc', '/a/b%2Fc'],
  ['/(.*)', '/base/$1', '/', '/base/'],
  ['/(.*)', '/base/$1', '/a/b', '/base/a/b'],
  ['/old/?(.*)', '/$1', '/old', '/'],
  ['/old(/.*)', '$1', '/old/a', '/a'],
  ['/(v1|v2)/(.*)', '/$2/$1', '/v2/x/y', '/x/y/v2'],
  ['/a/([^/]+)/b', '/b/$1', '/a/x/b/rest', '/b/x'],
  ['/a(x)?/(.*)', '/$1/$2', '/a/b', '//b'],
  ['/a(.*)|/b(.*)', '/$1$2', '/bcd', '/cd'],
  ['/a[(](.*)', '/$1', '/a(b', '/b'],
  ['/a', '/$1', '/a', '/'],
  ['/a/(.*)', '/$3', '/a/b', '/'],
  ['/a/(.*)', '$1', '/a/b', '/b'],
];
for (const [path, value, asked, expected] of captured) {
  test(`ReplaceExpression: ${asked} by ${path} to ${value}`, () => {
    assert.equal(rewritten(asked, 0, expression(path, value)), expected);
    assert.equal(rewritten(`${asked}?q=/a&r`, 0, expression(path, value)), `${expected}?q=/a&r`);
  });
}

const refused = (target: string, path: string, value: string): string | undefined => {
  const { mem, head } = request('h', target);
  return new PathEdit(expression(path, value)).refuses(mem, head)?.kind;
};

test('ReplaceExpression: a path may be long where the rest is not read, and has a limit where it is', () => {
  const long = `/a/${'b/'.repeat(6_000)}`;
  assert.equal(refused(long, '/a(/|$)(.*)', '/$2'), undefined);
  assert.equal(refused(long, '/(.*)/(.*)', '/$2'), 'uri_too_long');
  assert.equal(refused(long, '/a/([a-z]+)/(.*)', '/$2'), 'uri_too_long');
  assert.equal(refused(`/a/${'b/'.repeat(1_000)}`, '/(.*)/(.*)', '/$2'), undefined);
});

test('ReplaceExpression: nothing that is captured leads out of where it is put', () => {
  for (const asked of ['/a../x', '/a..', '/a..;/x', '/a..%2fx', '/a..%5Cx'])
    assert.equal(refused(asked, '/a(.*)', '/public/$1'), 'bad_request', asked);
  for (const asked of ['/a..b', '/a/b..c/d', '/ab..'])
    assert.equal(refused(asked, '/a(.*)', '/public/$1'), undefined, asked);
  assert.equal(refused('/a../x', '/a(.*)', '/public$1'), undefined);
});

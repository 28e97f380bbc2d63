import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { request } from '../../../test/support/routing.ts';
import { LIMITS } from '../../base/limits.ts';
import { keepSlashes, normalizePath, normalizeTarget } from './normalize.ts';

/** The path as normalised, null when it is refused. */
function normalized(path: string): string | null {
  const mem = Buffer.from(`<${path}>`, 'latin1');
  const start = normalizePath(mem, 1, mem.length - 1);
  assert.equal(mem[0], 0x3c);
  assert.equal(mem[mem.length - 1], 0x3e);
  return start < 0 ? null : mem.toString('latin1', start, mem.length - 1);
}

const cases: readonly (readonly [path: string, expected: string | null])[] = [
  // nothing to do
  ['/', '/'],
  ['', ''],
  ['*', '*'],
  ['/a/b.c/..d/e.', '/a/b.c/..d/e.'],
  ['/a;b=1/c,d/~e/$x', '/a;b=1/c,d/~e/$x'],
  // RFC 3986 section 5.2.4
  ['/a/b/c/./../../g', '/a/g'],
  ['/.', '/'],
  ['/./', '/'],
  ['/a/.', '/a/'],
  ['/a/..', '/'],
  ['/a/b/..', '/a/'],
  ['/a/b/../', '/a/'],
  ['/a/./b', '/a/b'],
  ['/a/...', '/a/...'],
  ['/.a', '/.a'],
  ['/..a/b', '/..a/b'],
  // above the root
  ['/..', null],
  ['/../a', null],
  ['/a/../..', null],
  ['/a/../../b', null],
  // RFC 3986 section 6.2.2: escapes
  ['/%61dmin', '/admin'],
  ['/%7Euser', '/~user'],
  ['/caf%c3%a9', '/caf%C3%A9'],
  ['/a%2fb', '/a%2Fb'],
  ['/a%20b%3f', '/a%20b%3F'],
  ['/a/%2e%2e/b', '/b'],
  ['/a/%2E/b', '/a/b'],
  ['/a/.%2e/b', '/b'],
  ['/%2e%2e/b', null],
  // broken escapes: decoding around them must not make new ones
  ['/%', null],
  ['/%4', null],
  ['/%zz', null],
  ['/%%32%65', null],
  ['/a%00b', null],
  // runs of slashes
  ['//', '/'],
  ['//admin', '/admin'],
  ['/a///b//', '/a/b/'],
  ['/a//../b', '/a/b'],
  ['//..', '/'],
  ['//../..', null],
  // dot segments for those who take an escaped or backward slash for a separator
  ['/a/..%2Fadmin', null],
  ['/a%2f..%2fb', null],
  ['/a%2F../b', null],
  ['/a/..%5cb', null],
  ['/a/..\\b', null],
  ['/a\\..\\b', null],
  ['/a/b%2F.', null],
  ['/a/%2e%2e%2fb', null],
  ['/a%2Fb', '/a%2Fb'],
  ['/a\\b', '/a\\b'],
  ['/a%2F..b/c', '/a%2F..b/c'],
  // and for those who take parameters off first
  ['/a/..;/b', null],
  ['/a/..;x=y/b', null],
  ['/a/.;/b', null],
  ['/a/%2e%2e%3bx/b', null],
  ['/a/..;', null],
  ['/a/b;x/..c;y', '/a/b;x/..c;y'],
  // an escaped slash elsewhere does not hide an ordinary dot segment
  ['/x%2Fy/a/../b', '/x%2Fy/b'],
];

for (const [path, expected] of cases) {
  test(`normalizePath ${JSON.stringify(path)}`, () => assert.equal(normalized(path), expected));
}

test('what is normalised stays so, holds no dot segments, no runs of slashes and no needless escapes', () => {
  const piece = fc.constantFrom(
    '/',
    '/',
    '.',
    '..',
    'a',
    'B',
    '%2e',
    '%2F',
    '%41',
    '%zz',
    '%',
    '\\',
    '2',
    'e',
    '%5c',
    ';',
    '%3b',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const once = normalized(`/${pieces.join('')}`);
      if (once === null) return;
      assert.equal(normalized(once), once);
      assert.match(once, /^\//);
      assert.doesNotMatch(once, /\/\//);
      assert.doesNotMatch(once, /\/\.{1,2}(\/|$)/);
      assert.doesNotMatch(once, /%(2E|41)|%[0-9a-f]?[a-f]/);
      // A backend that decodes once more, takes every slash for one and parameters for nothing, still sees no dot
      // segment.
      const decoded = once.replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      assert.doesNotMatch(decoded.replaceAll('\\', '/'), /\/\.{1,2}([/;]|$)/);
    }),
    { seed: 20261121, numRuns: 3000 },
  );
});

test('dot segments and escapes as the WHATWG URL parser reads them, where both accept', () => {
  const piece = fc.constantFrom('/', 'a', 'b.', '..c', '/.', '/..', '/a/', '%2e', '%2E');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
      const path = `/${pieces.join('')}`;
      const mine = normalized(path);
      if (mine === null) return;
      const url = new URL(`http://h/x`);
      url.pathname = path;
      assert.equal(mine, url.pathname.replaceAll(/%2e/gi, '.').replaceAll(/\/+/g, '/'));
    }),
    { seed: 20261121, numRuns: 2000 },
  );
});

test('a path as long as a target may be, and longer', () => {
  const long = `/${'a/./'.repeat(LIMITS.URI_BYTES / 4 - 1)}`;
  assert.equal(normalized(long)?.length, 1 + (LIMITS.URI_BYTES / 4 - 1) * 2);
  assert.equal(normalized(`${long}${'x'.repeat(8)}`), null);
});

test('normalizeTarget keeps path and query together, and makes an absolute target the origin form', () => {
  for (const target of ['/a/%2e%2e/b//c?x=/../y', 'http://h/a/../b//c?x=/../y']) {
    const { mem, head } = request('h', target);
    assert.equal(normalizeTarget(mem, head), true);
    assert.equal(Buffer.from(mem).toString('latin1', head.pathStart, head.pathEnd), '/b/c');
    assert.equal(Buffer.from(mem).toString('latin1', head.targetStart, head.targetEnd), '/b/c?x=/../y');
  }
});

test('normalizeTarget refuses, and leaves alone what is plain', () => {
  const bad = request('h', '/../etc');
  assert.equal(normalizeTarget(bad.mem, bad.head), false);
  const plain = request('h', 'http://h/a/b?q');
  const { targetStart } = plain.head;
  assert.equal(normalizeTarget(plain.mem, plain.head), true);
  assert.equal(plain.head.targetStart, targetStart);
});

/** What of it is forwarded where slashes are kept, and how much of that the prefix is. */
function keptOf(target: string, prefix: number): readonly [path: string, prefix: string] | null {
  const { mem, head } = request('h', target);
  if (!normalizeTarget(mem, head)) return null;
  const length = keepSlashes(mem, head, prefix);
  const text = (from: number, to: number): string => Buffer.from(mem).toString('latin1', from, to);
  assert.equal(head.targetStart, head.pathStart);
  return [text(head.pathStart, head.pathEnd), text(head.pathStart, head.pathStart + length)];
}

test('runs of slashes come back, with all else normalised, and so does what of them the prefix covers', () => {
  assert.deepEqual(keptOf('/img/https://a.example//b', 4), ['/img/https://a.example//b', '/img']);
  assert.deepEqual(keptOf('//img//x', 4), ['//img//x', '//img']);
  assert.deepEqual(keptOf('//img///x', 5), ['//img///x', '//img///']);
  assert.deepEqual(keptOf('/%61//%7Eb/./c//', 2), ['/a//~b/c//', '/a']);
  assert.deepEqual(keptOf('/a/%2e%2e//b', 1), ['//b', '//']);
  assert.deepEqual(keptOf('/a/b?x=//', 4), ['/a/b', '/a/b']);
  assert.equal(keptOf('/a//..;x/b', 1), null);
  // Of a path before that had some nothing is left.
  assert.deepEqual(keptOf('/%61/b', 2), ['/a/b', '/a']);
});

test('what comes back is what was matched, but for slashes: any path', () => {
  const part = fc.constantFrom('/', '//', '///', 'a', 'b;c', '.', '..', '%2e', '%41', '%2F', ':');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), fc.nat(40), (parts, at) => {
      const path = `/${parts.join('')}`;
      const merged = normalized(path);
      const prefix = Math.min(at, merged?.length ?? 0);
      const kept = keptOf(path, prefix);
      if (kept === null || merged === null) {
        assert.equal(kept, merged);
        return;
      }
      assert.equal(kept[0].replace(/\/+/g, '/'), merged);
      assert.equal(kept[1].replace(/\/+/g, '/'), merged.slice(0, prefix));
      // All of a run is on one side.
      assert.ok(!(kept[1].endsWith('/') && kept[0].slice(kept[1].length).startsWith('/')), `${path} ${kept}`);
    }),
    { seed: 20261127, numRuns: 3000 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf } from './bytes.ts';
import { LIMITS } from './limits.ts';
import { Regex, RegexError } from './regex.ts';

function matches(pattern: string, text: string): boolean {
  const bytes = bytesOf(`..${text}..`);
  return new Regex(pattern).matches(bytes, 2, bytes.length - 2);
}

test('the whole value must match', () => {
  assert.equal(matches('/a+', '/aaa'), true);
  assert.equal(matches('/a+', '/aaab'), false);
  assert.equal(matches('/a+', 'x/aaa'), false);
  assert.equal(matches('a|ab', 'ab'), true);
  assert.equal(matches('', ''), true);
  assert.equal(matches('^x$', 'x'), true);
});

test('bytes are read as UTF-8', () => {
  assert.equal(matches('caf.', 'café'), true);
  assert.equal(matches('caf..', 'café'), false);
});

test('a bad pattern is refused with its place and reason', () => {
  assert.throws(
    () => new Regex('a(b'),
    (error) => error instanceof RegexError && /"a\(b".*is not closed/.test(error.message),
  );
  assert.throws(() => new Regex('(?!a)'), RegexError);
  assert.throws(() => new Regex('a\\1'), RegexError);
});

test('a pattern that compiles to a large program is refused', () => {
  assert.throws(
    () => new Regex('(a{30}){30}'),
    (error) => error instanceof RegexError && /too complex/.test(error.message),
  );
});

test('time grows with the length of the value, not exponentially', () => {
  const bytes = bytesOf(`${'a'.repeat(16_000)}!`);
  assert.equal(new Regex('(a*)*b').matches(bytes, 0, bytes.length), false);
  assert.equal(new Regex('(.*,)*(.*;)*x').matches(bytes, 0, bytes.length), false);
});

test('an automaton that explodes stays small and linear', () => {
  // 2^15 states, were they all kept.
  const regex = new Regex('(a|b)*a(a|b){14}');
  const bytes = new Uint8Array(64 * 1024);
  let state = 1;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = 0x61 + (state >>> 31);
  }
  for (let n = 1000; n < 1032; n++) assert.equal(regex.matches(bytes, 0, n), bytes[n - 15] === 0x61);
  assert.ok(regex.cachedBytes > 0 && regex.cachedBytes <= LIMITS.REGEX_CACHE_BYTES, `${regex.cachedBytes} bytes`);
});

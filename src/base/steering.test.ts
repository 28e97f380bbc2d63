import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steers, visible, visibleJson } from './steering.ts';

const CLASS =
  /^[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Variation_Selector}]$/u;

test('the ranges are those of the Unicode properties, for every code point', () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    const is = CLASS.test(String.fromCodePoint(code));
    if (steers(code) !== is) assert.fail(`U+${code.toString(16)}: ${steers(code)} instead of ${is}`);
  }
});

test('what steers the reader is written out, and nothing else changes', () => {
  const nasty = ['\u001b', '\u0007', '\u009b', '\u061c', '\u200e', '\u200f', '\u202e', '\u2066', '\ufeff', '\u00ad'];
  nasty.push('\u200b', '\u2060', '\u3164', '\u{e0041}', '\u{1d173}', '\ufe0f', '\ud800');
  for (const c of nasty) {
    const code = (c.codePointAt(0) as number).toString(16);
    assert.equal(visible(`a${c}b`), code.length > 2 ? `a\\u{${code}}b` : `a\\x${code.padStart(2, '0')}b`);
    const json = visibleJson(JSON.stringify({ a: `x${c}y` }, null, 1));
    assert.deepEqual(JSON.parse(json), { a: `x${c}y` });
    assert.ok(!json.includes(c) && json.includes('\n'));
  }
  assert.equal(visible('grün → 東京 🙂'), 'grün → 東京 🙂');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { plainBase64 } from './base64.ts';

const STRICT = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

test('what is plain Base64 is decoded, and nothing else is', () => {
  const bytes = fc.uint8Array({ maxLength: 90 }).map((some) => Buffer.from(some).toString('base64'));
  const odd = fc.constantFrom('-', '_', '=', ' ', '\t', '\n', '\r', '\0', ':', '%', 'A', 'Ł', '‐', '🔑', 'Á', '');
  fc.assert(
    fc.property(bytes, fc.array(fc.tuple(fc.nat(), odd), { maxLength: 3 }), (good, changes) => {
      let text = good;
      for (const [at, one] of changes) {
        const i = at % (text.length + 1);
        text = text.slice(0, i) + one + text.slice(i + (at % 2 === 0 ? one.length : 0));
      }
      const read = plainBase64(text);
      const digits = text.replaceAll('\n', '');
      // Between the two that fill up the last group it may be either.
      if (!/=\n+=\n*$/.test(text)) assert.equal(read !== null, STRICT.test(digits), JSON.stringify(text));
      if (read !== null) assert.equal(read, Buffer.from(digits, 'base64').toString('latin1'));
    }),
    { numRuns: 3000 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { LIMITS } from './limits.ts';

test('limits are fields that code compiles to constants, however many there are', () => {
  setFlagsFromString('--allow-natives-syntax');
  const isFast = new Function('object', 'return %HasFastProperties(object)') as (object: object) => boolean;
  setFlagsFromString('--no-allow-natives-syntax');
  assert.ok(isFast(LIMITS));
  const names = Array.from({ length: 129 }, (_, i) => `A${i}: ${i}`);
  assert.ok(!isFast(new Function(`return { ${names.join()} }`)() as object), 'the check sees a hash table');
});

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { decodeKept, encodeKept } from './kept.ts';

const BY = { version: '1.0.0', flags: 'abc' };
const ENTRIES: [string, Buffer][] = [
  ['socket/0.0.0.0/80/tcp', Buffer.from('a socket')],
  ['rule/HTTPRoute/web/r/0', Buffer.from('a rule')],
  ['endpoints/Service/web/app/80', Buffer.alloc(300_000, 7)],
];

test('what is kept comes back', () => {
  const bytes = encodeKept(ENTRIES, BY, 5);
  assert.deepEqual(decodeKept(bytes, BY), { entries: new Map(ENTRIES), writtenMs: 5 });
  assert.deepEqual(decodeKept(encodeKept([], BY, 5), BY), { entries: new Map(), writtenMs: 5 });
});

test('a file cut off anywhere, or with a byte that is another one, is refused', () => {
  const bytes = encodeKept(ENTRIES.slice(0, 2), BY, 5);
  for (let n = 0; n < bytes.length; n++) {
    assert.equal(typeof decodeKept(bytes.subarray(0, n), BY), 'string', `cut at ${n}`);
    const other = Buffer.from(bytes);
    other[n] = (other[n] as number) ^ 0x20;
    assert.equal(typeof decodeKept(other, BY), 'string', `byte ${n}`);
  }
  assert.equal(typeof decodeKept(Buffer.concat([bytes, bytes]), BY), 'string');
});

test('one of another version, other flags or another program is refused by that name', () => {
  const bytes = encodeKept(ENTRIES, BY, 5);
  assert.match(String(decodeKept(bytes, { ...BY, version: '2' })), /^was written by version 1\.0\.0 of the program$/);
  assert.match(String(decodeKept(bytes, { ...BY, flags: 'b' })), /^was written by a program with other flags/);
  assert.equal(decodeKept(Buffer.from('#!/bin/sh\n'), BY), 'is not a state file of this version');
  // Whole by its digest, and made by somebody else.
  const forged = Buffer.concat([
    Buffer.from('RAUTA state 1\n'),
    Buffer.from([9, 0, 0, 0, 1]),
    Buffer.from('{"no":json'),
  ]);
  const whole = Buffer.concat([forged, hash('sha256', forged, 'buffer')]);
  assert.match(String(decodeKept(whole, BY)), /^cannot be read: /);
});

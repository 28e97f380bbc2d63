// RFC 9218 section 4, and how RFC 9651 section 3.2 writes it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIncremental, parsePriority, urgencyOf } from './priority.ts';

test('urgency and incremental are read; what is unknown, of another type or out of range counts as not said', () => {
  const said: Readonly<Record<string, readonly [number, boolean]>> = {
    '': [3, false],
    'u=0': [0, false],
    'u=7, i': [7, true],
    'i,u=2': [2, true],
    'i=?1': [3, true],
    'i=?0, u=5': [5, false],
    ' u=1 \t, i ': [1, true],
    'u=8': [3, false],
    'u=-1': [3, false],
    'u=1.0': [3, false],
    'u="1"': [3, false],
    'i=1': [3, false],
    'u=1, u=4': [4, false],
    'u=2;x=1, i;y': [2, true],
    'x=9, u=6, yy=(1 2)': [6, false],
    'U=1, I': [3, false],
    ',,,': [3, false],
  };
  for (const [text, [urgency, incremental]] of Object.entries(said)) {
    const mem = Buffer.from(`u${text}u=0`);
    const priority = parsePriority(mem, 1, 1 + text.length);
    assert.deepEqual([urgencyOf(priority), isIncremental(priority)], [urgency, incremental], text);
  }
});

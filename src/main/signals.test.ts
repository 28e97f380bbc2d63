import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { apart } from './signals.ts';

test('what comes together is one, however long it goes on, and what comes later another', () => {
  const done: string[] = [];
  let now = 0;
  const act = apart(
    () => now,
    (signal: string) => done.push(`${signal} ${now}`),
  );
  for (const at of [0, 1, LIMITS.STOP_AGAIN_MS - 1, LIMITS.STOP_AGAIN_MS, LIMITS.STOP_AGAIN_MS + 1]) {
    now = at;
    act('SIGTERM');
  }
  assert.deepEqual(done, ['SIGTERM 0', `SIGTERM ${LIMITS.STOP_AGAIN_MS}`]);
});

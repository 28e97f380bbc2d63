import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { keptReadiness } from './view.ts';

test('a program that serves a state file is ready, but for missing keys at first', () => {
  const [writtenMs, waiting] = [Date.UTC(2026, 0, 2), 'Gateway: Unreachable'];
  assert.deepEqual(keptReadiness({ writtenMs, keyless: 0 }, waiting, 0), {
    ready: true,
    reason: 'serving the state file of 2026-01-02T00:00:00.000Z: waiting for Gateway: Unreachable',
  });
  const keyless = { writtenMs, keyless: 2 };
  assert.equal(keptReadiness(keyless, waiting, LIMITS.STATE_FILE_READY_MS - 1).ready, false);
  assert.deepEqual(keptReadiness(keyless, waiting, LIMITS.STATE_FILE_READY_MS), {
    ready: true,
    reason:
      'serving the state file of 2026-01-02T00:00:00.000Z, without the keys of 2 TLS hosts, whose handshakes are ' +
      'refused: waiting for Gateway: Unreachable',
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../base/limits.ts';
import { TimerWheel } from '../../io/wheel.ts';
import type { Core } from '../core.ts';
import type { Secured } from '../tls/dialer.ts';
import { RetiredSecurity } from './retired.ts';

interface Rig {
  readonly retired: RetiredSecurity;
  /** Names given back, in order. */
  readonly given: string[];
  keep(name: string): void;
  pass(ms: number): void;
}

function rig(): Rig {
  const io = { nowMs: 1_000, timers: new TimerWheel(1_000) };
  const retired = new RetiredSecurity({ io } as unknown as Core);
  const given: string[] = [];
  const table = { releaseClient: (name: unknown): void => void given.push(String(name)) };
  return {
    retired,
    given,
    keep: (name) => retired.keep({ table, client: name } as unknown as Secured),
    pass: (ms) => {
      io.nowMs += ms;
      io.timers.advance(io.nowMs);
    },
  };
}

test('each is kept for its time and given back once', () => {
  const { given, keep, pass } = rig();
  keep('a');
  pass(LIMITS.RETIRED_TLS_MS / 2);
  keep('b');
  pass(LIMITS.RETIRED_TLS_MS / 2 + 100);
  assert.deepEqual(given, ['a']);
  pass(LIMITS.RETIRED_TLS_MS);
  assert.deepEqual(given, ['a', 'b']);
  keep('c');
  pass(LIMITS.RETIRED_TLS_MS + 100);
  assert.deepEqual(given, ['a', 'b', 'c']);
});

test('past the limit the oldest goes; an end gives all back', () => {
  const { retired, given, keep, pass } = rig();
  for (let i = 0; i <= LIMITS.RETIRED_TLS; i++) keep(String(i));
  assert.deepEqual(given, ['0']);
  retired.dispose();
  assert.equal(given.length, LIMITS.RETIRED_TLS + 1);
  pass(2 * LIMITS.RETIRED_TLS_MS);
  assert.equal(given.length, LIMITS.RETIRED_TLS + 1);
});

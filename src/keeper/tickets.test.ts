import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';
import { Tickets } from './tickets.ts';

test('a key issues for a time and is accepted for as long again', () => {
  const tickets = new Tickets(0);
  const first = tickets.keys;
  assert.equal(first.length, TICKET_KEY_BYTES);
  assert.equal(tickets.rotate(LIMITS.TLS_TICKET_ROTATION_MS - 1), false);
  assert.equal(tickets.rotate(LIMITS.TLS_TICKET_ROTATION_MS), true);
  const second = tickets.keys.subarray(0, TICKET_KEY_BYTES);
  assert.notDeepEqual(second, first);
  assert.deepEqual(tickets.keys.subarray(TICKET_KEY_BYTES), first);
  assert.equal(tickets.rotate(2 * LIMITS.TLS_TICKET_ROTATION_MS), true);
  assert.deepEqual(tickets.keys.subarray(TICKET_KEY_BYTES), second, 'the first is gone');
});

test('what a predecessor issued with is taken over, and nothing that is no row of keys', () => {
  const [old, next] = [new Tickets(0), new Tickets(0)];
  old.rotate(LIMITS.TLS_TICKET_ROTATION_MS);
  assert.equal(next.adopt(old.keys), true);
  assert.deepEqual(next.keys, old.keys);
  for (const wrong of [0, 1, TICKET_KEY_BYTES + 1, TICKET_KEY_BYTES * (LIMITS.TLS_TICKET_KEYS + 1)]) {
    assert.equal(next.adopt(Buffer.alloc(wrong)), false, `${wrong} bytes`);
  }
  assert.deepEqual(next.keys, old.keys);
});

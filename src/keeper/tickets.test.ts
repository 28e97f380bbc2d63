import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Logger } from '../base/log.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';
import { ticketKeysOf } from './keys-file.ts';
import { Tickets } from './tickets.ts';

const log = Logger.to({ write: () => {}, now: () => new Date(0) }, { level: 'info', json: true });

test('a key issues for a time and is accepted for as long again', () => {
  const tickets = new Tickets(0, null, log);
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
  const [old, next] = [new Tickets(0, null, log), new Tickets(0, null, log)];
  old.rotate(LIMITS.TLS_TICKET_ROTATION_MS);
  assert.equal(next.adopt(old.keys), true);
  assert.deepEqual(next.keys, old.keys);
  for (const wrong of [0, 1, TICKET_KEY_BYTES + 1, TICKET_KEY_BYTES * (LIMITS.TLS_TICKET_KEYS + 1)]) {
    assert.equal(next.adopt(Buffer.alloc(wrong)), false, `${wrong} bytes`);
  }
  assert.deepEqual(next.keys, old.keys);
});

test('keys that replicas share issue; what was issued with before is accepted for as long as ever', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keys');
  const secrets = Array.from({ length: LIMITS.TLS_TICKET_KEYS }, () => randomBytes(32).toString('base64'));
  const [first, second] = secrets as [string, string];
  writeFileSync(path, first);
  const tickets = new Tickets(0, { path, mayComeLater: false }, log);
  const own = tickets.keys;
  assert.equal(tickets.open(), null);
  assert.deepEqual(tickets.keys, Buffer.concat([ticketKeysOf(first), own]));
  tickets.rotate(LIMITS.TLS_TICKET_ROTATION_MS);
  const [issues] = [tickets.keys.subarray(0, TICKET_KEY_BYTES)];
  assert.deepEqual(issues, ticketKeysOf(first), 'nobody but its writer rotates the file');
  tickets.rotate(2 * LIMITS.TLS_TICKET_ROTATION_MS);
  assert.equal(tickets.keys.includes(own), false);
  // A predecessor that shared the same: each key once.
  tickets.adopt(Buffer.concat([ticketKeysOf(first), own]));
  assert.deepEqual(tickets.keys, Buffer.concat([ticketKeysOf(first), own]));
  // Whoever writes the file rotates, and whoever looks is told, once.
  const later = (looks: number): boolean =>
    tickets.rotate(2 * LIMITS.TLS_TICKET_ROTATION_MS + looks * LIMITS.TLS_FILES_MS);
  writeFileSync(path, `${second}\n${first}`);
  assert.equal(later(1), false, 'it may still be written');
  assert.equal(later(2), true);
  assert.equal(later(3), false);
  assert.deepEqual(tickets.keys, Buffer.concat([ticketKeysOf(`${second}\n${first}`), own]));
  writeFileSync(path, secrets.join('\n'));
  later(4);
  assert.equal(later(5), true);
  assert.equal(tickets.keys.length, LIMITS.TLS_TICKET_KEYS * TICKET_KEY_BYTES, 'no more than are accepted');
});

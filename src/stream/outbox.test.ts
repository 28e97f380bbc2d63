// A worker that does not read: what waits for it is bounded, and when it reads again it gets what is true then. And
// what it answers is held against what it was sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { openNative, socketPair } from '../native/index.ts';
import { Channel } from './channel.ts';
import { decodePut, encodeBegin, encodeJson, encodePut, FRAME } from './frames.ts';
import { Outbox } from './outbox.ts';
import { ProtocolError } from './protocol-error.ts';

const REVISIONS = 2_000;
const VALUE_BYTES = 64 * 1024;

test('2,000 revisions for a worker that does not read', () => {
  const io = openNative({ arenaBytes: 16 << 20 });
  const [ours, theirs] = socketPair(io);
  const onEnded = ({ reason }: { reason: string }): never => assert.fail(reason);
  const sender = new Channel(io, ours, { onFrame: () => {}, onEnded });
  const outbox = new Outbox(sender);
  const value = (revision: number): Buffer => {
    const bytes = Buffer.alloc(VALUE_BYTES, 'x');
    bytes.writeUInt32LE(revision, 0);
    return bytes;
  };
  const send = (revision: number, base: number | null): void => {
    sender.send(encodeBegin({ revision, base }));
    sender.send(encodePut('rule', value(revision)));
    sender.send(encodeJson(FRAME.COMMIT, { revision }));
    outbox.sent({ revision, base });
  };
  let most = 0;
  let offered = 0;
  for (let revision = 1; revision <= REVISIONS; revision++) {
    if (outbox.takes(revision - 1)) {
      send(revision, revision - 1);
      offered++;
    }
    most = Math.max(most, sender.queued);
  }
  assert.ok(offered < REVISIONS, 'more than the limit was there to send');
  assert.ok(most <= LIMITS.STREAM_QUEUE_BYTES + 2 * VALUE_BYTES, `${most} bytes waited`);
  assert.ok(!outbox.wants(REVISIONS), 'it has not read what it was sent');

  // It reads again.
  let [revisions, last, newest] = [0, 0, 0];
  const reader = new Channel(io, theirs, {
    onFrame: ({ type, body }) => {
      if (type === FRAME.PUT) newest = decodePut(body).value.readUInt32LE(0);
      if (type !== FRAME.COMMIT) return;
      revisions++;
      last = JSON.parse(body.toString()).revision;
      outbox.answered(last, true);
    },
    onEnded,
  });
  while (last < offered) io.turn(0);
  assert.equal(revisions, offered, 'nothing of what was sent is lost');
  assert.ok(outbox.wants(REVISIONS));
  send(REVISIONS, null);
  while (last < REVISIONS) io.turn(0);
  assert.equal(newest, REVISIONS);
  assert.equal(outbox.acked, REVISIONS);
  assert.equal(sender.queued, 0);
  sender.close();
  reader.close();
  io.dispose();
});

test('an answer to what was never sent, or out of its order, is a violation', () => {
  const outbox = new Outbox({ queued: 0 });
  assert.throws(() => outbox.answered(1, true), ProtocolError);
  outbox.sent({ revision: 1, base: 0 });
  outbox.sent({ revision: 2, base: 1 });
  for (const revision of [2, 0, 3]) assert.throws(() => outbox.answered(revision, true), ProtocolError);
  outbox.answered(1, true);
  assert.throws(() => outbox.answered(1, true), ProtocolError, 'once');
  outbox.answered(2, false);
  assert.equal(outbox.acked, 1);
});

test('changes of a refused revision are expected to be passed over, what is sent whole is not', () => {
  const outbox = new Outbox({ queued: 0 });
  outbox.sent({ revision: 1, base: 0 });
  outbox.answered(1, true);
  for (const revision of [2, 3, 4]) outbox.sent({ revision, base: revision - 1 });
  assert.equal(outbox.has, 4);
  outbox.answered(2, false);
  assert.equal(outbox.has, 1, 'nothing of it arrives');
  assert.ok(!outbox.wants(2) && outbox.wants(4));
  outbox.sent({ revision: 4, base: null });
  outbox.sent({ revision: 5, base: 4 });
  outbox.answered(4, true);
  outbox.answered(5, true);
  assert.equal(outbox.acked, 5);
});

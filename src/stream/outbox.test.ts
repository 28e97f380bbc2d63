// A worker that does not read: what waits for it is bounded, and when it reads again it gets what is true then.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { openNative, socketPair } from '../native/index.ts';
import { Channel } from './channel.ts';
import { decodePut, encodeJson, encodePut, FRAME } from './frames.ts';
import { Outbox } from './outbox.ts';
import { Snapshot } from './snapshot.ts';

const REVISIONS = 2_000;
const VALUE_BYTES = 64 * 1024;

test('2,000 revisions for a worker that does not read', () => {
  const io = openNative({ arenaBytes: 16 << 20 });
  const [ours, theirs] = socketPair(io);
  const sender = new Channel(io, ours, { onFrame: () => {}, onClosed: (reason) => assert.fail(reason) });
  const outbox = new Outbox(sender);
  const snapshot = new Snapshot();
  const send = (revision: number, full: boolean): void => {
    sender.send(encodeJson(FRAME.BEGIN, { revision, full }));
    for (const [key, value] of snapshot.entries) sender.send(encodePut(key, value));
    sender.send(encodeJson(FRAME.COMMIT, { revision }));
  };
  assert.ok(!outbox.takesChange(), 'a new one needs everything');
  outbox.behind = false;
  let most = 0;
  let offered = 0;
  for (let revision = 1; revision <= REVISIONS; revision++) {
    const value = Buffer.alloc(VALUE_BYTES, 'x');
    value.writeUInt32LE(revision, 0);
    snapshot.commit(revision, new Map([['rule', value]]), revision);
    if (outbox.takesChange()) {
      send(revision, false);
      offered++;
    }
    most = Math.max(most, sender.queued);
  }
  assert.ok(offered < REVISIONS, 'more than the limit was there to send');
  assert.ok(most <= LIMITS.STREAM_QUEUE_BYTES + 2 * VALUE_BYTES, `${most} bytes waited`);
  assert.ok(outbox.behind && !outbox.hungry, 'it has not read what it was sent');

  // It reads again.
  let [revisions, last, newest] = [0, 0, 0];
  const reader = new Channel(io, theirs, {
    onFrame: ({ type, body }) => {
      if (type === FRAME.PUT) newest = decodePut(body).value.readUInt32LE(0);
      if (type !== FRAME.COMMIT) return;
      revisions++;
      last = JSON.parse(body.toString()).revision;
    },
    onClosed: (reason) => assert.fail(reason),
  });
  while (last < offered) io.turn(0);
  assert.equal(revisions, offered, 'nothing of what was sent is lost');
  assert.ok(outbox.hungry);
  outbox.behind = false;
  send(snapshot.revision, true);
  while (last < REVISIONS) io.turn(0);
  assert.equal(newest, REVISIONS);
  assert.equal(sender.queued, 0);
  sender.close();
  reader.close();
  io.dispose();
});

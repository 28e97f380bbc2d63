import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBegin, encodeFrame, encodeJson, encodePut, FRAME, FrameDecoder } from './frames.ts';
import { Inbox, type Received } from './inbox.ts';
import { ProtocolError } from './protocol-error.ts';

function feed(inbox: Inbox, ...frames: Buffer[]): Received | null {
  let received: Received | null = null;
  new FrameDecoder().push(Buffer.concat(frames), (frame) => {
    received = inbox.take(frame);
  });
  return received;
}

const put = (key: string): Buffer => encodePut(key, Buffer.from(key));
const remove = (key: string): Buffer => encodeFrame(FRAME.DELETE, Buffer.from(key));
const begin = (revision: number, base: number | null): Buffer => encodeBegin({ revision, base });
const commit = encodeJson(FRAME.COMMIT, {});

test('a whole configuration removes what it does not name', () => {
  const inbox = new Inbox();
  const first = feed(inbox, begin(1, null), put('a'), put('b'), commit) as Received;
  inbox.applied(first);
  const change = feed(inbox, begin(2, 1), put('c'), remove('a'), commit) as Received;
  assert.deepEqual([[...change.puts.keys()], [...change.removals]], [['c'], ['a']]);
  inbox.applied(change);
  const whole = feed(inbox, begin(3, null), put('a'), commit) as Received;
  assert.deepEqual([[...whole.puts.keys()], [...whole.removals]], [['a'], ['b', 'c']]);
});

test('a change applies to its base only, and a refused revision leaves what was there', () => {
  const inbox = new Inbox();
  inbox.applied(feed(inbox, begin(1, 0), put('a'), commit) as Received);
  assert.ok(feed(inbox, begin(2, 1), put('bad'), commit)?.applies);
  // Revision 2 was refused: nobody said `applied`.
  assert.equal(feed(inbox, begin(3, 2), put('b'), commit)?.applies, false);
  assert.ok(feed(inbox, begin(4, null), put('b'), commit)?.applies);
  assert.equal(inbox.revision, 1);
});

test('entries outside a revision are refused', () => {
  for (const frame of [put('a'), remove('a'), commit]) assert.throws(() => feed(new Inbox(), frame), ProtocolError);
  const inbox = new Inbox();
  feed(inbox, begin(1, null));
  assert.ok(inbox.receiving);
  feed(inbox, commit);
  assert.ok(!inbox.receiving);
});

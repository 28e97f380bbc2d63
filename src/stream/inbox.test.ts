import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBegin, encodeFrame, encodeJson, encodePut, FRAME, FrameDecoder } from './frames.ts';
import { Inbox, type Received } from './inbox.ts';
import { ProtocolError } from './protocol-error.ts';

type Text = Inbox<string>;
const made = (): Text => new Inbox((value) => value.toString());

function feed(inbox: Text, ...frames: Buffer[]): Received<string> | null {
  let received: Received<string> | null = null;
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
  const inbox = made();
  const first = feed(inbox, begin(1, null), put('a'), put('b'), commit) as Received<string>;
  inbox.applied(first);
  const change = feed(inbox, begin(2, 1), put('c'), remove('a'), commit) as Received<string>;
  assert.deepEqual([[...change.puts.keys()], [...change.removals]], [['c'], ['a']]);
  inbox.applied(change);
  const whole = feed(inbox, begin(3, null), put('a'), commit) as Received<string>;
  assert.deepEqual([[...whole.puts.keys()], [...whole.removals]], [['a'], ['b', 'c']]);
});

test('a change applies to its base only, and a refused revision leaves what was there', () => {
  const inbox = made();
  inbox.applied(feed(inbox, begin(1, 0), put('a'), commit) as Received<string>);
  assert.ok(feed(inbox, begin(2, 1), put('bad'), commit)?.applies);
  // Revision 2 was refused: nobody said `applied`.
  assert.equal(feed(inbox, begin(3, 2), put('b'), commit)?.applies, false);
  assert.ok(feed(inbox, begin(4, null), put('b'), commit)?.applies);
  assert.equal(inbox.revision, 1);
});

test('entries outside a revision are refused', () => {
  for (const frame of [put('a'), remove('a'), commit]) assert.throws(() => feed(made(), frame), ProtocolError);
  const inbox = made();
  feed(inbox, begin(1, null));
  assert.ok(inbox.receiving);
  feed(inbox, commit);
  assert.ok(!inbox.receiving);
});

test('entries are read as they come, and one that cannot be read is told of with its revision, not before', () => {
  const read: string[] = [];
  const inbox: Text = new Inbox((value) => {
    read.push(value.toString());
    if (value.toString().startsWith('bad')) throw new Error('no entry');
    return value.toString();
  });
  feed(inbox, begin(1, null), put('a'), put('bad'));
  assert.deepEqual(read, ['a', 'bad']);
  const received = feed(inbox, put('bad too'), put('b'), commit) as Received<string>;
  assert.equal(received.unreadable?.key, 'bad');
  assert.deepEqual([...received.puts.keys()], ['a', 'b']);
  assert.equal(feed(inbox, begin(2, null), put('b'), commit)?.unreadable, null);
});

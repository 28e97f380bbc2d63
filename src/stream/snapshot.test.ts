import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { decodePut, encodeFrame, encodeJson, encodePut, FRAME, FrameDecoder } from './frames.ts';
import { Snapshot } from './snapshot.ts';

const value = (text: string): Buffer => Buffer.from(text);

function content(s: Snapshot): Record<string, string> {
  return Object.fromEntries([...s.entries].map(([k, v]) => [k, v.toString()]));
}

test('a snapshot goes back to before its newest revision', () => {
  const s = new Snapshot();
  s.commit(
    1,
    new Map([
      ['a', value('1')],
      ['b', value('1')],
    ]),
    0,
  );
  s.commit(
    2,
    new Map<string, Buffer | null>([
      ['a', value('2')],
      ['b', null],
      ['c', value('2')],
    ]),
    10,
  );
  assert.deepEqual(content(s), { a: '2', c: '2' });
  assert.equal(s.blamed(11), 2);
  assert.equal(s.revert()?.revision, 2);
  assert.deepEqual(content(s), { a: '1', b: '1' });
});

test('an old revision is blamed for nothing and can no longer be undone', () => {
  const s = new Snapshot();
  s.commit(1, new Map([['a', value('1')]]), 0);
  assert.equal(s.blamed(LIMITS.QUARANTINE_WINDOW_MS), 1);
  assert.equal(s.blamed(LIMITS.QUARANTINE_WINDOW_MS + 1), null);
  s.forget(LIMITS.QUARANTINE_WINDOW_MS + 1);
  assert.equal(s.revert(), null);
  assert.deepEqual(content(s), { a: '1' });
});

test('frames survive any cutting of the stream', () => {
  const stream = Buffer.concat([
    encodeJson(FRAME.BEGIN, { revision: 7, full: false }),
    encodePut('rule/HTTPRoute/default/a/0', value('{"x":1}')),
    encodePut('k', value('')),
    encodeFrame(FRAME.DELETE, value('gone')),
    encodeJson(FRAME.COMMIT, { revision: 7 }),
  ]);
  for (let size = 1; size <= stream.length; size++) {
    const seen: string[] = [];
    const decoder = new FrameDecoder();
    for (let at = 0; at < stream.length; at += size)
      decoder.push(stream.subarray(at, at + size), ({ type, body }) => {
        seen.push(type === FRAME.PUT ? `put ${decodePut(body).key}=${decodePut(body).value}` : `${type} ${body}`);
      });
    assert.deepEqual(seen, [
      '2 {"revision":7,"full":false}',
      'put rule/HTTPRoute/default/a/0={"x":1}',
      'put k=',
      '4 gone',
      '5 {"revision":7}',
    ]);
  }
});

test('a frame over the limit is refused on both sides', () => {
  assert.throws(() => encodeFrame(FRAME.PUT, Buffer.alloc(LIMITS.FRAME_BYTES + 1)), RangeError);
  const head = Buffer.alloc(5);
  head.writeUInt32LE(LIMITS.FRAME_BYTES + 1, 0);
  assert.throws(() => new FrameDecoder().push(head, () => {}), RangeError);
});

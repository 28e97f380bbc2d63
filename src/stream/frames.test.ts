import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import {
  decodeBegin,
  decodePut,
  encodeBegin,
  encodeFrame,
  encodeJson,
  encodePut,
  FRAME,
  FrameDecoder,
} from './frames.ts';
import { ProtocolError } from './protocol-error.ts';

const value = (text: string): Buffer => Buffer.from(text);

test('what is kept of a frame lies among others of its kind, and holds the memory of nothing that is gone', () => {
  const put = (text: string): Buffer => decodePut(encodePut('key', Buffer.from(text)).subarray(5)).value;
  const [one, two] = [put('one'), put('two')];
  assert.deepEqual([String(one), String(two)], ['one', 'two']);
  assert.equal(one.buffer, two.buffer);
  assert.notEqual(one.buffer, Buffer.from('x').buffer, "Node's pool, of which frames are made");
  const large = put('x'.repeat(LIMITS.KEPT_SLAB_BYTES));
  assert.equal(large.length, LIMITS.KEPT_SLAB_BYTES);
});

test('frames survive any cutting of the stream', () => {
  const stream = Buffer.concat([
    encodeBegin({ revision: 7, base: null }),
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
      '2 {"revision":7,"base":null}',
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
  assert.throws(() => new FrameDecoder().push(head, () => {}), ProtocolError);
  assert.throws(() => new FrameDecoder(10).push(encodePut('key', value('more than ten')), () => {}), ProtocolError);
});

test('what is no frame of the protocol is the fault of who sent it', () => {
  for (const body of [value(''), value('\x05'), value('\xff\xffkey')])
    assert.throws(() => decodePut(body), ProtocolError, JSON.stringify(body.toString('latin1')));
  for (const text of ['', '7', 'null', '[]', '{}', '{"revision":-1,"base":null}', '{"revision":1}'])
    assert.throws(() => decodeBegin(value(text)), ProtocolError, text);
  for (const text of ['{"revision":1e300,"base":null}', '{"revision":1.5,"base":null}', '{"revision":1,"base":"0"}'])
    assert.throws(() => decodeBegin(value(text)), ProtocolError, text);
});

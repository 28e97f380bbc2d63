import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunk, feedBody, latin1, mem, refused } from '../../../test/support/http1.ts';
import { textOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { BODY } from '../head.ts';
import { BODY_STATE, BodyReader } from './body.ts';
import { copyTrailers } from './trailers.ts';

const LAST = '0\r\n\r\n';

function chunked(text: string, ...cuts: number[]): ReturnType<typeof feedBody> {
  return feedBody(BODY.CHUNKED, 0, latin1(text), ...cuts);
}
function everyByte(length: number): number[] {
  return Array.from({ length: length - 1 }, (_, k) => k + 1);
}

for (const { name, rfc, message } of refused.chunked) {
  test(`refused: ${name} (${rfc})`, () => {
    assert.equal(chunked(message).state, BODY_STATE.BAD);
    for (let cut = 1; cut < message.length; cut++) assert.equal(chunked(message, cut).state, BODY_STATE.BAD);
    assert.equal(chunked(message, ...everyByte(message.length)).state, BODY_STATE.BAD);
  });
}

test('chunked bodies in any pieces (RFC 9112 section 7.1)', () => {
  const next = 'GET / HTTP/1.1';
  for (const [text, content, trailers] of [
    [LAST, '', ''],
    [chunk('hello') + chunk('x'.repeat(300)) + LAST, `hello${'x'.repeat(300)}`, ''],
    [`005\r\nhello\r\n${chunk('\r\n0\r\n\r\n')}000\r\n\r\n`, 'hello\r\n0\r\n\r\n', ''],
    ['A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789', ''],
    [`${chunk('hi')}0\r\nA: b\r\nC:d \r\n\r\n`, 'hi', 'A: b\r\nC:d \r\n\r\n'],
    [`${chunk('hi', ';a')}${chunk('ho', ';a=b;c="d\\"; \t\\\\e" ; f')}0;z\r\n\r\n`, 'hiho', ''],
    [`${chunk('hi', ' \t; a = b\t;\tc\t=\t"d"')}0 ;z=1\r\n\r\n`, 'hi', ''],
  ] as const) {
    const check = (...cuts: number[]): void => {
      const fed = chunked(text + next, ...cuts);
      assert.equal(fed.state, BODY_STATE.END, `${JSON.stringify(text)} cut at ${cuts}`);
      assert.equal(fed.content, content);
      assert.equal(fed.trailers, trailers);
      assert.equal(fed.reader.total, content.length);
    };
    check();
    assert.equal(chunked(text + next).used, text.length);
    for (let cut = 1; cut <= text.length; cut++) {
      check(cut);
      check(cut, Math.min(cut + 2, text.length));
    }
    check(...everyByte(text.length));
    for (let cut = 0; cut < text.length; cut++) {
      const fed = chunked(text.slice(0, cut));
      assert.equal(fed.state, BODY_STATE.MORE, `${JSON.stringify(text)} prefix of ${cut}`);
    }
  }
});

test('a large chunk comes range by range; sizes up to 2^53 - 1', () => {
  const reader = new BodyReader();
  reader.reset(BODY.CHUNKED, 0);
  mem.set(latin1('1fffffffffffff\r\nabc'), 100);
  assert.equal(reader.read(mem, 100, 119), BODY_STATE.DATA);
  assert.equal(textOf(mem, reader.dataStart, reader.dataEnd), 'abc');
  assert.equal(reader.remaining, Number.MAX_SAFE_INTEGER - 3);
  assert.equal(reader.read(mem, 119, 119), BODY_STATE.MORE);
  assert.equal(reader.read(mem, 300, 5000), BODY_STATE.DATA);
  assert.deepEqual([reader.dataStart, reader.dataEnd, reader.next], [300, 5000, 5000]);
});

test('bodies by length stop at it (RFC 9112 section 6.3 item 6)', () => {
  for (let cut = 0; cut <= 8; cut++) {
    const fed = feedBody(BODY.LENGTH, 5, latin1('helloGET'), cut);
    assert.equal(fed.state, BODY_STATE.END);
    assert.equal(fed.content, 'hello');
    assert.equal(fed.used, 5);
  }
  const short = feedBody(BODY.LENGTH, 5, latin1('hell'));
  assert.equal(short.state, BODY_STATE.MORE);
});

test('no body, and one that ends with the connection (RFC 9112 section 6.3 items 7 and 8)', () => {
  const none = feedBody(BODY.NONE, 0, latin1('GET'));
  assert.deepEqual([none.state, none.used], [BODY_STATE.END, 0]);
  const open = feedBody(BODY.UNTIL_CLOSE, 0, latin1('hello'), 2);
  assert.deepEqual([open.state, open.content], [BODY_STATE.MORE, 'hello']);
});

test('a reader serves one body after another', () => {
  const reader = new BodyReader();
  reader.reset(BODY.CHUNKED, 0);
  mem.set(latin1('5;a'), 100);
  assert.equal(reader.read(mem, 100, 103), BODY_STATE.MORE);
  reader.reset(BODY.LENGTH, 2);
  assert.equal(reader.read(mem, 100, 103), BODY_STATE.DATA);
  assert.equal(reader.dataEnd, 102);
  assert.equal(reader.read(mem, 102, 103), BODY_STATE.END);
  reader.reset(BODY.CHUNKED, 0);
  mem.set(latin1(LAST), 100);
  assert.equal(reader.read(mem, 100, 105), BODY_STATE.END);
  assert.equal(reader.read(mem, reader.next, 105), BODY_STATE.END);
});

test('limits of the chunk line and of the trailer section', () => {
  const line = (n: number): string => `5;${'a'.repeat(n - 3)}\r\nhello\r\n${LAST}`;
  assert.equal(chunked(line(LIMITS.CHUNK_LINE_BYTES)).state, BODY_STATE.END);
  let fed = chunked(line(LIMITS.CHUNK_LINE_BYTES + 1));
  assert.deepEqual([fed.state, fed.reader.limit], [BODY_STATE.BAD, 'CHUNK_LINE_BYTES']);
  fed = chunked('0'.repeat(LIMITS.CHUNK_LINE_BYTES + 1));
  assert.deepEqual([fed.state, fed.reader.limit], [BODY_STATE.BAD, 'CHUNK_LINE_BYTES']);
  const section = (n: number): string => `0\r\nX: ${'y'.repeat(n - 7)}\r\n\r\n`;
  assert.equal(chunked(section(LIMITS.TRAILER_BYTES)).state, BODY_STATE.END);
  for (const text of [section(LIMITS.TRAILER_BYTES + 1), section(LIMITS.TRAILER_BYTES + 1).slice(0, -1)]) {
    fed = chunked(text);
    assert.deepEqual([fed.state, fed.reader.limit], [BODY_STATE.BAD, 'TRAILER_BYTES']);
  }
});

test('an unfinished trailer section stays with the caller', () => {
  const reader = new BodyReader();
  reader.reset(BODY.CHUNKED, 0);
  mem.set(latin1('0\r\nA: b\r\n\r'), 100);
  assert.equal(reader.read(mem, 100, 110), BODY_STATE.MORE);
  assert.equal(reader.next, 103);
  mem.set(latin1('A: b\r\n\r\nX'), 500);
  assert.equal(reader.read(mem, 500, 509), BODY_STATE.TRAILERS);
  assert.equal(textOf(mem, reader.trailersStart, reader.trailersEnd), 'A: b\r\n\r\n');
  assert.equal(reader.read(mem, reader.next, 509), BODY_STATE.END);
  assert.equal(reader.next, 508);
});

test('trailers that frame, route, authenticate or control do not go on (RFC 9110 section 6.5.1)', () => {
  const copy = (text: string): string => {
    mem.set(latin1(text), 100);
    const end = copyTrailers(mem, 9000, 100, 100 + text.length);
    assert.ok(end - 9000 <= text.length - 2);
    return textOf(mem, 9000, end);
  };
  assert.equal(
    copy('grpc-status: 0\r\nContent-Length: 5\r\nGrpc-Message:x\r\nTRANSFER-ENCODING: chunked\r\nhost: x\r\n\r\n'),
    'grpc-status: 0\r\nGrpc-Message:x\r\n',
  );
  for (const name of [
    'Authorization',
    'Set-Cookie',
    'X-Forwarded-For',
    'Connection',
    'Trailer',
    'content-type',
    'TE',
  ]) {
    assert.equal(copy(`${name}: x\r\n\r\n`), '');
  }
  assert.equal(copy('Digest: x\r\nHos: y\r\n\r\n'), 'Digest: x\r\nHos: y\r\n');
});

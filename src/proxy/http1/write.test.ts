import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, textOf } from '../../base/bytes.ts';
import { newMemory } from '../../base/memory.ts';
import { Head } from '../head.ts';
import { copyFields } from '../lines.ts';
import { parseRequest } from './request.ts';
import { parseResponse } from './response.ts';
import { BAD, DONE } from './scan.ts';
import * as write from './write.ts';

const mem = newMemory(1 << 18);
const OUT = 1 << 17;
const head = new Head();

function response(text: string): void {
  mem.set(bytesOf(text), 100);
  assert.equal(parseResponse(mem, 100, 100 + text.length, head, false), DONE, String(head.fault?.text));
}
test('a response written anew: HTTP/1.1, reason as received', () => {
  response('HTTP/1.0 404 Gone fishing\r\nA: 1\r\nConnection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n');
  let at = write.putStatusLine(mem, OUT, head);
  at = copyFields(mem, at, head);
  assert.equal(textOf(mem, OUT, at), 'HTTP/1.1 404 Gone fishing\r\nA: 1\r\nContent-Length: 0\r\n');
  response('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n');
  assert.equal(textOf(mem, OUT, write.putStatusLine(mem, OUT, head)), 'HTTP/1.1 200 \r\n');
});

test('dropped lines are taken out of a response in place', () => {
  const long = `Long: ${'x'.repeat(100)}\r\n`;
  for (const lines of [
    ['A: 1\r\n', long],
    ['Connection: b\r\n', 'A: 1\r\n', 'B: 2\r\n', long, 'Keep-Alive: 3\r\n'],
    [long, 'A: 1\r\n', 'Connection: close\r\n', 'Keep-Alive: 3\r\n', 'C: 1\r\n', 'Upgrade: 3\r\n', 'D: 1\r\n'],
    ['Connection: close\r\n'],
    [],
  ]) {
    response(`HTTP/1.0 200 OK\r\n${lines.join('')}\r\nbody`);
    const kept = lines.filter((_, k) => !head.dropped(k));
    const start = write.stripResponseInPlace(mem, head);
    assert.equal(textOf(mem, start, head.end + 4), `HTTP/1.1 200 OK\r\n${kept.join('')}\r\nbody`);
  }
  response('HTTP/1.1 200\r\nConnection: close\r\n\r\n');
  assert.equal(write.stripResponseInPlace(mem, head), -1);
});

test('chunk heads are hexadecimal (RFC 9112 section 7.1)', () => {
  for (const size of [1, 9, 10, 15, 16, 255, 4096, 0x7fffffff, 0x80000000, Number.MAX_SAFE_INTEGER]) {
    const expected = `${size.toString(16)}\r\n`;
    assert.equal(textOf(mem, OUT, write.putChunkHead(mem, OUT, size)), expected);
    const at = write.putChunkHeadBefore(mem, OUT + 50, size);
    assert.equal(textOf(mem, at, OUT + 50), expected);
    assert.ok(expected.length <= write.CHUNK_HEAD_BYTES);
  }
});

test('dates are IMF-fixdate (RFC 9110 section 5.6.7) and follow the clock', () => {
  const at = (ms: number): string => textOf(mem, OUT, write.putDate(mem, OUT, ms));
  assert.equal(at(784111777_000), 'Sun, 06 Nov 1994 08:49:37 GMT');
  assert.equal(at(784111777_999), 'Sun, 06 Nov 1994 08:49:37 GMT');
  assert.equal(at(784111778_000), 'Sun, 06 Nov 1994 08:49:38 GMT');
  assert.equal(at(0), 'Thu, 01 Jan 1970 00:00:00 GMT');
});

test('what is not a head is refused before anything is written', () => {
  mem.set(bytesOf('GET / HTTP/1.1\r\n\r\n'), 100);
  assert.equal(parseRequest(mem, 100, 118, head), BAD);
});

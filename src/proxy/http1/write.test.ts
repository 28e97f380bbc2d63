import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, textOf } from '../../base/bytes.ts';
import { newMemory } from '../../base/memory.ts';
import { bitsOf, Head, NAME } from '../head.ts';
import { normalizeTarget } from '../route/normalize.ts';
import { parseRequest } from './request.ts';
import { parseResponse } from './response.ts';
import { BAD, DONE } from './scan.ts';
import * as write from './write.ts';

const mem = newMemory(1 << 18);
const OUT = 1 << 17;
const head = new Head();

function request(text: string): void {
  mem.set(bytesOf(text), 100);
  assert.equal(parseRequest(mem, 100, 100 + text.length, head), DONE, String(head.fault?.text));
}
function response(text: string): void {
  mem.set(bytesOf(text), 100);
  assert.equal(parseResponse(mem, 100, 100 + text.length, head, false), DONE, String(head.fault?.text));
}
/** The whole request head as a client of upstream writes it. */
function forwarded(text: string, target: string | null = null): string {
  request(text);
  let at = write.putRequestLine(mem, OUT, head, target === null ? null : bytesOf(target));
  at = write.putHost(mem, at, head);
  at = write.copyFields(mem, at, head);
  const whole = textOf(mem, OUT, at);
  if (target === null && write.keepsRequestLine(mem, head)) {
    assert.equal(textOf(mem, OUT, write.copyLineAndFields(mem, OUT, head)), whole);
    lines++;
  }
  return whole;
}
/** Requests whose line and fields went in one piece. */
let lines = 0;

test('a line that can stay as it is goes with its fields, whichever of them are dropped; another one is written anew', () => {
  const kept = (text: string): boolean => {
    const before = lines;
    forwarded(text);
    return lines > before;
  };
  for (const dropped of ['', 'A', 'B', 'C', 'A, B', 'B, C', 'A, C', 'A, B, C']) {
    const connection = dropped === '' ? '' : `Connection: ${dropped}\r\n`;
    assert.ok(kept(`POST /a%2F?b HTTP/1.1\r\nA: 1\r\n${connection}B: 1\r\nHost: x\r\nC: 1\r\n\r\n`), dropped);
    assert.ok(kept(`\r\nGET / HTTP/1.1\r\n${connection}Host: x\r\n\r\n`), dropped);
  }
  assert.equal(forwarded('GET / HTTP/1.2\r\nHost: x\r\n\r\n'), 'GET / HTTP/1.1\r\nHost: x\r\n');
  assert.ok(!kept('GET / HTTP/1.2\r\nHost: x\r\n\r\n'));
  assert.ok(!kept('GET / HTTP/1.0\r\nHost: x\r\n\r\n'));
  assert.ok(!kept('GET http://a/ HTTP/1.1\r\nHost: x\r\n\r\n'));
  request('GET //a/../b HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.ok(normalizeTarget(mem, head));
  assert.ok(!write.keepsRequestLine(mem, head));
});

test('a request goes on in origin-form, fields in order and case, hop-by-hop fields gone (RFC 9110 section 7.6.1)', () => {
  assert.equal(
    forwarded(
      'GET /a?b HTTP/1.1\r\nhOst: x\r\nConnection: keep-alive, x-one\r\nX-One: 1\r\nX-two:2 \r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nZ: 1\r\n\r\n',
    ),
    'GET /a?b HTTP/1.1\r\nhOst: x\r\nX-two:2 \r\nZ: 1\r\n',
  );
});

test('an absolute target goes on in origin-form with Host from it (RFC 9112 sections 3.2.1 and 3.2.2)', () => {
  assert.equal(
    forwarded('GET http://A.example:81/p?q HTTP/1.1\r\nHost: b\r\nA: 1\r\n\r\n'),
    'GET /p?q HTTP/1.1\r\nHost: A.example:81\r\nA: 1\r\n',
  );
  assert.equal(forwarded('GET http://a HTTP/1.1\r\nHost: b\r\n\r\n'), 'GET / HTTP/1.1\r\nHost: a\r\n');
  assert.equal(forwarded('GET http://a?q HTTP/1.1\r\nHost: b\r\n\r\n'), 'GET /?q HTTP/1.1\r\nHost: a\r\n');
  assert.equal(forwarded('GET http://a? HTTP/1.1\r\nHost: b\r\n\r\n'), 'GET /? HTTP/1.1\r\nHost: a\r\n');
});

test('OPTIONS of a whole server goes on with an asterisk (RFC 9112 section 3.2.4)', () => {
  assert.equal(forwarded('OPTIONS http://a HTTP/1.1\r\nHost: b\r\n\r\n'), 'OPTIONS * HTTP/1.1\r\nHost: a\r\n');
  assert.equal(forwarded('OPTIONS http://a/ HTTP/1.1\r\nHost: b\r\n\r\n'), 'OPTIONS / HTTP/1.1\r\nHost: a\r\n');
  assert.equal(forwarded('OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n'), 'OPTIONS * HTTP/1.1\r\nHost: b\r\n');
});

test('HTTP/1.0 goes on as HTTP/1.1, with an empty Host if it had none (RFC 9112 section 3.2)', () => {
  assert.equal(forwarded('GET / HTTP/1.0\r\nA: 1\r\n\r\n'), 'GET / HTTP/1.1\r\nHost: \r\nA: 1\r\n');
});

test('CONNECT keeps its authority; a replaced target is written as given', () => {
  assert.equal(forwarded('CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n'), 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n');
  assert.equal(forwarded('BREW /x HTTP/1.1\r\nHost: b\r\n\r\n', '/y?z'), 'BREW /y?z HTTP/1.1\r\nHost: b\r\n');
});

test('a response written anew: HTTP/1.1, reason as received', () => {
  response('HTTP/1.0 404 Gone fishing\r\nA: 1\r\nConnection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n');
  let at = write.putStatusLine(mem, OUT, head);
  at = write.copyFields(mem, at, head);
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

test('fields can be dropped by name and put', () => {
  request('GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: 1\r\nx-request-id: 2\r\n\r\n');
  head.dropAll(bitsOf(NAME.X_REQUEST_ID));
  let at = write.copyFields(mem, OUT, head);
  at = write.putField(mem, at, bytesOf('x'), bytesOf('y'));
  at = write.putFieldRange(mem, at, bytesOf('z'), head.hostStart, head.hostEnd);
  assert.equal(textOf(mem, OUT, at), 'Host: a\r\nx: y\r\nz: a\r\n');
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

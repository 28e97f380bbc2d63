// Requests as lines, from what an HTTP/1.1 parser made of them; and from a table without a start line, as of HTTP/2.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, textOf } from '../base/bytes.ts';
import { newMemory } from '../base/memory.ts';
import { putRequestLine, requestLineBound } from './filter/path-edit.ts';
import { bitsOf, Head, NAME } from './head.ts';
import { parseRequest } from './http1/request.ts';
import { DONE } from './http1/scan.ts';
import { copyFields, copyLineAndFields, keepsRequestLine, putHost } from './lines.ts';
import { normalizeTarget } from './route/normalize.ts';

const mem = newMemory(1 << 18);
const OUT = 1 << 17;
const head = new Head();

function request(text: string): void {
  mem.set(bytesOf(text), 100);
  assert.equal(parseRequest(mem, 100, 100 + text.length, head), DONE, String(head.fault?.text));
}
/** The request head as it goes on, line by line; where the line may stay as it is, both ways lead to the same. */
function forwarded(text: string): string {
  request(text);
  let at = putRequestLine(mem, OUT, head, 0, null);
  assert.ok(at - OUT <= requestLineBound(head, null));
  at = putHost(mem, at, head);
  at = copyFields(mem, at, head);
  const whole = textOf(mem, OUT, at);
  if (keepsRequestLine(mem, head)) {
    assert.equal(textOf(mem, OUT, copyLineAndFields(mem, OUT, head)), whole);
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
  assert.ok(!keepsRequestLine(mem, head));
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

test('CONNECT keeps its authority', () => {
  assert.equal(forwarded('CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n'), 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n');
});

test("fields can be dropped by name; a framing field of the client is not the next connection's", () => {
  request(
    'GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: 1\r\nx-request-id: 2\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n',
  );
  head.dropAll(bitsOf(NAME.X_REQUEST_ID));
  assert.equal(textOf(mem, OUT, copyFields(mem, OUT, head)), 'Host: a\r\nA: 1\r\n');
});

test('a head without a start line in place gets one, whatever stands in front of its fields', () => {
  request('GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\n');
  assert.ok(keepsRequestLine(mem, head));
  head.raw = false;
  assert.ok(!keepsRequestLine(mem, head));
});

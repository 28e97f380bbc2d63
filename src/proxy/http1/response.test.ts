import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe, feed, fieldsOf, latin1, mem, type Role, refused } from '../../../test/support/http1.ts';
import { textOf } from '../../base/bytes.ts';
import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { BODY, type Head } from '../head.ts';
import { copyFields } from '../lines.ts';
import { BAD, DONE, MORE } from './scan.ts';

function good(text: string, role: Role = 'response'): Head {
  const { result, head } = feed(role, latin1(text));
  assert.equal(result, DONE, JSON.stringify(text));
  return head;
}
function withStatus(line: string, ...lines: string[]): string {
  return `HTTP/1.1 ${line}\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`;
}
function kept(head: Head): string[] {
  return fieldsOf(head)
    .filter((_, k) => !head.dropped(k))
    .map(([name]) => name);
}

for (const { name, rfc, message } of refused.responses) {
  test(`refused: ${name} (${rfc})`, () => {
    const bytes = latin1(message);
    for (const role of ['response', 'response to HEAD'] as const) {
      const { result, head } = feed(role, bytes);
      assert.equal(result, BAD);
      assert.equal(head.fault, FAULTS.upstreamMalformed);
      for (let cut = 1; cut < bytes.length; cut++) assert.equal(feed(role, bytes, cut).result, BAD, `cut at ${cut}`);
    }
  });
}

const VALID = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 200\r\n\r\n',
  'HTTP/1.0 999 \r\nConnection: keep-alive, x\r\nX: 1\r\n\r\n',
  'HTTP/1.1 404 Not\tFound \xe4\r\nTransfer-Encoding: chunked\r\nServer:x\r\n\r\n0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX \t: y\r\nContent-Length : 5\r\n\r\n',
];

test('a head means the same in any pieces; every prefix asks for more', () => {
  for (const text of VALID) {
    const bytes = latin1(text);
    const whole = feed('response', bytes);
    assert.equal(whole.result, DONE, text);
    const expected = describe(whole.head);
    for (let cut = 1; cut < bytes.length; cut++) {
      const split = feed('response', bytes, cut);
      assert.equal(split.result, DONE);
      assert.deepEqual(describe(split.head), expected, `${JSON.stringify(text)} cut at ${cut}`);
      if (cut < whole.head.end - 64) assert.equal(feed('response', bytes.subarray(0, cut)).result, MORE);
    }
    const single = feed('response', bytes, ...Array.from({ length: bytes.length - 1 }, (_, i) => i + 1));
    assert.deepEqual(describe(single.head), expected);
  }
});

test('status line (RFC 9112 section 4)', () => {
  const head = good(withStatus('404 Not  Found '));
  assert.equal(head.status, 404);
  assert.equal(head.version, 11);
  assert.equal(textOf(mem, head.reasonStart, head.reasonEnd), 'Not  Found ');
  assert.equal(good('HTTP/1.0 200 \r\n\r\n').version, 10);
  assert.equal(good('HTTP/1.7 200 \r\n\r\n').version, 11);
  for (const status of [100, 101, 199, 200, 599, 600, 999])
    assert.equal(good(withStatus(`${status} x`)).status, status);
});

test('framing (RFC 9112 section 6.3)', () => {
  const framing = (text: string, role: Role = 'response'): unknown[] => {
    const head = good(text, role);
    return [head.body, head.contentLength, head.keepAlive];
  };
  const length = 'Content-Length: 7';
  const chunked = 'Transfer-Encoding: chunked';
  assert.deepEqual(framing(withStatus('200 OK', length)), [BODY.LENGTH, 7, true]);
  assert.deepEqual(framing(withStatus('200 OK', 'Content-Length: 0')), [BODY.NONE, 0, true]);
  assert.deepEqual(framing(withStatus('200 OK', chunked)), [BODY.CHUNKED, 0, true]);
  assert.deepEqual(framing(withStatus('200 OK', 'Transfer-Encoding: CHUNKED')), [BODY.CHUNKED, 0, true]);
  // item 8: until the connection closes, whatever Connection says
  assert.deepEqual(framing(withStatus('200 OK')), [BODY.UNTIL_CLOSE, 0, false]);
  assert.deepEqual(framing(withStatus('200 OK', 'Connection: keep-alive')), [BODY.UNTIL_CLOSE, 0, false]);
  // item 1: HEAD, 1xx, 204 and 304 have none, whatever the fields say
  for (const line of [length, chunked, 'X: y']) {
    assert.deepEqual(framing(withStatus('200 OK', line), 'response to HEAD'), [BODY.NONE, 0, true]);
    for (const status of [100, 101, 103, 204, 304]) {
      assert.deepEqual(framing(withStatus(`${status} x`, line)), [BODY.NONE, 0, true]);
    }
  }
  assert.deepEqual(framing(withStatus('205 x', length)), [BODY.LENGTH, 7, true]);
});

test('1xx and 204 go on without framing fields, HEAD and 304 with them (RFC 9110 section 8.6, RFC 9112 section 6.1)', () => {
  for (const line of ['Content-Length: 7', 'Transfer-Encoding: chunked']) {
    for (const status of [103, 204]) assert.deepEqual(kept(good(withStatus(`${status} x`, line, 'X: y'))), ['X']);
    assert.equal(kept(good(withStatus('304 x', line, 'X: y'))).length, 2);
    assert.equal(kept(good(withStatus('200 x', line, 'X: y'), 'response to HEAD')).length, 2);
  }
});

test('persistence (RFC 9112 section 9.3)', () => {
  const keeps = (version: string, ...lines: string[]): boolean =>
    good(`HTTP/${version} 200 OK\r\nContent-Length: 1\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`).keepAlive;
  assert.equal(keeps('1.1'), true);
  assert.equal(keeps('1.1', 'Connection: close'), false);
  assert.equal(keeps('1.1', 'Connection: x, Close'), false);
  assert.equal(keeps('1.0'), false);
  assert.equal(keeps('1.0', 'Connection: keep-alive'), true);
});

test('hop-by-hop fields do not go on (RFC 9110 section 7.6.1)', () => {
  const head = good(
    withStatus(
      '200 OK',
      'Connection: a, set-cookie, content-length',
      'A: 1',
      'B: 2',
      'Keep-Alive: x',
      'Content-Length: 0',
      'Proxy-Connection: x',
      'Upgrade: h2c',
      'Trailer: x',
      'Set-Cookie: x',
    ),
  );
  assert.deepEqual(kept(head), ['B', 'Content-Length', 'Trailer']);
  assert.equal(head.upgrade, false);
  assert.equal(good(withStatus('101 x', 'Upgrade: websocket', 'Connection: upgrade')).upgrade, true);
});

test('white space before a colon is taken away (RFC 9112 section 5.1)', () => {
  const head = good(withStatus('200 OK', 'X \t : y', 'Content-Length : 5'));
  assert.equal(head.contentLength, 5);
  const out = 1 << 18;
  const text = textOf(mem, out, copyFields(mem, out, head));
  assert.deepEqual(text, 'X:    y\r\nContent-Length:  5\r\n');
});

test('limits: an upstream head over them is refused, and says which', () => {
  const many = withStatus('200 OK', ...Array.from({ length: LIMITS.RESPONSE_FIELDS + 1 }, () => 'x: y'));
  let { result, head } = feed('response', latin1(many));
  assert.equal(result, BAD);
  assert.equal(head.limit, 'RESPONSE_FIELDS');
  assert.equal(head.fault, FAULTS.upstreamHead);
  ({ result, head } = feed('response', latin1(withStatus('200 OK', `X: ${'y'.repeat(LIMITS.HEAD_BYTES)}`))));
  assert.equal(result, BAD);
  assert.equal(head.limit, 'HEAD_BYTES');
  assert.equal(head.fault, FAULTS.upstreamHead);
});

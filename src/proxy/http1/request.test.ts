import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe, type Fed, feed, fieldsOf, latin1, mem, refused } from '../../../test/support/http1.ts';
import { textOf } from '../../base/bytes.ts';
import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { BODY, type Head, METHOD, SCHEME } from '../head.ts';
import { parseRequest } from './request.ts';
import { BAD, DONE, MORE } from './scan.ts';

function request(text: string): Fed {
  return feed('request', latin1(text));
}
function good(text: string): Head {
  const { result, head } = request(text);
  assert.equal(result, DONE, `${JSON.stringify(text)}: ${head.fault?.text}`);
  return head;
}
function status(text: string): number {
  const { result, head } = request(text);
  assert.equal(result, BAD, JSON.stringify(text));
  return (head.fault as { status: number }).status;
}
/** A GET with these field lines besides Host. */
function withFields(...lines: string[]): string {
  return `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
}
function at(start: number, end: number): string {
  return textOf(mem, start, end);
}
function kept(head: Head): string[] {
  return fieldsOf(head)
    .filter((_, k) => !head.dropped(k))
    .map(([name]) => name);
}

for (const { name, rfc, message, status: expected } of refused.requests) {
  test(`refused: ${name} (${rfc})`, () => {
    const bytes = latin1(message);
    assert.equal(status(message), expected);
    for (let cut = 1; cut < bytes.length; cut++) {
      const { result, head } = feed('request', bytes, cut);
      assert.equal(result, BAD, `cut at ${cut}`);
      assert.equal(head.fault?.status, expected, `cut at ${cut}`);
    }
  });
}

const VALID = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  '\r\n\r\nGET / HTTP/1.1\r\nhost:a\r\n\r\nGET /next HTTP/1.1\r\n',
  'DELETE /a/b%20c;d=e?f=g?h/i HTTP/1.1\r\nHost:\t[2001:db8::1]:8080 \t\r\nX:\r\nY: \xe4\tz \r\n\r\n',
  'POST http://user.example:8080/p?q HTTP/1.1\r\nHost: other\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello',
  'PUT HTTPS://a?q HTTP/1.1\r\nHost: other\r\nTRANSFER-ENCODING:\tChunkeD\t\r\nTE: deflate, Trailers;q=1, trailers\r\n\r\n0\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade ,x-y\r\nUpgrade: websocket\r\nX-Y: 1\r\n\r\n',
  'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n',
  'BREW / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX_Y: 1\r\n\r\n',
];

test('a head means the same in any two or three pieces, and byte by byte', () => {
  for (const text of VALID) {
    const bytes = latin1(text);
    const whole = feed('request', bytes);
    assert.equal(whole.result, DONE, text);
    const expected = describe(whole.head);
    const end = whole.head.end - 64;
    for (let cut = 1; cut < bytes.length; cut++) {
      const split = feed('request', bytes, cut);
      assert.equal(split.result, DONE, `${JSON.stringify(text)} cut at ${cut}`);
      assert.deepEqual(describe(split.head), expected);
      assert.equal(split.parses, cut < end ? (cut < 4 && text.startsWith('\r\n') ? split.parses : 2) : 1);
      const thirds = feed('request', bytes, cut, Math.min(bytes.length, cut + 3));
      assert.deepEqual(describe(thirds.head), expected);
    }
    const single = feed('request', bytes, ...Array.from({ length: bytes.length - 1 }, (_, i) => i + 1));
    assert.equal(single.result, DONE);
    assert.deepEqual(describe(single.head), expected);
  }
});

test('every prefix of a head asks for more (RFC 9112 section 2.2)', () => {
  for (const text of VALID) {
    const bytes = latin1(text);
    const end = feed('request', bytes).head.end - 64;
    for (let cut = 0; cut < end; cut++) {
      assert.equal(feed('request', bytes.subarray(0, cut)).result, MORE, JSON.stringify(text.slice(0, cut)));
    }
  }
});

test('the parts of a request (RFC 9112 section 3)', () => {
  const head = good(
    'POST /a/b?c=d HTTP/1.1\r\nHost: Example.com:8080\r\nContent-Length: 5\r\nX-A:  b c \t\r\n\r\nhello',
  );
  assert.equal(head.method, METHOD.POST);
  assert.equal(head.version, 11);
  assert.equal(at(head.methodStart, head.methodEnd), 'POST');
  assert.equal(at(head.targetStart, head.targetEnd), '/a/b?c=d');
  assert.equal(at(head.pathStart, head.pathEnd), '/a/b');
  assert.equal(at(head.queryStart, head.queryEnd), 'c=d');
  assert.equal(at(head.authorityStart, head.authorityEnd), 'Example.com:8080');
  assert.equal(at(head.hostStart, head.hostEnd), 'Example.com');
  assert.deepEqual(fieldsOf(head), [
    ['Host', 'Example.com:8080'],
    ['Content-Length', '5'],
    ['X-A', 'b c'],
  ]);
  assert.equal(at(head.end, head.end + 5), 'hello');
  assert.equal(head.body, BODY.LENGTH);
  assert.equal(head.contentLength, 5);
});

test('methods are tokens, case-sensitive, known ones by number (RFC 9110 section 9.1)', () => {
  for (const [name, id] of Object.entries(METHOD)) {
    if (name === 'OTHER') continue;
    const target = name === 'CONNECT' ? 'a:1' : '/';
    assert.equal(good(`${name} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).method, id);
    assert.equal(good(`${name.toLowerCase()} / HTTP/1.1\r\nHost: a\r\n\r\n`).method, METHOD.OTHER);
    assert.equal(good(`${name}X / HTTP/1.1\r\nHost: a\r\n\r\n`).method, METHOD.OTHER);
  }
  assert.equal(good(`${'M'.repeat(LIMITS.METHOD_BYTES)} / HTTP/1.1\r\nHost: a\r\n\r\n`).method, METHOD.OTHER);
  assert.equal(good("!#$%&'*+-.^_`|~09 / HTTP/1.1\r\nHost: a\r\n\r\n").method, METHOD.OTHER);
});

test('a method longer than any known is refused before its end comes: 501 (RFC 9112 section 3)', () => {
  const { head } = request('A'.repeat(LIMITS.METHOD_BYTES + 1));
  assert.equal(head.fault, FAULTS.methodTooLong);
  assert.equal(head.limit, 'METHOD_BYTES');
});

test('the four forms of target (RFC 9112 section 3.2)', () => {
  const parts = (text: string): unknown[] => {
    const head = good(text);
    return [
      at(head.pathStart, head.pathEnd),
      head.hasQuery ? at(head.queryStart, head.queryEnd) : null,
      at(head.authorityStart, head.authorityEnd),
      at(head.hostStart, head.hostEnd),
      head.scheme,
    ];
  };
  const get = (target: string, host = 'h'): unknown[] => parts(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  assert.deepEqual(get('/'), ['/', null, 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(get('/a?'), ['/a', '', 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(get('/a?b?c/d'), ['/a', 'b?c/d', 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(get('//a/b'), ['//a/b', null, 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(get('/http://x/'), ['/http://x/', null, 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(get('/"<>\\^`{|}'), ['/"<>\\^`{|}', null, 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(get('http://A:8/b?c'), ['/b', 'c', 'A:8', 'A', SCHEME.HTTP]);
  assert.deepEqual(get('HTTPS://a/'), ['/', null, 'a', 'a', SCHEME.HTTPS]);
  assert.deepEqual(get('http://a'), ['/', null, 'a', 'a', SCHEME.HTTP]);
  assert.deepEqual(get('http://a?b/c'), ['/', 'b/c', 'a', 'a', SCHEME.HTTP]);
  assert.deepEqual(get('http://[::1]:8?b'), ['/', 'b', '[::1]:8', '[::1]', SCHEME.HTTP]);
  assert.deepEqual(parts('OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n'), ['*', null, 'h', 'h', SCHEME.NONE]);
  assert.deepEqual(parts('CONNECT a:80 HTTP/1.1\r\nHost: h\r\n\r\n'), ['', null, 'a:80', 'a', SCHEME.NONE]);
  assert.deepEqual(parts('CONNECT [::1]:80 HTTP/1.1\r\nHost: h\r\n\r\n'), ['', null, '[::1]:80', '[::1]', SCHEME.NONE]);
  assert.deepEqual(parts('GET http://a/ HTTP/1.0\r\n\r\n'), ['/', null, 'a', 'a', SCHEME.HTTP]);
});

test('an absolute target beats Host, which then does not go on (RFC 9112 section 3.2.2)', () => {
  assert.deepEqual(kept(good('GET http://a/ HTTP/1.1\r\nX: y\r\nHost: b\r\n\r\n')), ['X']);
  assert.deepEqual(kept(good('GET /http://a/ HTTP/1.1\r\nHost: b\r\n\r\n')), ['Host']);
});

test('valid Hosts (RFC 9112 section 3.2, RFC 3986 section 3.2.2)', () => {
  for (const [value, host] of [
    ['a', 'a'],
    ['a.example:80', 'a.example'],
    ['a:', 'a'],
    ['a:0', 'a'],
    ['a:65535', 'a'],
    ['a:000080', 'a'],
    ['1.2.3.4:5', '1.2.3.4'],
    ['a%2Db', 'a%2Db'],
    ["-._~!$&'()*+,;=", "-._~!$&'()*+,;="],
    ['[::]', '[::]'],
    ['[::1]:80', '[::1]'],
    ['[1:2:3:4:5:6:7:8]', '[1:2:3:4:5:6:7:8]'],
    ['[1::8]', '[1::8]'],
    ['[1:2:3:4:5:6:7::]', '[1:2:3:4:5:6:7::]'],
    ['[::ffff:1.2.3.4]', '[::ffff:1.2.3.4]'],
    ['[1:2:3:4:5:6:1.2.3.4]', '[1:2:3:4:5:6:1.2.3.4]'],
    ['[FE80::ABCD]', '[FE80::ABCD]'],
  ] as const) {
    const head = good(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`);
    assert.equal(at(head.hostStart, head.hostEnd), host);
    assert.equal(at(head.authorityStart, head.authorityEnd), value);
  }
});

test('HTTP/1.0 needs no Host; a higher minor version is 1.1 (RFC 9110 section 2.5)', () => {
  const old = good('GET / HTTP/1.0\r\n\r\n');
  assert.equal(old.version, 10);
  assert.equal(old.hostField, -1);
  assert.equal(old.authorityStart, old.authorityEnd);
  assert.equal(good('GET / HTTP/1.2\r\nHost: a\r\n\r\n').version, 11);
  assert.equal(good('GET / HTTP/1.9\r\nHost: a\r\n\r\n').version, 11);
  assert.equal(status('GET / HTTP/1.2\r\n\r\n'), 400);
});

test('empty lines before a request line are skipped (RFC 9112 section 2.2)', () => {
  const head = good(`${'\r\n'.repeat(LIMITS.LEADING_EMPTY_LINES)}GET / HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.equal(at(head.start, head.start + 3), 'GET');
});

test('bodies by Content-Length, chunked or none (RFC 9112 section 6.3)', () => {
  const framing = (...lines: string[]): unknown[] => {
    const head = good(withFields(...lines));
    return [head.body, head.contentLength];
  };
  assert.deepEqual(framing(), [BODY.NONE, 0]);
  assert.deepEqual(framing('Content-Length: 0'), [BODY.NONE, 0]);
  assert.deepEqual(framing('Content-Length: 12'), [BODY.LENGTH, 12]);
  assert.deepEqual(framing('Content-Length:\t007 '), [BODY.LENGTH, 7]);
  assert.deepEqual(framing('content-length: 9007199254740991'), [BODY.LENGTH, Number.MAX_SAFE_INTEGER]);
  assert.deepEqual(framing('Transfer-Encoding: chunked'), [BODY.CHUNKED, 0]);
  assert.deepEqual(framing('X-Transfer-Encoding: chunked', 'Content-Lengt: 5', 'Content-Length_: 6'), [BODY.NONE, 0]);
});

test('chunked goes on in one spelling only (RFC 9112 section 7)', () => {
  const head = good(withFields('Transfer-Encoding:\t ChunKed \t'));
  assert.equal(head.body, BODY.CHUNKED);
  assert.equal(at(head.nameStart(1), head.lineEnd(1)), 'Transfer-Encoding:  chunked  \r\n');
});

test('hop-by-hop fields do not go on, named ones neither, length and Host do (RFC 9110 section 7.6.1)', () => {
  assert.deepEqual(
    kept(
      good(withFields('Connection: a, B ,,c', 'A: 1', 'b: 2', 'C: 3', 'd: 4', 'a: 5', 'Ab: 6', 'Proxy-Connection: x')),
    ),
    ['Host', 'd', 'Ab'],
  );
  assert.deepEqual(
    kept(good(withFields('Connection: host, content-length, transfer-encoding, x', 'Content-Length: 5', 'X: 1'))),
    ['Host', 'Content-Length'],
  );
  // Chunks are between two hops: the next connection frames for itself.
  assert.deepEqual(kept(good(withFields('Connection: Transfer-Encoding', 'Transfer-Encoding: chunked'))), ['Host']);
  assert.deepEqual(
    kept(
      good(withFields('Keep-Alive: 1', 'TE: gzip', 'Upgrade: h2c', 'HTTP2-Settings: x', 'Trailer: x', 'Via: 1.1 x')),
    ),
    ['Host', 'Trailer', 'Via'],
  );
  assert.deepEqual(kept(good(withFields('X: 1', 'Connection: y', 'Connection: x', 'Y: 1'))), ['Host']);
});

test('the number of Connection options is limited', () => {
  const options = (n: number): string => withFields(`Connection: ${Array.from({ length: n }, () => 'x').join(',')}`);
  good(options(LIMITS.CONNECTION_OPTIONS));
  const { head } = request(options(LIMITS.CONNECTION_OPTIONS + 1));
  assert.equal(head.fault, FAULTS.headTooLarge);
  assert.equal(head.limit, 'CONNECTION_OPTIONS');
});

test('persistence (RFC 9112 section 9.3)', () => {
  const keeps = (version: string, ...lines: string[]): boolean =>
    good(`GET / HTTP/${version}\r\nHost: a\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`).keepAlive;
  assert.equal(keeps('1.1'), true);
  assert.equal(keeps('1.1', 'Connection: close'), false);
  assert.equal(keeps('1.1', 'Connection: x, CLOSE'), false);
  assert.equal(keeps('1.1', 'Connection: keep-alive', 'Connection: close'), false);
  assert.equal(keeps('1.1', 'Connection: close', 'Connection: keep-alive'), false);
  assert.equal(keeps('1.1', 'Connection: closed'), true);
  assert.equal(keeps('1.1', 'Proxy-Connection: close'), true);
  assert.equal(keeps('1.0'), false);
  assert.equal(keeps('1.0', 'Connection: Keep-Alive'), true);
  assert.equal(keeps('1.0', 'Connection: keep-alive, close'), false);
  assert.equal(keeps('1.0', 'Connection: x ,\tKeep-Alive'), true);
});

test('Upgrade counts with its connection option, in HTTP/1.1 (RFC 9110 section 7.8)', () => {
  assert.equal(good(withFields('Upgrade: websocket', 'Connection: Upgrade')).upgrade, true);
  assert.equal(good(withFields('Upgrade: websocket', 'Connection: keep-alive, upgrade')).upgrade, true);
  assert.equal(good(withFields('Upgrade: websocket')).upgrade, false);
  assert.equal(good(withFields('Connection: Upgrade')).upgrade, false);
  const old = good('GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
  assert.equal(old.upgrade, false);
  assert.deepEqual(kept(old), []);
});

test('TE: trailers (RFC 9110 section 10.1.4)', () => {
  assert.equal(good(withFields('TE: trailers')).teTrailers, true);
  assert.equal(good(withFields('TE: gzip;q=0.5 ,\tTrailers')).teTrailers, true);
  assert.equal(good(withFields('TE: gzip', 'TE: trailers')).teTrailers, true);
  assert.equal(good(withFields('TE: trailersx, xtrailers')).teTrailers, false);
  assert.equal(good(withFields('TE:')).teTrailers, false);
});

test('Expect: 100-continue is noted, and ignored in HTTP/1.0 (RFC 9110 section 10.1.1)', () => {
  assert.equal(good(withFields('Expect: 100-CONTINUE')).expectContinue, true);
  assert.equal(good(withFields('X: 100-continue')).expectContinue, false);
  const old = good('POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n');
  assert.equal(old.expectContinue, false);
  assert.deepEqual(kept(old), ['Content-Length']);
});

test('values keep inner white space and any visible or 8-bit byte (RFC 9110 section 5.5)', () => {
  let value = 'x';
  for (let c = 0; c < 256; c++) if (c === 9 || (c >= 32 && c !== 127)) value += String.fromCharCode(c);
  value += 'y';
  for (let pad = 0; pad < 5; pad++) {
    const head = good(withFields(`X${'-'.repeat(pad)}: \t ${value} \t `));
    assert.equal(fieldsOf(head)[1]?.[1], value);
  }
  assert.deepEqual(fieldsOf(good(withFields('Empty:', 'Spaces: \t ')))[2], ['Spaces', '']);
});

test('limits: fields 431, head 431, target 414 (RFC 6585 section 5, RFC 9110 section 15.5.15)', () => {
  const fields = (n: number): string => withFields(...Array.from({ length: n - 1 }, (_, k) => `x${k}: y`));
  good(fields(LIMITS.FIELDS));
  let { head } = request(fields(LIMITS.FIELDS + 1));
  assert.equal(head.fault, FAULTS.headTooLarge);
  assert.equal(head.limit, 'FIELDS');

  const size = (n: number): string => withFields(`X: ${'y'.repeat(n - withFields('X: ').length)}`);
  good(size(LIMITS.HEAD_BYTES));
  ({ head } = request(size(LIMITS.HEAD_BYTES + 1)));
  assert.equal(head.fault, FAULTS.headTooLarge);
  assert.equal(head.limit, 'HEAD_BYTES');
  const whole = size(LIMITS.HEAD_BYTES + 1);
  assert.equal(request(whole.slice(0, LIMITS.HEAD_BYTES - 1)).result, MORE);
  ({ head } = request(whole.slice(0, LIMITS.HEAD_BYTES)));
  assert.equal(head.fault, FAULTS.headTooLarge);

  const target = (n: number): string => `GET /${'a'.repeat(n - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`;
  good(target(LIMITS.URI_BYTES));
  ({ head } = request(target(LIMITS.URI_BYTES + 1)));
  assert.equal(head.fault, FAULTS.uriTooLong);
  assert.equal(head.limit, 'URI_BYTES');
  ({ head } = request(`GET /?${'a'.repeat(LIMITS.URI_BYTES)}`));
  assert.equal(head.fault, FAULTS.uriTooLong);
});

test('one head table serves one request after another without a trace of the former', () => {
  const head = good(
    'OPTIONS http://a:8/p?q HTTP/1.0\r\nHost: b\r\nTE: trailers\r\nContent-Length: 5\r\nConnection: keep-alive\r\nUpgrade: x\r\n\r\n',
  );
  const bad = latin1('GET /#');
  mem.set(bad, 64);
  assert.equal(parseRequest(mem, 64, 64 + bad.length, head), BAD);
  const plain = latin1('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const expected = describe(feed('request', plain).head);
  mem.set(plain, 64);
  assert.equal(parseRequest(mem, 64, 64 + plain.length, head), DONE);
  assert.deepEqual(describe(head), expected);
  assert.equal(head.fault, null);
});

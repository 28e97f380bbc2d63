import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import fc from 'fast-check';
import { bytesOf } from '../base/bytes.ts';
import { visible } from '../base/steering.ts';
import { LINE_BYTES, LineWriter } from './access-log.ts';
import { Cells } from './cells.ts';
import { Fragment } from './fragment.ts';
import { CELL, METHOD, NO_ROUTE_BLOCK, ROUTE, requestsOffset } from './layout.ts';
import { RingReader, RingWriter, ringBytes } from './log-ring.ts';
import { combined, describe } from './recent.ts';
import { AccessRecord, LOGGED } from './record.ts';
import { Recorder } from './recorder.ts';

function put(r: AccessRecord, value: Uint8Array): [number, number] {
  const at = r.copy(value, 0, value.length);
  return [at, r.used];
}

function sample(
  parts: { host?: Uint8Array; path?: Uint8Array; agent?: Uint8Array; query?: Uint8Array; id?: Uint8Array } = {},
): AccessRecord {
  const r = new AccessRecord();
  [r.idStart, r.idEnd] = put(r, parts.id ?? bytesOf('0190-id'));
  [r.methodStart, r.methodEnd] = put(r, bytesOf('GET'));
  [r.hostStart, r.hostEnd] = put(r, parts.host ?? bytesOf('app.example.com'));
  [r.pathStart, r.pathEnd] = put(r, parts.path ?? bytesOf('/api/users'));
  [r.queryStart, r.queryEnd] = put(r, parts.query ?? bytesOf('secret=1'));
  [r.agentStart, r.agentEnd] = put(r, parts.agent ?? bytesOf('curl/8.0'));
  r.client = bytesOf('203.0.113.9');
  r.startWallMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  r.startUs = 1_000;
  r.endUs = 13_345;
  r.upstreamUs = 12_001;
  r.status = 200;
  r.requestBytes = 17;
  r.responseBytes = 123_456;
  r.attempts = 1;
  r.listenerJson = new Fragment(',"gateway":"default/web","listener":"http"');
  r.routeJson = new Fragment(',"route":"default/api","rule":"0"');
  r.backendJson = new Fragment(',"backend":"default/app:80"');
  r.endpointJson = new Fragment(',"endpoint":"10.0.1.42:8080"');
  return r;
}

function line(r: AccessRecord, withQuery = false): string {
  const out = new Uint8Array(LINE_BYTES);
  return Buffer.from(out.subarray(0, new LineWriter(withQuery).format(out, new DataView(out.buffer), 0, r))).toString(
    'utf8',
  );
}

test('a request is one JSON line with the documented fields', () => {
  const text = line(sample());
  assert.ok(text.endsWith('\n'));
  assert.deepEqual(JSON.parse(text), {
    time: '2026-01-02T03:04:05.678Z',
    id: '0190-id',
    client: '203.0.113.9',
    method: 'GET',
    host: 'app.example.com',
    path: '/api/users',
    protocol: 'HTTP/1.1',
    status: 200,
    flags: '',
    request_bytes: 17,
    response_bytes: 123456,
    duration_ms: 12.345,
    upstream_ms: 12.001,
    gateway: 'default/web',
    listener: 'http',
    route: 'default/api',
    rule: '0',
    backend: 'default/app:80',
    endpoint: '10.0.1.42:8080',
    attempts: 1,
    user_agent: 'curl/8.0',
  });
});

test('methods, statuses, flags, protocols and attempts of all kinds', () => {
  const out = new Uint8Array(LINE_BYTES);
  const view = new DataView(out.buffer);
  const writer = new LineWriter(false);
  const outcomes = [
    [0, 'GET', 200, '', 11, 1],
    [0, 'GET', 200, '', 10, 1],
    [2, 'POST', 503, 'UO', 11, 3],
    [2, 'POST', 503, '', 11, 0],
    [0, 'GET', 200, '', 20, 1],
    [8, 'TRACE', 405, '', 11, 1],
    [9, 'PROP"FIND', 200, '', 11, 2],
    [9, '', 400, 'DPE', 11, 0],
    [0, 'GET', 200, '', 11, 1],
  ] as const;
  for (const [method, name, status, flags, version, attempts] of outcomes) {
    const r = sample();
    [r.methodStart, r.methodEnd] = put(r, bytesOf(name));
    Object.assign(r, { method, status, flags, version, attempts });
    const end = writer.format(out, view, 0, r);
    const parsed = JSON.parse(Buffer.from(out.subarray(0, end)).toString()) as Record<string, unknown>;
    const protocol = { 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2.0' }[version];
    assert.deepEqual(
      [parsed['method'], parsed['status'], parsed['flags'], parsed['protocol'], parsed['attempts']],
      [name, status, flags, protocol, attempts],
    );
    assert.equal(parsed['request_bytes'], 17);
    assert.equal(parsed['user_agent'], 'curl/8.0');
  }
});

test('a session of layer 4 is one line, without what only requests have', () => {
  const r = sample();
  r.session = 1;
  r.connectionJson = new Fragment(',"sni":"db.example"');
  r.routeJson = new Fragment(',"kind":"TLSRoute","route":"default/db","rule":"0"');
  r.flags = 'SI';
  r.end = 'idle';
  r.limit = 'SESSION_IDLE_MS';
  const parsed = JSON.parse(line(r));
  assert.deepEqual(parsed, {
    time: '2026-01-02T03:04:05.678Z',
    client: '203.0.113.9',
    protocol: 'TLS',
    flags: 'SI',
    request_bytes: 17,
    response_bytes: 123456,
    duration_ms: 12.345,
    upstream_ms: 12.001,
    sni: 'db.example',
    gateway: 'default/web',
    listener: 'http',
    kind: 'TLSRoute',
    route: 'default/db',
    rule: '0',
    backend: 'default/app:80',
    endpoint: '10.0.1.42:8080',
    attempts: 1,
    end: 'idle',
    limit: 'SESSION_IDLE_MS',
  });
  assert.equal(
    describe(parsed),
    'TLS 17/123456 bytes 12ms → 10.0.1.42:8080 idle SI [2026-01-02T03:04:05.678Z 203.0.113.9 db.example default/db]',
  );
  assert.match(combined(parsed), /^203\.0\.113\.9 - - \[02\/Jan\/2026:03:04:05 \+0000\] "- - TLS" - 123456 "-" "-"\n$/);
});

test('the lines of sessions that end in order allocate nothing', () => {
  const r = sample();
  r.session = 0;
  r.flags = '';
  r.end = 'client';
  const writer = new LineWriter(false);
  const out = new Uint8Array(LINE_BYTES);
  const view = new DataView(out.buffer);
  const lines = (count: number): number => {
    const before = (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes;
    for (let i = 0; i < count; i++) writer.format(out, view, 0, r);
    return (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes - before;
  };
  // Until it is compiled, which may take its time, numbers are boxed on their way.
  let each = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 50 && each >= 48; i++) each = lines(20_000) / 20_000;
  assert.ok(each < 48, `${each} bytes a line`);
});

test('the query string is left out unless asked for', () => {
  assert.ok(!line(sample()).includes('secret'));
  assert.equal(JSON.parse(line(sample(), true)).path, '/api/users?secret=1');
});

test('nothing a client sends leaves its field, its line or its terminal', () => {
  const nasty = Uint8Array.from([
    0x22, 0x5c, 0x0a, 0x0d, 0x1b, 0x5b, 0x33, 0x31, 0x6d, 0x00, 0x7f, 0xff, 0xc2, 0x9b, 0xe2, 0x80, 0xae, 0xc3, 0xa9,
  ]);
  const text = line(sample({ host: nasty, path: nasty, agent: nasty, id: nasty }));
  assert.equal(text.indexOf('\n'), text.length - 1);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for them is the point
  assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202e]/);
  const value = JSON.parse(text);
  assert.equal(value.path, '"\\\n\r\u001b[31m\0\u007f\\xff\u009b\u202eé');
  assert.equal(value.path, value.user_agent);
});

test('whatever steers the reader is escaped in every form of a line', () => {
  const steering = '\u061c\u200e\u200f\ufeff\u00ad\u200b\u2060\u202e\u2066\u0085\u009b\u{e0041}\u{1d173}\ufe0f\u3164';
  const value = bytesOf(`a${steering}b é東🙂`);
  const text = line(sample({ path: value, agent: value, host: value }));
  const parsed = JSON.parse(text);
  assert.equal(parsed.path, Buffer.from(value).toString());
  for (const shown of [text, combined(parsed), visible(describe(parsed))]) {
    for (const c of steering) assert.ok(!shown.includes(c), (c.codePointAt(0) as number).toString(16));
    assert.ok(shown.includes('é東🙂'));
  }
});

test('any bytes in any client-controlled field give one valid line', () => {
  const field = fc.uint8Array({ maxLength: 400 });
  fc.assert(
    fc.property(field, field, field, field, field, (host, path, agent, query, id) => {
      const text = line(sample({ host, path, agent, query, id }), true);
      assert.equal(text.indexOf('\n'), text.length - 1);
      const value = JSON.parse(text);
      assert.equal(value.status, 200);
      assert.equal(typeof value.path, 'string');
    }),
    { seed: 7, numRuns: 300 },
  );
});

test('every byte is handled alike wherever it stands in a word', () => {
  for (let byte = 0; byte < 256; byte++) {
    for (let shift = 0; shift < 4; shift++) {
      const host = bytesOf('abcdefghijkl');
      host[4 + shift] = byte;
      const value = JSON.parse(line(sample({ host }))).host;
      const shown = byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`;
      assert.equal(value, `abcdefghijkl`.slice(0, 4 + shift) + shown + 'abcdefghijkl'.slice(5 + shift));
    }
  }
});

test('valid UTF-8 is kept as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      const host = bytesOf(text);
      assert.equal(JSON.parse(line(sample({ host }))).host, text);
    }),
    { seed: 8, numRuns: 300 },
  );
});

function take(reader: RingReader, max = 1_000_000): string {
  const bytes = new Uint8Array(max);
  const n = reader.take(bytes);
  reader.consume(n);
  return Buffer.from(bytes.subarray(0, n)).toString();
}

test('a ring gives back what was written, over its end, and drops whole lines when full', () => {
  const memory = new ArrayBuffer(ringBytes(1024));
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  let dropped = 0;
  let expected = '';
  let seen = '';
  for (let i = 0; i < 2000; i++) {
    const text = bytesOf(`line ${i} ${'x'.repeat(i % 90)}\n`);
    if (writer.write(text, 0, text.length)) expected += Buffer.from(text).toString();
    else dropped++;
    writer.publish();
    if (i % 37 === 0) seen += take(reader);
  }
  seen += take(reader);
  assert.equal(seen, expected);
  assert.ok(dropped > 0);
  assert.equal(reader.waiting, 0);
  assert.equal(reader.take(new Uint8Array(10)), 0);
  assert.equal(reader.dropped, 0);
});

test('the newest lines can be read again, whole, wherever the ring stands', () => {
  const memory = new ArrayBuffer(ringBytes(1024));
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  assert.equal(reader.newest(500).length, 0);
  let all = '';
  for (let i = 0; i < 300; i++) {
    const text = bytesOf(`line ${i} ${'y'.repeat((i * 7) % 60)}\n`);
    assert.ok(writer.write(text, 0, text.length));
    writer.publish();
    all += Buffer.from(text).toString();
    if (i % 3 === 0) take(reader);
    for (const size of [100, 300, 512, 5000]) {
      const newest = reader.newest(size).toString();
      assert.ok(all.endsWith(newest) && (newest === '' || newest.endsWith('\n')));
      assert.ok(newest === all || newest.length > Math.min(size, 512) - 80, `${newest.length} of ${size}`);
      assert.ok(newest === all || all.at(-newest.length - 1) === '\n', 'begins a line');
    }
  }
});

test('positions survive wrapping around 2^32', () => {
  const memory = new ArrayBuffer(ringBytes(1024));
  new Int32Array(memory)[0] = -5;
  new Int32Array(memory)[16] = -5;
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const text = bytesOf('hello\nworld\n');
  assert.ok(writer.write(text, 0, text.length));
  assert.equal(reader.waiting, 0, 'nothing is seen before it is published');
  writer.publish();
  assert.equal(reader.waiting, 12);
  assert.equal(take(reader, 8), 'hello\n');
  assert.equal(take(reader, 80), 'world\n');
});

test('a recorded request is counted once in its route and once in the log', () => {
  const cells = Cells.local();
  const memory = new ArrayBuffer(ringBytes(512));
  const recorder = new Recorder(cells, new RingWriter(memory), { withQuery: false });
  const r = sample();
  recorder.record(r);
  // Clocks have fractions of a microsecond, sums have not: they would add up to something else in another order.
  r.endUs += 0.75;
  recorder.record(r);
  assert.equal(cells.get(NO_ROUTE_BLOCK + requestsOffset(METHOD.GET, 200)), 2);
  assert.equal(cells.get(NO_ROUTE_BLOCK + ROUTE.RESPONSE_BYTES), 246912);
  assert.equal(cells.get(NO_ROUTE_BLOCK + ROUTE.DURATION_SUM_US), 24690);
  assert.equal(cells.get(CELL.LOG_LINES_TOTAL), 1);
  assert.equal(cells.get(CELL.LOG_DROPPED_TOTAL), 1);
});

test('of a Gateway that wants errors or warnings alone the others are counted, and have no line', () => {
  const cells = Cells.local();
  const memory = new ArrayBuffer(ringBytes(65_536));
  const recorder = new Recorder(cells, new RingWriter(memory), { withQuery: false });
  const lines = (logged: AccessRecord['logged'], wrong: Partial<AccessRecord>): number => {
    const before = cells.get(CELL.LOG_LINES_TOTAL);
    const r = Object.assign(sample(), { logged }, wrong);
    recorder.record(r);
    return cells.get(CELL.LOG_LINES_TOTAL) - before;
  };
  const seen = (wrong: Partial<AccessRecord>): string =>
    [LOGGED.ALL, LOGGED.WARNINGS, LOGGED.ERRORS].map((logged) => lines(logged, wrong)).join('');
  assert.equal(seen({}), '100');
  assert.equal(seen({ status: 404, flags: 'NR' }), '110');
  assert.equal(seen({ status: 503, flags: 'UF' }), '111');
  assert.equal(seen({ status: 200, flags: 'UC' }), '111', 'a response that broke off');
  assert.equal(seen({ status: 200, flags: 'DC' }), '110', 'a client that left');
  assert.equal(seen({ status: 499, flags: 'DC' }), '110');
  assert.equal(seen({ grpcStatus: 0 }), '100');
  assert.equal(seen({ grpcStatus: 5 }), '110');
  assert.equal(seen({ grpcStatus: 13 }), '111');
  assert.equal(seen({ session: 0, end: 'client' }), '100');
  assert.equal(seen({ session: 0, end: 'refused', flags: 'UF' }), '111');
  assert.equal(cells.get(NO_ROUTE_BLOCK + requestsOffset(METHOD.GET, 404)), 3, 'all are counted');
});

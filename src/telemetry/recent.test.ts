import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RingReader, RingWriter, ringBytes } from './log-ring.ts';
import { combined, describe, Following, recent } from './recent.ts';

const line = (n: number, more: object = {}): string =>
  `${JSON.stringify({ time: '2026-01-02T03:04:05.678Z', client: '203.0.113.9', method: 'GET', path: `/${n}`, protocol: 'HTTP/1.1', status: 200, flags: '', response_bytes: 5, duration_ms: 12.4, route: 'default/a', endpoint: '10.0.1.42:8080', user_agent: 'curl/8', ...more })}\n`;

function rings(count: number, bytes: number): { writers: RingWriter[]; readers: RingReader[] } {
  const memories = Array.from({ length: count }, () => new ArrayBuffer(ringBytes(bytes)));
  return { writers: memories.map((m) => new RingWriter(m)), readers: memories.map((m) => new RingReader(m)) };
}

function write(writer: RingWriter | undefined, text: string): void {
  const bytes = Buffer.from(text);
  assert.ok(writer?.write(bytes, 0, bytes.length));
  writer?.publish();
}

test('the newest requests of all workers come first, and the oldest fall out', () => {
  const { writers, readers } = rings(2, 4096);
  assert.deepEqual(recent(readers, { limit: 10 }), []);
  for (let i = 0; i < 20; i++) {
    write(writers[i % 2], line(i, { time: `2026-01-02T03:04:${String(10 + i)}.000Z` }));
    // Written out already or not: both are shown.
    if (i < 16) for (const reader of readers) reader.consume(reader.waiting);
  }
  const paths = recent(readers, { limit: 100 }).map((r) => Number(String(r['path']).slice(1)));
  assert.ok(paths.length >= 8 && paths.length < 20, `${paths.length} lines`);
  assert.deepEqual(
    paths,
    Array.from({ length: paths.length }, (_, i) => 19 - i),
  );
  assert.equal(recent(readers, { limit: 3 }).length, 3);
});

test('whoever follows sees each request once, in order, and whether there were more', () => {
  const { writers, readers } = rings(2, 4096);
  write(writers[0], line(0));
  const following = new Following(readers, { limit: 3 });
  const paths = (): unknown[] => following.next().map((r) => r['path']);
  assert.deepEqual(paths(), []);
  write(writers[1], line(1, { time: '2026-01-02T03:04:11.000Z' }));
  write(writers[0], line(2, { time: '2026-01-02T03:04:10.000Z' }));
  assert.deepEqual(paths(), ['/2', '/1']);
  assert.deepEqual(paths(), []);
  for (let i = 3; i < 8; i++) write(writers[0], line(i));
  for (const reader of readers) reader.consume(reader.waiting);
  assert.deepEqual([paths(), following.more], [['/5', '/6', '/7'], true]);
  // Around the ring's end, and more than it holds at once.
  for (let i = 8; i < 40; i++) {
    write(writers[0], line(i));
    for (const reader of readers) reader.consume(reader.waiting);
    if (i % 2 === 0) assert.equal(paths().at(-1), `/${i}`);
  }
  assert.deepEqual([paths(), following.more], [['/39'], false]);
});

test('filters by route and status', () => {
  const { writers, readers } = rings(1, 8192);
  write(writers[0], line(1) + line(2, { status: 503, flags: 'UH' }) + line(3, { route: 'default/b' }));
  const paths = (filter: object): unknown[] => recent(readers, { limit: 9, ...filter }).map((r) => r['path']);
  assert.deepEqual(paths({ status: '5xx' }), ['/2']);
  assert.deepEqual(paths({ status: '503' }), ['/2']);
  assert.deepEqual(paths({ route: 'default/b' }), ['/3']);
});

test('a line a person reads: what the request was and became, then when, for which host, and by which route', () => {
  const when = '2026-01-02T03:04:05.678Z';
  const first = JSON.parse(line(1, { host: 'app.example', route: 'default/api' }));
  assert.equal(describe(first), `GET /1 200 12ms → 10.0.1.42:8080 [${when} app.example default/api]`);
  const refused = JSON.parse(line(1, { status: 503, flags: 'UH', endpoint: undefined, route: undefined }));
  assert.equal(describe(refused), `GET /1 503 12ms UH [${when}]`);
});

test('the combined format, with quotes and controls escaped', () => {
  assert.equal(
    combined(JSON.parse(line(1))),
    '203.0.113.9 - - [02/Jan/2026:03:04:05 +0000] "GET /1 HTTP/1.1" 200 5 "-" "curl/8"\n',
  );
  const referred = combined(JSON.parse(line(1, { referer: 'http://a.example/"x"' })));
  assert.ok(referred.endsWith('200 5 "http://a.example/\\"x\\"" "curl/8"\n'));
  const nasty = combined(JSON.parse(line(1, { user_agent: 'a"b\n\u001b[1m\u009b' })));
  assert.ok(nasty.endsWith('"a\\"b\\n\\u001b[1m\\u009b"\n'));
});

test('whatever stands in a ring, what is shown of it is lines, and nothing is thrown', () => {
  const good = line(1, { time: '2026-01-02T03:04:10.000Z' });
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .constantFrom(good, 'null\n', '[]\n', '{}\n', '{"time":1}\n', '{"time":"x","path":{}}\n', '\n')
      .map((t) => Buffer.from(t)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), fc.integer(), fc.integer(), (parts, written, read) => {
      const memory = new ArrayBuffer(ringBytes(1024));
      const bytes = Buffer.concat(parts).subarray(0, 1024);
      new Uint8Array(memory, ringBytes(0)).set(bytes);
      new Int32Array(memory)[0] = written;
      new Int32Array(memory)[16] = read;
      for (const seen of recent([new RingReader(memory)], { limit: 1000 })) {
        assert.match(String(seen['time']), /^\d{4}-/);
        assert.ok(!describe(seen).includes('undefined') || seen['method'] === undefined);
        combined(seen);
      }
    }),
    { numRuns: 500 },
  );
});

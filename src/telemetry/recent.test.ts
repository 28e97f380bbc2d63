import assert from 'node:assert/strict';
import { test } from 'node:test';
import { combined, describe, Recent } from './recent.ts';

const line = (n: number, more: object = {}): string =>
  `${JSON.stringify({ time: '2026-01-02T03:04:05.678Z', client: '203.0.113.9', method: 'GET', path: `/${n}`, protocol: 'HTTP/1.1', status: 200, flags: '', response_bytes: 5, duration_ms: 12.4, route: 'default/a', endpoint: '10.0.1.42:8080', user_agent: 'curl/8', ...more })}\n`;

test('the newest requests come first and the oldest fall out', () => {
  const size = line(1).length;
  const recent = new Recent(size * 4);
  for (let i = 0; i < 10; i++) recent.add(Buffer.from(line(i)));
  assert.deepEqual(
    recent.list({ limit: 10 }).map((r) => r['path']),
    ['/9', '/8', '/7', '/6'],
  );
  recent.add(Buffer.from(Array.from({ length: 9 }, (_, i) => line(100 + i)).join('')));
  assert.deepEqual(
    recent.list({ limit: 2 }).map((r) => r['path']),
    ['/108', '/107'],
  );
  assert.equal(recent.list({ limit: 100 }).length, 9);
});

test('filters by route and status', () => {
  const recent = new Recent(10_000);
  recent.add(Buffer.from(line(1) + line(2, { status: 503, flags: 'UH' }) + line(3, { route: 'default/b' })));
  assert.deepEqual(
    recent.list({ limit: 9, status: '5xx' }).map((r) => r['path']),
    ['/2'],
  );
  assert.deepEqual(
    recent.list({ limit: 9, status: '503' }).map((r) => r['path']),
    ['/2'],
  );
  assert.deepEqual(
    recent.list({ limit: 9, route: 'default/b' }).map((r) => r['path']),
    ['/3'],
  );
});

test('a line a person reads', () => {
  assert.equal(describe(JSON.parse(line(1))), 'GET /1 200 12ms → 10.0.1.42:8080');
  assert.equal(describe(JSON.parse(line(1, { status: 503, flags: 'UH', endpoint: undefined }))), 'GET /1 503 12ms UH');
});

test('the combined format, with quotes and controls escaped', () => {
  assert.equal(
    combined(JSON.parse(line(1))),
    '203.0.113.9 - - [02/Jan/2026:03:04:05 +0000] "GET /1 HTTP/1.1" 200 5 "-" "curl/8"\n',
  );
  const nasty = combined(JSON.parse(line(1, { user_agent: 'a"b\n\u001b[1m\u009b' })));
  assert.ok(nasty.endsWith('"a\\"b\\n\\u001b[1m\\u009b"\n'));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { steers } from '../base/steering.ts';
import { LineCheck } from './line-check.ts';

const BATCH = 64 * 1024;

/** What the check stands for, said plainly. */
function isLine(text: string): boolean {
  if (!text.startsWith('{"time":"') || /[\ufffd]/.test(text)) return false;
  for (const c of text) if (steers(c.codePointAt(0) as number)) return false;
  // The writer puts no space between, and neither signs nor exponents.
  if (
    !/^\{("([^"\\]|\\.)*":("([^"\\]|\\.)*"|\d+(\.\d+)?),)*"([^"\\]|\\.)*":("([^"\\]|\\.)*"|\d+(\.\d+)?)\}$/.test(text)
  )
    return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function sift(check: LineCheck, lines: readonly Uint8Array[]): { kept: string; bad: number } {
  let n = 0;
  for (const line of lines) {
    check.batch.set(line, n);
    n += line.length;
    check.batch[n++] = 0x0a;
  }
  const end = check.sift(n);
  return { kept: Buffer.from(check.batch.subarray(0, end)).toString('latin1'), bad: check.bad };
}

function expected(lines: readonly Uint8Array[]): { kept: string; bad: number } {
  // A newline within makes two of one.
  const all = lines.flatMap((line) => Buffer.from(line).toString('latin1').split('\n'));
  const good = all.filter((line) => isLine(Buffer.from(line, 'latin1').toString('utf8')));
  return { kept: good.map((line) => `${line}\n`).join(''), bad: all.length - good.length };
}

const sample = (path: string, more: string): string =>
  `{"time":"2026-01-02T03:04:05.678Z","id":"0190b5f0","client":"127.0.0.1","path":"${path}","status":200,"flags":"",${more}"duration_ms":10.345,"user_agent":"wrk/4.2"}`;

test('lines of the writer are kept as they are', () => {
  const check = new LineCheck(BATCH);
  const lines = ['/a', '/b', '/a', '/longer/path', '/é東🙂', '/\\"q\\\\\\u001b', '/c'].flatMap((path) =>
    ['', '"upstream_ms":0.5,', '"upstream_ms":12,'].map((more) => Buffer.from(sample(path, more))),
  );
  const twice = [...lines, ...lines];
  assert.deepEqual(sift(check, twice), expected(twice));
  assert.equal(check.bad, 0);
});

test('a line that is none is left out and counted, whatever stands around it', () => {
  const bad = [
    '',
    'x',
    '{}',
    '{"time":"',
    '{"time":"a"',
    '{"time":"a"}}',
    '{"time":"a"b"}',
    '{"time":"a","b"}',
    '{"time":"a",,"b":1}',
    '{"time":"a","b":01}',
    '{"time":"a","b":1.}',
    '{"time":"a","b":1.2.3}',
    '{"time":"a","b":}',
    '{"time":"a","b":-1}',
    '{"time":"a","b":{}}',
    '{"time":"a" ,"b":1}',
    '{"time":"a\\x"}',
    '{"time":"a\\u12g4"}',
    '{"time":"\u001b[2J"}',
    '{"time":"\u0000"}',
    '{"time":"\u007f"}',
    '{"time":"\u202e"}',
    '{"time":"\u009b"}',
    sample('/a', '').replace('10.345', '00.345'),
    sample('/a', '').replace('"path"', '"pa"h"'),
    sample('/a', '').replace('status', 'sta\\us'),
  ].map((text) => Buffer.from(text));
  bad.push(
    ...[[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]].map((bytes) =>
      Buffer.concat([Buffer.from('{"time":"'), Buffer.from(bytes), Buffer.from('"}')]),
    ),
  );
  const good = Buffer.from(sample('/a', ''));
  const check = new LineCheck(BATCH);
  const lines = [good, ...bad.flatMap((line) => [line, good])];
  assert.deepEqual(sift(check, lines), { kept: `${good}\n`.repeat(bad.length + 1), bad: bad.length });
});

test('one changed byte anywhere in a line whose shape is known is judged as in plain code', () => {
  const check = new LineCheck(BATCH);
  const good = Buffer.from(sample('/a%20b', '"upstream_ms":0.5,'));
  sift(check, [good, good]);
  for (let at = 0; at < good.length; at++)
    for (const byte of [
      0x00, 0x0a, 0x1f, 0x20, 0x22, 0x2c, 0x2e, 0x30, 0x39, 0x3a, 0x5c, 0x61, 0x7b, 0x7d, 0x7e, 0x7f, 0x80, 0xff,
    ]) {
      const changed = Buffer.from(good);
      changed[at] = byte;
      const lines = [good, changed, good];
      assert.deepEqual(sift(check, lines), expected(lines), `${byte} at ${at}`);
    }
});

test('any bytes, and any mix of lines and bytes', () => {
  const path = fc.stringMatching(/^[ !#-[\]-~]{0,12}$/);
  const line = fc.record({ path, more: fc.constantFrom('', '"upstream_ms":0.5,', '"attempts":3,') });
  const mutated = fc.tuple(line, fc.nat(300), fc.nat(255)).map(([{ path, more }, at, byte]) => {
    const bytes = Buffer.from(sample(path, more));
    if (at < bytes.length) bytes[at] = byte;
    return bytes;
  });
  const any = fc.oneof(
    { weight: 4, arbitrary: line.map((l) => Buffer.from(sample(l.path, l.more))) },
    { weight: 3, arbitrary: mutated },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)) },
  );
  const check = new LineCheck(BATCH);
  fc.assert(
    fc.property(fc.array(any, { minLength: 1, maxLength: 40 }), (lines) => {
      assert.deepEqual(sift(check, lines), expected(lines));
    }),
    { numRuns: 500 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feed, latin1 } from '../../../test/support/http1.ts';
import { bytesOf } from '../../base/bytes.ts';
import { CLASS, DONE, findHeadEnd, TOKEN, VALUE, wordOf } from './scan.ts';

test('the end of a head is found at every alignment and from every place not behind it', () => {
  for (let pad = 0; pad < 9; pad++) {
    for (const [empty, back] of [
      ['\r\n\r\n', 3],
      ['\n\n', 2],
      ['\n\r\n', 3],
      ['\r\n\n', 2],
    ] as const) {
      const text = `${'x'.repeat(pad)}a: b\r\nlonger: ccc\r\n\rd${empty}`;
      const mem = bytesOf(`${text}rest\r\n\r\n`);
      for (let end = 0; end < text.length; end++) assert.equal(findHeadEnd(mem, 0, end), -1);
      for (let end = text.length; end <= mem.length; end++) assert.equal(findHeadEnd(mem, 0, end), text.length);
      for (let from = 0; from <= text.length - back; from++) {
        assert.equal(findHeadEnd(mem, from, mem.length), text.length);
      }
    }
  }
});

test('every cut of a head is searched once, three bytes overlapping', () => {
  const mem = bytesOf('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET');
  const end = mem.length - 3;
  for (let cut = 0; cut < end; cut++) {
    assert.equal(findHeadEnd(mem, 0, cut), -1);
    assert.equal(findHeadEnd(mem, Math.max(0, cut - 3), end), end, `cut at ${cut}`);
  }
});

test('a head that comes byte by byte is parsed twice', () => {
  const text = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(30_000)}\r\n\r\n`;
  const { result, parses } = feed('request', latin1(text), ...Array.from({ length: text.length - 1 }, (_, k) => k + 1));
  assert.equal(result, DONE);
  assert.equal(parses, 2);
});

test('token and value classes are those of RFC 9110 sections 5.6.2 and 5.5', () => {
  for (let c = 0; c < 256; c++) {
    const char = String.fromCharCode(c);
    assert.equal(((CLASS[c] as number) & TOKEN) !== 0, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(char), `token ${c}`);
    assert.equal(((CLASS[c] as number) & VALUE) !== 0, c === 9 || (c >= 32 && c !== 127), `value ${c}`);
  }
  assert.equal(wordOf('GET '), 0x20544547);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feed, latin1 } from '../../../test/support/http1.ts';
import { bytesOf, textOf } from '../../base/bytes.ts';
import { NAME } from '../head.ts';
import { NAME_BYTES, nameId, standsAt } from './names.ts';
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

test('each known name has its id in any case, and nothing near it has', () => {
  const ids = Object.entries(NAME).filter(([key]) => key !== 'OTHER');
  const known = new Set(ids.map(([key]) => key.toLowerCase().replaceAll('_', '-')));
  const idOf = (text: string): number => {
    // At an odd offset, between bytes that are part of no name.
    const mem = bytesOf(`:::${text}: x`);
    const words = new DataView(mem.buffer, mem.byteOffset, mem.length);
    const found = nameId(words, 3, 3 + text.length);
    // A guess is taken exactly when it is right; names of under four bytes are not guessed.
    for (let id = 0; id < NAME_BYTES.length; id++) {
      const right = id !== NAME.OTHER && id === found && text.length >= 4;
      assert.equal(standsAt(words, 3, mem.length, id), right ? text.length : 0, `${text} as ${id}`);
    }
    return found;
  };
  for (const [key, id] of ids) {
    const lower = key.toLowerCase().replaceAll('_', '-');
    assert.deepEqual(NAME_BYTES[id], bytesOf(lower));
    const mixed = [...lower].map((c, i) => (i % 2 === 0 ? c.toUpperCase() : c)).join('');
    for (const text of [lower, lower.toUpperCase(), mixed]) assert.equal(idOf(text), id, text);
    for (let i = 0; i < lower.length; i++) {
      for (const c of "!#$%&'*+-.^_`|~09azAZ") {
        const near = lower.slice(0, i) + c + lower.slice(i + 1);
        if (!known.has(near.toLowerCase())) assert.equal(idOf(near), NAME.OTHER, near);
      }
      const shorter = lower.slice(0, i) + lower.slice(i + 1);
      if (shorter !== '' && !known.has(shorter)) assert.equal(idOf(shorter), NAME.OTHER, shorter);
      assert.equal(idOf(`${lower.slice(0, i)}x${lower.slice(i)}`), NAME.OTHER);
    }
    assert.equal(idOf(`${lower}s`), NAME.OTHER);
  }
  assert.equal(idOf('x'.repeat(1000)), NAME.OTHER);
});

test('a guess reads nothing behind the end, and no control byte passes for what it folds to', () => {
  const stands = (bytes: Uint8Array, end: number, id: number): number =>
    standsAt(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, end, id);
  for (let id = 1; id < NAME_BYTES.length; id++) {
    const name = NAME_BYTES[id] as Uint8Array;
    if (name.length < 4) continue;
    const line = bytesOf(`${textOf(name)}: x`);
    for (let end = 0; end <= name.length; end++) assert.equal(stands(line, end, id), 0);
    assert.equal(stands(line, name.length + 1, id), name.length);
    for (let i = 0; i < name.length; i++) {
      for (let c = 0; c < 256; c++) {
        const other = line.slice();
        other[i] = c;
        const same = String.fromCharCode(c).toLowerCase() === String.fromCharCode(name[i] as number);
        assert.equal(stands(other, other.length, id), same ? name.length : 0, `${textOf(name)} with ${c} at ${i}`);
      }
    }
  }
});

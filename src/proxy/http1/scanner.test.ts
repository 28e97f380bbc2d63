// The scanner against a plain one that looks at one byte after the other.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOf, textOf } from '../../base/bytes.ts';
import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { newMemory } from '../../base/memory.ts';
import { Head, NAME } from '../head.ts';
import { parseFields } from './fields.ts';
import { NAME_BYTES } from './names.ts';
import { CLASS, CR, HTAB, LF, QUERY, REG_NAME, SP, TARGET, TOKEN } from './scan.ts';
import { SPAN, span } from './scanner.ts';

const mem = newMemory(1 << 17);
const head = new Head();

type Line = readonly [nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, lineEnd: number];
const BAD = -1;
const MORE = 0;

/** The grammar of RFC 9112 section 5, byte by byte: the lines, MORE or BAD. */
function plain(from: number, end: number): readonly Line[] | typeof BAD | typeof MORE {
  const lines: Line[] = [];
  for (let at = from; ; ) {
    let i = at;
    while (i < end && ((CLASS[mem[i] as number] as number) & TOKEN) !== 0) i++;
    if (i === end) return MORE;
    if (i === at && mem[i] === CR) return i + 1 === end ? MORE : mem[i + 1] === LF ? lines : BAD;
    if (i === at || mem[i] !== 0x3a) return BAD;
    const nameEnd = i++;
    while (i < end && (mem[i] === SP || mem[i] === HTAB)) i++;
    const valueStart = i;
    while (i < end && ((mem[i] as number) >= SP || mem[i] === HTAB) && mem[i] !== 0x7f) i++;
    if (i === end) return MORE;
    if (mem[i] !== CR) return BAD;
    if (i + 1 === end) return MORE;
    if (mem[i + 1] !== LF) return BAD;
    let valueEnd = i;
    while (valueEnd > valueStart && (mem[valueEnd - 1] === SP || mem[valueEnd - 1] === HTAB)) valueEnd--;
    lines.push([at, nameEnd, valueStart, valueEnd, i + 2]);
    at = i + 2;
  }
}

function parse(from: number, end: number): number {
  return parseFields(mem, from, end, head, false, FAULTS.badRequest, FAULTS.headTooLarge);
}

function idOf(name: string): number {
  return Math.max(
    0,
    NAME_BYTES.findIndex((bytes) => bytes.length > 0 && textOf(bytes) === name.toLowerCase()),
  );
}

/** Scans the section at any offset and cut off anywhere, and compares with the plain scanner. */
function compare(section: Uint8Array, from: number): void {
  // Whatever lies behind what arrived must not matter.
  mem.fill(0x3a, from, from + section.length + 64);
  mem.set(section, from);
  for (let end = from; end <= from + section.length; end++) {
    const expected = plain(from, end);
    const result = parse(from, end);
    const where = JSON.stringify(textOf(mem, from, end));
    if (typeof expected === 'number') {
      assert.equal(result, expected, where);
      continue;
    }
    assert.equal(result, (expected.at(-1)?.[4] ?? from) + 2, where);
    assert.equal(head.count, expected.length);
    let seen = 0;
    let twice = 0;
    for (const [k, line] of expected.entries()) {
      const found = [head.nameStart(k), head.nameEnd(k), head.valueStart(k), head.valueEnd(k), head.lineEnd(k)];
      assert.deepEqual(found, line, where);
      const id = idOf(textOf(mem, line[0], line[1]));
      assert.equal(head.name(k), id, where);
      assert.equal(head.dropped(k), false);
      twice |= seen & (1 << id);
      seen |= 1 << id;
    }
    assert.deepEqual([head.seen, head.twice, head.drops], [seen, twice, false]);
  }
}

const names = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NAME_BYTES.slice(1).map((bytes) => textOf(bytes))) },
  fc.constantFrom('X-A', 'a', 'Accept-', 'Hos', 'Hostt', 'x'.repeat(40), "!#$%&'*+.^_`|~1"),
);
const value = fc.stringMatching(/^[\t -~\x80-\xff]{0,60}$/);
const space = fc.constantFrom('', ' ', '\t', '  ', ' \t ');
const line = fc
  .tuple(names, fc.boolean(), space, value, space)
  .map(([name, upper, before, text, behind]) => `${upper ? name.toUpperCase() : name}:${before}${text}${behind}\r\n`);

test('well-formed sections are read as byte by byte, wherever they stand and however they are cut', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), fc.nat(40), (lines, from) => {
      compare(Uint8Array.from(Buffer.from(`${lines.join('')}\r\n`, 'latin1')), 64 + from);
    }),
    { numRuns: 150 },
  );
});

test('a byte that is another one is taken or refused alike', () => {
  fc.assert(
    fc.property(
      fc.array(line, { minLength: 1, maxLength: 3 }),
      fc.nat(40),
      fc.nat(),
      fc.oneof(fc.constantFrom(0, HTAB, LF, CR, SP, 0x22, 0x3a, 0x7f, 0x80), fc.integer({ min: 0, max: 255 })),
      (lines, from, place, byte) => {
        const section = Uint8Array.from(Buffer.from(`${lines.join('')}\r\n`, 'latin1'));
        section[place % section.length] = byte;
        compare(section, 64 + from);
      },
    ),
    { numRuns: 300 },
  );
});

test('each known name has its id in any case, and nothing near it has', () => {
  const known = new Set(NAME_BYTES.map((bytes) => textOf(bytes)));
  const found = (name: string): number => {
    const end = 65 + name.length + 7;
    mem.set(bytesOf(`${name}: x\r\n\r\n`), 65);
    assert.equal(parse(65, end), end);
    assert.equal(textOf(mem, head.nameStart(0), head.nameEnd(0)), name);
    return head.name(0);
  };
  for (const [key, id] of Object.entries(NAME)) {
    if (id === NAME.OTHER) continue;
    const lower = key.toLowerCase().replaceAll('_', '-');
    assert.deepEqual(NAME_BYTES[id], bytesOf(lower));
    const mixed = [...lower].map((c, i) => (i % 2 === 0 ? c.toUpperCase() : c)).join('');
    const check = (text: string): void => {
      // With the name itself as what stood here before, then with what was found.
      for (const before of [lower, text]) {
        found(before);
        assert.equal(found(text), known.has(text.toLowerCase()) ? idOf(text) : NAME.OTHER, text);
      }
    };
    for (const text of [lower, lower.toUpperCase(), mixed, `${lower}s`]) check(text);
    for (let i = 0; i < lower.length; i++) {
      for (const c of "!#$%&'*+-.^_`|~09azAZ") check(lower.slice(0, i) + c + lower.slice(i + 1));
      if (lower.length > 1) check(lower.slice(0, i) + lower.slice(i + 1));
      check(`${lower.slice(0, i)}x${lower.slice(i)}`);
    }
  }
  assert.equal(found('x'.repeat(1000)), NAME.OTHER);
});

test('no control byte passes for what it folds to', () => {
  for (let id = 1; id < NAME_BYTES.length; id++) {
    const name = NAME_BYTES[id] as Uint8Array;
    const text = textOf(name);
    for (let i = 0; i < name.length; i++) {
      for (let c = 0; c < 256; c++) {
        const end = 64 + name.length + 7;
        mem.set(bytesOf(`${text}: x\r\n\r\n`), 64);
        parse(64, end);
        mem[64 + i] = c;
        const parsed = parse(64, end);
        const same = String.fromCharCode(c).toLowerCase() === text[i];
        assert.equal(
          parsed > 0 && head.name(0) === id && head.nameEnd(0) === 64 + name.length,
          same,
          `${text} ${c} ${i}`,
        );
      }
    }
  }
});

test('as many fields as a head has room for, and no more', () => {
  for (const count of [LIMITS.FIELDS, LIMITS.FIELDS + 1]) {
    const section = bytesOf(`${'Accept: x\r\n'.repeat(count)}\r\n`);
    mem.set(section, 64);
    const result = parse(64, 64 + section.length);
    assert.equal(result, count === LIMITS.FIELDS ? 64 + section.length : -1);
    if (count > LIMITS.FIELDS) assert.equal(head.limit, 'FIELDS');
    else assert.equal(head.count, count);
  }
});

test('a scan may end at the very end of memory', () => {
  const section = bytesOf('Host: a\r\n\r\n');
  mem.set(section, mem.length - section.length);
  for (let cut = 1; cut < section.length; cut++) assert.equal(parse(mem.length - section.length, mem.length - cut), 0);
  assert.equal(parse(mem.length - section.length, mem.length), mem.length);
});

test('a span ends at the first byte that is not in its set', () => {
  const sets = [
    [SPAN.TOKEN, TOKEN],
    [SPAN.TARGET, TARGET],
    [SPAN.QUERY, QUERY],
    [SPAN.REG_NAME, REG_NAME],
  ] as const;
  for (const [set, cls] of sets) {
    for (let c = 0; c < 256; c++) {
      const inside = ((CLASS[c] as number) & cls) !== 0;
      for (const length of [0, 1, 15, 16, 17, 40]) {
        mem.fill(0x61, 64, 64 + length);
        mem[64 + length] = c;
        mem[65 + length] = 0;
        assert.equal(span(mem, 64, 64 + length, set), 64 + length);
        assert.equal(span(mem, 64, 66 + length, set), 64 + length + Number(inside), `${c} behind ${length}`);
      }
    }
  }
  mem.fill(0x61, mem.length - 20);
  assert.equal(span(mem, mem.length - 20, mem.length, SPAN.TOKEN), mem.length);
});

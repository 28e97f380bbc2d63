// What the reader of plain YAML accepts the library accepts without a word, and reads as the same: every file of the
// project, and thousands that are nearly one. The library is the judge.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { readPlainYaml } from './plain-yaml.ts';
import { parseByLibrary, parseChunk, split } from './yaml.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1_500);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const CHUNKS = globSync('{examples,testdata,deploy}/**/*.{yaml,yml,json}', { cwd: ROOT })
  .sort()
  .flatMap((path) => split(readFileSync(`${ROOT}${path}`, 'utf8')))
  .map(({ text }) => text);

const LISTS: readonly string[] = [
  'kind: List\nitems:\n- kind: A\n  metadata:\n    name: a\n\n# c\n-   kind: B\n\n- x\nb: 1\n',
  'items:\n  - items:\n    - kind: A\n  - kind: B\n    metadata: { name: b }',
  '{ "items": [ {"kind": "A", "metadata":{"name": "a"}}, 1,\n {"items": [ {"kind": 1} ] } ], "kind": "List" }',
  'items: [ { kind: A }, {kind: B, metadata: { name: x } } ]\n',
];

/** Whether the reader of plain YAML takes it, and then as the library does. */
function agree(text: string): boolean {
  const plain = readPlainYaml(text);
  if (plain === null) return false;
  const { values, problems, locate } = parseByLibrary(text);
  const shown = JSON.stringify(text);
  assert.deepEqual(problems, [], shown);
  // An empty document has no value, and none of those is plain.
  assert.deepEqual([plain.value], values, shown);
  assert.equal(plain.offset, locate(0, ''), shown);
  // Of a List, where each object stands, and something in it.
  const chunk = parseChunk(text);
  plain.items.forEach((_, i) => {
    for (const field of ['', '.kind', '.metadata.name', '.spec.rules[0].matches', '.no.such']) {
      const place = `items[${i}]${field}`;
      assert.equal(chunk.locate(0, place), locate(0, place), `${place} of ${shown}`);
    }
  });
  assert.equal(JSON.stringify(plain.value), JSON.stringify(values[0]), `the order of ${shown}`);
  return true;
}

test('what people write is plain, and is read as the library reads it', () => {
  const plain = CHUNKS.filter(agree).length;
  assert.ok(CHUNKS.length > 500 && plain > 0.85 * CHUNKS.length, `${plain} of ${CHUNKS.length}`);
});

test('each form by itself', () => {
  const plain: readonly string[] = [
    'a: 1\n',
    'a: 1',
    '---\na: b\n',
    '# c\n\n---\n# d\na: b\n# e',
    'a:\n  b: x y\n  c:\n',
    'a:\n- b\n- c: 1\n  d: 2\n-   e: 1\n    f:\n    - 1\ng: 2\n',
    'a: b # c\nd: b#c\ne: "x # y" # z\n',
    'a: \'\'\nb: ""\nc: \'x\'\nd: "a\\nb\\u0041\\""\n',
    'a: |\n  x\n   y\n\n  z\n\n\nb: |-\n  x\n\n',
    'a: {}\nb: []\nc: { d: 1, e: [a, "b", 2] }\nd: {"x":1,"y":"z"}\n',
    '{"a":1,"b":{"c":[1,2,{"d":null}]},\n "e": true}\n',
    '{\n  "a": [\n    1\n  ]\n}\n',
    'a: 0x10\nb: 010\nc: 1e3\nd: 1_000\ne: .5\nf: -7\ng: 1.2.3.4\nh: 2026-01-01\ni: +1\nj: 0o7\nk: 12:30\n',
    'a: yes\nb: No\nc: nULL\nd: null\ne: y\nf: True\ng: oFF\n',
    'a: /x/y?z=1,2\nb: $(X)\nc: a:b\nd: a, b\ne: \\d+\nf: ^x$\n',
    'a:\n  - b: 1\n\n  # c\n  - b: 2\n',
    ...LISTS,
  ];
  for (const text of plain) assert.ok(agree(text), JSON.stringify(text));
  const strange: readonly string[] = [
    '',
    '# c\n',
    'a\n',
    '- a\n',
    'a: 1\na: 2\n',
    'a: b\n  c\n',
    'a: "b"\n  c: 1\n',
    'a: b: c\n',
    'a: &x b\n',
    'a: *x\n',
    'a: !!str b\n',
    'a: >\n  x\n',
    'a: |2\n   x\n',
    'a: .inf\n',
    'a: {b}\n',
    'a: [1,]\n',
    'a: "x\\x41"\n',
    "a: 'it''s'\n",
    'a:\n  b: 1\n c: 2\n',
    'a:\n\tb: 1\n',
    'yes: 1\n',
    '1: 1\n',
    '<<: { a: 1 }\n',
    '"a": 1\n',
    'a: ü\n',
    'a: -\n',
    'a: - b\n',
    'a: "b" c\n',
    'a: {b: 1} c\n',
    'a: 1\n---\nb: 1\n',
    '%YAML 1.1\n---\na: 1\n',
    '{"a":1}{"b":2}',
    `${'a: {'.repeat(40)}${'}'.repeat(40)}`,
  ];
  for (const text of strange) assert.equal(readPlainYaml(text), null, JSON.stringify(text));
});

const MARKS = [
  ...[
    ' ',
    '  ',
    '\n',
    '\n\n',
    '\t',
    '\r\n',
    ':',
    ': ',
    '- ',
    '-',
    '#',
    ' #',
    '"',
    "'",
    '|',
    '|-',
    '>',
    '{',
    '}',
    '[',
    ']',
  ],
  ...[
    ',',
    '&a',
    '*a',
    '!',
    '%',
    '@',
    '`',
    '?',
    '? ',
    '---',
    '---\n',
    '...',
    '<<: ',
    '~',
    'null',
    'yes',
    '0',
    '1',
    '.5',
    'e',
  ],
  ...['\\', '\\n', '=', '1:2', '.inf', 'a', 'a: b', 'a:\n', '\u0000', 'ä', '\u2028', '\ufeff'],
];
const EDIT = fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...MARKS), fc.nat(12));

/** A mark is put in, takes the place of what stands there, or something is taken away; where, by chance. */
function edited(text: string, [where, what, mark, length]: readonly [number, number, string, number]): string {
  const at = where % (text.length + 1);
  return text.slice(0, at) + (what === 2 ? '' : mark) + text.slice(at + (what === 0 ? 0 : length));
}

test('whatever is changed by hand: what is read as plain is read as the library reads it', () => {
  const small = [...CHUNKS.filter((text) => text.length < 2_000), ...LISTS];
  let plain = 0;
  const property = fc.property(
    fc.constantFrom(...small),
    fc.array(EDIT, { minLength: 1, maxLength: 3 }),
    (text, edits) => {
      if (agree(edits.reduce(edited, text))) plain++;
    },
  );
  fc.assert(property, { numRuns: RUNS });
  assert.ok(plain > RUNS / 10, `${plain} of ${RUNS}`);
});

test('whatever is made of marks alone, too', () => {
  const words = fc.array(
    fc.constantFrom(...MARKS.filter((mark) => /^[\n -~]*$/.test(mark)), 'b: ', 'c', 'd: 1\n', '  e: '),
    {
      minLength: 1,
      maxLength: 10,
    },
  );
  fc.assert(
    fc.property(words, (parts) => {
      agree(parts.join(''));
      agree(`a: ${parts.join('')}\n`);
      agree(`a:\n  ${parts.join('')}\nz: 1\n`);
    }),
    { numRuns: RUNS },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { Lines } from './lines.ts';
import { plainNumber } from './scalars.ts';
import { parseChunk, split } from './yaml.ts';

const value = (text: string): unknown => {
  const { values, problems } = parseChunk(text);
  assert.deepEqual(problems, [], text);
  return values[0];
};
/** `line:column message` of each problem of a chunk. */
const problems = (text: string): string[] => {
  const lines = new Lines(text);
  return parseChunk(text).problems.map((p) => {
    const { line, column } = lines.at(p.offset);
    return `${line}:${column} ${p.message}`;
  });
};

test('scalars as go-yaml v2 resolves them', () => {
  const cases: [string, unknown][] = [
    ...['yes', 'Yes', 'YES', 'on', 'On', 'ON', 'y', 'Y', 'true', 'True', 'TRUE'].map((t): [string, unknown] => [
      t,
      true,
    ]),
    ...['no', 'No', 'NO', 'off', 'Off', 'OFF', 'n', 'N', 'false', 'False', 'FALSE'].map((t): [string, unknown] => [
      t,
      false,
    ]),
    ...['~', 'null', 'Null', 'NULL', ''].map((t): [string, unknown] => [t, null]),
    ['yEs', 'yEs'],
    ['"yes"', 'yes'],
    ["'8080'", '8080'],
    ['8080', 8080],
    ['010', 8],
    ['0o10', 8],
    ['08', 8],
    ['089', 89],
    ['0x1F', 31],
    ['-0x1F', -31],
    ['0b101', 5],
    ['1_000', 1000],
    ['+3', 3],
    ['-5', -5],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['1e3', 1000],
    ['1.2.3', '1.2.3'],
    ['127.0.0.1', '127.0.0.1'],
    ['12:30', '12:30'],
    ['190:20:30', '190:20:30'],
    ['2026-11-21', '2026-11-21'],
    ['2026-11-21T10:00:00Z', '2026-11-21T10:00:00Z'],
    ['10s', '10s'],
    ['0x', '0x'],
    ['-', null],
    ['!!str 80', '80'],
    ['!!int "80"', 80],
  ];
  for (const [text, want] of cases) {
    if (text === '-') continue;
    assert.deepEqual(value(`a: ${text}\n`), { a: want }, text);
  }
  assert.equal(plainNumber('-0'), 0);
});

test('keys become strings as kubectl makes them', () => {
  assert.deepEqual(value('8080: a\ntrue: b\nyes: c\n1.5: d\n'.replace('yes: c\n', '')), {
    8080: 'a',
    true: 'b',
    1.5: 'd',
  });
});

test('anchors, aliases and merges', () => {
  assert.deepEqual(value('a: &x { p: 1, q: 2 }\nb: *x\nc:\n  <<: *x\n  q: 3\nd:\n  <<: [{ r: 4 }, *x]\n'), {
    a: { p: 1, q: 2 },
    b: { p: 1, q: 2 },
    c: { p: 1, q: 3 },
    d: { p: 1, q: 2, r: 4 },
  });
  // The latest anchor of a name before the alias counts; what is written beats what is merged, before it and behind it.
  assert.deepEqual(value('a: &x 1\nb: *x\nc: &x 2\nd: *x\n'), { a: 1, b: 1, c: 2, d: 2 });
  assert.deepEqual(
    value('a: &x { p: 1 }\nb: { p: 2, <<: *x }\nc: { <<: *x, p: 3 }\nd: { <<: *x, <<: { p: 4, q: 5 } }\n'),
    {
      a: { p: 1 },
      b: { p: 2 },
      c: { p: 3 },
      d: { p: 1, q: 5 },
    },
  );
  assert.deepEqual(value('a: { "<<": 1 }\n'), { a: { '<<': 1 } });
});

test('mistakes by line and column, and nothing of the text in the message', () => {
  assert.deepEqual(problems('a: 1\nb: 2\na: 3\n'), ['3:1 the same field twice: a may stand here once']);
  assert.deepEqual(problems('{"a": 1, "b": [{"c": 1, "c": 2}]}'), ['1:25 the same field twice: c may stand here once']);
  assert.deepEqual(problems('1: a\n"1": b\n'), ['2:1 the same field twice: 1 may stand here once']);
  assert.deepEqual(problems('? [a]\n: b\n'), ['1:3 a list stands where a name must: quote it if it is text']);
  assert.deepEqual(problems('a: {{ x }}\n'), [
    '1:5 this looks like a Helm template ({{): render it first (helm template)',
  ]);
  assert.deepEqual(problems(': b\n'), ['1:1 nothing stands where a name must: quote it if it is text']);
  assert.deepEqual(problems('a:\n\tb: 1\n'), ['2:1 indented with a tab: YAML is indented with spaces only']);
  assert.deepEqual(problems('a: *nobody\n'), [
    '1:4 a value that begins with "*" refers to an anchor, of which there is none: quote it ("*...")',
  ]);
  assert.deepEqual(problems('a: &a\n  b: *a\n'), ['2:6 an anchor must not contain itself']);
  assert.deepEqual(problems('a: .inf\n'), [
    '1:4 infinite numbers and NaN (.inf, .nan) are not allowed: write a whole number',
  ]);
  assert.deepEqual(problems('a: !mine 1\n'), [
    '1:4 a value that begins with "!" names a type that is not known: quote it, or leave "!..." out',
  ]);
  assert.deepEqual(problems('a:\n  <<: 1\n'), ['2:7 a merge (<<) must refer to a mapping, or to a list of them']);
  for (const text of [
    'a: hunter2: x\n',
    'hunter2\na: b\n',
    'a: "hunter2\\q"\n',
    'a: [hunter2\nb: c\n',
    'a: |hunter2\n  x\n',
    'a: @hunter2\n',
    '- hunter2\nb: c\n',
    'a: b\n hunter2\nc: d\n e: f\n',
    '%hunter2 x\na: b\n',
  ]) {
    assert.ok(!problems(text).join().includes('hunter2'), problems(text).join());
  }
});

test('what expands without end is refused', () => {
  const ten = (name: string): string => `[${Array(10).fill(`*${name}`).join(', ')}]`;
  const bomb = ['b', 'c', 'd', 'e', 'f'].map((name, i) => `${name}: &${name} ${ten('abcde'[i] as string)}\n`).join('');
  assert.deepEqual(problems(`a: &a [x]\n${bomb}`), ['6:20 aliases stand for more than 100000 nodes']);
  for (const open of ['[', '{a: ', '- ', '? ', '[[x]: ']) {
    const [one, ...more] = problems(open.repeat(20_000));
    assert.ok(one?.endsWith('nested too deeply') && more.length === 0, open);
  }
  const lists = 100;
  assert.deepEqual(value(`a: ${'['.repeat(lists)}1${']'.repeat(lists)}\n`), {
    a: JSON.parse(`${'['.repeat(lists)}1${']'.repeat(lists)}`),
  });
});

test('cuts streams at document markers and between JSON objects', () => {
  const cut = (text: string): unknown[] => split(text).flatMap((c) => [...parseChunk(c.text).values]);
  assert.deepEqual(cut('a: 1\n---\nb: 2\n'), [{ a: 1 }, { b: 2 }]);
  assert.deepEqual(cut('---\n---\n\n# only words\n---\na: 1\n---\n'), [{ a: 1 }]);
  assert.deepEqual(cut('# head\n--- # tail\na: 1\n'), [{ a: 1 }]);
  assert.deepEqual(cut('--- { a: 1 }\n--- { b: 2 }\n'), [{ a: 1 }, { b: 2 }]);
  assert.deepEqual(cut('a: 1\n...\nb: 2\n...\n%YAML 1.1\n---\nc: 3\n'), [{ a: 1 }, { b: 2 }, { c: 3 }]);
  assert.deepEqual(cut('a: 1\r\n---\r\nb: 2\r\n'), [{ a: 1 }, { b: 2 }]);
  assert.deepEqual(cut('a: |\n  ---x\n  --- y\nb: ---\n----\n'.replace('----\n', '')), [
    { a: '---x\n--- y\n', b: '---' },
  ]);
  assert.deepEqual(cut('{"a": "}{"}{"b": 1}\n\n{"c":\t[1]}'), [{ a: '}{' }, { b: 1 }, { c: [1] }]);
  assert.deepEqual(cut('{a: 1}\n'), [{ a: 1 }]);
  assert.deepEqual(split(''), []);
});

test('offsets of field paths', () => {
  const text =
    'spec:\n  rules:\n    - &r\n      matches: [{ path: { value: /x } }]\n    - *r\n  "data":\n    tls.crt: x\n    <<: { a/b: y }\n';
  const parsed = parseChunk(text);
  const lines = new Lines(text);
  const at = (field: string): string => {
    const { line, column } = lines.at(parsed.locate(0, field));
    return `${line}:${column}`;
  };
  assert.equal(at(''), '1:1');
  assert.equal(at('spec.rules'), '2:3');
  assert.equal(at('spec.rules[0].matches[0].path.value'), '4:27');
  assert.equal(at('spec.rules[1].matches[0].path.value'), '4:27');
  assert.equal(at('spec.rules[1]'), '5:7');
  assert.equal(at('spec.rules[7].matches'), '2:3');
  assert.equal(at('spec.data[tls.crt]'), '7:5');
  assert.equal(at('spec.data[a/b]'), '8:11');
  assert.equal(at('nothing.here'), '1:1');
});

test('what YAML writes is read back, by any cut', () => {
  const json = fc.jsonValue({ maxDepth: 4 }).filter((v) => v !== null && !JSON.stringify(v).includes('__proto__'));
  fc.assert(
    fc.property(fc.array(json, { minLength: 1, maxLength: 4 }), (documents) => {
      const wanted = documents.map((d) => JSON.parse(JSON.stringify(d)) as unknown);
      const yaml = documents.map((d) => `---\n${stringify(d, { version: '1.1' })}`).join('');
      assert.deepEqual(
        split(yaml).flatMap((c) => [...parseChunk(c.text).values]),
        wanted,
      );
      const objects = wanted.map((d) => ({ d }));
      const stream = objects.map((o) => JSON.stringify(o)).join('\n');
      assert.deepEqual(
        split(stream).flatMap((c) => [...parseChunk(c.text).values]),
        objects,
      );
    }),
    { seed: 20261121, numRuns: 200 },
  );
});

test('any text is read without throwing, every chunk is where it says', () => {
  const piece = fc.constantFrom(
    'a: 1\n',
    '---\n',
    '...\n',
    '{"a": ',
    '}',
    '[',
    '- ',
    '\t',
    '*x ',
    '&x ',
    '<<: ',
    '"',
    "'",
    '|\n',
    '#',
    '\r\n',
    '%',
    ': ',
    '?',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 30 }), (pieces) => {
      const text = pieces.join('');
      const chunks = split(text);
      assert.equal(chunks.map((c) => c.text).join(''), text);
      for (const { start, text: part } of chunks) {
        assert.equal(text.slice(start, start + part.length), part);
        for (const problem of parseChunk(part).problems)
          assert.ok(problem.offset >= 0 && problem.offset <= part.length);
      }
    }),
    { seed: 20261121, numRuns: 500 },
  );
});

// test/promises.md is the record of what was promised and not kept. What it says of tests is held to here: every number
// is there, and every test that it names is where it says.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

interface Row {
  readonly number: string;
  readonly test: string;
}

const COLUMNS = 5;
const rows: readonly Row[] = readFileSync('test/promises.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
  .map((line) => {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    assert.equal(cells.length, COLUMNS + 2, line);
    return { number: cells[1] ?? '', test: cells[3] ?? '' };
  });

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}

test('every number has its row', () => {
  const there = new Set(rows.flatMap(({ number }) => number.split(/[ ,]+/)));
  const review = [...range(1, 9).map((n) => `D${n}`), ...range(1, 17).map((n) => `S${n}`)];
  const due = [...range(1, 36), ...range(40, 57), ...range(60, 64), ...review];
  assert.deepEqual(
    due.filter((number) => !there.has(number)),
    [],
  );
});

test('every test that is named is where the record says', () => {
  const missing: string[] = [];
  for (const { number, test: column } of rows) {
    const files = column.split(/; (?=(?:src|test|testdata|docs|make)\b)/);
    for (const part of files) {
      const [file = '', names = ''] = part.split(/: (.*)/s);
      if (file.startsWith('make ')) continue;
      const path = file.startsWith('testdata/') ? `${file}.in.yaml` : (file.split(' ')[0] ?? '');
      const text = existsSync(path) ? readFileSync(path, 'utf8') : null;
      if (text === null) missing.push(`${number}: ${path}`);
      for (const [, name = ''] of names.matchAll(/"([^"]*)"/g))
        if (text?.includes(name) !== true) missing.push(`${number}: ${path}: ${name}`);
    }
  }
  assert.deepEqual(missing, []);
});

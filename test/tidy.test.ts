// The house rules as tests: import directions, the unsafe room, time and chance, file length, what must be documented.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PAGES } from '../tools/docs.ts';
import { all, functions, imports, product, read, room, root } from './tidy/source.ts';

const MAX_LINES = 600;
const MEAN_LINES = 220;
const FUNCTION_LINES = 70;

/** Which rooms a room may import, besides itself and base. Rooms not listed (main) may import everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  io: [],
  native: ['io'],
  sim: ['io'],
  stream: ['io', 'native'],
  keeper: ['io', 'ir', 'native', 'stream', 'telemetry'],
  ir: [],
  api: [],
  store: ['api'],
  source: ['api'],
  translate: ['api', 'ir', 'store'],
  publish: ['api', 'ir', 'telemetry', 'translate'],
  proxy: ['io', 'ir', 'telemetry'],
  telemetry: ['io'],
  admin: ['api', 'telemetry'],
  cli: ['api', 'source'],
};

test('TypeScript everywhere but the entry', () => {
  assert.deepEqual(
    globSync(['src/**/*.{js,mjs,cjs}', 'test/**/*.{js,mjs,cjs}', 'tools/**/*.{js,mjs,cjs}'], { cwd: root }),
    ['src/main/main.js'],
  );
});

test('rooms import only downwards', () => {
  const wrong: string[] = [];
  for (const file of product) {
    const from = room(file.path);
    const allowed = MAY_IMPORT[from];
    if (allowed === undefined) continue;
    for (const { path: to } of imports(file)) {
      if (to === null || !to.startsWith('src/')) continue;
      const other = room(to);
      if (other !== from && other !== 'base' && !allowed.includes(other)) wrong.push(`${file.path} imports ${to}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('foreign functions only in the native room', () => {
  const wrong = product.filter(
    (f) => room(f.path) !== 'native' && /from 'koffi'|node:ffi|require\('koffi'\)/.test(f.text),
  );
  assert.deepEqual(
    wrong.map((f) => f.path),
    [],
  );
});

test('packages are imported only where they belong', () => {
  const homes: Readonly<Record<string, readonly string[]>> = {
    koffi: ['native'],
    re2js: ['base', 'proxy', 'api', 'translate'],
    undici: ['source'],
    yaml: ['source'],
  };
  const wrong: string[] = [];
  for (const file of product)
    for (const { path, from } of imports(file)) {
      if (path !== null || from.startsWith('node:')) continue;
      if (!(homes[from] ?? []).includes(room(file.path))) wrong.push(`${file.path} imports ${from}`);
    }
  assert.deepEqual(wrong, []);
});

test('time and chance come in through io', () => {
  const pattern =
    /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bMath\.random\b|\bhrtime\b|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(/;
  const pure = ['proxy', 'ir', 'translate', 'telemetry', 'store', 'api', 'base', 'stream', 'keeper'];
  const wrong = product.filter(
    (f) => pure.includes(room(f.path)) && pattern.test(f.text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')),
  );
  assert.deepEqual(
    wrong.map((f) => f.path),
    [],
  );
});

test('no unfinished marks, no skipped tests', () => {
  const wrong: string[] = [];
  for (const file of [...all, ...read('test/**/*.ts'), ...read('tools/**/*.ts'), ...read('bench/**/*.ts')]) {
    if (file.path === 'test/tidy.test.ts') continue;
    const code = file.text.replace(/\/\/.*$/gm, '').replace(/\/\*[\s\S]*?\*\//g, '');
    if (/\b(TODO|FIXME|XXX)\b/.test(file.text)) wrong.push(`${file.path}: unfinished mark`);
    if (/\b(test|it|describe)\.(skip|only|todo)\b/.test(code)) wrong.push(`${file.path}: a test that does not run`);
  }
  assert.deepEqual(wrong, []);
});

test('files are small', () => {
  const long = [...all, ...read('test/**/*.ts'), ...read('tools/**/*.ts'), ...read('bench/**/*.ts')].filter(
    (f) => f.lines > MAX_LINES,
  );
  assert.deepEqual(
    long.map((f) => `${f.path}: ${f.lines} lines`),
    [],
  );
  const mean = product.reduce((sum, f) => sum + f.lines, 0) / product.length;
  assert.ok(mean <= MEAN_LINES, `mean ${mean.toFixed(0)} lines a file`);
});

test('functions are short', () => {
  const long = product.flatMap((file) =>
    functions(file)
      .filter((fn) => fn.lines > FUNCTION_LINES)
      .map((fn) => `${file.path}:${fn.line}: ${fn.name} has ${fn.lines} lines`),
  );
  assert.deepEqual(long, []);
});

test('nothing names a registry, a path of one machine, or a secret place', () => {
  const wrong: string[] = [];
  const pattern = /https?:\/\/(registry|proxy|static|files|deb)\.[a-z]|(^|[^.\w])\/(work|farm|root)\//m;
  for (const file of [
    ...read('{src,test,tools,bench,docs,examples,mk,testdata}/**/*.{ts,sh,md,yaml,yml,mk,go,mod,json}'),
    ...read('*.{md,json}'),
  ]) {
    if (file.path === 'test/tidy.test.ts') continue;
    if (pattern.test(file.text)) wrong.push(file.path);
  }
  assert.deepEqual(wrong, []);
});

test('the reference pages say what the code says', () => {
  const stale = Object.entries(PAGES).filter(([path, make]) => readFileSync(join(root, path), 'utf8') !== make());
  assert.deepEqual(
    stale.map(([path]) => `${path}: run bin/node tools/docs.ts`),
    [],
  );
});

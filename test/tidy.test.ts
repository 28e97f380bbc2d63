// The house rules as tests: import directions, the unsafe room, time and chance, file length, what must be documented.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PAGES } from '../tools/docs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const MAX_LINES = 600;
const MEAN_LINES = 220;

interface File {
  readonly path: string;
  readonly text: string;
  readonly lines: number;
}

function read(pattern: string): File[] {
  return globSync(pattern, { cwd: root })
    .filter((path) => !path.includes('node_modules'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, lines: text.split('\n').length - 1 };
    });
}

const all = read('src/**/*.ts').filter((f) => !f.path.includes('/generated/'));
const product = all.filter((f) => !f.path.endsWith('.test.ts'));

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

function room(path: string): string {
  return path.split('/')[1] as string;
}

function imports(file: File): string[] {
  return [
    ...file.text.matchAll(
      /^\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|import\('([^']+)'\)/gm,
    ),
  ].map((m) => (m[1] ?? m[2] ?? m[3]) as string);
}

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
    for (const target of imports(file)) {
      if (!target.startsWith('.')) continue;
      const to = relative(root, normalize(join(root, dirname(file.path), target)));
      if (!to.startsWith('src/')) continue;
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
    for (const target of imports(file)) {
      if (target.startsWith('.') || target.startsWith('node:')) continue;
      if (!(homes[target] ?? []).includes(room(file.path))) wrong.push(`${file.path} imports ${target}`);
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

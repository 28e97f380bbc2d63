// The house rules as tests: import directions, the unsafe room, time and chance, file length, what must be documented.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PAGES } from '../tools/docs.ts';
import { all, circles, exports, type File, functions, imports, product, read, room, root } from './tidy/source.ts';

const MAX_LINES = 600;
const MEAN_LINES = 220;
/** Files that everything passes through: each is to be read in one sitting. */
const SHORT = ['exchange.ts', 'keeper.ts', 'tcp.ts', 'server.ts'];
const SHORT_LINES = 350;
const FUNCTION_LINES = 70;
const COLUMNS = 120;

/** What exists for tests: its exports have no other user. */
const TEST_ROOMS = ['src/sim/', 'src/source/file/testing.ts'];

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
  explain: ['api', 'ir', 'proxy', 'telemetry', 'translate'],
  admin: ['api', 'explain', 'telemetry'],
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
    '@bufbuild/cel': ['api'],
    '@bufbuild/cel/ext': ['api'],
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

test('the evaluator of CEL is loaded where somebody checks files, and by no process that stays', () => {
  const loading = (what: string): string[] =>
    product.flatMap(({ path, text }) => {
      const lines = text.split('\n').filter((line) => !line.startsWith('import type '));
      return lines.some((line) => line.includes(what) && /\bimport\b/.test(line)) ? [path] : [];
    });
  assert.deepEqual(loading('@bufbuild/cel'), ['src/api/cel.ts']);
  assert.deepEqual(loading('/cel.ts'), ['src/main/file-rules.ts', 'src/api/cel.ts'].sort());
  assert.deepEqual(loading('/file-rules.ts'), ['src/main/check.ts', 'src/main/compile-cache.ts']);
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
  const tight = product.filter((f) => SHORT.some((name) => f.path.endsWith(`/${name}`)) && f.lines > SHORT_LINES);
  assert.deepEqual(
    tight.map((f) => `${f.path}: ${f.lines} lines`),
    [],
  );
  const mean = product.reduce((sum, f) => sum + f.lines, 0) / product.length;
  assert.ok(mean <= MEAN_LINES, `mean ${mean.toFixed(0)} lines a file`);
});

/**
 * What each layer of the data plane may know, besides itself and the files that lie directly in src/proxy as `common`.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  transport: [],
  route: ['common'],
  filter: ['common', 'route'],
  tls: ['common', 'transport'],
  upstream: ['common', 'exchange/sides', 'tls/dialer', 'transport'],
  exchange: ['common', 'filter', 'route', 'transport', 'upstream'],
  http1: ['common', 'exchange/answer', 'exchange/sides', 'filter', 'transport', 'upstream/connection'],
  // What HTTP/2 has of HTTP/1 is what both have of HTTP: the grammar of names and values.
  http2: [
    ...['common', 'exchange/answer', 'exchange/sides', 'filter', 'transport', 'upstream/connection'],
    ...['authority', 'fields', 'request', 'scanner', 'trailers', 'write'].map((file) => `http1/${file}`),
  ],
};

test('layers of the data plane know only those below them', () => {
  const layer = (path: string): string => path.slice('src/proxy/'.length).split('/').slice(0, -1)[0] ?? 'common';
  const wrong: string[] = [];
  for (const file of product.filter((f) => f.path.startsWith('src/proxy/'))) {
    const from = layer(file.path);
    const allowed = LAYERS[from];
    if (allowed === undefined) continue;
    for (const { path } of imports(file)) {
      if (path === null || !path.startsWith('src/proxy/')) continue;
      const to = layer(path);
      const file_ = path.slice('src/proxy/'.length, -'.ts'.length);
      if (to !== from && !allowed.includes(to) && !allowed.includes(file_)) wrong.push(`${file.path} imports ${path}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('no file is part of a circle, by values or by types', () => {
  assert.deepEqual(
    circles(product).map((group) => group.join(' <-> ')),
    [],
  );
});

test('what is exported is used by the product, or by its own file and a test', () => {
  const takenBy = (files: readonly File[]): Map<string, Set<string>> => {
    const taken = new Map<string, Set<string>>();
    const take = (path: string | null, names: readonly string[]): void => {
      if (path === null) return;
      const set = taken.get(path) ?? new Set();
      for (const name of names) set.add(name);
      taken.set(path, set);
    };
    const found = files.flatMap((file) => imports(file).map((one) => ({ ...one, by: file.path })));
    for (const { path, names, passedOn } of found) if (!passedOn) take(path, names);
    // Who passes something on takes what somebody takes from there.
    for (const { path, names, passedOn, by } of found) {
      if (passedOn)
        take(path, names.includes('*') ? [...(taken.get(by) ?? [])] : names.filter((n) => taken.get(by)?.has(n)));
    }
    return taken;
  };
  const byProduct = takenBy([...product, ...read('{tools,bench}/**/*.ts'), ...read('src/main/main.js')]);
  const byTests = takenBy([...all.filter((f) => f.path.endsWith('.test.ts')), ...read('test/**/*.ts')]);
  const has = (taken: Map<string, Set<string>>, path: string, name: string): boolean =>
    taken.get(path)?.has(name) === true || taken.get(path)?.has('*') === true;
  const dead: string[] = [];
  for (const file of product.filter((f) => !TEST_ROOMS.some((path) => f.path.startsWith(path)))) {
    for (const name of exports(file)) {
      if (has(byProduct, file.path, name)) continue;
      const isType = new RegExp(`^export (?:interface|type) ${name}\\b`, 'm').test(file.text);
      const uses = [...file.text.matchAll(new RegExp(`\\b${name}\\b`, 'g'))].length;
      if (uses > 1 && (isType || has(byTests, file.path, name))) continue;
      dead.push(`${file.path}: ${name}`);
    }
  }
  assert.deepEqual(dead, []);
});

test('functions are short', () => {
  const long = product.flatMap((file) =>
    functions(file)
      .filter((fn) => fn.lines > FUNCTION_LINES)
      .map((fn) => `${file.path}:${fn.line}: ${fn.name} has ${fn.lines} lines`),
  );
  assert.deepEqual(long, []);
});

test('comments and pages are no wider than code', () => {
  const wide: string[] = [];
  const look = (file: File, mayBeWide: (line: string) => boolean): void => {
    for (const [i, line] of file.text.split('\n').entries())
      if (!mayBeWide(line) && [...line].length > COLUMNS) wide.push(`${file.path}:${i + 1}`);
  };
  const isComment = (line: string): boolean => /^\s*(\/\/|\*|\/\*)/.test(line);
  for (const file of [...all, ...read('{test,tools,bench}/**/*.ts')]) look(file, (line) => !isComment(line));
  for (const file of [...read('{docs,test,bench,examples}/**/*.md'), ...read('*.md')]) {
    let fenced = false;
    // A table's row is one line, and what stands in a fence is shown as it is.
    look(file, (line) => {
      if (line.startsWith('```')) fenced = !fenced;
      return fenced || line.startsWith('|') || line.startsWith('    ');
    });
  }
  assert.deepEqual(wide, []);
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

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { check } from './check.ts';

function folder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'rauta-check-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: app }
spec:
  rules:
    - matches:
        - path: { type: PathPrefix, value: app }
          method: GET
`;
const GOOD = ROUTE.replace('value: app', 'value: /app');

test('good files: exit 0 and a summary', async (t) => {
  const dir = folder(t, { 'a.yaml': GOOD });
  assert.deepEqual(await check([dir]), {
    exitCode: 0,
    lines: ['1 file, 1 object: 0 errors, 0 warnings'],
    report: { files: 1, objects: 1, errors: 0, warnings: 0, problems: [] },
  });
});

test('problems by file, line and column: exit 1', async (t) => {
  const dir = folder(t, {
    'b.yaml': 'kind: [\n',
    'a.yaml': `${GOOD}---\n${ROUTE.replace('name: app', 'name: b')}`,
    'c.yaml': GOOD,
  });
  const { exitCode, lines } = await check([dir]);
  assert.equal(exitCode, 1);
  assert.deepEqual(
    lines.map((l) => l.replaceAll(`${dir}/`, '')),
    [
      'a.yaml:16:37: error: HTTPRoute default/b: spec.rules[0].matches[0].path.value: must be a path that begins with \'/\', not "app": write /app',
      'b.yaml:1:7: error: "[" is opened here and not closed: write "]" behind its last entry',
      'c.yaml:1:1: error: HTTPRoute default/app: already defined in a.yaml:1:1, ignored here: each may stand once',
      '3 files, 1 object: 3 errors, 0 warnings',
    ],
  );
});

test('warnings are printed and do not fail', async (t) => {
  const dir = folder(t, { 'a.yaml': `${GOOD}  hostnmaes: []\n` });
  const { exitCode, lines } = await check([join(dir, 'a.yaml')], { lenient: true });
  assert.equal(exitCode, 0);
  assert.deepEqual(lines, [
    `${dir}/a.yaml:9:3: warning: HTTPRoute default/app: spec.hostnmaes: unknown field; did you mean hostnames? (ignored)`,
    '1 file, 1 object: 0 errors, 1 warning',
  ]);
  const strict = await check([join(dir, 'a.yaml')]);
  assert.equal(strict.exitCode, 1);
  assert.deepEqual(strict.lines, [
    `${dir}/a.yaml:9:3: error: HTTPRoute default/app: spec.hostnmaes: unknown field; did you mean hostnames?`,
    '1 file, 0 objects: 1 error, 0 warnings',
  ]);
});

test('objects of others are one warning', async (t) => {
  const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name} }\n---\n`;
  const app = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\n';
  const dir = folder(t, { 'a.yaml': GOOD, 'b.yaml': pod('a') + pod('b'), 'c.yaml': app });
  assert.deepEqual((await check([dir])).lines, [
    'warning: not read here, ignored: Pod of v1 (2), Deployment of apps/v1',
    '3 files, 1 object: 0 errors, 1 warning',
  ]);
  assert.deepEqual((await check([join(dir, 'a.yaml'), join(dir, 'c.yaml')])).lines, [
    `${dir}/c.yaml:1:1: warning: not read here, ignored: Deployment of apps/v1`,
    '2 files, 1 object: 0 errors, 1 warning',
  ]);
});

test("the translator's complaints get the place of their field", async (t) => {
  const dir = folder(t, { 'a.yaml': GOOD });
  const { exitCode, lines } = await check([dir], {
    translate: (objects) => [
      {
        severity: 'error',
        message: 'no such Gateway',
        place: { object: 'HTTPRoute/default/app', field: 'spec.rules[0].matches[0].method' },
      },
      { severity: 'warning', message: `${objects.length} object`, place: {} },
      { severity: 'warning', message: 'from nowhere \u001b[31m', place: { object: 'Gateway/default/gw' } },
    ],
  });
  assert.equal(exitCode, 1);
  assert.deepEqual(lines, [
    'warning: 1 object',
    'warning: Gateway default/gw: from nowhere \\x1b[31m',
    `${dir}/a.yaml:8:11: error: HTTPRoute default/app: spec.rules[0].matches[0].method: no such Gateway`,
    '1 file, 1 object: 1 error, 2 warnings',
  ]);
});

test('what stands in no file has the name it is given', async (t) => {
  const bad = ROUTE.replace('name: app', 'name: b');
  const { exitCode, lines, report } = await check([folder(t, { 'a.yaml': GOOD })], {
    given: new Map([['<stdin>', Buffer.from(bad)]]),
  });
  assert.equal(exitCode, 1);
  assert.match(lines[0] ?? '', /^<stdin>:7:37: error: HTTPRoute default\/b: spec\.rules\[0\]/);
  assert.equal(lines[1], '2 files, 1 object: 1 error, 0 warnings');
  const { message, ...place } = report.problems[0] ?? { message: '' };
  assert.match(message, /^must be a path that begins/);
  assert.deepEqual(
    { ...report, problems: [place] },
    {
      files: 2,
      objects: 1,
      errors: 1,
      warnings: 0,
      problems: [
        {
          severity: 'error',
          effect: 'is not served',
          file: '<stdin>',
          line: 7,
          column: 37,
          object: 'HTTPRoute/default/b',
          field: 'spec.rules[0].matches[0].path.value',
        },
      ],
    },
  );
  assert.equal(
    (await check([], { given: new Map([['<stdin>', Buffer.from('')]]) })).lines[0],
    '1 file, 0 objects: 0 errors, 0 warnings',
  );
});

test('what cannot be read is 3', async (t) => {
  const dir = folder(t, {});
  const { exitCode, lines } = await check([join(dir, 'no')]);
  assert.equal(exitCode, 3);
  assert.deepEqual(lines, [`${dir}/no: error: no such file or folder`]);
  mkdirSync(join(dir, 'empty'));
  const empty = await check([join(dir, 'empty')]);
  assert.equal(empty.exitCode, 3);
  assert.match(empty.lines[0] ?? '', /no \*\.yaml, \*\.yml or \*\.json in/);
});

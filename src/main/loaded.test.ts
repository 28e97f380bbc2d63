import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { versionInfo } from './version.ts';

const PROGRAM = fileURLToPath(new URL('../..', import.meta.url));

/** Modules of Node that `role` loads before it does anything. */
function loadedBy(role: string): string[] {
  const module = JSON.stringify(new URL(`./${role}.ts`, import.meta.url).href);
  const code = `await import(${module}); console.log(JSON.stringify(process.moduleLoadList));`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', code];
  const list = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as string[];
  return list.flatMap((name) => /^NativeModule (.*)/.exec(name)?.[1] ?? []);
}

test('no process loads a client for the web, or what only another one needs: each start and each worker pays', () => {
  const dear = ['internal/deps/undici/undici', 'http', 'http2', 'tls', 'zlib', 'child_process'];
  const found = Object.fromEntries(
    ['worker', 'controller', 'keeper'].map((role) => [role, loadedBy(role).filter((name) => dear.includes(name))]),
  );
  assert.deepEqual(found, { worker: [], controller: [], keeper: ['child_process'] });
});

/** Our own modules that are loaded for `modules` of this room, by room and name. */
function oursLoadedBy(modules: readonly string[]): string[] {
  const urls = JSON.stringify(modules.map((name) => new URL(`./${name}.ts`, import.meta.url).href));
  const code = `
    const { registerHooks } = await import('node:module');
    const seen = [];
    registerHooks({ load(url, context, next) { seen.push(url); return next(url, context); } });
    for (const url of ${urls}) await import(url);
    console.log(JSON.stringify(seen));
    process.exit();`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', code];
  const list = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as string[];
  const sources = new URL('../', import.meta.url).href;
  return list.filter((url) => url.startsWith(sources)).map((url) => url.slice(sources.length));
}

test("no worker loads what users' command lines need, and neither it nor the keeper schemas of objects", () => {
  const words = /^cli\/|^main\/(?:run\.|commands|options|flag)/;
  const schemas = /^api\/generated\/|^api\/schema/;
  const worker = oursLoadedBy(['run-child', 'privileges', 'worker']);
  assert.ok(worker.includes('proxy/engine.ts'));
  assert.deepEqual(
    worker.filter((name) => words.test(name) || schemas.test(name)),
    [],
  );
  const keeper = oursLoadedBy(['run', 'logger', 'privileges', 'keeper']);
  assert.ok(keeper.includes('keeper/keeper.ts'));
  assert.deepEqual(
    keeper.filter((name) => schemas.test(name)),
    [],
  );
});

test('modules are found by their names wherever the program lies', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-test-'));
  try {
    const program = join(folder, 'a b#c%25d?ä..', 'src.ts');
    cpSync(join(PROGRAM, 'src'), join(program, 'src'), { recursive: true });
    cpSync(join(PROGRAM, 'package.json'), join(program, 'package.json'));
    symlinkSync(join(PROGRAM, 'node_modules'), join(program, 'node_modules'));
    // By way of a link, too, whose own place is nobody's matter.
    symlinkSync(join(program, 'src/main'), join(folder, 'link'));
    for (const main of [join(program, 'src/main/main.js'), join(folder, 'link/main.js')]) {
      const env = { RAUTA_COMPILE_CACHE: join(folder, 'compiled') };
      const args = ['--disable-warning=ExperimentalWarning', main];
      const said = execFileSync(process.execPath, [...args, 'version'], { encoding: 'utf8', env });
      assert.equal(said, `rauta ${versionInfo().version}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

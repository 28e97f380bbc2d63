import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

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

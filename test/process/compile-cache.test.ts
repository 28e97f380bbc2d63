import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { backend, backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';

const MAIN = fileURLToPath(new URL('../../src/main/main.js', import.meta.url));

function folder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'rauta-compiled-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test('with a filled cache no role erases types by itself: typed arrays stay free of checks for detached buffers', () => {
  using cache = folder();
  const load = (): string =>
    execFileSync(process.execPath, ['--trace-protector-invalidation', MAIN, '__child', 'compile'], {
      env: { RAUTA_COMPILE_CACHE: cache.path },
      encoding: 'utf8',
    });
  assert.match(load(), /ArrayBufferDetaching/, 'the check sees what it looks for');
  assert.doesNotMatch(load(), /ArrayBufferDetaching/);
});

test('the first start fills the cache, later ones find it', async () => {
  using cache = folder();
  const [port, one] = [await freePort(), await backend('one')];
  const files = { 'a.yaml': gateway(port) + backendYaml('one', one.port) + routeYaml('app', '/', 'one') };
  const filled = (): string[] =>
    (readdirSync(cache.path, { recursive: true }) as string[]).filter((n) => /filled-/.test(n));
  for (let start = 0; start < 2; start++) {
    const before = filled();
    const rauta = await Rauta.start(files, [], { RAUTA_COMPILE_CACHE: cache.path });
    assert.equal((await get(port, '/')).status, 200);
    assert.equal(filled().length, 1);
    if (start > 0) assert.deepEqual(filled(), before);
    assert.ok(!rauta.log.some((line) => line.level === 'warn'), JSON.stringify(rauta.log));
    await rauta.stop();
  }
  one.server.close();
});

test('on the first start of all only the process that fills the cache erases types', async () => {
  using cache = folder();
  using config = folder();
  const [port, admin] = [await freePort(), await freePort()];
  writeFileSync(join(config.path, 'a.yaml'), gateway(port));
  const child = spawn(
    process.execPath,
    ['--trace-protector-invalidation', MAIN, 'serve', '--config', config.path, '--workers', '1'].concat(
      ...['--listen', '127.0.0.1', '--admin', `127.0.0.1:${admin}`, '--access-log', 'off'],
    ),
    { env: { RAUTA_COMPILE_CACHE: cache.path }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  // The keeper's, and the controller's, which has the same.
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    said += part;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await until(
    () => get(admin, '/readyz').catch(() => ({ status: 0, body: '', headers: {} })),
    ({ status }) => status === 200,
    30_000,
  );
  child.kill('SIGTERM');
  await ended;
  assert.doesNotMatch(said, /ArrayBufferDetaching/);
});

test('a cache that cannot be written is a warning, and everything serves', async () => {
  const [port, one] = [await freePort(), await backend('one')];
  const files = { 'a.yaml': gateway(port) + backendYaml('one', one.port) + routeYaml('app', '/', 'one') };
  // A path below a file cannot be made into a folder by anybody, root included.
  const rauta = await Rauta.start(files, [], { RAUTA_COMPILE_CACHE: join(MAIN, 'below') });
  assert.ok(rauta.log.some((line) => line.level === 'warn' && /cached/.test(line.message)));
  assert.equal((await get(port, '/')).status, 200);
  await rauta.stop();
  one.server.close();
});

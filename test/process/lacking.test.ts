// Machines that lack something: a file system that can be written, /proc, /dev, /etc. Each in a mount namespace of its
// own, which only root can make.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const able =
  process.geteuid?.() === 0 && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const skip = able ? false : 'no mount namespaces of our own';

/** Runs `rauta serve` behind `before`, a few commands of the shell; ends it when its admin server is there. */
async function serve(
  before: string,
  env: Readonly<Record<string, string>> = {},
  [namespace, more]: readonly [string, string] = ['-m', ''],
): Promise<{ readonly status: number | null; readonly said: string }> {
  const config = mkdtempSync(join(tmpdir(), 'rauta-lacking-'));
  const run = `exec bin/rauta serve --config '${config}' --workers 1 --admin 127.0.0.1:0 --log-format json ${more}`;
  const child = spawn('unshare', [namespace, 'sh', '-c', `${before}; ${run}`], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said += part;
    if (said.includes('"admin server"')) child.kill('SIGTERM');
  });
  const [status] = (await once(child, 'close')) as [number | null];
  rmSync(config, { recursive: true });
  return { status, said };
}

const LACKS: Readonly<Record<string, readonly [string, RegExp]>> = {
  'no /proc': ['mount -t tmpfs none /proc', /^rauta: \/proc has to be mounted: .*\n$/],
  'no /dev': ['mount -t tmpfs none /dev', /rauta: \/dev\/null has to be there: .*\n$/],
  'no /etc/passwd': ['mount -t tmpfs none /etc', /^rauta: --user nobody: \/etc\/passwd .* write --user 65534\n$/],
  'no packages': [
    'mount -t tmpfs none node_modules/@koromix',
    /^rauta: the FFI library is not installed: .*make deps.*\n$/,
  ],
};
for (const [name, [before, message]] of Object.entries(LACKS)) {
  test(`${name}: a sentence and exit code 3`, { skip }, async () => {
    const { status, said } = await serve(before);
    assert.match(said, message);
    assert.equal(status, 3);
  });
}

test('compiled code of other sources that cannot be replaced: it is kept in a folder of our own', {
  skip,
}, async () => {
  const temporary = mkdtempSync(join(tmpdir(), 'rauta-lacking-'));
  const folder = `v${process.versions.node}-${process.arch}-0`;
  const stale = `mkdir -p .cache/compile && mount -t tmpfs none .cache/compile && mkdir .cache/compile/${folder}`;
  const { said } = await serve(`${stale}; mount -o remount,ro .cache/compile`, { TMPDIR: temporary });
  assert.doesNotMatch(said, /Error|not cached/);
  assert.match(said, /admin server/);
  const filled = readdirSync(temporary, { recursive: true, encoding: 'utf8' });
  assert.ok(filled.some((path) => /rauta-compile-0\/.*\/filled-/.test(path)));
  rmSync(temporary, { recursive: true });
});

const namespaces = spawnSync('unshare', ['-Ur', 'true']).status === 0 ? false : 'no user namespaces of our own';
test('a user namespace that has root alone: --user root serves, and whoever it is to become is told of that', {
  skip: namespaces,
}, async () => {
  const { status, said } = await serve('true', {}, ['-Ur', '']);
  assert.match(said, /cannot become user nobody: .*this user namespace knows nobody else; write --user root/);
  assert.equal(status, 3);
  const root = await serve('true', {}, ['-Ur', '--user root']);
  assert.match(root.said, /"admin server"/);
  assert.equal(root.status, 0);
});

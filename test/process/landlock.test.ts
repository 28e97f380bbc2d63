// What a worker may still open: a program that begins as one does (the same openings, taken before it execs itself)
// tries what an attacker in a worker would.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { landlockVersion } from '../../src/native/index.ts';
import { childrenOf, freePort, get, Rauta } from './support.ts';

const CONFINED = fileURLToPath(new URL('./confined.ts', import.meta.url));
const skip = landlockVersion() === 0 ? 'this kernel has no Landlock' : false;

/** What becomes of each attempt: `open`, or the name of the error. */
function attempts(wanted: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', CONFINED, JSON.stringify(wanted)],
    { env: {}, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe', 'ignore'], timeout: 60_000 },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test('a worker opens no token, key, configuration or memory of others, by whatever name', { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-landlock-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const token = join(folder, 'token');
  writeFileSync(token, 'secret');
  chmodSync(folder, 0o755);
  const { pid } = process;
  const denied = {
    read: [
      ...[token, `/proc/${pid}/root${token}`, `/proc/self/root${token}`, `/proc/${pid}/cwd/package.json`],
      ...[`/proc/${pid}/environ`, `/proc/${pid}/mem`, `/proc/${pid}/fd/0`, '/etc/hostname', '/etc/shadow'],
      fileURLToPath(new URL('../../README.md', import.meta.url)),
    ],
    list: ['/', folder, '/etc', '/tmp', `/proc/${pid}/root`, '/proc/self/root'],
    write: [join(folder, 'new'), token, '/dev/shm/rauta-landlock', '/proc/self/oom_score_adj'],
    rename: [token],
    run: ['/bin/sh'],
    signal: [String(pid)],
  };
  const told = attempts(denied);
  for (const [how, paths] of Object.entries(denied)) {
    for (const path of paths) {
      const what = told[`${how} ${path}`] ?? '';
      assert.match(what, /^(EACCES|EPERM|EXDEV)$/, `${how} ${path}: ${what}`);
    }
  }
  assert.equal(readFileSync(token, 'utf8'), 'secret');
});

test('a worker opens what it needs: the program, its libraries, what Node asks of the system; backends by socket', {
  skip,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-landlock-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'backend');
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  const allowed = {
    read: [fileURLToPath(new URL('../../src/main/worker.ts', import.meta.url)), '/proc/self/status', '/etc/passwd'],
    connect: [path],
  };
  for (const [what, how] of Object.entries(attempts(allowed))) assert.equal(how, 'open', what);
});

test('workers run so, the spare too, and say nothing of it', { skip }, async (t) => {
  const port = await freePort();
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gw }
spec: { gatewayClassName: rauta, listeners: [{ name: http, port: ${port}, protocol: HTTP }] }
`;
  const rauta = await Rauta.start({ 'gateway.yaml': gateway });
  t.after(() => rauta.stop());
  const workers = childrenOf(rauta.process.pid as number).filter(({ command }) => command.includes(' worker'));
  assert.ok(workers.length > 0);
  for (const { command } of workers) assert.match(command, / worker again ?$/);
  assert.equal((await get(port, '/')).status, 404);
  assert.doesNotMatch(rauta.text(), /Landlock/);
});

// Signals in every phase of the program, from its first moment on.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { kubeconfig } from '../kubernetes/site.ts';
import { askOnce, backend, backendYaml, childrenOf, freePort, gateway, Rauta, READY_MS, routeYaml } from './support.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const able = process.geteuid?.() === 0 && spawnSync('unshare', ['-p', '-f', '--mount-proc', 'true']).status === 0;

/** Waits until the process `pid` catches `signal`: since the last time, or at all. */
async function catches(pid: () => number, signal: NodeJS.Signals): Promise<void> {
  const bit = BigInt((constants.signals[signal] as number) - 1);
  for (const end = performance.now() + READY_MS; performance.now() < end; await new Promise(setImmediate)) {
    try {
      const caught = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid()}/status`, 'latin1'))?.[1];
      if (((BigInt(`0x${caught}`) >> bit) & 1n) === 1n) return;
    } catch {
      // Not yet there.
    }
  }
  throw new Error(`does not catch ${signal}`);
}

/** The program as the first process of a container, which the kernel guards from what it does not handle. */
function first(config: string): ChildProcess {
  const flags = ['serve', '--config', config, '--workers', '1', '--admin', '127.0.0.1:0'];
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', join(ROOT, 'src/main/main.js')];
  return spawn('unshare', ['-p', '-f', '--mount-proc', '--kill-child', ...node, ...flags], { stdio: 'ignore' });
}

test('the first process of a container ends when it is told to, however early', {
  skip: able ? false : 'no pid namespaces of our own',
}, async () => {
  const config = mkdtempSync(join(tmpdir(), 'rauta-first-'));
  // Node catches the first two before it runs a line of script, we the last one from the first line on.
  for (const [signal, by] of [
    ['SIGTERM', 'SIGTERM'],
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGUSR2'],
    ['SIGQUIT', 'SIGUSR2'],
  ] as const) {
    const outer = first(config);
    const inner = (): number => childrenOf(outer.pid as number)[0]?.pid ?? 0;
    await catches(inner, by);
    process.kill(inner(), signal);
    const late = setTimeout(() => outer.kill('SIGKILL'), READY_MS);
    assert.deepEqual(await once(outer, 'exit'), [0, null], `${signal} once it catches ${by}`);
    clearTimeout(late);
  }
  rmSync(config, { recursive: true });
});

test('signals that come while it starts count once it can act on them, and end nobody', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = Rauta.spawn({ 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) });
  await catches(() => rauta.process.pid as number, 'SIGUSR2');
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) rauta.process.kill(signal);
  assert.equal((await rauta.said('no file to open anew'))['flag'], '--access-log -');
  assert.equal((await rauta.said('this signal asks for nothing'))['signal'], 'SIGUSR2');
  await rauta.said('serving');
  // Children, too: to drain is not theirs to decide.
  for (const { pid } of childrenOf(rauta.process.pid as number))
    for (const signal of ['SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.kill(pid, signal);
  assert.equal(await askOnce(port, '/x'), '200');
  rauta.process.kill('SIGQUIT');
  assert.equal((await rauta.said('draining'))['signal'], 'SIGQUIT');
  assert.equal(await rauta.exited, 0);
  assert.ok(
    rauta.log.every(({ message }) => !/died/.test(message)),
    rauta.text(),
  );
  await rauta.stop();
});

test('two signals at once stop it in order, as one does', async () => {
  const port = await freePort();
  const app = await backend('app', (_, response) => setTimeout(() => response.end('late'), 500));
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const asked = once(app.server, 'request');
  const answer = askOnce(port, '/x');
  await asked;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) rauta.process.kill(signal);
  assert.equal(await answer, '200');
  assert.equal(await rauta.exited, 0);
  assert.ok(
    rauta.log.every(({ message }) => message !== 'stopping at once'),
    rauta.text(),
  );
  await rauta.stop();
});

test('--detach: a program that is told to stop before it serves is no success', async (t) => {
  const nobody = `http://127.0.0.1:${await freePort()}`;
  const flags = ['--detach', '--kubernetes', '--kubeconfig', kubeconfig(t, nobody)];
  const starter = Rauta.spawn({}, flags);
  await starter.said('admin server');
  starter.process.kill('SIGTERM');
  assert.equal((await starter.said('draining'))['signal'], 'SIGTERM');
  assert.equal(await starter.exited, 3);
  await starter.stop();
});

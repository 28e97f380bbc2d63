// One program on its ports: a second one is refused by name, what a dead one left behind goes, too few descriptors are
// said.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import {
  type Answer,
  backend,
  backendYaml,
  childrenOf,
  freePort,
  gateway,
  get,
  Rauta,
  routeYaml,
  until,
} from './support.ts';

const IS_ROOT = process.getuid?.() === 0;

async function files(port: number): Promise<Record<string, string>> {
  const app = await backend('app');
  return { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) };
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function when(is: () => boolean): Promise<void> {
  await until(
    async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { status: is() ? 1 : 0, body: '', headers: {} };
    },
    (a) => a.status === 1,
  );
}

test('a second program on the same ports is refused, and told who is there', async () => {
  const port = await freePort();
  const config = await files(port);
  const first = await Rauta.start(config);
  for (const listen of ['127.0.0.1', '0.0.0.0']) {
    const second = Rauta.spawn(config, ['--listen', listen]);
    const said = await second.said('cannot listen');
    assert.equal(said['reason'], `EADDRINUSE: another rauta, pid ${first.process.pid} listens there`);
    assert.equal(await second.exited, 3);
    await second.stop();
  }
  for (let i = 0; i < 10; i++) assert.equal((await get(port, '/')).status, 200);
  assert.equal(await first.stop(), 0);
});

test('a stopped worker whose keeper was killed leaves its socket to the next program', async () => {
  const port = await freePort();
  const config = await files(port);
  const first = await Rauta.start(config, ['--workers', '2']);
  const pids = childrenOf(first.process.pid as number).map((c) => c.pid);
  const [stopped] = await first.workers();
  process.kill((stopped as { pid: number }).pid, 'SIGSTOP');
  first.process.kill('SIGKILL');
  await first.exited;
  await when(() => !pids.some(isAlive));
  const next = await Rauta.start(config);
  for (let i = 0; i < 20; i++) assert.equal((await get(port, '/')).status, 200);
  await first.stop();
  assert.equal(await next.stop(), 0);
});

test('a stopped worker answers what it has in hand before it follows its keeper', async () => {
  const port = await freePort();
  let release: () => void = () => {};
  const app = await backend('app', (_request, response) => {
    release = (): void => void response.end('done');
  });
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const answer: Promise<Answer> = get(port, '/slow');
  await until(
    async () => ({ status: await rauta.metric('rauta_requests_active'), body: '', headers: {} }),
    (a) => a.status === 1,
  );
  const [worker] = await rauta.workers();
  process.kill((worker as { pid: number }).pid, 'SIGSTOP');
  rauta.process.kill('SIGKILL');
  await rauta.exited;
  release();
  assert.equal((await answer).body, 'done');
  await when(() => !isAlive((worker as { pid: number }).pid));
  await rauta.stop();
});

test('a keeper without a descriptor left starts nobody, and nobody dies of it', async () => {
  const port = await freePort();
  const rauta = await Rauta.start(await files(port));
  const limit = (files: string): void => {
    const done = spawnSync('prlimit', ['--pid', String(rauta.process.pid), `--nofile=${files}:`]);
    assert.equal(done.status, 0, String(done.stderr));
  };
  limit('8');
  // The spare is due a second after the start, and cannot be started.
  const said = await rauta.said('cannot start a spare worker');
  assert.match(String(said['reason']), /EMFILE/);
  for (const child of childrenOf(rauta.process.pid as number)) process.kill(child.pid, 'SIGKILL');
  assert.match(String((await rauta.said('cannot start a worker'))['reason']), /EMFILE/);
  await rauta.said('cannot start the controller');
  limit('1024');
  const { answer } = await until(
    () => get(port, '/').catch(() => ({ status: 0, body: '', headers: {} })),
    (a) => a.status === 200,
    30_000,
  );
  assert.equal(answer.status, 200);
  assert.equal(await rauta.stop(), 0);
});

test('a worker that has as many clients as it may says so in the log: those that wait have no line anywhere', async (t) => {
  const port = await freePort();
  const rauta = await Rauta.start(await files(port), [], {}, 96);
  const held = Array.from({ length: 96 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(() => held.forEach((socket) => void socket.destroy()));
  const said = await rauta.said((line) => line['limit'] === 'DOWNSTREAM_CONNECTIONS');
  assert.deepEqual([said.level, said['worker']], ['warn', 0]);
  assert.match(said.message, /^as many connections of clients as may be/);
  assert.ok((said['connections'] as number) < 48);
  for (const socket of held) socket.destroy();
  assert.equal((await get(port, '/')).status, 200);
  assert.equal(await rauta.stop(), 0);
});

test('too few descriptors for the workers that are asked for are a sentence and exit code 3', async () => {
  const rauta = Rauta.spawn({ 'a.yaml': gateway(await freePort()) }, ['--workers', '4'], {}, 40);
  const said = await rauta.said((line) => line.message.includes('open files'));
  assert.match(
    said.message,
    /^rauta: 40 open files are too few for 4 workers, which need \d+ at the least \(ulimit -n\)$/,
  );
  assert.equal(await rauta.exited, 3);
  await rauta.stop();
});

test('a user that cannot be is exit code 3 with the reason', {
  skip: IS_ROOT ? false : 'only root changes the user',
}, async () => {
  for (const user of ['4294967295', 'nobdy']) {
    const rauta = Rauta.spawn(await files(await freePort()), ['--user', user]);
    await rauta.said((line) => line.message.includes(`--user ${user}: is `));
    assert.equal(await rauta.exited, 3);
    await rauta.stop();
  }
});

test('a socket that another user planted at --takeover is refused by root', {
  skip: IS_ROOT ? false : 'only root is another user',
}, async () => {
  const port = await freePort();
  const elsewhere = Rauta.spawn({});
  await elsewhere.exited;
  const path = `${elsewhere.folder}/socket`;
  spawnSync('chmod', ['777', elsewhere.folder]);
  const plant = spawn(
    process.execPath,
    [
      '-e',
      `process.setuid(65534); require('node:net').createServer().listen({ path: ${JSON.stringify(path)} }, () => console.log('x'))`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await new Promise((resolve) => plant.stdout.once('data', resolve));
  const rauta = Rauta.spawn(await files(port), ['--takeover', path]);
  const said = await rauta.said((line) => line.message.includes('--takeover'));
  assert.match(said.message, /belongs to user 65534/);
  assert.equal(await rauta.exited, 3);
  plant.kill('SIGKILL');
  await rauta.stop();
  await elsewhere.stop();
});

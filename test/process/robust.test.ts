// Workers that stand still or die at once, and what a user finds out about it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import {
  type Answer,
  askOnce,
  backend,
  backendYaml,
  freePort,
  gateway,
  get,
  Rauta,
  routeYaml,
  until,
} from './support.ts';

const REVISIONS = 30;

async function number(ask: Promise<number>): Promise<Answer> {
  return { status: await ask, body: '', headers: {} };
}

test('a worker that stood still for a moment gets everything it missed and holds nobody back', async () => {
  const port = await freePort();
  const app = await backend('app');
  const base = gateway(port) + backendYaml('app', app.port);
  const rauta = await Rauta.start({ 'a.yaml': base, 'route.yaml': routeYaml('r0', '/r0', 'app') }, ['--workers', '2']);
  const [still, other] = await rauta.workers();
  const pid = (still as { pid: number }).pid;
  process.kill(pid, 'SIGSTOP');
  const stopped = performance.now();
  for (let i = 1; i <= REVISIONS; i++) {
    const before = await rauta.metric('rauta_config_revision');
    rauta.write('route.yaml', routeYaml(`r${i}`, `/r${i}`, 'app'));
    await until(
      () => number(rauta.metric('rauta_config_revision')),
      (a) => a.status > before,
    );
  }
  const newest = await rauta.metric('rauta_config_revision');
  await until(
    async () => number(Promise.resolve((await rauta.workers()).find((w) => w.pid === other?.pid)?.revision ?? 0)),
    (a) => a.status === newest,
  );
  assert.ok((await rauta.metric('rauta_config_revision_acked')) < newest, 'not before every worker serves it');
  try {
    process.kill(pid, 'SIGCONT');
  } catch (error) {
    // Killed, and gone (see below).
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
  }
  const stood = performance.now() - stopped;
  await until(
    () => number(rauta.metric('rauta_config_revision_acked')),
    (a) => a.status === newest,
  );
  // On a machine that is slow beyond measure it was killed instead, which is as right.
  const replaced = (await rauta.workers()).every((w) => w.pid !== pid);
  assert.ok(!replaced || stood > LIMITS.HEARTBEAT_STALL_MS, `replaced after ${stood} ms`);
  for (let i = 0; i < 20; i++) assert.equal((await get(port, `/r${REVISIONS}`)).status, 200);
  for (let i = 0; i < 20; i++) assert.equal((await get(port, `/r${REVISIONS - 1}/`)).status, 404);
  assert.equal(await rauta.stop(), 0);
});

test('workers that keep dying are a storm: log, metric, readiness; and they are held back', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--workers', '2'],
  );
  const [kept] = await rauta.workers();
  const waits: number[] = [];
  const killed = new Set([0]);
  for (let death = 0; death < LIMITS.STORM_DEATHS; death++) {
    let pid = 0;
    await until(
      async () => {
        const worker = (await rauta.workers())[1] as { pid: number; state: string };
        pid = worker.pid;
        return number(Promise.resolve(killed.has(pid) ? 0 : 1));
      },
      (a) => a.status === 1,
    );
    killed.add(pid);
    process.kill(pid, 'SIGKILL');
    const died = await rauta.said((line) => line.message === 'worker died' && line['pid'] === pid);
    waits.push(died['restart_in_ms'] as number);
  }
  assert.deepEqual(waits, [0, 100, 200, 400, 800]);
  const said = await rauta.said('workers keep dying');
  assert.equal(said['worker'], 1);
  const { answer } = await until(
    async () => (await rauta.ask('/readyz')) as Answer,
    (a) => a.status === 503,
  );
  assert.match(answer.body, /workers keep dying/);
  assert.equal(await rauta.metric('rauta_worker_restart_storm'), 1);
  assert.equal((await rauta.workers())[0]?.pid, kept?.pid, 'the other one never noticed');
  assert.equal(await rauta.stop(), 0);
});

test('a revision that comes while it drains opens no door again', async () => {
  const port = await freePort();
  let release: () => void = () => {};
  const app = await backend('app', (request, response) => {
    if (request.url === '/slow') release = (): void => void response.end('done');
    else response.end();
  });
  const yaml = (path: string): string => gateway(port) + routeYaml('app', path, 'app') + backendYaml('app', app.port);
  const rauta = await Rauta.start({ 'a.yaml': yaml('/') });
  const slow = get(port, '/slow');
  await until(
    () => number(rauta.metric('rauta_requests_active')),
    (a) => a.status === 1,
  );
  const revision = await rauta.metric('rauta_config_revision');
  rauta.process.kill('SIGTERM');
  const refused = (): Promise<Answer> =>
    askOnce(port, '/x').then((end) => ({ status: end === 'never: ECONNREFUSED' ? 1 : 0, body: end, headers: {} }));
  await until(refused, (a) => a.status === 1);
  rauta.write('a.yaml', yaml('/slow').replace('name: http,', 'name: http2,'));
  await until(
    () => number(rauta.metric('rauta_config_revision_acked')),
    (a) => a.status > revision,
  );
  assert.equal((await refused()).body, 'never: ECONNREFUSED');
  release();
  assert.equal((await slow).body, 'done');
  assert.equal(await rauta.exited, 0);
  await rauta.stop();
});

test('three workers serve, each its own connections', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--workers', '3'],
  );
  for (let i = 0; i < 90; i++) assert.equal((await get(port, '/x')).status, 200);
  // The last one may be counted a moment after its answer was read.
  await until(
    () => number(rauta.metric('rauta_requests_total')),
    (a) => a.status === 90,
  );
  const workers = (await rauta.workers()) as unknown as { pid: number; state: string; requests_total: number }[];
  assert.deepEqual(
    workers.map((w) => w.state),
    ['serving', 'serving', 'serving'],
  );
  assert.equal(new Set(workers.map((w) => w.pid)).size, 3);
  // By hash: that one of three gets none of 90 happens once in 10^15.
  assert.ok(workers.every((w) => w.requests_total > 0));
  assert.equal(
    workers.reduce((n, w) => n + w.requests_total, 0),
    90,
  );
  assert.equal(await rauta.stop(), 0);
});

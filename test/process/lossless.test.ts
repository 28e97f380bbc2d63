// What was established gets its answer: when a listener goes, when the program stops, when the worker that would have
// taken it dies.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askOnce, backend, backendYaml, Churn, freePort, gateway, Rauta, routeYaml, until } from './support.ts';

const CLIENTS = 8;
const CONNECTIONS = 200;

function refused(churn: Churn): boolean {
  return churn.counts.has('never: ECONNREFUSED');
}

test('a listener that is removed leaves no established connection without an answer', async () => {
  const [stays, goes] = [await freePort(), await freePort()];
  const app = await backend('app');
  const rest = routeYaml('app', '/', 'app') + backendYaml('app', app.port);
  const both = gateway(stays).replace('---\n', `    - { name: other, port: ${goes}, protocol: HTTP }\n---\n`);
  const rauta = await Rauta.start({ 'a.yaml': both + rest }, ['--workers', '2']);
  const [staying, going] = [new Churn(stays, '/x', CLIENTS), new Churn(goes, '/x', CLIENTS)];
  await going.until(() => going.total >= CONNECTIONS);
  rauta.write('a.yaml', gateway(stays) + rest);
  await going.until(() => refused(going));
  const counts = await going.stop();
  assert.deepEqual(going.lost, [], JSON.stringify(counts));
  assert.deepEqual(Object.keys(await staying.stop()), ['200']);

  // And back: the port is as good as before.
  rauta.write('a.yaml', both + rest);
  const again = new Churn(goes, '/x', 1);
  await again.until(() => (again.counts.get('200') ?? 0) > 0);
  await again.stop();
  assert.equal(await rauta.stop(), 0);
});

test('a listener that is wished again at once never closes', async () => {
  const [stays, flaps] = [await freePort(), await freePort()];
  const app = await backend('app');
  const rest = routeYaml('app', '/', 'app') + backendYaml('app', app.port);
  const both = gateway(stays).replace('---\n', `    - { name: other, port: ${flaps}, protocol: HTTP }\n---\n`);
  const rauta = await Rauta.start({ 'a.yaml': both + rest });
  const churn = new Churn(flaps, '/x', 2);
  await churn.until(() => churn.total >= 20);
  const revision = await rauta.metric('rauta_config_revision');
  for (const [i, text] of [gateway(stays) + rest, both + rest].entries()) {
    rauta.write('a.yaml', text);
    await until(
      async () => ({ status: await rauta.metric('rauta_config_revision_acked'), body: '', headers: {} }),
      (a) => a.status > revision + i,
    );
  }
  const before = churn.counts.get('200') ?? 0;
  await churn.until(() => (churn.counts.get('200') ?? 0) >= before + 20);
  const counts = await churn.stop();
  assert.deepEqual(churn.lost, [], JSON.stringify(counts));
  assert.ok(!refused(churn), JSON.stringify(counts));
  assert.equal(await rauta.stop(), 0);
});

test('a program that is stopped answers everybody who came through its door', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--workers', '2', '--drain-delay', '100ms'],
  );
  const churn = new Churn(port, '/x', CLIENTS);
  await churn.until(() => churn.total >= CONNECTIONS);
  rauta.process.kill('SIGTERM');
  await churn.until(() => refused(churn));
  const counts = await churn.stop();
  assert.deepEqual(churn.lost, [], JSON.stringify(counts));
  assert.equal(await rauta.stop(), 0);
});

test('what waits for a worker that dies is answered by the one that takes its slot', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const [worker] = await rauta.workers();
  const pid = (worker as { pid: number }).pid;
  process.kill(pid, 'SIGSTOP');
  let established = 0;
  let all: () => void = () => {};
  const everybody = new Promise<void>((resolve) => {
    all = resolve;
  });
  const ends = Array.from({ length: CONNECTIONS }, () =>
    askOnce(port, '/x', (socket) => socket.on('connect', () => ++established === CONNECTIONS && all())),
  );
  await everybody;
  process.kill(pid, 'SIGKILL');
  assert.deepEqual(new Set(await Promise.all(ends)), new Set(['200']));
  assert.equal(await rauta.stop(), 0);
});

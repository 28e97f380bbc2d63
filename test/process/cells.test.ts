// The counters in shared memory, seen from outside: no order of events makes the controller read what is not there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backend, backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';

test('a scrape reads the cells of new routes while the keeper stands still', async () => {
  const port = await freePort();
  const app = await backend('app');
  const first = gateway(port) + backendYaml('app', app.port) + routeYaml('r0', '/0', 'app');
  const rauta = await Rauta.start({ 'a.yaml': first });
  process.kill(rauta.process.pid as number, 'SIGSTOP');
  try {
    rauta.write('b.yaml', Array.from({ length: 800 }, (_, i) => routeYaml(`r${i + 1}`, `/${i + 1}`, 'app')).join(''));
    await until(
      () => rauta.ask('/config') as never,
      ({ body }) => body.includes('"r800"'),
    );
    const { status, body } = await rauta.ask('/metrics');
    assert.equal(status, 200);
    assert.match(body, /rauta_config_objects\{kind="HTTPRoute"\} 801/);
  } finally {
    process.kill(rauta.process.pid as number, 'SIGCONT');
  }
  assert.equal(await rauta.stop(), 0);
  app.server.close();
});

test('requests that no route took and those of routes past the ceiling have labels of their own', async () => {
  const port = await freePort();
  const app = await backend('app');
  const routes = routeYaml('a', '/a', 'app') + routeYaml('b', '/b', 'app');
  const rauta = await Rauta.start({ 'a.yaml': gateway(port) + backendYaml('app', app.port) + routes }, [
    '--metrics-max-routes',
    '1',
  ]);
  const asked = ['/a', '/b', '/b', '/c', '/c', '/c'];
  for (const path of asked) assert.equal((await get(port, path)).status, path === '/c' ? 404 : 200);
  const countedIn = (body: string): string[][] =>
    [...body.matchAll(/^rauta_requests_total\{route="([^"]*)",kind="(\w*)".*\} (\d+)$/gm)].map((m) => m.slice(1));
  // A client may have its answer a moment before the worker has counted it.
  const { answer } = await until(
    async () => ({ ...(await rauta.ask('/metrics')), headers: {} }),
    ({ body }) => countedIn(body).reduce((sum, [, , n]) => sum + Number(n), 0) === asked.length,
  );
  const { body } = answer;
  const counted = countedIn(body);
  assert.deepEqual(counted, [
    ['default/a', 'HTTPRoute', '1'],
    ['other', '', '2'],
    ['none', '', '3'],
  ]);
  assert.match(body, /^rauta_request_duration_seconds_count\{route="none",kind=""\} 3$/m);
  assert.equal(await rauta.stop(), 0);
  app.server.close();
});

// `--tunnel-drain-timeout`: when the program leaves, tunnels have another time than requests; also when it leaves
// because a successor took over.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';
import { backend, overHttp1, overHttp2 } from './tunnels.ts';

/** The lines of the access log about tunnels, of a program that has ended. */
async function tunnelLines(rauta: Rauta): Promise<string[]> {
  const { stdout } = rauta.process;
  if (stdout !== null && !stdout.readableEnded) await once(stdout, 'end');
  return rauta.access
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['upgrade'] === 'echo')
    .map((line) => `${line['protocol']} ${line['status']} ${line['flags']} ${line['end']}`)
    .sort();
}

function site(port: number, to: number): Record<string, string> {
  return { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', to) };
}

const flight = async (rauta: Rauta, count: number): Promise<unknown> =>
  until(
    async () => ({ status: await rauta.metric('rauta_requests_active'), body: '', headers: {} }),
    ({ status }) => status === count,
  );

test('tunnels over HTTP/1.1 and HTTP/2 outlive the time of requests, to their own end', async (t) => {
  const [port, app] = [await freePort(), await backend(t)];
  const flags = ['--drain-timeout', '200ms', '--tunnel-drain-timeout', '1h'];
  const rauta = await Rauta.start(site(port, app.port), flags);
  const tunnels = [await overHttp1(port), await overHttp2(t, port)];
  for (const tunnel of tunnels) await tunnel.says('before');
  const late = get(port, '/slow');
  await flight(rauta, 3);
  rauta.process.kill('SIGTERM');
  assert.equal((await late).status, 503);
  await rauta.said('requests in flight did not end in time');
  for (const tunnel of tunnels) await tunnel.says('while it drains');
  assert.equal((await rauta.ask('/readyz')).status, 503);
  for (const tunnel of tunnels) tunnel.end();
  assert.equal(await rauta.exited, 0, rauta.text());
  await rauta.stop();
  assert.deepEqual(await tunnelLines(rauta), ['HTTP/1.1 101  client', 'HTTP/2.0 101  client']);
});

test('tunnels may have to end at once, while requests have their time', async (t) => {
  const [port, app] = [await freePort(), await backend(t)];
  const flags = ['--drain-timeout', '1h', '--tunnel-drain-timeout', '0s'];
  const rauta = await Rauta.start(site(port, app.port), flags);
  const tunnels = [await overHttp1(port), await overHttp2(t, port)];
  for (const tunnel of tunnels) await tunnel.says('before');
  const slow = get(port, '/slow');
  await flight(rauta, 3);
  rauta.process.kill('SIGTERM');
  const said = await rauta.said('tunnels and sessions did not end in time');
  assert.equal(said['ended'], 2);
  assert.deepEqual(await Promise.all(tunnels.map(({ over }) => over)), ['ECONNRESET', 'code 8']);
  app.release();
  assert.equal((await slow).body, 'done');
  assert.equal(await rauta.exited, 0, rauta.text());
  await rauta.stop();
  assert.deepEqual(await tunnelLines(rauta), ['HTTP/1.1 101 LR drain', 'HTTP/2.0 101 LR drain']);
});

test('without it tunnels have the time of requests', async (t) => {
  const [port, app] = [await freePort(), await backend(t)];
  const rauta = await Rauta.start(site(port, app.port), ['--drain-timeout', '200ms']);
  const tunnels = [await overHttp1(port), await overHttp2(t, port)];
  for (const tunnel of tunnels) await tunnel.says('before');
  rauta.process.kill('SIGTERM');
  assert.deepEqual(await Promise.all(tunnels.map(({ over }) => over)), ['ECONNRESET', 'code 8']);
  assert.equal(await rauta.exited, 0, rauta.text());
  await rauta.stop();
  assert.deepEqual(await tunnelLines(rauta), ['HTTP/1.1 101 LR drain', 'HTTP/2.0 101 LR drain']);
});

test('open tunnels get it when a successor takes over, who has the admin port once only they are left', async (t) => {
  const [port, admin, app] = [await freePort(), await freePort(), await backend(t)];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-tunnels-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const flags = (tunnels: string): string[] => [
    ...['--takeover', join(folder, 'socket'), '--admin', `127.0.0.1:${admin}`],
    ...['--drain-timeout', '200ms', '--tunnel-drain-timeout', tunnels],
  ];
  const first = await Rauta.start(site(port, app.port), flags('1h'));
  const old = [await overHttp1(port), await overHttp2(t, port)];
  for (const tunnel of old) await tunnel.says('before');
  const late = get(port, '/slow');
  await flight(first, 3);
  const second = Rauta.spawn(site(port, app.port), flags('0s'));
  t.after(() => second.stop());
  await second.said('serving');
  await first.said('handed over, draining');
  assert.equal((await late).status, 503);
  await second.said('opened after all');
  await second.said('admin server');
  second.admin = admin;
  assert.equal(first.process.exitCode, null);
  // It is the successor that is asked: it has no tunnel yet.
  const tunnels = (): Promise<number> => second.metric('rauta_tunnels{kind="other"}');
  assert.equal(await tunnels(), 0);
  for (const tunnel of old) await tunnel.says('after the takeover');
  const young = await overHttp1(port);
  await young.says('to the successor');
  await until(
    async () => ({ status: await tunnels(), body: '', headers: {} }),
    ({ status }) => status === 1,
  );
  for (const tunnel of old) tunnel.end();
  assert.equal(await first.exited, 0, first.text());
  assert.deepEqual(await tunnelLines(first), ['HTTP/1.1 101  client', 'HTTP/2.0 101  client']);
  await first.stop();
  await young.says('still here');
  assert.equal(await second.stop(), 0);
  assert.equal(await young.over, 'ECONNRESET');
  assert.deepEqual(await tunnelLines(second), ['HTTP/1.1 101 LR drain']);
});

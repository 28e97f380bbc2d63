// A program that was taken over from lives on for its tunnels, and its controller is retired: it leads no more, and
// writes nothing, also when it is started again meanwhile.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, route, site, when } from '../kubernetes/site.ts';
import { childrenOf, freePort, Rauta } from './support.ts';
import { backend, overHttp1 } from './tunnels.ts';

const controllerOf = (rauta: Rauta): number =>
  childrenOf(rauta.process.pid as number).find(({ command }) => command.includes('controller'))?.pid ?? 0;
const holder = (api: FakeApi): string =>
  String((api.get('Lease', 'team', 'gateway')?.['spec'] as Record<string, unknown> | undefined)?.['holderIdentity']);

test('the controller of a program that was taken over from is retired, and one that takes its place too', async (t) => {
  const [port, admin, app] = [await freePort(), await freePort(), await backend(t)];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-retired-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  t.after(() => api.close());
  site(api, port, app.port);
  const flags = (token: string): string[] => [
    ...['--kubernetes', '--kubeconfig', kubeconfig(t, url, token), '--lease', 'team/gateway'],
    ...['--takeover', join(folder, 'socket'), '--admin', `127.0.0.1:${admin}`],
    ...['--drain-timeout', '200ms', '--tunnel-drain-timeout', '1h'],
  ];
  const first = await Rauta.start({}, flags('first'));
  t.after(() => first.stop());
  await first.said('leads: statuses are written by this program');
  const led = holder(api);
  const tunnel = await overHttp1(port, '/one');
  await tunnel.says('before');
  const second = Rauta.spawn({}, flags('second'));
  t.after(() => second.stop());
  await first.said('handed over, draining');
  // The lease is given back, not waited for.
  await second.said('leads: statuses are written by this program');
  assert.notEqual(holder(api), led);

  const before = api.requests.length;
  process.kill(controllerOf(first), 'SIGKILL');
  const since = (token: string): string[] =>
    api.requests
      .slice(before)
      .filter(({ headers }) => headers.authorization === `Bearer ${token}`)
      .map(({ method, path }) => `${method} ${path}`);
  // Its workers go on following the configuration, as far as their tunnels need it.
  await when(api, () => since('first').some((one) => one.includes('/httproutes')));
  await tunnel.says('while it drains');
  route(api, '/two');
  await when(api, () => since('second').some((one) => /^PATCH .*httproutes\/r\/status/.test(one)));
  await when(api, () => since('second').filter((one) => /leases\/gateway$/.test(one)).length > 2);
  assert.deepEqual(
    since('first').filter((one) => !one.startsWith('GET ') || one.includes('/leases')),
    [],
  );
  tunnel.end();
  assert.equal(await first.exited, 0, first.text());
});

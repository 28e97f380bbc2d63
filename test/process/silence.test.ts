// What has no effect is said by a running program too, once, wherever its author looks; and so is that it is over.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StatusReport } from '../../src/admin/status.ts';
import type { Problem } from '../../src/api/problem.ts';
import { type Answer, backend, backendYaml, command, freePort, gateway, Rauta, routeYaml, until } from './support.ts';

test('what has no effect is in the log once, at /config/problems and in status; mended, that is said and gone', async () => {
  const [port, app] = [await freePort(), await backend('app')];
  const lost = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: nginx }
spec: { controllerName: example.com/nginx }
---
${gateway(port + 1)
  .replace('name: web', 'name: other')
  .replace('gatewayClassName: rauta', 'gatewayClassName: nginx')}
${routeYaml('twin', '/', 'app')}${backendYaml('spare', 1)}`;
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
    'b.yaml': lost,
  });
  const problems = async (): Promise<Answer> => ({ ...(await rauta.ask('/config/problems')), headers: {} });
  const { answer } = await until(problems, ({ body }) => body.includes('spare'));
  const said = (JSON.parse(answer.body) as Problem[]).map(
    ({ place: { object = '', file } }) => [object, file?.slice(-6)] as const,
  );
  assert.deepEqual(said.sort(), [
    ['Backend/default/spare', 'b.yaml'],
    ['Gateway/default/other', 'b.yaml'],
    ['GatewayClass//nginx', 'b.yaml'],
    ['HTTPRoute/default/twin', 'b.yaml'],
  ]);
  for (const [object] of said)
    assert.equal(rauta.log.filter((line) => line.level === 'warn' && line['object'] === object).length, 1, object);
  const admin = ['--admin', `127.0.0.1:${rauta.admin}`];
  const quiet = await command(['status', '--quiet', ...admin]);
  assert.equal(quiet.code, 0, 'warnings are no failure');
  assert.equal(quiet.out.split('\n').length, 5);
  rauta.write('b.yaml', '');
  for (const [object] of said)
    await rauta.said((line) => line.message === 'a problem is over' && line['object'] === object);
  const { problems: left } = JSON.parse((await command(['status', '--json', ...admin])).out) as StatusReport;
  assert.deepEqual(left, []);
  await rauta.stop();
});

test('an accepted change is a line with what changed, the revision and the file; so is one that changes nothing served', async () => {
  const [port, app] = [await freePort(), await backend('app')];
  const good = gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port);
  const rauta = await Rauta.start({ 'a.yaml': good });
  rauta.write('a.yaml', good.replace('value: /', 'value: /x'));
  const changed = await rauta.said('configuration changed');
  assert.equal(changed['changed'], 'HTTPRoute default/app');
  assert.equal(changed['revision'], 2);
  assert.match(String(changed['files']), /a\.yaml$/);
  rauta.write('b.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: { name: spare }\n');
  const unchanged = await rauta.said('what is served stays as it is');
  assert.equal(unchanged['changed'], 'Namespace spare');
  rauta.write('b.yaml', '');
  const removed = await rauta.said((line) => line['removed'] !== undefined);
  assert.equal(removed['removed'], 'Namespace spare');
  await rauta.stop();
});

test('an object whose new version is wrong goes on as it was, and log, problems, status and its condition’s reader say so', async () => {
  const [port, app] = [await freePort(), await backend('app')];
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app'),
    'b.yaml': backendYaml('app', app.port),
  });
  rauta.write('b.yaml', backendYaml('app', app.port).replace('port:', 'prt:'));
  const said = await rauta.said((line) => line['effect'] === 'goes on as before');
  assert.equal(said['object'], 'Backend/default/app');
  const problems = JSON.parse((await rauta.ask('/config/problems')).body) as Problem[];
  assert.ok(
    problems.some(({ effect, place }) => effect === 'goes on as before' && place.object === 'Backend/default/app'),
  );
  const { objects } = JSON.parse((await rauta.ask('/config')).body) as { objects: Record<string, unknown>[] };
  assert.equal(objects.find(({ kind }) => kind === 'Backend')?.['kept'], 'goes on as before');
  const status = await command(['status', '--quiet', '--admin', `127.0.0.1:${rauta.admin}`]);
  assert.equal(status.code, 1);
  assert.match(status.out, /^Backend default\/app: goes on as before, its file has errors$/m);
  await rauta.stop();
});

test('of what is wrong a program and the one that takes over from it say each once', async () => {
  const [port, app] = [await freePort(), await backend('app')];
  const good = gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port);
  const aside = mkdtempSync(join(tmpdir(), 'rauta-takeover-'));
  const flags = ['--takeover', join(aside, 'socket')];
  const files = {
    'a.yaml': good,
    'b.yaml': backendYaml('spare', 1) + routeYaml('lost', '/x', 'app').replace('name: web', 'name: gone'),
  };
  const first = await Rauta.start(files, flags);
  const told = (rauta: Rauta): string[] =>
    rauta.log.filter(({ level }) => level === 'warn' || level === 'error').map((line) => String(line['object']));
  const all = ['Backend/default/spare', 'HTTPRoute/default/lost'];
  await first.said((line) => line['object'] === all[0]);
  const second = await Rauta.start(files, flags);
  assert.equal(await first.exited, 0);
  await second.said((line) => line['object'] === all[0]);
  assert.deepEqual([told(first).sort(), told(second).sort()], [all, all]);
  await second.stop();
  rmSync(aside, { recursive: true });
});

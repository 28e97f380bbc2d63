// What happens to what is served when its configuration goes wrong, and what is said of it.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import {
  backend,
  backendYaml,
  childrenOf,
  freePort,
  gateway,
  get,
  type LogLine,
  Rauta,
  routeYaml,
  until,
} from './support.ts';

test('a configuration folder that goes away is an error, and what it said goes on being served', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'gateway.yaml': gateway(port),
    'route.yaml': routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const aside = `${rauta.folder}.aside`;
  const words = 'what was last read of it goes on';
  renameSync(rauta.folder, aside);
  const gone = await rauta.said(`no such file or folder; ${words}`);
  assert.deepEqual([gone.level, gone['file']], ['error', rauta.folder]);
  assert.equal((await get(port, '/')).status, 200);
  const { body } = await rauta.ask('/config/problems');
  assert.match(body, /no such file or folder; what was last read of it goes on/);
  symlinkSync('nowhere', rauta.folder);
  await rauta.said(`a symbolic link to nothing; ${words}`);
  assert.equal((await get(port, '/')).status, 200);
  rmSync(rauta.folder);
  mkdirSync(rauta.folder);
  await rauta.said(`was replaced by an empty folder; ${words}`);
  assert.equal((await get(port, '/')).status, 200);
  writeFileSync(join(aside, 'route.yaml'), routeYaml('app', '/back', 'app') + backendYaml('app', app.port));
  rmSync(rauta.folder, { recursive: true });
  renameSync(aside, rauta.folder);
  await until(
    () => get(port, '/'),
    (a) => a.status === 404,
  );
  assert.equal((await get(port, '/back')).status, 200);
  assert.doesNotMatch((await rauta.ask('/config/problems')).body, new RegExp(words));
  assert.equal(await rauta.stop(), 0);
});

test('a start without its configuration ends with 1 and the reason', async () => {
  const words: Readonly<Record<string, (path: string) => void>> = {
    'no such file or folder': () => {},
    'a symbolic link to nothing': (path) => symlinkSync('nowhere', path),
    'cannot be read: symbolic links go in a circle (ELOOP)': (path) => symlinkSync(path, path),
  };
  for (const [word, make] of Object.entries(words)) {
    const path = join(mkdtempSync(join(tmpdir(), 'rauta-config-')), 'conf');
    make(path);
    const rauta = Rauta.spawn({}, ['--config', path]);
    assert.equal(await rauta.exited, 1);
    assert.ok(rauta.text().includes(`--config ${path}: ${word}`), rauta.text());
    rmSync(dirname(path), { recursive: true });
  }
});

test('an unknown field serves what the object last was, and nobody else notices', async () => {
  const port = await freePort();
  const app = await backend('app');
  const own = (name: string, more = ''): string => routeYaml(name, `/${name}`, 'app', more);
  const wider = own('a').replace('path: {', 'methods: [GET], path: {');
  const files = {
    'gateway.yaml': gateway(port) + backendYaml('app', app.port),
    'b.yaml': own('b'),
    'a.yaml': own('a'),
  };
  const rauta = await Rauta.start(files);
  rauta.write('a.yaml', wider.replace('/a', '/'));
  const said = await rauta.said('unknown field; did you mean method?');
  assert.deepEqual(
    [said.level, said['line'], said['object'], said['field']],
    ['error', 7, 'HTTPRoute/default/a', 'spec.rules[0].matches[0].methods'],
  );
  assert.deepEqual(await statuses(port, '/a', '/b', '/c'), [200, 200, 404]);
  assert.equal(await rauta.stop(), 0);

  // At a start there is no last state: the object is refused. --lenient prunes the field.
  const fresh = await Rauta.start({ ...files, 'a.yaml': wider });
  assert.deepEqual(await statuses(port, '/a', '/b'), [404, 200]);
  assert.equal(await fresh.stop(), 0);
  const lenient = await Rauta.start({ ...files, 'a.yaml': wider }, ['--lenient']);
  assert.equal((await lenient.said('unknown field; did you mean method? (ignored)')).level, 'warn');
  assert.deepEqual(await statuses(port, '/a', '/b'), [200, 200]);
  assert.equal(await lenient.stop(), 0);
});

test('a controller that is started again while a file is broken takes nothing away', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'gateway.yaml': gateway(port) + backendYaml('app', app.port),
    'a.yaml': routeYaml('a', '/a', 'app'),
    'b.yaml': routeYaml('b', '/b', 'app'),
  });
  rauta.write('a.yaml', 'kind: [\n');
  await rauta.said((line) => line.level === 'error' && String(line['file']).endsWith('a.yaml'));
  const controller = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  const held = await rauta.said('the configuration has errors: what was served goes on until they are mended');
  assert.match(String(held['first']), /a\.yaml:\d+:\d+: error: /);
  assert.deepEqual(await statuses(port, '/a', '/b', '/c'), [200, 200, 404]);
  assert.equal((await rauta.ask('/readyz')).status, 200);
  rauta.write('b.yaml', routeYaml('b', '/c', 'app'));
  rauta.write('a.yaml', routeYaml('a', '/a', 'app'));
  await until(
    () => get(port, '/c'),
    (a) => a.status === 200,
  );
  assert.deepEqual(await statuses(port, '/a', '/b', '/c'), [200, 404, 200]);
  assert.equal(await rauta.stop(), 0);
});

test('a start with broken files serves what parses, and says loudly that it is not all', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'gateway.yaml': gateway(port) + backendYaml('app', app.port) + routeYaml('b', '/b', 'app'),
    'a.yaml': 'kind: [\n',
  });
  const said = await rauta.said('the configuration has errors: what they stand in is not served');
  assert.deepEqual([said.level, Number(said['errors']) > 0], ['error', true]);
  assert.deepEqual(await statuses(port, '/a', '/b'), [404, 200]);
  assert.equal(await rauta.stop(), 0);
});

test('a second Gateway in a new file does not switch off the one that serves', async () => {
  const port = await freePort();
  const [one, two] = [await backend('one'), await backend('two')];
  const backends = backendYaml('one', one.port) + backendYaml('two', two.port);
  const rauta = await Rauta.start({ 'z.yaml': gateway(port) + backends + routeYaml('z', '/', 'one') });
  const second = (gateway(port) + routeYaml('a', '/', 'two') + routeYaml('b', '/b', 'two')).replaceAll(
    'name: web',
    'name: aaa',
  );
  rauta.write('a.yaml', second);
  await rauta.said((line) => line['object'] === 'Gateway/default/aaa' && line.level !== 'info');
  for (const path of ['/', '/b']) assert.equal((await get(port, path)).headers['x-backend'], 'one');
  // Nor does it when the controller dies: the next one knows how old each is.
  type Shown = { metadata: { name: string; creationTimestamp?: string } };
  const ages = async (): Promise<unknown> =>
    (JSON.parse((await rauta.ask('/config')).body) as { objects: Shown[] }).objects.map(({ metadata }) => [
      metadata.name,
      metadata.creationTimestamp,
    ]);
  const before = await ages();
  const controller = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  const says = (line: LogLine): boolean => line['object'] === 'Gateway/default/aaa' && line.level !== 'info';
  const count = rauta.log.filter(says).length;
  await rauta.said((line) => says(line) && rauta.log.filter(says).length > count);
  await until(
    async () => (await rauta.ask('/config').catch(() => ({ status: 0, body: '' }))) as never,
    (a) => a.status === 200,
  );
  for (const path of ['/', '/b']) assert.equal((await get(port, path)).headers['x-backend'], 'one');
  assert.deepEqual(await ages(), before);
  // The older one's place is free when it goes.
  rauta.write('z.yaml', backends);
  await until(
    () => get(port, '/b'),
    (a) => a.headers['x-backend'] === 'two',
  );
  assert.equal(await rauta.stop(), 0);
});

test('accepted changes are told of with the revision that serves, problems when they are over, and what is kept', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'gateway.yaml': gateway(port) + backendYaml('app', app.port),
    'a.yaml': routeYaml('a', '/a', 'app'),
    'b.yaml': routeYaml('b', '/b', 'app'),
  });
  const changed = (object: string): Promise<LogLine> =>
    rauta.said((line) => line.message === 'configuration changed' && line['changed'] === object);
  rauta.write('a.yaml', routeYaml('a', '/new', 'app'));
  const line = await changed('HTTPRoute default/a');
  assert.deepEqual(
    [line.level, line['revision'], line['files']],
    ['info', await rauta.metric('rauta_config_revision_acked'), `${rauta.folder}/a.yaml`],
  );
  assert.equal((await get(port, '/new')).status, 200);
  rmSync(join(rauta.folder, 'b.yaml'));
  await rauta.said((l) => l.message === 'configuration changed' && l['removed'] === 'HTTPRoute default/b');
  rauta.write('a.yaml', routeYaml('a', '/other', 'app').replace('matches:', 'match:'));
  rauta.write('c.yaml', routeYaml('c', '/c', 'app').replace('matches:', 'match:'));
  const effect = async (object: string): Promise<unknown> =>
    (await rauta.said((l) => l.level === 'error' && l['object'] === object))['effect'];
  assert.equal(await effect('HTTPRoute/default/a'), 'goes on as before');
  assert.equal(await effect('HTTPRoute/default/c'), 'is not served');
  const problems = JSON.parse((await rauta.ask('/config/problems')).body) as { effect?: string }[];
  assert.deepEqual(problems.map((p) => p.effect).sort(), ['goes on as before', 'is not served']);
  type Shown = { kind: string; kept?: string };
  const shown = (JSON.parse((await rauta.ask('/config')).body) as { objects: Shown[] }).objects;
  assert.deepEqual(
    shown.map((o) => [o.kind, o.kept]),
    [
      ['Backend', undefined],
      ['Gateway', undefined],
      ['HTTPRoute', 'goes on as before'],
    ],
  );
  rauta.write('a.yaml', routeYaml('a', '/new', 'app'));
  const over = await rauta.said('a problem is over');
  assert.deepEqual([over.level, over['object']], ['info', 'HTTPRoute/default/a']);
  rauta.process.kill('SIGHUP');
  await rauta.said('everything is read again');
  assert.equal(await rauta.stop(), 0);
});

test('a folder in which nothing is ours is ready, and says at the class why nothing is served', async () => {
  const port = await freePort();
  const app = await backend('app');
  const gatewayClass = (controller: string): string =>
    'apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: { name: rauta }\n' +
    `spec: { controllerName: ${controller} }\n---\n`;
  const rest = gateway(port) + routeYaml('a', '/a', 'app') + backendYaml('app', app.port);
  const rauta = await Rauta.start({ 'a.yaml': gatewayClass('example.com/other') + rest });
  await rauta.said((l) => l.message === 'nothing to serve' && l.level === 'warn');
  const said = await rauta.said((l) => l['object'] === 'GatewayClass//rauta');
  assert.match(said.message, /^controllerName "example\.com\/other" is not ours \("rauta\.io\/gateway-controller"\)/);
  assert.deepEqual([said.level, said['field'], said['line']], ['warn', 'spec.controllerName', 4]);
  const ready = await rauta.ask('/readyz');
  assert.deepEqual(
    [ready.status, ready.body.startsWith('nothing to serve: no listener of a Gateway is ours')],
    [200, true],
  );
  rauta.write('a.yaml', gatewayClass('rauta.io/gateway-controller') + rest);
  await rauta.said('there is something to serve');
  await until(
    () => get(port, '/a').catch(() => ({ status: 0, body: '', headers: {} })),
    (a) => a.status === 200,
  );
  assert.deepEqual(JSON.parse((await rauta.ask('/config/problems')).body), []);
  assert.equal(await rauta.stop(), 0);
});

async function statuses(port: number, ...paths: string[]): Promise<number[]> {
  return Promise.all(paths.map(async (path) => (await get(port, path)).status));
}

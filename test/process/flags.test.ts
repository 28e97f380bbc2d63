// Flags and signals as a user meets them.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Answer, backend, backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';

async function when(is: () => boolean): Promise<void> {
  await until(
    async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { status: is() ? 1 : 0, body: '', headers: {} };
    },
    (a) => a.status === 1,
  );
}

test('the access log goes to a file, and to a new one after SIGUSR1 and SIGHUP', async () => {
  const port = await freePort();
  const app = await backend('app');
  const files = { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) };
  const elsewhere = Rauta.spawn({});
  const log = join(elsewhere.folder, 'access.log');
  const rauta = await Rauta.start(files, ['--access-log', log]);
  const lines = (path: string): string[] =>
    existsSync(path)
      ? readFileSync(path, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => (JSON.parse(line) as { path: string }).path)
      : [];
  await get(port, '/one');
  await when(() => lines(log).includes('/one'));
  const rotated: string[] = [];
  for (const signal of ['SIGUSR1', 'SIGHUP'] as const) {
    const old = `${log}.${rotated.length}`;
    renameSync(log, old);
    rotated.push(old);
    // Whoever has the file open goes on writing to it under its new name.
    await get(port, `/before-${signal}`);
    await when(() => lines(old).includes(`/before-${signal}`));
    const opened = (): number => rauta.log.filter((line) => line.message === 'access log opened').length;
    const before = opened();
    rauta.process.kill(signal);
    await when(() => opened() > before);
    await get(port, `/after-${signal}`);
    await when(() => lines(log).includes(`/after-${signal}`));
  }
  assert.deepEqual(lines(rotated[0] as string), ['/one', '/before-SIGUSR1']);
  assert.deepEqual(lines(rotated[1] as string), ['/after-SIGUSR1', '/before-SIGHUP']);
  await get(port, '/last');
  assert.equal(await rauta.stop(), 0);
  assert.deepEqual(lines(log), ['/after-SIGHUP', '/last'], 'what is in the rings is written before the end');
  assert.equal(rauta.access, '');
  await elsewhere.stop();
});

test('the access log in the combined format', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--access-log-format', 'combined'],
  );
  rauta.process.kill('SIGUSR1');
  assert.equal((await rauta.said('no file to open anew'))['flag'], '--access-log -');
  await get(port, '/a%20b?secret=1', { 'user-agent': 'curl "8"', referer: 'http://a.example/x"y?secret=2' });
  assert.equal(await rauta.stop(), 0);
  assert.match(
    rauta.access,
    /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/a%20b HTTP\/1\.1" 200 \d+ "http:\/\/a\.example\/x\\"y" "curl \\"8\\""\n$/,
  );
});

test('--requests: the read-only pages on a bind of their own', async () => {
  const [port, second] = [await freePort(), await freePort()];
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--requests', `127.0.0.1:${second}`],
  );
  await rauta.said((line) => line.message === 'admin server' && line['port'] === second);
  await get(port, '/seen');
  await until(
    () => get(second, '/requests'),
    (a) => a.body.includes('GET /seen 200'),
  );
  assert.equal((await get(second, '/readyz')).status, 200);
  const level = (admin: number): Promise<Answer> => get(admin, '/log-level', {}, { method: 'PUT', body: 'debug' });
  assert.ok((await level(second)).status >= 400, 'nothing can be changed there');
  assert.ok((await level(rauta.admin)).status < 300);
  const said = await rauta.said('log level');
  assert.deepEqual([said['before'], said['now']], ['info', 'debug']);
  assert.equal(await rauta.stop(), 0);
});

test('what is wrong with the command line is said, with the nearest right thing', async () => {
  const unknown = Rauta.spawn({}, ['--confg', 'x']);
  const said = await unknown.said((line) => line.message.includes('--confg'));
  assert.match(said.message, /^rauta: unknown flag --confg \(did you mean --config\?\)/);
  assert.equal(await unknown.exited, 2);
  await unknown.stop();
});

test('an admin port that is taken ends the program with 3 and its name', async () => {
  const [port, taken] = [await freePort(), await freePort()];
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(taken, '127.0.0.1', resolve));
  const rauta = Rauta.spawn({ 'a.yaml': gateway(port) }, ['--admin', `127.0.0.1:${taken}`]);
  const said = await rauta.said((line) => line.level === 'error');
  assert.match(said.message, new RegExp(`--admin 127\\.0\\.0\\.1:${taken}: EADDRINUSE`));
  assert.equal(await rauta.exited, 3);
  await new Promise<void>((resolve) => blocker.close(() => resolve()));
  await rauta.stop();
});

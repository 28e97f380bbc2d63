// What flags name and the keeper opens for the controller: the access log, the token file, the admin's ports. A
// controller that is started again has them again, whatever became of them meanwhile, and needs no privilege for it.

import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Answer,
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

const root = process.getuid?.() === 0;
const asRoot = { skip: root ? false : 'only root can leave root' };

async function files(port: number): Promise<Record<string, string>> {
  const app = await backend('app');
  return { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) };
}

async function number(n: () => number): Promise<Answer> {
  await new Promise((resolve) => setImmediate(resolve));
  return { status: n(), body: '', headers: {} };
}

/** A folder of the program's own that no source watches. */
function aside(): { path: string; done: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-aside-'));
  return { path: folder, done: () => rmSync(folder, { recursive: true, force: true }) };
}

function controllerOf(rauta: Rauta): number {
  const found = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  return (found as { pid: number }).pid;
}

/** Kills the controller; resolves when the next one answers on the same port. */
async function killController(rauta: Rauta): Promise<void> {
  const said = (line: LogLine): boolean => line.message === 'admin server';
  const before = rauta.log.filter(said).length;
  process.kill(controllerOf(rauta), 'SIGKILL');
  await until(
    () => number(() => rauta.log.filter(said).length),
    (a) => a.status > before,
  );
  await until(
    async () => (await rauta.ask('/readyz')) as Answer,
    (a) => a.status === 200,
  );
}

function linesOf(path: string): string[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => (JSON.parse(line) as { path: string }).path);
}

test('a controller that is started again goes on without the log folder and the token file', async () => {
  const [port, away] = [await freePort(), aside()];
  const folder = join(away.path, 'log');
  const [log, token] = [join(folder, 'access.log'), join(away.path, 'token')];
  mkdirSync(folder);
  writeFileSync(token, 'sesame\n');
  const rauta = await Rauta.start(await files(port), ['--access-log', log, '--admin-token-file', token]);
  await get(port, '/one');
  await until(
    () => number(() => linesOf(log).length),
    (a) => a.status === 1,
  );
  rmSync(folder, { recursive: true });
  rmSync(token);
  rauta.process.kill('SIGHUP');
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.includes(`--access-log ${log}: ENOENT`) && a.body.includes(`--admin-token-file ${token}: ENOENT`),
  );
  await killController(rauta);
  assert.equal((await get(port, '/two')).status, 200);
  const problems = (await rauta.ask('/config/problems')).body;
  assert.match(problems, /--access-log .*ENOENT \(no such file or folder\)/);
  assert.match(problems, /--admin-token-file .*ENOENT/);
  mkdirSync(folder);
  writeFileSync(token, 'sesame\n');
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.trim() === '[]',
  );
  await get(port, '/three');
  await until(
    () => number(() => linesOf(log).filter((path) => path === '/three').length),
    (a) => a.status === 1,
  );
  assert.equal(await rauta.stop(), 0);
  away.done();
});

test('the port of the admin server is never given up: nobody takes it while the controller is started again', async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const rauta = await Rauta.start(await files(port), ['--admin', `127.0.0.1:${admin}`]);
  process.kill(controllerOf(rauta), 'SIGKILL');
  const thief = createServer();
  const code = await new Promise<string>((resolve) => {
    thief.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    thief.listen(admin, '127.0.0.1', () => resolve('listens'));
  });
  assert.equal(code, 'EADDRINUSE');
  // Asked while nobody answers: it waits in the queue.
  assert.equal((await get(admin, '/livez')).body, 'ok\n');
  assert.equal(await rauta.stop(), 0);
});

test('what cannot be opened at the start ends it with 3 and the name of the flag', async () => {
  const [port, away] = [await freePort(), aside()];
  const [blank, taken] = [join(away.path, 'blank'), await freePort()];
  writeFileSync(blank, ' \n\t\n');
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(taken, '127.0.0.1', resolve));
  const gone = join(away.path, 'gone', 'x');
  const cases: readonly (readonly [args: string[], code: number, message: RegExp])[] = [
    [['--access-log', gone], 3, /--access-log .*: ENOENT \(no such file or folder\)/],
    [['--access-log', away.path], 3, /--access-log .*: EISDIR/],
    [['--admin-token-file', gone], 3, /--admin-token-file .*: ENOENT/],
    [['--admin-token-file', '/dev/null'], 3, /--admin-token-file .*: is not a regular file/],
    [['--admin-token-file', blank], 1, /--admin-token-file .*: is empty/],
    [['--admin', `127.0.0.1:${taken}`], 3, /--admin 127\.0\.0\.1:\d+: EADDRINUSE/],
    [['--requests', `127.0.0.1:${taken}`], 3, /--requests 127\.0\.0\.1:\d+: EADDRINUSE/],
    [['--admin', '192.0.2.1:9090'], 3, /--admin 192\.0\.2\.1:9090: EADDRNOTAVAIL/],
  ];
  for (const [args, code, message] of cases) {
    const rauta = Rauta.spawn({ 'a.yaml': gateway(port) }, args);
    assert.equal(await rauta.exited, code, args.join(' '));
    const said = rauta.log.map((line) => line.message).join('\n');
    assert.match(said, message);
    assert.doesNotMatch(said, /channel/, 'its end is no fault of its own');
    await rauta.stop();
  }
  await new Promise<void>((resolve) => blocker.close(() => resolve()));
  away.done();
});

test('SIGHUP rereads the token; one that is unusable leaves the one before', async () => {
  const [port, away] = [await freePort(), aside()];
  const token = join(away.path, 'token');
  writeFileSync(token, 'first');
  const args = ['--admin', '0.0.0.0:0', '--admin-token-file', token];
  const rauta = await Rauta.start(await files(port), args);
  const opens = async (word: string): Promise<boolean> =>
    (await rauta.ask('/config', { authorization: `Bearer ${word}` })).status === 200;
  assert.deepEqual([await opens('first'), await opens('second')], [true, false]);
  writeFileSync(`${token}.new`, 'second\n');
  renameSync(`${token}.new`, token);
  rauta.process.kill('SIGHUP');
  await rauta.said('admin token read again');
  assert.deepEqual([await opens('first'), await opens('second')], [false, true]);
  writeFileSync(token, '');
  rauta.process.kill('SIGHUP');
  await rauta.said((line) => line.message.includes('is empty'));
  assert.deepEqual([await opens('second'), await opens('')], [true, false]);
  assert.equal(await rauta.stop(), 0);
  away.done();
});

function statusOf(pid: number): { uid: string; caps: string; permitted: string; noNewPrivileges: string } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(text)?.[1] ?? '';
  return {
    uid: field('Uid'),
    caps: field('CapEff'),
    permitted: field('CapPrm'),
    noNewPrivileges: field('NoNewPrivs'),
  };
}

test('the controller leaves root, and still writes and reopens a log in a folder of root', asRoot, async () => {
  const [port, away] = [await freePort(), aside()];
  const log = join(away.path, 'access.log');
  assert.equal(statSync(away.path).mode & 0o777, 0o700);
  const open = aside();
  chmodSync(open.path, 0o755);
  writeFileSync(join(open.path, 'a.yaml'), (await files(port))['a.yaml'] as string);
  const low = '127.0.77.1:80';
  const rauta = await Rauta.start({}, ['--config', open.path, '--access-log', log, '--requests', low]);
  const none = '0000000000000000';
  const nobody = { uid: '65534', caps: none, permitted: none, noNewPrivileges: '1' };
  assert.deepEqual(statusOf(controllerOf(rauta)), nobody);
  await killController(rauta);
  assert.deepEqual(statusOf(controllerOf(rauta)), nobody);
  renameSync(log, `${log}.1`);
  rauta.process.kill('SIGUSR1');
  await until(
    async () => {
      await get(port, '/after');
      return number(() => linesOf(log).length);
    },
    (a) => a.status > 0,
  );
  assert.equal((await fetch(`http://${low}/livez`)).status, 200, 'a port that only root may bind');
  // A file that it may not read is a problem at its path, and nothing else.
  writeFileSync(join(open.path, 'secret.yaml'), 'kind: X', { mode: 0o600 });
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.includes('secret.yaml') && a.body.includes('EACCES'),
  );
  // And it still sees changes.
  writeFileSync(join(open.path, 'b.yaml'), routeYaml('more', '/more', 'app'));
  await until(
    async () => (await rauta.ask('/config')) as Answer,
    (a) => a.body.includes('"more"'),
  );
  assert.equal(await rauta.stop(), 0);
  away.done();
  open.done();
});

test('where only root may read the configuration, to read is all that is kept, and it is said', asRoot, async () => {
  const [port, closed] = [await freePort(), aside()];
  writeFileSync(join(closed.path, 'a.yaml'), (await files(port))['a.yaml'] as string, { mode: 0o600 });
  const rauta = await Rauta.start({}, ['--config', closed.path]);
  const said = `${closed.path}: nobody may not read it`;
  await rauta.said((line) => line.level === 'warn' && line.message.startsWith(said));
  const read = '0000000000000004';
  const expected = { uid: '65534', caps: read, permitted: read, noNewPrivileges: '1' };
  assert.deepEqual(statusOf(controllerOf(rauta)), expected);
  assert.equal((await get(port, '/x')).status, 200);
  assert.equal(await rauta.stop(), 0);
  closed.done();
});

test('an unknown --user is said at the start', asRoot, async () => {
  const rauta = Rauta.spawn({ 'a.yaml': gateway(await freePort()) }, ['--user', 'no-such-user']);
  assert.equal(await rauta.exited, 3);
  assert.match(rauta.log.map((line) => line.message).join('\n'), /--user no-such-user: is not in \/etc\/passwd/);
  await rauta.stop();
});

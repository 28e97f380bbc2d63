// Where the program writes: standard error, standard output, files and FIFOs whose readers are gone or stand still, and
// disks that are full. Nothing of that may hold it up or end it.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Answer, backend, backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';

async function files(port: number): Promise<Record<string, string>> {
  const app = await backend('app');
  return { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) };
}

async function number(ask: Promise<number>): Promise<Answer> {
  return { status: await ask, body: '', headers: {} };
}

async function serves(rauta: Rauta, port: number): Promise<void> {
  assert.equal((await get(port, '/x')).status, 200);
  assert.equal((await rauta.ask('/livez')).status, 200);
}

/** A broken file of so many objects: each is a line of the log. */
function broken(n: number, round: number): string {
  return Array.from(
    { length: n },
    (_, i) => `apiVersion: v1\nkind: Service\nmetadata: { name: "Bad ${'x'.repeat(200)} ${round} ${i}" }\n---\n`,
  ).join('');
}

test('the reader of standard error goes away: nothing ends, in no process', async () => {
  const port = await freePort();
  const rauta = await Rauta.start(await files(port), ['--log-level', 'debug']);
  rauta.process.stderr?.destroy();
  rauta.write('bad.yaml', broken(3, 0));
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.includes('bad.yaml'),
  );
  // The keeper tells of its death, the next one of its start.
  const [worker] = await rauta.workers();
  process.kill(worker?.pid as number, 'SIGKILL');
  await until(
    async () =>
      number(rauta.workers().then((all) => all.filter((w) => w.pid !== worker?.pid && w.state === 'serving').length)),
    (a) => a.status === 1,
  );
  assert.equal((await get(rauta.admin, '/log-level', {}, { method: 'PUT', body: 'error' })).status, 200);
  await serves(rauta, port);
  assert.equal(await rauta.stop(), 0);
});

test('a reader of standard error that stands still holds nobody up, and is told what it missed', async () => {
  const port = await freePort();
  const rauta = await Rauta.start(await files(port));
  const { stderr } = rauta.process;
  stderr?.pause();
  for (let round = 0; round < 120; round++) {
    rauta.write('bad.yaml', broken(25, round));
    await until(
      async () => (await rauta.ask('/config/problems')) as Answer,
      (a) => a.body.includes(` ${round} 24`),
    );
  }
  await serves(rauta, port);
  const lost = /^rauta_log_lines_dropped_total (\d+)$/m.exec((await rauta.ask('/metrics')).body)?.[1];
  assert.ok(Number(lost) > 0, 'counted while nobody reads');
  stderr?.resume();
  const said = await rauta.said((line) => line.message.startsWith('lines of this log were lost'));
  assert.ok((said['lines'] as number) > 0);
  for (const line of rauta.log) assert.notEqual(line.level, 'raw', line.message);
  assert.equal(await rauta.stop(), 0);
});

test('a reader of standard output that stands still, or is gone, costs lines of the access log only', async () => {
  const port = await freePort();
  const rauta = await Rauta.start(await files(port));
  rauta.process.stdout?.pause();
  for (let i = 0; i < 100; i++) assert.equal((await get(port, `/${'p'.repeat(900)}`)).status, 200);
  await serves(rauta, port);
  rauta.process.stdout?.destroy();
  await get(port, '/gone');
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.includes('--access-log -: cannot be written: EPIPE'),
  );
  await serves(rauta, port);
  assert.equal(await rauta.stop(), 0);
});

test('a FIFO that nobody reads as access log holds nobody up, and gets its lines when somebody does', async () => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'rauta-fifo-'));
  const fifo = join(folder, 'access');
  execFileSync('mkfifo', [fifo]);
  const rauta = await Rauta.start(await files(port), ['--access-log', fifo]);
  assert.match((await rauta.ask('/config/problems')).body, /--access-log .*: ENXIO \(nobody reads from it\)/);
  await get(port, '/early');
  for (const signal of ['SIGUSR1', 'SIGHUP'] as const) rauta.process.kill(signal);
  await serves(rauta, port);
  const reader = spawn('cat', [fifo], { stdio: ['ignore', 'pipe', 'ignore'] });
  const first = await new Promise<string>((resolve) => reader.stdout.once('data', (part) => resolve(String(part))));
  assert.equal(JSON.parse(first.split('\n')[0] as string).path, '/early');
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.trim() === '[]',
  );
  assert.equal(await rauta.stop(), 0);
  reader.kill();
  rmSync(folder, { recursive: true });
});

test('a full disk is said, and what was lost at the end too', { skip: !existsSync('/dev/full') }, async () => {
  const port = await freePort();
  const rauta = await Rauta.start(await files(port), ['--access-log', '/dev/full']);
  for (let i = 0; i < 5; i++) await get(port, '/x');
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.includes('--access-log /dev/full: cannot be written: ENOSPC'),
  );
  await serves(rauta, port);
  await until(
    async () => (await rauta.ask('/requests')) as Answer,
    (a) => a.body.includes('GET /x 200'),
  );
  assert.equal(await rauta.stop(), 0);
  assert.equal(rauta.log.find((l) => l.message.startsWith('lines of the access log are lost'))?.['lines'], 6);
});

test('a rotation that fails is not called one: the log is opened when it could be', async () => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'rauta-rotated-'));
  const inner = join(folder, 'inner');
  const log = join(inner, 'access.log');
  mkdirSync(inner);
  const rauta = await Rauta.start(await files(port), ['--access-log', log]);
  const opened = (): number => rauta.log.filter((line) => line.message === 'access log opened').length;
  const writes = async (path: string, place: string): Promise<void> => {
    await get(port, path);
    const there = (): boolean => existsSync(place) && readFileSync(place, 'utf8').includes(path);
    await until(
      () => number(Promise.resolve(there() ? 1 : 0)),
      ({ status }) => status === 1,
    );
  };
  await writes('/one', log);
  const before = opened();
  renameSync(inner, join(folder, 'gone'));
  rauta.process.kill('SIGUSR1');
  await rauta.said((line) => line.message.includes('ENOENT'));
  await writes('/two', join(folder, 'gone', 'access.log'));
  mkdirSync(inner);
  await rauta.said('opened after all');
  await writes('/three', log);
  assert.equal(await rauta.stop(), 0);
  assert.equal(opened(), before + 1);
  rmSync(folder, { recursive: true });
});

/** A file system of 64 KB, or null where nothing may be mounted. */
function smallDisk(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return null;
  }
}

const disk = smallDisk();
test('a disk that is full for a while: every line is there, whole and once', { skip: disk === null }, async () => {
  const port = await freePort();
  const [log, filler] = [join(disk as string, 'access.log'), join(disk as string, 'filler')];
  const rauta = await Rauta.start(await files(port), ['--access-log', log]);
  writeFileSync(filler, Buffer.alloc(44 * 1024));
  const paths = Array.from({ length: 60 }, (_, i) => `/${i}-${'p'.repeat(600)}`);
  for (const path of paths) assert.equal((await get(port, path)).status, 200);
  await until(
    async () => (await rauta.ask('/config/problems')) as Answer,
    (a) => a.body.includes('cannot be written: ENOSPC'),
  );
  rmSync(filler);
  const lines = (): string[] => readFileSync(log, 'utf8').split('\n').slice(0, -1);
  await until(
    async () => number(rauta.metric('rauta_access_log_dropped_total').then(() => lines().length)),
    (a) => a.status === paths.length,
  );
  assert.deepEqual(
    lines().map((line) => (JSON.parse(line) as { path: string }).path),
    paths,
  );
  assert.equal(await rauta.metric('rauta_access_log_dropped_total'), 0);
  assert.doesNotMatch((await rauta.ask('/config/problems')).body, /ENOSPC/);
  assert.equal(await rauta.stop(), 0);
});
after(() => {
  if (disk === null) return;
  execFileSync('umount', ['-l', disk]);
  rmSync(disk, { recursive: true });
});

// `--takeover`: a program is replaced by another one while everybody goes on asking.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { kubeconfig } from '../kubernetes/site.ts';
import { backend, backendYaml, Churn, freePort, gateway, get, Load, Rauta, routeYaml, until } from './support.ts';

interface Stage {
  readonly port: number;
  readonly path: string;
  readonly files: Record<string, string>;
  readonly clean: () => void;
}

async function stage(): Promise<Stage> {
  const port = await freePort();
  const app = await backend('app');
  const folder = mkdtempSync(join(tmpdir(), 'rauta-takeover-'));
  return {
    port,
    path: join(folder, 'socket'),
    files: { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    clean: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const messages = (rauta: Rauta): string[] => rauta.log.map((line) => line.message);

test('successors take over under load, one after another, without one failed request', async () => {
  const { port, path, files, clean } = await stage();
  const admin = await freePort();
  // Each has other workers than the one before, and the same admin port.
  const flags = (workers: number): string[] => [
    ...['--takeover', path, '--workers', String(workers)],
    ...['--admin', `127.0.0.1:${admin}`],
  ];
  let current = await Rauta.start(files, flags(2));
  assert.ok(messages(current).includes('listening'));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const [kept, churn] = [new Load(port, '/x', 8), new Churn(port, '/x', 4)];
  await churn.until(() => churn.total >= 50);
  for (const workers of [3, 1]) {
    const next = Rauta.spawn(files, flags(workers));
    await next.said('serving');
    assert.equal(await current.exited, 0, current.text());
    assert.ok(messages(current).includes('handed over, draining'));
    await next.said('admin server');
    next.admin = admin;
    await until(
      async () => (await next.ask('/readyz')) as never,
      (a) => a.status === 200,
    );
    const taken = await next.said('listening socket taken over');
    assert.equal(taken['port'], port);
    assert.ok(!messages(next).includes('listening'), 'what was taken over is not said to be bound');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const before = churn.total;
    await churn.until(() => churn.total >= before + 50);
    await current.stop();
    current = next;
  }
  assert.deepEqual(Object.keys(await churn.stop()), ['200'], JSON.stringify([...churn.counts]));
  const counts = await kept.stop();
  assert.deepEqual(Object.keys(counts), ['200'], JSON.stringify(counts));
  assert.equal(await current.stop(), 0);
  assert.throws(() => statSync(path), 'the last one takes the path with it');
  clean();
});

test('with --after-takeover wait the one that handed over is not ready for it, then waits for SIGTERM', async (t) => {
  const { port, path, files, clean } = await stage();
  const admin = await freePort();
  const flags = ['--takeover', path, '--after-takeover', 'wait', '--admin', `127.0.0.1:${admin}`];
  const first = await Rauta.start(files, flags);
  // This one gets the sockets and never serves: nobody tells it what.
  const nobody = await freePort();
  const waiting = ['--kubernetes', '--kubeconfig', kubeconfig(t, `http://127.0.0.1:${nobody}`)];
  const stuck = Rauta.spawn({}, [...flags, ...waiting]);
  await first.said('a successor takes the listening sockets over');
  const ready = (status: number) =>
    until(
      async () => (await first.ask('/readyz')) as never,
      (a: { status: number }) => a.status === status,
    );
  first.admin = admin;
  await ready(503);
  assert.equal((await get(port, '/x')).status, 200);
  stuck.process.kill('SIGKILL');
  await ready(200);
  const second = Rauta.spawn(files, flags);
  await second.said('serving');
  await first.said('handed over, waiting for the signal to end');
  // Port and path are the successor's, though the first is still there.
  await second.said('opened after all');
  assert.equal(first.process.exitCode, null);
  assert.equal((await get(port, '/x')).status, 200);
  first.process.kill('SIGTERM');
  assert.equal(await first.exited, 0);
  assert.equal((await get(port, '/x')).status, 200);
  assert.equal(await second.stop(), 0);
  clean();
});

test('a predecessor that dies midway leaves its sockets to the successor', async () => {
  const { port, path, files, clean } = await stage();
  const first = await Rauta.start(files, ['--takeover', path]);
  const churn = new Churn(port, '/x', 4);
  await churn.until(() => churn.total >= 50);
  const second = Rauta.spawn(files, ['--takeover', path]);
  await second.said('listening socket taken over');
  first.process.kill('SIGKILL');
  second.admin = (await second.said('admin server'))['port'] as number;
  await second.said('serving');
  const before = churn.total;
  await churn.until(() => churn.total >= before + 50);
  const counts = await churn.stop();
  assert.deepEqual(churn.lost, [], JSON.stringify(counts));
  await until(
    async () => (await second.ask('/readyz')) as never,
    (a) => a.status === 200,
  );
  await first.stop();
  assert.equal(await second.stop(), 0);
  clean();
});

test('a successor that dies before it serves changes nothing', async (t) => {
  const { port, path, files, clean } = await stage();
  const first = await Rauta.start(files, ['--takeover', path]);
  // Nobody tells it what to serve: however slow this test is, it does not begin to.
  const nobody = ['--kubernetes', '--kubeconfig', kubeconfig(t, `http://127.0.0.1:${await freePort()}`)];
  const second = Rauta.spawn({}, ['--takeover', path, ...nobody]);
  await first.said('a successor takes the listening sockets over');
  second.process.kill('SIGKILL');
  await second.exited;
  await first.said('the successor is gone before it served');
  for (let i = 0; i < 20; i++) assert.equal((await get(port, '/x')).status, 200);
  const third = Rauta.spawn(files, ['--takeover', path]);
  await third.said('serving');
  assert.equal(await first.exited, 0);
  for (let i = 0; i < 20; i++) assert.equal((await get(port, '/x')).status, 200);
  await first.stop();
  await second.stop();
  assert.equal(await third.stop(), 0);
  clean();
});

test('a path that cannot be used ends the start', async () => {
  const { files, clean } = await stage();
  const rauta = Rauta.spawn(files, ['--takeover', '/proc/nowhere/socket']);
  await rauta.said((line) => /--takeover .*: E/.test(line.message));
  assert.equal(await rauta.exited, 3);
  clean();
});

test('a successor whose files have errors is refused, and the one that runs goes on with what they last said', async () => {
  const { port, path, files, clean } = await stage();
  const flags = ['--takeover', path];
  const current = await Rauta.start(files, flags);
  const broken = (files['a.yaml'] as string).replace('rules:', 'rules: [');
  current.write('a.yaml', broken);
  await current.said((line) => line.level === 'error' && line['file'] !== undefined);
  const next = Rauta.spawn({ 'a.yaml': broken }, flags);
  assert.equal(await next.exited, 1, next.text());
  const why = next.log.find((line) => line.message.startsWith('not taking over'))?.message ?? next.text();
  assert.match(
    why,
    /^not taking over with errors in the configuration \(--lenient does\): \S+a\.yaml:\d+:\d+: error: /,
  );
  assert.equal((await get(port, '/x')).status, 200);
  assert.ok(!messages(current).includes('handed over, draining'));
  // Whoever wants it all the same says so.
  const lenient = Rauta.spawn({ 'a.yaml': broken, 'b.yaml': gateway(port) }, [...flags, '--lenient']);
  await lenient.said('serving');
  assert.equal(await current.exited, 0);
  assert.equal((await get(port, '/x')).status, 404);
  assert.equal(await lenient.stop(), 0);
  clean();
});

test('of two successors at once one takes over, the other one is told to go, and no request fails', async () => {
  const { port, path, files, clean } = await stage();
  let first = await Rauta.start(files, ['--takeover', path]);
  const churn = new Churn(port, '/x', 4);
  await churn.until(() => churn.total >= 50);
  const start = async (): Promise<{ both: Rauta[]; loser: Rauta | undefined }> => {
    const both = [Rauta.spawn(files, ['--takeover', path]), Rauta.spawn(files, ['--takeover', path])];
    const refused = both.map(async (one) => {
      await one.said((line) => line.message.includes('is taking over already'));
      return one;
    });
    return { both, loser: await Promise.any(refused).catch(() => undefined) };
  };
  let { both, loser } = await start();
  while (loser === undefined) {
    // One was so much later that it took over from the other, which is as right: once more.
    await first.stop();
    const [last, ...gone] = both.toSorted(
      (a, b) => Number(b.process.exitCode === null) - Number(a.process.exitCode === null),
    );
    for (const one of gone) assert.equal(await one.stop(), 0, one.text());
    first = last as Rauta;
    ({ both, loser } = await start());
  }
  const winner = both.find((one) => one !== loser) as Rauta;
  assert.equal(await loser.exited, 3);
  assert.match(loser.text(), new RegExp(`--takeover .*: the program that runs .*pid ${winner.process.pid} `));
  await winner.said('serving');
  assert.equal(await first.exited, 0);
  const before = churn.total;
  await churn.until(() => churn.total >= before + 50);
  assert.deepEqual(Object.keys(await churn.stop()), ['200'], JSON.stringify([...churn.counts]));
  assert.ok(statSync(path).isSocket(), 'neither of those that ended took it away');
  await loser.stop();
  await first.stop();
  assert.equal(await winner.stop(), 0);
  clean();
});

test('a file at the path is refused, and stays', async () => {
  const { path, files, clean } = await stage();
  writeFileSync(path, 'precious');
  const rauta = Rauta.spawn(files, ['--takeover', path]);
  const said = await rauta.said((line) => line.message.includes('--takeover'));
  assert.match(said.message, /there is something there that is no socket, and it stays/);
  assert.equal(await rauta.exited, 3);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
  await rauta.stop();
  clean();
});

// Under a supervisor such as systemd: what it is told, what it passes, and a reload that is a takeover.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type NativeIo, openNative } from '../../src/native/index.ts';
import { NotifySocket } from '../support/notify-socket.ts';
import {
  askOnce,
  backend,
  backendYaml,
  childrenOf,
  freePort,
  gateway,
  get,
  Load,
  Rauta,
  routeYaml,
} from './support.ts';

const BIN = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
const io: NativeIo = openNative({ arenaBytes: 1 << 16 });
const folder = mkdtempSync(join(tmpdir(), 'rauta-supervised-'));
const detached: ChildProcess[] = [];
after(() => {
  for (const child of detached) child.kill('SIGKILL');
  io.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const files = (port: number, to: number): Record<string, string> => ({
  'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', to),
});

const starts =
  (...words: readonly string[]) =>
  (message: string): boolean =>
    words.some((word) => message.startsWith(word));

test('a supervisor is told of the start, of a reload, of each beat and of the end; nobody else is', async () => {
  const name = join(folder, 'notify');
  const supervisor = new NotifySocket(io, name);
  const app = await backend('app');
  const rauta = await Rauta.start(files(await freePort(), app.port), [], {
    NOTIFY_SOCKET: name,
    WATCHDOG_USEC: '100000',
  });
  const pid = rauta.process.pid as number;
  assert.equal(await supervisor.said(starts('READY=1')), `READY=1\nMAINPID=${pid}\nSTATUS=serving revision 1\n`);
  for (const child of childrenOf(pid))
    assert.ok(!readFileSync(`/proc/${child.pid}/environ`, 'utf8').includes('NOTIFY_SOCKET'), child.command);
  supervisor.messages.length = 0;
  const before = process.hrtime.bigint() / 1000n;
  rauta.process.kill('SIGHUP');
  const [, since = ''] = /\nMONOTONIC_USEC=(\d+)\n/.exec(await supervisor.said(starts('RELOADING=1'))) ?? [];
  assert.ok(BigInt(since) >= before && BigInt(since) <= process.hrtime.bigint() / 1000n, since);
  assert.equal(await supervisor.said(starts('READY=1')), 'READY=1\nSTATUS=serving revision 1\n');
  for (let i = 0; i < 3; i++) {
    supervisor.messages.length = 0;
    await supervisor.said(starts('WATCHDOG=1'));
  }
  rauta.process.kill('SIGTERM');
  await supervisor.said(starts('STOPPING=1'));
  await rauta.stop();
  supervisor.close();
});

test('a socket in the abstract namespace is told, too; one that is not there is said once and nothing else', async () => {
  const app = await backend('app');
  const supervisor = new NotifySocket(io, `@rauta-test-${process.pid}`);
  const rauta = await Rauta.start(files(await freePort(), app.port), [], {
    NOTIFY_SOCKET: `@rauta-test-${process.pid}`,
  });
  await supervisor.said(starts('READY=1'));
  await rauta.stop();
  supervisor.close();
  const gone = await Rauta.start(files(await freePort(), app.port), [], { NOTIFY_SOCKET: join(folder, 'gone') });
  const said = await gone.said('cannot notify the supervisor');
  assert.deepEqual([said['socket'], said['reason']], [join(folder, 'gone'), 'ENOENT']);
  assert.equal(await gone.stop(), 0);
  assert.equal(gone.log.filter((line) => line.message === 'cannot notify the supervisor').length, 1);
});

test('a reload by --takeover --detach: the supervisor learns who is to be asked, no request fails, the watchdog goes on', async () => {
  const [name, path] = [join(folder, 'notify-reload'), join(folder, 'takeover')];
  const supervisor = new NotifySocket(io, name);
  const port = await freePort();
  const app = await backend('app');
  // As systemd does: the watchdog is for the main process alone.
  const first = await Rauta.start(files(port, app.port), ['--takeover', path], {
    NOTIFY_SOCKET: name,
    WATCHDOG_USEC: '200000',
  });
  const load = new Load(port, '/x', 4);
  const reload = (config: string): Promise<{ code: number | null; err: string }> => {
    const flags = ['--takeover', path, '--detach', '--admin', '127.0.0.1:0', '--listen', '127.0.0.1', '--workers', '1'];
    const child = spawn(BIN, ['serve', '--config', config, ...flags, '--log-format', 'json', '--access-log', 'off'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NOTIFY_SOCKET: name },
    });
    detached.push(child);
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      err += part;
    });
    // What goes on in the background has standard error, too: it is this command's end that counts.
    return new Promise((resolve) => child.on('exit', (code) => resolve({ code, err })));
  };
  const refused = await reload(join(folder, 'no-such-folder'));
  assert.equal(refused.code, 1, 'the one that runs goes on, and whoever asked is told');
  assert.match(refused.err, /no-such-folder/);
  const broken = join(folder, 'broken');
  mkdirSync(broken);
  writeFileSync(join(broken, 'a.yaml'), 'kind: [\n');
  const failed = await reload(broken);
  assert.equal(failed.code, 1, failed.err);
  assert.match(failed.err, /not taking over with errors in the configuration/);
  assert.equal(first.process.exitCode, null);
  // Whatever a program of the service says is said of the service.
  assert.ok(!supervisor.messages.some(starts('STOPPING=1')), supervisor.messages.join());
  supervisor.messages.length = 0;
  const taken = await reload(first.folder);
  assert.equal(taken.code, 0, taken.err);
  const ready = await supervisor.said(starts('READY=1'));
  const pid = Number(/\nMAINPID=(\d+)\n/.exec(ready)?.[1]);
  assert.notEqual(pid, first.process.pid);
  assert.equal(await first.exited, 0);
  assert.ok(!supervisor.messages.some(starts('STOPPING=1')), 'the service as a whole does not stop');
  supervisor.messages.length = 0;
  await supervisor.said(starts('WATCHDOG=1'));
  assert.deepEqual(Object.keys(await load.stop()), ['200']);
  assert.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /main\.js\0serve/);
  process.kill(pid, 'SIGTERM');
  await supervisor.said(starts('STOPPING=1'));
  await first.stop();
  supervisor.close();
});

test('sockets that were passed are served, what cannot be used is said, and connections outlive the program', async () => {
  const [port, idle] = [await freePort(), await freePort()];
  const app = await backend('app');
  const listen = (at: number): number => {
    const handle = io.listen({ family: 'ipv4', address: '127.0.0.1', port: at }, { reusePort: false, backlog: 16 });
    assert.ok(handle >= 0);
    return io.fdOf(handle);
  };
  const [web, unused] = [listen(port), listen(idle)];
  const datagrams = io.fdOf(io.datagrams.bind({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { first: true }));
  const start = (): Rauta =>
    Rauta.spawn(files(port, app.port), ['--workers', '2'], { LISTEN_FDNAMES: 'web:unused:dns' }, null, [
      web,
      unused,
      datagrams,
    ]);
  // Whoever comes before the program waits.
  const early = askOnce(port, '/early');
  const first = start();
  assert.equal(await early, '200');
  await first.said('serving');
  assert.equal((await first.said('listening socket was passed'))['name'], 'web');
  const bad = await first.said('a descriptor passed by LISTEN_FDS cannot be used');
  assert.deepEqual([bad['fd'], bad['name'], bad['reason']], [5, 'dns', 'it is no socket of TCP']);
  const left = await first.said('a socket passed by LISTEN_FDS is asked for by no listener');
  assert.deepEqual([left['name'], left['port']], ['unused', idle]);
  for (let i = 0; i < 20; i++) assert.equal((await get(port, `/${i}`)).status, 200);
  assert.equal(await first.stop(), 0);
  // Nobody serves now; the socket is still there, and what connects waits for the next one.
  const between = askOnce(port, '/between');
  const second = start();
  assert.equal(await between, '200');
  assert.equal(await second.stop(), 0);
});

test('descriptors that are meant for another process are left alone', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(files(port, app.port), [], { LISTEN_FDS: '1', LISTEN_PID: '1' });
  assert.equal((await get(port, '/')).status, 200);
  assert.equal(rauta.log.filter((line) => line.message.includes('LISTEN_FDS')).length, 0);
  await rauta.stop();
});

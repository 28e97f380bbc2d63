// The unit under systemd itself: its own manager of a user, in a mount namespace and a cgroup of its own. What a user's
// manager cannot do (another user, capabilities, protections) is left out of the unit here; `systemd-analyze verify`
// reads the whole (test/dist/install.test.ts).

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Churn, freePort, gateway, get, READY_MS } from './support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const MANAGER = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'].find((path) => existsSync(path));
const CGROUPS = '/sys/fs/cgroup/systemd';
const folder = mkdtempSync(join(tmpdir(), 'rauta-systemd-'));
const [home, runtime, config] = ['home', 'run', 'conf'].map((name) => join(folder, name)) as [string, string, string];
const units = join(home, '.config/systemd/user');
const cgroup = join(CGROUPS, `rauta-test-${process.pid}`);
/** Lines of the unit that only the system's manager takes, or that name what a test has elsewhere. */
const LEFT_OUT =
  /^(User|Ambient|Capab|Protect|Private|Runtime|Restrict|EnvironmentFile|NoNew|After|Wants|LimitNO|Environment)\w*=.*\n/gm;

let manager: ChildProcess | null = null;
let port = 0;
/** It may not be allowed to make what it needs, as in a container. */
let up = false;

function reason(): string | null {
  if (MANAGER === undefined) return 'no systemd here';
  if (process.getuid?.() !== 0) return 'not root: a namespace of its own cannot be made';
  if (!existsSync(join(CGROUPS, 'cgroup.procs'))) return 'no hierarchy of cgroups that systemd would use';
  return null;
}
const skip = reason() ?? false;
/** Far more than any turn of the keeper takes, where two cores have much else to do. */
const WATCHDOG_S = 8;

/** One command of systemctl, within the namespace of the manager. */
function systemctl(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const within = ['-t', String(manager?.pid), '-m', 'systemctl', '--user', ...argv];
  return new Promise((resolve) => {
    execFile(
      'nsenter',
      within,
      { env: { PATH: process.env['PATH'], XDG_RUNTIME_DIR: runtime }, timeout: 60_000 },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out: out.trim(), err }),
    );
  });
}

async function property(name: string): Promise<string> {
  return (await systemctl('show', '-p', name, '--value', 'rauta')).out;
}

async function when(name: string, is: (value: string) => boolean): Promise<string> {
  for (;;) {
    const value = await property(name);
    if (is(value)) return value;
  }
}

before(async () => {
  if (skip !== false) return;
  port = await freePort();
  for (const path of [units, runtime, config, cgroup]) mkdirSync(path, { recursive: true, mode: 0o700 });
  writeFileSync(join(config, 'a.yaml'), gateway(port));
  const variables = [
    `RAUTA_CONFIG=${config} RAUTA_TAKEOVER=${join(folder, 'takeover.sock')} RAUTA_LISTEN=127.0.0.1`,
    `RAUTA_ADMIN=127.0.0.1:0 RAUTA_WORKERS=1 RAUTA_USER=root RAUTA_ACCESS_LOG=off`,
  ].join(' ');
  const unit = readFileSync(join(root, 'tools/dist/rauta.service'), 'utf8')
    .replaceAll('/opt/rauta/', root)
    .replaceAll(LEFT_OUT, '')
    .replace('WatchdogSec=30', `WatchdogSec=${WATCHDOG_S}`)
    .replace('[Service]\n', `[Service]\nEnvironment=${variables}\n`);
  writeFileSync(join(units, 'rauta.service'), unit);
  writeFileSync(join(units, 'rauta.socket'), `[Socket]\nListenStream=127.0.0.1:${port}\n`);
  // It wants to see that the machine runs systemd, which is for it to see alone.
  const script = `echo $$ >${cgroup}/cgroup.procs && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system &&
exec ${MANAGER} --user --log-target=console`;
  manager = spawn('unshare', ['--mount', 'sh', '-c', script], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: runtime },
  });
  let gone = false;
  manager.on('exit', () => {
    gone = true;
  });
  for (const late = performance.now() + READY_MS; performance.now() < late && !gone && !up; )
    up = /running|degraded/.test((await systemctl('is-system-running')).out);
});

after(async () => {
  if (manager !== null && manager.exitCode === null) {
    await systemctl('stop', 'rauta.socket', 'rauta.service');
    const ended = new Promise((resolve) => manager?.once('exit', resolve));
    manager.kill('SIGTERM');
    await ended;
    // It takes away what it made, and most often the one that it was given, too.
    if (existsSync(cgroup)) rmdirSync(cgroup);
  }
  rmSync(folder, { recursive: true, force: true });
});

function underSystemd(name: string, run: () => Promise<void>): void {
  test(name, { skip, timeout: 240_000 }, async (t) => {
    if (up) await run();
    else t.skip('no manager of a user can be started here');
  });
}

underSystemd('it is started when it serves, and a reload is a takeover without a lost request', async () => {
  const started = await systemctl('start', 'rauta');
  assert.equal(started.code, 0, started.err);
  assert.equal((await get(port, '/')).status, 404);
  assert.match(await property('StatusText'), /^serving revision \d+$/);
  const churn = new Churn(port, '/', 4);
  for (let i = 0; i < 2; i++) {
    const [main, seen] = [await property('MainPID'), churn.total];
    await churn.until(() => churn.total > seen + 20);
    const reloaded = await systemctl('reload', 'rauta');
    assert.equal(reloaded.code, 0, reloaded.err);
    assert.notEqual(await property('MainPID'), main);
  }
  const seen = churn.total;
  await churn.until(() => churn.total > seen + 20);
  assert.deepEqual(Object.keys(await churn.stop()), ['404']);
});

underSystemd('a reload that cannot be fails, and the one that serves goes on, watched as before', async () => {
  const main = await property('MainPID');
  writeFileSync(join(config, 'b.yaml'), 'kind: [\n');
  assert.equal((await systemctl('reload', 'rauta')).code, 1);
  rmSync(join(config, 'b.yaml'));
  assert.deepEqual([await property('MainPID'), await property('ActiveState')], [main, 'active']);
  assert.equal((await get(port, '/')).status, 404);
  // Signs of life go on past the time in which there has to be one.
  const first = await property('WatchdogTimestampMonotonic');
  await when('WatchdogTimestampMonotonic', (value) => Number(value) > Number(first) + 1.5e6 * WATCHDOG_S);
  assert.deepEqual([await property('MainPID'), await property('NRestarts')], [main, '0']);
});

underSystemd('a keeper that stands still is replaced', async () => {
  const main = await property('MainPID');
  process.kill(Number(main), 'SIGSTOP');
  await when('NRestarts', (value) => value === '1');
  await when('SubState', (value) => value === 'running');
  assert.notEqual(await property('MainPID'), main);
  assert.equal((await get(port, '/')).status, 404);
  assert.equal((await systemctl('stop', 'rauta')).code, 0);
  assert.equal(await property('Result'), 'success');
});

underSystemd('a socket of systemd starts it, and no connection is lost over a restart and a reload', async () => {
  assert.equal((await systemctl('start', 'rauta.socket')).code, 0);
  assert.equal((await get(port, '/')).status, 404, 'whoever comes first starts it');
  const churn = new Churn(port, '/', 4);
  await churn.until(() => churn.total > 20);
  assert.equal((await systemctl('restart', 'rauta')).code, 0);
  assert.equal((await systemctl('reload', 'rauta')).code, 0);
  const seen = churn.total;
  await churn.until(() => churn.total > seen + 20);
  assert.deepEqual(Object.keys(await churn.stop()), ['404']);
});

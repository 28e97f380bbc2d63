// `make install` into a folder of its own: what is where it is looked for, and it serves from there.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, gateway, get } from '../process/support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rauta-install-'));
const running: ChildProcess[] = [];
after(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function run(what: string, destination: string, prefix = '/usr'): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, 'tools/dist/install.ts'), what],
    { encoding: 'utf8', env: { ...process.env, PREFIX: prefix, DESTDIR: destination } },
  );
  return { code: status, out: stdout, err: stderr };
}

/** Paths of files and links below a folder. */
function files(at: string): string[] {
  return readdirSync(at, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(at.length));
}

test('what is installed serves from there, by the unit’s own variables, and goes away whole', async () => {
  const destination = join(folder, 'a');
  mkdirSync(destination);
  const installed = run('install', destination);
  assert.equal(installed.code, 0, installed.err);
  assert.equal(readlinkSync(join(destination, 'usr/bin/rauta')), '../lib/rauta/bin/rauta');
  const unit = readFileSync(join(destination, 'usr/lib/systemd/system/rauta.service'), 'utf8');
  assert.match(unit, /^ExecStart=\/usr\/lib\/rauta\/bin\/rauta serve$/m);
  assert.match(unit, /^ExecReload=\/usr\/lib\/rauta\/bin\/rauta serve --detach$/m);
  assert.ok(!unit.includes(destination) && !unit.includes('/opt/'), 'DESTDIR is where it is put, not where it runs');

  const config = join(folder, 'config');
  mkdirSync(config);
  const port = await freePort();
  writeFileSync(join(config, 'a.yaml'), gateway(port));
  const env = Object.fromEntries([...unit.matchAll(/(RAUTA_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]));
  assert.deepEqual(env, { RAUTA_CONFIG: '/etc/rauta', RAUTA_TAKEOVER: '/run/rauta/takeover.sock' });
  const child = spawn(join(destination, 'usr/bin/rauta'), ['serve'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      RAUTA_CONFIG: config,
      RAUTA_TAKEOVER: join(folder, 'takeover.sock'),
      RAUTA_LISTEN: '127.0.0.1',
      RAUTA_ADMIN: '127.0.0.1:0',
      RAUTA_WORKERS: '1',
    },
  });
  running.push(child);
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`ended with ${code}: ${log}`)));
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      log += part;
      if (log.includes('"serving"')) resolve();
    });
  });
  assert.equal((await get(port, '/')).status, 404);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  assert.equal(await ended, 0);

  // Again over what is there, as an upgrade does; then away.
  assert.equal(run('install', destination).code, 0);
  assert.deepEqual(readdirSync(join(destination, 'usr/lib')).sort(), ['rauta', 'systemd']);
  const removed = run('uninstall', destination);
  assert.equal(removed.code, 0, removed.err);
  assert.deepEqual(files(destination), []);
});

test('completions lie where shells look, and what is somebody else’s is left alone', () => {
  const destination = join(folder, 'b');
  mkdirSync(join(destination, 'usr/local/lib/rauta'), { recursive: true });
  writeFileSync(join(destination, 'usr/local/lib/rauta/theirs'), '');
  for (const what of ['install', 'uninstall']) {
    const refused = run(what, destination, '/usr/local');
    assert.equal(refused.code, 1);
    assert.match(refused.err, /usr\/local\/lib\/rauta is there and is not RAUTA's/);
  }
  assert.deepEqual(files(destination), ['/usr/local/lib/rauta/theirs']);
  rmSync(join(destination, 'usr/local/lib/rauta'), { recursive: true });
  assert.equal(run('install', destination, 'usr').code, 1, 'a PREFIX is absolute');
  assert.equal(run('install', destination, '/usr/local').code, 0);
  const share = join(destination, 'usr/local/share');
  const bash = join(share, 'bash-completion/completions/rauta');
  assert.equal(
    execFileSync('bash', ['-c', `. ${bash} && complete -p rauta`], { encoding: 'utf8' }),
    'complete -F _rauta rauta\n',
  );
  assert.match(readFileSync(join(share, 'zsh/site-functions/_rauta'), 'utf8'), /^#compdef rauta\n/);
  assert.match(readFileSync(join(share, 'fish/vendor_completions.d/rauta.fish'), 'utf8'), /^complete -c rauta /m);
  assert.equal(statSync(join(destination, 'usr/local/lib/rauta/bin/rauta')).mode & 0o777, 0o755);
  assert.equal(statSync(bash).mode & 0o777, 0o644);
});

const skip = spawnSync('systemd-analyze', ['--version']).error === undefined ? false : 'no systemd-analyze here';
test('the unit is one that systemd understands', { skip }, () => {
  const destination = join(folder, 'b');
  const { status, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', '--man=no', '--recursive-errors=no', `--root=${destination}`, 'rauta.service'],
    { encoding: 'utf8' },
  );
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
});

test('make install and make uninstall are these', () => {
  for (const what of ['install', 'uninstall']) {
    const said = execFileSync('make', ['-n', what, 'PREFIX=/p', 'DESTDIR=/d'], { cwd: root, encoding: 'utf8' });
    assert.match(said, new RegExp(`PREFIX="/p" DESTDIR="/d" sh bin/node .*tools/dist/install\\.ts ${what}`));
  }
});

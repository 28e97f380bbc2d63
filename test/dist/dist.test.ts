// What `make dist` and `make image` give: the same bytes each time, small, nothing in it that the inventory does not
// name, and it runs where there is nothing else: no package, no compiler, no shell.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get as ask } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { AGAIN } from '../../src/main/privileges.ts';
import { archiveEntries } from '../../tools/dist/dist.ts';
import { needs, withoutSymbols } from '../../tools/dist/elf.ts';
import { entrypoint, USER, writeImage } from '../../tools/dist/oci.ts';
import { type Program, program } from '../../tools/dist/program.ts';
import { complete, type Entry, file, tar, untar } from '../../tools/dist/tar.ts';

const MB = 1_000_000;
const SECONDS = 1_700_000_000;
const folder = mkdtempSync(join(tmpdir(), 'rauta-dist-test-'));
chmodSync(folder, 0o755);
const running: ChildProcess[] = [];
after(() => {
  for (const child of running) end(child);
  rmSync(folder, { recursive: true, force: true });
});

let built: Program | null = null;
const once = (): Program => {
  built ??= program();
  return built;
};
let imageAt: Promise<string> | null = null;
/** The layout, made once. */
const image = (): Promise<string> => {
  const at = join(folder, 'image');
  imageAt ??= writeImage(once(), at, SECONDS).then(() => at);
  return imageAt;
};
const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const digests = ({ entries }: Program): string[] =>
  entries.map(({ path, mode, data }) => `${path} ${mode} ${digest(data ?? Buffer.alloc(0))}`).sort();
const bytes = (entries: readonly Entry[]): number => entries.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/** A blob whose digest and size are what whoever names it says. */
function blob(at: string, { digest: name, size }: Descriptor): Buffer {
  const data = readFileSync(join(at, 'blobs', name.replace(':', '/')));
  assert.equal(`sha256:${digest(data)}`, name);
  assert.equal(data.length, size);
  return data;
}

async function layerOf(at: string): Promise<{ config: Record<string, never>; layer: Buffer }> {
  const index = JSON.parse(readFileSync(join(at, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
  const manifest = JSON.parse(blob(at, index.manifests[0] as Descriptor).toString()) as {
    config: Descriptor;
    layers: Descriptor[];
  };
  return {
    config: JSON.parse(blob(at, manifest.config).toString()),
    layer: gunzipSync(blob(at, manifest.layers[0] as Descriptor)),
  };
}

test('entries survive an archive: long names, attributes, links', () => {
  const value = Buffer.from([0, 10, 61, 255, 0]);
  const entries = complete([
    file(`${'long/'.repeat(30)}name`, 'x'.repeat(513)),
    { ...file('a', ''), mode: 0o755, attributes: { 'security.capability': value } },
    { path: 'z', kind: 'link', mode: 0o777, target: 'a' },
  ]);
  const archive = Buffer.concat([...tar(entries, SECONDS)]);
  const back = untar(archive);
  assert.deepEqual(
    back.map(({ path, kind, mode, target, data }) => `${kind} ${path} ${mode} ${target} ${data?.length}`),
    entries.map(({ path, kind, mode, target = '', data }) => `${kind} ${path} ${mode} ${target} ${data?.length ?? 0}`),
  );
  assert.deepEqual(back[0]?.attributes?.['security.capability'], value);
  // And as another program reads it.
  const listed = execFileSync('tar', ['tvf', '-'], { input: archive, encoding: 'utf8' });
  assert.equal(listed.trim().split('\n').length, entries.length);
  assert.throws(() => complete([file('a', ''), file('a', '')]), /two entries/);
});

test('an ELF file without symbols is as long as what is loaded, and asks for the same libraries', () => {
  const node = readFileSync(process.execPath);
  const less = withoutSymbols(node);
  assert.ok(less.length < node.length * 0.85, `${less.length} of ${node.length}`);
  assert.deepEqual(needs(less), needs(node));
  assert.match(needs(less).interpreter ?? '', /ld-linux/);
  assert.ok(needs(less).libraries.includes('libc.so.6'));
  assert.throws(() => withoutSymbols(Buffer.from('#!/bin/sh')), /no ELF/);
});

test('two builds are equal byte for byte', (t) => {
  if (!once().reproducible) {
    t.skip('no mount is allowed here: the compile cache names the folder it was made in');
    return;
  }
  assert.deepEqual(digests(program()), digests(once()));
});

test('the archive: under 150 MB, without type checker, linter and tests', () => {
  const entries = archiveEntries(once());
  assert.ok(bytes(entries) < 150 * MB, `${bytes(entries)} bytes`);
  const paths = entries.map(({ path }) => path);
  assert.deepEqual(
    paths.filter((path) => /\.ts$|typescript|biome|\.test\.|\/test\/|fast-check/.test(path)),
    [],
  );
  assert.ok(paths.some((path) => path.endsWith('/LICENSE')) && paths.some((path) => path.endsWith('/README')));
});

/** Every file has exactly one owner in the inventory, with its digest, and nothing else is named there. */
function inventoried(inventory: Buffer, entries: readonly Entry[], itself: string): void {
  interface Component {
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly properties: readonly { name: string; value: string }[];
  }
  const document = JSON.parse(inventory.toString()) as {
    bomFormat: string;
    metadata: { component: Component };
    components: Component[];
  };
  assert.equal(document.bomFormat, 'CycloneDX');
  const all = [document.metadata.component, ...document.components];
  for (const { name, version, purl } of all) assert.ok(version !== '' && purl.startsWith('pkg:'), name);
  const named = all.flatMap(({ properties }) => properties.map(({ value }) => value)).sort();
  const there = entries
    .filter(({ kind, path }) => kind !== 'directory' && path !== itself)
    .map(({ path, data }) => `${path} ${digest(data ?? Buffer.alloc(0))}`)
    .sort();
  assert.deepEqual(named, there);
}

test('the inventory names what is in the archive, no more and no less', () => {
  const entries = archiveEntries(once());
  const top = entries[0]?.path as string;
  const own = entries.map((entry) => ({ ...entry, path: entry.path.slice(top.length + 1) }));
  const itself = own.find(({ path }) => path === 'sbom.cdx.json');
  inventoried(itself?.data as Buffer, own, 'sbom.cdx.json');
});

test('the image: an OCI layout whose digests hold, with user, labels and an inventory of every file', async () => {
  const { config, layer } = await layerOf(await image());
  const { config: settings, rootfs } = config as unknown as {
    config: { User: string; Entrypoint: string[]; Labels: Record<string, string> };
    rootfs: { diff_ids: string[] };
  };
  assert.deepEqual(rootfs.diff_ids, [`sha256:${digest(layer)}`]);
  assert.equal(settings.User, `${USER}:${USER}`);
  assert.deepEqual(settings.Entrypoint, entrypoint());
  assert.equal(settings.Labels['org.opencontainers.image.version'], once().version);
  const entries = untar(layer);
  assert.ok(bytes(entries) < 150 * MB, `${bytes(entries)} bytes`);
  const itself = 'opt/rauta/sbom.cdx.json';
  inventoried(entries.find(({ path }) => path === itself)?.data as Buffer, entries, itself);
  // Revision 2; SETPCAP and NET_BIND_SERVICE permitted, nothing effective by itself.
  const capability = entries.find(({ path }) => path === 'opt/rauta/bin/node')?.attributes?.['security.capability'];
  assert.equal(capability?.toString('hex'), '0000000200050000000000000000000000000000');
});

test('the Dockerfile says of the image what we make', () => {
  const text = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8').replaceAll('\\\n', '');
  const line = (name: string): string => new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? '';
  assert.deepEqual(JSON.parse(line('ENTRYPOINT')), entrypoint());
  assert.equal(line('USER'), `${USER}:${USER}`);
});

function unpack(archive: Buffer, to: string): void {
  mkdirSync(to, { recursive: true });
  const path = `${to}.tar`;
  writeFileSync(path, archive);
  execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-xpf', path, '-C', to], { stdio: 'pipe' });
  rmSync(path);
}

const resources = (port: number): string =>
  `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: g }
spec: { gatewayClassName: rauta, listeners: [{ name: http, port: ${port}, protocol: HTTP }] }
`;
const FLAGS = ['--listen', '127.0.0.1', '--admin', '127.0.0.1:0', '--workers', '1', '--log-format', 'json'];

interface Line {
  readonly level: string;
  readonly message: string;
}

/** Starts a program and reads its log until it serves. */
async function serving(command: string, args: readonly string[]): Promise<{ child: ChildProcess; log: Line[] }> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env['PATH'] ?? '' } });
  running.push(child);
  const log: Line[] = [];
  let text = '';
  const ready = new Promise<void>((resolve, reject) => {
    child.on('exit', () => reject(new Error(`ended before it served: ${text}`)));
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      const lines = text.split('\n');
      for (const line of lines.slice(log.length, -1)) log.push(JSON.parse(line));
      if (log.some(({ message }) => message === 'serving')) resolve();
    });
  });
  await ready;
  return { child, log };
}

const status = (port: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    ask({ host: '127.0.0.1', port, agent: false }, (answer) => resolve(answer.resume().statusCode)).on('error', reject);
  });

async function freePort(from: number, to: number): Promise<number> {
  for (let port = from; port < to; port++) {
    const server = createServer();
    const got = await new Promise<boolean>((resolve) =>
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
    );
    if (!got) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error(`no free port from ${from} to ${to}`);
}

test('the unpacked archive serves, from a compile cache that nobody has to fill', async () => {
  const to = join(folder, 'archive');
  unpack(Buffer.concat([...tar(archiveEntries(once()), SECONDS)]), to);
  const [top] = readdirSync(to) as [string];
  const config = join(folder, 'config');
  mkdirSync(config);
  const port = await freePort(20_000, 30_000);
  writeFileSync(join(config, 'a.yaml'), resources(port));
  const before = readdirSync(join(to, top), { recursive: true }).sort();
  const { child, log } = await serving(join(to, top, 'bin/rauta'), ['serve', '--config', config, ...FLAGS]);
  assert.equal(await status(port), 404);
  assert.deepEqual(
    log.filter(({ level }) => level !== 'info'),
    [],
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.deepEqual(readdirSync(join(to, top), { recursive: true }).sort(), before);
});

/** Runs commands in `root` as the image's user, with a bounding set as a container's. */
function contained(root: string, capabilities: readonly string[], command: readonly string[]): string[] {
  // What it takes to get there; none of it is permitted to whoever is there.
  const way = ['sys_chroot', 'setuid', 'setgid', ...capabilities].map((name) => `+${name}`);
  return [
    ...['--mount', '--pid', '--fork', '--kill-child', `--mount-proc=${root}/proc`, 'sh', '-c'],
    ...['mount --bind /dev "$0/dev" && exec "$@"', root],
    ...['setpriv', `--bounding-set=-all,${way.join(',')}`, 'chroot', `--userspec=${USER}:${USER}`, root, ...command],
  ];
}

test('the unpacked image serves port 80 and the like as nobody; its children may nothing in any thread', async (t) => {
  if (process.getuid?.() !== 0 || spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0) {
    t.skip('not root, or namespaces are refused');
    return;
  }
  if (spawnSync('setpriv', ['--version']).status !== 0) {
    t.skip('there is no setpriv');
    return;
  }
  const root = join(folder, 'root');
  unpack((await layerOf(await image())).layer, root);
  mkdirSync(join(root, 'etc/rauta'));
  const port = await freePort(600, 1_023);
  writeFileSync(join(root, 'etc/rauta/a.yaml'), resources(port));
  const command = [...entrypoint(), 'serve', '--config', '/etc/rauta', ...FLAGS];
  const { child } = await serving('unshare', contained(root, ['net_bind_service', 'setpcap'], command));
  assert.equal(await status(port), 404);
  const all = descendants(child.pid as number).sort((a, b) => a.pid - b.pid);
  // The first of each: a spare worker that is being started has not let go yet.
  const seen = ['controller', 'worker'].map(
    (role) => all.find(({ args }) => args.includes(role) && args.at(-1) === AGAIN) as Process,
  );
  for (const { pid, args } of seen)
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
      const rights = [...text.matchAll(/^(Cap\w+|NoNewPrivs):\s*(\w+)$/gm)].map(([, name, value]) => [name, value]);
      const none = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => [name, '0'.repeat(16)]);
      assert.deepEqual(rights, [...none, ['NoNewPrivs', '1']], args.join(' '));
      assert.match(text, new RegExp(`^Uid:\\s+${USER}\\s+${USER}\\s+${USER}\\s`, 'm'));
    }
  end(child);
});

test('without any capability the image starts as well', async (t) => {
  if (process.getuid?.() !== 0 || spawnSync('setpriv', ['--version']).status !== 0) {
    t.skip('not root, or no setpriv');
    return;
  }
  const root = join(folder, 'root');
  const done = spawnSync('unshare', contained(root, [], [...entrypoint(), 'version']), { encoding: 'utf8' });
  assert.equal(done.stdout, `rauta ${once().version}\n`, done.stderr);
});

/** With everything below it: who changed users no longer dies with who started it. */
function end(child: ChildProcess): void {
  child.stderr?.destroy();
  if (child.exitCode !== null || child.signalCode !== null) return;
  for (const { pid } of descendants(child.pid as number)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It died with another one.
    }
  }
  child.kill('SIGKILL');
}

interface Process {
  readonly pid: number;
  readonly args: readonly string[];
}

function descendants(of: number): Process[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'latin1').replace(/^.*\)/s, '').trim().split(' ');
      parents.set(Number(name), Number(fields[1]));
    } catch {
      // Ended meanwhile.
    }
  }
  const out: Process[] = [];
  const queue = [of];
  for (let pid = queue.shift(); pid !== undefined; pid = queue.shift())
    for (const [child, parent] of parents)
      if (parent === pid) {
        queue.push(child);
        out.push({ pid: child, args: readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0').slice(0, -1) });
      }
  return out;
}

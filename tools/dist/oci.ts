// An image as an OCI layout (image-spec 1.1), made without a container engine: one layer, for one architecture.

import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { HOME } from './compiled.ts';
import { libraries } from './libraries.ts';
import type { Part, Program } from './program.ts';
import { sbom } from './sbom.ts';
import { complete, type Entry, file, gzip, tar } from './tar.ts';

export const USER = 65532;
const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';
const MEDIA = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

/**
 * `security.capability` (linux/capability.h, struct vfs_cap_data of revision 2): what Node may have where the container
 * may. Permitted, but not effective: with that flag a container without these rights could not start it at all.
 */
export function fileCapability(): Buffer {
  const [SETPCAP, NET_BIND_SERVICE] = [8, 10];
  return Buffer.from(Uint32Array.of(0x0200_0000, (1 << NET_BIND_SERVICE) | (1 << SETPCAP), 0, 0, 0).buffer);
}

/** The layer's files: nothing but the program, the libraries it is linked with, and who its user is. */
export function layer(program: Program): { entries: Entry[]; parts: Part[] } {
  const home = HOME.slice(1);
  const node = program.entries.find(({ path }) => path === 'bin/node')?.data as Buffer;
  const system = libraries(node);
  const inside = program.entries.map((entry) => ({
    ...entry,
    path: `${home}/${entry.path}`,
    ...(entry.path === 'bin/node' ? { attributes: { 'security.capability': fileCapability() } } : {}),
  }));
  const accounts = [
    file('etc/passwd', `root:x:0:0:root:/:/nologin\nrauta:x:${USER}:${USER}:rauta:/:/nologin\n`),
    file('etc/group', `root:x:0:\nrauta:x:${USER}:\n`),
    file('etc/nsswitch.conf', 'hosts: files dns\n'),
    file('etc/os-release', `ID=rauta\nNAME=RAUTA\nVERSION_ID=${program.version}\n`),
  ];
  const folders: Entry[] = [
    { path: 'tmp', kind: 'directory', mode: 0o1777 },
    { path: 'run', kind: 'directory', mode: 0o755 },
    { path: 'proc', kind: 'directory', mode: 0o555 },
    { path: 'sys', kind: 'directory', mode: 0o555 },
    { path: 'dev', kind: 'directory', mode: 0o755 },
  ];
  const [main, ...others] = program.parts.map((part) => ({ ...part, paths: part.paths.map((p) => `${home}/${p}`) }));
  const parts = [
    { ...(main as Part), paths: [...(main as Part).paths, ...accounts.map(({ path }) => path)] },
    ...others,
    ...system.parts,
  ];
  const entries = [...inside, ...system.entries, ...accounts];
  const inventory = file(`${home}/sbom.cdx.json`, sbom(parts, entries));
  return { entries: complete([...entries, ...folders, inventory]), parts };
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Writes the layout to `folder`, which is made anew. Returns the digest of the manifest. */
export async function writeImage(program: Program, folder: string, seconds: number): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const { entries } = layer(program);
  const { descriptor, uncompressed } = await writeLayer(folder, entries, seconds);
  const created = new Date(seconds * 1_000).toISOString();
  const labels = {
    'org.opencontainers.image.title': 'rauta',
    'org.opencontainers.image.description': 'Gateway API and Ingress controller with a proxy of its own',
    'org.opencontainers.image.licenses': 'Apache-2.0',
    'org.opencontainers.image.version': program.version,
    'org.opencontainers.image.created': created,
  };
  const config = writeJson(folder, MEDIA.config, {
    created,
    architecture: ARCH,
    os: 'linux',
    config: {
      User: `${USER}:${USER}`,
      ExposedPorts: { '80/tcp': {}, '443/tcp': {}, '9090/tcp': {} },
      Env: [`PATH=${HOME}/bin`],
      Entrypoint: entrypoint(),
      Cmd: ['serve'],
      WorkingDir: '/',
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: [uncompressed] },
    history: [{ created, created_by: 'make image', comment: `rauta ${program.version}` }],
  });
  const annotations = { ...labels };
  const manifest = writeJson(folder, MEDIA.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    config,
    layers: [descriptor],
    annotations,
  });
  const named = { 'org.opencontainers.image.ref.name': program.version };
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA.index,
    manifests: [{ ...manifest, platform: { architecture: ARCH, os: 'linux' }, annotations: named }],
  };
  writeFileSync(join(folder, 'index.json'), `${JSON.stringify(index)}\n`);
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}\n');
  return manifest.digest;
}

/** As `bin/rauta` starts it: an image has no shell. */
export function entrypoint(): string[] {
  const flags = ['--max-semi-space-size=2', '--disable-warning=ExperimentalWarning'];
  return [`${HOME}/bin/node`, ...flags, `${HOME}/src/main/main.js`];
}

async function writeLayer(
  folder: string,
  entries: readonly Entry[],
  seconds: number,
): Promise<{ descriptor: Descriptor; uncompressed: string }> {
  const [inner, outer] = [createHash('sha256'), createHash('sha256')];
  const path = join(folder, 'blobs/sha256/.layer');
  const fd = openSync(path, 'w');
  let size = 0;
  function* parts(): Generator<Buffer> {
    for (const part of tar(entries, seconds)) {
      inner.update(part);
      yield part;
    }
  }
  await gzip(parts(), (part) => {
    outer.update(part);
    size += part.length;
    writeSync(fd, part);
  });
  closeSync(fd);
  const digest = outer.digest('hex');
  renameSync(path, join(folder, 'blobs/sha256', digest));
  const descriptor = { mediaType: MEDIA.layer, digest: `sha256:${digest}`, size };
  return { descriptor, uncompressed: `sha256:${inner.digest('hex')}` };
}

function writeJson(folder: string, mediaType: string, value: unknown): Descriptor {
  const body = Buffer.from(JSON.stringify(value));
  const digest = createHash('sha256').update(body).digest('hex');
  writeFileSync(join(folder, 'blobs/sha256', digest), body);
  return { mediaType, digest: `sha256:${digest}`, size: body.length };
}

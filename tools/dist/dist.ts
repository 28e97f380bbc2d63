// `make dist`: dist/rauta-VERSION-linux-ARCH.tar.gz. `make image`: dist/image, an OCI layout. DIST=FOLDER for another
// place. Times in both are SOURCE_DATE_EPOCH, or that of the last commit: two builds of it are equal byte for byte.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeImage } from './oci.ts';
import { type Program, program } from './program.ts';
import { sbom } from './sbom.ts';
import { complete, type Entry, file, gzip, tar } from './tar.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** 1980: what some archivers take for the earliest time there is. */
const EARLIEST = 315_532_800;

function seconds(): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined) return Number(given);
  try {
    const args = ['log', '-1', '--format=%ct'];
    return Number(execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return EARLIEST;
  }
}

/** The program with its inventory. */
export function installedEntries(built: Program): Entry[] {
  return [...built.entries, file('sbom.cdx.json', sbom(built.parts, built.entries))];
}

export function archiveEntries(built: Program): Entry[] {
  const top = `rauta-${built.version}-linux-${process.arch}`;
  return complete(installedEntries(built).map((entry) => ({ ...entry, path: `${top}/${entry.path}` })));
}

async function writeArchive(built: Program, folder: string): Promise<void> {
  const name = `rauta-${built.version}-linux-${process.arch}.tar.gz`;
  const path = join(folder, name);
  const hash = createHash('sha256');
  const fd = openSync(`${path}.new`, 'w');
  await gzip(tar(archiveEntries(built), seconds()), (part) => {
    hash.update(part);
    writeSync(fd, part);
  });
  closeSync(fd);
  renameSync(`${path}.new`, path);
  writeFileSync(`${path}.sha256`, `${hash.digest('hex')}  ${name}\n`);
  process.stdout.write(`${path}\n`);
}

async function main(what: string | undefined): Promise<void> {
  const folder = process.env['DIST'] ?? join(root, 'dist');
  mkdirSync(folder, { recursive: true });
  const built = program();
  if (!built.reproducible)
    process.stderr.write('dist: no mount is allowed here: the compile cache names the folder it was made in\n');
  if (what === 'archive') await writeArchive(built, folder);
  else {
    const digest = await writeImage(built, join(folder, 'image'), seconds());
    process.stdout.write(`${join(folder, 'image')}  ${digest}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv[2]);

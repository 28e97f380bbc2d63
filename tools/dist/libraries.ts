// The C libraries that Node is linked with, of the machine that builds: an image has no other system below it.

import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { needs } from './elf.ts';
import type { Part } from './program.ts';
import { type Entry, file } from './tar.ts';

const TRIPLE = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
/** Where the loader looks without being told (ld.so(8)); Debian's folders, and what others call theirs. */
const FOLDERS = [`/lib/${TRIPLE}`, `/usr/lib/${TRIPLE}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib'];
/** In the image all libraries lie here, the loader where the program says. */
const HOME = `lib/${TRIPLE}`;
const TRUST = 'etc/ssl/certs/ca-certificates.crt';

function find(name: string): string {
  for (const folder of FOLDERS) {
    try {
      return realpathSync(join(folder, name));
    } catch {
      // The next one.
    }
  }
  throw new Error(`${name}: in none of ${FOLDERS.join(', ')}`);
}

function ask(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

interface Package {
  readonly name: string;
  readonly version: string;
}

/** Of Debian and Ubuntu; null where there are no such packages. */
function packageNamed(name: string): Package | null {
  try {
    return { name, version: ask('dpkg-query', '-W', name).trim().split('\t')[1] as string };
  } catch {
    return null;
  }
}

function packageOf(path: string): Package | null {
  for (const known of [path, path.replace(/^\/usr/, '')]) {
    try {
      return packageNamed(ask('dpkg', '-S', known).split(':')[0] as string);
    } catch {
      // Not known by this path, or no such program.
    }
  }
  return null;
}

/** The libraries of `binary`, of those and so on; certificates to trust; and who they are from. */
export function libraries(binary: Buffer): { entries: Entry[]; parts: Part[] } {
  const { interpreter, libraries: first } = needs(binary);
  if (interpreter === null) throw new Error('Node is linked with nothing');
  const wanted = new Map<string, string>([[interpreter.slice(1), realpathSync(interpreter)]]);
  const queue = [...first];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const at = `${HOME}/${name}`;
    if (name === basename(interpreter) || wanted.has(at)) continue;
    const path = find(name);
    wanted.set(at, path);
    queue.push(...needs(readFileSync(path)).libraries);
  }
  const entries = [...wanted].map(([at, path]) => file(at, readFileSync(path), 0o755));
  try {
    entries.push(file(TRUST, readFileSync(`/${TRUST}`)));
    wanted.set(TRUST, `/${TRUST}`);
  } catch {
    // Then only what is in Node is trusted.
  }
  return { entries, parts: partsOf(wanted) };
}

function partsOf(wanted: ReadonlyMap<string, string>): Part[] {
  const groups = new Map<string, Part & { paths: string[] }>();
  for (const [at, path] of wanted) {
    const from = at === TRUST ? packageNamed('ca-certificates') : packageOf(path);
    const name = from?.name ?? basename(path);
    const version = from?.version ?? 'unknown';
    const purl = from === null ? `pkg:generic/${name}` : `pkg:deb/debian/${name}@${encodeURIComponent(version)}`;
    const part = groups.get(name) ?? { name, version, licence: LICENCES[name] ?? 'NOASSERTION', purl, paths: [] };
    part.paths.push(at);
    groups.set(name, part);
  }
  return [...groups.values()];
}

const LICENCES: Readonly<Record<string, string>> = {
  libc6: 'LGPL-2.1-or-later',
  'libgcc-s1': 'GPL-3.0-or-later WITH GCC-exception-3.1',
  'libstdc++6': 'GPL-3.0-or-later WITH GCC-exception-3.1',
  libatomic1: 'GPL-3.0-or-later WITH GCC-exception-3.1',
  'ca-certificates': 'MPL-2.0',
};

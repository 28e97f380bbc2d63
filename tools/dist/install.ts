// `make install` and `make uninstall`: the program of `make dist` under PREFIX (/usr/local), its command, its systemd
// unit and its completions where each is looked for. DESTDIR stands in front of every path and is named in none.

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installedEntries } from './dist.ts';
import { program } from './program.ts';
import type { Entry } from './tar.ts';

/** Where the archive's own unit has the program. */
const UNPACKED = '/opt/rauta';

interface Places {
  readonly destination: string;
  readonly prefix: string;
}

/** Beside its own folder, where it is looked for: path below PREFIX, and what of it lies there. */
const ELSEWHERE: readonly (readonly [path: string, entry: string])[] = [
  ['lib/systemd/system/rauta.service', 'rauta.service'],
  ['share/bash-completion/completions/rauta', 'completions/rauta.bash'],
  ['share/zsh/site-functions/_rauta', 'completions/_rauta'],
  ['share/fish/vendor_completions.d/rauta.fish', 'completions/rauta.fish'],
  ['share/doc/rauta/README', 'README'],
];

function placesOf(env: NodeJS.ProcessEnv): Places {
  const { PREFIX = '/usr/local', DESTDIR = '' } = env;
  if (!PREFIX.startsWith('/')) throw new Error(`PREFIX=${PREFIX} does not begin with /`);
  return { destination: DESTDIR, prefix: PREFIX.replace(/(.)\/+$/, '$1') };
}

/** Its own folder, as programs name it, and as this one does. */
function homeOf({ destination, prefix }: Places): { readonly named: string; readonly at: string } {
  const named = join(prefix, 'lib/rauta');
  return { named, at: join(destination, named) };
}

/** A folder of that name that is somebody else's is left alone. */
function checkOurs(at: string): void {
  if (existsSync(at) && !existsSync(join(at, 'build'))) throw new Error(`${at} is there and is not RAUTA's`);
}

function install(places: Places, entries: readonly Entry[]): string[] {
  const { named, at } = homeOf(places);
  checkOurs(at);
  const [next, last] = [`${at}.new`, `${at}.old`];
  for (const path of [next, last]) rmSync(path, { recursive: true, force: true });
  for (const entry of entries) put(join(next, entry.path), entry);
  // A program that runs from there has all of it loaded, or is told that it is of another version.
  if (existsSync(at)) renameSync(at, last);
  renameSync(next, at);
  rmSync(last, { recursive: true, force: true });
  const written = [at];
  for (const [path, name] of ELSEWHERE) {
    const entry = entries.find((one) => one.path === name);
    const text = String(entry?.data ?? '').replaceAll(UNPACKED, named);
    const to = join(places.destination, places.prefix, path);
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, text);
    chmodSync(to, 0o644);
    written.push(to);
  }
  const command = join(places.destination, places.prefix, 'bin/rauta');
  mkdirSync(dirname(command), { recursive: true });
  rmSync(command, { force: true });
  symlinkSync(relative(dirname(command), join(at, 'bin/rauta')), command);
  return [...written, command];
}

function put(path: string, { kind, mode, data, target }: Entry): void {
  if (kind === 'directory') mkdirSync(path, { recursive: true });
  else {
    mkdirSync(dirname(path), { recursive: true });
    if (kind === 'link') {
      symlinkSync(target ?? '', path);
      return;
    }
    writeFileSync(path, data ?? '');
  }
  chmodSync(path, mode);
}

function uninstall(places: Places): string[] {
  const { at } = homeOf(places);
  checkOurs(at);
  const command = join(places.destination, places.prefix, 'bin/rauta');
  const gone = ELSEWHERE.map(([path]) => join(places.destination, places.prefix, path)).filter((path) =>
    existsSync(path),
  );
  for (const path of gone) unlinkSync(path);
  rmSync(join(places.destination, places.prefix, 'share/doc/rauta'), { recursive: true, force: true });
  const link = lstatSync(command, { throwIfNoEntry: false })?.isSymbolicLink() === true ? readlinkSync(command) : '';
  if (link === relative(dirname(command), join(at, 'bin/rauta'))) gone.push(command);
  if (gone.includes(command)) unlinkSync(command);
  if (existsSync(at)) gone.push(at);
  rmSync(at, { recursive: true, force: true });
  return gone;
}

function main(what: string | undefined): void {
  const places = placesOf(process.env);
  const paths = what === 'uninstall' ? uninstall(places) : install(places, installedEntries(program()));
  for (const path of paths) process.stdout.write(`${what === 'uninstall' ? 'removed ' : ''}${path}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main(process.argv[2]);
  } catch (error) {
    process.stderr.write(`install: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

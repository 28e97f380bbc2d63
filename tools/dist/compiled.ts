// The compile cache of a distribution. Node keeps in it what V8 made of each file, and that is not the same twice: it
// holds hashes of strings by a seed that each process draws. So it is made with a seed that is fixed, in a place that
// is always called the same, and then marked as made without: whoever reads it hashes anew by a seed of its own.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Where a program is while its cache is made; also where the image has it. */
export const HOME = '/opt/rauta';
const FLAGS = ['--max-semi-space-size=2', '--disable-warning=ExperimentalWarning'];
/** Of V8, for the process that compiles: the same seeds, nothing that other threads or the collector decide. */
const SAME = ['--hash-seed=1', '--random-seed=1', '--predictable', '--no-flush-bytecode'];
/** Node's head of a cached file: five numbers of 32 bits, the last one the CRC of what follows. */
const HEAD = { CRC: 16, BYTES: 20 } as const;
/** V8's head of what follows: the hash of the flags it was made with is the fourth number. */
const FLAG_HASH = HEAD.BYTES + 12;

/** How commands see `folder` as HOME: by a mount that only they see. Null where that is refused. */
function inHome(folder: string): ((argv: readonly string[], env: Record<string, string>) => void) | null {
  const script = `mount -t tmpfs none /opt && mkdir ${HOME} && mount --bind "$0" ${HOME} && exec "$@"`;
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const run = (argv: readonly string[], env: Record<string, string>): void =>
    void execFileSync('unshare', [...user, '--mount', 'sh', '-c', script, folder, ...argv], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });
  try {
    run(['true'], {});
    return run;
  } catch {
    return null;
  }
}

/**
 * Fills `folder`/.cache/compile for the program in `folder`, whose Node is `bin/node`. Where no mount is allowed the
 * cache is as good, but says which folder it was made in. Returns whether it is the same whoever makes it.
 */
export function fill(folder: string): boolean {
  const home = inHome(folder);
  const at = home === null ? folder : HOME;
  const run =
    home ??
    ((argv: readonly string[], env: Record<string, string>): void =>
      void execFileSync(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'ignore', 'pipe'], env }));
  const compile = (flags: readonly string[], cache: string, stamp: string): void =>
    run(
      [
        `${at}/bin/node`,
        ...FLAGS,
        ...flags,
        `${at}/src/main/main.js`,
        ...(stamp === '' ? ['version'] : ['__child', 'compile', stamp]),
      ],
      {
        RAUTA_COMPILE_CACHE: cache,
      },
    );
  const { tag, flagHash } = asUsual((cache) => compile([], cache, ''));
  const cache = join(folder, '.cache/compile');
  compile(SAME, `${at}/.cache/compile`, `${at}/.cache/filled`);
  rmSync(join(folder, '.cache/filled'));
  const [made] = readdirSync(cache) as [string];
  for (const name of readdirSync(join(cache, made))) mark(join(cache, made, name), flagHash);
  renameSync(join(cache, made), join(cache, tag));
  return home !== null;
}

/** What Node calls the cache of a process with our flags, and V8 those flags. */
function asUsual(compile: (cache: string) => void): { tag: string; flagHash: number } {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-compiled-'));
  try {
    compile(folder);
    const [tag] = readdirSync(folder) as [string];
    const [first] = readdirSync(join(folder, tag)) as [string];
    return { tag, flagHash: readFileSync(join(folder, tag, first)).readUInt32LE(FLAG_HASH) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function mark(path: string, flagHash: number): void {
  const bytes = readFileSync(path);
  const body = bytes.subarray(HEAD.BYTES);
  if (bytes.readUInt32LE(HEAD.CRC) !== crc32(body))
    throw new Error(`${path}: not a cached file as Node 26 writes them`);
  bytes.writeUInt32LE(flagHash, FLAG_HASH);
  bytes.writeUInt32LE(crc32(body), HEAD.CRC);
  writeFileSync(path, bytes);
}

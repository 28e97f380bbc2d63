// The entry of every process of RAUTA. Compiled code is cached before anything else is loaded: a replacement for a dead
// worker has to serve within a second. Plain JavaScript, the only such file: to erase types from a single file loads the whole
// eraser (WebAssembly, 24 MB) into the process for as long as it lives, and once its memory has grown V8 checks every access
// to a typed array for a detached buffer. So the cache is opened here, and before the first start of a version it is filled
// by a process of its own.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants as FILE, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants, enableCompileCache, getCompileCacheDir, registerHooks } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OURS = new URL('..', import.meta.url).href;
const CHOSEN = 'RAUTA_COMPILE_CACHE';
const { FAILED } = constants.compileCacheStatus;

/** A folder for what this user compiled, when the program's own cannot be written; null when somebody else could write it. */
function ownFolder() {
  const uid = process.getuid?.() ?? -1;
  const folder = join(tmpdir(), `rauta-compile-${uid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid: owner, mode } = lstatSync(folder);
    return owner === uid && (mode & 0o170777) === 0o040700 ? folder : null;
  } catch {
    return null;
  }
}

/** Whether `folder` can be written, or made, or holds all that these sources are compiled to. */
function isUsable(folder) {
  if (!existsSync(folder)) return true;
  try {
    accessSync(folder, FILE.W_OK);
    return true;
  } catch {
    return readdirSync(folder).some((kind) => existsSync(join(folder, kind, `filled-${fingerprint()}`)));
  }
}

/** Changes with any source file. A distribution, whose files do not change, says what it was built from. */
function fingerprint() {
  const build = new URL('../../build', import.meta.url);
  if (existsSync(build)) return readFileSync(build, 'utf8').trim();
  const sources = fileURLToPath(new URL('..', import.meta.url));
  const hash = createHash('sha256');
  for (const name of readdirSync(sources, { recursive: true }).sort()) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
    const { size, mtimeMs } = statSync(join(sources, name));
    hash.update(`${name} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

/**
 * Once for each state of the sources: a process that loads what each role loads, and leaves it in the cache. Workers could
 * not: they are killed, or have given up the right to write it. Returns why starts stay slower, or null.
 */
function fillCompileCache() {
  const cache = getCompileCacheDir();
  if (cache === undefined) {
    return 'compiled code cannot be cached: starts are slower; RAUTA_COMPILE_CACHE names a folder that can be written';
  }
  const stamp = join(cache, `filled-${fingerprint()}`);
  if (existsSync(stamp)) return null;
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    [...process.execArgv, fileURLToPath(import.meta.url), '__child', 'compile', stamp],
    { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' },
  );
  if (status === 0) return null;
  const why = /^(?:\w*Error|rauta): (.*)/m.exec(stderr ?? '')?.[1] ?? signal ?? `status ${status}`;
  return `compiled code is not cached: starts are slower (${why})`;
}

/**
 * Signals that come before those who act on them are loaded, which takes a third of a second. Nobody may die of them, or
 * never hear of them: the first process of a container is sent only what it has a handler for. Of children it is no matter
 * what is noted: to drain is the keeper's decision, a terminal's or a supervisor's signal to all is not for them.
 */
const early = { came: new Set(), note: (signal) => void early.came.add(signal) };

/**
 * What came before this did: Node's own handler goes once it was called, and ends the process, which the kernel does not
 * let the first one of a container do. Linux on x64 and arm64 calls SIGINT 2 and SIGTERM 15 (signal(7)).
 */
function swallowed() {
  if (process.pid !== 1) return [];
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  const lacks = (bit) => caught !== undefined && ((BigInt(`0x${caught}`) >> BigInt(bit - 1)) & 1n) === 0n;
  return [...(lacks(2) ? ['SIGINT'] : []), ...(lacks(15) ? ['SIGTERM'] : [])];
}

const args = process.argv.slice(2);
const isChild = args[0] === '__child';
const serves = args[0] === 'serve' && !args.includes('--help') && !args.includes('-h');
if (serves || (isChild && args[1] !== 'compile')) {
  // Without /proc there is more to say than this, and it is said later.
  if (existsSync('/proc/self/status')) for (const signal of swallowed()) early.note(signal);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']) process.on(signal, early.note);
}

let folder = process.env[CHOSEN] ?? fileURLToPath(new URL('../../.cache/compile', import.meta.url));
if (process.env[CHOSEN] === undefined && !isUsable(folder)) folder = ownFolder() ?? folder;
// What is in it is found by paths from there: a program may be moved with its cache.
const open = () => enableCompileCache({ directory: folder, portable: true });
if (open().status === FAILED && process.env[CHOSEN] === undefined) {
  folder = ownFolder() ?? folder;
  open();
}
// Every process of ours uses the same.
process.env[CHOSEN] = folder;

/**
 * Where a module of ours asks for another one stands in its name. Node would ask the file system at each folder on the way,
 * look for a package.json in each and take every URL apart: half of what it costs to load a process.
 */
registerHooks({
  resolve(name, context, next) {
    const from = context.parentURL;
    const [, up, path] = /^((?:\.\.?\/)+)([^:?#%]+\.ts)$/.exec(name) ?? [];
    if (up === undefined || from?.startsWith(OURS) !== true) return next(name, context);
    let folder = from.slice(0, from.lastIndexOf('/'));
    for (let i = up.indexOf('..'); i >= 0; i = up.indexOf('..', i + 2)) folder = folder.slice(0, folder.lastIndexOf('/'));
    return { url: `${folder}/${path}`, format: 'module-typescript', shortCircuit: true };
  },
});

const notCached = serves ? fillCompileCache() : null;
const { run } = await (isChild ? import('./run-child.ts') : import('./run.ts')).catch((error) => {
  // What the machine lacks is found out as the program is loaded.
  if (error?.name !== 'ExitError') throw error;
  process.stderr.write(`rauta: ${error.message}\n`);
  process.exit(error.code);
});
await run(args, { notCached, early });

// The entry of every process of RAUTA. Compiled code is cached before anything else is loaded: a replacement for a dead
// worker has to serve within a second. Plain JavaScript, the only such file: the cache is not open yet when it is read, and
// to erase types from a single file loads the whole eraser (WebAssembly, 15 MB) into the process.

import { lstatSync, mkdirSync } from 'node:fs';
import { constants, enableCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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

let folder = process.env[CHOSEN] ?? fileURLToPath(new URL('../../.cache/compile', import.meta.url));
if (enableCompileCache(folder).status === FAILED && process.env[CHOSEN] === undefined) {
  folder = ownFolder() ?? folder;
  enableCompileCache(folder);
}
// Every process of ours uses the same.
process.env[CHOSEN] = folder;

const { run } = await import('./run.ts');
await run(process.argv.slice(2));

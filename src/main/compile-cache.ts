// Fills the compile cache before the first start of a version. Without it every worker would erase types and compile by
// itself, and no worker could keep the result: they are killed, or have given up the right to write it. It matters beyond
// the start: the eraser is WebAssembly, and once its memory has grown V8 checks every access to a typed array for a
// detached buffer.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { flushCompileCache, getCompileCacheDir } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { childArgv } from './process.ts';

const SOURCES = fileURLToPath(new URL('..', import.meta.url));
const STAMP = 'filled-';

/** Once for each state of the sources: a process that loads what each role loads, and leaves it in the cache. */
export function fillCompileCache(log: Logger): void {
  const folder = getCompileCacheDir();
  if (folder === undefined) {
    log.warn(
      'compiled code cannot be cached: starts are slower; RAUTA_COMPILE_CACHE names a folder that can be written',
    );
    return;
  }
  const stamp = join(folder, STAMP + fingerprint());
  if (existsSync(stamp)) return;
  const done = spawnSync(process.execPath, childArgv('compile'), {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LIMITS.COMPILE_MS,
  });
  if (done.status !== 0) {
    log.warn('compiled code is not cached: starts are slower', {
      status: done.status ?? -1,
      signal: done.signal ?? '',
    });
    return;
  }
  try {
    for (const name of readdirSync(folder)) if (name.startsWith(STAMP)) rmSync(join(folder, name), { force: true });
    writeFileSync(stamp, '');
  } catch (error) {
    log.warn('compiled code cannot be cached: starts are slower', { folder, error: String(error) });
  }
}

/** The child that fills it. */
export async function compileAll(): Promise<void> {
  await Promise.all([import('./keeper.ts'), import('./controller.ts'), import('./worker.ts')]);
  flushCompileCache();
}

/** Changes with any source file. */
function fingerprint(): string {
  const hash = createHash('sha256');
  for (const name of (readdirSync(SOURCES, { recursive: true }) as string[]).sort()) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
    const { size, mtimeMs } = statSync(join(SOURCES, name));
    hash.update(`${name} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

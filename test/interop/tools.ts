// Programs of others that the tests of this folder speak with. What has to be built or fetched is kept in the cache
// folder of the account; where it cannot be had, the test says so and is skipped.

import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);

/** What a build may take on two cores that others use. */
const BUILD_MS = 280_000;
/** What a test may take that builds two of them, from cold caches, and then uses them. */
export const TEST_MS = 2 * BUILD_MS + 120_000;
const GO_ENV = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-buildvcs=false -trimpath' };

/**
 * The folder called `name`, with what `make` puts there; made once, and moved to its place when it is whole. Null, and
 * the test skipped, where it cannot be made.
 */
async function kept(t: TestContext, name: string, make: (folder: string) => Promise<unknown>): Promise<string | null> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'rauta');
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  const fresh = join(cache, `.${name}-${process.pid}`);
  mkdirSync(fresh, { recursive: true });
  try {
    await make(fresh);
    renameSync(fresh, folder);
  } catch (error) {
    // Another test may have been faster.
    if (existsSync(folder)) return folder;
    t.skip(
      `${name} cannot be had: ${String((error as Error).message)
        .split('\n')
        .slice(0, 2)
        .join(' ')}`,
    );
    return null;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** A program of a Go module: `github.com/x/y/cmd/z` at a version. */
export async function goProgram(t: TestContext, path: string, version: string): Promise<string | null> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const folder = await kept(t, `${name}-${version}`, (fresh) =>
    run('go', ['install', `${path}@${version}`], { env: { ...GO_ENV, GOBIN: fresh }, timeout: BUILD_MS }),
  );
  return folder === null ? null : join(folder, name);
}

/** The client and server of a folder beside this one, built of the sources as they are. */
async function goFolder(t: TestContext, from: string, name: string): Promise<string | null> {
  const source = fileURLToPath(new URL(`${from}/`, import.meta.url));
  const hash = createHash('sha256');
  for (const file of globSync(`${source}*`).sort()) hash.update(readFileSync(file));
  const folder = await kept(t, `${name}-${hash.digest('hex').slice(0, 16)}`, (fresh) =>
    run('go', ['build', '-o', join(fresh, name), '.'], { cwd: source, env: GO_ENV, timeout: BUILD_MS }),
  );
  return folder === null ? null : join(folder, name);
}

/** Of gRPC. */
export function goInterop(t: TestContext): Promise<string | null> {
  return goFolder(t, 'grpc', 'interop');
}

/** Of HTTP/2 in the clear. */
export function goNetHttp(t: TestContext): Promise<string | null> {
  return goFolder(t, 'nethttp', 'nethttp');
}

/** The folder of an npm package and what it needs; no install script is run. */
export async function npmPackage(t: TestContext, name: string, version: string): Promise<string | null> {
  const folder = await kept(t, `${name.replaceAll(/[@/]/g, '')}-${version}`, (fresh) => {
    const flags = ['--prefix', fresh, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
    return run('npm', ['install', ...flags, `${name}@${version}`], { timeout: BUILD_MS });
  });
  return folder === null ? null : join(folder, 'node_modules', name);
}

/** A Python that has packages: `name==version`. */
export async function python(t: TestContext, packages: readonly string[]): Promise<string | null> {
  const name = `python-${createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 16)}`;
  const folder = await kept(t, name, async (fresh) => {
    await run('python3', ['-m', 'venv', fresh], { timeout: BUILD_MS });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages];
    await run(join(fresh, 'bin', 'python'), pip, { timeout: BUILD_MS });
  });
  return folder === null ? null : join(folder, 'bin', 'python');
}

/** Where an installed program lies; null, and the test skipped, where there is none. */
export function installed(t: TestContext, ...names: readonly string[]): string | null {
  for (const name of names) {
    const found = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' });
    if (found.status === 0) return found.stdout.trim();
  }
  t.skip(`there is no ${names.join(', ')} here`);
  return null;
}

// What every committed result says of where it came from, and where it is kept.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));

export interface Circumstances {
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly node: string;
}

export function circumstances(): Circumstances {
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  return {
    date: new Date().toISOString(),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' }).trim(),
    machine: `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${kernel}`,
    node: process.version,
  };
}

/** `out`: a name under bench/results/, or an absolute path, without an ending. Returns it as a path. */
export function writeResult(out: string, result: unknown): string {
  const path = isAbsolute(out) ? out : join(here, '../results', out);
  writeFileSync(`${path}.json`, `${JSON.stringify(result, null, 2)}\n`);
  return path;
}

// Files that are mounted one by one, as container engines do with what is to appear within another file system.

import { readFileSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { LIMITS } from '../../base/limits.ts';

/** Paths at or below `roots`, written as these are, on which something is mounted; none where nobody can tell. */
export function mountedBelow(roots: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const point of mountPoints(read())) {
    for (const root of roots) {
      const whole = resolve(root);
      if (found.size >= LIMITS.CONFIG_MOUNTED_FILES) return found;
      if (point === whole) found.add(root);
      else if (point.startsWith(whole === sep ? sep : `${whole}${sep}`))
        found.add(`${root}${point.slice(whole.length)}`);
    }
  }
  return found;
}

/** The fifth field of each line (proc_pid_mountinfo(5)), its octal escapes undone. */
export function mountPoints(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .flatMap((line) => line.split(' ', 5)[4] ?? [])
    .map((path) =>
      Buffer.from(
        path.replace(/\\([0-3][0-7]{2})/g, (_, digits) => octal(digits)),
        'latin1',
      ).toString(),
    );
}

function octal(digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 8));
}

function read(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'latin1');
  } catch {
    return '';
  }
}

// Ends files of tests that do not end: node's runner limits the time of tests, not of their files, so that one that
// left a server open behind a failed assertion is waited for without end, and what failed is never told.

import { readdirSync, readFileSync } from 'node:fs';

/** Between two looks, in ms. */
const LOOK_MS = 5_000;

interface Process {
  readonly pid: number;
  readonly parent: number;
}

/** All that run now. */
function processes(): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The name of the program is in parentheses and may hold anything; the state and the parent follow.
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      found.push({ pid: Number(name), parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) });
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

/** `root` and all that it started, as far as that still has a parent there. */
function family(root: number, all: readonly Process[]): number[] {
  const found = [root];
  for (const pid of found) for (const { pid: child, parent } of all) if (parent === pid) found.push(child);
  return found;
}

/** The file of tests that a process runs; null when it is none. */
function fileOf(pid: number): string | null {
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        .split('\0')
        .findLast((word) => word.endsWith('.test.ts')) ?? null
    );
  } catch {
    return null;
  }
}

/** From now on, until what is returned is called, children of this process that run a file of tests have `limitMs`. */
export function watchTests(limitMs: number, onEnded: (file: string) => void): () => void {
  const since = new Map<number, number>();
  const timer = setInterval(
    () => {
      const now = performance.now();
      const all = processes();
      const children = all.filter(({ parent }) => parent === process.pid).map(({ pid }) => pid);
      for (const pid of since.keys()) if (!children.includes(pid)) since.delete(pid);
      for (const pid of children) {
        const seen = since.get(pid) ?? now;
        since.set(pid, seen);
        const file = now - seen < limitMs ? null : fileOf(pid);
        if (file === null) continue;
        // Once: it may take its time to go.
        since.set(pid, Infinity);
        onEnded(file);
        for (const one of family(pid, all)) {
          try {
            process.kill(one, 'SIGKILL');
          } catch {
            // It ended meanwhile.
          }
        }
      }
    },
    Math.min(LOOK_MS, limitMs),
  );
  return () => clearInterval(timer);
}

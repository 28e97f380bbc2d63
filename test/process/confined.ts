// A process that is confined as a worker is, and tells what it can still do: JSON of attempts in, JSON of results out.

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync, renameSync } from 'node:fs';
import { connect } from 'node:net';
import { AGAIN, becomeUnprivileged, startBare, workerOpenings } from '../../src/main/privileges.ts';

/** The test's own file is none of a worker's. */
startBare(3, [...workerOpenings(), { path: import.meta.filename }]);
const wanted = JSON.parse(process.argv.at(-2) as string) as Record<string, string[]>;
if (process.argv.at(-1) !== AGAIN) throw new Error('not confined');
// Without capabilities, and the same user as whoever it attacks.
becomeUnprivileged(String(process.getuid?.()));

const results: Record<string, string> = {};
for (const [how, paths] of Object.entries(wanted)) {
  for (const path of paths) results[`${how} ${path}`] = await attempt(how, path);
}
process.stdout.write(JSON.stringify(results));

async function attempt(how: string, path: string): Promise<string> {
  try {
    if (how === 'read') readFirst(path);
    else if (how === 'list') readdirSync(path);
    else if (how === 'write') closeSync(openSync(path, 'a'));
    else if (how === 'rename') renameSync(path, `${path}.moved`);
    else if (how === 'signal') process.kill(Number(path), 0);
    else if (how === 'connect') await reach(path);
    else return (spawnSync(path, ['-c', 'true']).error as NodeJS.ErrnoException | undefined)?.code ?? 'open';
    return 'open';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function readFirst(path: string): void {
  const fd = openSync(path, 'r');
  try {
    readSync(fd, Buffer.alloc(1));
  } finally {
    closeSync(fd);
  }
}

function reach(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
}

// A file of tests that does not end is ended, with all that it started, and told of; others are left alone.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { watchTests } from '../../tools/test-watch.ts';

/** Whether it runs: what ended and was not waited for yet does not. */
function runs(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

test('a file of tests that does not end is ended with what it started; what is none is not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const text = [
    "import { spawn } from 'node:child_process';",
    "process.stdout.write(String(spawn('sleep', ['600'], { stdio: ['ignore', 'inherit', 'ignore'] }).pid));",
    'setInterval(() => {}, 1000);',
  ].join('\n');
  const start = (name: string) => {
    writeFileSync(join(folder, name), text);
    return spawn(process.execPath, [join(folder, name)], { stdio: ['ignore', 'pipe', 'inherit'] });
  };
  const [hung, other] = [start('hung.test.ts'), start('other.ts')];
  const [[first], [second]] = await Promise.all([once(hung.stdout, 'data'), once(other.stdout, 'data')]);
  // What it started has its stdout, too: that is closed when both are gone.
  const ended: string[] = [];
  const unwatch = watchTests(50, (file) => ended.push(file));
  const [code, signal] = await once(hung, 'close');
  unwatch();
  assert.deepEqual([code, signal, ended], [null, 'SIGKILL', [join(folder, 'hung.test.ts')]]);
  assert.deepEqual([runs(Number(first)), runs(Number(second)), other.exitCode], [false, true, null]);
  process.kill(Number(second), 'SIGKILL');
  other.kill('SIGKILL');
});

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testFolder } from '../source/file/testing.ts';

const BYTES = 1_000_000;

/** A process that prints so much to `path`, which it opens for itself without waiting, and says how it ended. */
function printer(path: string): { said: Promise<string> } {
  const module = JSON.stringify(new URL('./printing.ts', import.meta.url).href);
  const code = `import { closeSync, constants, openSync } from 'node:fs';
const { print } = await import(${module});
closeSync(1);
openSync(${JSON.stringify(path)}, constants.O_WRONLY | constants.O_NONBLOCK);
try { print('x'.repeat(${BYTES})); console.error('printed'); } catch (error) { console.error(error.message); }`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', code];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said += part;
  });
  return { said: once(child, 'close').then(() => said) };
}

test('all is printed to whoever reads, however slowly; who leaves ends it quietly', async (t) => {
  const path = join(testFolder(t), 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = createReadStream(path, { highWaterMark: 8_192 });
  const { said } = printer(path);
  let bytes = 0;
  for await (const part of reader) {
    bytes += (part as Buffer).length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await said, 'printed\n');
  assert.equal(bytes, BYTES);

  const leaver = createReadStream(path);
  const second = printer(path);
  await once(leaver, 'data');
  leaver.destroy();
  assert.equal(await second.said, 'printed\n');
});

test('a disk that is full is an error', async () => {
  assert.equal(await printer('/dev/full').said, 'standard output cannot be written: ENOSPC\n');
});

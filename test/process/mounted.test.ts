// A file of the configuration that is mounted by itself, as `docker run -v FILE:FILE` does it: whoever changes it does
// so in another folder than the one that the program sees it in.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { READY_MS } from './support.ts';

const BIN = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
const able =
  process.geteuid?.() === 0 && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
/** Less than the look every 30 s, and more than anything else takes. */
const SOON_MS = 60_000;

test('what is written into it is served at once, again and again', {
  skip: able ? false : 'no mount namespaces of our own',
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-mounted-'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'seen'));
  const [file, seen] = [join(folder, 'a.yaml'), join(folder, 'seen', 'a.yaml')];
  for (const path of [file, seen]) writeFileSync(path, '');
  const flags = `--config '${seen}' --config '${join(folder, 'seen')}' --workers 1 --admin off --log-format json`;
  const script = `mount --bind '${file}' '${seen}' && exec '${BIN}' serve ${flags}`;
  const child = spawn('unshare', ['-m', 'sh', '-c', script], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => {
    child.kill('SIGKILL');
    child.stderr.destroy();
  });
  let said = '';
  const heard: (() => void)[] = [];
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said += part;
    for (const look of heard.splice(0)) look();
  });
  const says = async (text: string, ms = SOON_MS): Promise<void> => {
    const late = performance.now() + ms;
    while (!said.includes(text)) {
      assert.ok(performance.now() < late, `not said within ${ms} ms: ${text}; but ${said}`);
      await new Promise<void>((resolve) => {
        heard.push(resolve);
        setTimeout(resolve, ms).unref();
      });
    }
  };
  await says('"message":"serving"', READY_MS);
  for (const name of ['one', 'two', 'three']) {
    writeFileSync(file, `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { wrong: true }\n`);
    await says(`Service/default/${name}`);
  }
  child.kill('SIGTERM');
  await once(child, 'exit');
  rmSync(folder, { recursive: true });
});

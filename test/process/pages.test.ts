// Commands of pages that ask a running program (`sh served`) do what is written, while one serves examples/quickstart
// with two backends; only the ports are free ones. Lines `# ...` behind a command are what it answers
// (support/pages.ts). Those of examples: examples.test.ts; all others: test/docs.test.ts.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { blocksOf, commandsOf, missingAnswer } from '../support/pages.ts';
import { backend, freePort, Rauta } from './support.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COMMAND_MS = 60_000;
const PAGES = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT })].sort();

const folder = mkdtempSync(join(tmpdir(), 'rauta-pages-'));
const ports = new Map<string, number>();
let rauta: Rauta;

function moved(text: string): string {
  return text.replaceAll(/\b(?:8080|9090|9001|9002)\b/g, (port) => String(ports.get(port)));
}

before(async () => {
  const [first, second] = [await backend('demo-1'), await backend('demo-2')];
  for (const [port, own] of [
    ['8080', await freePort()],
    ['9001', first.port],
    ['9002', second.port],
  ] as const)
    ports.set(port, own);
  // What is to read it has left root.
  chmodSync(folder, 0o755);
  const config = join(folder, 'examples', 'quickstart');
  mkdirSync(config, { recursive: true });
  for (const file of globSync('*.yaml', { cwd: join(ROOT, 'examples/quickstart') }))
    writeFileSync(join(config, basename(file)), moved(readFileSync(join(ROOT, 'examples/quickstart', file), 'utf8')));
  symlinkSync(join(ROOT, 'bin'), join(folder, 'bin'));
  symlinkSync(join(ROOT, 'examples', 'udp'), join(folder, 'examples', 'udp'));
  // Without --fail curl takes every answer for a good one.
  const curl = execFileSync('sh', ['-c', 'command -v curl'], { encoding: 'utf8' }).trim();
  mkdirSync(join(folder, 'strict'));
  writeFileSync(join(folder, 'strict', 'curl'), `#!/bin/sh\nexec ${curl} -sS --fail "$@"\n`, { mode: 0o755 });
  rauta = await Rauta.start({}, ['--config', config]);
  ports.set('9090', rauta.admin);
});

after(async () => {
  await rauta.stop();
  rmSync(folder, { recursive: true, force: true });
});

function run(command: string): Promise<{ readonly text: string; readonly code: number }> {
  const env = {
    ...process.env,
    RAUTA_ADMIN: `127.0.0.1:${rauta.admin}`,
    PATH: `${join(folder, 'strict')}:${join(ROOT, 'bin')}:${process.env['PATH'] ?? ''}`,
  };
  return new Promise((resolve) => {
    execFile('sh', ['-c', command], { cwd: folder, env, timeout: COMMAND_MS, encoding: 'utf8' }, (error, out, err) =>
      resolve({ text: out + err, code: error === null ? 0 : Number(error.code ?? -1) }),
    );
  });
}

for (const page of PAGES) {
  const blocks = blocksOf(readFileSync(join(ROOT, page), 'utf8')).filter(({ rest }) => /^served\b/.test(rest));
  if (blocks.length === 0) continue;
  test(`${page}: what asks a program is answered`, async () => {
    for (const { rest, text } of blocks)
      for (const { command, answers } of commandsOf(text)) {
        const said = await run(moved(command));
        assert.equal(said.code, Number(/exit (\d+)$/.exec(rest)?.[1] ?? 0), `${command}\n${said.text}`);
        assert.equal(missingAnswer(said.text, answers.map(moved)), null, `${command}\n${said.text}`);
      }
  });
}

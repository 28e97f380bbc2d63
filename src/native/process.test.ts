import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { cpuSeconds } from './index.ts';

const index = JSON.stringify(new URL('index.ts', import.meta.url).href);
const run = (script: string): string => {
  const child = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  assert.equal(child.stderr, '');
  assert.equal(child.status, 0);
  return child.stdout;
};

test('no new privileges, no core dumps', () => {
  const output = run(`
    import { readFileSync } from 'node:fs';
    const native = await import(${index});
    native.setNoNewPrivileges();
    const privileges = /NoNewPrivs:\\s*(\\d)/.exec(readFileSync('/proc/self/status', 'latin1'))[1];
    native.forbidCoreDumps();
    const core = /Max core file size\\s+(\\S+)\\s+(\\S+)/.exec(readFileSync('/proc/self/limits', 'latin1'));
    process.stdout.write(JSON.stringify({ privileges, core: [core[1], core[2]] }));
  `);
  assert.deepEqual(JSON.parse(output), { privileges: '1', core: ['0', '0'] });
});

test('the death of the parent is signalled', async () => {
  // test -> parent -> child. The child's output ends only when the child does.
  const child = `
    const native = await import(${index});
    native.setParentDeathSignal('SIGKILL');
    process.stdout.write('armed ' + process.pid);
    setInterval(() => {}, 1000);
  `;
  const parent = `
    import { spawn } from 'node:child_process';
    spawn(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(child)}], { stdio: ['ignore', 'inherit', 'inherit'] });
    setInterval(() => {}, 1000);
  `;
  const process_ = spawn(process.execPath, ['--input-type=module', '-e', parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const armed = await new Promise<string>((resolve) => process_.stdout.once('data', (data) => resolve(String(data))));
  assert.match(armed, /^armed \d+$/);
  const ended = new Promise((resolve) => process_.stdout.once('close', resolve));
  process_.stdout.resume();
  process_.kill('SIGKILL');
  // Both held the other end of the pipe; SIGKILL to the parent alone ends it only if the child died too.
  await ended;
});

test('a process that uses its CPU time up without a sign of life is ended by the kernel', () => {
  const script = `
    const native = await import(${index});
    native.limitCpu(60);
    native.limitCpu(1);
    for (;;);
  `;
  const child = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  assert.equal(child.signal, 'SIGXCPU');
});

test('CPU time goes up', () => {
  const before = cpuSeconds();
  const end = performance.now() + 20;
  while (performance.now() < end);
  assert.ok(cpuSeconds() > before);
});

test('what was never there is not kept', () => {
  const output = run(`
    import { readFileSync } from 'node:fs';
    const native = await import(${index});
    native.mayReadAnything(false);
    const kept = native.mayReadAnything(true);
    const caps = readFileSync('/proc/self/status', 'latin1').split('CapEff:')[1].trim().slice(0, 16);
    process.stdout.write(JSON.stringify([kept, caps]));
  `);
  assert.deepEqual(JSON.parse(output), [false, '0000000000000000']);
});

const root = process.getuid?.() === 0;
test('of all that root may do, what is kept is to read, or nothing', { skip: !root }, () => {
  for (const [may, caps, reads] of [
    [true, '0000000000000004', true],
    [false, '0000000000000000', false],
  ] as const) {
    const output = run(`
      import { accessSync, readFileSync } from 'node:fs';
      const native = await import(${index});
      native.keepCapabilities(true);
      process.setgroups([65534]);
      process.setgid(65534);
      process.setuid(65534);
      native.mayReadAnything(${may});
      const status = readFileSync('/proc/self/status', 'latin1');
      const set = (name) => status.split(name + ':')[1].trim().slice(0, 16);
      let reads = true;
      try { readFileSync('/etc/shadow'); } catch { reads = false; }
      process.stdout.write(JSON.stringify([set('CapEff'), set('CapPrm'), set('CapInh'), reads]));
    `);
    assert.deepEqual(JSON.parse(output), [caps, caps, '0000000000000000', reads]);
  }
});

test('free pages of the C library are returned', () => {
  const output = run(`
    import { readFileSync } from 'node:fs';
    import { setFlagsFromString } from 'node:v8';
    import { runInNewContext } from 'node:vm';
    const native = await import(${index});
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc');
    const mb = () => Number(/^RssAnon:\\s*(\\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]) / 1024;
    // 64 MB in pieces that are no pages of their own, and a last one that stays: what is free lies below it.
    let pieces = Array.from({ length: 2048 }, () => Buffer.allocUnsafeSlow(32 * 1024).fill(1));
    globalThis.last = pieces.at(-1);
    pieces = null;
    gc();
    gc();
    const before = mb();
    native.trimAllocator();
    process.stdout.write(String(before - mb()));
  `);
  assert.ok(Number(output) > 32, `${output} MB`);
});

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { choices } from '../cli/command.ts';
import { completion, SHELLS } from '../cli/completion.ts';
import { helpOf, overview } from '../cli/help.ts';
import { COMMANDS } from './commands.ts';

test('every help fits 80 columns and names every flag, once', () => {
  for (const text of [overview(COMMANDS), ...COMMANDS.map(helpOf)])
    for (const line of text.split('\n')) assert.ok(line.length <= 80 && line === line.trimEnd(), `'${line}'`);
  for (const command of COMMANDS) {
    const told = [...helpOf(command).matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, name]) => name);
    assert.deepEqual(
      told,
      command.flags.map(({ name }) => name),
      command.name,
    );
    assert.match(overview(COMMANDS), new RegExp(`^  ${command.name} `, 'm'));
  }
});

test('what a flag may be follows from how its value is written', () => {
  const of = (value: string): unknown => choices({ name: 'x', value, default: '', help: '' });
  assert.deepEqual(of('-|off|PATH'), { words: ['-', 'off'], files: true });
  assert.deepEqual(of('none|ClusterIP'), { words: ['none', 'ClusterIP'], files: false });
  for (const value of ['HOST:PORT', 'N', 'A=B[,C=D]', 'NS/GATEWAY/NAME', 'CIDR[,CIDR]'])
    assert.deepEqual(of(value), { words: [], files: false }, value);
});

/** What bash would offer for a command line that ends where the cursor is. */
function offered(line: readonly string[], cwd: string): Promise<string[]> {
  const script = `${completion('bash', COMMANDS)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rauta
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return new Promise((resolve, reject) => {
    execFile('bash', ['--noprofile', '--norc', '-c', script, 'bash', ...line], { cwd }, (error, out, err) => {
      if (error !== null || err !== '') reject(new Error(`${String(error)} ${err}`));
      else resolve(out.split('\n').filter((word) => word !== ''));
    });
  });
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'rauta-completion-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'conf'));
  writeFileSync(join(dir, 'two words.yaml'), '');
  return dir;
}

test('bash completes commands, flags, their values and files', async (t) => {
  const dir = folder(t);
  for (const [line, expected] of [
    [
      ['rauta', ''],
      [...COMMANDS.map(({ name }) => name), '--help', '--version'],
    ],
    [['rauta', 'co'], ['completion']],
    [
      ['rauta', 'serve', '--drain'],
      ['--drain-delay', '--drain-timeout'],
    ],
    [
      ['rauta', 'serve', '--log-level', ''],
      ['error', 'warn', 'info', 'debug'],
    ],
    [
      ['rauta', 'serve', '--log-level', '=', ''],
      ['error', 'warn', 'info', 'debug'],
    ],
    [
      ['rauta', 'serve', '--log-level', '='],
      ['error', 'warn', 'info', 'debug'],
    ],
    [['rauta', 'serve', '--log-level', '=', 'd'], ['debug']],
    [['rauta', 'serve', '--log-level', 'debug', '--half'], ['--half-close']],
    [['rauta', 'serve', '--zone', ''], []],
    [
      ['rauta', 'serve', '--config', ''],
      ['conf', 'two words.yaml'],
    ],
    [['rauta', 'serve', '--access-log', 'o'], ['off']],
    [['rauta', 'check', 't'], ['two words.yaml']],
    [
      ['rauta', 'explain', 'P'],
      ['POST', 'PUT', 'PATCH'],
    ],
    [['rauta', 'explain', 'GET', 'http://a/', '-H', ''], []],
    [
      ['rauta', 'completion', ''],
      [...SHELLS, '--help'],
    ],
    [['rauta', 'help', 'st'], ['status']],
    [['rauta', 'nothing', ''], []],
  ] as const)
    assert.deepEqual((await offered(line, dir)).sort(), [...expected].sort(), line.join(' '));
});

test('every shell is told of every command and flag', () => {
  for (const shell of SHELLS) {
    const script = completion(shell, COMMANDS);
    for (const command of COMMANDS)
      for (const { name } of command.flags)
        assert.match(script, new RegExp(`${shell === 'fish' ? '-l ' : '--'}${name}\\b`), `${shell} ${name}`);
  }
});

for (const [shell, check] of [
  ['bash', ['-n']],
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
] as const) {
  const skip = spawnSync(shell, ['-c', 'true']).error === undefined ? false : `no ${shell} here`;
  test(`${shell} can read its completion`, { skip }, () => {
    const { status, stderr } = spawnSync(shell, check, { input: completion(shell, COMMANDS), encoding: 'utf8' });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  });
}

// What is said of wrong command lines and variables: as in its golden file, of one cause one complaint, with the name
// by which the value was given, the value, and forms that work, each of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandLine, flagCases, readLine, saidOf } from '../../tools/flag-complaints.ts';
import type { Flag } from '../cli/command.ts';
import { COMMANDS } from './commands.ts';
import { FLAGS, variableOf } from './flags.ts';

const CASES = flagCases().map((one) => ({ ...one, command: readLine(one.line) }));

/** Any text may be right: only what is empty, missing or has no effect can be wrong before it is used. */
const FREE = [
  ...['config', 'kubeconfig', 'context', 'admin-token-file', 'tls-cert', 'tls-key', 'zone', 'access-log', 'user'],
  ...['takeover', 'state-file', 'keys-file'],
];

const JARGON = /undefined|\bNaN\b|\bnull\b|\[object|Error:|regexp|must match|\^\[|ERR_/;

/** The command line with what is offered: `write --a b`, `write X=y besides`, `leave out --a and --b`. */
function mended({ env, words }: CommandLine, offer: string, said: string): CommandLine {
  const out = /^leave out (.*)$/.exec(offer)?.[1];
  if (out !== undefined)
    return out.split(' and ').reduce((line, part) => without(line, part.split(' ')), { env, words } as CommandLine);
  const [, what = ''] = /^write (.*?)(?: besides| to serve a file or folder)?$/.exec(offer) ?? [];
  const { env: putEnv, words: put } = readLine(/^[A-Z0-9_]+=/.test(what) ? `${what} rauta` : `rauta ${what}`);
  const [, stray] = /unexpected argument '([^']*)'/.exec(said) ?? [];
  const rest = words.filter((word) => word !== stray);
  if (Object.keys(putEnv).length > 0) return { env: { ...env, ...putEnv }, words: [...rest, ...put] };
  if (put[0] === 'rauta') return { env, words: put.slice(1) };
  const [, value] = /'([^']*)'/.exec(said) ?? [];
  if (put[0]?.startsWith('--') !== true)
    return { env, words: rest.map((word) => (word === value ? (put[0] as string) : word)) };
  const name = put[0].split('=')[0] as string;
  return { env, words: [...without({ env, words: rest }, [name]).words, ...put] };
}

/** Without a variable, or a flag and its value; of one given twice, that with this value. */
function without({ env, words }: CommandLine, [name = '', value]: readonly string[]): CommandLine {
  const left = Object.fromEntries(Object.entries(env).filter(([key]) => key !== name));
  const bare = FLAGS.find((flag) => `--${flag.name}` === name)?.bare === true;
  const at = words.findIndex(
    (word, i) => word === name.replace(/=true$/, '') && (bare || value === undefined || words[i + 1] === value),
  );
  if (at < 0) return { env: left, words: words.filter((word) => word !== name && !word.startsWith(`${name}=`)) };
  const next = words[at + 1];
  const taken = bare || next === undefined || next.startsWith('--') ? 1 : 2;
  return { env: left, words: [...words.slice(0, at), ...words.slice(at + taken)] };
}

/** What a complaint ends with: `; write A, or leave out B`; `(did you mean C?)`. */
function offersOf(said: string): string[] {
  const [, behind] = /; ((?:write|leave out) [^;]*)$/.exec(said) ?? [];
  return behind?.split(/, or (?=write|leave)/) ?? [];
}

for (const { transcript, line, command, said } of CASES) {
  test(`${transcript}: ${line}`, async () => {
    assert.deepEqual(await saidOf(command), said, 'as in its golden file');
    assert.equal(said.length, 1, 'one cause, one complaint');
    const [text = ''] = said;
    assert.doesNotMatch(text, JARGON);
    const near = /(\S+) .*\(did you mean (\S+)\?\)/.exec(text);
    const offers = offersOf(text);
    assert.ok(near !== null || offers.length > 0 || /rauta help|it takes|Write rauta/.test(text), `no form: ${text}`);
    if (command.words[0] !== 'serve') return;
    for (const offer of offers) {
      // (Who leaves out all there was has nothing left to be served; of a pair the other is still due;
      // and what is empty was told of when nothing was left.)
      const other = /^nothing to serve|needs its (key|certificate)|^RAUTA_CONFIG is empty/;
      const after = (await saidOf(mended(command, offer, text))).filter((one) => !other.test(one));
      assert.deepEqual(after, [], `what it offers is right: ${offer}`);
    }
  });
}

function complaintsNaming(name: string): string[] {
  return CASES.filter(({ command }) => command.words[0] === 'serve')
    .flatMap(({ said }) => said)
    .filter((text) => text.startsWith(`${name} `) || text.startsWith(`${name}:`));
}

test('every flag and every variable is among the complaints: wrong, empty, without a value, twice', () => {
  const missing: string[] = [];
  for (const flag of FLAGS) {
    for (const name of [`--${flag.name}`, variableOf(flag.name)])
      for (const [what, is] of kindsOf(flag, name.startsWith('--')))
        if (!complaintsNaming(name).some((text) => is.test(text))) missing.push(`${name}: ${what}`);
  }
  assert.deepEqual(missing, []);
});

function kindsOf(flag: Flag, given: boolean): (readonly [string, RegExp])[] {
  const wrong = FREE.includes(flag.name) ? [] : [['wrong', /: '[^']+' /] as const];
  if (!given) return [...wrong, ['empty', /is empty and counts as not given/]];
  const value = flag.bare === true ? [] : [['without a value', /needs a value/] as const];
  const empty = flag.bare === true ? /: '' is neither true nor false/ : /: '' is empty/;
  const twice = flag.many === true ? [] : [['twice', /is given twice/] as const];
  return [...wrong, ...value, ['empty', empty], ...twice];
}

test('every command has its complaints, and every value that a command offers as an example is taken', async () => {
  for (const { name } of COMMANDS.filter((command) => command.name !== 'serve'))
    assert.ok(
      CASES.some(({ command }) => command.words[0] === name),
      name,
    );
  const pairs = [['tls-cert', 'tls-key']];
  for (const flag of FLAGS.filter(({ bare }) => bare !== true)) {
    const pair = pairs.find((two) => two.includes(flag.name)) ?? [flag.name];
    const words = pair.flatMap((name) => [`--${name}`, FLAGS.find((f) => f.name === name)?.example ?? '']);
    const cluster = /'.*' is for --kubernetes/.test(
      (await saidOf({ env: {}, words: ['serve', '--config', 'x', ...words] }))[0] ?? '',
    );
    const around = {
      ...{ env: pair.length === 2 ? { RAUTA_BACKEND_ADDR: '127.0.0.1:9001' } : {} },
      words: ['serve', ...(cluster ? ['--kubernetes'] : ['--config', 'x'])],
    };
    const more = flag.name === 'after-takeover' ? ['--takeover', '/run/t'] : [];
    assert.deepEqual(await saidOf({ ...around, words: [...around.words, ...more, ...words] }), [], flag.name);
  }
});

// The golden complaints of command lines: testdata/flags/*.txt are transcripts, each `$ [VARIABLE=value]... rauta ...`
// with what is said of it below. `bin/node tools/flag-complaints.ts` writes anew what is said (review it: it is what
// users read); src/main/flag-complaints.test.ts compares, and tries every form that is offered.

import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ExitError } from '../src/base/errors.ts';
import { visible } from '../src/base/steering.ts';
import { parseOptions } from '../src/main/options.ts';
import { dispatch } from '../src/main/run.ts';

const FOLDER = fileURLToPath(new URL('../testdata/flags', import.meta.url));
const NO_TERMINAL = { stdout: false, stderr: false };

export interface CommandLine {
  readonly env: Readonly<Record<string, string>>;
  /** Behind `rauta`. */
  readonly words: readonly string[];
}

export interface Case {
  readonly transcript: string;
  readonly line: string;
  readonly said: readonly string[];
}

function transcripts(): string[] {
  return globSync('*.txt', { cwd: FOLDER }).map((path) => basename(path, '.txt'));
}

export function flagCases(): Case[] {
  return transcripts().flatMap((transcript) =>
    readFileSync(join(FOLDER, `${transcript}.txt`), 'utf8')
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [line = '', ...said] = part.trimEnd().split('\n');
        return { transcript, line, said };
      }),
  );
}

/** As a shell takes it apart, as far as there are single quotes in it. */
export function readLine(line: string): CommandLine {
  const words = [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
  const at = words.indexOf('rauta');
  const env = words.slice(0, at).map((word) => [word.replace(/=.*/, ''), word.replace(/^[^=]*=/, '')] as const);
  return { env: Object.fromEntries(env), words: words.slice(at + 1) };
}

/** What is said of it, a complaint a line; of other commands than `serve` what ends them. */
export async function saidOf({ env, words }: CommandLine): Promise<readonly string[]> {
  try {
    if (words[0] === 'serve') return parseOptions(words.slice(1), env, NO_TERMINAL).warnings;
    Object.assign(process.env, env);
    await dispatch(words, { notCached: null, early: { came: new Set(), note: () => {} } });
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    return [visible(error.message)];
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
  }
  return [];
}

if (import.meta.main) {
  for (const transcript of transcripts()) {
    const parts: string[] = [];
    for (const { line } of flagCases().filter((one) => one.transcript === transcript))
      parts.push([`$ ${line}`, ...(await saidOf(readLine(line)))].join('\n'));
    writeFileSync(join(FOLDER, `${transcript}.txt`), `${parts.join('\n\n')}\n`);
  }
}

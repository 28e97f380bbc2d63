// `rauta check` and `rauta explain` of files, in this process: by what the commands themselves call, without a start.

import { readArguments } from '../src/cli/arguments.ts';
import { check } from '../src/cli/check.ts';
import { meaningOf } from '../src/main/check.ts';
import { commandOf } from '../src/main/commands.ts';
import { explained } from '../src/main/explain.ts';
import { fileRules } from '../src/main/file-rules.ts';

let rules: ReturnType<typeof fileRules> | null = null;

/** What `rauta check` says of the paths; CEL is read in once. */
export async function checked(paths: readonly string[]): Promise<{ text: string; exitCode: number }> {
  rules ??= fileRules();
  const { lines, exitCode } = await check(paths, { translate: meaningOf, cel: await rules });
  return { text: lines.join('\n'), exitCode };
}

/** What a command line of `check` or `explain` prints: the words behind the command's name, paths as they are. */
export async function offline(name: 'check' | 'explain', words: string): Promise<{ text: string; exitCode: number }> {
  const given = readArguments(wordsOf(words), commandOf(name)?.flags ?? [], name);
  return name === 'check' ? checked(given.operands) : explained(given);
}

/** A command's words, quotes taken away; it has nothing else of a shell's. */
export function wordsOf(command: string): string[] {
  const words = command.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g);
  return [...words].map(([word]) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'));
}

// `rauta check`: the files' own problems and what the translator says of them together.

import type { KubeObject } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { EXIT } from '../base/errors.ts';
import { check } from '../cli/check.ts';
import { classesOfOthers, whyIdle } from './idle.ts';
import { DEFAULT_TRANSLATION } from './resources.ts';
import { translated } from './translated.ts';

/** As for `rauta serve`. */
const LENIENT = '--lenient';

export async function runCheck(argv: readonly string[]): Promise<number> {
  const flag = argv.find((a) => a.startsWith('-') && a !== LENIENT);
  if (flag !== undefined) {
    process.stderr.write(`rauta check: unknown flag ${flag}; it takes files, folders and ${LENIENT}\n`);
    return EXIT.usage;
  }
  const paths = argv.filter((a) => a !== LENIENT);
  const { exitCode, lines } = await check(paths, { translate, lenient: paths.length < argv.length });
  (exitCode === EXIT.usage || exitCode === EXIT.cannotRun ? process.stderr : process.stdout).write(
    `${lines.join('\n')}\n`,
  );
  return exitCode;
}

function translate(objects: readonly KubeObject[]): Problem[] {
  const translator = translated(objects);
  const found = [...translator.diagnostics.values()].flat();
  if ([...translator.ir.values()].some((entry) => entry.kind === 'socket')) return found;
  const idle: Problem = { severity: 'warning', message: `nothing of this is served: ${whyIdle(objects)}`, place: {} };
  return [...found, ...classesOfOthers(objects, DEFAULT_TRANSLATION.controllerName), idle];
}

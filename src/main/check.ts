// `rauta check`: the files' own problems and what the translator says of them together.

import type { KubeObject } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { EXIT } from '../base/errors.ts';
import { visibleJson } from '../base/steering.ts';
import { type Given, isSet, usageError } from '../cli/arguments.ts';
import { check } from '../cli/check.ts';
import { certificateFacts, expiryProblems } from '../translate/certificate-facts.ts';
import { withoutEffect } from '../translate/without-effect.ts';
import { fileRules } from './file-rules.ts';
import { givenFiles } from './given-files.ts';
import { whyIdle } from './idle.ts';
import { complain, print } from './printing.ts';
import { DEFAULT_TRANSLATION } from './resources.ts';
import { translated } from './translated.ts';

export async function runCheck({ flags, operands }: Given): Promise<number> {
  if (operands.length === 0) throw usageError('what is to be checked? Write rauta check PATH, or - for standard input');
  const { paths, given } = await givenFiles(operands);
  const lenient = isSet(flags, 'lenient');
  const cel = await fileRules();
  const { exitCode, lines, report } = await check(paths, { translate: meaningOf, lenient, given, cel });
  const asJson = isSet(flags, 'json');
  const text = asJson ? visibleJson(JSON.stringify(report, null, 2)) : lines.join('\n');
  if (exitCode === EXIT.cannotRun && !asJson) complain(`${text}\n`);
  else print(`${text}\n`);
  return exitCode;
}

/** What files mean together, as far as something is wrong with it. */
export function meaningOf(objects: readonly KubeObject[], problems: readonly Problem[]): Problem[] {
  const translator = translated(objects);
  const found = [...translator.diagnostics.values()].flat();
  const complete = [...problems, ...found].every(({ severity }) => severity !== 'error');
  const { controllerName } = DEFAULT_TRANSLATION;
  const idlers = withoutEffect({ objects, entries: translator.ir.values(), controllerName, complete });
  const now = Date.now();
  const ending = expiryProblems(certificateFacts(translator.ir.values(), now), now);
  const whole = [...found, ...idlers, ...ending];
  if ([...translator.ir.values()].some((entry) => entry.kind === 'socket')) return whole;
  // Whatever is said of a Gateway, a class or an Ingress says why.
  if ([...problems, ...whole].some(saysWhy)) return whole;
  const idle: Problem = { severity: 'warning', message: `nothing of this is served: ${whyIdle(objects)}`, place: {} };
  return [...whole, idle];
}

function saysWhy({ severity, place: { object }, hides }: Problem): boolean {
  if (hides?.some(({ kind }) => kind === null || SERVING.has(kind)) === true) return true;
  return object !== undefined && (severity === 'error' || SERVING.has(object.split('/')[0] as string));
}

const SERVING: ReadonlySet<string> = new Set(['Gateway', 'GatewayClass', 'Ingress', 'IngressClass']);

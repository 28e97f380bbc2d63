// `rauta check PATH...`: what is wrong with configuration files, without serving them.

import type { KubeObject } from '../api/object.ts';
import { type Problem, problemText } from '../api/problem.ts';
import { EXIT } from '../base/errors.ts';
import { visible } from '../base/steering.ts';
import { type Reading, readAll } from '../source/file/read-all.ts';

export interface CheckOutcome {
  /** 0 good (warnings do not count), 1 problems, 2 usage, 3 could not run. */
  readonly exitCode: number;
  /** `file:line:column: error: message`, sorted by place; the last one sums up. */
  readonly lines: readonly string[];
}

export interface CheckOptions {
  /** What the objects together mean, as far as something is wrong with it. */
  readonly translate?: (objects: readonly KubeObject[]) => readonly Problem[];
  /** Fields and kinds that are not known are warnings. */
  readonly lenient?: boolean;
}

export async function check(paths: readonly string[], options: CheckOptions = {}): Promise<CheckOutcome> {
  if (paths.length === 0) return { exitCode: EXIT.usage, lines: ['rauta check: give the files or folders to check'] };
  const reading = readAll(paths, { lenient: options.lenient ?? false });
  if (reading.unreadable.length > 0) {
    return { exitCode: EXIT.cannotRun, lines: reading.unreadable.map((p) => line(p)) };
  }
  if (reading.files === 0) {
    return { exitCode: EXIT.cannotRun, lines: [`rauta check: no *.yaml, *.yml or *.json in ${paths.join(', ')}`] };
  }
  const meaning = options.translate?.(reading.objects) ?? [];
  const problems = [...reading.problems, ...meaning.map((p) => located(p, reading))].sort(byPlace);
  const errors = problems.filter((p) => p.severity === 'error').length;
  const sum = `${counted(reading.files, 'file')}, ${counted(reading.objects.length, 'object')}: `;
  const verdict = `${counted(errors, 'error')}, ${counted(problems.length - errors, 'warning')}`;
  // Two ways to the same complaint are one.
  const lines = [...new Set(problems.map(line))];
  return { exitCode: errors === 0 ? EXIT.ok : EXIT.configuration, lines: [...lines, sum + verdict] };
}

function located(problem: Problem, reading: Reading): Problem {
  const { object, field, file } = problem.place;
  if (object === undefined || file !== undefined) return problem;
  const place = reading.placeOf(object, field ?? '');
  return place === null ? problem : { ...problem, place: { ...problem.place, ...place } };
}

function line(problem: Problem): string {
  return visible(problemText(problem));
}

function byPlace({ place: a }: Problem, { place: b }: Problem): number {
  const left = a.file ?? '';
  const right = b.file ?? '';
  if (left !== right) return left < right ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

// `rauta check PATH...`: what is wrong with configuration files, without serving them.

import { causesOnly, withHint } from '../api/causes.ts';
import type { Cel } from '../api/cel.ts';
import { type KubeObject, keyOf } from '../api/object.ts';
import { type Problem, problemText } from '../api/problem.ts';
import { EXIT } from '../base/errors.ts';
import { visible } from '../base/steering.ts';
import { type Reading, readAll } from '../source/file/read-all.ts';

export interface CheckOutcome {
  /** 0 good (warnings do not count), 1 problems, 2 usage, 3 could not run. */
  readonly exitCode: number;
  /** `file:line:column: error: message`, sorted by place; the last one sums up. */
  readonly lines: readonly string[];
  readonly report: CheckReport;
}

/** The same as data: what `--json` prints. */
export interface CheckReport {
  readonly files: number;
  readonly objects: number;
  readonly errors: number;
  readonly warnings: number;
  readonly problems: readonly Reported[];
}

/** A problem, its place beside its words. */
export type Reported = Omit<Problem, 'place' | 'absent' | 'hides' | 'idle'> & Problem['place'];

export interface CheckOptions {
  /** What the objects together mean, as far as something is wrong with it; `problems`: of the files as such. */
  readonly translate?: (objects: readonly KubeObject[], problems: readonly Problem[]) => readonly Problem[];
  /** Fields and kinds that are not known are warnings. */
  readonly lenient?: boolean;
  /** What evaluates the rules of definitions; absent: nobody does. */
  readonly cel?: Cel;
  /** Contents that stand in no file, under the names by which they are spoken of. */
  readonly given?: ReadonlyMap<string, Uint8Array>;
}

export async function check(paths: readonly string[], options: CheckOptions = {}): Promise<CheckOutcome> {
  const { lenient = false, cel, given } = options;
  const reading = readAll(paths, { lenient, ...(cel === undefined ? {} : { cel }) }, given);
  if (reading.unreadable.length > 0)
    return outcome(EXIT.cannotRun, reading, reading.unreadable, reading.unreadable.map(line));
  if (reading.files === 0) {
    const message = `no *.yaml, *.yml or *.json in ${paths.join(', ')}`;
    return outcome(EXIT.cannotRun, reading, [{ severity: 'error', message, place: {} }], [`rauta check: ${message}`]);
  }
  const problems = complaints(reading, options.translate?.(reading.objects, reading.problems) ?? []);
  const errors = problems.filter((p) => p.severity === 'error').length;
  const sum = `${counted(reading.files, 'file')}, ${counted(reading.objects.length, 'object')}: `;
  const verdict = `${counted(errors, 'error')}, ${counted(problems.length - errors, 'warning')}`;
  const code = errors === 0 ? EXIT.ok : EXIT.configuration;
  return outcome(code, reading, problems, [...problems.map(line), sum + verdict]);
}

/** What is wrong with files and with what they mean, by place: causes alone, with what may have been meant. */
export function complaints(reading: Reading, meant: readonly Problem[]): readonly Problem[] {
  const keys = Map.groupBy(reading.objects.map(keyOf), (key) => key.slice(0, key.indexOf('/')));
  const found = causesOnly([...reading.problems, ...meant]).map((p) =>
    withHint(
      located(p, reading),
      (kind) => keys.get(kind) ?? [],
      (key) => reading.placeOf(key, ''),
    ),
  );
  // Two ways to the same complaint are one.
  return [...new Map(found.map((p) => [line(p), p])).values()].sort(byPlace);
}

function outcome(
  exitCode: number,
  reading: Reading,
  problems: readonly Problem[],
  lines: readonly string[],
): CheckOutcome {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  return {
    exitCode,
    lines,
    report: {
      files: reading.files,
      objects: reading.objects.length,
      errors,
      warnings: problems.length - errors,
      problems: problems.map(({ place, absent: _, hides: __, idle: ___, ...words }) => ({ ...words, ...place })),
    },
  };
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

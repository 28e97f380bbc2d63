// What users are told of their mistakes: testdata/mistakes/NAME.txt has the example NAME changed wrongly in five ways,
// each an edit of one of its files (`FILE: "FROM" -> "TO"`), what has to be among what is said (`  says "WORD"`), and
// what `rauta check`, the status of objects and `rauta explain` (of the first request that the example's page explains)
// say then. `bin/node tools/mistakes.ts` rewrites the latter (review it: it is what users read); test/mistakes.test.ts
// compares.

import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keyOf } from '../src/api/object.ts';
import { statusReport } from '../src/main/status-report.ts';
import { translated } from '../src/main/translated.ts';
import { readAll } from '../src/source/file/read-all.ts';
import { exampleCertificate } from './certificates.ts';
import { checked, offline } from './offline.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'testdata/mistakes');
/** Rows of an explanation that say what is wrong; what stands under them is indented. */
const TELLING = /^(outcome|not|kept out|note) /;

export interface Mistake {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** What has to be said. */
  readonly says: string;
}

/** What is said: lines of each, without the folder. */
export interface Told {
  readonly check: readonly string[];
  readonly status: readonly string[];
  readonly explain: readonly string[];
}

export function mistakeNames(): string[] {
  return globSync('*.txt', { cwd: FOLDER })
    .map((path) => basename(path, '.txt'))
    .sort();
}

export const mistakesFile = (name: string): string => join(FOLDER, `${name}.txt`);

export function readMistakes(name: string): Mistake[] {
  const text = readFileSync(mistakesFile(name), 'utf8');
  return [...text.matchAll(/^(\S+\.yaml): (".*") -> (".*")\n {2}says (".*")$/gm)].map(([, file = '', ...quoted]) => {
    const [from, to, says] = quoted.map((word) => JSON.parse(word) as string) as [string, string, string];
    return { file, from, to, says };
  });
}

/** The file as it is once everything is said. */
export async function writtenMistakes(name: string): Promise<string> {
  const parts = [`# Mistakes in examples/${name}: tools/mistakes.ts writes what is said of them.\n`];
  for (const mistake of readMistakes(name)) {
    const { file, from, to, says } = mistake;
    const { check, status, explain } = await toldOf(name, mistake);
    const rows = [
      ...check.map((line) => `    check    ${line}`),
      ...status.map((line) => `    status   ${line}`),
      ...explain.map((line) => `    explain  ${line}`),
    ];
    const [quotedFrom, quotedTo, word] = [from, to, says].map((text) => JSON.stringify(text));
    parts.push(`${file}: ${quotedFrom} -> ${quotedTo}\n  says ${word}\n\n${rows.join('\n')}\n`);
  }
  return parts.join('\n');
}

/** What is said of the example with that mistake. */
export async function toldOf(name: string, mistake: Mistake): Promise<Told> {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-mistake-'));
  try {
    put(name, mistake, folder);
    const bare = (line: string): string => line.replaceAll(`${folder}/`, '').replaceAll(folder, '.');
    const check = (await checked([folder])).text.split('\n').map(bare);
    return { check, status: statusLines(folder).map(bare), explain: (await explainLines(name, folder)).map(bare) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function put(name: string, { file, from, to }: Mistake, folder: string): void {
  const example = join(ROOT, 'examples', name);
  const certificate = exampleCertificate(example);
  if (certificate !== null) writeFileSync(join(folder, 'certificate.yaml'), certificate);
  for (const path of globSync('*.yaml', { cwd: example }).filter((own) => own !== 'certificate.yaml')) {
    const text = readFileSync(join(example, path), 'utf8');
    const at = path === file ? text.indexOf(from) : 0;
    if (at < 0) throw new Error(`examples/${name}/${file} has no ${JSON.stringify(from)}`);
    writeFileSync(join(folder, path), path === file ? text.slice(0, at) + to + text.slice(at + from.length) : text);
  }
}

/** As `rauta status` has it of a program that serves the folder. */
function statusLines(folder: string): string[] {
  const { objects } = readAll([folder]);
  const { statuses } = translated(objects);
  const report = statusReport({
    ...{ version: '', revision: 1, entries: [], problems: [], readiness: { ready: true, reason: '' } },
    state: { held: null, storm: false, acked: 1, workers: [], failedSockets: [] } as never,
    objects: objects.map((object) => ({
      key: keyOf(object),
      kept: false,
      status: statuses.get(keyOf(object)),
    })),
  });
  return report.objects.flatMap(({ object, faults }) =>
    // Whether it is served nobody knows who does not serve.
    faults
      .filter(({ type, reason }) => type !== 'Programmed' || reason !== 'Pending')
      .map(
        ({ of, type, status, reason, message }) =>
          `${object}${of === '' ? '' : ` ${of}`}: ${type}=${status} ${reason}: ${message}`,
      ),
  );
}

async function explainLines(name: string, folder: string): Promise<string[]> {
  const page = readFileSync(join(ROOT, 'examples', name, 'README.md'), 'utf8').replaceAll('\\\n', '');
  const words = /^bin\/rauta explain (.*) --config \S+$/m.exec(page)?.[1];
  if (words === undefined) return [];
  const { text } = await offline('explain', `${words} --config ${folder}`);
  let telling = false;
  return text.split('\n').filter((line) => {
    telling = line.startsWith(' ') ? telling : TELLING.test(line);
    return telling;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of mistakeNames()) writeFileSync(mistakesFile(name), await writtenMistakes(name));
}

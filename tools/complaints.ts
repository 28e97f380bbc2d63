// The golden complaints: testdata/complaints/NAME.in.yaml is a broken input, NAME.out.txt what `rauta check` says of
// it. `bin/node tools/complaints.ts` rewrites the outputs that differ (review them: they are what users read);
// src/main/complaints.test.ts compares, and demands of each what its head asks for:
//
//     # field: the path of the field that is named      # found: what is there, as it is quoted
//     # right: the form that is offered                  # mended: "WRONG" -> "RIGHT" (JSON), repeatable
//     # unmended: why putting RIGHT in place of WRONG does not make all good
//
// With all WRONG replaced by RIGHT nothing may be said any more.

import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from '../src/cli/check.ts';
import { meaningOf } from '../src/main/check.ts';
import { fileRules } from '../src/main/file-rules.ts';

export const COMPLAINTS_FOLDER = fileURLToPath(new URL('../testdata/complaints', import.meta.url));

export interface Complaint {
  readonly name: string;
  readonly text: string;
  readonly field: string | null;
  readonly found: string | null;
  readonly right: string;
  readonly mended: readonly { readonly wrong: string; readonly right: string }[];
  readonly unmended: string | null;
}

export function complaintNames(): string[] {
  return globSync('*.in.yaml', { cwd: COMPLAINTS_FOLDER })
    .map((path) => basename(path, '.in.yaml'))
    .sort();
}

export function readComplaint(name: string): Complaint {
  const text = readFileSync(join(COMPLAINTS_FOLDER, `${name}.in.yaml`), 'utf8');
  const said = new Map<string, string>();
  const mended: { wrong: string; right: string }[] = [];
  for (const line of text.split('\n')) {
    const [, key, value = ''] = /^# ([a-z]+): (.*)$/.exec(line) ?? [];
    if (key === undefined) break;
    if (key === 'mended') {
      const [wrong, right] = JSON.parse(`[${value.replace('" -> "', '", "')}]`) as [string, string];
      mended.push({ wrong, right });
    } else said.set(key, value);
  }
  const right = said.get('right');
  if (right === undefined) throw new Error(`${name}: its head says no right form`);
  return {
    ...{ name, text, right, mended },
    field: said.get('field') ?? null,
    found: said.get('found') ?? null,
    unmended: said.get('unmended') ?? null,
  };
}

/** The input without its faults (a WRONG that is empty stands in front of all). */
export function mendedText({ name, text, mended }: Complaint): string {
  const lines = text.split('\n');
  let body = lines.slice(lines.findIndex((line) => !/^# [a-z]+: /.test(line))).join('\n');
  for (const { wrong, right } of mended) {
    const at = body.indexOf(wrong);
    if (at < 0) throw new Error(`${name}: ${JSON.stringify(wrong)} is not there`);
    body = body.slice(0, at) + right + body.slice(at + wrong.length);
  }
  return body;
}

let cel: ReturnType<typeof fileRules> | null = null;

/** What `rauta check` says of a text, the file called `input.yaml`. */
export async function complaintsOf(text: string): Promise<readonly string[]> {
  const given = new Map([['input.yaml', Buffer.from(text)]]);
  cel ??= fileRules();
  return (await check([], { translate: meaningOf, given, cel: await cel })).lines;
}

export function complaintFile(name: string): string {
  return join(COMPLAINTS_FOLDER, `${name}.out.txt`);
}

if (import.meta.main) {
  for (const name of complaintNames()) {
    const out = `${(await complaintsOf(readComplaint(name).text)).join('\n')}\n`;
    let before = '';
    try {
      before = readFileSync(complaintFile(name), 'utf8');
    } catch {
      // It is new.
    }
    if (before === out) continue;
    writeFileSync(complaintFile(name), out);
    process.stdout.write(`${name}\n`);
  }
}

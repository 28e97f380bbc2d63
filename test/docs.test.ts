// The pages keep their promises: links and anchors lead somewhere, examples are right, commands do what is written.
//
// A fenced block of yaml whose first line is `# FOLDER/NAME` is written as that file; a block of sh is run with all
// files of its page, and has to end well and without a complaint (`sh exit 1`: with 1; `sh warns`: with warnings);
// `sh skip: WHY` is skipped, and WHY is told; `sh served` and `sh serve` ask a running program
// (test/process/pages.test.ts and examples.test.ts run them).

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseDocument } from 'yaml';
import { durationMs } from '../src/api/duration.ts';
import { readArguments } from '../src/cli/arguments.ts';
import { COMMANDS } from '../src/main/commands.ts';
import { FLAGS, VARIABLES, variableOf } from '../src/main/flags.ts';
import { METRICS } from '../src/telemetry/catalogue.ts';
import { conditionTable } from '../src/translate/conditions.ts';
import { wordsOf } from '../tools/offline.ts';
import { type Block, blocksOf as blocksIn, commandsOf } from './support/pages.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TOP = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const PAGES = [...TOP, ...globSync('docs/**/*.md', { cwd: ROOT }), ...globSync('examples/**/README.md', { cwd: ROOT })];
const COMMAND_MS = 60_000;
/** Of other programs, and of our scripts. */
const THEIR_FLAGS = new Set(['small']);

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

function blocksOf(page: string): Block[] {
  return blocksIn(read(page));
}

/** As code hosts make them of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = read(page)
    .replaceAll(/^```[\s\S]*?^```$/gm, '')
    .matchAll(/^#+ (.*)$/gm);
  const plain = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  return new Set([...headings].map(([, heading = '']) => plain(heading)));
}

test('every link of every page leads to a file, and its anchor to a heading', () => {
  const broken: string[] = [];
  const all = globSync('**/*.md', { cwd: ROOT, exclude: (name) => name === 'node_modules' || name.startsWith('.') });
  assert.ok(PAGES.every((page) => all.includes(page)));
  for (const page of all) {
    const text = read(page)
      .replaceAll(/^```[\s\S]*?^```$/gm, '')
      .replaceAll(/`[^`\n]*`/g, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
      if (!existsSync(join(ROOT, file))) broken.push(`${page}: ${target}: no such file`);
      else if (anchor !== undefined && !(statSync(join(ROOT, file)).isFile() && anchorsOf(file).has(anchor)))
        broken.push(`${page}: ${target}: no such heading`);
    }
  }
  assert.deepEqual(broken, []);
});

test('the index names every page but decisions', () => {
  const index = read('docs/README.md');
  const missing = PAGES.filter((page) => /^docs\/[a-z]+\//.test(page) && !page.startsWith('docs/adr/')).filter(
    (page) => !index.includes(`(${page.slice('docs/'.length)})`),
  );
  assert.deepEqual(missing, []);
});

// The commands of examples are run where they are served (process/examples.test.ts).
for (const page of PAGES.filter((path) => !path.startsWith('examples/'))) {
  const blocks = blocksOf(page).filter(({ language, rest }) => language === 'sh' && !/^served?\b/.test(rest));
  if (blocks.length === 0) continue;
  test(`${page}: its commands do what is written`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'rauta-docs-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    for (const { text } of blocksOf(page)) {
      const name = /^# ([\w-]+\/[\w.-]+\.ya?ml)\n/.exec(text)?.[1];
      if (name === undefined) continue;
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    for (const { rest, text } of blocks) {
      if (rest.startsWith('skip: ')) {
        execFileSync('sh', ['-nc', text]);
        t.diagnostic(`not run, ${rest.slice('skip: '.length)}: ${text.split('\n')[0]}`);
        continue;
      }
      const wanted = Number(/^exit (\d+)$/.exec(rest)?.[1] ?? 0);
      const env = { ...process.env, PATH: `${join(ROOT, 'bin')}:${process.env['PATH'] ?? ''}` };
      const script = wanted === 0 ? `set -e\n${text}` : text;
      const { status, stdout, stderr } = spawnSync('sh', ['-c', script], {
        ...{ cwd: folder, env, timeout: COMMAND_MS, encoding: 'utf8' },
      });
      assert.equal(status, wanted, `${text}\n${stdout}${stderr}`);
      if (rest === 'warns') assert.match(stdout, /: warning: /, text);
      else if (wanted === 0) assert.doesNotMatch(stdout, /: (error|warning): /, text);
    }
  });
}

/** Lines of a block as a shell takes them, without what stands behind them. */
function commandLines(text: string): string[] {
  return commandsOf(text).flatMap(({ command }) => command.replace(/\s#\s.*$/, '').split(/ && | \|\| | \| |; /));
}

test('every command line of ours on a page is one: also where it is not run', () => {
  const makefiles = ['Makefile', ...globSync('mk/*', { cwd: ROOT })].map(read).join('\n');
  const targets = new Set([...makefiles.matchAll(/^([a-z][a-z-]*):/gm)].map(([, name]) => name));
  const wrong: string[] = [];
  let seen = 0;
  for (const page of PAGES)
    for (const { text } of blocksOf(page).filter(({ language }) => language === 'sh'))
      for (const line of commandLines(text)) {
        const [, target] = /^(?:sudo )?make ([a-z-]+)/.exec(line) ?? [];
        if (target !== undefined && !targets.has(target)) wrong.push(`${page}: ${line}: no such target`);
        const [, words] = /^(?:RAUTA_\w+=\S+ )*(?:sudo )?(?:\S*bin\/)?rauta (.*)$/.exec(line.trim()) ?? [];
        if (words === undefined) continue;
        seen++;
        const [name = '', ...rest] = wordsOf(words.replace(/ [<>|&].*$/, ''));
        const command = COMMANDS.find((one) => one.name === name);
        try {
          if (command === undefined) throw new Error('no such command');
          if (!rest.includes('--help')) readArguments(rest, command.flags, name);
        } catch (error) {
          wrong.push(`${page}: ${line}: ${(error as Error).message}`);
        }
      }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 50, 'there are some');
});

test('no command stands in an indented block, where nobody runs it', () => {
  const command =
    /^ {4}(?:sudo |RAUTA_\w+=\S+ )*(?:make|curl|rauta|bin\/\w+|kubectl|systemctl|docker|podman|cp|mv|tar|mkdir) /m;
  const pages = PAGES.filter((page) => !page.startsWith('docs/adr/'));
  const found = pages.filter((page) => command.test(read(page).replaceAll(/^```[\s\S]*?^```$/gm, '')));
  assert.deepEqual(found, []);
});

test('every condition stands on its page', () => {
  const rows = read('docs/reference/conditions.md')
    .split('\n')
    .filter((line) => /^\| `.*` (True|False) \|/.test(line));
  assert.equal(rows.length, conditionTable().length);
});

test('every flag of ours that a page names is there, and so is every variable and every metric', () => {
  const flags = new Set(COMMANDS.flatMap(({ flags: own }) => own.map(({ name }) => name)));
  const variables = new Set([...FLAGS.map(({ name }) => variableOf(name)), ...Object.keys(VARIABLES)]);
  const metrics = new Set<string>(Object.values(METRICS).map(({ name }) => name));
  const unknown: string[] = [];
  for (const page of PAGES.filter((name) => !name.startsWith('docs/adr/')))
    for (const [, span = ''] of read(page).matchAll(/`([^`\n]+)`/g)) {
      const [, flag] = /^--([a-z][a-z-]+)/.exec(span) ?? [];
      const [variable] = /^RAUTA_[A-Z0-9_]+/.exec(span) ?? [];
      const [metric] = /^rauta_[a-z0-9_]+/.exec(span) ?? [];
      if (flag !== undefined && !flags.has(flag) && !THEIR_FLAGS.has(flag)) unknown.push(`${page}: --${flag}`);
      if (variable !== undefined && !variables.has(variable)) unknown.push(`${page}: ${variable}`);
      if (metric !== undefined && !metrics.has(metric.replace(/_(bucket|sum|count)$/, '')) && !metrics.has(metric))
        unknown.push(`${page}: ${metric}`);
    }
  assert.deepEqual(unknown, []);
});

test('what sets a limit is there: a flag whose default is the limit, an annotation or a field that is read', () => {
  const rows = read('docs/reference/limits.md').matchAll(
    /^\| `([A-Z0-9_]+)` \| (\d+) \| (?:yes)? ?\| (.+?) \| .* \|$/gm,
  );
  const source = globSync('src/translate/*.ts', { cwd: ROOT }).map(read).join('');
  const set: string[] = [];
  for (const [, limit = '', value, by = ''] of rows) {
    const [, what = ''] = /`([^`]+)`/.exec(by) ?? [];
    set.push(limit);
    if (what.startsWith('--')) {
      const flag = FLAGS.find(({ name }) => `--${name}` === what);
      assert.equal(durationMs(flag?.default ?? ''), Number(value), `${limit}: ${what}`);
    } else if (what.startsWith('rauta.io/')) assert.ok(source.includes(`'${what}'`), `${limit}: ${what}`);
    else if (!/^(ulimit|net\.|fs\.|Keep-Alive|SETTINGS)/.test(what))
      for (const field of what.split('.')) assert.match(source, new RegExp(`\\b${field}\\b`), `${limit}: ${what}`);
  }
  for (const flag of ['IDLE_MS', 'STREAM_IDLE_MS', 'BODY_PROGRESS_MS', 'SESSION_IDLE_MS', 'UDP_IDLE_MS'])
    assert.ok(set.includes(flag), flag);
});

test('every metric of the alert rules is one of ours, and the labels it is asked by are its own', () => {
  const rules = blocksOf('docs/operations/monitoring.md').filter(({ text }) => text.includes('\n  - name: rauta\n'));
  assert.equal(rules.length, 1);
  const { groups } = parseDocument(rules[0]?.text ?? '').toJS() as {
    readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[];
  };
  const known = new Map(Object.values(METRICS).map((metric) => [metric.name, metric.labels]));
  for (const { alert, expr } of groups.flatMap((group) => group.rules)) {
    for (const [, name = '', , labels = ''] of expr.matchAll(/\b(rauta_\w+)(\{([^}]*)\})?/g)) {
      const own = known.get(name);
      assert.ok(own !== undefined, `${alert}: ${name} is no metric`);
      for (const [, label = ''] of labels.matchAll(/(\w+)\s*[=!]/g))
        assert.ok(own.includes(label), `${name}{${label}}`);
    }
  }
});

test('what migration says of ingress-nginx: check names each annotation that is not served', () => {
  const page = blocksOf('docs/tasks/migration.md').find(({ text }) => text.includes('kind: Ingress'));
  const { stdout, status } = spawnSync(join(ROOT, 'bin/rauta'), ['check', '-'], {
    ...{ input: page?.text ?? '', timeout: COMMAND_MS, encoding: 'utf8' },
  });
  assert.equal(status, 1);
  assert.match(stdout, /warning: .*affinity is not served and has no effect\. No cookie is set/);
  assert.match(stdout, /error: .*limit-rps is not served, and it restricts who may ask/);
});

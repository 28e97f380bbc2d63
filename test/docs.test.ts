// The pages keep their promises: links and anchors lead somewhere, examples are right, commands do what is written.
//
// A fenced block of yaml whose first line is `# FOLDER/NAME` is written as that file; a block of sh is run with all
// files of its page, and has to end well and without a complaint (`sh exit 1`: with 1; `sh warns`: with warnings);
// `sh skip: WHY` is skipped, and WHY is told.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseDocument } from 'yaml';
import { METRICS } from '../src/telemetry/catalogue.ts';
import { type Block, blocksOf as blocksIn } from './support/pages.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TOP = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const PAGES = [...TOP, ...globSync('docs/**/*.md', { cwd: ROOT }), ...globSync('examples/*/README.md', { cwd: ROOT })];
const COMMAND_MS = 60_000;

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
  for (const page of PAGES) {
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
  const blocks = blocksOf(page).filter(({ language }) => language === 'sh');
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
  assert.match(
    stdout,
    /warning: .*proxy-read-timeout is not served and has no effect\. Write an HTTPRoute with timeouts/,
  );
  assert.match(stdout, /error: .*whitelist-source-range is not served, and it restricts who may ask/);
});

// The pages that follow from the table of features: their part of docs/reference/gateway-api.md, and the index of the
// examples.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { counterparts, EXTRAS, type Extra, FEATURES, type Feature } from './features.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const BEGIN = '<!-- Written by tools/docs.ts out of tools/features.ts, up to the end of the tables. -->';
const END = '<!-- The end of the tables. -->';

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
const link = (path: string, text = basename(path).replace(/\.test\.ts$|\.ts$/, '')): string =>
  `[${text}](../../${path})`;

function where({ where: files }: Extra): string {
  return files.map((path) => link(path, path.replace(/^src\//, ''))).join(', ');
}

/** Of the official suite, each group with the file that has its counterparts; then ours. */
function tests(feature: Feature, files: ReadonlyMap<string, string>): string {
  const groups = Map.groupBy(feature.official, (name) => files.get(name) ?? '');
  const official = [...groups].map(([path, names]) => `${names.join(', ')} (${link(path)})`);
  return [...official, ...feature.own.map((path) => link(path))].join('; ');
}

function examples({ examples: names, instead }: Pick<Feature, 'examples' | 'instead'>): string {
  return names.length === 0 ? (instead ?? '') : names.map((name) => link(`examples/${name}`, name)).join(', ');
}

function featureTables(): string {
  const files = counterparts();
  const rows = FEATURES.map((feature) => [
    `\`${feature.name}\``,
    feature.channel === 'experimental' ? `${feature.level}, experimental` : feature.level,
    feature.what,
    where(feature),
    tests(feature, files),
    examples(feature),
  ]);
  const beside = EXTRAS.map((extra) => [
    extra.name,
    extra.what,
    where(extra),
    extra.own.map((path) => link(path)).join('; '),
    examples(extra),
  ]);
  return `${table(['feature', 'level', 'what it does', 'where', 'tests', 'examples'], rows)}

Beside the list:

${table(['what', 'what it does', 'where', 'tests', 'examples'], beside)}`;
}

/** The page as it is written by hand, with the tables of today. */
export function gatewayApi(): string {
  const text = readFileSync(join(root, 'docs/reference/gateway-api.md'), 'utf8');
  const [before, rest = ''] = text.split(BEGIN);
  const [, after] = rest.split(END);
  if (after === undefined) throw new Error('docs/reference/gateway-api.md has lost the place of its tables');
  return `${before}${BEGIN}\n\n${featureTables()}\n\n${END}${after}`;
}

export function examplesIndex(): string {
  const folders = readdirSync(join(root, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const all: readonly Extra[] = [...FEATURES, ...EXTRAS];
  const rows = folders
    .map(({ name }) => name)
    .sort()
    .map((name) => [
      `[${name}](${name})`,
      /^# (.*)$/m.exec(readFileSync(join(root, 'examples', name, 'README.md'), 'utf8'))?.[1] ?? '',
      all.flatMap((feature) => (feature.examples.includes(name) ? [feature.name] : [])).join(', '),
    ]);
  return `# Examples

A folder for each feature, small enough to be read whole. In one terminal what its page says starts it (\`make deps\`
comes first), in another one what it asks; \`make run CONFIG=examples/NAME\` serves it without backends. Lines that begin
with \`# \` behind a command are parts of what it prints: a test runs each page as it stands. What serves each feature,
and which tests hold it: [the Gateway API](../docs/reference/gateway-api.md#features).

${table(['folder', 'shows', 'features'], rows)}
`;
}

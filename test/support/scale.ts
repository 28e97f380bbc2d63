// Reads large configurations of many forms and prints how often each was complained of: run by test/scale.test.ts under
// a limit of CPU time, which any step that compares everything with everything would exceed many times.

import { Catalog } from '../../src/source/file/catalog.ts';
import { ConfigFile } from '../../src/source/file/config-file.ts';

const many = (n: number, part: (i: number) => string): string => Array.from({ length: n }, (_, i) => part(i)).join('');
const CONFIG_MAP = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n';
const head = (version: string, kind: string): string =>
  `apiVersion: ${version}\nkind: ${kind}\nmetadata: { name: a }\n`;

const FORMS: Readonly<Record<string, () => string>> = {
  'keys of a mapping': () => `${CONFIG_MAP}data:\n${many(100_000, (i) => `  k${i}: v\n`)}`,
  'keys of a JSON mapping': () => {
    const data = many(100_000, (i) => `"k${i}":"v",`);
    return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{${data}"z":"v"}}`;
  },
  'one key again and again': () => `${CONFIG_MAP}data:\n${many(100_000, () => '  k: v\n')}`,
  'unknown fields': () => CONFIG_MAP + many(100_000, (i) => `u${i}: v\n`),
  'wrong labels': () => {
    const labels = many(100_000, (i) => `    k${i}: "x y"\n`);
    return `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n${labels}`;
  },
  'anchors and aliases': () =>
    `${CONFIG_MAP}data:\n${many(40_000, (i) => `  k${i}: &a${i} v\n`)}${many(40_000, (i) => `  l${i}: *a${i}\n`)}`,
  'merges of one mapping': () => `x: &x { a: 1 }\n${many(40_000, (i) => `y${i}: { <<: *x }\n`)}`,
  'lists as keys': () => '['.repeat(150) + many(50_000, () => 'x, ') + ']: 1'.repeat(150),
  'endpoints twice': () =>
    `${head('discovery.k8s.io/v1', 'EndpointSlice')}addressType: IPv4\nendpoints:\n` +
    many(25_000, () => '- addresses: [10.0.0.1, 10.0.0.1]\n'),
  'ports twice': () =>
    `${head('v1', 'Service')}spec:\n  ports:\n${many(25_000, (i) => `  - { port: 80, name: p${i} }\n`)}`,
  'items of a list': () =>
    `apiVersion: v1\nkind: ConfigMapList\nitems:\n${many(25_000, () => '- metadata: { name: a }\n')}`,
  'documents of one name': () => many(25_000, () => `${CONFIG_MAP}---\n`),
  'documents of few names': () => many(25_000, (i) => `${CONFIG_MAP.replace('a }', `a${i % 12_500} }`)}---\n`),
  'JSON objects behind each other': () => many(25_000, () => '{"a":1}'),
  'document markers': () => many(25_000, () => '---\n# x\n'),
  'empty lines and comments': () => `a:\n  b: 1\n${many(100_000, () => '\n')}${many(100_000, () => '      # c\n')}`,
  'a line without end': () => `a: [${many(200_000, () => 'x, ')}]\n`,
  'more than a document may hold': () => `a: [${many(500_000, () => '1,')}]\n`,
  'quotes that do not close': () => `${CONFIG_MAP}data:\n${many(50_000, () => '  k: "a\n')}`,
};

/** Problems of each form. */
function forms(): string[] {
  return Object.entries(FORMS).map(([name, text]) => {
    const file = new ConfigFile('x.yaml').next(Buffer.from(text()));
    return `${name}: ${file.problems(new Map()).length}`;
  });
}

/** Many files that define the same objects, read at once and gone again. */
function rivals(): string {
  const files = 10_000;
  const catalog = new Catalog();
  const read = new Map<string, ConfigFile>();
  for (let i = 0; i < files; i++) {
    const path = `${i}.yaml`;
    const own = CONFIG_MAP.replace('a }', `a${i >> 1} }`);
    read.set(path, new ConfigFile(path).next(Buffer.from(`${CONFIG_MAP}---\n${own}`)));
  }
  const { upserts } = catalog.update(read);
  let problems = 0;
  for (const path of read.keys()) problems += catalog.problems(path).length;
  const { removals } = catalog.update(new Map([...read.keys()].map((path) => [path, null])));
  return `files of one object: ${upserts.length} ${problems} ${removals.length}`;
}

process.stdout.write(`${[...forms(), rivals()].join('\n')}\n`);

// What a distribution holds: the program as JavaScript (Node's eraser of types is never loaded), what it imports, a
// Node without symbols, and the compile cache. Nothing of it is fetched: it is of this project and its packages.

import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { completion, SHELLS } from '../../src/cli/completion.ts';
import { COMMANDS } from '../../src/main/commands.ts';
import { fill } from './compiled.ts';
import { withoutSymbols } from './elf.ts';
import { type Entry, file } from './tar.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Of each package what the program loads of it. The compile cache is filled by loading all: nothing can be missing. */
const PACKAGES: Readonly<Record<string, { readonly name: string; readonly parts: readonly RegExp[] }>> = {
  cel: { name: '@bufbuild/cel', parts: [/^dist\/esm\/.*\.js$/] },
  celSpec: { name: '@bufbuild/cel-spec', parts: [/^dist\/esm\/gen\/cel\/expr\/\w+\.js$/] },
  protobuf: { name: '@bufbuild/protobuf', parts: [/^dist\/esm\/.*\.js$/] },
  re2: { name: '@bufbuild/re2', parts: [/^dist\/esm\/.*\.js$/] },
  koffi: { name: `@koromix/koffi-linux-${process.arch}`, parts: [new RegExp(`^linux_${process.arch}/koffi\\.node$`)] },
  re2js: { name: 're2js', parts: [/^build\/index\.js$/] },
  undici: { name: 'undici', parts: [/^index\.js$/, /^lib\/.*\.js$/] },
  yaml: { name: 'yaml', parts: [/^dist\/.*\.js$/] },
};

/** Something with a version and a licence of its own, and the paths that are its. */
export interface Part {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly purl: string;
  /** A path, or a folder that ends in a slash. */
  readonly paths: readonly string[];
  /** Of libraries that are compiled into it: name and version. */
  readonly within?: Readonly<Record<string, string>>;
}

export interface Program {
  readonly entries: readonly Entry[];
  readonly parts: readonly Part[];
  readonly version: string;
  /** Whether the bytes are the same in every folder of every machine with the same packages. */
  readonly reproducible: boolean;
}

const text = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifest = (folder: string): { version: string; license: string } => JSON.parse(text(`${folder}/package.json`));

/** `./x.ts` in code is `./x.js` there; white space stands where types were, so lines and columns stay. */
function erased(source: string, typed = true): string {
  return (typed ? stripTypeScriptTypes(source) : source).replace(/(['"])(\.{1,2}\/[^'"\n]+)\.ts\1/g, '$1$2.js$1');
}

function sources(): Entry[] {
  return (readdirSync(join(root, 'src'), { recursive: true }) as string[])
    .filter((name) => /\.(ts|js)$/.test(name) && !/\.(test|d)\.ts$/.test(name) && !TESTS_ONLY.test(name))
    .map((name) => {
      return file(`src/${name.replace(/\.ts$/, '.js')}`, erased(text(`src/${name}`), name.endsWith('.ts')));
    });
}

/** Rooms of `src` that only tests use. */
const TESTS_ONLY = /^sim\/|\/testing\.ts$/;

function packageOf({ name, parts }: { name: string; parts: readonly RegExp[] }): Entry[] {
  const folder = `node_modules/${name}`;
  return (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter(
      (path) => path === 'package.json' || /^LICEN[SC]E(\.\w+)?$/.test(path) || parts.some((part) => part.test(path)),
    )
    .map((path) => file(`${folder}/${path}`, readFileSync(join(root, folder, path))));
}

/** Named as each shell wants it where it looks. */
const COMPLETIONS = { bash: 'rauta.bash', zsh: '_rauta', fish: 'rauta.fish' } as const;

function ours(version: string): Entry[] {
  const examples = (readdirSync(join(root, 'examples/quickstart')) as string[]).map((name) =>
    file(`examples/quickstart/${name}`, text(`examples/quickstart/${name}`)),
  );
  const main = JSON.parse(text('package.json')) as Record<string, unknown>;
  const shown = Object.fromEntries(
    ['name', 'version', 'description', 'license', 'type'].map((key) => [key, main[key]]),
  );
  return [
    file('bin/rauta', text('bin/rauta'), 0o755),
    file('package.json', `${JSON.stringify(shown, null, 2)}\n`),
    file('LICENSE', text('LICENSE')),
    file('README', text('tools/dist/README.txt').replaceAll('VERSION', version)),
    file('rauta.service', text('tools/dist/rauta.service')),
    ...SHELLS.map((shell) => file(`completions/${COMPLETIONS[shell]}`, completion(shell, COMMANDS))),
    file('demo-backends.js', erased(text('tools/demo-backends.ts'))),
    ...examples,
  ];
}

/** Without Node and compile cache: what the build is named by. */
function plain(): { entries: Entry[]; version: string } {
  const { version } = manifest('.');
  const packages = Object.values(PACKAGES).flatMap(packageOf);
  // The platform's package has none of its own.
  packages.push(file(`node_modules/${PACKAGES['koffi']?.name}/LICENSE.txt`, text('node_modules/koffi/LICENSE.txt')));
  return { entries: [...sources(), ...packages, ...ours(version)], version };
}

/** Everything, made anew. */
export function program(): Program {
  const { entries, version } = plain();
  const node = `node_modules/node-linux-${process.arch}`;
  const binary = withoutSymbols(readFileSync(join(root, node, 'bin/node')));
  entries.push(file('bin/node', binary, 0o755), file('bin/node.LICENSE', text(`${node}/LICENSE`)));
  const hash = createHash('sha256');
  for (const { path, data } of entries)
    hash.update(`${path}\0`).update(
      createHash('sha256')
        .update(data ?? '')
        .digest(),
    );
  const build = hash.digest('hex').slice(0, 16);
  entries.push(file('build', `${build}\n`));
  const { cache, reproducible } = compiled(entries, build);
  return { entries: [...entries, ...cache], version, parts: partsOf(version), reproducible };
}

function compiled(entries: readonly Entry[], build: string): { cache: Entry[]; reproducible: boolean } {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-dist-'));
  try {
    chmodSync(folder, 0o755);
    for (const { path, data, mode } of entries) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), data ?? '', { mode });
    }
    const reproducible = fill(folder);
    const base = '.cache/compile';
    const [tag] = readdirSync(join(folder, base)) as [string];
    const cache = readdirSync(join(folder, base, tag)).map((name) =>
      file(`${base}/${tag}/${name}`, readFileSync(join(folder, base, tag, name))),
    );
    // As main.js would leave it when it has filled the cache.
    return { cache: [...cache, file(`${base}/${tag}/filled-${build}`, '')], reproducible };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function partsOf(version: string): Part[] {
  const node = manifest(`node_modules/node-linux-${process.arch}`);
  const within = Object.fromEntries(
    Object.entries(process.versions).filter(([name]) => !['node', 'modules', 'napi'].includes(name)),
  ) as Record<string, string>;
  const npm = Object.entries(PACKAGES).map(([name, { name: folder }]): Part => {
    const { version: v, license } = manifest(`node_modules/${folder}`);
    const paths = [`node_modules/${folder}/`];
    return { name, version: v, licence: license, purl: `pkg:npm/${folder.replace('@', '%40')}@${v}`, paths };
  });
  const own = [
    'src/',
    '.cache/',
    'completions/',
    'examples/',
    'bin/rauta',
    'package.json',
    'LICENSE',
    'README',
    'build',
  ];
  return [
    {
      name: 'rauta',
      version,
      licence: 'Apache-2.0',
      purl: `pkg:generic/rauta@${version}`,
      paths: [...own, 'rauta.service', 'demo-backends.js', 'sbom.cdx.json'],
    },
    {
      name: 'node',
      version: node.version,
      licence: 'MIT',
      purl: `pkg:generic/node@${node.version}`,
      paths: ['bin/node', 'bin/node.LICENSE'],
      within,
    },
    ...npm,
  ];
}

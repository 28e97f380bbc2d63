import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { HTTPRoute } from '../../api/generated/index.ts';
import { LIMITS } from '../../base/limits.ts';
import { FileSource } from './file-source.ts';
import { HandTimers, MemorySink, routeYaml, testFolder } from './testing.ts';

const TIMEOUT = { timeout: 60_000 };

interface Rig {
  readonly dir: string;
  readonly sink: MemorySink;
  readonly source: FileSource;
  /** Writes a file below the folder. */
  write(path: string, text: string): void;
}

async function rig(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  paths?: (dir: string) => string[],
  timers?: HandTimers,
): Promise<Rig> {
  const dir = testFolder(t);
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  const sink = new MemorySink();
  const source = new FileSource(paths?.(dir) ?? [dir], timers === undefined ? {} : { timers });
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  return { dir, sink, source, write };
}

const key = (name: string): string => `HTTPRoute/default/${name}`;
const host = (r: Rig, name: string): string | undefined =>
  (r.sink.objects.get(key(name)) as HTTPRoute)?.spec.hostnames?.[0];

test('reads folders below folders, and only configuration files', TIMEOUT, async (t) => {
  const r = await rig(t, {
    'a.yaml': routeYaml('a'),
    'sub/deep/b.yml': routeYaml('b'),
    'sub/c.json': JSON.stringify({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'c' },
    }).replace('}}', '},"spec":{}}'),
    'notes.txt': 'not: yaml: at: all',
    '.hidden.yaml': routeYaml('hidden'),
    '.git/d.yaml': routeYaml('d'),
    'many.yaml': `${routeYaml('e')}---\n---\n# nothing\n---\n${routeYaml('f')}`,
  });
  assert.deepEqual(r.sink.keys(), ['a', 'b', 'c', 'e', 'f'].map(key));
  assert.equal(r.sink.steps.length, 1);
  assert.deepEqual(r.sink.lines(r.dir), []);
  assert.equal(r.sink.objects.get(key('a'))?.metadata.generation, 1);
});

test('a new, a changed and a removed file', TIMEOUT, async (t) => {
  const r = await rig(t, { 'a.yaml': routeYaml('a') });
  r.write('b.yaml', routeYaml('b'));
  await r.sink.until(() => r.sink.objects.has(key('b')));
  r.write('a.yaml', routeYaml('a', 'changed.example.com'));
  await r.sink.until(() => host(r, 'a') === 'changed.example.com');
  assert.equal(r.sink.objects.get(key('a'))?.metadata.generation, 2);
  unlinkSync(join(r.dir, 'b.yaml'));
  await r.sink.until(() => !r.sink.objects.has(key('b')));
  assert.deepEqual(r.sink.steps, [[key('a')], [key('b')], [key('a')], [`-${key('b')}`]]);
});

test('metadata changes leave the generation as it is', TIMEOUT, async (t) => {
  const r = await rig(t, { 'a.yaml': routeYaml('a') });
  r.write('a.yaml', routeYaml('a').replace('  name: a\n', '  name: a\n  labels: { x: "y" }\n'));
  await r.sink.until(() => r.sink.objects.get(key('a'))?.metadata.labels !== undefined);
  assert.equal(r.sink.objects.get(key('a'))?.metadata.generation, 1);
});

test("an editor's rename-over, and a rename that changes nothing", TIMEOUT, async (t) => {
  const r = await rig(t, { 'a.yaml': `${routeYaml('a')}---\n${routeYaml('b')}` });
  r.write('.a.yaml.swp', routeYaml('a', 'new.example.com'));
  renameSync(join(r.dir, 'a.yaml'), join(r.dir, 'a.yaml~'));
  renameSync(join(r.dir, '.a.yaml.swp'), join(r.dir, 'a.yaml'));
  await r.sink.until(() => host(r, 'a') === 'new.example.com');
  await r.sink.until(() => !r.sink.objects.has(key('b')));
  renameSync(join(r.dir, 'a.yaml'), join(r.dir, 'z.yaml'));
  r.write('c.yaml', routeYaml('c'));
  await r.sink.until(() => r.sink.objects.has(key('c')));
  assert.equal(r.source.placeOf(key('a'), '')?.file, join(r.dir, 'z.yaml'));
  assert.deepEqual(r.sink.steps.at(-1), [key('c')]);
});

test('a file that no longer parses keeps what it last said, and is named with its place', TIMEOUT, async (t) => {
  const r = await rig(t, { 'a.yaml': routeYaml('a'), 'b.yaml': routeYaml('b') });
  r.write('a.yaml', `${routeYaml('a')}\n  rules: [\n`);
  await r.sink.until(() => r.sink.told.size > 0);
  assert.deepEqual(r.sink.keys(), ['a', 'b'].map(key));
  assert.match(r.sink.lines(r.dir)[0] ?? '', /^a\.yaml:\d+:\d+ error /);
  r.write('b.yaml', routeYaml('b', 'still-served.example.com'));
  await r.sink.until(() => host(r, 'b') === 'still-served.example.com');
  r.write('a.yaml', routeYaml('a', 'whole-again.example.com'));
  await r.sink.until(() => host(r, 'a') === 'whole-again.example.com' && r.sink.told.size === 0);
});

test('a wrong object keeps its last good state; its neighbours change', TIMEOUT, async (t) => {
  const both = (hosts: readonly [string, string]): string =>
    `${routeYaml('a', hosts[0])}---\n${routeYaml('b', hosts[1])}`;
  const r = await rig(t, { 'ab.yaml': both(['a.example.com', 'b.example.com']) });
  r.write('ab.yaml', both(['UPPER.example.com', 'new.example.com']));
  await r.sink.until(() => host(r, 'b') === 'new.example.com' && r.sink.told.size > 0);
  assert.equal(host(r, 'a'), 'a.example.com');
  assert.match(
    r.sink.lines(r.dir)[0] ?? '',
    /^ab\.yaml:7:7 error must be a host name in lower case, not "UPPER\.example\.com": write upper\.example\.com$/,
  );
  assert.equal([...r.sink.told.values()][0]?.[0]?.place.field, 'spec.hostnames[0]');
});

test('what has become unknown keeps its last good state: a field, a kind, a name', TIMEOUT, async (t) => {
  const r = await rig(t, { 'a.yaml': routeYaml('a'), 'b.yaml': routeYaml('b') });
  const wrong: [string, RegExp][] = [
    [`${routeYaml('a', 'new.example.com')}  hostname: []\n`, /unknown field; did you mean hostnames/],
    [
      routeYaml('a', 'new.example.com').replace('HTTPRoute', 'HTTPRuote'),
      /HTTPRuote is not known .* write kind: HTTPRoute/,
    ],
    [routeYaml('a', 'new.example.com').replace('name: a', 'names: a'), /is missing/],
  ];
  for (const [text, words] of wrong) {
    r.write('a.yaml', text);
    await r.sink.until(() => words.test(r.sink.lines(r.dir).join()));
    assert.equal(host(r, 'a'), 'a.example.com');
    r.write('a.yaml', routeYaml('a'));
    await r.sink.until(() => r.sink.told.size === 0);
  }
  assert.equal(r.sink.steps.length, 1);
});

test('objects of others are one warning, which follows them', TIMEOUT, async (t) => {
  const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n`;
  const r = await rig(t, { 'a.yaml': routeYaml('a'), 'p.yaml': pod('p') });
  assert.deepEqual(r.sink.lines(r.dir), ['p.yaml:1:1 warning not read here, ignored: Pod of v1']);
  r.write('q.yaml', pod('q'));
  await r.sink.until(() => r.sink.lines(r.dir)[0] === 'undefined warning not read here, ignored: Pod of v1 (2)');
  for (const name of ['p', 'q']) unlinkSync(join(r.dir, `${name}.yaml`));
  await r.sink.until(() => r.sink.told.size === 0);
});

test('a broken document beside good ones at the start: the good ones serve', TIMEOUT, async (t) => {
  const r = await rig(t, {
    'a.yaml': `${routeYaml('a')}---\nkind: [\n---\n${routeYaml('b')}`,
    'c.yaml': routeYaml('c'),
  });
  assert.deepEqual(r.sink.keys(), ['a', 'b', 'c'].map(key));
  assert.match(r.sink.lines(r.dir)[0] ?? '', /^a\.yaml:\d+:\d+ error "\[" is opened here/);
});

test('the same object in two files: the first path wins and both are named', TIMEOUT, async (t) => {
  const r = await rig(t, {
    'a.yaml': routeYaml('x', 'a.example.com'),
    'b.yaml': `\n${routeYaml('x', 'b.example.com')}`,
  });
  assert.equal(host(r, 'x'), 'a.example.com');
  assert.deepEqual(r.sink.lines(r.dir), [
    'b.yaml:2:1 error already defined in a.yaml:1:1, ignored here: each may stand once',
  ]);
  r.write('a.yaml', `# moved\n${routeYaml('x', 'a.example.com')}`);
  await r.sink.until(
    () =>
      r.sink.lines(r.dir)[0] === 'b.yaml:2:1 error already defined in a.yaml:2:1, ignored here: each may stand once',
  );
  unlinkSync(join(r.dir, 'a.yaml'));
  await r.sink.until(() => host(r, 'x') === 'b.example.com');
  await r.sink.until(() => r.sink.told.size === 0);
});

test('the same object twice in a file: the first counts', TIMEOUT, async (t) => {
  const r = await rig(t, { 'a.yaml': `${routeYaml('x', '1.example.com')}---\n${routeYaml('x', '2.example.com')}` });
  assert.equal(host(r, 'x'), '1.example.com');
  assert.deepEqual(r.sink.lines(r.dir), [
    'a.yaml:9:1 error already defined in a.yaml:1:1, ignored here: each may stand once',
  ]);
});

test('folders that come later, and go', TIMEOUT, async (t) => {
  const r = await rig(t, {});
  r.write('x/y/z/a.yaml', routeYaml('a'));
  await r.sink.until(() => r.sink.objects.has(key('a')));
  r.write('x/y/z/b.yaml', routeYaml('b'));
  await r.sink.until(() => r.sink.objects.has(key('b')));
  renameSync(join(r.dir, 'x/y'), join(r.dir, 'moved'));
  r.write('c.yaml', routeYaml('c'));
  await r.sink.until(() => r.sink.objects.has(key('c')));
  assert.equal(r.source.placeOf(key('a'), '')?.file, join(r.dir, 'moved/z/a.yaml'));
  r.write('moved/z/a.yaml', routeYaml('a', 'watched.example.com'));
  await r.sink.until(() => host(r, 'a') === 'watched.example.com');
  rmSync(join(r.dir, 'moved'), { recursive: true });
  await r.sink.until(() => r.sink.objects.size === 1);
});

test('a ConfigMap mount: the swap of ..data', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  const version = (name: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(join(dir, name));
    for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, name, file), text);
    symlinkSync(name, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  };
  version('..2026_1', { 'a.yaml': routeYaml('a'), 'b.yaml': routeYaml('b') });
  for (const file of ['a.yaml', 'b.yaml']) symlinkSync(`..data/${file}`, join(dir, file));
  const sink = new MemorySink();
  const source = new FileSource([dir]);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(sink.keys(), ['a', 'b'].map(key));
  assert.deepEqual([...sink.told], []);
  version('..2026_2', { 'a.yaml': routeYaml('a', 'second.example.com'), 'b.yaml': routeYaml('b') });
  await sink.until(() => (sink.objects.get(key('a')) as HTTPRoute).spec.hostnames?.[0] === 'second.example.com');
  assert.deepEqual(sink.steps.at(-1), [key('a')]);
});

test('nothing is whole while a root was never read', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  writeFileSync(join(dir, 'one.conf'), routeYaml('a'));
  const sink = new MemorySink();
  const source = new FileSource([join(dir, 'one.conf'), `${join(dir, 'later')}/`]);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.told.size > 0);
  assert.deepEqual(sink.keys(), [key('a')]);
  assert.deepEqual(sink.lines(dir), ['later error no such file or folder']);
  assert.equal(sink.isSynced, false);
  mkdirSync(join(dir, 'later'));
  writeFileSync(join(dir, 'later/b.yaml'), routeYaml('b'));
  await sink.until(() => sink.objects.has(key('b')) && sink.isSynced);
  assert.equal(sink.told.size, 0);
});

test('a root that goes keeps what was last read, says so, and is read again when it is back', TIMEOUT, async (t) => {
  const words: Readonly<Record<string, (conf: string) => void>> = {
    'no such file or folder': (conf) => rmSync(conf, { recursive: true }),
    'is a file and was a folder': (conf) => {
      rmSync(conf, { recursive: true });
      writeFileSync(conf, routeYaml('other'));
    },
    'a symbolic link to nothing': (conf) => {
      renameSync(conf, `${conf}.moved`);
      symlinkSync('nowhere', conf);
    },
    'was replaced by an empty folder': (conf) => {
      renameSync(conf, `${conf}.moved`);
      mkdirSync(conf);
    },
  };
  for (const [word, harm] of Object.entries(words)) {
    const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`conf/${i}.yaml`, routeYaml(`r${i}`)]));
    const r = await rig(t, files, (dir) => [join(dir, 'conf')]);
    const conf = join(r.dir, 'conf');
    harm(conf);
    await r.sink.until(() => r.sink.told.size > 0);
    assert.deepEqual(r.sink.lines(r.dir), [`conf error ${word}; what was last read of it goes on`]);
    assert.equal(r.sink.objects.size, 20, word);
    assert.equal(r.sink.steps.length, 1);
    rmSync(conf, { recursive: true, force: true });
    r.write('fresh/a.yaml', routeYaml('a'));
    renameSync(join(r.dir, 'fresh'), conf);
    await r.sink.until(() => r.sink.told.size === 0 && r.sink.objects.size === 1);
    assert.deepEqual(r.sink.keys(), [key('a')]);
    r.write('conf/b.yaml', routeYaml('b'));
    await r.sink.until(() => r.sink.objects.has(key('b')));
  }
});

test('a root that is one file, gone and back', TIMEOUT, async (t) => {
  const r = await rig(t, { 'one.yaml': routeYaml('a') }, (dir) => [join(dir, 'one.yaml')]);
  unlinkSync(join(r.dir, 'one.yaml'));
  await r.sink.until(() => r.sink.told.size > 0);
  assert.deepEqual(r.sink.lines(r.dir), ['one.yaml error no such file or folder; what was last read of it goes on']);
  assert.deepEqual(r.sink.keys(), [key('a')]);
  r.write('one.yaml', routeYaml('b'));
  await r.sink.until(() => r.sink.told.size === 0 && r.sink.objects.has(key('b')));
  assert.deepEqual(r.sink.keys(), [key('b')]);
});

test('a file that is made anew in a moment never leaves', TIMEOUT, async (t) => {
  const timers = new HandTimers();
  const r = await rig(t, { 'a.yaml': routeYaml('a'), 'b.yaml': routeYaml('b') }, undefined, timers);
  unlinkSync(join(r.dir, 'a.yaml'));
  await timers.some();
  r.write('a.yaml', routeYaml('a', 'new.example.com'));
  await r.sink.until(() => host(r, 'a') === 'new.example.com');
  assert.deepEqual(r.sink.steps, [[key('a'), key('b')], [key('a')]]);
  // To another name: never in both, never in none.
  unlinkSync(join(r.dir, 'a.yaml'));
  r.write('c.yaml', routeYaml('a', 'moved.example.com'));
  await r.sink.until(() => host(r, 'a') === 'moved.example.com');
  assert.deepEqual(r.sink.steps.at(-1), [key('a')]);
  assert.equal(r.sink.told.size, 0);
  // Gone for good.
  unlinkSync(join(r.dir, 'b.yaml'));
  await timers.some();
  assert.ok(r.sink.objects.has(key('b')));
  await timers.fire(200);
  await r.sink.until(() => !r.sink.objects.has(key('b')));
});

const EMPTIED_MS = 3_000;

test(
  'a file that is emptied to be written anew keeps what it said, whatever makes it be looked at',
  TIMEOUT,
  async (t) => {
    const timers = new HandTimers();
    const r = await rig(t, { 'a.yaml': routeYaml('a') }, undefined, timers);
    r.write('a.yaml', '');
    r.source.rescan();
    await timers.some();
    assert.ok(r.sink.objects.has(key('a')));
    // Empty again when it is looked at again, and whole in between.
    r.write('a.yaml', routeYaml('a'));
    r.write('a.yaml', '');
    utimesSync(join(r.dir, 'a.yaml'), 1, 1);
    await timers.fire(EMPTIED_MS);
    await timers.some();
    assert.ok(r.sink.objects.has(key('a')));
    r.write('a.yaml', routeYaml('a', 'new.example.com'));
    await r.sink.until(() => host(r, 'a') === 'new.example.com');
    assert.deepEqual(r.sink.steps, [[key('a')], [key('a')]]);
    // However often it is looked at while it changes.
    r.write('a.yaml', '');
    await timers.some();
    for (let at = 2; at < 30; at++) {
      utimesSync(join(r.dir, 'a.yaml'), at, at);
      await timers.fireAll(EMPTIED_MS);
      await timers.some();
    }
    assert.ok(r.sink.objects.has(key('a')));
    // For good.
    await timers.fireAll(EMPTIED_MS);
    await r.sink.until(() => !r.sink.objects.has(key('a')));
  },
);

test('who was there first stays older: files have no creation time', TIMEOUT, async (t) => {
  const old = routeYaml('z').replace('name: z', 'name: z\n  creationTimestamp: "2020-01-01T00:00:00Z"');
  const r = await rig(t, { 'm.yaml': routeYaml('m'), 'z.yaml': old });
  const born = (name: string): string | undefined => r.sink.objects.get(key(name))?.metadata.creationTimestamp;
  assert.deepEqual([born('m'), born('z')], [undefined, '2020-01-01T00:00:00Z']);
  for (const name of ['b', 'a']) {
    r.write(
      `${name}.yaml`,
      routeYaml(name).replace(`name: ${name}`, `name: ${name}\n  creationTimestamp: "2019-01-01T00:00:00Z"`),
    );
    await r.sink.until(() => r.sink.objects.has(key(name)));
  }
  const [b, a] = [born('b') as string, born('a') as string];
  assert.ok(b > '2020-01-01T00:00:00Z' && a > b, `${b} ${a}`);
  // A change is no birth, nor is another file; to go and come back is.
  r.write('b.yaml', routeYaml('b', 'changed.example.com'));
  await r.sink.until(() => host(r, 'b') === 'changed.example.com');
  assert.equal(born('b'), b);
  renameSync(join(r.dir, 'b.yaml'), join(r.dir, 'n.yaml'));
  r.write('n.yaml', routeYaml('b', 'moved.example.com'));
  await r.sink.until(() => host(r, 'b') === 'moved.example.com');
  assert.equal(born('b'), b);
  unlinkSync(join(r.dir, 'n.yaml'));
  await r.sink.until(() => !r.sink.objects.has(key('b')));
  r.write('b.yaml', routeYaml('b'));
  await r.sink.until(() => r.sink.objects.has(key('b')));
  assert.ok((born('b') as string) > a);
});

test('a ConfigMap mount whose swap went half-way keeps what was last read', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  for (const n of [1, 2]) mkdirSync(join(dir, `..${n}`));
  for (const n of [1, 2]) writeFileSync(join(dir, `..${n}`, 'a.yaml'), routeYaml('a', `v${n}.example.com`));
  symlinkSync('..1', join(dir, '..data'));
  symlinkSync('..data/a.yaml', join(dir, 'a.yaml'));
  const sink = new MemorySink();
  const source = new FileSource([dir]);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  rmSync(join(dir, '..1'), { recursive: true });
  source.rescan();
  await sink.until(() => sink.told.size > 0);
  assert.deepEqual(sink.lines(dir), ['a.yaml error a symbolic link to nothing; what was last read of it goes on']);
  assert.deepEqual(sink.keys(), [key('a')]);
  symlinkSync('..2', join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  await sink.until(() => sink.told.size === 0);
  assert.deepEqual((sink.objects.get(key('a')) as HTTPRoute).spec.hostnames, ['v2.example.com']);
  unlinkSync(join(dir, 'a.yaml'));
  await sink.until(() => sink.objects.size === 0);
});

test('a single file, a root that is replaced', TIMEOUT, async (t) => {
  const files = { 'one.conf': routeYaml('a'), 'other.yaml': routeYaml('no'), 'later/b.yaml': routeYaml('b') };
  const r = await rig(t, files, (dir) => [join(dir, 'one.conf'), `${join(dir, 'later')}/`]);
  assert.deepEqual(r.sink.keys(), ['a', 'b'].map(key));
  r.write('later2/b.yaml', routeYaml('b', 'second.example.com'));
  renameSync(join(r.dir, 'later'), join(r.dir, 'old'));
  renameSync(join(r.dir, 'later2'), join(r.dir, 'later'));
  await r.sink.until(() => host(r, 'b') === 'second.example.com');
  r.write('later/b.yaml', routeYaml('b', 'third.example.com'));
  await r.sink.until(() => host(r, 'b') === 'third.example.com');
  r.write('new', routeYaml('a', 'over.example.com'));
  renameSync(join(r.dir, 'new'), join(r.dir, 'one.conf'));
  await r.sink.until(() => host(r, 'a') === 'over.example.com');
});

test('a file written in pieces never takes its objects away in between', TIMEOUT, async (t) => {
  const r = await rig(t, { 'ab.yaml': `${routeYaml('a')}---\n${routeYaml('b')}` });
  const path = join(r.dir, 'ab.yaml');
  truncateSync(path);
  appendFileSync(path, routeYaml('a', 'new.example.com').slice(0, 60));
  await new Promise((resolve) => setTimeout(resolve, 10));
  appendFileSync(path, routeYaml('a', 'new.example.com').slice(60));
  await new Promise((resolve) => setTimeout(resolve, 10));
  appendFileSync(path, `---\n${routeYaml('b')}`);
  await r.sink.until(() => host(r, 'a') === 'new.example.com');
  assert.deepEqual(r.sink.steps, [[key('a'), key('b')], [key('a')]]);
  // What stays short is believed after a while.
  truncateSync(path);
  await r.sink.until(() => r.sink.objects.size === 0);
});

test('a file without its last newline is believed after a while', TIMEOUT, async (t) => {
  const r = await rig(t, {});
  r.write('a.yaml', routeYaml('a').trimEnd());
  await r.sink.until(() => r.sink.objects.has(key('a')));
});

test('not UTF-8, a folder with the name of a file, a byte order mark', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  writeFileSync(join(dir, 'bad.yaml'), Buffer.concat([Buffer.from('a: b\n'), Buffer.from([0xc3, 0x28])]));
  writeFileSync(join(dir, 'bom.yaml'), `\ufeff${routeYaml('bom')}`);
  mkdirSync(join(dir, 'folder.yaml'));
  writeFileSync(join(dir, 'folder.yaml/in.yaml'), routeYaml('in'));
  const sink = new MemorySink();
  const source = new FileSource([dir]);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(sink.keys(), ['bom', 'in'].map(key));
  assert.deepEqual(sink.lines(dir), ['bad.yaml:1:1 error not UTF-8 (byte 6)']);
});

test('what may not be read, is too large or too deep is named, and read when it can be', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  chmodSync(dir, 0o755);
  for (const name of ['a', 'closed']) writeFileSync(join(dir, `${name}.yaml`), routeYaml(name));
  chmodSync(join(dir, 'closed.yaml'), 0);
  mkdirSync(join(dir, 'closed'), { mode: 0 });
  writeFileSync(join(dir, 'large.yaml'), '');
  truncateSync(join(dir, 'large.yaml'), LIMITS.CONFIG_FILE_BYTES + 1);
  mkdirSync(join(dir, ...Array<string>(LIMITS.CONFIG_FOLDER_DEPTH).fill('d')), { recursive: true });
  const sink = new MemorySink();
  const source = new FileSource([dir]);
  t.after(() => source.stop());
  // Root may read everything; nobody may not.
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  try {
    source.start(sink);
    await sink.until(() => sink.isSynced);
  } finally {
    if (root) process.seteuid?.(0);
  }
  assert.deepEqual(sink.keys(), [key('a')]);
  assert.deepEqual(
    sink.lines(dir).filter((line) => !line.includes('cannot be watched')),
    [
      'closed error cannot be read: permission denied for user nobody (EACCES)',
      'closed.yaml error cannot be read: permission denied for user nobody (EACCES)',
      `${Array<string>(LIMITS.CONFIG_FOLDER_DEPTH).fill('d').join('/')} error deeper than 32 folders; not read`,
      `large.yaml error larger than ${LIMITS.CONFIG_FILE_BYTES} bytes`,
    ],
  );
  chmodSync(join(dir, 'closed.yaml'), 0o644);
  await sink.until(() => sink.objects.has(key('closed')) && !sink.told.has(join(dir, 'closed.yaml')));
});

test('a folder that cannot be watched is no problem any more when it is gone', TIMEOUT, async (t) => {
  const root = process.geteuid?.() === 0;
  const dir = testFolder(t);
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, 'closed'), { mode: 0 });
  const sink = new MemorySink();
  const timers = new HandTimers();
  const source = new FileSource([dir], { timers });
  t.after(() => source.stop());
  if (root) process.seteuid?.(65_534);
  try {
    source.start(sink);
    await sink.until(() => sink.isSynced);
  } finally {
    if (root) process.seteuid?.(0);
  }
  assert.ok(sink.lines(dir).some((line) => line.startsWith('closed warning cannot be watched')));
  rmSync(join(dir, 'closed'), { recursive: true });
  await timers.some();
  await timers.fireAll(200);
  await sink.until(() => sink.told.size === 0);
});

test('of a file with many documents only the changed ones are read again', TIMEOUT, async (t) => {
  const names = Array.from({ length: 200 }, (_, i) => `r${i}`);
  const text = names.map((n) => routeYaml(n)).join('---\n');
  const r = await rig(t, { 'all.yaml': text });
  const first = r.sink.objects.get(key('r7'));
  r.write(
    'all.yaml',
    `${routeYaml('r0', 'new.example.com')}---\n${text.slice(text.indexOf('---\n') + 4)}---\n${routeYaml('last')}`,
  );
  await r.sink.until(() => r.sink.objects.has(key('last')));
  assert.deepEqual(r.sink.steps.slice(1), [[key('r0'), key('last')]]);
  assert.equal(r.sink.objects.get(key('r7')), first);
});

test('a rescan finds what no event told, and rereads all when forced', TIMEOUT, async (t) => {
  const outside = testFolder(t);
  writeFileSync(join(outside, 'real.yaml'), routeYaml('a'));
  const r = await rig(t, {});
  symlinkSync(join(outside, 'real.yaml'), join(r.dir, 'a.yaml'));
  await r.sink.until(() => r.sink.objects.has(key('a')));
  writeFileSync(join(outside, 'real.yaml'), routeYaml('a', 'elsewhere.example.com'));
  r.source.rescan();
  await r.sink.until(() => host(r, 'a') === 'elsewhere.example.com');
});

test('placeOf: fields, missing fields, list items', TIMEOUT, async (t) => {
  const r = await rig(t, {
    'list.yaml': `apiVersion: v1
kind: List
items:
  - apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: { name: a }
    spec:
      rules:
        - matches:
            - path: { type: Exact, value: /x }
`,
  });
  const at = (field: string): string => {
    const place = r.source.placeOf(key('a'), field);
    return `${place?.line}:${place?.column}`;
  };
  assert.equal(at(''), '4:5');
  assert.equal(at('spec.rules[0].matches[0].path.value'), '10:36');
  assert.equal(at('spec.rules[0].filters[0]'), '9:11');
  assert.equal(at('status'), '4:5');
  assert.equal(r.source.placeOf(key('nobody'), ''), null);
});

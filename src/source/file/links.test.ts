// Links of the configuration: what is read through them is watched where it lies.

import assert from 'node:assert/strict';
import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { HTTPRoute } from '../../api/generated/index.ts';
import { FileSource } from './file-source.ts';
import { readAll } from './read-all.ts';
import { MemorySink, routeYaml, testFolder } from './testing.ts';

const TIMEOUT = { timeout: 60_000 };

async function started(t: TestContext, paths: readonly string[]): Promise<MemorySink> {
  const sink = new MemorySink();
  const source = new FileSource(paths);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  return sink;
}

const key = (name: string): string => `HTTPRoute/default/${name}`;
const host = (sink: MemorySink, name: string): string | undefined =>
  (sink.objects.get(key(name)) as HTTPRoute)?.spec.hostnames?.[0];

test('a root that is one file of a ConfigMap mount: the swap of ..data', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  const version = (name: string, host: string): void => {
    mkdirSync(join(dir, name));
    writeFileSync(join(dir, name, 'app'), routeYaml('a', host));
    symlinkSync(name, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  };
  version('..1', 'v1.example.com');
  symlinkSync('..data/app', join(dir, 'app'));
  const sink = await started(t, [join(dir, 'app')]);
  for (const n of [2, 3]) {
    version(`..${n}`, `v${n}.example.com`);
    rmSync(join(dir, `..${n - 1}`), { recursive: true });
    await sink.until(() => host(sink, 'a') === `v${n}.example.com`);
  }
});

test(
  'what a link leads to is read when that changes: a file elsewhere, a link to it, a folder above',
  TIMEOUT,
  async (t) => {
    const dir = testFolder(t);
    const write = (path: string, name: string, host: string): void => {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), routeYaml(name, host));
    };
    const relink = (target: string, path: string): void => {
      symlinkSync(target, join(dir, 'new link'));
      renameSync(join(dir, 'new link'), join(dir, path));
    };
    write('conf/own.yaml', 'own', 'own.example.com');
    write('else/a', 'a', 'one.example.com');
    symlinkSync('a', join(dir, 'else/to-a'));
    symlinkSync('../else/to-a', join(dir, 'conf/a.yaml'));
    write('v1/sub/b.yaml', 'b', 'one.example.com');
    symlinkSync('v1', join(dir, 'current'));
    const sink = await started(t, [join(dir, 'conf'), join(dir, 'current/sub')]);
    assert.deepEqual(sink.keys(), ['a', 'b', 'own'].map(key));
    const is = (name: string, text: string): Promise<void> => sink.until(() => host(sink, name) === text);
    write('else/a', 'a', 'two.example.com');
    await is('a', 'two.example.com');
    write('else/over', 'a', 'three.example.com');
    renameSync(join(dir, 'else/over'), join(dir, 'else/a'));
    await is('a', 'three.example.com');
    write('far/a', 'a', 'four.example.com');
    relink('../far/a', 'else/to-a');
    await is('a', 'four.example.com');
    write('far/a', 'a', 'five.example.com');
    await is('a', 'five.example.com');
    write('v2/sub/b.yaml', 'b', 'two.example.com');
    relink('v2', 'current');
    await is('b', 'two.example.com');
    write('v2/sub/b.yaml', 'b', 'three.example.com');
    await is('b', 'three.example.com');
    symlinkSync('../later/c', join(dir, 'conf/c.yaml'));
    mkdirSync(join(dir, 'later'));
    await sink.until(() => sink.lines(dir).length > 0);
    unlinkSync(join(dir, 'conf/a.yaml'));
    await sink.until(() => !sink.objects.has(key('a')));
    assert.deepEqual(sink.lines(dir), ['conf/c.yaml error a symbolic link to nothing']);
    write('later/c', 'c', 'one.example.com');
    await is('c', 'one.example.com');
  },
);

test('links: nothing is read twice, circles end', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  mkdirSync(join(dir, 'sub'));
  writeFileSync(join(dir, 'a.yaml'), routeYaml('a'));
  symlinkSync('a.yaml', join(dir, 'b.yaml'));
  linkSync(join(dir, 'a.yaml'), join(dir, 'c.yaml'));
  symlinkSync('..', join(dir, 'sub/up'));
  symlinkSync('loop2.yaml', join(dir, 'loop1.yaml'));
  symlinkSync('loop1.yaml', join(dir, 'loop2.yaml'));
  symlinkSync('nowhere.yaml', join(dir, 'dangling.yaml'));
  const sink = new MemorySink();
  const source = new FileSource([dir, join(dir, 'sub')]);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(sink.keys(), [key('a')]);
  assert.deepEqual(sink.lines(dir), [
    'dangling.yaml error a symbolic link to nothing',
    'loop1.yaml error cannot be read: symbolic links go in a circle (ELOOP)',
    'loop2.yaml error cannot be read: symbolic links go in a circle (ELOOP)',
  ]);
  // The other name of the same file takes over when the first goes.
  unlinkSync(join(dir, 'a.yaml'));
  writeFileSync(join(dir, 'new.yaml'), routeYaml('new'));
  await sink.until(() => sink.objects.has(key('new')));
  assert.equal(source.placeOf(key('a'), '')?.file, join(dir, 'c.yaml'));
  assert.deepEqual(sink.steps, [[key('a')], [key('new')]]);
});

test('names that are not UTF-8 are said, until they are others', TIMEOUT, async (t) => {
  const dir = testFolder(t);
  const latin = (name: string): Buffer => Buffer.from(`${dir}/${name}`, 'latin1');
  writeFileSync(latin('caf\u00e9.yaml'), routeYaml('cafe'));
  writeFileSync(latin('notes-\u00e9.txt'), 'none of ours');
  writeFileSync(join(dir, 'valid-\ufffd.yaml'), routeYaml('valid'));
  const sink = new MemorySink();
  const source = new FileSource([dir]);
  t.after(() => source.stop());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  const said = (name: string): string => `${name} error its name is not UTF-8 and it is not read; give it another name`;
  assert.deepEqual(sink.lines(dir), [said('caf\ufffd.yaml')]);
  assert.deepEqual(readAll([dir]).problems.length, 1, 'and by check');
  mkdirSync(latin('d\u00e9r'));
  writeFileSync(latin('d\u00e9r/a.yaml'), routeYaml('a'));
  await sink.until(() => sink.lines(dir).length === 2);
  assert.deepEqual(sink.lines(dir), [said('caf\ufffd.yaml'), said('d\ufffdr')]);
  renameSync(latin('caf\u00e9.yaml'), join(dir, 'caf\u00e9.yaml'));
  renameSync(latin('d\u00e9r'), join(dir, 'der'));
  await sink.until(() => sink.lines(dir).length === 0 && sink.objects.size === 3);
  assert.deepEqual(sink.keys(), [key('a'), key('cafe'), key('valid')]);
});

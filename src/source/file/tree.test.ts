import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { routeYaml, testFolder } from './testing.ts';
import { Tree } from './tree.ts';

test('of too many folders the rest is not read, and the first of it is named', (t) => {
  const dir = testFolder(t);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) mkdirSync(join(dir, name));
  for (const name of ['a', 'e']) writeFileSync(join(dir, name, 'x.yaml'), routeYaml(name));
  const problems: string[] = [];
  const files: string[] = [];
  const events = {
    file: (path: string): Iterable<void> => {
      files.push(path.slice(dir.length));
      return [];
    },
    givenUp: () => true,
    fileGone: () => {},
    folder: () => {},
    folderGone: () => {},
    trouble: (path: string, message: string | null) => {
      if (message !== null) problems.push(`${path.slice(dir.length)} ${message}`);
    },
  };
  const tree = new Tree([dir], events, 4);
  for (let look = 0; look < 2; look++) for (const _ of tree.visit(dir));
  assert.deepEqual(files, ['/a/x.yaml', '/a/x.yaml']);
  const said = '/d more than 4 folders; this one and further ones are not read';
  assert.deepEqual(problems, [said, said]);
  for (const name of ['b', 'c', 'd']) rmSync(join(dir, name), { recursive: true });
  for (const _ of tree.visit(dir));
  assert.deepEqual(files.slice(2), ['/a/x.yaml', '/e/x.yaml']);
  assert.equal(problems.length, 2);
});

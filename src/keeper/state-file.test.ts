import assert from 'node:assert/strict';
import { existsSync, fstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeSystem } from '../../test/support/keeper.ts';
import { LIMITS } from '../base/limits.ts';
import { decodeKept } from '../stream/kept.ts';
import type { Grant } from '../stream/messages.ts';
import { StateFile } from './state-file.ts';

const BY = { version: '1', flags: '' };
type Content = Record<string, string> | null;

interface Scene {
  readonly path: string;
  readonly system: FakeSystem;
  readonly file: StateFile;
  /** What every worker serves. */
  serves(content: Content): void;
  readonly grants: Grant[];
  readonly fds: number[];
  /** Once something is under the path anew. */
  replaced(): Promise<void>;
  /** What is written there. */
  kept(): Content;
}

function scene(t: { after(fn: () => void): void }): Scene {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-keeper-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'state');
  const system = new FakeSystem();
  t.after(() => system.dispose());
  let now: Content = null;
  const settled = (): [string, Buffer][] | null =>
    now === null ? null : Object.entries(now).map(([key, value]) => [key, Buffer.from(value)]);
  const [grants, fds]: [Grant[], number[]] = [[], []];
  const file = new StateFile({ path, ...BY }, system, system.log, settled, (grant, given) => {
    grants.push(grant);
    fds.push(...given);
  });
  return {
    ...{ path, system, file, grants, fds },
    serves: (content) => {
      now = content;
      file.served();
    },
    replaced: () =>
      new Promise((resolve) => {
        const watcher = watch(folder, (_event, name) => {
          if (name !== 'state' || !existsSync(path)) return;
          watcher.close();
          resolve();
        });
      }),
    kept: () => {
      const kept = decodeKept(readFileSync(path), BY);
      assert.ok(typeof kept !== 'string', String(kept));
      return Object.fromEntries([...kept.entries].map(([key, value]) => [key, value.toString()]));
    },
  };
}

test('what is served is written a second later, without keys, cells, and what nobody has thought of', async (t) => {
  const it = scene(t);
  const replaced = it.replaced();
  it.serves({
    'rule/HTTPRoute/a/b/0': 'one',
    'certificate/a/b': 'a private key',
    'certificate/a/b:client': 'another',
    'cells/HTTPRoute/a/b': 'cells',
    'state/age/Gateway/a/b': '2026',
    'novelty/a/b': 'who knows',
  });
  it.system.pass(LIMITS.STATE_FILE_DELAY_MS - 1);
  assert.ok(!existsSync(it.path));
  it.system.pass(1);
  await replaced;
  assert.deepEqual(it.kept(), { 'rule/HTTPRoute/a/b/0': 'one' });
  assert.equal(statSync(it.path).mode & 0o777, 0o600);
});

test('while there are two revisions nothing is written; at the end what is not yet written is', async (t) => {
  const it = scene(t);
  it.serves(null);
  it.system.pass(5 * LIMITS.STATE_FILE_INTERVAL_MS);
  it.file.finish();
  assert.ok(!existsSync(it.path));
  it.serves({ 'rule/HTTPRoute/a/b/0': 'one' });
  it.file.finish();
  assert.deepEqual(it.kept(), { 'rule/HTTPRoute/a/b/0': 'one' });
  assert.ok(!existsSync(`${it.path}.new`));
});

test('what cannot be written is said to the log and the controller once, and written when it can be', async (t) => {
  const it = scene(t);
  mkdirSync(it.path);
  it.serves({});
  it.file.finish();
  it.file.finish();
  assert.deepEqual(it.grants.length, 1);
  assert.match(it.grants[0]?.problem ?? '', /^--state-file .*: cannot be written: /);
  rmSync(it.path, { recursive: true });
  const replaced = it.replaced();
  it.system.pass(LIMITS.STATE_FILE_INTERVAL_MS);
  await replaced;
  assert.deepEqual(it.kept(), {});
});

test('the file of an earlier program is given open, until something is served', (t) => {
  const it = scene(t);
  it.file.give();
  assert.deepEqual([it.grants.length, it.system.lines.length], [0, 0], 'that there is none is nothing to tell');
  it.serves({});
  it.file.finish();
  it.file.give();
  assert.deepEqual(
    it.grants.map(({ name, given }) => [name, given]),
    [['state', 1]],
  );
  const [fd] = it.fds as [number];
  assert.ok(fstatSync(fd).isFile());
  it.serves({});
  assert.throws(() => fstatSync(fd), /EBADF/);
  rmSync(it.path);
  mkdirSync(it.path);
  it.file.give();
  assert.match(String(it.system.lines.at(-1)?.message), /is not a regular file, ignored$/);
});

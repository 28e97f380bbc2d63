import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LIMITS } from '../base/limits.ts';
import { GiveBack } from './give-back.ts';

const LARGE = LIMITS.LARGE_REVISION_ENTRIES;
const QUIET = LIMITS.GIVE_BACK_QUIET_MS;

/** Something that is there until garbage is collected. */
function garbage(): () => boolean {
  const ref = new WeakRef({ large: new Array(1000).fill(0) });
  return () => ref.deref() !== undefined;
}

test('garbage is collected once a large revision is followed by quiet', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const giveBack = new GiveBack();
  const held = garbage();
  await setImmediate();
  giveBack.revised(LARGE);
  t.mock.timers.tick(QUIET - 1);
  // Whatever is revised meanwhile is not quiet.
  giveBack.revised(1);
  t.mock.timers.tick(QUIET - 1);
  assert.ok(held());
  await setImmediate();
  t.mock.timers.tick(1);
  await setImmediate();
  assert.ok(!held());
});

test('small revisions are followed by nothing, until they are as much together as a large one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let asked = 0;
  const giveBack = new GiveBack(() => ++asked > 0);
  for (let i = 1; i < LARGE; i++) giveBack.revised(1);
  t.mock.timers.tick(10 * QUIET);
  assert.equal(asked, 0);
  giveBack.revised(1);
  t.mock.timers.tick(QUIET);
  assert.equal(asked, 1);
  for (let i = 1; i < LARGE; i++) giveBack.revised(1);
  t.mock.timers.tick(10 * QUIET);
  assert.equal(asked, 1, 'what was collected does not count again');
});

test('collecting is put off while somebody waits for this process, and done once nobody does', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let serving = true;
  const giveBack = new GiveBack(() => !serving);
  const held = garbage();
  await setImmediate();
  giveBack.revised(LARGE);
  t.mock.timers.tick(QUIET);
  await setImmediate();
  assert.ok(held());
  serving = false;
  await setImmediate();
  t.mock.timers.tick(LIMITS.GIVE_BACK_RETRY_MS);
  await setImmediate();
  assert.ok(!held());
});

test('free pages are returned again and again, whatever was revised', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let trims = 0;
  new GiveBack(
    () => assert.fail('nobody asks'),
    () => trims++,
  ).revised(1);
  t.mock.timers.tick(2 * LIMITS.GIVE_BACK_PAGES_MS);
  assert.equal(trims, 2);
});

test('the flag that offers collecting is not left behind: compiled code stays usable', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  new GiveBack().revised(LARGE);
  t.mock.timers.tick(QUIET);
  const { runInNewContext } = await import('node:vm');
  assert.equal(runInNewContext('typeof gc'), 'undefined');
});

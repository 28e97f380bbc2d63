// One worker, with the test in the keeper's place: what it does with what it is sent.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { encodeEntry } from '../../src/ir/codec.ts';
import type { CellsEntry } from '../../src/ir/ir.ts';
import { openNative, Reactor } from '../../src/native/index.ts';
import { PROTOCOL } from '../../src/stream/messages.ts';
import { rule } from '../proxy/rig.ts';
import { LoneKeeper } from '../support/lone-worker.ts';

const io = openNative({ arenaBytes: 16 << 20 });
const reactor = new Reactor(io);
reactor.run();
after(() => reactor.stop());

function lone(t: { after(fn: () => void): void }): LoneKeeper {
  const keeper = new LoneKeeper(io);
  t.after(() => keeper.kill());
  return keeper;
}

const KEY = 'cells/route/HTTPRoute/default/a';
const cells: CellsEntry = { kind: 'cells', key: KEY, blocks: { route: 1024 } };
const good = { [KEY]: encodeEntry(cells) };

test('an entry that a worker cannot read is refused with its key; it lives, and the next good revision heals', async (t) => {
  const keeper = lone(t);
  assert.equal((await keeper.hears('hello')).protocol, PROTOCOL);
  keeper.assign();
  keeper.revise(1, 0, good);
  assert.equal((await keeper.hears('ack')).revision, 1);
  for (const [revision, bytes] of [
    [2, Buffer.from('not an entry')],
    [3, Buffer.from('{"kind":"rule"}')],
    [4, Buffer.from('{"kind":"unheard-of","key":"x"}')],
    [5, Buffer.alloc(0)],
  ] as const) {
    keeper.revise(revision, 1, { ...good, 'rule/HTTPRoute/default/broken/0': bytes });
    const { reason } = await keeper.hears('nack', (m) => m.revision === revision);
    assert.match(reason, /^rule\/HTTPRoute\/default\/broken\/0: /, reason);
  }
  // A change of what was refused is passed over: the keeper was told, and sends everything.
  keeper.revise(6, 5, good);
  keeper.revise(7, null, good);
  assert.equal((await keeper.hears('ack', (m) => m.revision > 1)).revision, 7);
  assert.ok(keeper.alive);
  assert.equal(keeper.end, null);
});

test('what comes behind a large revision waits for it, and is served in its order', async (t) => {
  const keeper = lone(t);
  keeper.assign();
  const many = Object.fromEntries(
    Array.from({ length: 5 * LIMITS.REVISION_WORK_PER_TURN }, (_, i) => {
      const entry = rule({ name: `r${i}`, path: `/${i}` });
      return [entry.key, encodeEntry(entry)];
    }),
  );
  const bad = { 'rule/HTTPRoute/default/broken/0': Buffer.from('no') };
  keeper.revise(1, null, many);
  keeper.revise(2, 1, good);
  keeper.revise(3, 2, { ...many, ...bad });
  keeper.revise(4, 3, good);
  keeper.revise(5, null, many);
  await keeper.hears('ack', (m) => m.revision === 5);
  assert.deepEqual(
    keeper.heard.flatMap((m) => (m.type === 'ack' || m.type === 'nack' ? [`${m.type} ${m.revision}`] : [])),
    ['ack 1', 'ack 2', 'nack 3', 'ack 5'],
  );
});

test('a reason is never longer than the keeper takes', async (t) => {
  const keeper = lone(t);
  keeper.assign();
  const key = `rule/${'x'.repeat(2 * LIMITS.STREAM_TEXT_CHARACTERS)}`;
  keeper.revise(1, null, { [key]: Buffer.from('no') });
  assert.equal((await keeper.hears('nack')).reason.length, LIMITS.STREAM_TEXT_CHARACTERS);
});

test('a worker that cannot become one says why before it ends', async (t) => {
  if (process.getuid?.() !== 0) {
    t.diagnostic('only root changes the user');
    return;
  }
  const keeper = lone(t);
  keeper.assign('4294967295');
  const exited = once(keeper.process, 'exit');
  assert.match((await keeper.hears('failed')).reason, /4294967295/);
  assert.deepEqual(await exited, [3, null]);
});

test('a stopped worker whose keeper ends is made to run by SIGCONT, and a spare ends with its keeper', async (t) => {
  const keeper = lone(t);
  await keeper.hears('hello');
  const exited = once(keeper.process, 'exit');
  process.kill(keeper.process.pid as number, 'SIGSTOP');
  keeper.channel.close();
  // This process lives on, so the kernel says nothing; whoever continues it sees the end of the channel.
  process.kill(keeper.process.pid as number, 'SIGCONT');
  assert.deepEqual(await exited, [0, null]);
});

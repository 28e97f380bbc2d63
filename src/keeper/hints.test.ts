// What the system lets one guess of an end is said where nothing better is known.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSystem, ModelController, ModelWorker, OPTIONS } from '../../test/support/keeper.ts';
import { LIMITS } from '../base/limits.ts';
import { Keeper } from './keeper.ts';

const KILLED = { signal: 'SIGKILL', hint: 'killed for want of memory' };

/** With a controller and a worker that serves revision 1. */
function serving(t: { after(fn: () => void): void }): {
  readonly system: FakeSystem;
  readonly controller: ModelController;
  readonly worker: ModelWorker;
} {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  new Keeper({ ...OPTIONS }, system, system.log, () => {}).start();
  const controller = new ModelController(system.alive('controller')[0] as never);
  const worker = new ModelWorker(system.alive('worker')[0] as never);
  controller.send({ a: '1' });
  worker.read();
  controller.read();
  return { system, controller, worker };
}

test('of a worker, the spare and the controller', (t) => {
  const { system, controller } = serving(t);
  system.pass(LIMITS.SPARE_DELAY_MS);
  const [worker, spare] = system.alive('worker');
  spare?.exit(KILLED);
  worker?.exit(KILLED);
  controller.child.exit(KILLED);
  for (const message of ['the spare worker died', 'worker died', 'controller died, traffic goes on'])
    assert.deepEqual(
      system.said(message).map(({ reason }) => reason),
      [KILLED.hint],
      message,
    );
});

test('who is killed for standing still was not killed by others', (t) => {
  const { system, worker } = serving(t);
  worker.beat();
  for (let passed = 0; passed <= LIMITS.HEARTBEAT_STALL_MS + LIMITS.HEARTBEAT_MS; passed += LIMITS.HEARTBEAT_MS)
    system.pass(LIMITS.HEARTBEAT_MS);
  assert.ok(worker.child.killed);
  worker.child.exit(KILLED);
  const [said] = system.said('worker died');
  assert.deepEqual([said?.['cause'], said?.['reason']], ['stalled', undefined]);
});

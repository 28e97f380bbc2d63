// Who stands still: the keeper, with its machine or alone, or a worker that loads without end.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FakeSystem, ModelController, ModelWorker, OPTIONS } from '../../test/support/keeper.ts';
import { LIMITS } from '../base/limits.ts';
import { Keeper } from './keeper.ts';

function stage(t: TestContext): FakeSystem {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  new Keeper(OPTIONS, system, system.log, () => {}).start();
  return system;
}

/** A worker that serves revision 1. */
function serving(t: TestContext): { system: FakeSystem; controller: ModelController; worker: ModelWorker } {
  const system = stage(t);
  const controller = new ModelController(system.alive('controller')[0] as never);
  const worker = new ModelWorker(system.alive('worker')[0] as never);
  controller.send({ a: '1' });
  worker.read();
  controller.read();
  assert.equal(controller.acked, 1);
  return { system, controller, worker };
}

test('a keeper that stood still blames nobody else', (t) => {
  const it = serving(t);
  it.worker.beat();
  it.system.pass(LIMITS.HEARTBEAT_MS);
  it.system.freeze(2 * LIMITS.CONTROLLER_STALL_MS);
  it.system.pass(LIMITS.HEARTBEAT_MS);
  assert.ok(!it.controller.child.killed && !it.worker.child.killed);
  it.controller.child.says({ type: 'beat' });
  for (let passed = 0; passed <= LIMITS.HEARTBEAT_STALL_MS; passed += LIMITS.HEARTBEAT_MS)
    it.system.pass(LIMITS.HEARTBEAT_MS);
  it.system.pass(LIMITS.HEARTBEAT_MS);
  assert.ok(it.worker.child.killed, 'from then on it counts');
});

test('a machine that stood still for less than a stall costs no worker either, and shelters none', (t) => {
  const it = serving(t);
  it.worker.beat();
  it.system.pass(LIMITS.HEARTBEAT_MS);
  // Nobody turned in the second before, as may be, nor while the machine stood.
  it.system.pass(LIMITS.HEARTBEAT_MS);
  it.system.freeze(LIMITS.HEARTBEAT_STALL_MS - LIMITS.HEARTBEAT_MS / 2);
  it.system.pass(0);
  assert.ok(!it.worker.child.killed);
  assert.equal(it.system.said('the keeper stood still').length, 0);
  // What this process saw of the time counts: one second before, and four from here on.
  for (let stood = 0; stood < 3; stood++) {
    it.system.freeze(LIMITS.HEARTBEAT_STALL_MS - LIMITS.HEARTBEAT_MS);
    it.system.pass(0);
    assert.ok(!it.worker.child.killed, `${stood} times more`);
  }
  it.system.pass(LIMITS.HEARTBEAT_MS);
  assert.ok(it.worker.child.killed, 'it never turned');
});

test('a keeper that stood still does not kill who was loading meanwhile', (t) => {
  const system = stage(t);
  const [worker] = system.alive('worker');
  system.pass(LIMITS.HEARTBEAT_MS);
  system.freeze(2 * LIMITS.CHILD_START_MS);
  system.pass(LIMITS.HEARTBEAT_MS);
  assert.ok(!worker?.killed);
  system.pass(LIMITS.CHILD_START_MS);
  system.pass(2 * LIMITS.HEARTBEAT_MS);
  assert.ok(worker?.killed, 'from then on it has its time');
});

test('a worker that never loads is killed and started again', (t) => {
  const system = stage(t);
  const [worker] = system.alive('worker');
  system.pass(LIMITS.CHILD_START_MS);
  assert.ok(!worker?.killed);
  system.pass(2 * LIMITS.HEARTBEAT_MS);
  assert.ok(worker?.killed);
});

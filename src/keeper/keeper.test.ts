// The keeper with processes that do what a test says.

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeSystem, ModelController, ModelWorker, OPTIONS, OWN_ADDRESS, ownPort } from '../../test/support/keeper.ts';
import { EXIT } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';
import { encodeBegin, encodeFrame, encodeJson, encodePut, FRAME, type FrameType } from '../stream/frames.ts';
import { PROTOCOL, type SocketWish } from '../stream/messages.ts';
import { Keeper } from './keeper.ts';
import { ticketKeysOf } from './keys-file.ts';
import type { KeeperOptions } from './options.ts';

/** Whether a connection is established: nobody accepts it here, the kernel does. */
function answers(port: number): Promise<boolean> {
  const socket = connect(port, OWN_ADDRESS);
  return new Promise((resolve) => {
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
  }).then((is) => {
    socket.destroy();
    return is as boolean;
  });
}

interface Stage {
  readonly system: FakeSystem;
  readonly keeper: Keeper<KeeperOptions>;
  /** Exit code, once it ended. */
  ended: number | null;
}

function stage(t: { after(fn: () => void): void }, options: Partial<KeeperOptions> = {}): Stage {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const it: { -readonly [K in keyof Stage]: Stage[K] } = { system, keeper: null as never, ended: null };
  it.keeper = new Keeper<KeeperOptions>({ ...OPTIONS, ...options }, system, system.log, (code) => {
    it.ended = code;
  });
  it.keeper.start();
  return it;
}

/** With a controller and workers that serve revision 1. */
function serving(
  t: { after(fn: () => void): void },
  options: Partial<KeeperOptions> = {},
): Stage & {
  readonly controller: ModelController;
  readonly workers: ModelWorker[];
} {
  const it = stage(t, options);
  const controller = new ModelController(it.system.alive('controller')[0] as never);
  const workers = it.system.alive('worker').map((child) => new ModelWorker(child));
  controller.send({ a: '1' });
  for (const worker of workers) worker.read();
  controller.read();
  assert.equal(controller.acked, 1);
  return Object.assign(it, { controller, workers });
}

/** The process that was started last. */
function newest(it: Stage, role: 'controller' | 'worker'): ReturnType<FakeSystem['alive']>[number] {
  it.system.pass(0);
  return it.system.alive(role).at(-1) as never;
}

test('every worker has the keys of session tickets, and new ones when it is time', (t) => {
  const { system, workers } = serving(t, { workers: 2 });
  const [first, second] = workers.map((worker) => worker.tickets[0]);
  assert.ok(first !== undefined && first.length > 0);
  assert.deepEqual(second, first);
  system.freeze(LIMITS.TLS_TICKET_ROTATION_MS);
  system.pass(LIMITS.HEARTBEAT_MS);
  for (const worker of workers) worker.read();
  const next = workers[1]?.tickets.at(-1) as Buffer;
  assert.deepEqual(workers[0]?.tickets.at(-1), next);
  assert.deepEqual(next.subarray(first.length), first, 'the one before is still accepted');
});

test('keys of --keys-file are given to every worker, and new ones when the file is another', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keys');
  const [one, two] = [Buffer.alloc(32, 1).toString('base64'), Buffer.alloc(32, 2).toString('base64')];
  writeFileSync(path, one);
  const { system, workers } = serving(t, { workers: 2, keysFile: { path, mayComeLater: false } });
  const issues = (keys: Buffer | undefined): Buffer | undefined => keys?.subarray(0, TICKET_KEY_BYTES);
  for (const worker of workers) assert.deepEqual(issues(worker.tickets[0]), ticketKeysOf(one));
  writeFileSync(join(folder, 'new'), `${two}\n${one}\n`);
  renameSync(join(folder, 'new'), path);
  for (let i = 0; i < 2; i++) {
    system.freeze(LIMITS.TLS_FILES_MS);
    system.pass(LIMITS.HEARTBEAT_MS);
  }
  for (const worker of workers) {
    worker.read();
    assert.deepEqual(issues(worker.tickets.at(-1)), ticketKeysOf(two));
    assert.equal(worker.tickets.at(-1)?.includes(ticketKeysOf(one)), true, 'the one before is still accepted');
  }
});

test('a file of keys that cannot be used ends the start, unless somebody may still make it', (t) => {
  const file = (mayComeLater: boolean): Partial<KeeperOptions> => ({
    keysFile: { path: join(tmpdir(), 'rauta-no-such-keys'), mayComeLater },
  });
  const typo = stage(t, file(false));
  assert.equal(typo.ended, EXIT.cannotRun);
  assert.equal(typo.system.alive('worker').length, 0);
  const { workers } = serving(t, file(true));
  assert.equal(workers[0]?.tickets[0]?.length, TICKET_KEY_BYTES);
});

/** More than is sent at once. */
const LARGE = 'x'.repeat(LIMITS.READ_BYTES);

/** A controller in the middle of the first revision, whose worker in slot 0 waits for it; the other is not loaded. */
function halfway(t: { after(fn: () => void): void }): Stage & {
  readonly controller: ModelController;
  readonly worker: ModelWorker;
  readonly late: ReturnType<FakeSystem['alive']>[number];
} {
  const it = stage(t, { workers: 2 });
  const controller = new ModelController(it.system.alive('controller')[0] as never);
  const [first, late] = it.system.alive('worker') as [never, never];
  const worker = new ModelWorker(first);
  worker.read();
  controller.child.frames(encodeBegin({ revision: 1, base: 0 }));
  for (const key of ['gone', 'a', 'state/x']) controller.child.frames(encodePut(key, Buffer.from(key + LARGE)));
  return { ...it, controller, worker, late };
}

test('a first revision goes on to workers as it comes, and counts with its end', (t) => {
  const { system, controller, worker, late } = halfway(t);
  const came = worker.child.take();
  assert.deepEqual(
    came.map(({ type, body }) => (type === FRAME.PUT ? body.toString('utf8', 2, 2 + body.readUInt16LE(0)) : type)),
    [FRAME.BEGIN, 'gone', 'a'],
  );
  for (const { type, body } of came) worker.child.wire.push(encodeFrame(type as FrameType, body));
  worker.read();
  assert.equal(worker.revision, 0);
  // One that comes meanwhile is given all of it.
  const other = new ModelWorker(late);
  controller.child.frames(encodeFrame(FRAME.DELETE, Buffer.from('gone')));
  controller.child.frames(encodePut('b', Buffer.from('b')));
  controller.child.says({
    type: 'sockets',
    sockets: [{ key: 'a', address: OWN_ADDRESS, port: ownPort(), transport: 'tcp' }],
  });
  controller.child.frames(encodeJson(FRAME.COMMIT, { revision: 1 }));
  const rest = worker.child.wire.reduce((sum, bytes) => sum + bytes.length, 0);
  assert.ok(rest < LARGE.length, `${rest} bytes again`);
  for (const one of [worker, other]) {
    one.read();
    assert.deepEqual(
      [...one.content],
      [
        ['a', `a${LARGE}`],
        ['b', 'b'],
      ],
    );
    assert.deepEqual([one.revision, [...one.sockets]], [1, ['a']]);
  }
  controller.read();
  assert.equal(controller.acked, 1);
  system.pass(LIMITS.HEARTBEAT_MS);
  assert.deepEqual(worker.child.take(), [], 'and nothing is sent twice');
});

test('what went on of a first revision whose controller died is forgotten', (t) => {
  const it = halfway(t);
  const { controller, worker, late } = it;
  const other = new ModelWorker(late);
  worker.read();
  controller.child.exit();
  const next = new ModelController(newest(it, 'controller'));
  assert.equal(next.revision, 0);
  next.send({ c: `c${LARGE}` });
  for (const one of [worker, other]) {
    one.read();
    assert.deepEqual([one.revision, [...one.content]], [1, [['c', `c${LARGE}`]]]);
  }
  next.read();
  assert.equal(next.acked, 1);
});

test('an entry that cannot be used is a refused revision, not a dead worker; the next good revision heals', (t) => {
  const it = serving(t, { workers: 2 });
  const { controller, workers } = it;
  controller.send({ b: 'bad' });
  for (const worker of workers) worker.read();
  controller.read();
  assert.equal(controller.held?.revision, 2);
  assert.match(String(controller.held?.reason), /worker 0 refused it: b: no/);
  assert.equal(controller.acked, 1);
  assert.deepEqual(
    workers.map((w) => w.child.killed),
    [false, false],
  );
  controller.send({ b: 'good' });
  for (const worker of workers) worker.read();
  controller.read();
  assert.equal(controller.held, null);
  assert.equal(controller.acked, 3);
  assert.deepEqual(Object.fromEntries(workers[1]?.content ?? []), { a: '1', b: 'good' });
});

test('the listening sockets go back with a refused revision, and come with the next', async (t) => {
  const it = serving(t);
  const { controller, system } = it;
  const [worker] = it.workers as [ModelWorker];
  const wish = (port: number): SocketWish => ({ key: `socket ${port}`, address: OWN_ADDRESS, port, transport: 'tcp' });
  const [one, two] = [wish(ownPort()), wish(ownPort())];
  controller.send({ [one.key]: '1' }, [one]);
  worker.read();
  assert.deepEqual([...worker.sockets], [one.key]);
  controller.send({ [one.key]: null, [two.key]: 'bad' }, [two]);
  worker.read();
  assert.deepEqual([...worker.sockets], [one.key], 'what came with it is closed');
  worker.beat();
  system.pass(2 * LIMITS.SOCKET_SETTLE_MS);
  worker.read();
  assert.deepEqual([...worker.sockets], [one.key], 'what was to go stays');
  assert.ok(await answers(one.port));
  assert.ok(!(await answers(two.port)));
  controller.send({ [two.key]: '2' }, [two]);
  worker.read();
  worker.beat();
  system.pass(2 * LIMITS.SOCKET_SETTLE_MS);
  worker.read();
  assert.deepEqual([...worker.sockets], [two.key]);
  assert.ok(await answers(two.port));
  assert.ok(!(await answers(one.port)));
});

test('a worker that is started while a revision is refused serves the one before', (t) => {
  const it = serving(t);
  it.controller.send({ a: 'bad' });
  it.workers[0]?.read();
  it.workers[0]?.child.exit({ code: 1 });
  const next = new ModelWorker(newest(it, 'worker'));
  next.read();
  assert.deepEqual(Object.fromEntries(next.content), { a: '1' });
  it.controller.read();
  assert.equal(it.controller.acked, 1);
});

test('what is quarantined is not called served by anybody, nor by a controller that comes anew', (t) => {
  const it = serving(t, { workers: 2 });
  const { controller, workers } = it;
  controller.send({ a: '2' });
  for (const worker of workers) worker.read();
  controller.read();
  assert.equal(controller.acked, 2);
  for (let death = 0; death < LIMITS.QUARANTINE_DEATHS; death++) {
    workers[0]?.child.exit({ signal: 'SIGSEGV' });
    it.system.pass(LIMITS.RESTART_MIN_MS);
    workers[0] = new ModelWorker(newest(it, 'worker'));
  }
  for (const worker of workers) worker.read();
  controller.read();
  assert.equal(controller.held?.cause, 'deaths');
  assert.equal(controller.acked, 1);
  assert.deepEqual(
    workers.map((w) => Object.fromEntries(w.content)),
    [{ a: '1' }, { a: '1' }],
    'those that lived go back too',
  );

  controller.child.exit({ code: 1 });
  const next = new ModelController(newest(it, 'controller'));
  assert.equal(next.held?.revision, 2);
  assert.equal(next.acked, 1);
  assert.deepEqual(Object.fromEntries(next.memory), { a: '2' }, 'it is given what was wanted');
});

test('workers that die all at once, or before they had anything, bring no more than one revision back', (t) => {
  const it = serving(t, { workers: 4 });
  for (const a of ['2', '3']) {
    it.controller.send({ a });
    for (const worker of it.workers) worker.read();
  }
  for (const worker of it.workers) worker.child.exit({ signal: 'SIGKILL' });
  it.controller.read();
  assert.equal(it.controller.held?.revision, 3);
  assert.equal(it.controller.held?.cause, 'deaths');
  // Those in their places end before they have loaded.
  it.system.pass(LIMITS.RESTART_MIN_MS);
  for (const child of it.system.alive('worker')) child.exit({ code: 1 });
  it.system.pass(2 * LIMITS.RESTART_MIN_MS);
  const next = it.system.alive('worker').map((child) => new ModelWorker(child));
  for (const worker of next) worker.read();
  assert.ok(next.some((worker) => worker.content.size > 0));
  for (const worker of next) if (worker.content.size > 0) assert.equal(worker.content.get('a'), '2');
});

test('a controller that dies in the middle of a revision leaves nothing of it', (t) => {
  const it = serving(t);
  const { revision, child } = it.controller;
  child.frames(encodeBegin({ revision: revision + 1, base: revision }));
  child.frames(encodePut('a', Buffer.from('half')));
  child.exit({ code: 1 });
  const next = new ModelController(newest(it, 'controller'));
  assert.deepEqual(Object.fromEntries(next.memory), { a: '1' });
  assert.equal(next.send({ b: '1' }), revision + 1);
  it.workers[0]?.read();
  assert.deepEqual(Object.fromEntries(it.workers[0]?.content ?? []), { a: '1', b: '1' });
});

test('a worker that says what it may not say is killed, counted and replaced, and believed no more', (t) => {
  for (const message of [
    { type: 'ack', revision: 1e300 },
    { type: 'ack', revision: 99 },
    { type: 'nack', revision: 1, reason: 'late' },
    { type: 'drained' },
    { type: 'unsocketed', key: 'socket/never/1/tcp' },
    { type: 'hello', protocol: PROTOCOL },
    { type: 'unsocketed', key: '' },
    { type: 'sockets', sockets: [] },
    'nonsense',
  ]) {
    const it = serving(t);
    const [worker] = it.workers as [ModelWorker];
    worker.child.says(message);
    assert.ok(worker.child.killed, JSON.stringify(message));
    it.controller.send({ a: '2' });
    worker.child.says({ type: 'ack', revision: 2 });
    it.controller.read();
    assert.equal(it.controller.acked, 1, 'not after it broke the protocol');
    worker.child.exit();
    it.controller.read();
    assert.equal(it.controller.restarts?.worker.violation, 1);
    const next = new ModelWorker(newest(it, 'worker'));
    next.read();
    it.controller.read();
    assert.equal(it.controller.acked, 2);
  }
});

test('a controller that says what it may not say is replaced, and traffic goes on', (t) => {
  const it = serving(t);
  it.controller.child.says({ type: 'sockets', sockets: 'all of them' });
  assert.ok(it.controller.child.killed);
  it.controller.child.exit();
  const next = new ModelController(newest(it, 'controller'));
  assert.deepEqual(next.restarts?.controller, { exit: 0, stalled: 0, violation: 1 });
  assert.deepEqual(
    it.workers.map((w) => w.child.killed),
    [false],
  );
});

test('a child of another version is refused by name', (t) => {
  const it = stage(t);
  const [worker] = it.system.alive('worker');
  worker?.says({ type: 'hello', protocol: PROTOCOL + 1 });
  assert.ok(worker?.killed);
  worker?.exit();
  const other = `speaks version ${PROTOCOL + 1} of the stream, this program ${PROTOCOL}`;
  assert.ok(String(it.system.said('worker died')[0]?.['reason']).includes(other));
  const [controller] = it.system.alive('controller');
  controller?.says({ type: 'hello', protocol: PROTOCOL + 1 });
  assert.ok(controller?.killed);
  controller?.exit();
  assert.ok(String(it.system.said('controller died')[0]?.['reason']).includes(other));
});

test('restarts are counted by the keeper: no number goes backwards when the controller is replaced', (t) => {
  const it = serving(t);
  it.workers[0]?.child.exit({ code: 1 });
  it.controller.child.exit({ code: 1 });
  const next = new ModelController(newest(it, 'controller'));
  assert.equal(next.restarts?.worker.exit, 1);
  assert.equal(next.restarts?.controller.exit, 1);
});

test('workers that can never start end a program that never served, with the reason', (t) => {
  const it = stage(t);
  for (let attempt = 0; attempt < LIMITS.START_ATTEMPTS; attempt++) {
    assert.equal(it.ended, null);
    const child = newest(it, 'worker');
    child.says({ type: 'hello', protocol: PROTOCOL });
    child.says({ type: 'failed', reason: 'user nobdy is not in /etc/passwd' });
    child.exit({ code: 3 });
    it.system.pass(LIMITS.RESTART_MAX_MS);
  }
  it.system.pass(LIMITS.FLUSH_MS);
  assert.equal(it.ended, EXIT.cannotRun);
  assert.equal(it.system.said('workers cannot start: user nobdy is not in /etc/passwd').length, 1);
});

test('a controller that can never start ends a program that never served, and only that', (t) => {
  const it = stage(t);
  for (let attempt = 0; attempt < LIMITS.START_ATTEMPTS; attempt++) {
    newest(it, 'controller').exit({ signal: 'SIGSEGV' });
    it.system.pass(LIMITS.RESTART_MAX_MS);
  }
  assert.equal(it.ended, EXIT.cannotRun);
  assert.equal(it.system.said('the controller cannot start: it ended by SIGSEGV').length, 1);

  const served = serving(t);
  let { child } = served.controller;
  for (let death = 0; death < 3 * LIMITS.START_ATTEMPTS; death++) {
    child.exit({ code: 1 });
    served.workers[0]?.beat();
    served.system.pass(LIMITS.HEARTBEAT_MS);
    for (let waited = 0; waited < LIMITS.RESTART_MAX_MS; waited += LIMITS.HEARTBEAT_MS) {
      served.workers[0]?.beat();
      served.system.pass(LIMITS.HEARTBEAT_MS);
    }
    child = newest(served, 'controller');
  }
  assert.equal(served.ended, null);
});

test('`fatal` ends a program that never served; one that serves gets another controller', (t) => {
  const it = stage(t);
  new ModelController(newest(it, 'controller')).child.says({ type: 'fatal', code: 3, message: 'admin: EADDRINUSE' });
  newest(it, 'controller').exit();
  assert.equal(it.ended, 3);
  const served = serving(t);
  served.controller.child.says({ type: 'fatal', code: 3, message: 'access log: ENOENT' });
  assert.ok(served.controller.child.killed);
  served.controller.child.exit();
  assert.equal(served.ended, null);
  new ModelController(newest(served, 'controller'));
  assert.equal(served.system.said('the controller cannot go on').length, 1);
});

test('processes that cannot be started are tried again later, and nobody dies of it', (t) => {
  const it = serving(t);
  it.system.failure = 'spawn EMFILE';
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += LIMITS.HEARTBEAT_MS) {
      for (const worker of it.workers) if (!worker.child.gone) worker.beat();
      it.system.pass(LIMITS.HEARTBEAT_MS);
    }
  };
  pass(10 * LIMITS.SPARE_DELAY_MS);
  assert.ok(it.system.said('cannot start a spare worker').length >= 2, 'again and again');
  assert.equal(it.system.said('cannot start a spare worker')[0]?.['reason'], 'spawn EMFILE');
  it.controller.child.exit({ code: 1 });
  it.workers[0]?.child.exit({ code: 1 });
  pass(2 * LIMITS.RESTART_MAX_MS);
  assert.ok(it.system.said('cannot start the controller').length >= 2);
  assert.ok(it.system.said('cannot start a worker').length >= 2);
  assert.equal(it.ended, null);
  it.system.failure = null;
  pass(2 * LIMITS.RESTART_MAX_MS);
  const next = new ModelWorker(it.system.alive('worker')[0] as never);
  next.read();
  assert.deepEqual(Object.fromEntries(next.content), { a: '1' });
  assert.equal(it.system.alive('controller').length, 1);
});

test('a controller that makes no progress is killed and replaced, one that is only slow is given more time', (t) => {
  const it = serving(t);
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += LIMITS.HEARTBEAT_MS) {
      it.workers[0]?.beat();
      it.system.pass(LIMITS.HEARTBEAT_MS);
    }
  };
  pass(LIMITS.CONTROLLER_STALL_MS);
  assert.ok(!it.controller.child.killed, 'busy with a large translation');
  it.controller.child.says({ type: 'beat' });
  pass(LIMITS.CONTROLLER_STALL_MS);
  assert.ok(!it.controller.child.killed);
  pass(2 * LIMITS.HEARTBEAT_MS);
  assert.ok(it.controller.child.killed);
  it.controller.child.exit();
  const next = new ModelController(newest(it, 'controller'));
  assert.equal(next.restarts?.controller.stalled, 1);
  assert.equal(it.ended, null);
  pass(LIMITS.CONTROLLER_STALL_MS + 2 * LIMITS.HEARTBEAT_MS);
  assert.ok(!next.child.killed, 'twice as long');
  pass(LIMITS.CONTROLLER_STALL_MS);
  assert.ok(next.child.killed);
});

test('a bug in the keeper is said with its stack; the others end in order and the exit code is 70', (t) => {
  const it = serving(t);
  it.keeper.crash(new TypeError('undefined is not a function'));
  assert.match(String(it.system.said('a bug in the keeper')[0]?.['stack']), /TypeError: undefined .*\n +at /s);
  it.workers[0]?.read();
  it.controller.read();
  assert.ok(it.workers[0]?.child.killed, 'it drained');
  it.workers[0]?.child.exit();
  it.controller.read();
  assert.equal(it.ended, EXIT.bug);

  const twice = serving(t);
  twice.keeper.crash(new Error('one'));
  twice.keeper.crash(new Error('two'));
  assert.equal(twice.ended, EXIT.bug, 'at once');
  assert.deepEqual(
    twice.system.alive('worker').map((c) => c.killed),
    [true],
  );
});

test('it drains and ends in order: workers, then what is in the log rings', (t) => {
  const it = serving(t, { workers: 2 });
  it.keeper.stop('SIGTERM');
  it.system.pass(0);
  for (const worker of it.workers) worker.read();
  assert.equal(it.ended, null);
  for (const worker of it.workers) worker.child.exit();
  assert.ok(!it.controller.heard.includes('stop'));
  it.controller.read();
  assert.ok(it.controller.heard.includes('draining') && it.controller.heard.includes('stop'));
  assert.equal(it.ended, EXIT.ok);
});

test('whoever started it is told once it serves, while it reads again, and when it stops', (t) => {
  const it = stage(t);
  const { notified } = it.system;
  assert.deepEqual(notified, []);
  const controller = new ModelController(it.system.alive('controller')[0] as never);
  const worker = new ModelWorker(it.system.alive('worker')[0] as never);
  controller.send({ a: '1' });
  assert.deepEqual(notified, [], 'what is configured is not served yet');
  worker.read();
  const status = 'STATUS=serving revision 1';
  assert.deepEqual(notified.splice(0), [`READY=1\nMAINPID=${process.pid}\n${status}`]);
  it.keeper.reread();
  assert.deepEqual(notified.splice(0), ['RELOADING=1\nSTATUS=reading everything again']);
  controller.child.says({ type: 'reread' });
  assert.deepEqual(notified.splice(0), [`READY=1\n${status}`]);
  controller.child.says({ type: 'reread' });
  assert.deepEqual(notified.splice(0), [], 'nobody asked');
  // One that dies instead of answering leaves nobody waiting: the next one reads everything.
  it.keeper.reread();
  controller.child.exit({ code: 1 });
  it.system.pass(LIMITS.RESTART_MIN_MS);
  new ModelController(it.system.alive('controller')[0] as never);
  assert.deepEqual(notified.splice(0), ['RELOADING=1\nSTATUS=reading everything again', `READY=1\n${status}`]);
  it.keeper.stop('SIGTERM');
  assert.deepEqual(notified.splice(0), ['STOPPING=1\nSTATUS=draining']);
});

test('a watchdog is told twice as often as it waits, from the start to the end', (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  system.supervisor = { ...system.supervisor, watchdogUs: 30_000_000 };
  let ended = false;
  const keeper = new Keeper<KeeperOptions>(OPTIONS, system, system.log, () => {
    ended = true;
  });
  keeper.start();
  const beats = (): number => system.notified.filter((state) => state === 'WATCHDOG=1').length;
  assert.equal(beats(), 1);
  system.pass(14_999);
  assert.equal(beats(), 1);
  system.pass(15_001);
  assert.equal(beats(), 3);
  assert.equal(ended, false);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { afterEach, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LIMITS } from '../base/limits.ts';
import type { ReadySink, SocketAddress } from '../io/io.ts';
import { Timer } from '../io/wheel.ts';
import { uvBackendFd } from './ffi.ts';
import { type NativeIo, openNative, Reactor, socketPair } from './index.ts';

const LOCAL: SocketAddress = { family: 'ipv4', address: '127.0.0.1', port: 0 };
let io: NativeIo;
let reactor: Reactor;
/** Turns so far. */
let turns = 0;

/** How long each turn was to wait. */
let waits: number[] = [];
/** Turns that ended before that, with nothing to do, neither here nor for libuv. */
let idle = 0;

function start(inTime = false): void {
  io = openNative({ arenaBytes: 2 ** 20 });
  turns = 0;
  waits = [];
  idle = 0;
  let ready = false;
  const turn = io.turn.bind(io);
  const takeUvReady = io.takeUvReady.bind(io);
  io.turn = (wait) => {
    turns++;
    waits.push(wait);
    const until = performance.now() + wait - 1;
    const handled = turn(wait);
    ready = takeUvReady();
    if (handled === 0 && !ready && (wait === 0 || performance.now() < until)) idle++;
    return handled;
  };
  io.takeUvReady = () => ready;
  reactor = new Reactor(io, inTime);
  reactor.run();
}
afterEach(() => {
  reactor.stop();
  io.dispose();
});

/** Keeps the reactor saturated: every turn takes `ms` of work and leaves more. */
function saturate(ms: number): { stop: () => void } {
  let on = true;
  const sink: ReadySink = {
    onReady() {
      const end = performance.now() + ms;
      while (performance.now() < end);
      if (on) io.again(sink, 1);
    },
  };
  io.again(sink, 1);
  return {
    stop: () => {
      on = false;
    },
  };
}

/** What makes an event from elsewhere, which calls `onWoken`. */
function waker(onWoken: () => void): () => void {
  const [near, far] = socketPair(io);
  const at = io.alloc(8);
  io.watch(near, {
    onReady() {
      while (io.recv(near, at, 1) > 0) onWoken();
    },
  });
  return () => assert.equal(io.send(far, at, 1), 1);
}

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** Turns begin and end, so that nothing is left of what was before. */
async function settled(): Promise<void> {
  for (let pass = 0; pass < 3; pass++) await after(1);
}
/** Somebody else connects, when this thread waits already. */
function dialFromElsewhere(port: number): Worker {
  return new Worker(`require('node:net').connect(${port}, '127.0.0.1')`, { eval: true });
}
function listening(onConnection: () => void): number {
  const listener = io.listen(LOCAL, { reusePort: false, backlog: 4 });
  io.watch(listener, {
    onReady() {
      while (io.accept(listener) >= 0) onConnection();
    },
  });
  return (io.localAddress(listener) as { port: number }).port;
}

test('saturated, a 20 ms timeout runs within a few turns of its time', async () => {
  start();
  const load = saturate(0.2);
  for (let round = 0; round < 5; round++) {
    const due = performance.now() + 20;
    let turnsAfterDue = 0;
    const hook = (): void => {
      if (performance.now() >= due) turnsAfterDue++;
    };
    io.onTurn(hook);
    await after(20);
    // A pass of turns lasts LIMITS.REACTOR_PASS_US, which is 5 turns of 0.2 ms; Node rounds timers up to 1 ms.
    assert.ok(turnsAfterDue <= 20, `${turnsAfterDue} turns after it was due`);
  }
  load.stop();
});

test('saturated, promises run between any two turns, ticks and immediates after a pass', async () => {
  start();
  const load = saturate(0.05);
  const log: { hop: number; turns: number }[] = [];
  await new Promise<void>((resolve) => {
    const sink: ReadySink = {
      async onReady() {
        const from = turns;
        for (let hop = 1; hop <= 10; hop++) {
          await null;
          log.push({ hop, turns: turns - from });
        }
        resolve();
      },
    };
    io.again(sink, 1);
  });
  for (const { hop, turns: passed } of log) assert.ok(passed <= hop, `hop ${hop} after ${passed} turns`);
  for (const wait of [
    (done: () => void): void => process.nextTick(done),
    (done: () => void): void => {
      setImmediate(done);
    },
  ]) {
    const passed = await new Promise<number>((resolve) => {
      const sink: ReadySink = {
        onReady() {
          const from = turns;
          wait(() => resolve(turns - from));
        },
      };
      io.again(sink, 1);
    });
    assert.ok(passed <= 200, `${passed} turns`);
  }
  load.stop();
});

test("Node's own sockets work beside a saturated reactor", async () => {
  start();
  const load = saturate(0.1);
  const server: Server = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const answer = await new Promise<string>((resolve) => {
    const client = connect(port, '127.0.0.1', () => client.write('through libuv'));
    client.once('data', (data) => {
      resolve(data.toString());
      client.destroy();
    });
  });
  assert.equal(answer, 'through libuv');
  server.close();
  load.stop();
});

test('without events it waits, and what comes from elsewhere ends the wait', async () => {
  start();
  await settled();
  // V8's tasks are events as well: while it collects there may be hundreds in a row, but not for ever.
  let before = [turns, idle] as const;
  for (let round = 0; round === 0 || (round < 50 && turns - before[0] > 4); round++) {
    before = [turns, idle];
    await after(200);
    assert.ok(idle - before[1] <= 4, `${idle - before[1]} turns in 200 ms neither waited nor had an event`);
  }
  assert.ok(turns - before[0] <= 4, `${turns - before[0]} turns in 200 ms without an event`);
  // No timer is due meanwhile: only the connection can end the wait.
  await new Promise<void>((resolve) => {
    const worker = dialFromElsewhere(listening(() => void worker.terminate().then(() => resolve())));
  });
});

test('however many connections it has, to wait costs the same: our set is never among those that libuv watches', async () => {
  start();
  const wake = waker(() => {});
  const watched = (): string => readFileSync(`/proc/self/fdinfo/${uvBackendFd()}`, 'latin1');
  for (let round = 0; round < 3; round++) {
    // Timers of Node's, at which libuv may have waited.
    await after(4 * LIMITS.REACTOR_WAIT_MS);
    assert.doesNotMatch(watched(), new RegExp(`^tfd: +${io.epollFd} `, 'm'));
    wake();
  }
});

test('it waits no longer than until the next timer of Node, and not at all when an immediate is pending', async () => {
  start();
  await settled();
  for (const ms of [30, 3]) {
    // Where this thread gets no time for so long, the timer is due at once and there is nothing to wait for.
    for (let round = 0; round === 0 || (round < 200 && Math.max(...waits) <= 0); round++) {
      waits = [];
      await after(ms);
      assert.ok(Math.max(...waits) <= ms, `${waits}`);
    }
    assert.ok(Math.max(...waits) > 0, `${waits}`);
  }
  waits = [];
  for (let pass = 0; pass < 5; pass++) await new Promise(setImmediate);
  assert.deepEqual(new Set(waits), new Set([0]));
});

test("where somebody lives by Node's timers a turn behind another does not wait", async () => {
  start(true);
  /** Waits of turns that are not the first behind a pass of libuv. */
  const behind: number[] = [];
  let first = true;
  const { turn, leave } = io;
  io.turn = (wait) => {
    if (!first) behind.push(wait);
    first = false;
    return turn(wait);
  };
  io.leave = () => {
    first = true;
    leave.call(io);
  };
  const wake = waker(() => {});
  while (behind.length < 5) {
    await settled();
    wake();
  }
  assert.deepEqual(new Set(behind), new Set([0]));
});

test('a timer of the wheel ends the wait, never early, also one armed from outside', async () => {
  start();
  for (const settle of [false, true]) {
    if (settle) await settled();
    const from = io.nowMs;
    const fired = new Promise<number>((resolve) => {
      const timer = new Timer({ onTimer: () => resolve(io.nowMs) }, 0);
      io.timers.arm(timer, from, 100);
    });
    assert.ok((await fired) >= from + 100);
  }
});

test('between turns the clock is read by whoever asks', async () => {
  start();
  await settled();
  const clock = performance.now() * 1000;
  assert.ok(io.nowUs >= clock, 'not the time of the last turn');
  reactor.stop();
  const later = performance.now() * 1000;
  assert.ok(io.nowUs >= later);
});

test('what was asked for from outside is done by the next turn', async () => {
  start();
  await settled();
  assert.equal(await new Promise((resolve) => io.again({ onReady: resolve }, 3)), 3);
});

test('what a sink throws is an uncaught exception, and the reactor goes on', async () => {
  start();
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const caught = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve));
  const thrower: ReadySink = {
    onReady() {
      throw new Error('from a sink');
    },
  };
  io.again(thrower, 1);
  assert.match(String(await caught), /from a sink/);
  // Once only: it is not asked again.
  for (const listener of listeners) process.on('uncaughtException', listener);
  for (let i = 0; i < 4; i++) assert.equal(await new Promise((resolve) => io.again({ onReady: resolve }, 2)), 2);
});

test('stop ends the turns, from a sink too, and run goes on with what is open', async () => {
  start();
  reactor.run();
  const listener = io.listen(LOCAL, { reusePort: false, backlog: 4 });
  const { port } = io.localAddress(listener) as { port: number };
  let accepted = 0;
  io.watch(listener, {
    onReady() {
      while (io.accept(listener) >= 0) accepted++;
      reactor.stop();
    },
  });
  const dial = (): Promise<void> =>
    new Promise((resolve) => {
      const client = connect(port, '127.0.0.1', () => {
        client.destroy();
        resolve();
      });
    });
  await dial();
  while (accepted < 1) await after(1);
  const before = turns;
  await dial();
  await after(30);
  assert.equal(turns, before);
  assert.equal(accepted, 1);
  reactor.stop();
  reactor.run();
  while (accepted < 2) await after(1);
  // Stopped by a callback of Node's as well.
  reactor.run();
  await settled();
  reactor.stop();
  reactor.run();
});

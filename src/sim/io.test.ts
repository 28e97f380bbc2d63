// What the program sees of the simulation beside sockets' semantics (test/sim/differential.test.ts compares those).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROKEN, ERRNO, READABLE, type ReadySink, WRITABLE } from '../io/io.ts';
import { Timer } from '../io/wheel.ts';
import { SimArena } from './arena.ts';
import { NO_FAULTS } from './faults.ts';
import { SimIo } from './io.ts';
import { Random } from './random.ts';

const ANY = { family: 'ipv4', address: '127.0.0.1', port: 0 } as const;

class Recorder implements ReadySink {
  readonly events: number[] = [];
  onReady(events: number): void {
    this.events.push(events);
  }
}

test('the arena refuses what is wrong and fills what it gives and takes back', () => {
  const arena = new SimArena(1024 * 1024);
  const a = arena.alloc(100);
  assert.equal(arena.sizeOf(a), 128);
  assert.equal(arena.alloc(2 ** 21), -1);
  arena.mem[a] = 1;
  arena.free(a);
  assert.notEqual(arena.mem[a], 1);
  assert.throws(() => arena.free(a), RangeError);
  assert.throws(() => arena.free(a + 64), RangeError);
  assert.throws(() => arena.sizeOf(a), RangeError);
  assert.throws(() => arena.alloc(0), RangeError);
  assert.equal(arena.alloc(65), a);
  const blocks = [];
  for (let at = arena.alloc(65_536); at >= 0; at = arena.alloc(65_536)) blocks.push(at);
  assert.equal(blocks.length, 15);
  for (const at of blocks) arena.free(at);
  assert.equal(arena.bytes, 128);
});

test('timers fire when the clock is moved, in their order, none before', () => {
  const io = new SimIo({ seed: 1 });
  const fired: string[] = [];
  const sink = { onTimer: (t: Timer) => fired.push(`${t.id} ${io.nowMs - start}`) };
  const start = io.nowMs;
  const timers = [3000, 20, 100_000].map((ms, id) => {
    const timer = new Timer(sink, id);
    io.timers.arm(timer, io.nowMs, ms);
    return timer;
  });
  io.advance(10);
  assert.deepEqual(fired, []);
  io.advance(200_000);
  assert.deepEqual(fired, ['1 20', '0 3000', '2 100000']);
  assert.equal(timers.filter((t) => t.due !== -1).length, 0);
  assert.equal(io.nowMs, start + 200_010);
});

test('again comes on the next turn, onTurn behind each that did something', () => {
  const io = new SimIo({ seed: 1 });
  const log: string[] = [];
  io.onTurn(() => log.push('turn'));
  assert.equal(io.step(), false);
  io.again({ onReady: (events) => log.push(`again ${events}`) }, READABLE);
  io.runUntilIdle();
  assert.deepEqual(log, ['again 1', 'turn']);
});

test('a silent address times out as Linux does, a listener with a full queue makes a connect wait', () => {
  const io = new SimIo({ seed: 1 });
  const silent = io.connect(io.network.silentAddress());
  io.advance(126_000);
  assert.equal(io.connectError(silent), 0);
  io.advance(2_000);
  assert.equal(io.connectError(silent), ERRNO.ETIMEDOUT);

  const listener = io.listen(ANY, 0);
  const first = new Recorder();
  const second = new Recorder();
  io.watch(io.connect(io.localAddress(listener) as typeof ANY), first);
  io.watch(io.connect(io.localAddress(listener) as typeof ANY), second);
  io.runUntilIdle();
  assert.deepEqual(first.events, [WRITABLE]);
  assert.deepEqual(second.events, []);
  assert.ok(io.accept(listener) >= 0);
  io.advance(1_000);
  assert.deepEqual(second.events, [WRITABLE]);
});

test('descriptors end: EMFILE, and the connection waits', () => {
  const io = new SimIo({ seed: 1, maxHandles: 3 });
  const listener = io.listen(ANY);
  const address = io.localAddress(listener) as typeof ANY;
  const handle = io.connect(address);
  io.connect(address);
  io.runUntilIdle();
  assert.equal(io.accept(listener), -ERRNO.EMFILE);
  assert.equal(io.connect(address), -ERRNO.EMFILE);
  io.close(handle);
  const accepted = io.accept(listener);
  assert.ok(accepted >= 0);
  assert.notEqual(accepted, handle);
  assert.equal(accepted % 2 ** 20, handle % 2 ** 20, 'the lowest free descriptor is used again');
  assert.equal(io.recv(handle, 0, 1), -ERRNO.EBADF);
});

test('closing a listener resets who waits in its queue', () => {
  const io = new SimIo({ seed: 1 });
  const listener = io.listen(ANY);
  const client = new Recorder();
  const handle = io.connect(io.localAddress(listener) as typeof ANY);
  io.watch(handle, client);
  io.runUntilIdle();
  io.close(listener);
  io.runUntilIdle();
  assert.equal(client.events.at(-1)! & BROKEN, BROKEN);
  assert.equal(io.recv(handle, 0, 1), -ERRNO.ECONNRESET);
  io.close(handle);
  assert.deepEqual(io.leaks(), []);
});

test('faults are drawn as often as asked', () => {
  const io = new SimIo({ seed: 5, faults: { ...NO_FAULTS, allocFail: 0.25, connectFail: 0.5 } });
  let refused = 0;
  for (let i = 0; i < 1000; i++) {
    const at = io.alloc(64);
    if (at < 0) refused++;
    else io.free(at);
  }
  assert.ok(refused > 200 && refused < 300, `${refused}`);
  const listener = io.listen(ANY);
  let failed = 0;
  for (let i = 0; i < 200; i++) {
    const handle = io.connect(io.localAddress(listener) as typeof ANY);
    if (handle < 0) {
      failed++;
      continue;
    }
    io.advance(130_000);
    if (io.connectError(handle) !== 0) failed++;
    io.reset(handle);
  }
  assert.ok(failed > 70 && failed < 130, `${failed}`);
});

test('offsets outside the arena throw, before anything happens', () => {
  const io = new SimIo({ seed: 1, arenaBytes: 4096 });
  assert.throws(() => io.recv(-1, 4090, 7), RangeError);
  assert.throws(() => io.send(-1, -1, 1), RangeError);
  assert.throws(() => io.recv(-1, 0, Number.NaN), RangeError);
});

test('chance: equal seeds, equal draws; the geometric draw has its mean', () => {
  const a = new Random(9);
  const b = new Random(9);
  for (let i = 0; i < 100; i++) assert.equal(a.u32(), b.u32());
  let sum = 0;
  for (let i = 0; i < 5000; i++) sum += a.trialsUntil(0.01);
  assert.ok(Math.abs(sum / 5000 - 99) < 6, `${sum / 5000}`);
  assert.equal(a.trialsUntil(0), Number.POSITIVE_INFINITY);
  assert.deepEqual(
    a
      .shuffle([1, 2, 3, 4, 5])
      .slice()
      .sort((x, y) => x - y),
    [1, 2, 3, 4, 5],
  );
});

test('of one turn the events of first sinks are told before the others', () => {
  const io = new SimIo({ seed: 1, faults: NO_FAULTS });
  const listener = io.listen(ANY);
  const clients = Array.from({ length: 6 }, () => io.connect(io.localAddress(listener) as typeof ANY));
  io.runUntilIdle();
  const told: number[] = [];
  for (let i = 0; i < clients.length; i++) {
    io.watch(io.accept(listener), { onReady: (events) => (events & READABLE) !== 0 && told.push(i) }, i % 3 === 2);
  }
  io.runUntilIdle();
  for (const client of clients) io.send(client, 0, 1);
  io.runUntilIdle();
  assert.deepEqual(told, [2, 5, 0, 1, 3, 4]);
});

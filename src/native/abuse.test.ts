// A fuzzer of the room's surface: any sequence of calls with any handles and ranges ends in a result, -errno or a
// RangeError; never in a crash, and never at another socket than the handle's own.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { ERRNO, type Handle, type ReadySink } from '../io/io.ts';
import { closeDescriptor, openNative, recvMessage, sendMessage, socketPair } from './index.ts';

/** FUZZ_SECONDS makes it a long run (make fuzz), FUZZ_SEED repeats one. */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
const seed = Number(process.env['FUZZ_SEED'] ?? (seconds > 0 ? Date.now() % 2 ** 31 : 77)) || 1;
const OPERATIONS = 20_000;
const io = openNative({ arenaBytes: 2 ** 20 });
after(() => io.dispose());

test(`random calls, seed ${seed}`, () => {
  let x = seed;
  const random = (below: number): number => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const openBefore = descriptors();
  const live: Handle[] = [];
  const dead: Handle[] = [-1, 0, 5, 2 ** 31 - 1, Number.NaN, Number.POSITIVE_INFINITY, 1.5];
  const blocks: number[] = [];
  const calls = new Map<Handle, number>();
  const wild = [-1, 0, 1, 64, io.mem.length - 1, io.mem.length, 2 ** 31, -(2 ** 31), 2 ** 53, Number.NaN, 0.5];
  const anyHandle = (): Handle => {
    const pool = live.length > 0 && random(4) > 0 ? live : dead;
    return pool[random(pool.length)] as Handle;
  };
  const anyNumber = (): number => (random(3) > 0 ? random(io.mem.length) : (wild[random(wild.length)] as number));
  const sinkOf = (handle: Handle): ReadySink => ({
    onReady() {
      assert.ok(live.includes(handle), 'a closed handle was called');
      calls.set(handle, (calls.get(handle) ?? 0) + 1);
    },
  });
  const retire = (handle: Handle): void => {
    const at = live.indexOf(handle);
    if (at === -1) return;
    live.splice(at, 1);
    dead.push(handle);
  };
  const pipe = io.openPipe();
  assert.ok(pipe >= 0);
  const fds: number[] = [];
  const operations: (() => unknown)[] = [
    () => {
      if (live.length < 40) live.push(...socketPair(io));
    },
    () => {
      const listener = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 2 });
      const client = live.length < 40 ? io.connect(io.localAddress(listener)) : -1;
      if (client >= 0) live.push(client);
      live.push(listener);
    },
    () => {
      const accepted = io.accept(anyHandle());
      if (accepted >= 0) live.push(accepted);
    },
    () => io.recv(anyHandle(), anyNumber(), anyNumber()),
    () => io.send(anyHandle(), anyNumber(), anyNumber()),
    () => io.shutdown(anyHandle()),
    () => io.connectError(anyHandle()),
    () => {
      const handle = anyHandle();
      const result = io.watch(handle, sinkOf(handle));
      if (!live.includes(handle)) assert.equal(result, -ERRNO.EBADF);
    },
    () => {
      const handle = anyHandle();
      io.close(handle);
      retire(handle);
    },
    () => {
      const handle = anyHandle();
      io.reset(handle);
      retire(handle);
    },
    () => io.turn(0),
    () => {
      const offset = io.alloc(anyNumber());
      if (offset >= 0) blocks.push(offset);
    },
    () => {
      const known = blocks.length > 0 && random(2) === 0;
      const offset = known ? (blocks[random(blocks.length)] as number) : anyNumber();
      io.free(offset);
      assert.ok(blocks.includes(offset), 'freed what nobody allocated');
      blocks.splice(blocks.indexOf(offset), 1);
    },
    () => io.sizeOf(anyNumber()),
    () => io.spliceIn(anyHandle(), random(8) > 0 ? pipe : anyHandle(), anyNumber()),
    () => io.spliceOut(random(8) > 0 ? pipe : anyHandle(), anyHandle(), anyNumber()),
    () => sendMessage(io, anyHandle(), anyNumber(), anyNumber(), random(2) === 0 ? [] : [random(60)]),
    () => {
      recvMessage(io, anyHandle(), anyNumber(), anyNumber(), fds);
      for (const fd of fds.splice(0)) closeDescriptor(fd);
    },
    () => io.fdOf(anyHandle()),
  ];
  const end = performance.now() + seconds * 1000;
  let done = 0;
  for (; done < OPERATIONS || performance.now() < end; done++) {
    try {
      (operations[random(operations.length)] as () => unknown)();
    } catch (error) {
      // The one exception that a caller's mistake may raise.
      if (!(error instanceof RangeError)) throw error;
    }
  }
  assert.ok(calls.size > 0);
  while (live.length > 0) {
    const handle = live[0] as Handle;
    io.close(handle);
    retire(handle);
  }
  io.close(pipe);
  assert.equal(descriptors(), openBefore, 'no descriptor leaked or was closed twice');
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../base/limits.ts';
import { Arena } from './arena.ts';

const KB = 1024;
const MB = 1024 * KB;
const open: Arena[] = [];
const arenaOf = (bytes: number): Arena => {
  const arena = new Arena(bytes);
  open.push(arena);
  return arena;
};
after(() => {
  for (const arena of open) arena.release();
});

test('blocks never overlap, keep their bytes and are as large as asked; all of it rejoins at the end', () => {
  const arena = arenaOf(8 * MB);
  const size = fc.oneof(
    { arbitrary: fc.integer({ min: 1, max: 5000 }), weight: 4 },
    { arbitrary: fc.integer({ min: 5001, max: 700 * KB }), weight: 1 },
  );
  // A number allocates, a fraction frees the live block at that place.
  const step = fc.oneof(size, fc.double({ min: 0, max: 0.999, noNaN: true }));
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 300 }), (steps) => {
      const live: { at: number; size: number; mark: number }[] = [];
      const release = (index: number): void => {
        const [block] = live.splice(index, 1) as [{ at: number; size: number; mark: number }];
        assert.equal(arena.mem[block.at], block.mark);
        assert.equal(arena.mem[block.at + block.size - 1], block.mark);
        arena.free(block.at);
        assert.throws(() => arena.free(block.at), /not an allocated block/);
      };
      let mark = 0;
      for (const s of steps) {
        if (s < 1) {
          if (live.length > 0) release(Math.floor(s * live.length));
          continue;
        }
        const at = arena.alloc(s);
        if (at === -1) continue;
        const usable = arena.sizeOf(at);
        assert.ok(usable >= s && at >= 0 && at + usable <= arena.bytes);
        for (const other of live) assert.ok(at + usable <= other.at || other.at + other.size <= at, 'overlap');
        mark = (mark + 1) & 0xff;
        arena.mem[at] = mark;
        arena.mem[at + usable - 1] = mark;
        live.push({ at, size: usable, mark });
      }
      assert.equal(
        arena.inUse,
        live.reduce((sum, block) => sum + block.size, 0),
      );
      while (live.length > 0) release(live.length - 1);
      assert.equal(arena.inUse, 0);
      // One empty slab of each of ten classes may stay behind, so a quarter must be there in one piece.
      const whole = arena.alloc(2 * MB);
      assert.notEqual(whole, -1);
      arena.free(whole);
    }),
    { seed: 20_261_121, numRuns: 60 },
  );
});

test('size classes: powers of two from 64 bytes, aligned to themselves up to 64 KB', () => {
  const arena = arenaOf(4 * MB);
  for (const [bytes, size] of [
    [1, 64],
    [64, 64],
    [65, 128],
    [4096, 4096],
    [4097, 8192],
    [32 * KB, 32 * KB],
    [32 * KB + 1, 64 * KB],
    [64 * KB + 1, 128 * KB],
    [130 * KB, 256 * KB],
  ] as const) {
    const at = arena.alloc(bytes);
    assert.equal(arena.sizeOf(at), size, `${bytes}`);
    assert.equal(at % Math.min(size, 64 * KB), 0);
    arena.free(at);
  }
});

test('exhausted, it says -1 and serves again after a free', () => {
  const arena = arenaOf(1 * MB);
  const blocks: number[] = [];
  for (let at = arena.alloc(4096); at !== -1; at = arena.alloc(4096)) blocks.push(at);
  assert.equal(blocks.length, 256);
  assert.equal(arena.alloc(64), -1);
  assert.equal(arena.alloc(64 * KB), -1);
  arena.free(blocks[77] as number);
  assert.equal(arena.alloc(4096), blocks[77]);
  assert.equal(arena.alloc(2 * MB), -1, 'larger than the arena');
  for (const at of blocks) arena.free(at);
  assert.notEqual(arena.alloc(512 * KB), -1, 'empty slabs rejoin, all but one');
});

test('a size that is no power of two is usable to its end', () => {
  const arena = arenaOf(64 * KB * 11);
  const seen = new Set<number>();
  for (let at = arena.alloc(64 * KB); at !== -1; at = arena.alloc(64 * KB)) seen.add(at);
  assert.equal(seen.size, 11);
  for (const at of seen) arena.free(at);
  const eight = arena.alloc(64 * KB * 8);
  const two = arena.alloc(64 * KB * 2);
  assert.notEqual(eight, -1);
  assert.notEqual(two, -1);
  assert.notEqual(arena.alloc(64 * KB), -1);
  assert.equal(arena.alloc(64), -1);
});

test('abuse throws: double free, an address inside a block, a free slab, outside, not a number', () => {
  const arena = arenaOf(1 * MB);
  const small = arena.alloc(256);
  const large = arena.alloc(256 * KB);
  for (const bad of [small + 64, small + 256, large + 64 * KB, large + 8, -64, 1 * MB, Number.NaN, 1e12]) {
    assert.throws(() => arena.free(bad), RangeError, `free(${bad})`);
    assert.throws(() => arena.sizeOf(bad), RangeError, `sizeOf(${bad})`);
  }
  arena.free(large);
  assert.throws(() => arena.free(large), RangeError);
  arena.free(small);
  assert.throws(() => arena.free(small), RangeError);
  for (const bad of [0, -1, Number.NaN]) assert.throws(() => arena.alloc(bad), RangeError);
  for (const bad of [0, 1000, 64 * KB + 1, 2 ** 31]) assert.throws(() => new Arena(bad), RangeError);
});

/** Resident bytes of the mapping at `address`. */
function residentAt(address: number): number {
  const maps = readFileSync('/proc/self/smaps', 'latin1').split('\n');
  const start = maps.findIndex((line) => line.startsWith(`${address.toString(16)}-`));
  assert.notEqual(start, -1);
  const line = maps.slice(start).find((l) => l.startsWith('Rss:')) as string;
  return Number(/(\d+) kB/.exec(line)?.[1]) * KB;
}

test('large memory given back leaves the process, a working set stays', () => {
  const arena = arenaOf(256 * MB);
  const address = arena.base;
  assert.ok(residentAt(address) < 1 * MB, 'nothing is resident before use');
  const blocks = Array.from({ length: 64 }, () => arena.alloc(1 * MB));
  for (const at of blocks) arena.mem.fill(7, at, at + MB);
  assert.ok(residentAt(address) >= 64 * MB);
  for (const at of blocks) arena.free(at);
  assert.ok(arena.idleResident <= LIMITS.ARENA_IDLE_BYTES);
  assert.ok(residentAt(address) <= LIMITS.ARENA_IDLE_BYTES + MB);
  // Taking it again and giving it back keeps the account right.
  const again = Array.from({ length: 64 }, () => arena.alloc(1 * MB));
  assert.equal(arena.idleResident, 0);
  assert.ok(
    again.some((at) => arena.mem[at] === 0),
    'what the system took back is zero',
  );
  for (const at of again) arena.free(at);
  assert.ok(arena.idleResident <= LIMITS.ARENA_IDLE_BYTES);
});

test('the whole reservation of a worker fits', () => {
  const arena = arenaOf(LIMITS.ARENA_BYTES);
  const last = arena.bytes - 1;
  arena.mem[last] = 5;
  assert.equal(arena.mem[last], 5);
});

test('released, it holds no page', () => {
  const arena = new Arena(1 * MB);
  arena.mem.fill(7);
  assert.ok(residentAt(arena.base) >= 1 * MB);
  arena.release();
  assert.ok(residentAt(arena.base) < 1 * MB);
  assert.equal(arena.mem[0], 0);
});

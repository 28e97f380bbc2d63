import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryOf, move, newMemory } from './memory.ts';
import {
  assemble,
  block,
  branchIf,
  type Code,
  give,
  i32,
  Local,
  load8,
  load32,
  loop,
  store32,
  v128,
  when,
} from './wasm.ts';

type Run = (...args: number[]) => number;

function run(body: Code, params: number, memories: readonly Uint8Array[] = [], integers = 0): Run {
  const module = assemble(memories.length, [{ name: 'f', params, integers, vectors: 0, body }]);
  const memory = Object.fromEntries(memories.map((mem, i) => [i, memoryOf(mem)]));
  return new WebAssembly.Instance(module, { memory }).exports['f'] as Run;
}

test('integers of any size are encoded', () => {
  for (const n of [0, 1, 63, 64, 127, 128, 8191, 8192, 0x7fffffff, -1, -64, -65, -128, -129, -0x80000000]) {
    assert.equal(run(i32.of(n), 0)(), n);
  }
});

test('each operation is the one it is called', () => {
  const [a, b] = [new Local(0), new Local(1)];
  const pairs: readonly [Code, Run][] = [
    [i32.eq(a.get, b.get), (x, y) => Number(x === y)],
    [i32.ne(a.get, b.get), (x, y) => Number(x !== y)],
    [i32.lt(a.get, b.get), (x = 0, y = 0) => Number(x < y)],
    [i32.ge(a.get, b.get), (x = 0, y = 0) => Number(x >= y)],
    [i32.add(a.get, b.get), (x = 0, y = 0) => (x + y) | 0],
    [i32.sub(a.get, b.get), (x = 0, y = 0) => (x - y) | 0],
    [i32.mul(a.get, b.get), (x = 0, y = 0) => Math.imul(x, y)],
    [i32.and(a.get, b.get), (x = 0, y = 0) => x & y],
    [i32.or(a.get, b.get), (x = 0, y = 0) => x | y],
    [i32.xor(a.get, b.get), (x = 0, y = 0) => x ^ y],
    [i32.shl(a.get, b.get), (x = 0, y = 0) => x << y],
    [i32.shrU(a.get, b.get), (x = 0, y = 0) => (x >>> y) | 0],
    [i32.eqz(a.get), (x) => Number(x === 0)],
    [i32.ctz(a.get), (x = 0) => (x === 0 ? 32 : 31 - Math.clz32(x & -x))],
  ];
  for (const [code, expected] of pairs) {
    const f = run(code, 2);
    for (const x of [0, 1, -1, 5, 0x80, -0x80000000])
      for (const y of [0, 1, -1, 7]) assert.equal(f(x, y), expected(x, y));
  }
});

test('vectors compare, look up and gather as their names say', () => {
  const bytes = Array.from({ length: 16 }, (_, i) => (i * 17) & 0xff);
  const x = v128.of(bytes);
  const bits = (holds: (byte: number, i: number) => boolean): number =>
    bytes.reduce((sum, byte, i) => sum | (holds(byte, i) ? 1 << i : 0), 0);
  const of = (vector: Code): number => run(v128.bits(vector), 0)();
  assert.equal(
    of(x),
    bits((c) => c >= 0x80),
  );
  assert.equal(
    of(v128.eq(x, v128.all(0x22))),
    bits((c) => c === 0x22),
  );
  assert.equal(
    of(v128.lt(x, v128.all(0x80))),
    bits((c) => c < 0x80),
  );
  assert.equal(
    of(v128.gt(x, v128.all(0x80))),
    bits((c) => c > 0x80),
  );
  assert.equal(
    of(v128.or(x, v128.eq(x, v128.all(0)))),
    bits((c) => c >= 0x80 || c === 0),
  );
  assert.equal(
    of(v128.and(x, v128.lt(x, v128.all(0xa0)))),
    bits((c) => c >= 0x80 && c < 0xa0),
  );
  assert.equal(
    of(v128.andNot(x, v128.lt(x, v128.all(0xa0)))),
    bits((c) => c >= 0xa0),
  );
  // 0x80 where the upper half of the byte is 3 or 8; an index above 15 gives 0.
  const table = v128.of(bytes.map((_, i) => (i === 3 || i === 8 ? 0x80 : 0)));
  assert.equal(
    of(v128.swizzle(table, v128.shrU(x, i32.of(4)))),
    bits((c) => c >> 4 === 3 || c >> 4 === 8),
  );
  assert.equal(
    of(v128.swizzle(v128.all(0x80), x)),
    bits((c) => c < 16),
  );
});

test('memories, locals and branches', () => {
  const [from, to] = [newMemory(100), newMemory(100)];
  from.set([3, 1, 4, 1, 5, 0]);
  const [at, sum, byte] = [new Local(0), new Local(1), new Local(2)];
  // Adds up the bytes from `at` to the first zero, and writes the sum into the other memory.
  const body = [
    ...block(
      loop(
        branchIf(1, i32.eqz(byte.tee(load8(0, at.get)))),
        sum.set(i32.add(sum.get, byte.get)),
        at.set(i32.add(at.get, i32.of(1))),
        branchIf(0, i32.of(1)),
      ),
    ),
    ...store32(1, i32.of(4), sum.get, 4),
    ...when(i32.lt(sum.get, i32.of(10)), give(i32.of(-1))),
    ...load32(1, i32.of(8)),
  ];
  const f = run(body, 1, [from, to], 2);
  assert.equal(f(0), 14);
  assert.equal(to[8], 14);
  assert.equal(f(2), 10);
  assert.equal(f(3), -1);
});

test('memory is as long as asked, zero, and code may read a little behind it', () => {
  for (const bytes of [1, 65_536 - 64, 65_536, 100_000]) {
    const mem = newMemory(bytes);
    assert.equal(mem.length, bytes);
    assert.equal(mem[bytes - 1], 0);
    assert.ok(mem.buffer.byteLength >= bytes + 64);
  }
  assert.throws(() => memoryOf(new Uint8Array(8)), /newMemory/);
});

test('bytes move within memory, whoever made it and however they overlap', () => {
  for (const mem of [newMemory(1000), new Uint8Array(1000)]) {
    for (const n of [0, 1, 7, 8, 9, 16, 100, 300]) {
      for (const [at, start] of [
        [0, 500],
        [500, 0],
        [10, 13],
        [13, 10],
        [20, 20],
      ] as const) {
        for (let i = 0; i < mem.length; i++) mem[i] = i * 7;
        const expected = mem.slice().copyWithin(at, start, start + n);
        assert.equal(move(mem, at, start, start + n), at + n);
        assert.deepEqual(mem.slice(), expected, `${n} from ${start} to ${at}`);
      }
    }
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../base/limits.ts';
import { Cells } from './cells.ts';
import { addMethods, Exposition } from './exposition.ts';
import { type Call, GrpcMethods, METHOD_TABLE_BYTES } from './grpc-methods.ts';
import {
  BLOCK_CELLS,
  CALLS,
  CELL,
  callsCell,
  datagramsCell,
  FIRST_FREE_CELL,
  GRPC_CODES,
  markCell,
  ROUTE,
  ROUTE_ROWS,
  rowCell,
} from './layout.ts';

/** A call that a backend answered with `grpcStatus`; its path lies somewhere within its record. */
function call(path: string | Uint8Array, grpcStatus = 0, more: Partial<Call> = {}): Call {
  const bytes = Buffer.concat([Buffer.from('host/x'), Buffer.from(path), Buffer.from('/agent')]);
  return { bytes, pathStart: 6, pathEnd: bytes.length - 6, grpcStatus, flags: '', upstreamUs: 10, ...more };
}

/** Workers over one table, and what the controller prints of them. */
class Site {
  readonly table = new ArrayBuffer(METHOD_TABLE_BYTES);
  readonly slots: Cells[];
  readonly workers: GrpcMethods[];

  constructor(slots = 1) {
    this.slots = Array.from({ length: slots }, () => Cells.local());
    this.workers = this.slots.map(() => new GrpcMethods(this.table));
  }

  count(one: Call, slot = 0, us = 1_000): void {
    (this.workers[slot] as GrpcMethods).count(this.slots[slot] as Cells, one, us);
  }

  /** The worker of a slot dies, and another takes its place. */
  replace(slot: number): void {
    this.workers[slot] = new GrpcMethods(this.table);
  }

  text(): string {
    const out = new Exposition();
    addMethods(out, new GrpcMethods(this.table), this.slots);
    return out.text();
  }

  /** `service/method code` to how many. */
  counts(): Record<string, number> {
    const found = this.text().matchAll(
      /^rauta_grpc_method_requests_total\{service="(.*)",method="(.*)",grpc_status="(\d+)"\} (\d+)$/gm,
    );
    return Object.fromEntries([...found].map(([, service, method, code, n]) => [`${service}/${method} ${code}`, +n!]));
  }
}

test('calls are counted by method and code, with their time', () => {
  const site = new Site();
  site.count(call('/shop.Cart/Add'), 0, 1_500);
  site.count(call('/shop.Cart/Add'), 0, 500);
  site.count(call('/shop.Cart/Add', 5), 0, 1);
  site.count(call('/shop.Cart/Remove', 13), 0, 7);
  assert.equal(
    site.text().replaceAll(/^#.*\n/gm, ''),
    `rauta_grpc_method_requests_total{service="shop.Cart",method="Add",grpc_status="0"} 2
rauta_grpc_method_requests_total{service="shop.Cart",method="Add",grpc_status="5"} 1
rauta_grpc_method_requests_total{service="shop.Cart",method="Remove",grpc_status="13"} 1
rauta_grpc_method_seconds_total{service="shop.Cart",method="Add"} 0.002001
rauta_grpc_method_seconds_total{service="shop.Cart",method="Remove"} 0.000007
`,
  );
});

test('a method has a name once a backend knew it, and then whoever ends its calls', () => {
  const site = new Site();
  const path = '/shop.Cart/Add';
  for (const code of [7, 8, 12, 14, 16]) site.count(call(path, code));
  site.count(call(path, 14, { upstreamUs: -1, flags: 'UH' }));
  site.count(call(path, 0, { upstreamUs: -1 }), 0);
  site.count(call(path, 4, { flags: 'UT' }));
  assert.deepEqual(site.counts(), {
    ...{ 'other/other 0': 1, 'other/other 4': 1, 'other/other 7': 1, 'other/other 8': 1, 'other/other 12': 1 },
    ...{ 'other/other 14': 2, 'other/other 16': 1 },
  });
  const before = site.counts();
  site.count(call(path));
  site.count(call(path, 12));
  site.count(call(path, 14, { upstreamUs: -1, flags: 'UH' }));
  assert.deepEqual(site.counts(), { ...before, 'shop.Cart/Add 0': 1, 'shop.Cart/Add 12': 1, 'shop.Cart/Add 14': 1 });
});

test('names that clients make up are one series, and those that a backend says yes to are bounded', () => {
  const site = new Site(2);
  for (let i = 0; i < 10_000; i++) site.count(call(`/made.Up/M${i}`, 12), i & 1);
  assert.deepEqual(site.counts(), { 'other/other 12': 10_000 });
  for (let i = 0; i < 10_000; i++) site.count(call(`/made.Up/M${i}`), i & 1);
  const counts = site.counts();
  assert.equal(Object.keys(counts).length, LIMITS.GRPC_METHODS + 2);
  assert.equal(counts['made.Up/M0 0'], 1);
  assert.equal(counts['other/other 0'], 10_000 - LIMITS.GRPC_METHODS);
  // Who had a name keeps it.
  site.count(call('/made.Up/M0'), 1);
  assert.equal(site.counts()['made.Up/M0 0'], 2);
});

test('a name that no label can be, or that is none of a method, is other', () => {
  const none = [
    ...['', '/', '//', '/a', '/a/', '//b', '/a/b/c', 'a/b', '*', '/a//b', '/other/other', '/a b/c', '/a/b\n', '/a/"'],
    ...['/a/\\', '/%41/b', '/a/b?c', '/a/é', '/a/b{x="1"}', `/a/${'b'.repeat(LIMITS.GRPC_METHOD_BYTES - 2)}`],
    Buffer.from([0x2f, 0x61, 0x2f, 0xff, 0xfe]),
    Buffer.from([0x2f, 0x61, 0x2f, 0x00]),
  ];
  const site = new Site();
  for (const path of none) site.count(call(path));
  assert.deepEqual(site.counts(), { 'other/other 0': none.length });
  const longest = `/a/${'b'.repeat(LIMITS.GRPC_METHOD_BYTES - 3)}`;
  for (const path of ['/other/x', '/a/b', '/A_1.b-c/D', longest]) site.count(call(path));
  assert.deepEqual(Object.keys(site.counts()).sort(), [
    ...['A_1.b-c/D 0', 'a/b 0', `${longest.slice(1)} 0`, 'other/other 0', 'other/x 0'],
  ]);
});

test('a row means the same to all workers, whoever named it', () => {
  const site = new Site(3);
  site.count(call('/a.S/One'), 0);
  site.count(call('/a.S/Two'), 1);
  // Of a name that another worker gave, no backend need tell this one.
  site.count(call('/a.S/One', 14, { upstreamUs: -1, flags: 'UF' }), 2);
  site.count(call('/a.S/Two', 12), 0);
  site.replace(0);
  site.count(call('/a.S/One'), 0);
  assert.deepEqual(site.counts(), { 'a.S/One 0': 2, 'a.S/One 14': 1, 'a.S/Two 0': 1, 'a.S/Two 12': 1 });
  assert.equal(new GrpcMethods(site.table).named().length, 2);
});

test('a worker that dies while it names a row costs that row; one name in two rows is one series', () => {
  const site = new Site(2);
  const words = new Int32Array(site.table);
  // Taken, and never named.
  words[0] = 1;
  site.count(call('/a.S/One'), 0);
  assert.deepEqual(
    site.workers[0]?.named().map(({ row, method }) => [row, method]),
    [[1, 'One']],
  );
  // As if both had named it at once.
  const bytes = new Uint8Array(site.table);
  bytes.copyWithin(512, 256, 512);
  site.workers[1]?.count(site.slots[1] as Cells, call('/a.S/One'), 1);
  site.slots[1]?.add(callsCell(2) + 5, 3);
  assert.deepEqual(site.counts(), { 'a.S/One 0': 2, 'a.S/One 5': 3 });
});

test('a table that somebody filled with anything harms neither reader nor writer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 512, maxLength: 2048 }), fc.array(fc.string()), (junk, paths) => {
      const site = new Site();
      new Uint8Array(site.table).set(junk);
      const words = new Int32Array(site.table);
      for (let row = 0; row < LIMITS.GRPC_METHODS; row++) words[row * 64] = row % 3;
      for (const path of ['/a.S/One', ...paths.map((text) => `/a/${text}`)]) site.count(call(path));
      for (const key of Object.keys(site.counts())) assert.match(key, /^[\w.-]+\/[\w.-]+ \d+$/);
      for (const line of site.text().split('\n')) assert.match(line, /^$|^#|^\w+\{(\w+="[\w.-]+",?)+\} [\d.e-]+$/);
    }),
    { seed: 41, numRuns: 300 },
  );
});

test('whatever workers count and whenever they die, nothing goes backwards and every call is somewhere', () => {
  const step = fc.record({
    slot: fc.nat(2),
    method: fc.nat(LIMITS.GRPC_METHODS + 20),
    code: fc.nat(GRPC_CODES - 1),
    own: fc.boolean(),
    dies: fc.nat(30).map((n) => n === 0),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 400 }), (steps) => {
      const site = new Site(3);
      let before: Record<string, number> = {};
      let calls = 0;
      for (const { slot, method, code, own, dies } of steps) {
        if (dies) site.replace(slot);
        site.count(call(`/s.S/M${method}`, code, own ? {} : { flags: 'UF', upstreamUs: -1 }), slot);
        calls++;
        if (calls % 10 !== 0) continue;
        const now = site.counts();
        for (const [key, n] of Object.entries(before)) assert.ok((now[key] ?? 0) >= n, key);
        before = now;
        assert.equal(
          Object.values(now).reduce((sum, n) => sum + n, 0),
          calls,
        );
        assert.ok(new Set(Object.keys(now).map((key) => key.split(' ')[0])).size <= LIMITS.GRPC_METHODS + 1);
      }
    }),
    { seed: 41, numRuns: 60 },
  );
});

test('what is counted of methods lies where nothing else does, each in one segment', () => {
  const taken = Math.max(...Object.values(CELL), datagramsCell('answer', 'failed'));
  assert.ok(callsCell(-1) > taken && callsCell(-1) + CALLS.SIZE <= FIRST_FREE_CELL);
  const rows = Array.from({ length: LIMITS.GRPC_METHODS }, (_, row) => callsCell(row));
  const last = BLOCK_CELLS - ROUTE.SIZE;
  assert.ok(callsCell(0) > markCell(last) && callsCell(0) >= rowCell(last, ROUTE_ROWS - 1) + ROUTE.SIZE);
  rows.forEach((first, i) => {
    assert.ok(i === 0 || first >= (rows[i - 1] as number) + CALLS.SIZE);
    const segment = Math.floor(first / LIMITS.CELLS_PER_SEGMENT);
    assert.equal(Math.floor((first + CALLS.SIZE - 1) / LIMITS.CELLS_PER_SEGMENT), segment);
    assert.ok(segment < LIMITS.SEGMENTS);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FAULTS } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import {
  BACKEND_ERROR,
  BLOCK_CELLS,
  CELL,
  CODES,
  ENDPOINT,
  FAULT_CELLS,
  FIRST_FREE_CELL,
  GAUGES,
  LIMIT_CELLS,
  LIMITED,
  METHOD,
  METHODS,
  markCell,
  NO_ROUTE_BLOCK,
  OTHER_ENDPOINT_BLOCK,
  OTHER_ROUTE_BLOCK,
  ROUTE,
  requestsOffset,
  rowCell,
} from './layout.ts';

test('every cell of its own is one, and each limit and fault has one', () => {
  const cells = [...Object.values(CELL), ...LIMIT_CELLS.values(), ...FAULT_CELLS.values()];
  assert.equal(new Set(cells).size, cells.length);
  assert.ok(Math.max(...cells) < NO_ROUTE_BLOCK);
  assert.equal(LIMIT_CELLS.size, LIMITED.length);
  assert.equal(FAULT_CELLS.size, Object.keys(FAULTS).length);
  assert.ok(CELL.DRAINING < GAUGES && CELL.CONNECTIONS_TOTAL >= GAUGES);
});

test('a method, an error of a backend and its label are one by their integer', () => {
  for (const [name, id] of Object.entries(METHOD)) assert.equal(METHODS[id], name === 'OTHER' ? 'other' : name);
  assert.equal(METHODS.length, new Set(Object.values(METHOD)).size);
  assert.ok(ENDPOINT.ERRORS + Math.max(...Object.values(BACKEND_ERROR)) < ENDPOINT.SIZE);
});

test("each pair of method and code has a place of its own in the table of a route's numbers", () => {
  const offsets = METHODS.flatMap((_, method) => CODES.map((code) => requestsOffset(method, code)));
  assert.equal(new Set(offsets).size, METHODS.length * CODES.length);
  for (const offset of offsets) assert.ok(offset > ROUTE.RESPONSE_BYTES && offset < ROUTE.COUNTS);
  assert.ok(offsets.filter((offset) => offset < ROUTE.SIZE).length <= ROUTE.SIZE - ROUTE.USUAL);
});

test('blocks, marks and rows share no cell, lie in one segment each and within the memory', () => {
  const shared = [
    [NO_ROUTE_BLOCK, ROUTE.SIZE],
    [OTHER_ROUTE_BLOCK, ROUTE.SIZE],
    [OTHER_ENDPOINT_BLOCK, ENDPOINT.SIZE],
    [FIRST_FREE_CELL, ROUTE.SIZE],
  ] as const;
  shared.reduce((end, [first, size]) => {
    assert.ok(first >= end);
    return first + size;
  }, 0);
  const last = BLOCK_CELLS / ROUTE.SIZE - 1;
  const place = fc.record({
    block: fc.oneof(fc.constant(last), fc.integer({ min: NO_ROUTE_BLOCK / ROUTE.SIZE, max: last })),
    method: fc.nat(METHOD.OTHER),
  });
  const ranges = (p: { block: number; method: number }): [first: number, size: number][] => {
    const block = p.block * ROUTE.SIZE;
    return [
      [block, ROUTE.SIZE],
      [markCell(block), 1],
      [rowCell(block, p.method), CODES.length],
    ];
  };
  fc.assert(
    fc.property(place, place, (a, b) => {
      for (const [first, size] of ranges(a)) {
        const segment = Math.floor(first / LIMITS.CELLS_PER_SEGMENT);
        assert.equal(Math.floor((first + size - 1) / LIMITS.CELLS_PER_SEGMENT), segment);
        assert.ok(segment < LIMITS.SEGMENTS);
      }
      const [one, other] = [ranges(a), ranges(b)];
      for (const [i, [first, size]] of one.entries())
        for (const [j, [start, length]] of other.entries()) {
          const same = i === j && a.block === b.block && (i < 2 || a.method === b.method);
          assert.equal(first < start + length && start < first + size, same);
        }
    }),
    { seed: 3, numRuns: 2000 },
  );
});

test('ten thousand routes with their usual requests are 2.6 MB of blocks and 80 KB of marks', () => {
  assert.ok(10_000 * ROUTE.SIZE * 8 < 2.6e6);
  assert.equal(markCell(FIRST_FREE_CELL + 10_000 * ROUTE.SIZE) - markCell(FIRST_FREE_CELL), 10_000);
});

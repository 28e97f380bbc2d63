import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addBlock, COUNTS, type Counted, countRequest, countSession } from './blocks.ts';
import { Cells } from './cells.ts';
import {
  BLOCK_CELLS,
  BLOCK_USED,
  CODES,
  ENDPOINT,
  FIRST_FREE_CELL,
  GRPC_CODES,
  grpcOffset,
  METHOD,
  markCell,
  NO_ROUTE_BLOCK,
  OTHER_ROUTE_BLOCK,
  ROUTE,
  requestsOffset,
  SESSION_ENDS,
  SESSION_PROTOCOLS,
  sessionsOffset,
} from './layout.ts';

const LAST = BLOCK_CELLS - ROUTE.SIZE;
const blocks = fc.oneof(
  fc.constantFrom(NO_ROUTE_BLOCK, OTHER_ROUTE_BLOCK, FIRST_FREE_CELL, LAST),
  fc.nat(40).map((i) => FIRST_FREE_CELL + i * ROUTE.SIZE),
);
const request = fc.record({
  block: blocks,
  method: fc.nat(METHOD.OTHER),
  status: fc.oneof(fc.constantFrom(...CODES), fc.nat(999)),
  us: fc.nat(40_000_000),
  bytes: fc.nat(1 << 20),
});

function counted(method: number, status: number, bytes = 0): Counted {
  return { method, status, requestBytes: bytes, responseBytes: 2 * bytes, grpcStatus: -1 };
}

test('what was counted for a route is what is read for it, usual or not, and for no other', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
      const cells = Cells.local();
      const model = new Map<number, Float64Array>();
      for (const { block, method, status, us, bytes } of requests) {
        countRequest(cells, block, counted(method, status, bytes), us);
        const table = model.get(block) ?? new Float64Array(COUNTS.route);
        model.set(block, table);
        const code = CODES.find((c) => c === status) ?? 0;
        table[requestsOffset(method, code)]! += 1;
        table[ROUTE.DURATION_SUM_US]! += us;
        table[ROUTE.REQUEST_BYTES]! += bytes;
        table[ROUTE.RESPONSE_BYTES]! += 2 * bytes;
      }
      for (const [block, expected] of model) {
        const read = new Float64Array(COUNTS.route);
        addBlock(cells, 'route', block, read);
        const durations = read.subarray(ROUTE.DURATION, ROUTE.DURATION_SUM_US);
        assert.equal(
          durations.reduce((a, b) => a + b),
          requests.filter((r) => r.block === block).length,
        );
        durations.fill(0);
        assert.deepEqual(read, expected);
      }
    }),
    { seed: 5, numRuns: 200 },
  );
});

test('sessions of a route are counted apart from its requests, each end of each protocol by itself', () => {
  const cells = Cells.local();
  const expected = new Float64Array(COUNTS.route);
  for (const protocol of SESSION_PROTOCOLS.keys()) {
    for (const end of SESSION_ENDS) {
      const offset = sessionsOffset(protocol, end);
      assert.equal(expected[offset], 0);
      for (let n = 0; n <= offset % 3; n++) countSession(cells, FIRST_FREE_CELL, protocol, end);
      expected[offset] = 1 + (offset % 3);
    }
  }
  const read = new Float64Array(COUNTS.route);
  addBlock(cells, 'route', FIRST_FREE_CELL, read);
  assert.deepEqual(read, expected);
});

test('calls of gRPC are counted by their code, besides what they are as requests', () => {
  const cells = Cells.local();
  const expected = new Float64Array(COUNTS.route);
  for (let grpcStatus = 0; grpcStatus < GRPC_CODES; grpcStatus++) {
    assert.equal(expected[grpcOffset(grpcStatus)], 0);
    for (let n = 0; n <= grpcStatus; n++)
      countRequest(cells, FIRST_FREE_CELL, { ...counted(METHOD.POST, 200), grpcStatus }, 0);
    expected[grpcOffset(grpcStatus)] = grpcStatus + 1;
  }
  const calls = (GRPC_CODES * (GRPC_CODES + 1)) / 2;
  expected[requestsOffset(METHOD.POST, 200)] = calls;
  expected[ROUTE.DURATION] = calls;
  const read = new Float64Array(COUNTS.route);
  addBlock(cells, 'route', FIRST_FREE_CELL, read);
  assert.deepEqual(read, expected);
});

test('an unused block is not read, nor are the rows of methods that counted nothing unusual', () => {
  const read: number[] = [];
  class Watched extends Cells {
    override addTo(id: number, n: number, out: Float64Array, at: number): void {
      read.push(n);
      super.addTo(id, n, out, at);
    }
  }
  const cells = new Watched(() => new Float64Array(131_072));
  const out = new Float64Array(COUNTS.route);
  addBlock(cells, 'route', FIRST_FREE_CELL, out);
  assert.deepEqual(read, []);
  countRequest(cells, FIRST_FREE_CELL, counted(METHOD.GET, 200), 1);
  assert.equal(cells.get(markCell(FIRST_FREE_CELL)), BLOCK_USED);
  addBlock(cells, 'route', FIRST_FREE_CELL, out);
  assert.deepEqual(read.splice(0), [ROUTE.SIZE]);
  countRequest(cells, FIRST_FREE_CELL, counted(METHOD.PATCH, 409), 1);
  addBlock(cells, 'route', FIRST_FREE_CELL, out);
  assert.deepEqual(read.splice(0), [ROUTE.SIZE, CODES.length]);
  addBlock(cells, 'route', FIRST_FREE_CELL + ROUTE.SIZE, out);
  assert.deepEqual(read, []);
});

test('a mark is set before the first count: a worker that dies between leaves nothing that nobody looks at', () => {
  const order: number[] = [];
  class Watched extends Cells {
    override set(id: number, value: number): void {
      order.push(this.get(FIRST_FREE_CELL + requestsOffset(METHOD.GET, 200)));
      super.set(id, value);
    }
  }
  const cells = new Watched(() => new Float64Array(131_072));
  countRequest(cells, FIRST_FREE_CELL, counted(METHOD.GET, 200), 1);
  countRequest(cells, FIRST_FREE_CELL, counted(METHOD.GET, 200), 1);
  assert.deepEqual(order, [0]);
});

test('an endpoint is its block', () => {
  const cells = Cells.local();
  const block = BLOCK_CELLS - ENDPOINT.SIZE;
  const out = new Float64Array(COUNTS.endpoint);
  assert.ok(!cells.isUsed(block));
  cells.mark(block, BLOCK_USED);
  cells.add(block + ENDPOINT.REQUESTS, 3);
  assert.ok(cells.isUsed(block));
  addBlock(cells, 'endpoint', block, out);
  assert.equal(out[ENDPOINT.REQUESTS], 3);
});

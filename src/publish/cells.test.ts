import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addBlock, COUNTS, type Counted, countRequest } from '../telemetry/blocks.ts';
import { Cells } from '../telemetry/cells.ts';
import {
  BLOCK_CELLS,
  BLOCK_USED,
  durationOffset,
  ENDPOINT,
  FIRST_FREE_CELL,
  METHOD,
  OTHER_ENDPOINT_BLOCK,
  OTHER_ROUTE_BLOCK,
  ROUTE,
  requestsOffset,
} from '../telemetry/layout.ts';
import { CellBook, type Read } from './cells.ts';

const limits = { route: 2, endpoint: 2 };
const GET_200 = requestsOffset(METHOD.GET, 200);
const NONE: Read = () => {};

function counted(method: number, status: number, bytes = 0): Counted {
  return { method, status, requestBytes: bytes, responseBytes: 2 * bytes, grpcStatus: -1 };
}

function reading(slots: readonly Cells[]): Read {
  return (kind, base, out) => {
    for (const cells of slots) addBlock(cells, kind, base, out);
  };
}

test('what was released with a revision that is held back is not used again before the next is served', () => {
  const book = new CellBook(NONE, limits);
  const a = book.assign('route', 'a');
  book.release('route', 'a', 2);
  book.acked(2);
  // Revision 2 is held back: workers serve 1 again, and count for `a` where they did.
  book.acked(1);
  assert.notEqual(book.assign('route', 'b'), a);
  book.acked(3);
  assert.equal(book.assign('route', 'c'), a);
});

test('a block is assigned once and used again only after all acked its release', () => {
  const cells = Cells.local();
  const book = new CellBook(reading([cells]), limits);
  const count = (block: number, times: number): void => {
    for (let i = 0; i < times; i++) countRequest(cells, block, counted(METHOD.GET, 200), 7);
  };
  const a = book.assign('route', 'a');
  assert.equal(a, FIRST_FREE_CELL);
  assert.equal(book.assign('route', 'a'), a);
  const b = book.assign('route', 'b');
  assert.equal(b, a + ROUTE.SIZE);
  count(a, 5);
  book.release('route', 'a', 3);
  assert.equal(book.other('route')[GET_200], 5);
  book.acked(2);
  assert.notEqual(book.assign('route', 'c'), a);
  book.acked(3);
  assert.equal(book.assign('route', 'd'), a);
  assert.equal(book.counts('route', 'd')[GET_200], 0);
  assert.equal(book.other('route')[GET_200], 5);
  count(a, 2);
  assert.equal(book.counts('route', 'd')[GET_200], 2);
  assert.equal(book.counts('route', 'd')[ROUTE.DURATION_SUM_US], 14);
});

test('when routes and endpoints have met, who comes late shares a block, and a controller that comes back knows', () => {
  const book = new CellBook(NONE, limits);
  const routes = (BLOCK_CELLS - FIRST_FREE_CELL) / ROUTE.SIZE;
  for (let i = 0; i < routes - 1; i++) book.assign('route', `r${i}`);
  assert.equal(book.assign('endpoint', 'a'), BLOCK_CELLS - ENDPOINT.SIZE);
  assert.equal(book.assign('route', 'late'), OTHER_ROUTE_BLOCK);
  const next = new CellBook(NONE, limits);
  next.restore([...book.changes()] as [string, string][], 1);
  assert.equal(next.assign('route', 'late'), OTHER_ROUTE_BLOCK);
  assert.equal(next.assign('endpoint', 'b'), BLOCK_CELLS - 2 * ENDPOINT.SIZE);
  assert.equal(next.assign('endpoint', 'late'), OTHER_ENDPOINT_BLOCK);
});

test('what is in flight at an endpoint is no part of what its block counted before', () => {
  const cells = Cells.local();
  const book = new CellBook(reading([cells]), limits);
  const block = book.assign('endpoint', 'a');
  cells.mark(block, BLOCK_USED);
  cells.add(block + ENDPOINT.REQUESTS, 3);
  cells.set(block + ENDPOINT.CONNECTIONS, 2);
  book.release('endpoint', 'a', 1);
  book.acked(1);
  assert.equal(book.assign('endpoint', 'b'), block);
  cells.set(block + ENDPOINT.CONNECTIONS, 1);
  const counts = book.counts('endpoint', 'b');
  assert.deepEqual([counts[ENDPOINT.REQUESTS], counts[ENDPOINT.CONNECTIONS]], [0, 1]);
});

test('after a restart of the controller a released block waits for the same ack', () => {
  const book = new CellBook(NONE, limits);
  const a = book.assign('route', 'a');
  book.release('route', 'a', 3);
  const next = new CellBook(NONE, limits);
  next.restore([...book.changes()].filter(([, value]) => value !== null) as [string, string][], 3);
  next.acked(2);
  assert.notEqual(next.assign('route', 'b'), a);
  next.acked(3);
  assert.equal(next.assign('route', 'c'), a);
});

interface Step {
  readonly do: 'count' | 'add' | 'remove' | 'ack' | 'restart';
  readonly slot: number;
  readonly route: number;
  readonly method: number;
  readonly code: 0 | 200 | 404 | 409;
}

/**
 * Two workers, six routes, a controller that is replaced: what is read is what was counted, and nothing becomes less.
 */
class World {
  readonly #slots = [Cells.local(), Cells.local()];
  #book = new CellBook(reading(this.#slots), limits);
  /** The block each route was last told. */
  readonly #told = new Map<string, number>();
  readonly #saved = new Map<string, string>();
  readonly #total = new Float64Array(COUNTS.route);
  readonly #before = new Map<string, Float64Array>();
  #revision = 1;

  step(s: Step): void {
    const route = `r${s.route}`;
    if (s.do === 'count') {
      const block = this.#told.get(route) ?? OTHER_ROUTE_BLOCK;
      countRequest(this.#slots[s.slot] as Cells, block, counted(s.method, s.code || 599), 1000);
      this.#total[requestsOffset(s.method, s.code)]! += 1;
      this.#total[durationOffset(1000)]! += 1;
      this.#total[ROUTE.DURATION_SUM_US]! += 1000;
    } else if (s.do === 'add') this.#told.set(route, this.#book.assign('route', route));
    else if (s.do === 'remove') {
      this.#book.release('route', route, ++this.#revision);
      this.#told.delete(route);
      this.#before.delete(route);
    } else if (s.do === 'ack') this.#book.acked(this.#revision);
    else {
      this.#book = new CellBook(reading(this.#slots), limits);
      this.#book.restore(this.#saved, this.#revision);
    }
    for (const [key, value] of this.#book.changes()) {
      if (value === null) this.#saved.delete(key);
      else this.#saved.set(key, value);
    }
  }

  check(): void {
    const sum = this.#book.other('route');
    this.#notLess('other', sum.slice());
    for (const { owner, exposed } of this.#book.owners('route')) {
      if (!exposed) continue;
      const counts = this.#book.counts('route', owner);
      this.#notLess(owner, counts);
      counts.forEach((n, i) => {
        sum[i]! += n;
      });
    }
    assert.deepEqual(sum, this.#total);
  }

  #notLess(owner: string, counts: Float64Array): void {
    const before = this.#before.get(owner);
    counts.forEach((n, i) => {
      assert.ok(n >= (before?.[i] ?? 0), `${owner} went backwards at ${i}`);
    });
    this.#before.set(owner, counts);
  }
}

test('no counter ever goes backwards, and nothing is lost, over any order of changes and restarts', () => {
  const step: fc.Arbitrary<Step> = fc.record({
    do: fc.constantFrom('count', 'count', 'add', 'add', 'remove', 'ack', 'restart'),
    slot: fc.nat(1),
    route: fc.nat(5),
    method: fc.constantFrom(METHOD.GET, METHOD.GET, METHOD.POST, METHOD.OTHER),
    code: fc.constantFrom(200, 200, 404, 409, 0),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const world = new World();
      for (const s of steps) {
        world.step(s);
        world.check();
      }
    }),
    { seed: 11, numRuns: 300 },
  );
});

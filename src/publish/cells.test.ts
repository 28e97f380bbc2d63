import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cells } from '../telemetry/cells.ts';
import { FIRST_FREE_CELL, OTHER_ROUTE_BLOCK, ROUTE } from '../telemetry/layout.ts';
import { CellBook } from './cells.ts';

const limits = { route: 2, endpoint: 2 };

test('a block is assigned once and used again only after all acked its release', () => {
  const cells = Cells.local();
  const book = new CellBook((c) => cells.get(c), limits);
  const a = book.assign('route', 'a');
  assert.equal(a, FIRST_FREE_CELL);
  assert.equal(book.assign('route', 'a'), a);
  const b = book.assign('route', 'b');
  assert.equal(b, a + ROUTE.SIZE);
  cells.add(a, 5);
  book.release('route', 'a', 3);
  assert.equal(book.other('route', 0), 5);
  book.acked(2);
  assert.notEqual(book.assign('route', 'c'), a);
  book.acked(3);
  assert.equal(book.assign('route', 'd'), a);
  assert.equal(book.value('route', 'd', 0), 0);
  assert.equal(book.other('route', 0), 5);
  cells.add(a, 2);
  assert.equal(book.value('route', 'd', 0), 2);
});

test('no counter ever goes backwards, and nothing is lost, over any order of changes and restarts', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('count' as const), route: fc.nat(5), n: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ do: fc.constant('add' as const), route: fc.nat(5) }),
    fc.record({ do: fc.constant('remove' as const), route: fc.nat(5) }),
    fc.record({ do: fc.constant('ack' as const) }),
    fc.record({ do: fc.constant('restart' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const cells = Cells.local();
      let book = new CellBook((c) => cells.get(c), limits);
      const owned = new Map<string, number>();
      let revision = 1;
      let total = 0;
      const saved = new Map<string, string>();
      let otherBefore = 0;
      const before = new Map<string, number>();
      for (const s of steps) {
        if (s.do === 'count') {
          cells.add(owned.get(`r${s.route}`) ?? OTHER_ROUTE_BLOCK, s.n);
          total += s.n;
        } else if (s.do === 'add') owned.set(`r${s.route}`, book.assign('route', `r${s.route}`));
        else if (s.do === 'remove') {
          book.release('route', `r${s.route}`, ++revision);
          owned.delete(`r${s.route}`);
          before.delete(`r${s.route}`);
        } else if (s.do === 'ack') book.acked(revision);
        else {
          book = new CellBook((c) => cells.get(c), limits);
          book.restore(saved);
        }
        for (const [key, value] of book.changes()) {
          if (value === null) saved.delete(key);
          else saved.set(key, value);
        }
        let sum = book.other('route', 0);
        assert.ok(sum >= otherBefore, 'other went backwards');
        otherBefore = sum;
        for (const { owner, exposed } of book.owners('route')) {
          if (!exposed) continue;
          const n = book.value('route', owner, 0);
          assert.ok(n >= (before.get(owner) ?? 0), `${owner} went backwards`);
          before.set(owner, n);
          sum += n;
        }
        assert.equal(sum, total);
      }
    }),
    { seed: 11, numRuns: 300 },
  );
});

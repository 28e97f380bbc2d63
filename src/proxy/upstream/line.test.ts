import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Waiter, WaitingLine } from './line.ts';

/** What of a waiter a line looks at. */
function waiter(name: string, client: object): Waiter & { readonly name: string } {
  const one = { name, client, waiting: false, queue: null, nextWaiting: null, previousWaiting: null };
  return one as unknown as Waiter & { readonly name: string };
}

const ANYBODY = (): boolean => true;

/** In which order those who wait are served. */
function served(line: WaitingLine, manyToo = true): string {
  let order = '';
  for (let one = line.next(ANYBODY, manyToo); one !== null; one = line.next(ANYBODY, manyToo)) {
    order += (one as Waiter & { readonly name: string }).name;
    line.remove(one, true);
  }
  return order;
}

test('clients with few requests come in order; with those of clients with many, in turns', () => {
  const line = new WaitingLine();
  const [big, other] = [{}, {}];
  for (const name of 'ABC') line.add(waiter(name, big), true);
  line.add(waiter('X', other), true);
  for (const name of 'abc') line.add(waiter(name, {}), false);
  assert.equal(line.size, 7);
  assert.equal(served(line), 'aAbXcBC');
  assert.equal(line.size, 0);
});

test('where there is no room for clients with many, the others are served, and these keep their place', () => {
  const line = new WaitingLine();
  const big = {};
  line.add(waiter('A', big), true);
  for (const name of 'ab') line.add(waiter(name, {}), false);
  line.add(waiter('B', big), true);
  assert.equal(served(line, false), 'ab');
  assert.deepEqual([line.few, line.many], [0, 2]);
  assert.equal(served(line), 'AB');
});

test('who gives up leaves the others where they are', () => {
  const line = new WaitingLine();
  const big = {};
  const many = [...'ABC'].map((name) => waiter(name, big));
  const few = [...'abc'].map((name) => waiter(name, {}));
  for (const one of many) line.add(one, true);
  for (const one of few) line.add(one, false);
  line.remove(many[0] as Waiter, false);
  line.remove(few[1] as Waiter, false);
  assert.equal(served(line), 'aBcC');
  assert.ok([...many, ...few].every((one) => !one.waiting && one.queue === null));
});

test('who cannot use what there is lets the next one have it', () => {
  const line = new WaitingLine();
  const [a, b, c] = [waiter('a', {}), waiter('b', {}), waiter('C', {})];
  line.add(a, false);
  line.add(b, false);
  line.add(c, true);
  assert.equal(
    line.next((one) => one !== a, true),
    b,
  );
  assert.equal(
    line.next((one) => one === c, true),
    c,
  );
  assert.equal(
    line.next((one) => one === c, false),
    null,
  );
});

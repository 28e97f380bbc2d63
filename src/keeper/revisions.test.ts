import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import type { SocketWish } from '../stream/messages.ts';
import { type Change, Revisions } from './revisions.ts';

const change = (entries: Record<string, string | null>): Change =>
  new Map(Object.entries(entries).map(([key, value]) => [key, value === null ? null : Buffer.from(value)]));

function content(r: Revisions): Record<string, string> {
  return Object.fromEntries([...r.full().change].map(([key, value]) => [key, String(value)]));
}

/** Two revisions: the second one changes, removes and adds. */
function two(): Revisions {
  const r = new Revisions();
  r.commit({ revision: 1, change: change({ a: '1', b: '1' }), sockets: null }, 0);
  r.commit({ revision: 2, change: change({ a: '2', b: null, c: '2' }), sockets: null }, 10);
  return r;
}

test('two deaths after a revision bring the one before back, and with it its number', () => {
  const r = two();
  assert.equal(r.died(11, [2]), null);
  const back = r.died(12, [1, 2]);
  assert.equal(back?.revision, 1);
  assert.equal(back?.base, 2);
  assert.deepEqual(content(r), { a: '1', b: '1' });
  assert.equal(r.revision, 1);
  assert.equal(r.wanted, 2);
  assert.deepEqual([r.held?.revision, r.held?.cause], [2, 'deaths']);
});

test('a revision that is back is not blamed for deaths of the one that is held, nor for those of who never had it', () => {
  const r = two();
  r.commit({ revision: 3, change: change({ d: '3' }), sockets: null }, 20);
  for (const atHand of [[0], [0, 2], [2]])
    for (let i = 0; i < 3; i++) assert.equal(r.died(21, atHand), null, `${atHand}`);
  assert.equal(r.died(21, [3]), null);
  assert.equal(r.died(21, [2, 3])?.revision, 2);
  // Those that died in the same moment: they served what is held, were making it, or had not heard of the way back.
  for (const atHand of [[3], [2, 3], [3, 2]])
    for (let i = 0; i < 3; i++) assert.equal(r.died(22, atHand), null, `${atHand}`);
  assert.equal(r.died(23, [2]), null);
  assert.equal(r.died(23, [0, 2])?.revision, 1, 'its own count');
});

test('an old revision is blamed for nothing, and the first one cannot be undone', () => {
  const r = two();
  const late = 10 + LIMITS.QUARANTINE_WINDOW_MS + 1;
  assert.equal(r.died(late, [2]), null);
  assert.equal(r.died(late, [2]), null);
  const first = new Revisions();
  first.commit({ revision: 1, change: change({ a: '1' }), sockets: null }, 0);
  for (let i = 0; i < 5; i++) assert.equal(first.died(1, [1]), null);
  assert.equal(first.held, null);
});

test('a revision that is not acked by everybody can be undone however old it is', () => {
  const r = two();
  r.forget(1, 10 * LIMITS.QUARANTINE_WINDOW_MS);
  assert.equal(r.refuse(2, 'no')?.revision, 1);
  const acked = two();
  acked.forget(2, 10 * LIMITS.QUARANTINE_WINDOW_MS);
  assert.equal(acked.refuse(2, 'no'), null);
  assert.equal(acked.held?.cause, 'refused', 'it is said all the same');
});

test('what was refused before is passed over on the way back', () => {
  const r = two();
  r.commit({ revision: 3, change: change({ d: '3' }), sockets: null }, 20);
  assert.equal(r.refuse(2, 'c: no'), null, 'revision 3 is under way to that worker, whole: it may be good');
  assert.equal(r.held, null);
  const back = r.refuse(3, 'c: no');
  assert.equal(back?.revision, 1);
  assert.deepEqual([...(back?.change ?? [])].map(([key, value]) => [key, value?.toString() ?? null]).sort(), [
    ['a', '1'],
    ['b', '1'],
    ['c', null],
    ['d', null],
  ]);
});

test('the next revision brings everything that was held back, as one change', () => {
  const r = two();
  r.refuse(2, 'a: no');
  const next = r.commit({ revision: 3, change: change({ a: '3' }), sockets: null }, 30);
  assert.equal(next?.base, 1);
  assert.deepEqual(content(r), { a: '3', c: '2' });
  assert.equal(r.held, null);
});

test('a controller that was started again and says nothing new does not bring back what is held', () => {
  const r = two();
  r.died(11, [2]);
  r.died(12, [1, 2]);
  const sockets: SocketWish[] = [];
  assert.equal(r.commit({ revision: 3, change: change({ 'state/x': '1' }), sockets }, 13), null);
  assert.equal(r.revision, 1);
  assert.equal(r.held?.revision, 3);
  assert.deepEqual(Object.fromEntries([...r.memory()].map(([k, v]) => [k, String(v)])), {
    a: '2',
    c: '2',
    'state/x': '1',
  });
  assert.equal(r.commit({ revision: 4, change: change({ a: '4' }), sockets: null }, 14)?.revision, 4);
});

test('sockets go back with the revision they came with', () => {
  const wish = (port: number): SocketWish => ({ key: `k${port}`, address: '::', port, transport: 'tcp' });
  const r = new Revisions();
  r.commit({ revision: 1, change: change({ a: '1' }), sockets: [wish(80)] }, 0);
  r.commit({ revision: 2, change: change({ a: '2' }), sockets: [wish(81)] }, 1);
  r.commit({ revision: 3, change: change({ a: '3' }), sockets: null }, 2);
  assert.deepEqual(r.refuse(3, 'no')?.sockets, [wish(81)]);
  assert.deepEqual(r.refuse(2, 'no')?.sockets, [wish(80)]);
  assert.deepEqual(r.commit({ revision: 4, change: change({ a: '4' }), sockets: null }, 3)?.sockets, [wish(81)]);
});

test('history is bounded', () => {
  const r = new Revisions();
  const many = 3 * LIMITS.QUARANTINE_HISTORY;
  for (let i = 1; i <= many; i++) r.commit({ revision: i, change: change({ a: `${i}` }), sockets: null }, i);
  for (let i = 0; i < many; i++) r.refuse(r.revision, 'no');
  assert.equal(r.revision, many - LIMITS.QUARANTINE_HISTORY);
  assert.deepEqual(content(r), { a: `${r.revision}` });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import type { Timers } from '../base/timers.ts';
import { Batch } from './batch.ts';

/** Timers that fire when the test turns the clock. */
class Clock implements Timers {
  #now = 0;
  readonly #waiting = new Set<{ at: number; fire: () => void }>();

  after(ms: number, fire: () => void): () => void {
    const timer = { at: this.#now + ms, fire };
    this.#waiting.add(timer);
    return () => this.#waiting.delete(timer);
  }
  turn(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = [...this.#waiting].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#waiting.delete(next);
      this.#now = next.at;
      next.fire();
    }
    this.#now = end;
  }
  now = (): number => this.#now;
  get pending(): number {
    return this.#waiting.size;
  }
}

function bench(): { clock: Clock; batch: Batch; revisions: string[][] } {
  const clock = new Clock();
  const revisions: string[][] = [];
  const batch = new Batch(clock, clock.now, ({ keys }) => revisions.push([...keys].sort()));
  return { clock, batch, revisions };
}

test('closes when it was quiet', () => {
  const { clock, batch, revisions } = bench();
  batch.add(['a']);
  batch.add(['b']);
  clock.turn(LIMITS.REVISION_QUIET_MS - 1);
  batch.add(['c', 'a']);
  clock.turn(LIMITS.REVISION_QUIET_MS - 1);
  assert.deepEqual(revisions, []);
  clock.turn(1);
  assert.deepEqual(revisions, [['a', 'b', 'c']]);
  assert.equal(clock.pending, 0);
});

test('a change that comes alone after a quiet is not held up for company', () => {
  const { clock, batch, revisions } = bench();
  batch.add(['a']);
  clock.turn(LIMITS.REVISION_ALONE_MS);
  assert.deepEqual(revisions, [['a']]);
  // Right behind a revision it may be one of many.
  batch.add(['b']);
  clock.turn(LIMITS.REVISION_QUIET_MS - 1);
  assert.equal(revisions.length, 1);
  clock.turn(1);
  assert.deepEqual(revisions, [['a'], ['b']]);
  // What comes later than that would have been too late for it anyhow.
  clock.turn(LIMITS.REVISION_QUIET_MS);
  batch.add(['c']);
  clock.turn(LIMITS.REVISION_ALONE_MS);
  assert.deepEqual(revisions, [['a'], ['b'], ['c']]);
});

test('closes at the limit under steady churn, and starts anew', () => {
  const { clock, batch, revisions } = bench();
  for (let ms = 0; ms < LIMITS.REVISION_ALONE_MS + 2 * LIMITS.REVISION_MAX_MS; ms++) {
    batch.add([`k${ms}`]);
    clock.turn(1);
  }
  const sizes = revisions.map((keys) => keys.length);
  assert.deepEqual(sizes, [LIMITS.REVISION_ALONE_MS, LIMITS.REVISION_MAX_MS, LIMITS.REVISION_MAX_MS]);
});

test('nothing changed is no revision', () => {
  const { clock, batch, revisions } = bench();
  batch.add([]);
  batch.flush();
  clock.turn(1_000);
  assert.deepEqual(revisions, []);
  assert.equal(clock.pending, 0);
});

test('flush closes at once; stop keeps what is gathered for later', () => {
  const { clock, batch, revisions } = bench();
  batch.add(['a']);
  batch.flush();
  assert.deepEqual(revisions, [['a']]);
  batch.add(['b']);
  batch.stop();
  clock.turn(1_000);
  assert.deepEqual(revisions, [['a']]);
  batch.flush();
  assert.deepEqual(revisions, [['a'], ['b']]);
});

test('what is added while a revision is handed out belongs to the next', () => {
  const clock = new Clock();
  const revisions: string[][] = [];
  const batch: Batch = new Batch(clock, clock.now, ({ keys }) => {
    revisions.push([...keys]);
    if (revisions.length === 1) batch.add(['again']);
  });
  batch.add(['a']);
  clock.turn(1_000);
  assert.deepEqual(revisions, [['a'], ['again']]);
});

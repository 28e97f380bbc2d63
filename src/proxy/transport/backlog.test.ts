import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../base/limits.ts';
import type { Io, ReadySink } from '../../io/io.ts';
import { Backlog, shareOf } from './backlog.ts';

/** A backlog, and its turns. */
function backlog(): { backlog: Backlog; turn: () => boolean } {
  let asked: ReadySink | null = null;
  const io = {
    again: (sink: ReadySink) => {
      assert.equal(asked, null, 'asked for one turn');
      asked = sink;
    },
  } as unknown as Io;
  const turn = (): boolean => {
    const sink = asked;
    asked = null;
    sink?.onReady(1);
    return sink !== null;
  };
  return { backlog: new Backlog(io), turn };
}

test('a turn does what it may of work, however many wait, and each has its turn', () => {
  const { backlog: line, turn } = backlog();
  const CONNECTIONS = 100;
  const done = new Array<number>(CONNECTIONS).fill(0);
  const left = new Array<number>(CONNECTIONS).fill(200);
  let work = 0;
  const ones = done.map((_, n) => ({
    goOn(share: number): number {
      const did = Math.min(share, left[n] as number);
      left[n] = (left[n] as number) - did;
      done[n] = (done[n] as number) + 1;
      work += did;
      if ((left[n] as number) > 0) line.add(ones[n] as (typeof ones)[number]);
      return did;
    },
  }));
  for (const one of ones) line.add(one);
  for (let turns = 0; turn(); turns++) {
    assert.ok(turns < 1000);
    assert.ok(work <= LIMITS.WORK_OF_BACKLOG + LIMITS.WORK_LEAST, `${work} in one turn`);
    const behind = done.filter((_, n) => (left[n] as number) > 0);
    assert.ok(Math.max(...behind, 0) - Math.min(...behind, Number.MAX_SAFE_INTEGER) <= 1, 'in turns');
    work = 0;
  }
  assert.ok(left.every((n) => n === 0));
});

test('one alone has all that a connection may have, many have a request each', () => {
  assert.equal(shareOf(LIMITS.WORK_OF_BACKLOG), LIMITS.WORK_PER_TURN);
  assert.equal(shareOf(-3), LIMITS.WORK_LEAST);
  assert.equal(shareOf(100.5), 100);
});

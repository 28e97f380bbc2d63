// What the log says of problems: each once, when it is there to stay, and when it is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import { Logger } from '../base/log.ts';
import { HandTimers } from '../source/file/testing.ts';
import { Journal } from './journal.ts';

function rig(): { journal: Journal; timers: HandTimers; said: () => string[] } {
  const lines: string[] = [];
  const target = { write: (line: string) => void lines.push(line), now: () => new Date(0) };
  const log = Logger.to(target, { level: 'info', json: true });
  const timers = new HandTimers();
  const said = (): string[] =>
    lines.splice(0).map((line) => {
      const { level, message, was } = JSON.parse(line) as Record<string, string>;
      return `${level}: ${message}${was === undefined ? '' : ` (${was})`}`;
    });
  return { journal: new Journal(log, timers, (problem) => problem), timers, said };
}

function lost(name: string, message = 'Gateway default/web does not exist.'): Problem {
  return { severity: 'warning', message, place: { object: objectKey('HTTPRoute', 'default', name), field: 'spec' } };
}

test('what is wrong only while files are copied one by one is not said', async () => {
  const { journal, timers, said } = rig();
  journal.settled();
  journal.meaning('a', [lost('a')]);
  journal.meaning('a', []);
  journal.meaning('b', [lost('b')]);
  assert.deepEqual(said(), []);
  await timers.fire(LIMITS.PROBLEMS_SETTLE_MS);
  assert.deepEqual(said(), ['warn: Gateway default/web does not exist.'], 'of b alone');
  journal.meaning('b', []);
  journal.meaning('b', [lost('b')]);
  await timers.fire(LIMITS.PROBLEMS_SETTLE_MS);
  assert.deepEqual(said(), [], 'nor what was gone for a moment only');
  journal.meaning('b', []);
  await timers.fire(LIMITS.PROBLEMS_SETTLE_MS);
  assert.deepEqual(said(), ['info: a problem is over (Gateway default/web does not exist.)']);
});

test('what a file says by itself is said at once, and so is all once everything has been read', async () => {
  const { journal, timers, said } = rig();
  const broken: Problem = { severity: 'error', message: 'no YAML', place: { file: 'a.yaml' } };
  journal.problems('a.yaml', [broken]);
  journal.meaning('a', [lost('a')]);
  assert.deepEqual(said(), ['error: no YAML']);
  assert.deepEqual(timers.armed, [], 'however long it takes to read the rest');
  journal.settled();
  assert.deepEqual(said(), ['warn: Gateway default/web does not exist.']);
  assert.deepEqual(timers.armed, [], 'nothing is waited for any more');
  journal.meaning('c', [lost('c')]);
  await timers.fire(LIMITS.PROBLEMS_SETTLE_MS);
  assert.equal(said().length, 1);
});

test('a Gateway that goes with a thousand routes is a few lines, not a thousand', async () => {
  const { journal, timers, said } = rig();
  journal.settled();
  for (const [problems, last] of [
    [(name: string) => [lost(name)], 'warn: more problems at /config/problems'],
    [() => [], 'info: more problems are over'],
  ] as const) {
    for (let i = 0; i < 1000; i++) journal.meaning(`r${i}`, problems(`r${i}`));
    await timers.fire(LIMITS.PROBLEMS_SETTLE_MS);
    const lines = said();
    assert.equal(lines.length, LIMITS.PROBLEMS_LOGGED + 1);
    assert.equal(lines.at(-1), last);
  }
});

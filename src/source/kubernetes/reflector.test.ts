// What a reflector asks and how long it waits, by a scripted server and a clock that is turned by hand; everything over
// real sockets is in test/kubernetes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Question } from './client.ts';
import { failure, failureOf, type Reply } from './failure.ts';
import { Reflector } from './reflector.ts';

type Answer = Reply | ((onEvent: (event: unknown) => void) => Reply);

/** Plays `script`, then nothing more; notes what was asked and every wait for a next try. */
async function play(script: readonly Answer[], streams = false): Promise<{ asked: string[]; waits: number[] }> {
  const asked: string[] = [];
  const waits: number[] = [];
  let ms = 0;
  let left = [...script];
  const answer = async (question: Question, onEvent: (event: unknown) => void): Promise<Reply> => {
    const { resourceVersion, sendInitialEvents, continue: more } = question.query ?? {};
    const what = question.verb === 'list' ? (more ?? '') : sendInitialEvents === 'true' ? 'initial' : resourceVersion;
    asked.push(`${question.verb} ${what}`.trim());
    const [next, ...rest] = left;
    left = rest;
    if (next === undefined) return new Promise(() => {});
    return typeof next === 'function' ? next(onEvent) : next;
  };
  const reflector = new Reflector(
    { kind: 'Service', apiVersion: 'v1', path: '/api/v1/services' },
    { apply: () => {}, changed: () => {}, missing: () => {} },
    {
      client: { ask: (q) => answer(q, () => {}), watch: (q, _, onEvent) => answer(q, onEvent) },
      timers: {
        after: (wait, fire) => {
          if (wait === 60_000) return () => {};
          waits.push(Math.round(wait));
          ms += wait;
          queueMicrotask(fire);
          return () => {};
        },
      },
      now: () => ms,
      random: () => 1,
      server: { streams },
    },
  );
  reflector.start();
  for (let i = 0; i < 50 * (script.length + 1); i++) await Promise.resolve();
  reflector.stop();
  return { asked, waits };
}

const list = (version: string): Reply => ({ ok: true, body: { metadata: { resourceVersion: version }, items: [] } });
const ended: Reply = { ok: true, body: null };
const failed = (code: number, retryAfter: string | null = null): Reply => ({
  ok: false,
  failure: failureOf(code, null, retryAfter),
});
const unreachable: Reply = { ok: false, failure: failure('Unreachable', 'no') };
const event = (type: string, version: string) => (onEvent: (event: unknown) => void) => {
  onEvent({ type, object: { metadata: { name: 'a', resourceVersion: version } } });
  return ended;
};

test('goes on from the newest version that was seen, bookmarks included', async () => {
  const { asked, waits } = await play([list('5'), event('ADDED', '7'), event('BOOKMARK', '9'), unreachable]);
  assert.deepEqual(asked, ['list', 'watch 5', 'watch 7', 'watch 9', 'watch 9']);
  assert.deepEqual(waits, [200]);
});

test('initial events: no version before their end, and none is gone on from', async () => {
  const half = (onEvent: (event: unknown) => void): Reply => {
    onEvent({ type: 'ADDED', object: { metadata: { name: 'a', resourceVersion: '3' } } });
    return ended;
  };
  const { asked } = await play([half, list('5'), ended], true);
  assert.deepEqual(asked.slice(0, 3), ['watch initial', 'list', 'watch 5']);
});

test('waits grow while nothing works, and begin anew with the first sign of life', async () => {
  const { waits } = await play([unreachable, unreachable, unreachable, list('5'), event('ADDED', '6'), unreachable]);
  assert.deepEqual(waits, [200, 400, 800, 200]);
});

test('the server says when to come again', async () => {
  const { waits } = await play([failed(429, '7'), failed(429, '100000'), list('5')]);
  assert.deepEqual(waits, [7_000, 30_000]);
});

test('versions that are gone as soon as they are given: fetched anew ever more seldom, whatever came in between', async () => {
  const gone = failed(410);
  const round: Answer[] = [list('5'), event('ADDED', '6'), gone];
  const { waits } = await play([...round, ...round, ...round, ...round]);
  assert.deepEqual(waits, [200, 400, 800, 1_600]);
});

test('watches that end at once without a word are not taken up again at once', async () => {
  const { waits } = await play([list('5'), ended, ended, ended, ended]);
  assert.deepEqual(waits, [400, 800, 1_600]);
});

test('errors in answer to a version: after some the version is let go, with the network it is not', async () => {
  const error = failed(500);
  const { asked } = await play([list('5'), error, error, error, error, list('8')]);
  assert.deepEqual(asked, ['list', 'watch 5', 'watch 5', 'watch 5', 'watch 5', 'list', 'watch 8']);
  const away = await play([list('5'), ...Array.from({ length: 12 }, () => unreachable)]);
  assert.equal(away.asked.at(-1), 'watch 5');
});

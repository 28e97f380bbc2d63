// Kinds that are not followed are spoken of once, together, and when it is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandTimers } from '../../../test/kubernetes/support.ts';
import { Unfollowed } from './unfollowed.ts';

interface Kind {
  readonly kind: string;
  readonly synced: boolean;
  readonly reason: string | null;
}

class World {
  readonly timers = new HandTimers();
  kinds: Kind[] = [];
  readonly said: string[][] = [];
  readonly unfollowed = new Unfollowed(
    this.timers,
    () => this.kinds,
    (problems) => this.said.push(problems.map(({ severity, message }) => `${severity} ${message}`)),
  );
}

const kind = (name: string, reason: string | null, synced = true): Kind => ({ kind: name, synced, reason });

test('what fails for a moment is not spoken of', () => {
  const world = new World();
  world.kinds = [kind('Gateway', 'Broken: reset')];
  world.unfollowed.changed();
  world.kinds = [kind('Gateway', null)];
  world.unfollowed.changed();
  world.timers.fire();
  assert.deepEqual(world.said, []);
});

test('kinds of one reason are told of together, those that were never read apart, and that it is over', () => {
  const world = new World();
  const away = 'Unreachable: connect ECONNREFUSED';
  const names = ['HTTPRoute', 'Namespace'];
  world.kinds = [
    kind('Gateway', away, false),
    ...names.map((name) => kind(name, away)),
    kind('Service', null),
    kind('Secret', 'Forbidden: secrets is forbidden', false),
  ];
  world.unfollowed.changed();
  world.timers.fire();
  assert.deepEqual(world.said, [
    [
      `error Gateway is not read: ${away}`,
      `warning HTTPRoute, Namespace are not followed: ${away}`,
      'error Secret is not read: Forbidden: secrets is forbidden',
    ],
  ]);
  world.kinds = [kind('Gateway', null)];
  world.timers.fire();
  assert.deepEqual(world.said.at(-1), []);
  world.timers.fire();
  assert.equal(world.said.length, 2);
});

test('a reason whose rest is another each time is the same; another reason is news', () => {
  const world = new World();
  for (const reason of ['InternalError: after 3 s', 'InternalError: after 4 s', 'Forbidden: no']) {
    world.kinds = [kind('Gateway', reason)];
    world.unfollowed.changed();
    world.timers.fire();
  }
  assert.deepEqual(world.said, [
    ['warning Gateway is not followed: InternalError: after 3 s'],
    ['warning Gateway is not followed: InternalError: after 3 s'],
    ['warning Gateway is not followed: Forbidden: no'],
  ]);
});

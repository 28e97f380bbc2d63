// What is written of statuses, and when: against a sink that keeps everything it was given.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayStatus, RouteStatus, Status } from '../translate/conditions.ts';
import { condition, onceServed } from '../translate/conditions.ts';
import { StatusStream } from './status.ts';

const GATEWAY = 'Gateway/default/web';
const ROUTE = 'HTTPRoute/default/app';

/** A Gateway of one listener; `served` tells what workers have to serve for it. */
function gateway(served: string | null, generation = 1, attachedRoutes = 0): GatewayStatus {
  const programmed =
    served === null
      ? condition('listenerPortUnprogrammed', generation, 'taken')
      : onceServed('listenerProgrammed', generation, `listener ${served}`);
  return {
    addresses: [{ type: 'IPAddress', value: '0.0.0.0' }],
    conditions: [
      condition('gatewayAccepted', generation),
      served === null
        ? condition('gatewayUnprogrammed', generation)
        : onceServed('gatewayProgrammed', generation, `gateway ${served}`),
    ],
    listeners: [{ name: 'http', supportedKinds: [], attachedRoutes, conditions: [programmed] }],
  };
}

const route: RouteStatus = {
  parents: [
    {
      parentRef: { group: 'g', kind: 'Gateway', name: 'web' },
      controllerName: 'c',
      conditions: [condition('routeAccepted', 1)],
    },
  ],
};

test('a status of which nothing pends is written as it is: those of many routes are one', () => {
  const written: (Status | null)[] = [];
  const stream = new StatusStream({ write: (_, status) => written.push(status) });
  stream.note(1, new Map([[ROUTE, route]]));
  assert.equal(written[0], route);
});

class Sink {
  readonly lines: string[] = [];
  write(key: string, status: Status | null): void {
    if (status === null) this.lines.push(`${key} gone`);
    else if ('parents' in status) this.lines.push(`${key} ${status.parents[0]?.conditions[0]?.reason}`);
    else if ('listeners' in status) {
      const all = [...status.conditions, ...status.listeners.flatMap(({ conditions }) => conditions)];
      for (const one of all) assert.ok(!('pendsOn' in one), 'what pends is decided before it is written');
      const said = all
        .filter(({ type }) => type === 'Programmed')
        .map((c) => `${c.status} ${c.reason} ${c.observedGeneration}`);
      assert.equal(
        new Set(said.map((line) => line.split(' ')[0])).size,
        1,
        'the Gateway and its listener say the same',
      );
      this.lines.push(`${key} ${said[0]} routes=${status.listeners[0]?.attachedRoutes}`);
    }
  }
  take(): string[] {
    return this.lines.splice(0);
  }
}

function setup(): {
  sink: Sink;
  stream: StatusStream;
  note: (revision: number, key: string, s: Status | null) => void;
} {
  const sink = new Sink();
  const stream = new StatusStream(sink);
  return { sink, stream, note: (revision, key, status) => stream.note(revision, new Map([[key, status]])) };
}

test('Programmed is True only after every live worker acked the revision', () => {
  const { sink, stream, note } = setup();
  note(1, GATEWAY, gateway('a'));
  assert.deepEqual(sink.take(), [`${GATEWAY} False Pending 1 routes=0`]);
  stream.acked(1);
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 1 routes=0`]);
  stream.acked(2);
  assert.deepEqual(sink.take(), [], 'only what is another than what was written');
});

test('what does not wait for workers is written at once, and gone when it is gone', () => {
  const { sink, stream, note } = setup();
  note(1, ROUTE, route);
  note(1, ROUTE, structuredClone(route));
  note(2, ROUTE, null);
  note(2, 'HTTPRoute/default/never', null);
  stream.acked(2);
  assert.deepEqual(sink.take(), [`${ROUTE} Accepted`, `${ROUTE} gone`]);
});

test('a change that programs nothing new takes nothing back', () => {
  const { sink, stream, note } = setup();
  note(1, GATEWAY, gateway('a'));
  stream.acked(1);
  sink.take();
  note(2, GATEWAY, gateway('a', 2, 1));
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 2 routes=1`]);
  note(3, GATEWAY, gateway('a', 2, 2));
  note(4, GATEWAY, gateway('b', 3, 2));
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 2 routes=2`, `${GATEWAY} False Pending 3 routes=2`]);
  stream.acked(3);
  assert.deepEqual(sink.take(), []);
  stream.acked(4);
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 3 routes=2`]);
});

test('what was pending before stays so when something else changes', () => {
  const { sink, stream, note } = setup();
  note(1, GATEWAY, gateway('a'));
  note(2, GATEWAY, gateway('a', 1, 1));
  assert.deepEqual(sink.take(), [`${GATEWAY} False Pending 1 routes=0`, `${GATEWAY} False Pending 1 routes=1`]);
  stream.acked(2);
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 1 routes=1`]);
});

test('a refused revision keeps it False with the reason, until one that is taken', () => {
  const { sink, stream, note } = setup();
  note(1, GATEWAY, gateway('a'));
  stream.acked(1);
  note(2, GATEWAY, gateway('b', 2));
  sink.take();
  stream.held({ revision: 2, cause: 'refused', reason: 'rule/x: no' });
  assert.deepEqual(sink.take(), [`${GATEWAY} False Refused 2 routes=0`]);
  note(3, ROUTE, route);
  assert.deepEqual(sink.take(), [`${ROUTE} Accepted`]);
  stream.held(null);
  assert.deepEqual(sink.take(), [`${GATEWAY} False Pending 2 routes=0`]);
  stream.acked(3);
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 2 routes=0`]);
});

test('a quarantined revision takes back what it programmed, and nothing that was served before', () => {
  const { sink, stream, note } = setup();
  note(1, 'Gateway/default/old', gateway('old'));
  stream.acked(1);
  note(2, GATEWAY, gateway('a'));
  // Workers had taken it before they died of it.
  stream.acked(2);
  sink.take();
  stream.held({ revision: 2, cause: 'deaths', reason: '2 workers died' });
  stream.acked(1);
  assert.deepEqual(sink.take(), [`${GATEWAY} False Quarantined 1 routes=0`]);
  note(3, GATEWAY, gateway('a', 1, 1));
  assert.deepEqual(sink.take(), [`${GATEWAY} False Pending 1 routes=1`]);
  stream.held(null);
  stream.acked(3);
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 1 routes=1`]);
});

test('a socket that opens at last is programmed by the revision that is served already', () => {
  const { sink, stream, note } = setup();
  note(1, GATEWAY, gateway(null));
  stream.acked(1);
  note(1, GATEWAY, gateway('a'));
  assert.deepEqual(sink.take(), [`${GATEWAY} False Invalid 1 routes=0`, `${GATEWAY} True Programmed 1 routes=0`]);
});

test('a controller that comes back, with nothing new, writes what is true at once', () => {
  const { sink, stream, note } = setup();
  stream.acked(7);
  note(7, GATEWAY, gateway('a'));
  assert.deepEqual(sink.take(), [`${GATEWAY} True Programmed 1 routes=0`]);
});

test('what a condition pends on is as short for a Gateway of many listeners as for one', () => {
  const served = (n: number): string => onceServed('gatewayProgrammed', 1, 'a listener '.repeat(n)).pendsOn ?? '';
  assert.equal(served(1_000).length, served(1).length);
  assert.notEqual(served(1_000), served(999));
});

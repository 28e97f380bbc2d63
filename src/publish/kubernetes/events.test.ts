import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { KubeObject } from '../../api/object.ts';
import { LIMITS } from '../../base/limits.ts';
import { Events, transitions } from './events.ts';

const c = (type: string, status: string, reason: string, message = 'why') => ({ type, status, reason, message });
const route = (...conditions: unknown[]) => ({
  parents: [
    { controllerName: 'us', parentRef: { kind: 'Gateway', name: 'gw', sectionName: 'http' }, conditions },
    { controllerName: 'them', parentRef: { name: 'gw' }, conditions: [c('Accepted', 'False', 'Theirs')] },
  ],
});
const lines = (kind: string, before: unknown, after: unknown): string[] =>
  transitions(kind, before, after, 'us').map(({ type, reason, note }) => `${type} ${reason}: ${note}`);

test('a route: what is wrong, and that it is well again; not that it was well from the start', () => {
  const good = route(c('Accepted', 'True', 'Accepted'), c('ResolvedRefs', 'True', 'ResolvedRefs'));
  const bad = route(c('Accepted', 'True', 'Accepted'), c('ResolvedRefs', 'False', 'BackendNotFound', 'no Service a'));
  const worse = route(c('Accepted', 'True', 'Accepted'), c('ResolvedRefs', 'False', 'RefNotPermitted'));
  assert.deepEqual(lines('HTTPRoute', undefined, good), []);
  assert.deepEqual(lines('HTTPRoute', undefined, bad), [
    'Warning BackendNotFound: ResolvedRefs is False (Gateway gw http): no Service a',
  ]);
  assert.deepEqual(lines('HTTPRoute', bad, bad), []);
  assert.deepEqual(lines('HTTPRoute', bad, worse), [
    'Warning RefNotPermitted: ResolvedRefs is False (Gateway gw http): why',
  ]);
  assert.deepEqual(lines('HTTPRoute', bad, good), ['Normal ResolvedRefs: ResolvedRefs is True (Gateway gw http): why']);
});

test('a Gateway: its listeners too; waiting for the data plane is no news', () => {
  const gateway = (programmed: unknown, conflicted: string) => ({
    conditions: [c('Accepted', 'True', 'Accepted'), programmed],
    listeners: [{ name: 'a', conditions: [c('Conflicted', conflicted, 'HostnameConflict')] }],
  });
  const pending = gateway(c('Programmed', 'False', 'Pending'), 'False');
  const done = gateway(c('Programmed', 'True', 'Programmed'), 'False');
  assert.deepEqual(lines('Gateway', undefined, pending), ['Normal Accepted: Accepted is True: why']);
  assert.deepEqual(lines('Gateway', pending, done), ['Normal Programmed: Programmed is True: why']);
  assert.deepEqual(lines('Gateway', done, pending), []);
  assert.deepEqual(lines('Gateway', done, gateway(c('Programmed', 'False', 'Invalid'), 'True')), [
    'Warning Invalid: Programmed is False: why',
    'Warning HostnameConflict: Conflicted is True (listener a): why',
  ]);
});

test('the same is told once in a while, a flood is cut off, and the whole stands in the object', async () => {
  let ms = 0;
  const bodies: Record<string, unknown>[] = [];
  const events = new Events({
    api: {
      ask: async (q) => {
        bodies.push(q.body as Record<string, unknown>);
        return { ok: true, body: {} };
      },
    },
    now: () => ms,
    wall: () => new Date(0),
    random: () => 0.5,
    leads: () => true,
    controllerName: 'us',
    instance: 'pod-1',
  });
  const object = (name: string): KubeObject => ({
    apiVersion: 'g/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'a', uid: `uid-${name}`, resourceVersion: '7' },
  });
  const bad = route(c('Accepted', 'False', 'NoMatchingParent', 'ä'.repeat(2_000)));
  for (let i = 0; i < 3; i++) events.written(object('r'), undefined, bad);
  assert.equal(bodies.length, 1);
  const { note, ...body } = bodies[0] as { note: string };
  assert.ok(Buffer.byteLength(note) <= 1_024 && Buffer.byteLength(note) > 1_020);
  assert.match(note, /^Accepted is False \(Gateway gw http\): ä+\.\.\.$/);
  assert.deepEqual(body, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: 'r.800000000000', namespace: 'a' },
    eventTime: '1970-01-01T00:00:00.000000Z',
    type: 'Warning',
    reason: 'NoMatchingParent',
    action: 'Translate',
    reportingController: 'us',
    reportingInstance: 'pod-1',
    regarding: { apiVersion: 'g/v1', kind: 'HTTPRoute', name: 'r', uid: 'uid-r', resourceVersion: '7', namespace: 'a' },
  });
  ms = 600_000;
  await setImmediate();
  events.written(object('r'), undefined, bad);
  assert.equal(bodies.length, 2);
  for (let i = 0; i < 300; i++) events.written(object(`r${i}`), undefined, bad);
  await setImmediate();
  assert.equal(bodies.length, 201);
  assert.equal(events.dropped, 101);
});

test('of a server that does not answer to Events only a few are asked at once, and all in the end', async () => {
  const open: (() => void)[] = [];
  const events = new Events({
    api: {
      ask: async () => {
        await new Promise<void>((resolve) => void open.push(resolve));
        return { ok: true, body: {} };
      },
    },
    now: () => 0,
    wall: () => new Date(0),
    random: () => 0.5,
    leads: () => true,
    controllerName: 'us',
    instance: 'i',
  });
  const object = { apiVersion: 'v1', kind: 'Service', metadata: { name: 's', namespace: 'a', uid: 'u' } } as KubeObject;
  for (let i = 0; i < 7; i++) events.warn(object, 'NoEndpoints', `note ${i}`);
  for (let answered = 0; answered < 7; answered++) {
    assert.equal(open.length, Math.min(answered + LIMITS.EVENTS_AT_ONCE, 7));
    open[answered]?.();
    await setImmediate();
  }
});

// What a writer of statuses keeps in memory of what it wrote: test/kubernetes/status.test.ts has what it writes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { KubeObject } from '../../api/object.ts';
import { LIMITS } from '../../base/limits.ts';
import { condition } from '../../translate/conditions.ts';
import { StatusWriter } from './status-writer.ts';

const KEY = 'HTTPRoute/a/r';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
setFlagsFromString('--no-expose-gc');

function object(resourceVersion: string, status: unknown): KubeObject {
  const metadata = { name: 'r', namespace: 'a', uid: 'u', resourceVersion, managedFields: [{ manager: 'rauta' }] };
  return { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata, status } as KubeObject;
}

test('nothing is kept of an answer but the status in it, and that until the watch has brought it', async () => {
  let stored = object('1', undefined);
  const kept: WeakRef<object>[] = [];
  let patches = 0;
  const writer = new StatusWriter('c', {
    api: {
      ask: async ({ body }) => {
        patches++;
        const made = object('2', (body as KubeObject).status);
        kept.push(new WeakRef(made), new WeakRef(made.status as object));
        return { ok: true, body: made };
      },
    },
    timers: { after: () => () => {} },
    now: () => 0,
    wall: () => new Date(0),
    leads: () => true,
    find: () => stored,
    pathOf: () => '/r',
    onWritten: () => {},
    onTrouble: (_, message) => assert.fail(message),
  });
  const parentRef = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gw' };
  writer.write(KEY, { parents: [{ parentRef, controllerName: 'c', conditions: [condition('routeAccepted', 1)] }] });
  await setImmediate();
  collect();
  const [answer, status] = kept as [WeakRef<object>, WeakRef<object>];
  assert.equal(answer.deref(), undefined, 'its managed fields are larger than all the rest');
  assert.notEqual(status.deref(), undefined, 'until then the store has an older one');
  writer.seen([KEY]);
  assert.equal(patches, 1, 'what was written is not written again');
  await setImmediate();
  stored = object('2', structuredClone(status.deref()));
  writer.seen([KEY]);
  await setImmediate();
  collect();
  assert.equal(status.deref(), undefined);
  assert.equal(patches, 1);
});

test('what was to be said of an object is not said of another that has taken its name meanwhile', async () => {
  const stored = object('1', undefined);
  const asked: string[] = [];
  const writer = new StatusWriter('c', {
    api: {
      ask: async ({ verb }) => {
        asked.push(verb);
        if (verb === 'get') return { ok: true, body: { ...stored, metadata: { ...stored.metadata, uid: 'other' } } };
        return { ok: false, failure: { code: 409, reason: 'Conflict', message: '', retryAfterMs: null } };
      },
    },
    timers: { after: () => () => {} },
    now: () => 0,
    wall: () => new Date(0),
    leads: () => true,
    find: () => stored,
    pathOf: () => '/r',
    onWritten: () => {},
    onTrouble: (_, message) => assert.fail(message),
  });
  const parentRef = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gw' };
  writer.write(KEY, { parents: [{ parentRef, controllerName: 'c', conditions: [condition('routeAccepted', 1)] }] });
  await setImmediate();
  assert.deepEqual(asked, ['patch', 'get'], 'the watch will say what is to be said of it');
});

test('a server that wants to be left alone for days is asked again as soon as any other', async () => {
  const waits: number[] = [];
  const writer = new StatusWriter('c', {
    api: {
      ask: async () => ({
        ok: false,
        failure: { code: 503, reason: 'ServiceUnavailable', message: '', retryAfterMs: 900_000_000 },
      }),
    },
    timers: {
      after: (ms) => {
        waits.push(ms);
        return () => {};
      },
    },
    now: () => 0,
    wall: () => new Date(0),
    leads: () => true,
    find: () => object('1', undefined),
    pathOf: () => '/r',
    onWritten: () => {},
    onTrouble: (_, message) => assert.fail(message),
  });
  const parentRef = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gw' };
  writer.write(KEY, { parents: [{ parentRef, controllerName: 'c', conditions: [condition('routeAccepted', 1)] }] });
  await setImmediate();
  assert.deepEqual(waits, [LIMITS.KUBERNETES_RETRY_MAX_MS]);
});

test('what the server refuses is tried again much later, and at once when the object changes', async () => {
  const waits: { ms: number; run: () => void; cancelled: boolean }[] = [];
  const told: string[] = [];
  let [now, patches, version] = [0, 0, 1];
  let code = 422;
  const writer = new StatusWriter('c', {
    api: {
      ask: async ({ body }) => {
        patches++;
        if (code === 200) return { ok: true, body: object('9', (body as KubeObject).status) };
        return { ok: false, failure: { code, reason: 'Invalid', message: 'no such field', retryAfterMs: null } };
      },
    },
    timers: {
      after: (ms, run) => {
        const wait = { ms, run, cancelled: false };
        waits.push(wait);
        return () => {
          wait.cancelled = true;
        };
      },
    },
    now: () => now,
    wall: () => new Date(0),
    leads: () => true,
    find: () => object(String(version), undefined),
    pathOf: () => '/r',
    onWritten: () => {},
    onTrouble: (_, message) => told.push(message),
  });
  const left = (): typeof waits => waits.filter(({ cancelled }) => !cancelled);
  const fire = async (): Promise<number> => {
    const [wait, ...more] = waits.splice(0).filter(({ cancelled }) => !cancelled);
    assert.ok(wait !== undefined && more.length === 0, 'one thing is waited for');
    now += wait.ms;
    wait.run();
    await setImmediate();
    return wait.ms;
  };
  const parentRef = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gw' };
  writer.write(KEY, { parents: [{ parentRef, controllerName: 'c', conditions: [condition('routeAccepted', 1)] }] });
  await setImmediate();
  const found: number[] = [];
  for (let i = 0; i < 6; i++) found.push(await fire());
  assert.deepEqual(found, [30_000, 60_000, 120_000, 240_000, 480_000, LIMITS.STATUS_REFUSED_MAX_MS]);
  assert.deepEqual([patches, told], [7, ['its status cannot be written: Invalid: no such field']]);
  // Its object changes: nobody waits for ten minutes.
  now += LIMITS.KUBERNETES_RETRY_MAX_MS;
  version++;
  writer.seen([KEY]);
  await setImmediate();
  assert.deepEqual([patches, left().length], [8, 1]);
  code = 200;
  await fire();
  assert.deepEqual([patches, left().length], [9, 0], 'and then all is well');
});

// Who else runs this program, and where: the pods with the labels of our own, and our node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject, ObjectKey } from '../../src/api/object.ts';
import { Own, type OwnPlace, ZONE_LABEL } from '../../src/source/kubernetes/own.ts';
import { defineKinds, FakeApi } from './fake-api.ts';
import { rig } from './support.ts';

const HERE: OwnPlace = { pod: { namespace: 'sys', name: 'rauta-1' }, node: 'n1' };

class Seen {
  readonly objects = new Map<ObjectKey, KubeObject>();
  #waiting: (() => void)[] = [];
  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    for (const o of upserts) this.objects.set(`${o.kind}/${o.metadata.namespace ?? ''}/${o.metadata.name}`, o);
    for (const key of removals) this.objects.delete(key);
    this.changed();
  }
  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

async function setup(
  t: Parameters<typeof rig>[0],
  place: OwnPlace = HERE,
): Promise<{ api: FakeApi; seen: Seen; own: Own }> {
  const api = new FakeApi();
  defineKinds(api);
  const { tools } = rig(t, await api.listen(), 1_000);
  const seen = new Seen();
  const own = new Own(place, seen, tools);
  t.after(async () => {
    own.stop();
    await api.close();
  });
  return { api, seen, own };
}

function pod(api: FakeApi, name: string, labels: Record<string, string>): void {
  api.put('Pod', {
    metadata: { name, namespace: 'sys', labels, managedFields: [] },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'large' }] },
    status: { podIPs: [{ ip: '10.0.0.1' }], conditions: [{ type: 'Ready', status: 'True', message: 'x' }] },
  });
}

test('pods like ours, whatever their template; the node with its zone and nothing else of it', async (t) => {
  const { api, seen, own } = await setup(t);
  // Template and node put their own labels on each of them.
  pod(api, 'rauta-1', { app: 'rauta', 'pod-template-hash': 'a', [ZONE_LABEL]: 'zone-a' });
  pod(api, 'rauta-2', { app: 'rauta', 'pod-template-hash': 'b', [ZONE_LABEL]: 'zone-b' });
  pod(api, 'web', { app: 'web' });
  api.put('Node', { metadata: { name: 'n1', labels: { [ZONE_LABEL]: 'zone-a', os: 'linux' } } });
  assert.equal(own.settled, false);
  own.start();
  await seen.until(() => own.settled);
  assert.deepEqual([...seen.objects.keys()].sort(), ['Node//n1', 'Pod/sys/rauta-1', 'Pod/sys/rauta-2']);
  assert.deepEqual(seen.objects.get('Node//n1')?.metadata.labels, { [ZONE_LABEL]: 'zone-a' });
  assert.deepEqual(seen.objects.get('Pod/sys/rauta-2'), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'rauta-2', namespace: 'sys' },
    spec: { nodeName: 'n1', hostNetwork: false },
    status: {
      phase: undefined,
      podIPs: [{ ip: '10.0.0.1' }],
      hostIPs: undefined,
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
  api.delete('Pod', 'sys', 'rauta-2');
  await seen.until(() => !seen.objects.has('Pod/sys/rauta-2'));
});

test('what programs are called by decides, where it is there', async (t) => {
  const { api, seen, own } = await setup(t);
  const called = { 'app.kubernetes.io/name': 'rauta', 'app.kubernetes.io/instance': 'edge' };
  pod(api, 'rauta-1', { ...called, injected: 'one' });
  pod(api, 'rauta-2', { ...called, injected: 'two' });
  pod(api, 'other', { ...called, 'app.kubernetes.io/instance': 'inner' });
  api.put('Node', { metadata: { name: 'n1' } });
  own.start();
  await seen.until(() => own.settled);
  assert.deepEqual([...seen.objects.keys()].sort(), ['Node//n1', 'Pod/sys/rauta-1', 'Pod/sys/rauta-2']);
});

test('a pod without labels is like no other', async (t) => {
  const { api, seen, own } = await setup(t);
  pod(api, 'rauta-1', {});
  pod(api, 'web', {});
  api.put('Node', { metadata: { name: 'n1' } });
  own.start();
  await seen.until(() => own.settled);
  assert.deepEqual([...seen.objects.keys()].sort(), ['Node//n1', 'Pod/sys/rauta-1']);
});

test('who may not look goes on without, says why, and sees when it may', async (t) => {
  const { api, seen, own } = await setup(t);
  pod(api, 'rauta-1', { app: 'rauta' });
  api.put('Node', { metadata: { name: 'n1' } });
  let refused = true;
  api.fault = ({ path }) => (refused && path.includes('/pods') ? { status: 403, reason: 'Forbidden' } : null);
  own.start();
  await seen.until(() => own.settled);
  assert.equal(own.reason, 'Forbidden: injected');
  refused = false;
  await seen.until(() => seen.objects.has('Pod/sys/rauta-1'));
  assert.equal(own.reason, null);
});

test('a server that is away is waited for', async (t) => {
  const { api, seen, own } = await setup(t);
  pod(api, 'rauta-1', { app: 'rauta' });
  api.put('Node', { metadata: { name: 'n1' } });
  let n = 0;
  api.fault = () => (n++ < 4 ? { status: 503 } : null);
  own.start();
  await seen.until(() => own.settled);
  assert.equal(seen.objects.size, 2);
});

test('not in a pod: nothing is asked', async (t) => {
  const { api, own } = await setup(t, { pod: null, node: null });
  own.start();
  assert.equal(own.settled, true);
  assert.equal(api.requests.length, 0);
});

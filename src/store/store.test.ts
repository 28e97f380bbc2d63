import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { bucketsOf } from './index.ts';
import { Store } from './store.ts';

function made(
  kind: string,
  namespace: string | undefined,
  name: string,
  more: Record<string, unknown> = {},
): KubeObject {
  const { metadata, ...fields } = more;
  return { apiVersion: 'v1', kind, metadata: { name, namespace, ...(metadata as object) }, ...fields } as KubeObject;
}
function slice(name: string, service: string | undefined): KubeObject {
  return made('EndpointSlice', 'ns', name, {
    metadata: { labels: service === undefined ? {} : { 'kubernetes.io/service-name': service } },
  });
}
function names(objects: Iterable<KubeObject>): string[] {
  return [...objects].map((object) => object.metadata.name).sort();
}

test('of what changed, those are told apart of which only the status did', () => {
  const store = new Store();
  const [a, b] = [made('HTTPRoute', 'ns', 'a'), made('HTTPRoute', 'ns', 'b')];
  const restated = new Set<string>();
  store.apply([a, b], [], restated);
  assert.deepEqual([...restated], [], 'who is new is new');
  const said = { ...a, status: { parents: [] }, metadata: { ...a.metadata, resourceVersion: '2' } };
  const changed = store.apply([said, { ...b, status: {}, spec: {} }], [], restated);
  assert.deepEqual([[...changed], [...restated]], [['HTTPRoute/ns/a', 'HTTPRoute/ns/b'], ['HTTPRoute/ns/a']]);
  // In one delivery both, in either order: the meaning counts.
  store.apply(
    [
      { ...said, status: {} },
      { ...said, spec: {} },
    ],
    [],
    restated,
  );
  assert.deepEqual([...restated], []);
  store.apply([said, { ...said, status: {} }], [], restated);
  assert.deepEqual([...restated], []);
});

test('of a status only what somebody reads is a change', () => {
  const store = new Store(({ kind, status }) => (kind === 'Gateway' ? fields(status)['addresses'] : undefined));
  const one = made('Gateway', 'ns', 'a', { status: { addresses: ['10.0.0.1'], listeners: [] } });
  store.apply([one], []);
  const restated = new Set<string>();
  store.apply([{ ...one, status: { addresses: ['10.0.0.1'], listeners: [1] } }], [], restated);
  assert.deepEqual([...restated], ['Gateway/ns/a']);
  restated.clear();
  store.apply([{ ...one, status: { addresses: ['10.0.0.2'], listeners: [1] } }], [], restated);
  assert.deepEqual([...restated], []);
});

test('says what really changed', () => {
  const store = new Store();
  const a = made('Service', 'ns', 'a', { spec: { ports: [{ port: 80 }] } });
  assert.deepEqual(store.apply([a], []), new Set(['Service/ns/a']));
  assert.deepEqual(store.apply([structuredClone(a)], []), new Set(), 'an equal object is no change');
  assert.deepEqual(store.apply([{ ...a, spec: { ports: [{ port: 81 }] } }], []), new Set(['Service/ns/a']));
  assert.deepEqual(store.apply([], ['Service/ns/b']), new Set(), 'nor is the removal of a stranger');
  assert.deepEqual(store.apply([], ['Service/ns/a']), new Set(['Service/ns/a']));
  assert.equal(store.get('Service', 'ns', 'a'), undefined);
  assert.equal(store.size, 0);
});

test('keeps the newest resourceVersion without calling it a change', () => {
  const store = new Store();
  store.apply([made('Service', 'ns', 'a', { metadata: { resourceVersion: '1' } })], []);
  const changed = store.apply([made('Service', 'ns', 'a', { metadata: { resourceVersion: '2' } })], []);
  assert.equal(changed.size, 0);
  assert.equal(store.get('Service', 'ns', 'a')?.metadata.resourceVersion, '2');
});

test('removals come before upserts: a key in both is the new object', () => {
  const store = new Store();
  store.apply([made('Secret', 'ns', 'a')], []);
  store.apply([made('Secret', 'ns', 'a', { type: 'new' })], ['Secret/ns/a']);
  assert.equal(store.get('Secret', 'ns', 'a')?.['type'], 'new');
});

test('trims what only bookkeeping needs, on a copy', () => {
  const store = new Store();
  const object = made('Service', 'ns', 'a', {
    metadata: {
      managedFields: [{ manager: 'kubectl' }],
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', mine: 'kept' },
    },
  });
  store.apply([object], []);
  assert.deepEqual(store.get('Service', 'ns', 'a')?.metadata, {
    name: 'a',
    namespace: 'ns',
    annotations: { mine: 'kept' },
  });
  assert.ok('managedFields' in object.metadata);
});

test('finds cluster-scoped objects and everything', () => {
  const store = new Store();
  store.apply([made('Namespace', undefined, 'ns'), made('Secret', 'ns', 's'), made('Secret', 'other', 's')], []);
  assert.equal(store.get('Namespace', undefined, 'ns')?.metadata.name, 'ns');
  assert.equal([...store.all()].length, 3);
  assert.deepEqual([...store.keys()].sort(), ['Namespace//ns', 'Secret/ns/s', 'Secret/other/s']);
});

test('indexes follow their objects', () => {
  const store = new Store();
  store.apply([slice('s1', 'app'), slice('s2', 'app'), slice('s3', undefined)], []);
  assert.deepEqual(names(store.by('slicesByService', 'ns/app')), ['s1', 's2']);
  store.apply([slice('s1', 'web')], ['EndpointSlice/ns/s2']);
  assert.deepEqual(names(store.by('slicesByService', 'ns/app')), []);
  assert.deepEqual(names(store.by('slicesByService', 'ns/web')), ['s1']);
});

test('an index holds the newest object, not an equal older one', () => {
  const store = new Store();
  store.apply([slice('s1', 'app')], []);
  const newer = slice('s1', 'app');
  store.apply([newer], []);
  assert.equal([...store.by('slicesByService', 'ns/app')][0], newer);
});

test('grants are filed by namespace; labels of any shape file nothing', () => {
  const store = new Store();
  store.apply([made('ReferenceGrant', 'team', 'g')], []);
  assert.deepEqual(names(store.by('grantsByNamespace', 'team')), ['g']);
  for (const labels of [null, 7, [], { 'kubernetes.io/service-name': 7 }, { 'kubernetes.io/service-name': '' }]) {
    assert.deepEqual(bucketsOf(made('EndpointSlice', 'ns', 's', { metadata: { labels } })), []);
  }
});

// What a change recomputes, and what not: each test makes one change and looks at all that came of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Key } from '../ir/keys.ts';
import { clusterKey, endpointsKey, settingsDigest } from '../ir/keys.ts';
import { Store } from '../store/store.ts';
import type { World } from '../store/world.ts';
import type { GatewayStatus } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import type { Update } from './output.ts';
import { Translator } from './translator.ts';

const OPTIONS: TranslatorOptions = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  defaultAddresses: ['0.0.0.0'],
  portMap: new Map(),
};

function make(kind: string, name: string, spec: unknown, more: Record<string, unknown> = {}): KubeObject {
  const { created, labels, ...fields } = more;
  const metadata = { name, namespace: 'default', creationTimestamp: created, labels };
  return { apiVersion: 'v1', kind, metadata, spec, ...fields } as unknown as KubeObject;
}

function gateway(name: string, hostname?: string, created?: string): KubeObject {
  const listeners = [{ name: 'http', port: 80, protocol: 'HTTP', hostname }];
  return make('Gateway', name, { gatewayClassName: 'rauta', listeners }, { created });
}
function route(name: string, gatewayName: string, paths: readonly string[], service: string): KubeObject {
  const rules = paths.map((value) => ({
    matches: [{ path: { type: 'PathPrefix', value } }],
    backendRefs: [{ name: service, port: 80 }],
  }));
  return make('HTTPRoute', name, { parentRefs: [{ name: gatewayName }], rules });
}
function service(name: string): KubeObject {
  return make('Service', name, { ports: [{ name: 'http', port: 80 }] });
}
function slice(name: string, of: string, addresses: readonly string[]): KubeObject {
  return make('EndpointSlice', name, undefined, {
    labels: { 'kubernetes.io/service-name': of },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address] })),
  });
}

const CLUSTER = { one: clusterOf('one'), two: clusterOf('two') };
const ENDPOINTS = {
  one: endpointsKey('Service', 'default', 'one', 80),
  two: endpointsKey('Service', 'default', 'two', 80),
};

function clusterOf(name: string): Key {
  return clusterKey(
    'Service',
    'default',
    name,
    80,
    settingsDigest({ protocol: 'http1', tls: null, proxyProtocol: null }),
  );
}

class Bench {
  readonly store = new Store();
  readonly translator = new Translator(OPTIONS);

  constructor(...objects: KubeObject[]) {
    this.change(objects);
  }
  change(upserts: readonly KubeObject[], removals: readonly ObjectKey[] = []): Update {
    return this.translator.update(this.store, { keys: this.store.apply(upserts, removals) });
  }
}

/** What an update touched, by key. */
function touched(update: Update): Record<string, string[]> {
  return {
    upserts: update.delta.upserts.map((entry) => entry.key).sort(),
    removals: [...update.delta.removals].sort(),
    statuses: [...update.statuses.keys()].sort(),
    diagnostics: [...update.diagnostics.keys()].sort(),
  };
}
const NOTHING = { upserts: [], removals: [], statuses: [], diagnostics: [] };

function world(): Bench {
  return new Bench(
    gateway('edge'),
    route('a', 'edge', ['/a', '/b'], 'one'),
    route('b', 'edge', ['/c'], 'two'),
    service('one'),
    service('two'),
    slice('one-1', 'one', ['10.0.0.1']),
    slice('two-1', 'two', ['10.0.0.2']),
  );
}

test('a changed EndpointSlice is its endpoints and nothing else', () => {
  const bench = world();
  const update = bench.change([slice('one-1', 'one', ['10.0.0.1', '10.0.0.9'])]);
  assert.deepEqual(touched(update), { ...NOTHING, upserts: [ENDPOINTS.one] });
});

test('a slice that moves to another Service changes both', () => {
  const bench = world();
  const update = bench.change([slice('one-1', 'two', ['10.0.0.1'])]);
  const upserts = [ENDPOINTS.one, ENDPOINTS.two];
  assert.deepEqual(touched(update), { ...NOTHING, upserts, diagnostics: ['Service/default/one'] });
});

test('one changed rule is one upsert', () => {
  const bench = world();
  const update = bench.change([route('a', 'edge', ['/a', '/changed'], 'one')]);
  assert.deepEqual(touched(update), { ...NOTHING, upserts: ['rule/HTTPRoute/default/a/1'] });
});

test('a new route brings its rules, its status and a count', () => {
  const bench = world();
  const update = bench.change([route('c', 'edge', ['/new'], 'one')]);
  assert.deepEqual(touched(update), {
    ...NOTHING,
    upserts: ['rule/HTTPRoute/default/c/0'],
    statuses: ['Gateway/default/edge', 'HTTPRoute/default/c'],
  });
  const status = bench.translator.statuses.get('Gateway/default/edge') as GatewayStatus;
  assert.equal(status.listeners[0]?.attachedRoutes, 3);
});

test('a route that goes takes the cluster along that nobody else uses', () => {
  const bench = world();
  const update = bench.change([], ['HTTPRoute/default/b']);
  assert.deepEqual(touched(update), {
    ...NOTHING,
    removals: [CLUSTER.two, ENDPOINTS.two, 'rule/HTTPRoute/default/b/0'],
    statuses: ['Gateway/default/edge', 'HTTPRoute/default/b'],
  });
  assert.equal(update.statuses.get('HTTPRoute/default/b'), null);
});

test('a Service that goes makes the share invalid and takes its cluster along', () => {
  const bench = world();
  const update = bench.change([], ['Service/default/two']);
  assert.deepEqual(touched(update), {
    upserts: ['rule/HTTPRoute/default/b/0'],
    removals: [CLUSTER.two, ENDPOINTS.two],
    statuses: ['HTTPRoute/default/b'],
    diagnostics: ['HTTPRoute/default/b'],
  });
});

test('an older Gateway takes a hostname over, a removed one gives it back', () => {
  const bench = new Bench(
    gateway('young', 'www.example.com', '2026-02-01T00:00:00Z'),
    route('a', 'young', ['/'], 'one'),
    service('one'),
    slice('one-1', 'one', ['10.0.0.1']),
  );
  const taken = bench.change([gateway('old', 'www.example.com', '2026-01-01T00:00:00Z')]);
  assert.deepEqual(touched(taken), {
    upserts: ['gateway/default/old', 'socket/0.0.0.0/80/tcp'],
    removals: [CLUSTER.one, ENDPOINTS.one, 'gateway/default/young', 'rule/HTTPRoute/default/a/0'],
    // It stays accepted, and says that nothing of it is served.
    statuses: ['Gateway/default/old', 'Gateway/default/young', 'HTTPRoute/default/a'],
    diagnostics: ['Gateway/default/young'],
  });
  const loser = bench.translator.statuses.get('Gateway/default/young') as GatewayStatus;
  assert.equal(loser.conditions[0]?.reason, 'ListenersNotValid');
  const given = bench.change([], ['Gateway/default/old']);
  assert.deepEqual(touched(given), {
    upserts: [
      CLUSTER.one,
      ENDPOINTS.one,
      'gateway/default/young',
      'rule/HTTPRoute/default/a/0',
      'socket/0.0.0.0/80/tcp',
    ],
    removals: ['gateway/default/old'],
    statuses: ['Gateway/default/old', 'Gateway/default/young', 'HTTPRoute/default/a'],
    diagnostics: ['Gateway/default/young'],
  });
});

test('a Gateway without routes learns of its conflict too', () => {
  const bench = new Bench(gateway('young', undefined, '2026-02-01T00:00:00Z'));
  const taken = bench.change([gateway('old', undefined, '2026-01-01T00:00:00Z')]);
  assert.deepEqual([...taken.statuses.keys()].sort(), ['Gateway/default/old', 'Gateway/default/young']);
});

test('an equal object, another resourceVersion or a status of ours changes nothing', () => {
  const bench = world();
  const object = route('b', 'edge', ['/c'], 'two');
  const versioned = { ...object, metadata: { ...object.metadata, resourceVersion: '7' } };
  assert.deepEqual(touched(bench.change([versioned])), NOTHING);
  assert.deepEqual(touched(bench.change([{ ...versioned, status: { parents: [] } }])), NOTHING);
  assert.deepEqual(touched(bench.change([make('ConfigMap', 'stranger', {})])), NOTHING);
});

test('a fault of ours costs one object, says so, and is forgotten when it is over', () => {
  const bench = world();
  const breaking = (fault: string): World => ({
    get: (kind, namespace, name) => {
      if (`${kind}/${name}` === fault) throw new Error('broken');
      return bench.store.get(kind, namespace, name);
    },
    by: (index, value) => {
      if (`${index}/${value}` === fault) throw new Error('broken');
      return bench.store.by(index, value);
    },
  });
  const routes = (path: string): KubeObject[] => [
    route('a', 'edge', [path], 'one'),
    route('b', 'edge', [`${path}/b`], 'two'),
  ];
  const update = bench.translator.update(breaking('Service/two'), { keys: bench.store.apply(routes('/changed'), []) });
  assert.deepEqual(touched(update), {
    upserts: ['rule/HTTPRoute/default/a/0'],
    removals: ['rule/HTTPRoute/default/a/1'],
    statuses: [],
    diagnostics: ['HTTPRoute/default/b'],
  });
  assert.match(update.diagnostics.get('HTTPRoute/default/b')?.[0]?.message ?? '', /Cannot be translated: broken/);
  assert.deepEqual(bench.change(routes('/again')).diagnostics, new Map([['HTTPRoute/default/b', []]]));

  const moved = bench.store.apply([slice('one-1', 'one', ['10.0.0.7'])], []);
  const failed = bench.translator.update(breaking('slicesByService/default/one'), { keys: moved });
  assert.deepEqual(touched(failed), { ...NOTHING, diagnostics: ['Service/default/one'] });
  const healed = bench.change([slice('one-1', 'one', ['10.0.0.8'])]);
  assert.deepEqual(touched(healed), {
    ...NOTHING,
    upserts: [ENDPOINTS.one],
    diagnostics: ['Service/default/one'],
  });
});

test('what is fetched by reference is told when it is referred to, and when it no longer is', () => {
  const secure = (...names: string[]): KubeObject => {
    const tls = { mode: 'Terminate', certificateRefs: names.map((name) => ({ group: '', kind: 'Secret', name })) };
    const listeners = [{ name: 'https', port: 443, protocol: 'HTTPS', tls }];
    return make('Gateway', 'secure', { gatewayClassName: 'rauta', listeners });
  };
  const bench = new Bench(gateway('plain'), route('app', 'plain', ['/'], 'one'));
  const wanted = (): unknown => [...bench.translator.takeWanted()].map(([kind, keys]) => [kind, ...keys].sort());
  assert.deepEqual(wanted(), []);
  bench.change([secure('a', 'b')]);
  assert.deepEqual(wanted(), [['Secret', 'Secret/default/a', 'Secret/default/b']]);
  bench.change([gateway('plain', 'other.example')]);
  assert.deepEqual(wanted(), []);
  bench.change([secure('b')]);
  assert.deepEqual(wanted(), [['Secret', 'Secret/default/b']]);
  bench.change([], ['Gateway/default/secure']);
  assert.deepEqual(wanted(), [['Secret']]);
});

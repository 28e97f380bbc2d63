// Resources from an API server, as a source: what is delivered, when it is all, what is waited for, what is asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindInfo } from '../../src/api/kinds.ts';
import type { KindInfo } from '../../src/api/shape.ts';
import { MemorySink } from '../../src/source/file/testing.ts';
import { type KubernetesOptions, KubernetesSource } from '../../src/source/kubernetes/kubernetes-source.ts';
import { type ApiObject, defineGatewayApi, defineKinds, FakeApi } from './fake-api.ts';
import { NOWHERE, rig } from './support.ts';

const info = (kind: string): KindInfo => kindInfo(kind) as KindInfo;
const KINDS = ['GatewayClass', 'Gateway', 'HTTPRoute', 'ReferenceGrant', 'Namespace', 'Service', 'EndpointSlice'];

const gatewayClass = (name: string): ApiObject => ({
  metadata: { name },
  spec: { controllerName: 'rauta.io/gateway-controller' },
});
const route = (namespace: string, name: string): ApiObject => ({
  metadata: {
    name,
    namespace,
    managedFields: [{ manager: 'kubectl' }],
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', kept: 'yes' },
  },
  spec: { hostnames: ['a.example.com'] },
});
const secret = (name: string): ApiObject => ({
  metadata: { name, namespace: 'a' },
  type: 'Opaque',
  data: { k: 'eA==' },
});

interface Setup {
  readonly api: FakeApi;
  readonly sink: MemorySink;
  readonly source: KubernetesSource;
}
async function setup(
  t: Parameters<typeof rig>[0],
  options: Partial<KubernetesOptions> = {},
  prepare: (api: FakeApi) => void = defineKinds,
  speed = 20,
): Promise<Setup> {
  const api = new FakeApi();
  prepare(api);
  const { tools } = rig(t, await api.listen(), speed);
  const sink = new MemorySink();
  const source = new KubernetesSource(
    {
      kinds: KINDS.map(info),
      named: [info('Secret'), info('ConfigMap')],
      namespaces: [],
      gatewayClass: null,
      own: NOWHERE,
      ...options,
    },
    tools,
  );
  t.after(async () => {
    await source.stop();
    await api.close();
  });
  return { api, sink, source };
}

test('every kind is delivered, trimmed, and only then it is all', async (t) => {
  const { api, sink, source } = await setup(t);
  api.put('GatewayClass', gatewayClass('rauta'));
  for (let i = 0; i < 600; i++) api.put('HTTPRoute', route('a', `r${i}`));
  api.put('Service', { metadata: { name: 's', namespace: 'a' }, spec: { ports: [{ port: 80 }] } });
  source.start(sink);
  assert.equal(source.waiting(), 'GatewayClass: not asked yet');
  await sink.until(() => sink.isSynced);
  assert.equal(sink.objects.size, 602);
  assert.equal(source.waiting(), null);
  const one = sink.objects.get('HTTPRoute/a/r0');
  assert.deepEqual(one?.metadata.annotations, { kept: 'yes' });
  assert.equal('managedFields' in (one?.metadata ?? {}), false);
  // A list's items do not say what they are; a default of the schema is filled in as from a file.
  assert.equal(sink.objects.get('Service/a/s')?.apiVersion, 'v1');
  assert.deepEqual(sink.objects.get('Service/a/s')?.spec, {
    type: 'ClusterIP',
    sessionAffinity: 'None',
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
  });
  api.delete('HTTPRoute', 'a', 'r0');
  await sink.until(() => !sink.objects.has('HTTPRoute/a/r0'));
});

test('what many objects say alike is kept once', async (t) => {
  const { api, sink, source } = await setup(t);
  const status = { parents: [{ controllerName: 'c', parentRef: { name: 'gw' }, conditions: [{ type: 'Accepted' }] }] };
  for (const name of ['a', 'b']) api.put('HTTPRoute', { ...route('a', name), status });
  source.start(sink);
  await sink.until(() => sink.isSynced);
  const [a, b] = ['a', 'b'].map((name) => sink.objects.get(`HTTPRoute/a/${name}`));
  assert.deepEqual(a?.status, status);
  assert.equal(a?.status, b?.status);
  api.put('HTTPRoute', { ...route('a', 'b'), status: { parents: [] } });
  await sink.until(() => sink.objects.get('HTTPRoute/a/b')?.status !== b?.status);
  assert.deepEqual(sink.objects.get('HTTPRoute/a/a')?.status, status, 'who changes leaves the others as they are');
});

test('kinds that are not installed are waited for, and used when they appear', async (t) => {
  const { api, sink, source } = await setup(t, {}, (fake) => defineKinds(fake, false));
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(
    source.health().find((k) => k.kind === 'HTTPRoute'),
    {
      kind: 'HTTPRoute',
      apiVersion: null,
      synced: false,
      reason: 'not installed',
      lastEventAgoMs: null,
      relists: new Map(),
      objects: 0,
    },
  );
  defineGatewayApi(api);
  api.put('HTTPRoute', route('a', 'late'));
  await sink.until(() => sink.objects.has('HTTPRoute/a/late'));
});

test('a kind that is uninstalled goes with its objects; a 404 from somebody in between takes nothing away', async (t) => {
  const { api, sink, source } = await setup(t);
  api.put('HTTPRoute', route('a', 'r'));
  source.start(sink);
  await sink.until(() => sink.isSynced);
  api.fault = (seen) => (seen.path.includes('httproutes') ? { status: 404 } : null);
  let asked = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  api.onRequest = (seen) => {
    if (seen.path.includes('httproutes') && ++asked === 5) resolve();
  };
  api.cut('end');
  await promise;
  assert.ok(sink.objects.has('HTTPRoute/a/r'));
  api.fault = () => null;
  api.put('HTTPRoute', route('a', 'again'));
  await sink.until(() => sink.objects.has('HTTPRoute/a/again'));
  api.undefine('HTTPRoute');
  await sink.until(() => !sink.objects.has('HTTPRoute/a/r') && !sink.objects.has('HTTPRoute/a/again'));
});

test('kinds that a server which has just begun does not know yet keep their objects', async (t) => {
  const { api, sink, source } = await setup(t);
  api.put('HTTPRoute', route('a', 'r'));
  source.start(sink);
  await sink.until(() => sink.isSynced);
  api.undefine('HTTPRoute');
  api.undefine('Gateway');
  let discovered = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  api.onRequest = (seen) => {
    // It is asked again: what was found the first time has been looked at.
    if (seen.path === '/apis' && ++discovered === 2) resolve();
  };
  api.cut('end');
  source.rescan();
  await promise;
  assert.ok(sink.objects.has('HTTPRoute/a/r'));
  defineGatewayApi(api);
  api.put('HTTPRoute', route('a', 'again'));
  await sink.until(() => sink.objects.has('HTTPRoute/a/again'));
});

const DEFINITION: ApiObject = { metadata: { name: 'gatewayclasses.gateway.networking.k8s.io' } };
/** Resolves when the kinds were looked for `times` times more. */
function looks(api: FakeApi, times: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = times;
  api.onRequest = (seen) => {
    if (seen.path === '/apis' && --left === 0) resolve();
  };
  return promise;
}

test('a server that begins and does not serve yet what its definitions say: nothing is taken for all', async (t) => {
  const { api, sink, source } = await setup(t, {}, (fake) => {
    defineKinds(fake, false);
    fake.put('CustomResourceDefinition', DEFINITION);
  });
  source.start(sink);
  await looks(api, 2);
  assert.equal(sink.isSynced, false);
  assert.equal(source.waiting(), 'GatewayClass: its definition is installed, but the API server does not serve it yet');
  assert.match(source.health().find(({ kind }) => kind === 'HTTPRoute')?.reason ?? '', /does not serve it yet/);
  defineGatewayApi(api);
  api.put('HTTPRoute', route('a', 'r'));
  await sink.until(() => sink.isSynced);
  assert.ok(sink.objects.has('HTTPRoute/a/r'));
  assert.equal(source.waiting(), null);
});

test('a definition whose kind is never served holds a start up for a while, not for ever', async (t) => {
  const prepare = (fake: FakeApi): void => {
    defineKinds(fake, false);
    fake.put('CustomResourceDefinition', DEFINITION);
    fake.put('Service', { metadata: { name: 's', namespace: 'a' }, spec: { ports: [{ port: 80 }] } });
  };
  const { api, sink, source } = await setup(t, {}, prepare, 100);
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(sink.keys(), ['CustomResourceDefinition//gatewayclasses.gateway.networking.k8s.io', 'Service/a/s']);
  assert.ok(api.requests.filter(({ path }) => path === '/apis').length > 1, 'it was looked for again');
});

test('who may not see definitions waits at a start as long as a kind has to be missing', async (t) => {
  const { api, sink, source } = await setup(t, {}, (fake) => defineKinds(fake, false), 100);
  api.fault = (seen) => (seen.path.includes('customresource') ? { status: 403, reason: 'Forbidden' } : null);
  const waiting = new Set<string | null>();
  api.onRequest = () => waiting.add(source.waiting());
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.ok(waiting.has('GatewayClass: whether it is installed'));
});

test('as long as the definition stands, kinds that the server does not serve keep their objects', async (t) => {
  const { api, sink, source } = await setup(t, {}, defineKinds, 100);
  api.put('CustomResourceDefinition', DEFINITION);
  api.put('HTTPRoute', route('a', 'r'));
  source.start(sink);
  await sink.until(() => sink.isSynced);
  const kinds = new Set(['GatewayClass', 'Gateway', 'HTTPRoute', 'ReferenceGrant']);
  for (const kind of kinds) api.undefine(kind);
  // Three times as long as a kind has to be missing whose definition is not seen.
  await looks(api, 30);
  assert.ok(sink.objects.has('HTTPRoute/a/r'));
  api.delete('CustomResourceDefinition', '', DEFINITION.metadata.name);
  await sink.until(() => !sink.objects.has('HTTPRoute/a/r'));
});

test('what may not be listed is said, and nothing is taken for complete', async (t) => {
  const { api, sink, source } = await setup(t);
  api.fault = (seen) => (seen.path.endsWith('/gateways') ? { status: 403, reason: 'Forbidden' } : null);
  source.start(sink);
  const { promise, resolve } = Promise.withResolvers<void>();
  let refused = 0;
  api.onRequest = (seen) => {
    if (seen.path.endsWith('/gateways') && ++refused === 3) resolve();
  };
  await promise;
  assert.equal(sink.isSynced, false);
  assert.equal(source.waiting(), 'Gateway: Forbidden: injected');
  await sink.until(() => sink.told.has('kubernetes'));
  assert.deepEqual(
    sink.told.get('kubernetes')?.map(({ severity, message }) => `${severity} ${message}`),
    ['error Gateway is not read: Forbidden: injected'],
  );
  api.fault = () => null;
  await sink.until(() => sink.isSynced && !sink.told.has('kubernetes'));
});

test('without an API server: it keeps trying and says so', async (t) => {
  const { api, sink, source } = await setup(t);
  api.fault = () => ({ status: 503, reason: 'ServiceUnavailable' });
  source.start(sink);
  const { promise, resolve } = Promise.withResolvers<void>();
  api.onRequest = () => {
    if (api.requests.filter((r) => r.path === '/apis').length === 3) resolve();
  };
  await promise;
  assert.match(source.waiting() ?? '', /^GatewayClass: ServiceUnavailable: injected$/);
  await sink.until(() => sink.told.has('kubernetes'));
  assert.deepEqual(
    sink.told.get('kubernetes')?.map(({ message }) => message),
    [
      'GatewayClass, Gateway, HTTPRoute, ReferenceGrant, Namespace, Service, EndpointSlice are not read: ServiceUnavailable: injected',
    ],
  );
  api.fault = () => null;
  await sink.until(() => sink.isSynced);
});

test('of namespaces, only those that are named are asked about', async (t) => {
  const { api, sink, source } = await setup(t, { namespaces: ['a', 'b'], gatewayClass: 'mine' });
  for (const name of ['mine', 'other']) api.put('GatewayClass', gatewayClass(name));
  for (const name of ['a', 'b', 'c']) {
    api.put('Namespace', { metadata: { name } });
    api.put('HTTPRoute', route(name, 'r'));
  }
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(sink.keys(), [
    'GatewayClass//mine',
    'HTTPRoute/a/r',
    'HTTPRoute/b/r',
    'Namespace//a',
    'Namespace//b',
  ]);
  assert.deepEqual(
    api.requests.filter((r) => /\/(httproutes|services|gateways)$/.test(r.path) && !r.path.includes('/namespaces/')),
    [],
  );
});

test('Secrets are asked for by name, one watch each, by namespace when they are many', async (t) => {
  const { api, sink, source } = await setup(t);
  for (let i = 0; i < 30; i++) api.put('Secret', secret(`s${i}`));
  const asked = (): string[] =>
    api.requests.filter((r) => r.path.includes('secrets')).map((r) => `${r.query.get('fieldSelector')}`);
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(asked(), []);
  source.want('Secret', ['Secret/a/s1', 'Secret/a/absent']);
  await sink.until(() => sink.objects.has('Secret/a/s1'));
  api.put('Secret', secret('absent'));
  await sink.until(() => sink.objects.has('Secret/a/absent'));
  assert.deepEqual(asked().sort(), ['metadata.name=absent', 'metadata.name=s1']);
  const many = Array.from({ length: 12 }, (_, i) => `Secret/a/s${i}`);
  source.want('Secret', many);
  await sink.until(() => sink.keys().length === 12);
  assert.deepEqual(sink.keys(), [...many].sort());
  assert.equal(asked().at(-1), 'null');
  source.want('Secret', [...many, 'Secret/a/s20']);
  await sink.until(() => sink.objects.has('Secret/a/s20'));
  source.want('Secret', []);
  assert.deepEqual(sink.keys(), []);
});

test('of a namespace with many Secrets that are wanted, one more is fetched by itself', async (t) => {
  const { api, sink, source } = await setup(t);
  for (let i = 0; i < 30; i++) api.put('Secret', secret(`s${i}`));
  const wholes = (): number =>
    api.requests.filter((r) => r.path.includes('secrets') && !r.query.has('fieldSelector')).length;
  const many = Array.from({ length: 12 }, (_, i) => `Secret/a/s${i}`);
  source.start(sink);
  await sink.until(() => sink.isSynced);
  source.want('Secret', many);
  await sink.until(() => sink.keys().length === 12);
  const [before, watching] = [wholes(), api.watching];
  for (let i = 12; i < 25; i++) {
    many.push(`Secret/a/s${i}`);
    source.want('Secret', many);
    await sink.until(() => sink.objects.has(`Secret/a/s${i}`));
  }
  assert.equal(wholes(), before);
  // It is followed by the watch of all, and by no other.
  api.put('Secret', { ...secret('s24'), data: { k: 'eQ==' } });
  await sink.until(() => JSON.stringify(sink.objects.get('Secret/a/s24')).includes('eQ=='));
  api.delete('Secret', 'a', 's20');
  await sink.until(() => !sink.objects.has('Secret/a/s20'));
  assert.ok(api.watching <= watching + 1, `${api.watching} watches, ${watching} before`);
  // Many at once: all are fetched anew.
  source.want('Secret', [...many, ...Array.from({ length: 14 }, (_, i) => `Secret/a/t${i}`), 'Secret/a/s29']);
  await sink.until(() => sink.objects.has('Secret/a/s29'));
  assert.ok(wholes() > before);
});

/** As the translator does it: it refers to Secrets as soon as it has seen the route. */
function wantsBoth(
  sink: Awaited<ReturnType<typeof setup>>['sink'],
  source: Awaited<ReturnType<typeof setup>>['source'],
): void {
  const apply = sink.apply.bind(sink);
  sink.apply = (upserts, removals) => {
    apply(upserts, removals);
    if (upserts.some((o) => o.kind === 'HTTPRoute')) source.want('Secret', ['Secret/a/s1', 'Secret/a/s2']);
  };
}

test('what is referred to belongs to the whole; what may not be read does not hold it up', async (t) => {
  const { api, sink, source } = await setup(t);
  api.put('HTTPRoute', route('a', 'r'));
  for (const name of ['s1', 's2']) api.put('Secret', secret(name));
  api.fault = (seen) =>
    seen.query.get('fieldSelector') === 'metadata.name=s2' ? { status: 403, reason: 'Forbidden' } : null;
  wantsBoth(sink, source);
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.ok(sink.objects.has('Secret/a/s1'));
  assert.equal(sink.objects.has('Secret/a/s2'), false);
  assert.match(source.health().find((k) => k.kind === 'Secret')?.reason ?? '', /^Forbidden/);
});

test('a Secret that the server itself cannot read holds the others up for a while, not for ever', async (t) => {
  const { api, sink, source } = await setup(t, {}, defineKinds, 200);
  api.put('HTTPRoute', route('a', 'r'));
  for (const name of ['s1', 's2']) api.put('Secret', secret(name));
  api.fault = (seen) =>
    seen.query.get('fieldSelector') === 'metadata.name=s2' ? { status: 500, reason: 'InternalError' } : null;
  wantsBoth(sink, source);
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(
    sink.keys().filter((key) => key.startsWith('Secret/')),
    ['Secret/a/s1'],
  );
  assert.deepEqual(
    sink.told.get('kubernetes')?.map(({ severity, message }) => `${severity} ${message}`),
    ['error Secret is not read: InternalError: injected'],
  );
  api.fault = () => null;
  await sink.until(() => sink.objects.has('Secret/a/s2'));
});

test("the Gateway API's version is delivered with the definition's metadata alone", async (t) => {
  const { api, sink, source } = await setup(t);
  const name = 'gatewayclasses.gateway.networking.k8s.io';
  const annotations = {
    'gateway.networking.k8s.io/bundle-version': 'v1.6.1',
    'gateway.networking.k8s.io/channel': 'standard',
  };
  api.put('CustomResourceDefinition', { metadata: { name, annotations }, spec: { group: 'large' } });
  source.start(sink);
  await sink.until(() => sink.objects.has(`CustomResourceDefinition//${name}`));
  assert.deepEqual(sink.objects.get(`CustomResourceDefinition//${name}`), {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name, annotations },
  });
  const seen = api.requests.find((r) => r.path.includes('customresourcedefinitions'));
  assert.match(seen?.headers.accept ?? '', /as=PartialObjectMetadata/);
});

test('an object that is wrong is named and left out; its neighbours come', async (t) => {
  const { api, sink, source } = await setup(t);
  api.put('HTTPRoute', route('a', 'good'));
  api.put('HTTPRoute', { metadata: { name: 'bad', namespace: 'a' }, spec: { hostnames: 'no list', futureField: 1 } });
  source.start(sink);
  await sink.until(() => sink.isSynced);
  assert.deepEqual(sink.keys(), ['HTTPRoute/a/good']);
  assert.deepEqual(
    sink.told.get('kubernetes HTTPRoute/a/bad')?.map((p) => [p.severity, p.place.field]),
    [
      ['error', 'spec.hostnames'],
      ['warning', 'spec.futureField'],
    ],
  );
  api.put('HTTPRoute', route('a', 'bad'));
  await sink.until(() => sink.objects.has('HTTPRoute/a/bad'));
  assert.equal(sink.told.size, 0);
});

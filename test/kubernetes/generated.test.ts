// What is made for Gateways, into an API server over real sockets: when it is written, onto what, and what goes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindInfo } from '../../src/api/kinds.ts';
import type { KubeObject, ObjectKey } from '../../src/api/object.ts';
import type { KindInfo } from '../../src/api/shape.ts';
import { GeneratedWriter } from '../../src/publish/kubernetes/generated-writer.ts';
import { KubernetesSource } from '../../src/source/kubernetes/kubernetes-source.ts';
import { Store } from '../../src/store/store.ts';
import type { Exposure } from '../../src/translate/context.ts';
import { Translator } from '../../src/translate/translator.ts';
import { type ApiObject, defineKinds, FakeApi, type Seen } from './fake-api.ts';
import { fastTime, NOWHERE, rig } from './support.ts';

const SERVICE = 'Service/a/gw-rauta';
const US = 'rauta.io/gateway-controller';
const pod = (name: string, ip: string, ready = 'True'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'rauta-system' },
  spec: { nodeName: 'n', hostNetwork: false },
  status: { podIPs: [{ ip }], hostIPs: [{ ip: '192.0.2.1' }], conditions: [{ type: 'Ready', status: ready }] },
});

/** Translation and writer over the fake server: what Gateways are is said there, what pods are is said here. */
class World {
  readonly api = new FakeApi();
  readonly store = new Store();
  readonly troubles: string[] = [];
  leads = true;
  writer!: GeneratedWriter;
  source!: KubernetesSource;
  translator!: Translator;
  isSynced = false;
  #waiting: (() => void)[] = [];

  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    const keys = this.store.apply(upserts, removals);
    const { generated } = this.translator.update(this.store, { keys });
    for (const [key, wanted] of generated) this.writer.write(key, wanted);
    this.writer.seen(keys);
    this.news();
  }
  problems(): void {}
  synced(): void {
    this.isSynced = true;
    this.news();
  }
  news(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  made(kind: string, name: string): ApiObject | undefined {
    return this.api.get(kind, 'a', name);
  }
  writes(): string[] {
    const isWrite = ({ method }: Seen): boolean => method === 'PATCH' || method === 'DELETE';
    return this.api.requests.filter(isWrite).map(({ method, path }) => `${method} ${path.split('/').at(-1)}`);
  }
  count(result: string): number {
    return [...this.writer.counts()].filter((c) => c.result === result).reduce((sum, { count }) => sum + count, 0);
  }
  gateway(metadata: Partial<ApiObject['metadata']> = {}, spec: object = {}): void {
    this.api.put('Gateway', {
      metadata: { name: 'gw', namespace: 'a', ...metadata },
      spec: { gatewayClassName: 'rauta', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }], ...spec },
    });
  }
  /** Everything that is under way has come back by the watch. */
  async quiet(): Promise<void> {
    const { metadata } = this.api.put('Namespace', { metadata: { name: `probe-${this.api.requests.length}` } });
    await this.until(() => this.store.get('Namespace', '', metadata.name) !== undefined);
  }
}

async function setup(t: Parameters<typeof rig>[0], exposure: Partial<Exposure> = {}): Promise<World> {
  const world = new World();
  defineKinds(world.api);
  world.api.put('GatewayClass', { metadata: { name: 'rauta' }, spec: { controllerName: US } });
  const { client, tools } = rig(t, await world.api.listen(), 10);
  const kinds = ['GatewayClass', 'Gateway', 'Service', 'EndpointSlice', 'Namespace'].map(
    (k) => kindInfo(k) as KindInfo,
  );
  const narrow = { named: [], namespaces: [], gatewayClass: null, own: NOWHERE };
  world.source = new KubernetesSource({ kinds, ...narrow }, tools);
  world.translator = new Translator({
    controllerName: US,
    implicitClass: null,
    defaultAddresses: ['0.0.0.0'],
    portMap: new Map(),
    exposure: { serviceType: 'LoadBalancer', published: null, ...exposure },
  });
  const { timers, now } = fastTime(10);
  world.writer = new GeneratedWriter({
    api: client,
    timers,
    now,
    leads: () => world.leads,
    find: (key) => {
      const [kind = '', namespace = '', name = ''] = key.split('/');
      return world.store.get(kind, namespace, name);
    },
    pathOf: (object) => world.source.pathOf(object),
    onTrouble: (gateway, reason, message) => {
      world.troubles.push(`${gateway} ${reason}: ${message}`);
      world.news();
    },
  });
  t.after(async () => {
    world.writer.stop();
    await world.source.stop();
    await world.api.close();
  });
  world.api.onRequest = () => setImmediate(() => world.news());
  world.source.start(world);
  world.apply([pod('one', '10.1.0.1')], []);
  await world.until(() => world.isSynced);
  return world;
}

const stands = (world: World): boolean =>
  world.store.get('Service', 'a', 'gw-rauta') !== undefined &&
  world.store.get('EndpointSlice', 'a', 'gw-rauta-ipv4') !== undefined;

test('made once; what changes is written, what is no longer said goes, and nothing else is touched', async (t) => {
  const world = await setup(t);
  world.gateway({}, { infrastructure: { labels: { team: 'x' }, annotations: { size: 'small' } } });
  await world.until(() => stands(world));
  for (let i = 0; i < 3; i++) await world.quiet();
  assert.deepEqual(world.writes().sort(), ['PATCH gw-rauta', 'PATCH gw-rauta-ipv4']);
  const first = world.made('Service', 'gw-rauta') as ApiObject;
  // Others have their part of it: an annotation, the address.
  const note = { ...(first.metadata['annotations'] as object), other: 'theirs' };
  const status = { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } };
  world.api.put('Service', { ...first, metadata: { ...first.metadata, annotations: note }, status });
  await world.quiet();
  assert.equal(world.writes().length, 2, 'what others add is theirs');
  world.gateway({}, { infrastructure: { labels: { unit: 'y' } } });
  const metadata = (): Record<string, Record<string, string>> =>
    world.made('Service', 'gw-rauta')?.metadata as unknown as Record<string, Record<string, string>>;
  await world.until(() => metadata()['labels']?.['unit'] === 'y');
  assert.equal(metadata()['labels']?.['team'], undefined);
  assert.equal(metadata()['annotations']?.['size'], undefined);
  assert.equal(metadata()['annotations']?.['other'], 'theirs');
  assert.deepEqual(world.made('Service', 'gw-rauta')?.['status'], status);
});

interface Listed {
  readonly addresses: readonly string[];
  readonly conditions: object;
}

test('slices follow the pods', async (t) => {
  const world = await setup(t);
  world.gateway();
  await world.until(() => stands(world));
  const endpoints = (): string[] =>
    ((world.made('EndpointSlice', 'gw-rauta-ipv4') as ApiObject)['endpoints'] as Listed[]).map(
      (e) => `${e.addresses[0]} ${Object.values(e.conditions).join(' ')}`,
    );
  assert.deepEqual(endpoints(), ['10.1.0.1 true true false']);
  world.apply([pod('two', '10.1.0.2')], []);
  await world.until(() => endpoints().length === 2);
  world.apply([pod('one', '10.1.0.1', 'False')], []);
  await world.until(() => endpoints()[0] === '10.1.0.1 false false false');
  world.apply([], ['Pod/rauta-system/one']);
  await world.until(() => endpoints().length === 1);
  assert.deepEqual(endpoints(), ['10.1.0.2 true true false']);
  assert.equal(world.writes().filter((w) => w === 'PATCH gw-rauta').length, 1, 'the Service is as it was');
});

test('only the leader makes them; who begins to lead makes what is missing', async (t) => {
  const world = await setup(t);
  world.leads = false;
  world.gateway();
  await world.until(() => world.store.get('Gateway', 'a', 'gw') !== undefined);
  await world.quiet();
  assert.deepEqual(world.writes(), []);
  world.leads = true;
  world.writer.lead();
  await world.until(() => stands(world));
});

test('what somebody deleted is made again, also when that was while another one led', async (t) => {
  const world = await setup(t);
  world.gateway();
  await world.until(() => stands(world));
  for (const leads of [true, false]) {
    const uid = world.made('Service', 'gw-rauta')?.metadata.uid;
    const has = (): boolean => world.store.get('Service', 'a', 'gw-rauta')?.metadata.uid === uid;
    await world.until(has);
    world.leads = leads;
    world.api.delete('Service', 'a', 'gw-rauta');
    await world.until(() => !has());
    if (!leads) {
      await world.quiet();
      assert.equal(world.made('Service', 'gw-rauta'), undefined);
      world.leads = true;
      world.writer.lead();
    }
    await world.until(() => world.made('Service', 'gw-rauta') !== undefined);
  }
});

test('a lease that ended between decision and first byte: nothing is sent', async (t) => {
  const world = await setup(t);
  world.api.onRequest = (seen) => {
    // It is asked whether there is one; meanwhile another leads.
    if (seen.method === 'GET' && seen.path.endsWith('/gw-rauta')) world.leads = false;
    setImmediate(() => world.news());
  };
  world.gateway();
  await world.until(() => !world.leads);
  await world.quiet();
  assert.deepEqual(
    world.writes().filter((w) => w === 'PATCH gw-rauta'),
    [],
  );
});

test('a Service of that name that somebody made is never taken, also when it comes at the last moment', async (t) => {
  const world = await setup(t);
  const theirs: ApiObject = { metadata: { name: 'gw-rauta', namespace: 'a' }, spec: { ports: [{ port: 7 }] } };
  world.api.fault = (seen) => {
    // Right behind the question whether there is one.
    const apply = seen.method === 'PATCH' && seen.path.endsWith('/services/gw-rauta');
    if (apply && world.made('Service', 'gw-rauta') === undefined) world.api.put('Service', theirs);
    return null;
  };
  world.gateway();
  await world.until(() => world.troubles.length > 0);
  await world.quiet();
  assert.deepEqual((world.made('Service', 'gw-rauta') as ApiObject)['spec'], { ports: [{ port: 7 }] });
  assert.match(world.troubles.join('\n'), /^Gateway\/a\/gw NotMade: Service a\/gw-rauta was not made for this Gateway/);
  // They give it up.
  world.api.delete('Service', 'a', 'gw-rauta');
  await world.until(() => stands(world));
});

test('a Service that comes at the last moment and contradicts nothing: what was written into it is taken back', async (t) => {
  const world = await setup(t);
  const theirs: ApiObject = {
    metadata: { name: 'gw-rauta', namespace: 'a', labels: { mine: 'yes' } },
    spec: { clusterIP: 'None', ports: [{ name: 'http-80', port: 80, protocol: 'TCP', targetPort: 80 }] },
  };
  world.api.fault = (seen) => {
    const apply = seen.method === 'PATCH' && seen.path.endsWith('/services/gw-rauta');
    if (apply && world.made('Service', 'gw-rauta') === undefined) world.api.put('Service', theirs);
    return null;
  };
  world.gateway();
  const written = (): number => world.writes().filter((w) => w === 'PATCH gw-rauta').length;
  await world.until(() => written() === 2 && world.troubles.some((line) => line.includes('NotMade')));
  await world.quiet();
  assert.equal(written(), 2, 'one that was made, one that takes it back');
  // (What both say the same of is both's, which this server does not know: its ports are not looked at.)
  const { metadata } = world.made('Service', 'gw-rauta') as ApiObject;
  assert.deepEqual([metadata['labels'], metadata['annotations']], [theirs.metadata['labels'], {}]);
  assert.equal(metadata['ownerReferences'], undefined);
});

test('somebody who changes what is ours again and again wins, and is named', async (t) => {
  const world = await setup(t);
  world.gateway();
  await world.until(() => stands(world));
  world.api.onRequest = (seen) => {
    if (seen.method === 'PATCH' && seen.path.endsWith('/services/gw-rauta')) setImmediate(meddle);
    setImmediate(() => world.news());
  };
  function meddle(): void {
    const now = world.made('Service', 'gw-rauta') as ApiObject;
    world.api.put('Service', { ...now, spec: { ...(now['spec'] as object), type: 'ClusterIP' } });
  }
  meddle();
  await world.until(() => world.troubles.length > 0);
  assert.deepEqual(world.troubles, [
    `Gateway/a/gw LeftAlone: ${SERVICE.replace('/', ' ')}: somebody changes what is written into it; it is left so.`,
  ]);
  await world.quiet();
  assert.equal(world.writes().filter((w) => w === 'PATCH gw-rauta').length, 4, 'the first and three times more');
});

test('no longer wanted: it goes, if it is what was looked at; what is not ours stays', async (t) => {
  const world = await setup(t, { serviceType: null });
  const annotations = {
    'rauta.io/controller-name': US,
    'rauta.io/gateway': 'gw',
    'rauta.io/gateway-uid': 'uid-gw',
  };
  const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
  world.api.put('Service', { metadata: { name: 'gw-rauta', namespace: 'a', annotations }, spec });
  world.api.put('Service', { metadata: { name: 'other', namespace: 'a' }, spec });
  let first = true;
  world.api.fault = (seen) => {
    if (seen.method !== 'DELETE' || !first) return null;
    first = false;
    // It changes while it is being deleted: it is looked at again.
    const now = world.made('Service', 'gw-rauta') as ApiObject;
    world.api.put('Service', { ...now, spec: { ...spec, ports: [{ port: 81 }] } });
    return null;
  };
  world.gateway();
  const { uid } = (world.api.get('Gateway', 'a', 'gw') as ApiObject).metadata;
  const again = { ...annotations, 'rauta.io/gateway-uid': uid as string };
  world.api.put('Service', { metadata: { name: 'gw-rauta', namespace: 'a', annotations: again }, spec });
  await world.until(() => world.made('Service', 'gw-rauta') === undefined);
  await world.until(() => world.count('removed') === 1);
  assert.equal(world.count('conflict'), 1);
  assert.ok(world.made('Service', 'other'));
});

test('a server that is busy is asked again; a missing right is said once and tried until it is there', async (t) => {
  const world = await setup(t);
  let n = 0;
  const answers = [500, 429, 403, 403];
  world.api.fault = (seen) => {
    if (seen.method !== 'PATCH' || !seen.path.endsWith('/services/gw-rauta')) return null;
    const status = answers[n++];
    return status === undefined ? null : { status, reason: status === 403 ? 'Forbidden' : 'Busy' };
  };
  world.gateway();
  await world.until(() => stands(world));
  assert.deepEqual(world.troubles, [
    `Gateway/a/gw NotWritten: Service a/gw-rauta cannot be written: Forbidden: injected`,
  ]);
  assert.equal(n, 5);
});

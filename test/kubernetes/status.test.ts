// Statuses into an API server over real sockets: what is written, how often, and who else writes there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindInfo } from '../../src/api/kinds.ts';
import type { KubeObject, ObjectKey } from '../../src/api/object.ts';
import type { Problem } from '../../src/api/problem.ts';
import type { KindInfo } from '../../src/api/shape.ts';
import { StatusWriter } from '../../src/publish/kubernetes/status-writer.ts';
import { KubernetesSource } from '../../src/source/kubernetes/kubernetes-source.ts';
import { Store } from '../../src/store/store.ts';
import { condition, type GatewayStatus, type RouteStatus } from '../../src/translate/conditions.ts';
import { type ApiObject, defineKinds, FakeApi } from './fake-api.ts';
import { fastTime, NOWHERE, rig } from './support.ts';

const US = 'rauta.io/gateway-controller';
const parentRef = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gw' };
const routeStatus = (generation = 1): RouteStatus => ({
  parents: [{ parentRef, controllerName: US, conditions: [condition('routeAccepted', generation)] }],
});
const gatewayStatus = (attachedRoutes: number): GatewayStatus => ({
  addresses: [{ type: 'IPAddress', value: '10.0.0.1' }],
  conditions: [condition('gatewayAccepted', 1)],
  listeners: [{ name: 'http', supportedKinds: [], attachedRoutes, conditions: [condition('listenerAccepted', 1)] }],
});
const route = (name: string): ApiObject => ({
  metadata: { name, namespace: 'a' },
  spec: { parentRefs: [{ name: 'gw' }] },
});
const gateway: ApiObject = {
  metadata: { name: 'gw', namespace: 'a' },
  spec: { gatewayClassName: 'rauta', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
};

class World {
  readonly api = new FakeApi();
  readonly store = new Store();
  readonly troubles: string[] = [];
  leads = true;
  writer!: StatusWriter;
  source!: KubernetesSource;
  isSynced = false;
  #waiting: (() => void)[] = [];

  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    this.writer.seen(this.store.apply(upserts, removals));
    this.#news();
  }
  problems(_: string, __: readonly Problem[]): void {}
  synced(): void {
    this.isSynced = true;
    this.#news();
  }
  trouble(line: string): void {
    this.troubles.push(line);
    this.#news();
  }
  #news(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  status(kind: string, name: string): Record<string, unknown> | undefined {
    return this.api.get(kind, 'a', name)?.['status'] as Record<string, unknown> | undefined;
  }
  parents(name: string): string[] {
    const parents = (this.status('HTTPRoute', name)?.['parents'] ?? []) as { controllerName: string }[];
    return parents.map((p) => p.controllerName);
  }
  writes(kind: string): number {
    return this.api.requests.filter((r) => r.method === 'PATCH' && r.path.includes(`/${kind}/`)).length;
  }
  /** Everything that is under way has come back by the watch. */
  async quiet(name = 'probe'): Promise<void> {
    this.api.put('Service', { metadata: { name, namespace: 'a' }, spec: { ports: [{ port: 80 }] } });
    const version = this.api.get('Service', 'a', name)?.metadata.resourceVersion;
    await this.until(() => this.store.get('Service', 'a', name)?.metadata.resourceVersion === version);
  }
}

async function setup(
  t: Parameters<typeof rig>[0],
  prepare: (api: FakeApi) => void = () => {},
  qps = 10_000,
): Promise<World> {
  const world = new World();
  defineKinds(world.api);
  prepare(world.api);
  const { client, tools } = rig(t, await world.api.listen(), 10, qps);
  const info = (kind: string): KindInfo => kindInfo(kind) as KindInfo;
  const kinds = ['Gateway', 'HTTPRoute', 'Ingress', 'Service'].map(info);
  world.source = new KubernetesSource({ kinds, named: [], namespaces: [], gatewayClass: null, own: NOWHERE }, tools);
  const { timers, now } = fastTime(10);
  world.writer = new StatusWriter(US, {
    api: client,
    timers,
    now,
    wall: () => new Date(now()),
    leads: () => world.leads,
    find: (key) => {
      const [kind = '', namespace = '', name = ''] = key.split('/');
      return world.store.get(kind, namespace, name);
    },
    pathOf: (object) => world.source.pathOf(object),
    onWritten: () => {},
    onTrouble: (key, message) => world.trouble(`${key}: ${message}`),
  });
  t.after(async () => {
    world.writer.stop();
    await world.source.stop();
    await world.api.close();
  });
  world.source.start(world);
  await world.until(() => world.isSynced);
  return world;
}

const KEY = 'HTTPRoute/a/r';

test('written once, kept when nothing changes, taken back when nothing is said', async (t) => {
  const world = await setup(t, (api) => api.put('HTTPRoute', route('r')));
  world.writer.write(KEY, routeStatus());
  await world.until(() => world.parents('r').length === 1);
  for (let i = 0; i < 5; i++) {
    world.writer.write(KEY, routeStatus());
    await world.quiet();
  }
  assert.equal(world.writes('httproutes'), 1);
  world.writer.write(KEY, null);
  await world.until(() => world.parents('r').length === 0);
  assert.deepEqual([...world.writer.counts()], [{ kind: 'HTTPRoute', result: 'ok', count: 2 }]);
});

test('only the leader writes; who begins to lead writes what is missing', async (t) => {
  const world = await setup(t, (api) => api.put('HTTPRoute', route('r')));
  world.leads = false;
  world.writer.write(KEY, routeStatus());
  await world.quiet();
  assert.equal(world.writes('httproutes'), 0);
  world.leads = true;
  world.writer.lead();
  await world.until(() => world.parents('r').length === 1);
});

test('another controller writes to the same routes at the same time: both entries stand, and it ends', async (t) => {
  const world = await setup(t, (api) => {
    for (let i = 0; i < 30; i++) api.put('HTTPRoute', route(`r${i}`));
  });
  // The other writes after each of our reads, so that our first tries meet its version.
  const other = (name: string): void => {
    const object = world.api.get('HTTPRoute', 'a', name) as ApiObject;
    const parents = ((object['status'] as { parents?: unknown[] } | undefined)?.parents ?? []).filter(
      (p) => (p as { controllerName: string }).controllerName !== 'other',
    );
    const theirs = { parentRef, controllerName: 'other', conditions: [] };
    world.api.put('HTTPRoute', { ...object, status: { parents: [theirs, ...parents] } });
  };
  let left = 40;
  world.api.fault = (seen) => {
    const name = /httproutes\/(r\d+)\/status/.exec(seen.path)?.[1];
    if (name !== undefined && left-- > 0) other(name);
    return null;
  };
  for (let i = 0; i < 30; i++) world.writer.write(`HTTPRoute/a/r${i}`, routeStatus());
  const done = (): boolean => Array.from({ length: 30 }, (_, i) => world.parents(`r${i}`)).every((p) => p.includes(US));
  await world.until(done);
  for (let i = 0; i < 30; i++) other(`r${i}`);
  await world.quiet('one');
  const writes = world.writes('httproutes');
  await world.quiet('two');
  assert.equal(world.writes('httproutes'), writes, 'a fixed point');
  for (let i = 0; i < 30; i++) assert.deepEqual(world.parents(`r${i}`).sort(), ['other', US].sort());
  const conflicts = [...world.writer.counts()].find((c) => c.result === 'conflict')?.count ?? 0;
  assert.ok(conflicts >= 30, `${conflicts} conflicts were solved`);
});

test('somebody who takes our entry away every time wins, and is named', async (t) => {
  const world = await setup(t, (api) => api.put('HTTPRoute', route('r')));
  let fights = 0;
  const fight = setInterval(() => {
    if (!world.parents('r').includes(US)) return;
    fights++;
    world.api.put('HTTPRoute', { ...(world.api.get('HTTPRoute', 'a', 'r') as ApiObject), status: { parents: [] } });
  }, 1);
  t.after(async () => clearInterval(fight));
  world.writer.write(KEY, routeStatus());
  await world.until(() => world.troubles.length > 0);
  assert.deepEqual(world.troubles, [`${KEY}: somebody takes away what is written into its status; it is left so`]);
  assert.equal(fights, 4, 'the first and three times more');
  await world.quiet();
  assert.equal(world.writes('httproutes'), 4);
});

test('1,000 routes on one Gateway: few writes of the Gateway, one of each route', async (t) => {
  const world = await setup(t, (api) => {
    api.put('Gateway', gateway);
    for (let i = 0; i < 1_000; i++) api.put('HTTPRoute', route(`r${i}`));
  });
  for (let i = 0; i < 1_000; i++) {
    world.writer.write('Gateway/a/gw', gatewayStatus(i + 1));
    world.writer.write(`HTTPRoute/a/r${i}`, routeStatus());
    // As they arrive: a few at a time.
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const attached = (): unknown =>
    (world.status('Gateway', 'gw')?.['listeners'] as { attachedRoutes: number }[] | undefined)?.[0]?.attachedRoutes;
  const accepted = (): number => world.api.all('HTTPRoute').filter((r) => r['status'] !== undefined).length;
  await world.until(() => attached() === 1_000 && accepted() === 1_000);
  await world.quiet();
  assert.equal(world.writes('httproutes'), 1_000);
  assert.ok(world.writes('gateways') < 50, `${world.writes('gateways')} writes of the Gateway`);
  assert.deepEqual(world.troubles, []);
});

test('a server that is busy or away is asked again; what it will not have is said once', async (t) => {
  const world = await setup(t, (api) => {
    api.put('HTTPRoute', route('r'));
    api.put('HTTPRoute', route('bad'));
  });
  let n = 0;
  const faults = [{ status: 429, retryAfter: 1 }, { status: 500 }, { truncate: 5 }, { status: 503 }];
  world.api.fault = (seen) => {
    if (seen.method !== 'PATCH') return null;
    if (seen.path.includes('/bad/')) return { status: 422, reason: 'Invalid' };
    return faults[n++] ?? null;
  };
  world.writer.write('HTTPRoute/a/bad', routeStatus());
  world.writer.write(KEY, routeStatus());
  await world.until(() => world.parents('r').length === 1);
  await world.quiet();
  assert.deepEqual(
    world.troubles.filter((line) => line.includes('/bad:')),
    ['HTTPRoute/a/bad: its status cannot be written: Invalid: injected'],
  );
  assert.equal(world.api.requests.filter((r) => r.path.includes('/bad/')).length, 1);
});

test('an object that is gone before it is written is nothing to speak of', async (t) => {
  const world = await setup(t, (api) => api.put('HTTPRoute', route('r')));
  world.api.fault = (seen) => {
    if (seen.method === 'PATCH') world.api.delete('HTTPRoute', 'a', 'r');
    return null;
  };
  world.writer.write(KEY, routeStatus());
  await world.until(() => world.store.get('HTTPRoute', 'a', 'r') === undefined);
  await world.quiet();
  assert.deepEqual(world.troubles, []);
});

test('a server that answers 404 for what is there, as one that has just begun does, is asked again', async (t) => {
  const world = await setup(t, (api) => api.put('HTTPRoute', route('r')));
  let left = 2;
  world.api.fault = (seen) => (seen.method === 'PATCH' && left-- > 0 ? { status: 404, reason: 'NotFound' } : null);
  world.writer.write(KEY, routeStatus());
  await world.until(() => world.parents('r').length === 1);
  assert.deepEqual(world.troubles, []);
  // Likewise where a fresh copy is asked for after a conflict.
  world.api.fault = (seen) => {
    if (seen.method === 'PATCH') return { status: 409, reason: 'Conflict' };
    if (!seen.path.endsWith('/httproutes/r')) return null;
    world.api.fault = () => null;
    return { status: 404, reason: 'NotFound' };
  };
  world.writer.write(KEY, routeStatus(2));
  const observed = (): unknown => JSON.stringify(world.status('HTTPRoute', 'r')).includes('"observedGeneration":2');
  await world.until(() => observed() === true);
});

test('what an earlier program said of objects that nothing is said of goes, and nothing else', async (t) => {
  const said = (name: string, ...controllers: string[]): ApiObject => ({
    ...route(name),
    status: { parents: controllers.map((controllerName) => ({ parentRef, controllerName, conditions: [] })) },
  });
  const world = await setup(t, (api) => {
    api.put('HTTPRoute', said('left', 'other', US));
    api.put('HTTPRoute', said('theirs', 'other'));
    api.put('HTTPRoute', said('r', US));
  });
  world.leads = false;
  world.writer.write(KEY, routeStatus());
  world.writer.forgotten(world.store.all());
  await world.quiet();
  assert.equal(world.writes('httproutes'), 0, 'another program leads');
  world.leads = true;
  world.writer.lead();
  await world.until(() => world.parents('left').length === 1);
  await world.quiet('again');
  assert.deepEqual(
    ['left', 'theirs', 'r'].map((name) => world.parents(name).join()),
    ['other', 'other', US],
  );
  assert.equal(world.writes('httproutes'), 2);
});

test('an object that goes and comes back, unchanged, before anybody looked is written again, however often', async (t) => {
  const world = await setup(t, (api) => api.put('HTTPRoute', route('r')));
  world.writer.write(KEY, routeStatus());
  await world.until(() => world.parents('r').length === 1);
  for (let i = 0; i < 6; i++) {
    await world.quiet();
    const { uid } = world.api.get('HTTPRoute', 'a', 'r')?.metadata ?? {};
    world.api.delete('HTTPRoute', 'a', 'r');
    world.api.put('HTTPRoute', route('r'));
    // The stream has nothing new to say: it is the same object but for its uid.
    await world.until(() => {
      const { metadata } = world.store.get('HTTPRoute', 'a', 'r') ?? {};
      return metadata !== undefined && metadata.uid !== uid && world.parents('r').length === 1;
    });
  }
  assert.deepEqual(world.troubles, []);
});

test('an Ingress that leaves keeps no address of ours, and the address of whoever has it now', async (t) => {
  const ingress = (name: string): ApiObject => ({ metadata: { name, namespace: 'a' }, spec: {} });
  const names = ['left', 'taken', 'back', 'gone'];
  const world = await setup(t, (api) => {
    for (const name of names) api.put('Ingress', ingress(name));
  });
  const addresses = (name: string): string =>
    JSON.stringify((world.status('Ingress', name)?.['loadBalancer'] as { ingress?: unknown })?.ingress ?? null);
  const ours = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
  for (const name of names) world.writer.write(`Ingress/a/${name}`, ours);
  await world.until(() => names.every((name) => addresses(name).includes('192.0.2.1')));
  // Somebody is faster, and we are told by a conflict.
  const theirs = { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } };
  const taken = world.api.get('Ingress', 'a', 'taken') as ApiObject;
  world.api.putStatus('Ingress', taken, theirs);
  for (const name of ['left', 'taken', 'back']) world.writer.write(`Ingress/a/${name}`, null);
  world.writer.write('Ingress/a/back', ours);
  world.api.delete('Ingress', 'a', 'gone');
  world.writer.write('Ingress/a/gone', null);
  await world.until(() => addresses('left') === '[]');
  await world.quiet();
  await world.until(() => addresses('back') === '[{"ip":"192.0.2.1"}]');
  assert.equal(addresses('taken'), '[{"ip":"192.0.2.2"}]');
  // Whoever takes it over later says the same address, as on one node, and has it.
  world.api.putStatus('Ingress', world.api.get('Ingress', 'a', 'left') as ApiObject, ours);
  await world.quiet('later');
  assert.equal(addresses('left'), '[{"ip":"192.0.2.1"}]');
  assert.deepEqual(world.troubles, []);
});

// Whatever the API server does to its watchers, in the end a reflector holds what the server holds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Collection, type RawName, type RawObject, Reflector } from '../../src/source/kubernetes/reflector.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import { type ApiObject, FakeApi } from './fake-api.ts';
import { rig } from './support.ts';

const ROUTES = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', plural: 'httproutes' };
const COLLECTION: Collection = {
  kind: ROUTES.kind,
  apiVersion: ROUTES.apiVersion,
  path: `/apis/${ROUTES.apiVersion}/${ROUTES.plural}`,
};

/** Remembers what it was given, and can be waited for. */
class Mirror {
  readonly objects = new Map<RawName, RawObject>();
  isMissing = false;
  #waiting: (() => void)[] = [];
  apply(upserts: readonly RawObject[], removals: readonly RawName[]): void {
    for (const object of upserts)
      this.objects.set(`${object.metadata.namespace ?? ''}/${object.metadata.name}`, object);
    for (const name of removals) this.objects.delete(name);
    this.changed();
  }
  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
  missing(): void {
    this.isMissing = true;
    this.changed();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  versions(): Record<string, string | undefined> {
    return Object.fromEntries(
      [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([n, o]) => [n, o.metadata.resourceVersion]),
    );
  }
}

function versionsOf(api: FakeApi): Record<string, string | undefined> {
  const all = api
    .all('HTTPRoute')
    .map((o): [string, string | undefined] => [
      `${o.metadata.namespace}/${o.metadata.name}`,
      o.metadata.resourceVersion,
    ]);
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const same = (api: FakeApi, mirror: Mirror): boolean =>
  JSON.stringify(versionsOf(api)) === JSON.stringify(mirror.versions());

const route = (i: number, note = 0): ApiObject => ({
  metadata: { name: `route-${i}`, namespace: `ns-${i % 3}`, annotations: { note: String(note) } },
  spec: { hostnames: [`h${i}.example.com`] },
});

interface Setup {
  readonly api: FakeApi;
  readonly mirror: Mirror;
  readonly reflector: Reflector;
  readonly start: () => void;
}

async function setup(t: Parameters<typeof rig>[0], routes: number, speed = 20): Promise<Setup> {
  const api = new FakeApi();
  api.define(ROUTES.apiVersion, ROUTES.kind, ROUTES.plural);
  for (let i = 0; i < routes; i++) api.put('HTTPRoute', route(i));
  const url = await api.listen();
  const { tools } = rig(t, url, speed);
  const mirror = new Mirror();
  const reflector = new Reflector(COLLECTION, mirror, tools);
  t.after(async () => {
    reflector.stop();
    await api.close();
  });
  return { api, mirror, reflector, start: () => reflector.start() };
}

const lists = (api: FakeApi): number => api.requests.filter((r) => !r.watch && !r.query.has('continue')).length;
const fills = (api: FakeApi): number =>
  lists(api) + api.requests.filter((r) => r.query.has('sendInitialEvents')).length;

test('a server that streams: one watch fills and follows', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 1_200);
  start();
  await mirror.until(() => reflector.health.synced);
  assert.equal(mirror.objects.size, 1_200);
  api.put('HTTPRoute', route(7, 1));
  api.delete('HTTPRoute', 'ns-2', 'route-8');
  api.put('HTTPRoute', route(5_000));
  await mirror.until(() => same(api, mirror));
  assert.equal(api.requests.length, 1);
  assert.equal(reflector.health.reason, null);
});

test('a server that does not stream: pages of 500, and nobody asks it to stream twice', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 1_200);
  api.streams = false;
  start();
  await mirror.until(() => reflector.health.synced);
  assert.equal(mirror.objects.size, 1_200);
  assert.deepEqual(
    api.requests.filter((r) => !r.watch).map((r) => r.query.get('limit')),
    ['500', '500', '500'],
  );
  reflector.relist('asked');
  api.put('HTTPRoute', route(9_000));
  await mirror.until(() => same(api, mirror));
  assert.equal(api.requests.filter((r) => r.query.has('sendInitialEvents')).length, 1);
});

test('pages that have come stay when the next one fails; a page that is refused begins the list anew', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 1_200);
  api.streams = false;
  const pages = (): string[] =>
    api.requests.filter((r) => !r.watch).map((r) => (r.query.has('continue') ? 'next' : 'first'));
  let failing = 3;
  api.fault = (seen) => {
    if (!seen.query.has('continue') || failing-- <= 0) return null;
    return failing === 1 ? { truncate: 1_000 } : { status: 500 };
  };
  start();
  await mirror.until(() => reflector.health.synced);
  assert.deepEqual(pages(), ['first', 'next', 'next', 'next', 'next', 'next']);
  assert.equal(mirror.objects.size, 1_200);
  api.requests.length = 0;
  failing = 1;
  api.fault = (seen) => (seen.query.has('continue') && failing-- > 0 ? { status: 410, reason: 'Expired' } : null);
  reflector.relist('asked');
  api.delete('HTTPRoute', 'ns-2', 'route-8');
  await mirror.until(() => same(api, mirror) && pages().length === 5);
  assert.deepEqual(pages(), ['first', 'next', 'first', 'next', 'next']);
});

test('who asks for everything anew again and again, while it is fetched, gets it', async (t) => {
  for (const streams of [false, true]) {
    const { api, mirror, reflector, start } = await setup(t, 1_200);
    api.streams = streams;
    start();
    await mirror.until(() => reflector.health.synced);
    api.requests.length = 0;
    let left = 30;
    api.onRequest = () => {
      if (left-- > 0) reflector.relist('asked');
    };
    api.put('HTTPRoute', route(9_000));
    reflector.relist('asked');
    await mirror.until(() => same(api, mirror));
    const { promise, resolve } = Promise.withResolvers<void>();
    api.onRequest = (seen) => {
      reflector.relist('asked');
      if (seen.query.has('continue') || streams) resolve();
    };
    reflector.relist('asked');
    await promise;
    api.onRequest = () => {};
    await mirror.until(() => same(api, mirror));
    assert.equal(mirror.objects.size, 1_201);
  }
});

test('a watch that is cut goes on from where it was, without a new list', async (t) => {
  for (const how of ['end', 'reset', 'half', 'garbage'] as const) {
    const { api, mirror, reflector, start } = await setup(t, 10);
    start();
    await mirror.until(() => reflector.health.synced);
    for (let i = 0; i < 20; i++) {
      api.put('HTTPRoute', route(i, i));
      await mirror.until(() => same(api, mirror));
      api.cut(how);
      api.delete('HTTPRoute', `ns-${i % 3}`, `route-${i}`);
      await mirror.until(() => same(api, mirror));
    }
    assert.equal(fills(api), 1, how);
    assert.equal(reflector.health.relists.size, 0, how);
  }
});

test('a version that is gone: everything is fetched anew, once, whichever way it is told', async (t) => {
  for (const expiry of ['status', 'event'] as const) {
    const { api, mirror, reflector, start } = await setup(t, 600);
    api.expiry = expiry;
    start();
    await mirror.until(() => reflector.health.synced);
    // While the reflector cannot look, much happens and is forgotten.
    api.fault = () => ({ status: 500 });
    api.cut('reset');
    for (let i = 0; i < 300; i++) api.delete('HTTPRoute', `ns-${i % 3}`, `route-${i}`);
    api.put('HTTPRoute', route(700));
    api.compact();
    api.fault = () => null;
    await mirror.until(() => same(api, mirror));
    assert.equal(reflector.health.relists.get('expired'), 1, expiry);
    assert.equal(fills(api), 2, expiry);
  }
});

test('a page that is gone in the midst of a list: the list begins anew', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 1_200);
  api.streams = false;
  let pages = 0;
  api.onRequest = (seen) => {
    if (seen.query.has('continue') && ++pages === 1) {
      api.delete('HTTPRoute', 'ns-0', 'route-0');
      api.compact();
    }
  };
  start();
  await mirror.until(() => reflector.health.synced);
  assert.equal(lists(api), 2);
  await mirror.until(() => same(api, mirror));
  assert.equal(mirror.objects.has('ns-0/route-0'), false);
});

test('a server that only ever answers with errors is asked less and less often, and the reason is said', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 3, 1_000);
  api.fault = () => ({ status: 403, reason: 'Forbidden' });
  start();
  await mirror.until(() => (reflector.health.reason ?? '').startsWith('Forbidden'));
  const { promise, resolve } = Promise.withResolvers<void>();
  api.onRequest = () => {
    if (api.requests.length >= 12) resolve();
  };
  await promise;
  assert.equal(reflector.health.synced, false);
  assert.equal(reflector.health.reason, 'Forbidden: injected');
  api.fault = () => null;
  await mirror.until(() => reflector.health.synced);
  assert.equal(reflector.health.reason, null);
});

test('a silent watch is given up and resumed; a silent list too', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 5, 5_000);
  let silent = 2;
  api.fault = () => (silent-- > 0 ? { silent: true } : null);
  start();
  await mirror.until(() => reflector.health.synced);
  silent = 1;
  api.cut('end');
  api.put('HTTPRoute', route(1, 9));
  await mirror.until(() => same(api, mirror));
  assert.deepEqual([...reflector.health.relists.keys()], []);
});

test('a server that resumes nothing but always lists: refused, then fetched anew, not for ever', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 5, 1_000);
  api.streams = false;
  start();
  await mirror.until(() => reflector.health.synced);
  let refused = 0;
  api.fault = (seen) => (seen.watch && seen.query.has('resourceVersion') && refused++ < 9 ? { status: 500 } : null);
  api.cut('end');
  api.put('HTTPRoute', route(2, 5));
  await mirror.until(() => same(api, mirror));
  assert.ok((reflector.health.relists.get('refused') ?? 0) <= 3);
});

test('a server that was put back to an older state: what it no longer knows goes', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 5, 1_000);
  start();
  await mirror.until(() => reflector.health.synced);
  const old = api.all('HTTPRoute').slice(0, 3);
  for (let i = 0; i < 10; i++) api.put('HTTPRoute', route(i, 1));
  await mirror.until(() => same(api, mirror));
  api.restore(old, 103);
  await mirror.until(() => same(api, mirror));
  assert.equal(mirror.objects.size, 3);
  assert.equal(reflector.health.relists.get('refused'), 1);
});

test('bookmarks carry a quiet reflector over a compaction', async (t) => {
  const { api, mirror, reflector, start } = await setup(t, 5);
  start();
  await mirror.until(() => reflector.health.synced);
  api.define('v1', 'ConfigMap', 'configmaps');
  for (let i = 0; i < 50; i++) api.put('ConfigMap', { metadata: { name: 'other', namespace: 'a', n: i } });
  api.bookmark();
  api.cut('end');
  api.compact();
  api.put('HTTPRoute', route(1, 1));
  await mirror.until(() => same(api, mirror));
  assert.equal(fills(api), 1);
});

test('a collection that is not there is said to be missing', async (t) => {
  const { api, mirror, start } = await setup(t, 1);
  api.undefine('HTTPRoute');
  start();
  await mirror.until(() => mirror.isMissing);
  assert.equal(mirror.objects.size, 0);
});

const SEEDS = Number(process.env['SEEDS'] ?? '6');

test(`${SEEDS} seeds of 400 edits under every misbehaviour: the final state is the server's, without a storm`, async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { api, mirror, reflector, start } = await setup(t, 700, 400);
    const random = mulberry32(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    api.streams = seed % 3 !== 0;
    let misbehave = true;
    api.fault = () => {
      if (!misbehave || random() < 0.6) return null;
      const faults = [
        { status: 429, retryAfter: 1 },
        { status: 500 },
        { status: 503 },
        { truncate: pick(3_000) },
        { body: '{"kind":' },
        { silent: true },
      ];
      return faults[pick(faults.length)] ?? null;
    };
    start();
    let compactions = 0;
    for (let i = 0; i < 400; i++) {
      const n = pick(900);
      if (random() < 0.3) api.delete('HTTPRoute', `ns-${n % 3}`, `route-${n}`);
      else api.put('HTTPRoute', route(n, i));
      if (random() < 0.1) api.cut((['end', 'reset', 'half', 'garbage'] as const)[pick(4)] ?? 'end');
      if (random() < 0.05) api.bookmark();
      if (random() < 0.03) {
        api.compact();
        compactions++;
        api.expiry = random() < 0.5 ? 'status' : 'event';
      }
      if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
    }
    misbehave = false;
    // What was taken and never answered ends when its time is over.
    await mirror.until(() => reflector.health.synced && same(api, mirror));
    const expired = reflector.health.relists.get('expired') ?? 0;
    assert.ok(expired <= compactions, `seed ${seed}: ${expired} relists for ${compactions} compactions`);
    assert.equal(mirror.objects.size, reflector.names.size);
    reflector.stop();
    await api.close();
  }
});

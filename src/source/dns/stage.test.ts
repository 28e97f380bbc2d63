import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend, ResolvedHost } from '../../api/backend.ts';
import type { XBackend } from '../../api/generated/index.ts';
import { type KubeObject, keyOf } from '../../api/object.ts';
import { LIMITS } from '../../base/limits.ts';
import { answered, HandSource, HandTimers, MemorySink } from '../file/testing.ts';
import type { Answer, Family, NameResolver } from './resolver.ts';
import { DnsStage } from './stage.ts';

/** Answers what it is told to; what it is not told has no address. */
class FakeResolver implements NameResolver {
  readonly answers = new Map<string, Answer>();
  readonly asked: string[] = [];
  readonly #silent = new Set<string>();
  #open: (() => void)[] = [];
  /** Nobody answers for these names until `answer` is called. */
  silence(...hostnames: string[]): void {
    for (const hostname of hostnames) this.#silent.add(hostname);
  }
  /** Every question that is open is answered as `fail` says. */
  async giveUp(): Promise<void> {
    for (const end of this.#open.splice(0)) end();
    await answered();
  }
  say(hostname: string, family: Family, addresses: readonly string[], ttl = 60): void {
    this.answers.set(`${hostname} ${family}`, { kind: 'addresses', addresses, ttl });
  }
  fail(hostname: string, code = 'ETIMEOUT'): void {
    for (const family of [4, 6]) this.answers.set(`${hostname} ${family}`, { kind: 'failed', code });
  }
  async resolve(hostname: string, family: Family): Promise<Answer> {
    this.asked.push(`${hostname} ${family}`);
    if (this.#silent.has(hostname)) {
      await new Promise<void>((resolve) => this.#open.push(resolve));
      return { kind: 'failed', code: 'ETIMEOUT' };
    }
    return this.answers.get(`${hostname} ${family}`) ?? { kind: 'addresses', addresses: [], ttl: 60 };
  }
}

function backend(name: string, ...hosts: string[]): Backend {
  const endpoints = hosts.map((hostname) => ({ hostname, port: 80, weight: 1 }));
  return {
    apiVersion: 'rauta.io/v1alpha1',
    kind: 'Backend',
    metadata: { name, namespace: 'default' },
    spec: { endpoints, appProtocol: 'http' },
  };
}

interface Rig {
  readonly inner: HandSource;
  readonly resolver: FakeResolver;
  readonly timers: HandTimers;
  readonly sink: MemorySink;
  readonly source: DnsStage;
}
function rig(): Rig {
  const inner = new HandSource();
  const resolver = new FakeResolver();
  const timers = new HandTimers();
  const sink = new MemorySink();
  const source = new DnsStage(inner, resolver, timers);
  source.start(sink);
  return { inner, resolver, timers, sink, source };
}
const addresses = (sink: MemorySink, name: string): string[] | undefined =>
  (sink.objects.get(`ResolvedHost//${name}`) as ResolvedHost | undefined)?.addresses.map((a) => a.address);

test('the host of an XBackend is asked for as a whole name, apart from a Backend that names the same', async () => {
  const { inner, resolver, sink } = rig();
  resolver.say('api.internal', 4, ['10.0.0.1']);
  resolver.say('api.internal.', 4, ['192.0.2.1']);
  const external: XBackend = {
    apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
    kind: 'XBackend',
    metadata: { name: 'x', namespace: 'default' },
    spec: { type: 'ExternalHostname', port: { port: 443 }, externalHostname: { hostname: 'api.internal' } },
  };
  inner.sink?.apply([external, backend('b', 'api.internal')], []);
  await answered();
  assert.deepEqual(addresses(sink, 'api.internal.'), ['192.0.2.1']);
  assert.deepEqual(addresses(sink, 'api.internal'), ['10.0.0.1']);
  const other = { ...external, spec: { ...external.spec, externalHostname: { hostname: 'gone.internal' } } };
  inner.sink?.apply([other], []);
  await answered();
  assert.equal(addresses(sink, 'api.internal.'), undefined);
  assert.deepEqual(addresses(sink, 'api.internal'), ['10.0.0.1']);
  assert.deepEqual(sink.told.get('dns gone.internal.'), [
    {
      severity: 'error',
      message: 'gone.internal cannot be resolved (it has no address); it has no addresses yet',
      place: { object: 'XBackend/default/x', field: 'spec.externalHostname.hostname' },
    },
  ]);
  inner.sink?.apply([], ['XBackend/default/x']);
  assert.deepEqual(sink.told.get('dns gone.internal.') ?? [], []);
});

test('an address that stands for the host of an XBackend is asked of nobody, nor what has no host', async () => {
  const { inner, resolver, sink } = rig();
  const external = (name: string, spec: object): KubeObject => ({
    apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
    kind: 'XBackend',
    metadata: { name, namespace: 'default' },
    spec,
  });
  const objects = [
    external('address', { externalHostname: { hostname: '192.0.2.1' } }),
    external('newer', { type: 'EndpointSelector', endpointSelector: { matchLabels: { app: 'a' } } }),
    external('none', { externalHostname: {} }),
  ];
  inner.sink?.apply(objects, []);
  inner.sink?.synced();
  await answered();
  assert.deepEqual(resolver.asked, []);
  assert.deepEqual([...sink.told.keys()], []);
  assert.equal(sink.isSynced, true);
});

test('A and AAAA, sorted, asked again when the shorter TTL ends', async () => {
  const { inner, resolver, timers, sink } = rig();
  resolver.say('app.internal', 4, ['10.0.0.2', '10.0.0.1'], 20);
  resolver.say('app.internal', 6, ['fd00::1'], 45);
  inner.sink?.apply([backend('b', 'App.internal')], []);
  inner.sink?.synced();
  assert.equal(sink.isSynced, false);
  await answered();
  assert.equal(sink.isSynced, true);
  assert.deepEqual(sink.objects.get('ResolvedHost//app.internal'), {
    apiVersion: 'rauta.io/internal',
    kind: 'ResolvedHost',
    metadata: { name: 'app.internal' },
    addresses: [
      { address: '10.0.0.1', family: 4 },
      { address: '10.0.0.2', family: 4 },
      { address: 'fd00::1', family: 6 },
    ],
  });
  // The same again in another order is no change.
  resolver.say('app.internal', 4, ['10.0.0.1', '10.0.0.2'], 20);
  await timers.fire(20_000);
  assert.equal(sink.steps.length, 3);
  resolver.say('app.internal', 4, ['10.0.0.3'], 20);
  await timers.fire(20_000);
  assert.deepEqual(addresses(sink, 'app.internal'), ['10.0.0.3', 'fd00::1']);
});

test('TTLs are clamped to 1 s and 300 s', async () => {
  const { inner, resolver, timers } = rig();
  resolver.say('short', 4, ['10.0.0.1'], 0);
  resolver.say('long', 4, ['10.0.0.1'], 86_400);
  inner.sink?.apply([backend('b', 'short', 'long')], []);
  await answered();
  // IPv6, which they have not, is asked for again by a schedule of its own.
  assert.deepEqual(
    timers.armed.map((t) => t.ms).sort((a, b) => a - b),
    [1_000, 60_000, 60_000, 300_000],
  );
});

test('a failure keeps the last good addresses, is told with its place, and retried with growing distance', async () => {
  const { inner, resolver, timers, sink } = rig();
  resolver.say('app', 4, ['10.0.0.1'], 5);
  inner.sink?.apply([backend('b', 'other', 'app')], []);
  await answered();
  resolver.fail('app');
  await timers.fire(5_000);
  assert.deepEqual(addresses(sink, 'app'), ['10.0.0.1']);
  assert.deepEqual(sink.told.get('dns app'), [
    {
      severity: 'error',
      message: 'app cannot be resolved (ETIMEOUT); its last addresses are kept',
      place: { object: 'Backend/default/b', field: 'spec.endpoints[1].hostname' },
    },
  ]);
  assert.match(sink.told.get('dns other')?.[0]?.message ?? '', /it has no address\); it has no addresses yet/);
  inner.sink?.apply([backend('b', 'app')], []);
  for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000]) await timers.fire(ms);
  for (const ms of [30_000, 30_000]) await timers.fireAll(ms);
  resolver.say('app', 4, ['10.0.0.2'], 5);
  resolver.say('app', 6, []);
  await timers.fireAll(30_000);
  assert.deepEqual(addresses(sink, 'app'), ['10.0.0.2']);
  assert.deepEqual([...sink.told.keys()], []);
});

test('one family fails: the other changes, its own addresses stay', async () => {
  const { inner, resolver, timers, sink } = rig();
  resolver.say('app', 4, ['10.0.0.1'], 5);
  resolver.say('app', 6, ['fd00::1'], 5);
  inner.sink?.apply([backend('b', 'app')], []);
  await answered();
  resolver.fail('app');
  resolver.say('app', 4, ['10.0.0.9'], 5);
  await timers.fireAll(5_000);
  assert.deepEqual(addresses(sink, 'app'), ['10.0.0.9', 'fd00::1']);
  assert.equal(sink.told.size, 0);
});

test('nobody waits for a name that nobody answers for, nor one family for the other', async () => {
  const { inner, resolver, timers, sink } = rig();
  const silent = Array.from({ length: 2 * LIMITS.DNS_QUESTIONS }, (_, i) => `silent-${i}`);
  resolver.silence(...silent);
  for (const name of ['well', 'later', 'newer']) resolver.say(name, 4, ['10.0.0.1'], 0);
  inner.sink?.apply([backend('b', ...silent.slice(0, 200), 'well')], []);
  await answered();
  assert.deepEqual(addresses(sink, 'well'), ['10.0.0.1']);
  const half = resolver.resolve.bind(resolver);
  resolver.resolve = (hostname, family) =>
    hostname === 'later' && family === 6 ? new Promise(() => {}) : half(hostname, family);
  inner.sink?.apply([backend('c', 'later')], []);
  await answered();
  assert.deepEqual(addresses(sink, 'later'), ['10.0.0.1']);
  // Those that failed, however many, hold half of the places at most: the others are asked as their TTL says.
  inner.sink?.apply([backend('b', ...silent, 'well')], []);
  for (let i = 0; i < 5; i++) await resolver.giveUp();
  await timers.fireAll(1_000);
  await resolver.giveUp();
  const before = resolver.asked.filter((a) => a === 'well 4').length;
  await timers.fireAll(1_000);
  assert.ok(resolver.asked.filter((a) => a === 'well 4').length > before);
  inner.sink?.apply([backend('d', 'newer')], []);
  await answered();
  assert.deepEqual(addresses(sink, 'newer'), ['10.0.0.1']);
});

test('a name goes with the last Backend that uses it', async () => {
  const { inner, resolver, timers, sink } = rig();
  resolver.say('app', 4, ['10.0.0.1']);
  const one = backend('one', 'app');
  inner.sink?.apply([one, backend('two', 'app', 'app')], []);
  await answered();
  assert.equal(resolver.asked.filter((a) => a === 'app 4').length, 1);
  inner.sink?.apply([], [keyOf(one)]);
  assert.deepEqual(addresses(sink, 'app'), ['10.0.0.1']);
  inner.sink?.apply([backend('two')], []);
  assert.equal(addresses(sink, 'app'), undefined);
  assert.deepEqual(timers.armed, []);
  assert.deepEqual(sink.steps.at(-1), ['Backend/default/two', '-ResolvedHost//app']);
});

test('an answer that comes after its name has gone is dropped', async () => {
  const { inner, resolver, timers, sink } = rig();
  resolver.say('app', 4, ['10.0.0.1']);
  inner.sink?.apply([backend('b', 'app')], []);
  inner.sink?.apply([], ['Backend/default/b']);
  await answered();
  assert.deepEqual(sink.keys(), []);
  assert.deepEqual(timers.armed, []);
});

test('the first configuration waits for its names, but not for long', async () => {
  const { inner, timers, sink, resolver } = rig();
  resolver.resolve = () => new Promise(() => {});
  inner.sink?.apply([backend('b', 'slow')], []);
  inner.sink?.synced();
  await answered();
  assert.equal(sink.isSynced, false);
  await timers.fire(2_000);
  assert.equal(sink.isSynced, true);

  const without = rig();
  without.inner.sink?.synced();
  assert.equal(without.sink.isSynced, true);
});

test('rescan asks again at once; stop lets go', async () => {
  const { inner, resolver, timers, sink, source } = rig();
  resolver.say('app', 4, ['10.0.0.1']);
  inner.sink?.apply([backend('b', 'app')], []);
  await answered();
  resolver.say('app', 4, ['10.0.0.2']);
  source.rescan();
  await answered();
  assert.deepEqual(addresses(sink, 'app'), ['10.0.0.2']);
  assert.equal(timers.armed.length, 2);
  await source.stop();
  assert.deepEqual(timers.armed, []);
});

// Whatever changes in whatever order, the translator's state is what a fresh one makes of the final world, and what it
// handed out along the way adds up to that state.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { applied, diff } from '../../test/support/diff.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import { decodeEntry, encodeEntry } from '../ir/codec.ts';
import type { Entry } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { Store } from '../store/store.ts';
import { AddressPool } from './addresses.ts';
import type { Status } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import type { SocketFaults } from './gateway-status.ts';
import { Translator } from './translator.ts';

const OPTIONS: TranslatorOptions = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  defaultAddresses: ['0.0.0.0', '::'],
  portMap: new Map([[80, 8080]]),
  fromFiles: true,
};

/** The same with an address for each Gateway, too few for all. */
const POOLED: TranslatorOptions = { ...OPTIONS, addressPool: new AddressPool(['10.10.0.0/31', '2001:db8::1']) };

const ISSUER = authority('Issuer');
const GROUP = 'gateway.networking.k8s.io';
const one = fc.constantFrom;
const namespace = one('default', 'team');
const created = one(undefined, '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z');
const generation = one(undefined, 1, 2);
const hostname = one('www.example.com', '*.example.com', 'api.example.com', 'other.test');

function object(kind: string, fields: Record<string, unknown>, metadata: Record<string, unknown>): KubeObject {
  return { apiVersion: 'any/v1', kind, metadata, ...fields } as unknown as KubeObject;
}

const gatewayClass = fc
  .record({
    name: one('rauta', 'public'),
    ours: fc.boolean(),
    parameters: one(undefined, undefined, { kind: 'X', name: 'x' }),
  })
  .map(({ name, ours, parameters }) =>
    object(
      'GatewayClass',
      { spec: { controllerName: ours ? OPTIONS.controllerName : 'example.com/other', parametersRef: parameters } },
      { name },
    ),
  );

const listener = fc.record({
  name: one('a', 'b', 'c'),
  port: one(80, 8080, 8081, 99_999),
  protocol: one('HTTP', 'HTTP', 'HTTP', 'HTTPS', 'TCP'),
  hostname: fc.option(hostname, { nil: undefined }),
  tls: one(
    undefined,
    { certificateRefs: [{ name: 'cert' }] },
    { certificateRefs: [{ name: 'cert', namespace: 'team' }] },
  ),
  allowedRoutes: one(
    undefined,
    { namespaces: { from: 'All' } },
    { namespaces: { from: 'Selector', selector: { matchLabels: { tier: 'front' } } } },
    { kinds: [{ kind: 'HTTPRoute' }, { kind: 'GRPCRoute' }] },
  ),
});

const gateway = fc
  .record({
    name: one('edge', 'second'),
    namespace,
    created,
    generation,
    className: one('rauta', 'rauta', 'public'),
    addresses: one(
      undefined,
      undefined,
      [{ value: '192.0.2.1' }],
      [{ value: '192.0.2.999' }, {}],
      [{ type: 'Hostname' }],
    ),
    listeners: fc.array(listener, { minLength: 1, maxLength: 3 }),
  })
  .map(({ name, namespace, created, generation, className, addresses, listeners }) =>
    object(
      'Gateway',
      { spec: { gatewayClassName: className, addresses, listeners } },
      { name, namespace, creationTimestamp: created, generation },
    ),
  );

const GROUPS: ReadonlyMap<string, string> = new Map([
  ['Backend', 'rauta.io'],
  ['XBackend', 'gateway.networking.x-k8s.io'],
]);

const backendRef = fc.record({
  kind: one('Service', 'Service', 'Backend', 'XBackend', 'Nothing'),
  name: one('app', 'other'),
  namespace: one(undefined, undefined, 'team'),
  port: one(80, 81, undefined),
  weight: one(undefined, 0, 3),
});

const rule = fc.record({
  name: one(undefined, 'named'),
  matches: one(
    undefined,
    [{ path: { value: '/a' } }],
    [{ path: { type: 'RegularExpression', value: '(' } }],
    [{ headers: [{ name: 'X', value: '1' }], method: 'GET' }],
  ),
  filters: one(
    undefined,
    undefined,
    [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https' } }],
    [{ type: 'CORS' }],
    [{ type: 'RequestHeaderModifier', requestHeaderModifier: { remove: ['X'] } }],
  ),
  refs: fc.array(backendRef, { maxLength: 2 }),
});

const route = fc
  .record({
    name: one('app', 'web', 'api'),
    namespace,
    created,
    generation,
    parents: fc.array(
      fc.record({
        name: one('edge', 'second', 'missing'),
        namespace: one(undefined, 'default', 'team'),
        sectionName: one(undefined, undefined, 'a'),
        port: one(undefined, undefined, 80),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    hostnames: fc.array(hostname, { maxLength: 2 }),
    rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
  })
  .map(({ name, namespace, created, generation, parents, hostnames, rules }) =>
    object(
      'HTTPRoute',
      {
        spec: {
          parentRefs: parents,
          hostnames,
          rules: rules.map(({ refs, ...rest }) => ({
            ...rest,
            backendRefs: refs.map((ref) => ({ ...ref, group: GROUPS.get(ref.kind) ?? '' })),
          })),
        },
      },
      { name, namespace, creationTimestamp: created, generation },
    ),
  );

const service = fc
  .record({ name: one('app', 'other'), namespace, type: one(undefined, 'ExternalName'), ports: fc.subarray([80, 81]) })
  .map(({ name, namespace, type, ports }) =>
    object(
      'Service',
      { spec: { type, ports: ports.map((port) => ({ name: `p${port}`, port })) } },
      { name, namespace },
    ),
  );

const slice = fc
  .record({
    name: one('s1', 's2', 's3'),
    namespace,
    service: one('app', 'other', undefined),
    family: one('IPv4', 'IPv4', 'IPv6'),
    hosts: fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
    ready: one(undefined, true, false),
    terminating: fc.boolean(),
  })
  .map(({ name, namespace, service, family, hosts, ready, terminating }) =>
    object(
      'EndpointSlice',
      {
        addressType: family,
        ports: [80, 81].map((port) => ({ name: `p${port}`, port: port + 8000 })),
        endpoints: hosts.map((n) => ({
          addresses: [family === 'IPv4' ? `10.0.0.${n}` : `2001:db8::${n}`],
          conditions: { ready, serving: true, terminating },
          targetRef: n < 4 ? { kind: 'Pod', name: `pod-${n}` } : undefined,
        })),
      },
      { name, namespace, labels: service === undefined ? {} : { 'kubernetes.io/service-name': service } },
    ),
  );

const backend = fc
  .record({
    name: one('app', 'other'),
    namespace,
    appProtocol: one(undefined, 'http', 'https'),
    endpoints: fc.array(
      one<unknown>(
        { address: '10.1.0.1', port: 80 },
        { hostname: 'app.internal', port: 80 },
        { unix: '/run/app.sock' },
        { address: 'wrong', port: 80 },
      ),
      { maxLength: 3 },
    ),
  })
  .map(({ name, namespace, ...spec }) => object('Backend', { spec }, { name, namespace }));

const external = fc
  .record({
    name: one('app', 'other'),
    namespace,
    hostname: one('app.internal', 'app.internal', 'app.team.svc.cluster.local'),
    protocol: one(undefined, 'HTTP2', 'TCP', 'MCP'),
    tls: one<unknown>(undefined, { mode: 'None' }, { mode: 'ServerOnly' }),
  })
  .map(({ name, namespace, hostname, protocol, tls }) => {
    const spec = { type: 'ExternalHostname', port: { port: 80 }, externalHostname: { hostname }, protocol, tls };
    return object('XBackend', { spec }, { name, namespace });
  });

const resolvedHost = fc
  .record({
    name: one('app.internal', 'app.internal.'),
    found: fc.subarray(['10.9.0.1', '10.9.0.2', '2001:db8::9']),
  })
  .map(({ name, found }) => object('ResolvedHost', { addresses: found.map((address) => ({ address })) }, { name }));

const grant = fc
  .record({
    name: one('g1', 'g2'),
    from: namespace,
    kind: one('HTTPRoute', 'Gateway'),
    to: one('Service', 'Secret', 'Backend', 'XBackend'),
  })
  .map(({ name, from, kind, to }) =>
    object(
      'ReferenceGrant',
      {
        spec: {
          from: [{ group: GROUP, kind, namespace: from }],
          to: [{ group: GROUPS.get(to) ?? '', kind: to }],
        },
      },
      { name, namespace: 'team' },
    ),
  );

/** Two certificates that take each other's place, one with a key that is not its own, and none. */
const authentic = [leaf(ISSUER, ['www.example.com']), leaf(ISSUER, ['*.example.com'])] as const;
const secretData = ([own, key]: readonly [Leaf, Leaf]): Record<string, unknown> => ({
  data: {
    'tls.crt': Buffer.from(pem('CERTIFICATE', own.der) + pem('CERTIFICATE', ISSUER.der)).toString('base64'),
    'tls.key': Buffer.from(pem('PRIVATE KEY', key.keyDer)).toString('base64'),
  },
});
const [first, second] = authentic;
const pairings: readonly (readonly [Leaf, Leaf])[] = [
  [first, first],
  [second, second],
  [first, second],
];
const secret = fc
  .record({ ns: namespace, held: one(...pairings.map(secretData), {}) })
  .map(({ ns, held }) => object('Secret', held, { name: 'cert', namespace: ns }));
const space = fc
  .record({ name: namespace, labels: one({}, { tier: 'front' }) })
  .map((metadata) => object('Namespace', {}, metadata));

const anything = fc.oneof(
  { arbitrary: gateway, weight: 4 },
  { arbitrary: route, weight: 6 },
  { arbitrary: service, weight: 3 },
  { arbitrary: slice, weight: 3 },
  { arbitrary: backend, weight: 2 },
  { arbitrary: external, weight: 2 },
  gatewayClass,
  resolvedHost,
  grant,
  { arbitrary: secret, weight: 2 },
  space,
);

interface Step {
  readonly upserts: readonly KubeObject[];
  /** Which of the objects there are to remove, as a share of their number. */
  readonly removals: readonly number[];
  /** Which of the sockets cannot be opened, likewise. */
  readonly taken: readonly number[];
}
const share = fc.double({ min: 0, max: 0.999, noNaN: true });
const step: fc.Arbitrary<Step> = fc.record({
  upserts: fc.array(anything, { maxLength: 6 }),
  removals: fc.array(share, { maxLength: 2 }),
  taken: fc.array(share, { maxLength: 1 }),
});

function fold<V>(state: Map<string, V>, changes: ReadonlyMap<string, V | null>): void {
  for (const [key, value] of changes) {
    if (value === null || (Array.isArray(value) && value.length === 0)) state.delete(key);
    else state.set(key, value);
  }
}

test('a chain of updates equals one translation of the final world', () => {
  fc.assert(
    fc.property(
      fc.array(anything, { minLength: 5, maxLength: 25 }),
      fc.array(step, { maxLength: 6 }),
      one(OPTIONS, POOLED),
      (first, steps, options) => {
        const store = new Store();
        const translator = new Translator(options);
        let ir: Map<string, Entry> = new Map();
        const statuses = new Map<ObjectKey, Status>();
        const diagnostics = new Map<ObjectKey, readonly Problem[]>();
        let faults: SocketFaults = new Map();
        for (const { upserts, removals, taken: shares } of [{ upserts: first, removals: [], taken: [] }, ...steps]) {
          const present = [...store.keys()].sort();
          const gone = removals.map((share) => present[Math.floor(share * present.length)] as string);
          const update = translator.update(store, { keys: store.apply(upserts, gone) });
          // Who has a hostname keeps it: from the second step on history counts, and the fresh one is told of it.
          translator.settle();
          for (const entry of update.delta.upserts)
            assert.ok(!equal(ir.get(entry.key), entry), 'an upsert changes something');
          for (const key of update.delta.removals) assert.ok(ir.has(key), 'a removal removes something');
          const { upserts: set, removals: taken } = update.delta;
          const keys = new Set([...set.map((entry) => entry.key), ...taken]);
          assert.equal(keys.size, set.length + taken.length, 'no key comes up twice');
          ir = applied(ir, update.delta);
          fold(statuses, update.statuses);
          fold(diagnostics, update.diagnostics);

          const sockets = [...ir.keys()].filter((key) => parseKey(key).kind === 'socket').sort();
          const failed = shares.flatMap((one) => sockets[Math.floor(one * sockets.length)] ?? []);
          faults = new Map(failed.map((key) => [key, { code: 'EADDRINUSE', reason: 'taken' }]));
          const opened = translator.sockets(store, faults);
          assert.deepEqual(opened.delta, { upserts: [], removals: [] }, 'what serves goes on serving');
          fold(statuses, opened.statuses);
          fold(diagnostics, opened.diagnostics);
        }
        const fresh = new Translator(options);
        fresh.succeed(translator.ir.values());
        fresh.sockets(store, faults);
        fresh.update(store, { keys: new Set(store.keys()) });
        assert.deepEqual(new Map([...translator.statuses].sort()), new Map([...fresh.statuses].sort()));
        assert.deepEqual(new Map([...translator.diagnostics].sort()), new Map([...fresh.diagnostics].sort()));
        assert.deepEqual(diff(fresh.ir, translator.ir), { upserts: [], removals: [] });
        assert.deepEqual(diff(ir, translator.ir), { upserts: [], removals: [] });
        assert.ok(equal([...statuses].sort(byKey), [...fresh.statuses].sort(byKey)), 'statuses add up');
        assert.ok(equal([...diagnostics].sort(byKey), [...fresh.diagnostics].sort(byKey)), 'diagnostics add up');
        checkReferences(fresh.ir);
      },
    ),
    { seed: 20_261_121, numRuns: 1_500 },
  );
});

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

/**
 * What the data plane relies on: keys that entries name exist, nobody is kept who is not named, every entry survives
 * the wire.
 */
function checkReferences(ir: ReadonlyMap<string, Entry>): void {
  const named = new Set<string>();
  const name = (by: string, key: string, kind: Entry['kind']): void => {
    assert.equal(ir.get(key)?.kind, kind, `${by} names ${key}`);
    named.add(key);
  };
  for (const [key, entry] of ir) {
    assert.equal(entry.key, key);
    assert.equal(parseKey(key).kind, entry.kind);
    assert.ok(equal(decodeEntry(encodeEntry(entry)), entry));
    if (entry.kind === 'socket') for (const host of entry.hosts) name(key, host.gateway, 'gateway');
    if (entry.kind === 'cluster') name(key, entry.endpoints, 'endpoints');
    if (entry.kind !== 'rule') continue;
    for (const { socket, host, hostnames } of entry.attachments) {
      name(key, socket, 'socket');
      const on = ir.get(socket);
      assert.ok(
        on?.kind === 'socket' && on.hosts.some((h) => h.hostname === host),
        `${key} names ${host} of ${socket}`,
      );
      assert.ok(hostnames.length > 0);
    }
    if (entry.action.type !== 'forward') continue;
    for (const { cluster } of entry.action.backends) if (cluster !== null) name(key, cluster, 'cluster');
  }
  for (const { key, kind } of ir.values()) {
    if (kind === 'gateway' || kind === 'cluster' || kind === 'endpoints')
      assert.ok(named.has(key), `${key} is not named`);
  }
}

/** Any JSON in place of any part of an object that otherwise looks right. */
const json = fc.jsonValue({ maxDepth: 2 });
function mangled(value: unknown, at: number, junk: unknown): unknown {
  let left = at;
  const walk = (part: unknown): unknown => {
    if (left-- === 0) return junk;
    if (Array.isArray(part)) return part.map(walk);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, walk(inner)]));
  };
  return walk(value);
}

test('no object, however mangled, makes it throw or breaks what it hands out', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anything, fc.nat(40), json), { minLength: 1, maxLength: 6 }),
      fc.array(anything, { maxLength: 10 }),
      (broken, whole) => {
        const store = new Store();
        const translator = new Translator(OPTIONS);
        const objects = broken.map(([base, at, junk]) => {
          const { kind, apiVersion, metadata, ...body } = base;
          const named = { name: metadata.name, namespace: metadata.namespace };
          const spoiled = mangled({ body, metadata: { ...metadata } }, at + 1, junk) as Record<string, unknown>;
          const extra = { ...(spoiled['metadata'] as object), ...named };
          return { ...(spoiled['body'] as object), apiVersion, kind, metadata: extra } as unknown as KubeObject;
        });
        translator.update(store, { keys: store.apply([...whole, ...objects], []) });
        checkReferences(translator.ir);
        for (const problems of translator.diagnostics.values()) {
          for (const { message } of problems) assert.doesNotMatch(message, /Cannot be translated/);
        }
        translator.update(store, { keys: store.apply([], objects.map(keyOf)) });
        checkReferences(translator.ir);
      },
    ),
    { seed: 7, numRuns: 1_500 },
  );
});

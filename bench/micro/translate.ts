// What a change costs in the controller at 5,000 routes: store, translation, and the entry's way onto the wire and off
// it. `bin/node bench/micro/translate.ts [samples]`; single operations are timed one by one, for their tail counts.

import type { KubeObject } from '../../src/api/object.ts';
import { decodeEntry, encodeEntry } from '../../src/ir/codec.ts';
import type { Entry, Key } from '../../src/ir/ir.ts';
import { Store } from '../../src/store/store.ts';
import { Translator } from '../../src/translate/translator.ts';
import { report } from './paired.ts';

const ROUTES = 5_000;
const NAMESPACES = 50;
const samples = Number(process.argv[2] ?? 300);

function made(kind: string, namespace: string, name: string, spec: unknown, more: object = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace }, spec, ...more } as KubeObject;
}
function namespaceOf(i: number): string {
  return `team-${i % NAMESPACES}`;
}

function gateway(ports: readonly number[]): KubeObject {
  const listeners = ports.map((port) => ({
    name: `http-${port}`,
    port,
    protocol: 'HTTP',
    allowedRoutes: { namespaces: { from: 'All' } },
  }));
  return made('Gateway', 'infra', 'edge', { gatewayClassName: 'rauta', listeners });
}
function route(i: number, change: number): KubeObject {
  const backendRefs = [{ name: `app-${i}`, port: 80 }];
  return made('HTTPRoute', namespaceOf(i), `app-${i}`, {
    parentRefs: [{ name: 'edge', namespace: 'infra' }],
    hostnames: [`app-${i}.example.com`],
    rules: [
      { matches: [{ path: { type: 'PathPrefix', value: `/api/v${change}` } }], backendRefs },
      { matches: [{ path: { type: 'PathPrefix', value: '/' } }], backendRefs, timeouts: { request: '10s' } },
    ],
  });
}
function service(i: number): KubeObject {
  return made('Service', namespaceOf(i), `app-${i}`, { ports: [{ name: 'http', port: 80, targetPort: 8080 }] });
}
function slice(i: number, change: number): KubeObject {
  const endpoints = [1, 2, 3].map((n) => ({
    addresses: [`10.${i >> 8}.${i & 255}.${n}`],
    conditions: { ready: n !== 3 || change % 2 === 0 },
    targetRef: { kind: 'Pod', name: `app-${i}-${n}` },
  }));
  const object = made('EndpointSlice', namespaceOf(i), `app-${i}-x`, undefined, {
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints,
  });
  return { ...object, metadata: { ...object.metadata, labels: { 'kubernetes.io/service-name': `app-${i}` } } };
}

function world(): KubeObject[] {
  const objects = [gateway([80])];
  for (let i = 0; i < ROUTES; i++) objects.push(service(i), slice(i, 0), route(i, 0));
  return objects;
}

function translator(): Translator {
  return new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    defaultAddresses: ['0.0.0.0', '::'],
    portMap: new Map(),
  });
}

interface Timing {
  readonly name: string;
  readonly samples: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** CPU time of the thread: what is left of the tail when other programs run beside. */
  readonly cpuP99Ms: number;
  readonly upserts: number;
}
const timings: Timing[] = [];

/**
 * Times `operation(i)` one by one; `prepare(i)` makes its input and is not counted. It returns the entries it upserted.
 */
function time<T>(name: string, n: number, prepare: (i: number) => T, operation: (input: T) => number): void {
  const taken: number[] = [];
  const worked: number[] = [];
  let upserts = 0;
  for (let i = 0; i < n + n / 5; i++) {
    const input = prepare(i);
    const cpu = process.threadCpuUsage();
    const began = process.hrtime.bigint();
    upserts = operation(input);
    const ended = process.hrtime.bigint();
    const { user, system } = process.threadCpuUsage(cpu);
    if (i < n / 5) continue;
    taken.push(Number(ended - began) / 1e6);
    worked.push((user + system) / 1e3);
  }
  timings.push({
    name,
    samples: taken.length,
    medianMs: at(taken, 0.5),
    p99Ms: at(taken, 0.99),
    cpuP99Ms: at(worked, 0.99),
    upserts,
  });
}

function at(values: number[], share: number): number {
  values.sort((a, b) => a - b);
  const value = values[Math.min(values.length - 1, Math.floor(share * values.length))] as number;
  return Math.round(value * 1e4) / 1e4;
}

time('everything: 5,000 routes, Services and EndpointSlices, from nothing', 5, world, (objects) => {
  const store = new Store();
  return translator().update(store, { keys: store.apply(objects, []) }).delta.upserts.length;
});

const store = new Store();
const standing = translator();
function change(upserts: readonly KubeObject[], removals: readonly string[] = []): number {
  const { delta } = standing.update(store, { keys: store.apply(upserts, removals) });
  return delta.upserts.length;
}
change(world());

time(
  'one route changed',
  samples,
  (i) => [route((i * 37) % ROUTES, i + 1)],
  (objects) => change(objects),
);
time(
  'one route added',
  samples,
  (i) => [service(ROUTES + i), route(ROUTES + i, 0)],
  (objects) => change(objects),
);
time(
  'one route removed',
  samples,
  (i) => [`HTTPRoute/${namespaceOf(i)}/app-${ROUTES + i}`],
  (keys) => change([], keys),
);
time(
  'one EndpointSlice changed',
  samples,
  (i) => [slice((i * 41) % ROUTES, i + 1)],
  (objects) => change(objects),
);
time(
  'one route delivered again unchanged',
  samples,
  (i) => [structuredClone(store.get('HTTPRoute', namespaceOf(i), `app-${i}`) as KubeObject)],
  (objects) => change(objects),
);
time(
  'a listener added or removed: every route attached to the Gateway',
  6,
  (i) => [gateway(i % 2 === 0 ? [80, 81] : [80])],
  (objects) => change(objects),
);

const entries: Entry[] = [...standing.ir.values()];
const encoded = entries.map(encodeEntry);
time(
  'encode every entry',
  5,
  () => entries,
  (all) => all.map(encodeEntry).length,
);
time(
  'decode and check every entry',
  5,
  () => encoded,
  (all) => all.map(decodeEntry).length,
);
time(
  'apply every entry to a map',
  5,
  () => new Map<Key, Entry>(),
  (map) => {
    for (const entry of entries) map.set(entry.key, entry);
    return map.size;
  },
);

report('translate', `bin/node bench/micro/translate.ts ${samples}`, {
  routes: ROUTES,
  entries: entries.length,
  entryBytesMean: Math.round(encoded.reduce((sum, bytes) => sum + bytes.length, 0) / encoded.length),
  results: timings,
});

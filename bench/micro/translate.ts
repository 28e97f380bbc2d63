// What a change costs in the controller at 5,000 routes and 5,000 Services: store, translation, the bytes that go to
// workers, and the entry's way onto the wire and off it. `bin/node bench/micro/translate.ts [samples]`; single
// operations are timed one by one, for their tail counts. The bars stand beside what was measured: full translation
// 1.5 s, one changed route 2 ms, one EndpointSlice 1 ms, a delta 4 KB, what all of it holds 200 MB.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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
  /** The largest delta, as it goes to workers; 0 where the operation makes none. */
  readonly deltaBytes: number;
}
const timings: Timing[] = [];

/**
 * Times `operation(i)` one by one; `prepare(i)` makes its input and is not counted. It returns the entries it upserted.
 */
function time<T>(name: string, n: number, prepare: (i: number) => T, operation: (input: T) => number): void {
  const taken: number[] = [];
  const worked: number[] = [];
  let [upserts, deltaBytes] = [0, 0];
  for (let i = 0; i < n + n / 5; i++) {
    const input = prepare(i);
    const cpu = process.threadCpuUsage();
    const began = process.hrtime.bigint();
    last = NOTHING;
    upserts = operation(input);
    const ended = process.hrtime.bigint();
    const { user, system } = process.threadCpuUsage(cpu);
    deltaBytes = Math.max(deltaBytes, bytesOf(last));
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
    deltaBytes,
  });
}

type Delta = ReturnType<Translator['update']>['delta'];
const NOTHING: Delta = { upserts: [], removals: [] };
/** Of the operation that was timed last. */
let last = NOTHING;

function bytesOf({ upserts, removals }: Delta): number {
  const keys = removals.reduce((sum, key) => sum + Buffer.byteLength(key), 0);
  return upserts.reduce((sum, entry) => sum + encodeEntry(entry).length, keys);
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
  last = delta;
  return delta.upserts.length;
}
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
function heldBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
}
const before = heldBytes();
change(world());
const held = heldBytes() - before;

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
  // Of another slice each time, and always another state than before.
  (i) => [slice((i * 41) % ROUTES, 1)],
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

const named = (begin: string): Timing => timings.find(({ name }) => name.startsWith(begin)) as Timing;
const [full, changed, slices] = [named('everything'), named('one route changed'), named('one EndpointSlice changed')];
const bar = (what: string, measured: number, most: number): object => ({ what, measured, most, met: measured < most });
const bars = [
  bar('full translation, median ms', full.medianMs, 1500),
  bar('one changed route, median ms', changed.medianMs, 2),
  bar('one changed EndpointSlice, median ms', slices.medianMs, 1),
  bar('delta of a route, bytes', changed.deltaBytes, 4096),
  bar('delta of an EndpointSlice, bytes', slices.deltaBytes, 4096),
  bar('objects, entries and what the translator remembers, MB', Math.round(held / 1e5) / 10, 200),
];

report('translate', `bin/node bench/micro/translate.ts ${samples}`, {
  routes: ROUTES,
  bars,
  entries: entries.length,
  entryBytesMean: Math.round(encoded.reduce((sum, bytes) => sum + bytes.length, 0) / encoded.length),
  results: timings,
});

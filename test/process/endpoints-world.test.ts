// Random worlds of a Service and its EndpointSlices, as controllers, people and autoscalers leave them, beside a model
// of which pods may be asked: nobody else is once that has come round, none of them is left out, and no request fails
// for want of one while one is there. `SEEDS=20 FIRST=1` runs more.

import assert from 'node:assert/strict';
import { Agent, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type ApiObject, defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, site } from '../kubernetes/site.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import { freePort, get, Rauta } from './support.ts';

const SEEDS = Number(process.env['SEEDS'] ?? '1');
const FIRST = Number(process.env['FIRST'] ?? '1');
const STEPS = 15;
const PODS = 6;
const SETTLED_MS = 30_000;

type Value = Record<string, unknown>;

/** What a slice says of one pod. */
interface Listed {
  readonly pod: number;
  readonly conditions: Value;
  readonly named: boolean;
}

interface Slice {
  readonly six: boolean;
  readonly portName: string;
  readonly listed: readonly Listed[];
}

class World {
  readonly random: () => number;
  readonly port: number;
  readonly slices = new Map<string, Slice>();
  /** Name of the Service's port; null: it is none that has endpoints. */
  portName: string | null = 'http';
  first: 'IPv4' | 'IPv6' = 'IPv4';

  constructor(seed: number, port: number) {
    this.random = mulberry32(seed);
    this.port = port;
  }

  is(chance: number): boolean {
    return this.random() < chance;
  }
  below(n: number): number {
    return Math.floor(this.random() * n);
  }
  one<T>(...of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  /** As kubelet and the endpoint controller say it, and as people forget to. */
  conditions(): Value {
    return this.one<Value>(
      { ready: true, serving: true, terminating: false },
      { ready: true, serving: true, terminating: false },
      { ready: true },
      {},
      { ready: false, serving: false, terminating: false },
      { ready: false, serving: true, terminating: true },
      { ready: false, serving: true, terminating: true },
      { ready: false, serving: false, terminating: true },
      { ready: false, terminating: true },
      { ready: false, serving: true },
    );
  }

  slice(): Slice {
    const six = this.is(0.15);
    const pods = [...Array(PODS).keys()].filter(() => this.is(0.4));
    const listed = (six ? pods.slice(0, 1) : pods).map((pod) => ({
      pod,
      conditions: this.conditions(),
      named: this.is(0.8),
    }));
    return { six, portName: this.is(0.85) ? 'http' : 'web', listed };
  }

  object(name: string, { six, portName, listed }: Slice): ApiObject {
    return {
      metadata: { name, namespace: 'web', labels: { 'kubernetes.io/service-name': 'app' } },
      addressType: six ? 'IPv6' : 'IPv4',
      ports: [
        { name: 'metrics', port: 1, protocol: 'TCP' },
        { name: portName, port: this.port, protocol: 'TCP', appProtocol: null },
      ],
      endpoints: listed.map(({ pod, conditions, named }) => ({
        addresses: [addressOf(pod, six)],
        conditions,
        nodeName: `node-${pod % 2}`,
        zone: `z${pod % 2}`,
        hints: { forZones: [{ name: `z${pod % 2}` }], fieldOfTomorrow: true },
        ...(named ? { targetRef: { kind: 'Pod', namespace: 'web', name: `app-${pod}` } } : {}),
      })),
    };
  }

  /** Addresses that may be asked. */
  allowed(): Set<string> {
    const of = (six: boolean, use: (c: Value) => boolean): string[] =>
      [...this.slices.values()]
        .filter((slice) => slice.six === six && slice.portName === this.portName)
        .flatMap(({ listed }) => listed.filter(({ conditions }) => use(conditions)))
        .map(({ pod }) => addressOf(pod, six));
    const ready = (c: Value): boolean => c['ready'] !== false;
    const leaving = (c: Value): boolean => !ready(c) && c['serving'] === true && c['terminating'] === true;
    const order = this.first === 'IPv6' ? [true, false] : [false, true];
    for (const use of [ready, leaving])
      for (const six of order) {
        const found = of(six, use);
        if (found.length > 0) return new Set(found);
      }
    return new Set();
  }
}

function addressOf(pod: number, six: boolean): string {
  return six ? '::1' : `127.0.1.${pod + 1}`;
}

/** All pods, dead or alive: whoever is asked answers. */
async function pods(): Promise<{ servers: Server[]; port: number }> {
  const servers: Server[] = [];
  let port = 0;
  for (const address of [...[...Array(PODS).keys()].map((pod) => addressOf(pod, false)), addressOf(0, true)]) {
    const server = createServer((_, response) => response.end(address));
    await new Promise<void>((resolve) => server.listen(port, address, resolve));
    port = (server.address() as AddressInfo).port;
    servers.push(server);
  }
  return { servers, port };
}

/** What comes of the object under way; each is another watch, which comes when it comes. */
function changeService(world: World, api: FakeApi): void {
  const before = world.portName;
  const kind = world.one('port', 'port', 'external', 'gone', 'family', 'headless');
  const spec: Value = { ports: [{ name: 'http', port: 80, targetPort: world.port }], fieldOfTomorrow: { a: 1 } };
  world.portName = 'http';
  if (kind === 'port') {
    world.portName = before === 'http' ? 'web' : 'http';
    spec['ports'] = [{ name: world.portName, port: 80, targetPort: 'named' }];
  } else if (kind === 'external') {
    Object.assign(spec, { type: 'ExternalName', externalName: 'elsewhere.example' });
    world.portName = null;
  } else if (kind === 'gone') world.portName = null;
  else if (kind === 'headless') Object.assign(spec, { clusterIP: 'None' });
  world.first = kind === 'family' ? 'IPv6' : 'IPv4';
  spec['ipFamilies'] = [world.first];
  if (kind === 'gone') api.delete('Service', 'web', 'app');
  else api.put('Service', { metadata: { name: 'app', namespace: 'web' }, spec });
}

/** Some slices change, one after the other: returns what was allowed in between. */
function changeSlices(world: World, api: FakeApi): Set<string>[] {
  const seen: Set<string>[] = [];
  const many = world.is(0.1) ? 200 : 1 + world.below(4);
  for (let n = 0; n < many; n++) {
    const name = `app-${world.below(4)}`;
    if (world.is(0.2)) {
      world.slices.delete(name);
      api.delete('EndpointSlice', 'web', name);
    } else {
      const slice = world.slice();
      world.slices.set(name, slice);
      api.put('EndpointSlice', world.object(name, slice));
    }
    seen.push(world.allowed());
  }
  return seen;
}

function weather(world: World, api: FakeApi): void {
  const how = world.one('none', 'none', 'end', 'reset', 'half', 'compact', 'bookmark', 'busy');
  if (how === 'compact') {
    api.compact();
    api.cut('end');
  } else if (how === 'bookmark') api.bookmark();
  else if (how === 'busy') {
    let left = 4;
    api.cut('reset');
    api.fault = () => (left-- > 0 ? { status: 429, reason: 'TooManyRequests', retryAfter: 0 } : null);
  } else if (how !== 'none') api.cut(how);
}

async function run(t: Parameters<typeof kubeconfig>[0], seed: number): Promise<void> {
  const { servers, port } = await pods();
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  const listener = await freePort();
  const world = new World(seed, port);
  site(api, listener, port);
  api.delete('EndpointSlice', 'web', 'app-1');
  changeSlices(world, api);
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url)]);
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  /** Which pod answered; empty: none, and that is what was said. */
  const ask = async (): Promise<string> => {
    const { status, body } = await get(listener, '/one', {}, { agent });
    assert.ok(status === 200 || status === 500 || status === 503, `${status} ${body}`);
    return status === 200 ? body : '';
  };
  const several = (n: number): Promise<string[]> => Promise.all(Array.from({ length: n }, ask));
  const settled = async (what: string): Promise<void> => {
    const allowed = world.allowed();
    const good = (answer: string): boolean => (allowed.size === 0 ? answer === '' : allowed.has(answer));
    const since = performance.now();
    let found: string[] = [];
    for (let quiet = 0; quiet < 2; ) {
      found = await several(16);
      // All of them answer, not only those that did before.
      quiet = found.every(good) && new Set(found).size === Math.max(1, allowed.size) ? quiet + 1 : 0;
      const text = `${what}: ${[...new Set(found)].join()} answer, not ${[...allowed].join()}`;
      assert.ok(performance.now() - since < SETTLED_MS, text);
    }
    for (const answer of await several(40)) assert.ok(good(answer), `${what}: asks ${answer} later`);
  };
  try {
    await settled(`seed ${seed}, start`);
    for (let step = 0; step < STEPS; step++) {
      const what = `seed ${seed}, step ${step}`;
      if (world.is(0.2)) changeService(world, api);
      else {
        const states = [world.allowed()];
        const asked: Promise<string[]>[] = [];
        if (world.is(0.3)) weather(world, api);
        asked.push(several(8));
        states.push(...changeSlices(world, api));
        for (let i = 0; i < 5; i++) {
          asked.push(several(8));
          await asked.at(-1);
        }
        const none = states.some(({ size }) => size === 0);
        for (const answer of (await Promise.all(asked)).flat())
          assert.ok(answer === '' ? none : states.some((one) => one.has(answer)), `${what}: ${answer} meanwhile`);
      }
      await settled(what);
    }
  } finally {
    agent.destroy();
    await rauta.stop();
    await api.close();
    for (const server of servers) server.close().closeAllConnections();
  }
}

for (let seed = FIRST; seed < FIRST + SEEDS; seed++)
  test(`pods of random worlds are asked as their slices say (${seed})`, (t) => run(t, seed));

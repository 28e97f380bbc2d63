// The proxy under the random workload: whole connections, every codec path, on the simulation, many seeds. SEEDS=1000
// for a long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import type { SocketAddress } from '../../src/io/io.ts';
import type { Entry, GatewayEntry, RuleEntry, SocketEntry } from '../../src/ir/ir.ts';
import { Engine } from '../../src/proxy/engine.ts';
import { type Faults, GENTLE, HARSH, NO_FAULTS } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import type { AccessRecord } from '../../src/telemetry/record.ts';
import { auth } from '../proxy/auth-rig.ts';
import { cluster, clusterKey, endpoint, endpointsKey } from '../proxy/rig.ts';
import { runSeed, seedsOf, type TestNet } from '../support/net.ts';
import { type Tally, Workload } from './workload.ts';

const LISTENER = 'socket/127.0.0.1/80/tcp';
/** The route goes from one to the other and back. */
const NAMES = ['app', 'other'] as const;
type Name = (typeof NAMES)[number];
/** Longer than any wait of the proxy. */
const ALL_WAITS_MS = 200_000;

interface Site {
  readonly backends: readonly SocketAddress[];
  /** Whoever is asked about each request; null: nobody. */
  readonly decider: SocketAddress | null;
  readonly timeoutMs: number;
  readonly drains?: () => boolean;
}

function configuration(name: Name, { backends, decider, timeoutMs, drains = () => false }: Site): Entry[] {
  const gateway: GatewayEntry = { kind: 'gateway', key: 'gateway/default/gateway', name: 'default/gateway' };
  const socket: SocketEntry = {
    kind: 'socket',
    key: LISTENER,
    address: '127.0.0.1',
    port: 80,
    transport: 'tcp',
    hosts: [{ hostname: '*', gateway: gateway.key, listener: 'http', port: 80, protocol: 'HTTP', tls: null }],
    fallback: null,
    proxyProtocol: null,
  };
  const rule: RuleEntry = {
    kind: 'rule',
    key: 'rule/HTTPRoute/default/app/0',
    routeKind: 'HTTPRoute',
    route: 'default/app',
    index: 0,
    name: '',
    created: 0,
    attachments: [{ socket: LISTENER, host: '*', hostnames: ['*'] }],
    matches: [{ path: { type: 'PathPrefix', value: '/' }, method: '', headers: [], query: [] }],
    filters: decider === null ? [] : [auth()],
    action: {
      type: 'forward',
      backends: [{ cluster: clusterKey(name), backend: `default/${name}:80`, weight: 1, filters: [] }],
    },
    timeouts: { requestMs: timeoutMs, backendMs: Math.ceil(timeoutMs / 2) },
    retry: null,
  };
  const app = backends.map((address) => endpoint(address, { state: drains() ? 'draining' : 'ready' }));
  const entries: Entry[] = [gateway, socket, rule, ...cluster(name, app)];
  return decider === null ? entries : [...entries, ...cluster('auth', [endpoint(decider)])];
}

/** Rules that nobody's requests take, other ones in each revision, so many that they are more than a piece. */
function fillers(entries: readonly Entry[], revision: number): Entry[] {
  const model = entries.find((entry) => entry.kind === 'rule') as RuleEntry;
  return Array.from({ length: LIMITS.REVISION_WORK_PER_TURN }, (_, i) => ({
    ...model,
    key: `rule/HTTPRoute/default/filler-${i}/0`,
    route: `default/filler-${i}`,
    attachments: [{ socket: LISTENER, host: '*', hostnames: ['filler.example'] }],
    matches: [{ path: { type: 'PathPrefix', value: `/${revision}/${i}` }, method: '', headers: [], query: [] }],
    filters: [],
    action: { type: 'respond', status: 500 },
  }));
}

/** Allows every request, after a while. */
function allowing(net: TestNet, sleep: (ms: number) => Promise<void>): SocketAddress {
  return net.serve(async (peer) => {
    for (;;) {
      await peer.readMessage();
      await sleep(30);
      await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    }
  });
}

interface Options {
  /** Nobody breaks anything off: every request must be answered in full. */
  readonly calm: boolean;
  readonly faults: Faults;
  readonly maxBodyBytes: number;
  /** The configuration changes all the while: endpoints come, go and drain, rules are replaced. */
  readonly churn?: boolean;
  /** The worker begins to drain while clients still come. */
  readonly drain?: boolean;
  /** Time limits of the rule, so short that some requests exceed them. */
  readonly timeoutMs?: number;
  readonly trace?: (line: string) => void;
}

/** One run: clients to their end, then peace, time for every wait to end, drain, and nothing may be left. */
async function proxied(seed: number, options: Options): Promise<Tally> {
  const { calm, faults, maxBodyBytes } = options;
  let tally: Tally | null = null;
  await runSeed(
    seed,
    async (net) => {
      const random = new Random(seed * 7919);
      const workload = new Workload(net, {
        seed,
        clients: random.between(2, 8),
        connectionsPerClient: 3,
        requestsPerConnection: 5,
        maxBodyBytes,
        calm,
        mayTimeOut: options.timeoutMs !== undefined,
        ...(calm ? {} : { hostile: random.below(8) }),
      });
      const backends: SocketAddress[] = [workload.backend(), workload.backend(), workload.unixBackend()];
      if (!calm && random.chance(0.2)) backends.push(net.refuse());
      const decider = calm && random.chance(0.5) ? allowing(net, (ms) => net.sleep(ms)) : null;
      const cells = Cells.local();
      let records = 0;
      const sink = {
        record(record: AccessRecord): void {
          records++;
          assert.ok(record.status >= 100 || record.flags !== '', 'a request ends with a status or a reason');
        },
      };
      // What a worker needs to start at all it has; the rest fails as often as asked.
      net.sim.network.faults = NO_FAULTS;
      const engine = new Engine({ io: net.io, cells, records: sink, settings: { trustedProxies: [] } });
      const timeoutMs = options.timeoutMs ?? 0;
      engine.apply({ upserts: configuration('app', { backends, decider, timeoutMs }), removals: [] });
      const { handle, address } = net.listen();
      engine.addSocket(LISTENER, handle);
      net.sim.network.faults = faults;

      let running = true;
      let drained = false;
      let revision = 0;
      const changes = [
        (async () => {
          while (running && options.churn === true) {
            await net.sleep(random.below(40));
            const some = random.shuffle([...backends]).slice(random.below(backends.length));
            const name = random.pick(NAMES);
            const site = { backends: some, decider, timeoutMs, drains: () => random.chance(0.2) };
            // What the route does not go to any more leaves in the same revision.
            const removals = NAMES.filter((one) => one !== name).flatMap((one) => [clusterKey(one), endpointsKey(one)]);
            const entries = configuration(name, site);
            const many = random.chance(0.1) ? fillers(entries, ++revision) : [];
            const upserts = random.shuffle([...entries, ...many]);
            // A large one is made in pieces, whatever happens in between.
            for (const _ of engine.applying({ upserts, removals })) await net.sleep(random.below(3));
          }
        })(),
        (async () => {
          if (options.drain !== true) return;
          await net.sleep(random.below(400));
          engine.drain(() => {
            drained = true;
          });
        })(),
      ];
      for (const change of changes) change.catch(() => {});
      await workload.run(address).finally(() => {
        running = false;
      });
      await Promise.all(changes);
      net.sim.network.faults = NO_FAULTS;
      await net.advance(ALL_WAITS_MS);
      assert.equal(engine.stats().connections, 0, 'connections of clients that are gone');
      assert.equal(engine.stats().held, 0, 'content that waits for nobody');
      assert.equal(engine.stats().requests, 0, 'requests of clients that are gone');
      assert.equal(cells.get(CELL.CONNECTIONS), 0, 'the gauge of connections');
      assert.equal(cells.get(CELL.REQUESTS_ACTIVE), 0, 'the gauge of requests');
      assert.equal(cells.get(CELL.UPSTREAM_CONNECTIONS), 0, 'the gauge of upstream connections');
      assert.equal(cells.get(CELL.REQUESTS_TOTAL), records, 'every request has its record, once');

      if (options.drain !== true) {
        engine.drain(() => {
          drained = true;
        });
      }
      engine.removeSocket(LISTENER);
      await net.advance(ALL_WAITS_MS);
      assert.ok(drained, 'drained');
      engine.stop();
      await net.settle();
      assert.deepEqual(net.leaks(), []);
      tally = workload.tally;
    },
    faults,
    options.trace === undefined ? {} : { trace: options.trace },
  );
  return tally as unknown as Tally;
}

test('calm: cut, delayed and reordered in every way, each request gets its own answer, whole', async () => {
  for (const seed of seedsOf(5)) {
    const maxBodyBytes = seed % 4 === 0 ? 1_000_000 : 100_000;
    const tally = await proxied(seed, { calm: true, faults: GENTLE, maxBodyBytes });
    assert.equal(tally.complete, tally.requests);
  }
});

test('calm: the same while the configuration changes and while the worker drains: not one request is lost', async () => {
  for (const seed of seedsOf(5)) {
    const options: Options = { calm: true, faults: GENTLE, maxBodyBytes: 50_000, churn: true, drain: seed % 2 === 0 };
    const tally = await proxied(seed, options);
    assert.equal(tally.complete, tally.requests);
  }
});

test('harsh: resets at any byte, aborts, refused connects, no memory: never a wrong or a false end, nothing left', async () => {
  for (const seed of seedsOf(8)) {
    const random = new Random(seed);
    const faults: Faults = {
      ...HARSH,
      allocFail: random.pick([0, 0.002, 0.02]),
      connectFail: random.pick([0, 0.05, 0.3]),
      resetPerByte: random.pick([0, 1e-6, 1e-5]),
    };
    await proxied(seed, { calm: false, faults, maxBodyBytes: seed % 5 === 0 ? 1_000_000 : 60_000 });
  }
});

test('harsh: the same with time limits that strike, changes of the configuration, and draining', async () => {
  for (const seed of seedsOf(6)) {
    const random = new Random(seed);
    await proxied(seed, {
      calm: false,
      faults: HARSH,
      maxBodyBytes: 60_000,
      churn: random.chance(0.7),
      drain: random.chance(0.5),
      timeoutMs: random.pick([10, 60, 400]),
    });
  }
});

test('equal seeds give equal runs of the proxy, call by call', async () => {
  const runs = [5, 5, 6].map(async (seed) => {
    const lines: string[] = [];
    await proxied(seed, { calm: false, faults: HARSH, maxBodyBytes: 60_000, trace: (line) => lines.push(line) });
    return lines.join('\n');
  });
  const [first, again, other] = await Promise.all(runs);
  assert.ok(first === again, 'the same seed gave another run');
  assert.ok(first !== other, 'another seed gave the same run');
});

// The proxy under the random workload: whole connections, every codec path, on the simulation, many seeds. SEEDS=1000
// for a long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SocketAddress } from '../../src/io/io.ts';
import type { ClusterEntry, Entry, ListenerEntry, RuleEntry } from '../../src/ir/ir.ts';
import { Engine } from '../../src/proxy/engine.ts';
import { type Faults, GENTLE, HARSH, NO_FAULTS } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import type { AccessRecord } from '../../src/telemetry/record.ts';
import { runSeed, seedsOf } from '../support/net.ts';
import { type Tally, Workload } from './workload.ts';

const LISTENER = 'listener/127.0.0.1:80';
const CLUSTER = 'cluster/Service/default/app/80';
/** Longer than any wait of the proxy. */
const ALL_WAITS_MS = 200_000;

function configuration(addresses: readonly SocketAddress[]): Entry[] {
  const listener: ListenerEntry = {
    kind: 'listener',
    key: LISTENER,
    address: '127.0.0.1',
    port: 80,
    protocol: 'HTTP',
    hosts: [{ hostname: '*', gateway: 'default/gateway', listener: 'http' }],
  };
  const cluster: ClusterEntry = {
    kind: 'cluster',
    key: CLUSTER,
    backend: 'default/app',
    protocol: 'http1',
    balancer: { type: 'roundRobin' },
    endpoints: addresses.map((a, i) => ({
      id: `default/app-${i}`,
      address: a.family === 'unix' ? a.path : a.address,
      port: a.family === 'unix' ? 0 : a.port,
      zone: '',
      weight: 1,
      state: 'ready',
    })),
  };
  const rule: RuleEntry = {
    kind: 'rule',
    key: 'rule/HTTPRoute/default/app/0',
    routeKind: 'HTTPRoute',
    route: 'default/app',
    index: 0,
    name: '',
    created: 0,
    attachments: [{ listener: LISTENER, host: '*', hostnames: ['*'] }],
    matches: [{ path: { type: 'PathPrefix', value: '/' }, method: '', headers: [], query: [] }],
    filters: [],
    action: { type: 'forward', backends: [{ cluster: CLUSTER, backend: 'default/app:80', weight: 1, filters: [] }] },
    requestTimeoutMs: 0,
    backendTimeoutMs: 0,
  };
  return [listener, cluster, rule];
}

interface Run {
  readonly tally: Tally;
  readonly records: number;
}

/** One run: clients to their end, then peace, time for every wait to end, drain, and nothing may be left. */
async function proxied(seed: number, calm: boolean, faults: Faults, maxBodyBytes: number): Promise<Run> {
  let run: Run | null = null;
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
      });
      const backends: SocketAddress[] = [workload.backend(), workload.backend(), workload.unixBackend()];
      if (!calm && random.chance(0.2)) backends.push(net.refuse());
      const cells = Cells.local();
      let records = 0;
      const sink = {
        record(record: AccessRecord): void {
          records++;
          assert.ok(record.status >= 100 || record.flags !== '', 'a request ends with a status or a reason');
        },
      };
      const engine = new Engine({ io: net.io, cells, records: sink, settings: { trustedProxies: [] } });
      engine.apply({ upserts: configuration(backends), removals: [] });
      const { handle, address } = net.listen();
      engine.addSocket(LISTENER, handle);

      await workload.run(address);
      net.sim.network.faults = NO_FAULTS;
      await net.advance(ALL_WAITS_MS);
      assert.equal(engine.stats().connections, 0, 'connections of clients that are gone');
      assert.equal(engine.stats().requests, 0, 'requests of clients that are gone');
      assert.equal(cells.get(CELL.CONNECTIONS), 0, 'the gauge of connections');
      assert.equal(cells.get(CELL.REQUESTS_ACTIVE), 0, 'the gauge of requests');
      assert.equal(cells.get(CELL.UPSTREAM_CONNECTIONS), 0, 'the gauge of upstream connections');
      assert.equal(cells.get(CELL.REQUESTS_TOTAL), records, 'every request has its record, once');

      let drained = false;
      engine.drain(() => {
        drained = true;
      });
      engine.removeSocket(LISTENER);
      await net.advance(ALL_WAITS_MS);
      assert.ok(drained, 'drained');
      engine.stop();
      await net.settle();
      assert.deepEqual(net.leaks(), []);
      run = { tally: workload.tally, records };
    },
    faults,
  );
  return run as unknown as Run;
}

test('calm: cut, delayed and reordered in every way, each request gets its own answer, whole', async () => {
  for (const seed of seedsOf(6)) {
    const { tally } = await proxied(seed, true, GENTLE, seed % 4 === 0 ? 1_000_000 : 100_000);
    assert.equal(tally.complete, tally.requests);
  }
});

test('harsh: resets at any byte, aborts, refused connects, no memory: never a wrong or a false end, nothing left', async () => {
  for (const seed of seedsOf(10)) {
    const random = new Random(seed);
    const faults: Faults = {
      ...HARSH,
      allocFail: random.pick([0, 0.002, 0.02]),
      connectFail: random.pick([0, 0.05, 0.3]),
      resetPerByte: random.pick([0, 1e-6, 1e-5]),
    };
    await proxied(seed, false, faults, seed % 5 === 0 ? 1_000_000 : 60_000);
  }
});

// The proxy under random work of HTTP/2 (http2-workload.ts), on the simulation, many seeds. SEEDS=1000 for a long run,
// SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { type Faults, GENTLE, HARSH, NO_FAULTS } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import { cluster, endpoint, Rig, rule } from '../proxy/rig.ts';
import { runSeed, seedsOf } from '../support/net.ts';
import { type Http2Options, type Http2Tally, Http2Workload } from './http2-workload.ts';

/** Longer than any wait of the proxy. */
const ALL_WAITS_MS = LIMITS.STREAM_IDLE_MS + 60_000;

async function proxied(
  seed: number,
  protocol: 'http1' | 'http2',
  faults: Faults,
  options: Pick<Http2Options, 'mood' | 'maxUpBytes' | 'maxDownBytes'>,
): Promise<Http2Tally> {
  let tally: Http2Tally | null = null;
  await runSeed(
    seed,
    async (net) => {
      const random = new Random(seed * 104_729);
      const workload = new Http2Workload(net, { seed, clients: random.between(2, 6), streams: 30, ...options });
      const backends = [1, 3, 100].map((streams) =>
        protocol === 'http2' ? workload.backend(streams) : workload.http1Backend(),
      );
      // What a worker needs to start at all it has.
      net.sim.network.faults = NO_FAULTS;
      const app = cluster(
        'app',
        backends.map((address) => endpoint(address)),
        { protocol },
      );
      const rig = new Rig(net, [], [rule({}), app]);
      net.sim.network.faults = faults;
      await workload.run(rig.listening);
      net.sim.network.faults = NO_FAULTS;
      await net.advance(ALL_WAITS_MS);
      assert.equal(rig.engine.stats().connections, 0, 'connections of clients that are gone');
      assert.equal(rig.engine.stats().held, 0, 'content that waits for nobody');
      for (const gauge of [CELL.CONNECTIONS, CELL.REQUESTS_ACTIVE, CELL.UPSTREAM_CONNECTIONS, CELL.HTTP2_STREAMS])
        assert.equal(rig.get(gauge), 0);
      assert.equal(rig.get(CELL.REQUESTS_TOTAL), rig.records.all.length, 'every request has its record, once');
      await rig.end();
      tally = workload.tally;
    },
    faults,
    undefined,
    // Over TLS every other one.
    seed % 2 === 0,
  );
  return tally as unknown as Http2Tally;
}

for (const protocol of ['http2', 'http1'] as const) {
  test(`calm, to backends of ${protocol}: each request gets its own answer, whole`, async () => {
    for (const seed of seedsOf(6)) {
      const maxUpBytes = seed % 3 === 0 ? 400_000 : 20_000;
      const options = { mood: 'calm', maxUpBytes, maxDownBytes: maxUpBytes } as const;
      const { complete, requests, brokenOff } = await proxied(seed, protocol, GENTLE, options);
      // An early answer ends what is left of its request, and may be all that its client learns.
      assert.equal(complete + brokenOff, requests);
      assert.ok(complete > requests / 2, `${complete} of ${requests}`);
    }
  });

  test(`harsh, to backends of ${protocol}: never a wrong or a false end, nothing left`, async () => {
    const all = { complete: 0, own: 0, brokenOff: 0 };
    for (const seed of seedsOf(8)) {
      const random = new Random(seed);
      const faults: Faults = {
        ...HARSH,
        allocFail: random.pick([0, 0.002, 0.02]),
        connectFail: random.pick([0, 0.05, 0.3]),
        resetPerByte: random.pick([0, 1e-7, 1e-6]),
      };
      const options = { mood: 'harsh', maxUpBytes: 30_000, maxDownBytes: 60_000 } as const;
      const { complete, own, brokenOff } = await proxied(seed, protocol, faults, options);
      all.complete += complete;
      all.own += own;
      all.brokenOff += brokenOff;
    }
    assert.ok(Math.min(...Object.values(all)) > 0, JSON.stringify(all));
  });
}

test('backends that refuse streams and leave: not one request is lost', async () => {
  for (const seed of seedsOf(6)) {
    const options = { mood: 'leaving', maxUpBytes: 0, maxDownBytes: 60_000 } as const;
    const { complete, requests } = await proxied(seed, 'http2', GENTLE, options);
    assert.equal(complete, requests);
  }
});

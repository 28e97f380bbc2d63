// The random workload itself: a relay passes it, calm and harsh, and relays with mistakes are found out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Faults, GENTLE, HARSH } from '../../src/sim/faults.ts';
import { runSeed, seedsOf } from '../support/net.ts';
import { type Mistake, Relay } from './relay.ts';
import { type Tally, Workload } from './workload.ts';

async function relayed(seed: number, calm: boolean, mistake: Mistake): Promise<Tally> {
  let tally: Tally | null = null;
  const faults: Faults = calm ? GENTLE : { ...HARSH, resetPerByte: 5e-6 };
  await runSeed(
    seed,
    async (net) => {
      const workload = new Workload(net, {
        seed,
        clients: 6,
        connectionsPerClient: 3,
        requestsPerConnection: 4,
        maxBodyBytes: 200_000,
        calm,
      });
      const { handle, address } = net.listen();
      const relay = new Relay(net.io, handle, workload.backend(), mistake);
      await workload.run(address);
      relay.close();
      await net.settle();
      assert.deepEqual(net.leaks(), []);
      tally = workload.tally;
    },
    faults,
  );
  return tally as unknown as Tally;
}

test('a relay passes the calm workload: every request answered', async () => {
  for (const seed of seedsOf(6)) {
    const tally = await relayed(seed, true, 'none');
    assert.ok(tally.complete > 10);
    assert.equal(tally.complete, tally.requests);
  }
});

test('a relay passes the harsh workload: no false end, nothing mixed up', async () => {
  let complete = 0;
  let broken = 0;
  for (const seed of seedsOf(12)) {
    const tally = await relayed(seed, false, 'none');
    complete += tally.complete;
    broken += tally.brokenOff;
  }
  assert.ok(complete > 0 && broken > 0, `${complete} complete, ${broken} broken off`);
});

const MISTAKES: readonly [mistake: Mistake, calm: boolean, message: RegExp][] = [
  ['flip a byte', true, /differ at byte|control bytes|start line|chunk|no client sent/],
  ['end for reset', false, /false end|part of it/],
  ['lose an edge', true, /nothing can happen|calm run/],
  ['leak a block', true, /blocks of/],
];
for (const [mistake, calm, message] of MISTAKES) {
  test(`the workload finds the mistake "${mistake}"`, async () => {
    const found: string[] = [];
    for (let seed = 1; seed <= 12 && found.length === 0; seed++) {
      await relayed(seed, calm, mistake).catch((error: Error) => found.push(error.message));
    }
    assert.match(found[0] ?? 'not found', message);
  });
}

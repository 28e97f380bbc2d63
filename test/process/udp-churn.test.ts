// The short form of test/soak/udp.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { udpSoak } from '../soak/udp.ts';
import { mulberry32 } from '../support/mulberry32.ts';

test('flows while endpoints come and go and a worker dies: no datagram comes to a wrong client', async () => {
  const random = mulberry32(3);
  const { wrong, sent, answered, churns, deaths } = await udpSoak({
    flows: 300,
    rounds: 8,
    deathEvery: 5,
    takeoverEvery: 100,
    random,
  });
  assert.deepEqual(wrong, []);
  assert.ok(churns > 0 && deaths === 1);
  assert.equal(sent, 2_400);
  assert.ok(answered > sent / 2, `${answered} of ${sent}`);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatIp, parseIp, parseRange } from './ip.ts';

test('addresses to numbers and back', () => {
  const cases: [string, 4 | 6, bigint, string?][] = [
    ['0.0.0.0', 4, 0n],
    ['255.255.255.255', 4, 0xffffffffn],
    ['10.1.2.3', 4, 0x0a010203n],
    ['::', 6, 0n],
    ['::1', 6, 1n],
    ['2001:DB8:0:0:0:0:0:1', 6, 0x20010db8000000000000000000000001n, '2001:db8::1'],
    ['1:2:3:4:5:6:7:8', 6, 0x00010002000300040005000600070008n],
    ['fe80::', 6, 0xfe80n << 112n],
    ['::ffff:1.2.3.4', 6, 0xffff01020304n, '::ffff:102:304'],
  ];
  for (const [text, family, value, canonical] of cases) {
    assert.deepEqual(parseIp(text), { family, value }, text);
    assert.equal(formatIp({ family, value }), canonical ?? text);
  }
  for (const wrong of [
    '',
    '1.2.3',
    '01.2.3.4',
    '256.0.0.1',
    ':::',
    '1::2::3',
    'fe80::1%eth0',
    'example.com',
    '[::1]',
  ]) {
    assert.equal(parseIp(wrong), null, wrong);
  }
});

test('every number survives', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (value) => {
      assert.deepEqual(parseIp(formatIp({ family: 6, value })), { family: 6, value });
      const v4 = { family: 4, value: value & 0xffffffffn } as const;
      assert.deepEqual(parseIp(formatIp(v4)), v4);
    }),
    { seed: 1 },
  );
});

test('ranges', () => {
  assert.deepEqual(parseRange('10.1.2.3/8'), { family: 4, first: 0x0a000000n, hostBits: 24 });
  assert.deepEqual(parseRange('0.0.0.0/0'), { family: 4, first: 0n, hostBits: 32 });
  assert.deepEqual(parseRange('2001:db8::7/126'), {
    family: 6,
    first: 0x20010db8000000000000000000000004n,
    hostBits: 2,
  });
  assert.deepEqual(parseRange('10.0.0.1'), { family: 4, first: 0x0a000001n, hostBits: 0 });
  for (const wrong of ['', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/8/8', '::/129', '10.0.0.0/-1', 'x/8']) {
    assert.equal(parseRange(wrong), null, wrong);
  }
});

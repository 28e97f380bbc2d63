import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressRanges } from './ranges.ts';

const has = (ranges: readonly string[], ...addresses: readonly string[]): boolean[] => {
  const set = new AddressRanges(ranges, 'test');
  return addresses.map((address) => set.has(address));
};

test('addresses and ranges of both families', () => {
  assert.deepEqual(has(['10.0.0.0/8', '192.0.2.1'], '10.1.2.3', '11.0.0.1', '192.0.2.1', '192.0.2.2'), [
    true,
    false,
    true,
    false,
  ]);
  assert.deepEqual(has(['fd00::/8', '2001:db8::1'], 'fd12::1', 'fe80::1', '2001:db8:0::1', '2001:db8::2'), [
    true,
    false,
    true,
    false,
  ]);
  assert.deepEqual(has([], '10.0.0.1', '::1'), [false, false]);
});

test('a range of one family is none of the other, however an address of it is written', () => {
  assert.deepEqual(has(['::/0'], '127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::1'), [false, false, false, true]);
  assert.deepEqual(has(['0.0.0.0/0'], '127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::1'), [
    true,
    true,
    true,
    false,
  ]);
  assert.deepEqual(has(['::ffff:10.0.0.0/104'], '10.1.2.3', '11.1.2.3', '::ffff:10.1.2.3'), [true, false, true]);
});

test('what is no address is in no range, and what is no range is an error', () => {
  assert.deepEqual(has(['0.0.0.0/0', '::/0'], 'unix', '', '10.0.0', 'a.example'), [false, false, false, false]);
  for (const range of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/x', 'a.example', '', '::/129', '10.0.0.0/-1']) {
    assert.throws(() => new AddressRanges([range], 'test'), /test: .* is not an address or CIDR range/, range);
  }
});

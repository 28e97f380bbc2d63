import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLocal, reachableAddresses } from './addresses.ts';

const address = (family: 'IPv4' | 'IPv6', text: string, internal = false) =>
  ({ address: text, family, internal, netmask: '', mac: '', cidr: null, scopeid: 0 }) as never;

test('a wildcard is the first address of its family that others can reach', () => {
  const interfaces = {
    lo: [address('IPv4', '127.0.0.1', true), address('IPv6', '::1', true)],
    eth0: [
      address('IPv6', 'fe80::1'),
      address('IPv4', '169.254.1.1'),
      address('IPv4', '10.1.2.3'),
      address('IPv6', 'fd00::3'),
    ],
    eth1: [address('IPv4', '10.9.9.9')],
  };
  assert.deepEqual(reachableAddresses(['0.0.0.0', '::'], interfaces), ['10.1.2.3', 'fd00::3']);
  assert.deepEqual(reachableAddresses(['127.0.0.1'], interfaces), ['127.0.0.1']);
  assert.deepEqual(reachableAddresses(['0.0.0.0', '::'], { eth0: [address('IPv4', '10.1.2.3')] }), ['10.1.2.3']);
  assert.deepEqual(reachableAddresses(['0.0.0.0'], {}), ['0.0.0.0']);
});

test('addresses of this machine and of its link, whatever they are dressed as', () => {
  const eth = { eth0: [{ address: '10.1.2.3', family: 'IPv4', internal: false }] } as never;
  for (const address of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.169.254', '10.1.2.3', '::1', '::', 'fe80::1'])
    assert.equal(isLocal(address, eth), true, address);
  for (const address of ['::ffff:127.0.0.1', '::ffff:10.1.2.3', '::ffff:7f00:1'])
    assert.equal(isLocal(address, eth), true, address);
  for (const address of ['10.1.2.4', '128.0.0.1', '2001:db8::1', 'fec0::1', '::2', 'name'])
    assert.equal(isLocal(address, eth), false, address);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SocketAddress } from '../io/io.ts';
import { leadsToOwn, ownSockets } from './own-sockets.ts';

function at(address: string, port = 9090): SocketAddress {
  return { family: address.includes(':') ? 'ipv6' : 'ipv4', address, port };
}

test('a bind of loopback is reached by its address however it is written, and by the wildcard', () => {
  const own = ownSockets([{ host: '127.0.0.1', port: 9090 }], () => []);
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '0.0.0.0', '::']) {
    assert.equal(own(at(address)), true, address);
  }
  for (const address of ['127.0.0.2', '10.0.0.1', '::1', '::ffff:10.0.0.1']) {
    assert.equal(own(at(address)), false, address);
  }
  assert.equal(own(at('127.0.0.1', 9091)), false);
  assert.equal(own({ family: 'unix', path: '/run/app.sock' }), false);
});

test('a bind of localhost may be of either family', () => {
  const own = ownSockets([{ host: 'localhost', port: 9090 }], () => []);
  for (const address of ['127.0.0.1', '::1', '0.0.0.0', '::']) assert.equal(own(at(address)), true, address);
  for (const address of ['127.0.0.2', 'fd00::1']) assert.equal(own(at(address)), false, address);
});

test('of a connection to another port nothing but the port is looked at', () => {
  const own = ownSockets([{ host: '127.0.0.1', port: 9090 }], () => assert.fail('addresses of the machine'));
  const other = {
    family: 'ipv4',
    port: 8080,
    get address(): string {
      return assert.fail('the address');
    },
  } as const;
  assert.equal(own(other), false);
});

test('a bind of a wildcard is reached by every address of the machine, and by no other', () => {
  for (const host of ['0.0.0.0', '::']) {
    const own = ownSockets([{ host, port: 9090 }], () => ['10.0.0.7', 'fd00::7']);
    for (const address of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::1', '10.0.0.7', '::ffff:10.0.0.7', 'fd00:0::7']) {
      assert.equal(own(at(address)), true, `${host} ${address}`);
    }
    for (const address of ['10.0.0.8', 'fd00::8']) assert.equal(own(at(address)), false, address);
  }
});

test('another address of the machine is itself', () => {
  const own = ownSockets([{ host: '10.0.0.7', port: 9090 }], () => ['10.0.0.7']);
  assert.deepEqual([own(at('10.0.0.7')), own(at('127.0.0.1')), own(at('0.0.0.0'))], [true, false, false]);
});

test('addresses of the machine are looked up once in a while, where a wildcard is bound', () => {
  let now = 0;
  let asked = 0;
  const leads = leadsToOwn(
    () => (asked++ < 1 ? ['10.0.0.7'] : ['10.0.0.8']),
    () => now,
  );
  assert.equal(leads('127.0.0.1', '127.0.0.1'), true);
  assert.equal(leads('127.0.0.1', '10.0.0.7'), false);
  assert.equal(asked, 0);
  assert.deepEqual([leads('0.0.0.0', '10.0.0.7'), leads('0.0.0.0', '10.0.0.8'), asked], [true, false, 1]);
  now = 1_000;
  assert.deepEqual([leads('0.0.0.0', '10.0.0.7'), leads('0.0.0.0', '10.0.0.8'), asked], [false, true, 2]);
});

import assert from 'node:assert/strict';
import { SocketAddress as NodeAddress } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SocketAddress } from '../io/io.ts';
import { ADDRESS_BYTES, decodeAddress, encodeAddress } from './address.ts';

const mem = new Uint8Array(256);
const AT = 64;
const there = (address: SocketAddress): number => encodeAddress(mem, AT, address);
const bytes = (n: number): number[] => [...mem.subarray(AT, AT + n)];

test('sockaddr_in: family in host order, port in network order', () => {
  assert.equal(there({ family: 'ipv4', address: '192.0.2.7', port: 0x1f90 }), 16);
  assert.deepEqual(bytes(16), [2, 0, 0x1f, 0x90, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test('sockaddr_in6: address at 8, flow and scope zero', () => {
  assert.equal(there({ family: 'ipv6', address: '2001:db8::1', port: 443 }), 28);
  const expected = [10, 0, 1, 0xbb, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
  assert.deepEqual(bytes(28), expected);
});

test('sockaddr_un: path at 2, with its NUL, up to 107 bytes', () => {
  assert.equal(there({ family: 'unix', path: '/a/b' }), 7);
  assert.deepEqual(bytes(7), [1, 0, 47, 97, 47, 98, 0]);
  assert.equal(there({ family: 'unix', path: 'x'.repeat(107) }), 110);
  for (const path of ['', 'x'.repeat(108), 'a\0b']) assert.equal(there({ family: 'unix', path }), 0);
});

test('what is no address is refused', () => {
  for (const address of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '1..2.3',
    'a.b.c.d',
    '-1.2.3.4',
  ]) {
    assert.equal(there({ family: 'ipv4', address, port: 1 }), 0, address);
  }
  for (const address of [
    '',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    '::g',
    '1:2:3:4:5:6:7::8',
    'fe80::1%lo',
    '::1.2.3',
    '1.2.3.4::',
    ':1',
    '1:',
  ]) {
    assert.equal(there({ family: 'ipv6', address, port: 1 }), 0, address);
  }
  for (const port of [-1, 65536, 1.5, Number.NaN]) assert.equal(there({ family: 'ipv4', address: '1.2.3.4', port }), 0);
});

test('IPv6 text, both ways, against the system', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.integer({ min: 0, max: 65535 }), (groups, port) => {
      const written = groups.map((g) => g.toString(16)).join(':');
      // Node writes what inet_ntop(3) writes, which is RFC 5952 except that it shows some ranges in dotted decimal.
      const canonical = new NodeAddress({ address: written, family: 'ipv6', port }).address;
      fc.pre(!canonical.includes('.'));
      const expected = { family: 'ipv6', address: canonical, port } as const;
      for (const text of [written, written.toUpperCase(), canonical]) {
        assert.deepEqual(decodeAddress(mem, AT, there({ family: 'ipv6', address: text, port })), expected);
      }
    }),
    { seed: 5952, numRuns: 500 },
  );
  assert.deepEqual(decodeAddress(mem, AT, there({ family: 'ipv6', address: '64:ff9b::192.0.2.33', port: 1 })), {
    family: 'ipv6',
    address: '64:ff9b::c000:221',
    port: 1,
  });
});

test('an IPv4-mapped peer is shown as IPv4, an unnamed unix peer by an empty path', () => {
  const length = there({ family: 'ipv6', address: '::ffff:10.1.2.3', port: 9 });
  assert.deepEqual(decodeAddress(mem, AT, length), { family: 'ipv4', address: '10.1.2.3', port: 9 });
  mem.fill(0, AT, AT + ADDRESS_BYTES);
  mem[AT] = 1;
  assert.deepEqual(decodeAddress(mem, AT, 2), { family: 'unix', path: '' });
  assert.deepEqual(decodeAddress(mem, AT, there({ family: 'unix', path: '/run/ä' })), {
    family: 'unix',
    path: '/run/ä',
  });
});

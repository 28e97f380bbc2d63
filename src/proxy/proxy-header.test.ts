import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../base/limits.ts';
import { PROXY_BAD, PROXY_MORE, ProxyHeader, proxyHeader, readProxyHeader } from './proxy-header.ts';

function read(bytes: Uint8Array | string): { used: number; said: string } {
  const from = Buffer.from(bytes as string, 'latin1');
  const mem = Buffer.concat([Buffer.alloc(3, 'x'), from]);
  const header = new ProxyHeader();
  const used = readProxyHeader(mem, 3, mem.length, header);
  return { used, said: header.address === '' ? '' : `${header.address} ${header.port}` };
}

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
const v2 = (command: number, family: number, body: string, length = body.length): string =>
  `${SIGNATURE}${String.fromCharCode(command, family, length >> 8, length & 255)}${body}`;
const FOUR = '\xc0\0\x02\x07\xc6\x33\x64\x01\xc8\x22\x01\xbb';

test('lines of version 1, with whatever stands behind them', () => {
  for (const [line, said] of [
    ['PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n', '192.0.2.7 51234'],
    ['PROXY TCP6 2001:DB8:0:0::7 2001:db8::1 1 65535\r\n', '2001:db8::7 1'],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 1 2\r\n', '192.0.2.7 1'],
    ['PROXY UNKNOWN\r\n', ''],
    ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', ''],
  ] as const) {
    assert.deepEqual(read(line), { used: line.length, said });
    assert.deepEqual(read(`${line}GET / HTTP/1.1\r\n`), { used: line.length, said });
    for (let n = 0; n < line.length; n++) assert.equal(read(line.slice(0, n)).used, PROXY_MORE, line.slice(0, n));
  }
});

test('headers of version 2: addresses, TLVs that are passed, connections of the load balancer itself', () => {
  const six = `\x20\x01\x0d\xb8${'\0'.repeat(11)}\x07${'\0'.repeat(16)}\xc8\x22\x01\xbb`;
  for (const [header, said] of [
    [v2(0x21, 0x11, FOUR), '192.0.2.7 51234'],
    [v2(0x21, 0x11, `${FOUR}\x04\0\x03abc\x20\0\0`), '192.0.2.7 51234'],
    [v2(0x21, 0x21, six), '2001:db8::7 51234'],
    [v2(0x21, 0x31, '\0'.repeat(216)), ''],
    [v2(0x21, 0x31, 'short'), ''],
    [v2(0x21, 0x32, '\0'.repeat(216)), ''],
    [v2(0x21, 0x12, FOUR), ''],
    [v2(0x21, 0x22, six), ''],
    [v2(0x21, 0x00, ''), ''],
    [v2(0x21, 0x00, 'anything'), ''],
    [v2(0x20, 0x00, ''), ''],
    [v2(0x20, 0x11, FOUR), ''],
    [v2(0x20, 0x11, 'anything'), ''],
  ] as const) {
    assert.deepEqual(read(header), { used: header.length, said });
    assert.deepEqual(read(`${header}\x16\x03\x01`), { used: header.length, said });
    for (let n = 0; n < header.length; n++) assert.equal(read(header.slice(0, n)).used, PROXY_MORE);
  }
});

test('what is no header, or not quite one, is none', () => {
  for (const bad of [
    'GET / HTTP/1.1\r\n',
    'PROXY\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 51234 443 \r\n',
    'PROXY TCP4  192.0.2.7 198.51.100.1 51234 443\r\n',
    'PROXY TCP4 192.0.2.07 198.51.100.1 51234 443\r\n',
    'PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n',
    'PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 051234 443\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n',
    'PROXY UDP4 192.0.2.7 198.51.100.1 51234 443\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\rX',
    `PROXY UNKNOWN ${'x'.repeat(100)}`,
    'proxy TCP4 192.0.2.7 198.51.100.1 51234 443\r\n',
    v2(0x11, 0x11, FOUR),
    v2(0x22, 0x11, FOUR),
    v2(0x21, 0x10, FOUR),
    v2(0x21, 0x13, FOUR),
    v2(0x21, 0x41, FOUR),
    v2(0x21, 0x11, FOUR.slice(1)),
    v2(0x21, 0x11, `${FOUR}\x04\0\x04abc`),
    v2(0x21, 0x11, `${FOUR}\x04\0`),
    v2(0x21, 0x11, '', LIMITS.PROXY_HEADER_BYTES),
    `${SIGNATURE.slice(0, 11)}X`,
  ])
    assert.equal(read(bad).used, PROXY_BAD, JSON.stringify(bad));
});

test('what is written is read: both versions, both families and a mixture', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const port = fc.nat(65_535);
  fc.assert(
    fc.property(fc.constantFrom('v1', 'v2'), address, port, address, port, (version, from, at, to, toPort) => {
      const header = proxyHeader(version, from, at, {
        family: to.includes(':') ? 'ipv6' : 'ipv4',
        address: to,
        port: toPort,
      });
      const { used, said } = read(header);
      assert.equal(used, header.length);
      const again = proxyHeader('v2', said.split(' ')[0] as string, at, {
        family: 'ipv4',
        address: '192.0.2.1',
        port: 1,
      });
      const first = proxyHeader('v2', from, at, { family: 'ipv4', address: '192.0.2.1', port: 1 });
      const mapped = /^(0*:)*:ffff:/i.test(from);
      if (!mapped) assert.deepEqual(again, first);
    }),
    { seed: 7, numRuns: 500 },
  );
  assert.equal(
    Buffer.from(proxyHeader('v1', '192.0.2.7', 1, { family: 'ipv6', address: '::1', port: 2 })).toString(),
    'PROXY TCP6 ::ffff:c000:207 ::1 1 2\r\n',
  );
  assert.equal(
    Buffer.from(proxyHeader('v1', 'unix', 0, { family: 'unix', path: '/x' })).toString(),
    'PROXY UNKNOWN\r\n',
  );
});

test('no bytes, in whatever pieces, are read beyond their end, and more never makes less of them', () => {
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 80 }).map((b) => Buffer.concat([Buffer.from('PROXY TCP4 '), b])),
    fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.concat([Buffer.from(SIGNATURE, 'latin1'), b])),
  );
  fc.assert(
    fc.property(some, (bytes) => {
      let before: number = PROXY_MORE;
      for (let n = 0; n <= bytes.length; n++) {
        const { used } = read(bytes.subarray(0, n));
        assert.ok(used <= n);
        if (before !== PROXY_MORE) assert.equal(used, before, 'said once, it stays');
        before = used;
      }
    }),
    { seed: 8, numRuns: 2_000 },
  );
});

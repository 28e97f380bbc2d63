import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, textOf } from '../base/bytes.ts';
import { newMemory } from '../base/memory.ts';
import { forwardedClient } from './exchange/forwarded.ts';
import { Head } from './head.ts';
import { parseRequest } from './http1/request.ts';
import { TrustedProxies } from './trusted.ts';

test('ranges and single addresses of both families', () => {
  const trusted = new TrustedProxies(['10.0.0.0/8', '192.0.2.7', 'fd00::/8', '::1']);
  const has = (address: string): boolean =>
    trusted.has({ family: address.includes(':') ? 'ipv6' : 'ipv4', address, port: 1 });
  for (const address of ['10.1.2.3', '192.0.2.7', 'fd00::5', '::1']) assert.ok(has(address), address);
  for (const address of ['11.0.0.1', '192.0.2.8', 'fe80::1', '::2']) assert.equal(has(address), false, address);
  assert.equal(trusted.has({ family: 'unix', path: '/x' }), false);
  assert.equal(new TrustedProxies([]).has({ family: 'ipv4', address: '127.0.0.1', port: 1 }), false);
});

test('what is no range is refused by name', () => {
  for (const range of ['10.0.0.0/33', 'example.com', '10.0.0.0/x', '', 'fd00::/129', '10.0.0.0/']) {
    assert.throws(
      () => new TrustedProxies([range]),
      new RegExp(`trusted proxies: ${JSON.stringify(range).replace(/[/.]/g, '\\$&')}`),
    );
  }
});

function client(...lines: string[]): string {
  const fields = lines.map((line) => `X-Forwarded-For: ${line}\r\n`).join('');
  const bytes = bytesOf(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
  const mem = newMemory(bytes.length);
  mem.set(bytes);
  const head = new Head();
  assert.equal(parseRequest(mem, 0, mem.length, head), 1);
  return textOf(forwardedClient(new TrustedProxies(['10.0.0.0/8', 'fd00::/8']), mem, head, bytesOf('10.0.0.1')));
}

test('the client is the last address that is no trusted proxy', () => {
  assert.equal(client(), '10.0.0.1');
  assert.equal(client('203.0.113.5'), '203.0.113.5');
  assert.equal(client('6.6.6.6, 203.0.113.5, 10.0.0.9'), '203.0.113.5');
  assert.equal(client('6.6.6.6', '203.0.113.5', '10.0.0.9, 10.0.0.8'), '203.0.113.5');
  assert.equal(client('10.0.0.3, 10.0.0.2'), '10.0.0.3');
  assert.equal(client('[2001:db8::1]:443, fd00::1'), '2001:db8::1');
  assert.equal(client('203.0.113.5:1234'), '203.0.113.5');
});

test('what is no address ends the search: what stands before it was not written by a trusted proxy', () => {
  assert.equal(client('6.6.6.6, unknown, 10.0.0.9'), '10.0.0.9');
  assert.equal(client('6.6.6.6, <script>'), '10.0.0.1');
  assert.equal(client(','), '10.0.0.1');
});

// Fuzzing of what stands in front of a connection: PROXY headers and ClientHellos, whole, cut, mutated and in pieces.
// Nothing is read beyond its end, what was said of the first bytes stays true when more come, and what is written is
// read. FUZZ_SECONDS and FUZZ_SEED as in http1.test.ts.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { PROXY_BAD, PROXY_MORE, ProxyHeader, proxyHeader, readProxyHeader } from '../../src/proxy/proxy-header.ts';
import { ClientHello, HELLO_BAD, HELLO_MORE, readClientHello } from '../../src/proxy/tls/client-hello.ts';
import { Chance } from './http1-mutate.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
const GUARD = 16;

function fuzz(t: TestContext, steps: number, step: (chance: Chance) => void): void {
  const seed = Number(process.env['FUZZ_SEED'] ?? (SECONDS > 0 ? randomInt(2 ** 31) : 1));
  const chance = new Chance(seed);
  const end = performance.now() + SECONDS * 1000;
  let done = 0;
  while (SECONDS > 0 ? performance.now() < end : done < steps) {
    step(chance);
    done++;
  }
  t.diagnostic(`seed ${seed}, ${done} steps`);
}

/** The bytes with some changed, cut, doubled or put in. */
function mutated(chance: Chance, bytes: Uint8Array): Uint8Array {
  let out = [...bytes];
  for (let n = chance.next(4); n > 0 && out.length > 0; n--) {
    const at = chance.next(out.length);
    const how = chance.next(4);
    if (how === 0) out[at] = chance.next(256);
    else if (how === 1) out.splice(at, 1 + chance.next(8));
    else if (how === 2) out.splice(at, 0, ...Array.from({ length: 1 + chance.next(8) }, () => chance.next(256)));
    else out = [...out.slice(0, at), ...out.slice(Math.max(0, at - chance.next(20)))];
  }
  return Uint8Array.from(out);
}

/** What a reader says of ever more of `bytes`; it must say one thing, and stay with it. */
function verdict(
  chance: Chance,
  bytes: Uint8Array,
  more: number,
  read: (mem: Uint8Array, end: number) => number,
): number {
  const mem = new Uint8Array(GUARD + bytes.length + GUARD);
  mem.set(bytes, GUARD);
  let said = more;
  for (let n = 0; n <= bytes.length; n += n === bytes.length ? 1 : Math.min(bytes.length - n, 1 + chance.next(40))) {
    // What lies behind the end is not to be looked at.
    mem.fill(chance.next(256), GUARD + n, GUARD + n + 1);
    if (n > 0) mem.set(bytes.subarray(0, n), GUARD);
    const now = read(mem, GUARD + n);
    assert.ok(now <= n, 'within what came');
    if (said !== more) assert.equal(now, said, 'what was said stays');
    said = now;
    mem.set(bytes, GUARD);
  }
  return said;
}

const ADDRESSES = ['192.0.2.7', '255.255.255.255', '2001:db8::7', '::1', '::ffff:192.0.2.1'];

test('PROXY headers', (t) => {
  fuzz(t, 3_000, (chance) => {
    const version = chance.pick(['v1', 'v2'] as const);
    const [from, to] = [chance.pick(ADDRESSES), chance.pick(ADDRESSES)];
    const port = chance.next(65_536);
    const family = to.includes(':') ? 'ipv6' : 'ipv4';
    const whole = proxyHeader(version, from, port, { family, address: to, port: chance.next(65_536) });
    const header = new ProxyHeader();
    const read = (mem: Uint8Array, end: number): number => readProxyHeader(mem, GUARD, end, header);
    assert.equal(verdict(chance, Buffer.concat([whole, Buffer.from('GET /')]), PROXY_MORE, read), whole.length);
    assert.equal(header.port, port);
    const said = verdict(chance, mutated(chance, whole), PROXY_MORE, read);
    assert.ok(said === PROXY_BAD || said === PROXY_MORE || said > 0);
    if (said <= 0) return;
    assert.match(header.address, /^([0-9a-f.:]*)$/);
    assert.ok(header.port <= 65_535);
  });
});

/** A ClientHello that names `name`, in records of chance. */
function hello(chance: Chance, name: string): Uint8Array {
  const sni = [0, name.length + 3, 0, 0, name.length, ...Buffer.from(name)];
  const extensions = [0, 0, sni.length >> 8, sni.length & 255, ...sni];
  const padding = Array.from({ length: chance.next(300) }, () => 0);
  if (padding.length > 0) extensions.push(0, 21, padding.length >> 8, padding.length & 255, ...padding);
  const body = [3, 3, ...new Array(32).fill(1), 0, 0, 2, 0x13, 1, 1, 0];
  body.push(extensions.length >> 8, extensions.length & 255, ...extensions);
  const message = [1, 0, body.length >> 8, body.length & 255, ...body];
  const out: number[] = [];
  for (let at = 0; at < message.length; ) {
    const part = message.slice(at, at + 1 + chance.next(chance.pick([8, 100, 4_000])));
    out.push(22, 3, 1, part.length >> 8, part.length & 255, ...part);
    at += part.length;
  }
  return Uint8Array.from(out);
}

test('ClientHellos', (t) => {
  fuzz(t, 1_500, (chance) => {
    const name = `${'abc'.repeat(1 + chance.next(20))}.example`;
    const whole = hello(chance, name);
    const found = new ClientHello();
    const read = (mem: Uint8Array, end: number): number => readClientHello(mem, GUARD, end, found);
    assert.equal(verdict(chance, whole, HELLO_MORE, read), whole.length);
    assert.equal(found.serverName, name);
    const said = verdict(chance, mutated(chance, whole), HELLO_MORE, read);
    assert.ok(said === HELLO_BAD || said === HELLO_MORE || said > 0);
    assert.match(found.serverName, /^[a-z0-9._:-]*$/);
  });
});

import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { LIMITS } from '../../base/limits.ts';
import { ClientHello, HELLO_BAD, HELLO_MORE, readClientHello } from './client-hello.ts';

/** What Node's own TLS client says first. */
function sayHello(options: { servername?: string; ALPNProtocols?: string[]; maxVersion?: 'TLSv1.2' }): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(chunk);
        done();
        wire.destroy();
      },
    });
    connect({ socket: wire, rejectUnauthorized: false, ...options }).on('error', () => {});
  });
}

const modern = await sayHello({ servername: 'Shop.Example', ALPNProtocols: ['h2', 'http/1.1'] });
const old = await sayHello({ servername: 'old.example', maxVersion: 'TLSv1.2' });
const nameless = await sayHello({});

function read(bytes: Uint8Array): { used: number; hello: ClientHello } {
  const hello = new ClientHello();
  const mem = new Uint8Array(bytes.length + 10);
  mem.set(bytes, 7);
  return { used: readClientHello(mem, 7, 7 + bytes.length, hello), hello };
}

/** The same message in records of `sizes` bytes, the last one with what is left. */
function inRecords(bytes: Uint8Array, sizes: readonly number[]): Buffer {
  const message = bytes.subarray(5);
  const out: Uint8Array[] = [];
  let at = 0;
  for (const size of [...sizes, message.length]) {
    const part = message.subarray(at, at + size);
    if (part.length === 0) break;
    out.push(Uint8Array.of(22, 3, 1, part.length >> 8, part.length & 255), part);
    at += size;
  }
  return Buffer.concat(out);
}

test('what a real client says', () => {
  const { used, hello } = read(modern);
  assert.equal(used, modern.length);
  assert.equal(hello.serverName, 'shop.example');
  assert.ok(hello.tls13 && hello.p256 && hello.rsa);
  assert.equal(hello.hasTicket, false);
  const earlier = read(old).hello;
  assert.equal(earlier.serverName, 'old.example');
  assert.equal(earlier.tls13, false);
  assert.equal(read(nameless).hello.serverName, '');
});

test('cut anywhere it is not whole yet; nothing of an earlier one is left', () => {
  const hello = new ClientHello();
  for (let n = 0; n < modern.length; n++) {
    assert.equal(readClientHello(modern, 0, modern.length, hello), modern.length);
    assert.equal(readClientHello(modern, 0, n, hello), HELLO_MORE, `${n} bytes`);
    assert.equal(hello.serverName, '');
  }
});

test('in any number of records it is the same', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 20 }), (sizes) => {
      const bytes = inRecords(modern, sizes);
      const { used, hello } = read(bytes);
      assert.equal(used, bytes.length);
      assert.equal(hello.serverName, 'shop.example');
      for (let n = 0; n < bytes.length; n += 7) assert.equal(read(bytes.subarray(0, n)).used, HELLO_MORE);
    }),
    { seed: 1, numRuns: 50 },
  );
});

test('what is no ClientHello is seen at its first bytes, as early as can be', () => {
  for (const bytes of ['GET / HTTP/1.1\r\n', 'PRI * HTTP/2.0', '\x16\x02', '\x15\x03\x01\x00\x02', '\x00']) {
    assert.equal(read(Buffer.from(bytes, 'latin1')).used, HELLO_BAD, JSON.stringify(bytes));
  }
  assert.equal(read(Buffer.from([22, 3, 1, 0, 4, 2])).used, HELLO_BAD, 'another handshake message');
  assert.equal(read(Buffer.from([22, 3, 1, 0, 0])).used, HELLO_BAD, 'an empty fragment');
  assert.equal(read(Buffer.from([22, 3, 1, 0x40, 1])).used, HELLO_BAD, 'a record that is too long');
  const size = LIMITS.TLS_HELLO_BYTES;
  assert.equal(read(Buffer.from([22, 3, 1, 0, 4, 1, size >> 16, (size >> 8) & 255, size & 255])).used, HELLO_BAD);
});

test('damage never throws, and what is read stays within its kind', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(modern, old, nameless),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
      (bytes, changes) => {
        const copy = Uint8Array.from(bytes);
        for (const [where, value] of changes) copy[where % copy.length] = value;
        const { used, hello } = read(copy);
        assert.ok(used === HELLO_BAD || used === HELLO_MORE || (used > 0 && used <= copy.length));
        assert.match(hello.serverName, /^[a-z0-9._:-]*$/);
      },
    ),
    { seed: 2, numRuns: 3000 },
  );
});

// ---- by hand: RFC 8446 section 4.2 and RFC 6066 section 3

function helloWith(extensions: readonly (readonly [type: number, body: readonly number[]])[]): Buffer {
  const list = extensions.flatMap(([type, body]) => [
    type >> 8,
    type & 255,
    body.length >> 8,
    body.length & 255,
    ...body,
  ]);
  const body = [3, 3, ...new Array(32).fill(1), 0, 0, 2, 0x13, 1, 1, 0, list.length >> 8, list.length & 255, ...list];
  const message = [1, body.length >> 16, (body.length >> 8) & 255, body.length & 255, ...body];
  return Buffer.from([22, 3, 1, message.length >> 8, message.length & 255, ...message]);
}
const sni = (name: string): readonly [number, number[]] => [
  0,
  [0, name.length + 3, 0, 0, name.length, ...Buffer.from(name, 'latin1')],
];

/** RFC 6066 section 3: literal addresses are no host names; the rest no host can have. */
const NOBODY = [
  ...['*', '*.example', 'a.*', '[::1]', '::1', 'fe80::1', '192.0.2.1', '192.0.2.1.', 'a.example:443'],
  ...['a b', 'a/b', 'ä', '%61.example', '.', '~'],
];

test('names: lower case, one dot at the end gone; who gives what no host is called has named nobody', () => {
  assert.equal(read(helloWith([sni('A.Example.')])).hello.serverName, 'a.example');
  assert.equal(read(helloWith([sni('_a.b-c.example')])).hello.serverName, '_a.b-c.example');
  for (const name of NOBODY) {
    const bytes = helloWith([sni(name)]);
    for (let n = 0; n < 2; n++) {
      const { used, hello } = read(bytes);
      assert.deepEqual([used, hello.serverName], [bytes.length, ''], name);
    }
    assert.equal(read(helloWith([sni('a.example')])).hello.serverName, 'a.example');
  }
});

test('names that are none: refused, as OpenSSL does', () => {
  for (const name of ['a\0b', '']) assert.equal(read(helloWith([sni(name)])).used, HELLO_BAD, name);
  assert.equal(read(helloWith([[0, [1, 3, 0, 1, 0, ...new Array(256).fill(97)]]])).used, HELLO_BAD, '256 bytes');
});

test('an extension that comes twice, two names, a list that ends elsewhere: refused', () => {
  assert.equal(read(helloWith([sni('a'), sni('b')])).used, HELLO_BAD);
  assert.equal(read(helloWith([[0, [0, 8, 0, 0, 1, 97, 0, 0, 1, 98]]])).used, HELLO_BAD);
  assert.equal(read(helloWith([[41, [0, 30, 0, 200]]])).used, HELLO_BAD);
});

test('what was read before says nothing of the next one, whether it was good or not', () => {
  const list = fc.array(fc.tuple(fc.integer({ min: 100, max: 65_535 }), fc.constant([7])), { maxLength: 12 });
  const name = fc.constantFrom('a', 'ab', 'a.', 'A', 'a b', 'aa', '');
  fc.assert(
    fc.property(fc.array(fc.tuple(name, list, fc.nat({ max: 80 })), { maxLength: 10 }), (before) => {
      for (const [host, extensions, cut] of before) {
        const bytes = helloWith([sni(host), ...extensions]);
        const once = new Set(extensions.map(([type]) => type)).size === extensions.length;
        const { used, hello } = read(bytes);
        assert.equal(used, once && host !== '' ? bytes.length : HELLO_BAD);
        if (used > 0) assert.equal(hello.serverName, host === 'a b' ? '' : host.toLowerCase().replace('.', ''));
        // Whole by its records, and cut short within.
        const message = bytes.subarray(5, bytes.length - Math.min(cut, bytes.length - 10));
        message.writeUIntBE(message.length - 4, 1, 3);
        read(Buffer.concat([Uint8Array.of(22, 3, 1, message.length >> 8, message.length & 255), message]));
      }
      const { used, hello } = read(helloWith([sni('a'), [35, []], [65_281, [0]]]));
      assert.ok(used > 0);
      assert.equal(hello.serverName, 'a');
    }),
    { seed: 3, numRuns: 500 },
  );
});

test('the key of a ticket is named by its first bytes, in both versions; what asks for a staple is heard', () => {
  const name = Array.from({ length: 16 }, (_, i) => i + 1);
  const named = ({ hello }: { hello: ClientHello }): number[] => (hello.hasTicket ? [...hello.ticketName] : []);
  assert.deepEqual(named(read(helloWith([[35, [...name, 9, 9]]]))), name);
  assert.deepEqual(named(read(helloWith([[41, [0, 26, 0, 20, ...name, 1, 2, 3, 4, 0, 0, 0, 0]]]))), name);
  assert.deepEqual(named(read(helloWith([[35, []]]))), []);
  assert.deepEqual(named(read(helloWith([[35, name.slice(1)]]))), [], 'too short for a name');
  assert.equal(read(helloWith([[5, [1, 0, 0, 0, 0]]])).hello.wantsStaple, true);
});

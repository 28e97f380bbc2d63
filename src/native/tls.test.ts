import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { NativeTlsRig, type Pair, PLAIN } from '../../test/support/native-tls.ts';
import { authority, leaf } from '../../tools/certificates.ts';
import { ERRNO, type Handle } from '../io/io.ts';
import { TICKET_KEY_BYTES, TLS_FAILED } from '../io/tls.ts';
import { symbol } from './ffi.ts';
import * as ssl from './openssl.ts';

const rig = new NativeTlsRig();
const { io, tls, at, middle, site, chain, certificate, pair, shake, close, write, read, apart, strangers } = rig;
after(() => rig.end());

test('a connection stands, and bytes go both ways', () => {
  const p = pair();
  assert.deepEqual(shake(p), [1, 1]);
  write(p.client, 'question');
  assert.equal(read(p.server), 'question');
  write(p.server, 'answer');
  assert.equal(read(p.client), 'answer');
  assert.equal(tls.version(p.server), 'TLSv1.3');
  assert.match(tls.cipher(p.server), /^TLS_AES_\d+_GCM_SHA\d+$/);
  assert.equal(tls.alpn(p.server), 'http/1.1');
  assert.equal(tls.alpn(p.client), 'http/1.1');
  assert.equal(tls.verifyResult(p.client), 0);
  assert.match(tls.peerFingerprint(p.client), /^[0-9a-f]{64}$/);
  assert.equal(tls.peerFingerprint(p.server), '');
  assert.equal(tls.shutdown(p.server), 0);
  assert.equal(tls.recv(p.client, at, 100), 0, 'the end in order');
  assert.equal(tls.recv(p.server, at, 100), -ERRNO.EAGAIN);
  close(p);
});

test('close_notify that the socket does not take is said by the next call', () => {
  const filled = (sends: number): { p: Pair; sent: number } => {
    const p = pair();
    assert.deepEqual(shake(p), [1, 1]);
    let sent = 0;
    while (sent < sends && tls.send(p.server, at, 4096) === 4096) sent++;
    return { p, sent };
  };
  const most = filled(Number.POSITIVE_INFINITY);
  close(most.p);
  const { p, sent } = filled(most.sent);
  assert.equal(sent, most.sent);
  assert.equal(tls.shutdown(p.server), -ERRNO.EAGAIN);
  assert.equal(tls.shutdown(p.server), -ERRNO.EAGAIN);
  const readAll = (): number => {
    let bytes = 0;
    for (;;) {
      const n = tls.recv(p.client, at, 65_536);
      if (n <= 0) return n === -ERRNO.EAGAIN ? bytes : n;
      bytes += n;
    }
  };
  assert.equal(readAll(), sent * 4096);
  assert.equal(tls.shutdown(p.server), 0);
  assert.equal(readAll(), 0, 'the end in order');
  close(p);
});

test('what comes with the end of the handshake is heard, in whatever pieces it comes', () => {
  const sizes = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20_000 }));
  const property = fc.property(
    fc.constantFrom('TLSv1.2' as const, 'TLSv1.3' as const),
    fc.array(sizes, { maxLength: 6 }),
    fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 40_000 })), { maxLength: 8 }),
    fc.boolean(),
    (version, messages, pieces, withHello) => {
      const p = strangers(version);
      let next = 0;
      const piece = (): number => pieces[next++] ?? 65_536;
      let c = tls.handshake(p.client);
      let s = -ERRNO.EAGAIN;
      if (withHello) {
        // As behind the opening, which has read the ClientHello.
        p.pass(65_536);
        const n = io.recv((p.sockets as readonly Handle[])[2] as Handle, at, 65_536);
        s = tls.handshakeWith(p.server, at, n);
      }
      let sent = 0;
      let got = 0;
      for (let i = 0; i < 2000 && (s !== 1 || c !== 1 || got < sent || i < 10); i++) {
        if (c === -ERRNO.EAGAIN) {
          c = tls.handshake(p.client);
          if (c === 1) for (const size of messages) sent += Math.max(0, tls.send(p.client, at, size));
        }
        const passed = p.pass(piece());
        if (s === -ERRNO.EAGAIN) {
          s = tls.handshake(p.server);
          assert.ok(s === 1 || s === -ERRNO.EAGAIN, String(s));
          if (s === 1 && tls.emptied(p.server)) {
            assert.equal(tls.recv(p.server, at, 65_536), -ERRNO.EAGAIN);
            assert.equal(tls.recv(p.server, at, 65_536), -ERRNO.EAGAIN);
          }
        }
        if (s === 1 && passed > 0) {
          let n = tls.recv(p.server, at, 65_536);
          while (n > 0) {
            got += n;
            if (tls.emptied(p.server)) {
              assert.equal(tls.recv(p.server, at, 65_536), -ERRNO.EAGAIN);
              break;
            }
            n = tls.recv(p.server, at, 65_536);
          }
          assert.ok(n > 0 || n === -ERRNO.EAGAIN, String(n));
        }
        p.back();
      }
      assert.deepEqual([s, c, got], [1, 1, sent]);
      close(p);
    },
  );
  fc.assert(property, { numRuns: Number(process.env['FUZZ_RUNS'] ?? 200) });
});

test('behind a handshake of its own nothing more is asked of the socket, and the first message is the last one', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const p = apart(version);
    assert.equal(tls.emptied(p.server), true);
    assert.equal(tls.recv(p.server, at, 100), -ERRNO.EAGAIN);
    write(p.client, 'first');
    p.pass(65_536);
    assert.equal(read(p.server), 'first');
    assert.equal(tls.emptied(p.server), true);
    close(p);
  }
});

test('new keys in the middle of what is read at once: all is heard, and what is said to be empty is', () => {
  // RFC 8446 section 4.6.3; the client is OpenSSL's alone.
  const keyUpdate = symbol('SSL_key_update', ['long', 'int']);
  const context = ssl.ctxNew(ssl.tlsClientMethod());
  const step = fc.record({
    sizes: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20_000 })), {
      minLength: 1,
      maxLength: 5,
    }),
    piece: fc.constantFrom(1, 100, 5_000, 65_536),
    reads: fc.constantFrom(1, 2, 1_000),
  });
  let known = 0;
  const property = fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), fc.boolean(), (steps, asks) => {
    const p = strangers('TLSv1.3');
    tls.close(p.client);
    const raw = ssl.sslNew(context);
    ssl.sslSetFd(raw, io.fdOf(p.sockets[0]));
    ssl.sslSetConnectState(raw);
    for (let i = 0; i < 4; i++) {
      ssl.sslDoHandshake(raw);
      p.pass(65_536);
      tls.handshake(p.server);
      p.back();
    }
    assert.equal(tls.handshake(p.server), 1);
    let sent = 0;
    let got = 0;
    let full = false;
    const drain = (reads: number): void => {
      for (let i = 0; i < reads; i++) {
        const n = tls.recv(p.server, at, 65_536);
        assert.ok(n > 0 || n === -ERRNO.EAGAIN, String(n));
        if (n < 0) return;
        got += n;
        if (!tls.emptied(p.server)) continue;
        known++;
        assert.equal(tls.recv(p.server, at, 65_536), -ERRNO.EAGAIN);
        return;
      }
    };
    for (const { sizes, piece, reads } of steps) {
      for (const size of sizes) {
        if (full) break;
        if (size === 0) keyUpdate(raw, asks ? 1 : 0);
        const n =
          size === 0 ? ssl.sslDoHandshake(raw) : ssl.sslWrite(BigInt(raw), BigInt(io.arena.base + at), BigInt(size));
        // What the socket does not take is not counted, and nothing follows it.
        full = n <= 0;
        if (size > 0 && !full) sent += n;
      }
      p.pass(piece);
      drain(reads);
      // Ours in return.
      write(p.server, 'x');
      p.back();
      ssl.sslRead(BigInt(raw), BigInt(io.arena.base + at), 100n);
    }
    while (p.pass(65_536) > 0) drain(Number.POSITIVE_INFINITY);
    drain(Number.POSITIVE_INFINITY);
    assert.equal(got, sent);
    ssl.sslFree(BigInt(raw), 0n);
    tls.close(p.server);
    for (const socket of p.sockets) io.close(socket);
  });
  fc.assert(property, { numRuns: Number(process.env['FUZZ_RUNS'] ?? 100) });
  ssl.ctxFree(context);
  assert.ok(known > 0);
});

test('what a read is said to have emptied is empty, however records come apart', () => {
  let known = 0;
  let asked = 0;
  const sizes = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20_000 }));
  const property = fc.property(
    fc.constantFrom('TLSv1.2' as const, 'TLSv1.3' as const),
    fc.array(fc.tuple(sizes, sizes, fc.constantFrom(1, 100, 5_000, 65_536), fc.constantFrom(1, 2, 1_000)), {
      minLength: 1,
      maxLength: 20,
    }),
    (version, steps) => {
      const p = apart(version);
      let sent = 0;
      let got = 0;
      const drain = (room: number, reads: number): void => {
        for (let i = 0; i < reads; i++) {
          const n = tls.recv(p.server, at, room);
          if (n < 0) {
            assert.equal(n, -ERRNO.EAGAIN);
            return;
          }
          got += n;
          if (n === room) continue;
          asked++;
          if (!tls.emptied(p.server)) continue;
          known++;
          assert.equal(tls.recv(p.server, at, room), -ERRNO.EAGAIN);
          return;
        }
      };
      for (const [size, piece, room, reads] of steps) {
        sent += Math.max(0, tls.send(p.client, at, size));
        p.pass(piece);
        drain(room, reads);
      }
      while (p.pass(65_536) > 0);
      drain(65_536, Number.POSITIVE_INFINITY);
      assert.equal(got, sent);
      close(p);
    },
  );
  fc.assert(property, { numRuns: Number(process.env['FUZZ_RUNS'] ?? 100) });
  assert.ok(known > asked / 50, `${known} of ${asked}`);
});

test('behind a small message nothing more has to be asked for', () => {
  const p = pair();
  assert.deepEqual(shake(p), [1, 1]);
  for (let i = 0; i < 50; i++) {
    write(p.client, 'x'.repeat(1 + i * 40));
    read(p.server);
    // Before the first one nothing was known of what it had.
    assert.ok(tls.emptied(p.server) || i === 0);
  }
  write(p.client, 'one');
  write(p.client, 'two');
  assert.equal(read(p.server), 'one');
  assert.equal(tls.emptied(p.server), false, 'another record came with it');
  assert.equal(read(p.server), 'two');
  assert.equal(tls.emptied(p.server), false, 'nothing was asked of the socket');
  assert.equal(tls.recv(p.server, at, 100), -ERRNO.EAGAIN);
  write(p.client, 'three');
  assert.equal(read(p.server), 'three');
  assert.equal(tls.emptied(p.server), true);
  close(p);
  assert.equal(tls.emptied(p.server), false, 'closed');
});

test('the end of the socket without close_notify is no end in order', () => {
  const p = pair();
  assert.deepEqual(shake(p), [1, 1]);
  tls.close(p.server);
  io.close(p.sockets[0]);
  const said = tls.recv(p.client, at, 100);
  assert.ok(said === TLS_FAILED || said === -ERRNO.ECONNRESET, String(said));
  close(p);
});

test('names: exact, wildcard of one label, address; any other is refused on both sides', () => {
  for (const [name, good] of [
    ['site.example', true],
    ['a.wild.example', true],
    ['127.0.0.1', true],
    ['a.b.wild.example', false],
    ['other.example', false],
    ['127.0.0.2', false],
  ] as const) {
    const p = pair({ name });
    const [s, c] = shake(p);
    assert.equal(c, good ? 1 : TLS_FAILED, name);
    if (!good) {
      assert.equal(s, TLS_FAILED);
      assert.equal(tls.failure.alert, 42, 'bad_certificate: the client said why');
    }
    close(p);
  }
});

test('without overlap in ALPN the client is told: alert 120', () => {
  const other = tls.clientContext({ ...PLAIN, alpn: ['foo/1'] }, 0);
  const p = pair({ client: other });
  const [s, c] = shake(p);
  assert.equal(s, TLS_FAILED);
  assert.equal(c, TLS_FAILED);
  assert.equal(tls.failure.alert, 120);
  close(p);
  tls.dropContext(other);
});

test('an offer of protocols that is none is refused', () => {
  // RFC 7301 section 3.1: names of 1 to 255 bytes that fill the list.
  for (const list of [
    [0, 1, 0],
    [0, 4, 2, 104, 50, 0],
    [0, 9, 2, 104, 50],
    [0, 0],
  ]) {
    const extensions = [0, 16, 0, list.length, ...list];
    const body = [3, 3, ...new Array(32).fill(1), 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, extensions.length, ...extensions];
    const hello = Buffer.from([22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length, ...body]);
    const p = pair();
    io.mem.set(hello, at);
    assert.equal(tls.handshakeWith(p.server, at, hello.length), TLS_FAILED, list.join());
    assert.match(tls.failure.reason, /bad extension|decode|length/);
    close(p);
  }
});

test('versions and ciphers of the settings, and what OpenSSL does not know is an error', () => {
  const old = tls.serverContext({ ...PLAIN, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
  const new13 = tls.clientContext({ ...PLAIN, minVersion: 'TLSv1.3' }, 0);
  const p = pair({ server: old, client: new13 });
  assert.deepEqual(shake(p), [1, 1]);
  assert.equal(tls.version(p.client), 'TLSv1.3');
  close(p);
  for (const wrong of [
    { ...PLAIN, ciphers: 'NO-SUCH-CIPHER' },
    { ...PLAIN, suites: 'TLS_NO_SUCH' },
  ]) {
    assert.throws(() => tls.serverContext(wrong), /ciphers|suites/);
  }
  tls.dropContext(old);
  tls.dropContext(new13);
});

test('client certificates: required, requested, missing, of another authority', () => {
  const clients = authority('Clients');
  const ours = tls.trust([clients.der], []);
  const good = leaf(clients, [], { client: true });
  const foreign = leaf(authority('Others'), [], { client: true });
  for (const mode of ['require', 'request'] as const) {
    const strict = tls.serverContext({ ...PLAIN, verify: { trust: ours, mode } });
    for (const [own, fine] of [
      [good, true],
      [foreign, false],
      [null, false],
    ] as const) {
      const p = pair({ server: strict });
      const shown = own === null ? null : tls.certificate([own.der], own.keyDer);
      if (shown !== null) assert.equal(tls.use(p.client, shown), 0);
      const [s] = shake(p);
      const what = `${mode} ${own === null ? 'none' : fine ? 'good' : 'foreign'}`;
      assert.equal(s, fine || mode === 'request' ? 1 : TLS_FAILED, what);
      if (s === 1 && own === good) assert.equal(tls.verifyResult(p.server), 0, what);
      if (s === 1 && own === foreign) assert.notEqual(tls.verifyResult(p.server), 0, what);
      if (s === 1) assert.equal(tls.peerFingerprint(p.server) !== '', own !== null, what);
      close(p);
      if (shown !== null) tls.dropCertificate(shown);
    }
    tls.dropContext(strict);
  }
  tls.dropTrust(ours);
});

test('an expired certificate is refused, and which it was is known', () => {
  const now = Date.now();
  const late = leaf(middle, ['site.example'], { notBefore: now - 2e9, notAfter: now - 1e9 });
  const expired = tls.certificate([late.der, middle.der], late.keyDer);
  const p = pair({ certificates: [expired] });
  assert.equal(tls.handshake(p.client), -ERRNO.EAGAIN);
  assert.equal(tls.handshake(p.server), -ERRNO.EAGAIN);
  assert.equal(tls.handshake(p.client), TLS_FAILED);
  assert.deepEqual(tls.failure, { reason: 'certificate verify failed', verify: 10, alert: 0 });
  close(p);
  tls.dropCertificate(expired);
});

test('a key that belongs to another certificate, and bytes that are none, are refused when used', () => {
  const other = leaf(middle, ['site.example']);
  const p = pair({ certificates: [] });
  for (const wrong of [
    tls.certificate(chain, other.keyDer),
    tls.certificate(chain, Buffer.from('no key')),
    tls.certificate([Buffer.from('no certificate')], site.keyDer),
  ]) {
    assert.equal(tls.use(p.server, wrong), TLS_FAILED);
    tls.dropCertificate(wrong);
  }
  assert.equal(tls.use(p.server, certificate), 0, 'and the next one is not harmed');
  assert.deepEqual(shake(p), [1, 1]);
  close(p);
});

test('a replaced certificate is not kept alive by idle connections; the one under way stays good', () => {
  const before = tls.counts.certificates;
  const fresh = leaf(middle, ['site.example']);
  const second = tls.certificate([fresh.der, middle.der], fresh.keyDer);
  const p = pair({ certificates: [second] });
  assert.equal(tls.handshake(p.client), -ERRNO.EAGAIN);
  tls.dropCertificate(second);
  assert.equal(tls.counts.certificates, before);
  assert.deepEqual(shake(p), [1, 1]);
  close(p);
});

test('stale handles reach nobody', () => {
  const p = pair();
  close(p);
  const q = pair();
  for (const call of [
    () => tls.handshake(p.server),
    () => tls.recv(p.server, at, 10),
    () => tls.send(p.server, at, 10),
    () => tls.shutdown(p.server),
    () => tls.use(p.server, certificate),
  ]) {
    assert.equal(call(), -ERRNO.EBADF);
  }
  assert.throws(() => tls.version(p.server), RangeError);
  assert.throws(() => tls.recv(q.server, io.mem.length - 1, 10), RangeError);
  assert.deepEqual(shake(q), [1, 1]);
  close(q);
});

test('ticket keys have one length and a limited number', () => {
  assert.throws(() => tls.setTicketKeys([new Uint8Array(79)]), RangeError);
  assert.throws(() => tls.setTicketKeys(Array.from({ length: 9 }, () => new Uint8Array(TICKET_KEY_BYTES))), RangeError);
});

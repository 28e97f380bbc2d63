// What says nothing, and that without end: one call reads so much of it and no more, and others have their turn.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { NativeTlsRig } from '../../test/support/native-tls.ts';
import { LIMITS } from '../base/limits.ts';
import { ERRNO } from '../io/io.ts';
import { TLS_FAILED, TLS_SILENCE } from '../io/tls.ts';
import { symbol } from './ffi.ts';
import * as ssl from './openssl.ts';

const rig = new NativeTlsRig();
const { io, tls, at, apart, pair } = rig;
after(() => rig.end());
const keyUpdate = symbol('SSL_key_update', ['long', 'int']);
const setWbio = symbol('SSL_set0_wbio', ['long', 'long']);
const bioRead = symbol('BIO_read', ['long', 'address', 'int']);

for (const server of [true, false]) {
  const who = server ? 'client' : 'server';
  test(`a ${who} that sends new keys and nothing else is read so far, and is refused`, () => {
    const p = pair();
    const ours = server ? p.server : p.client;
    const theirs = p.sockets[server ? 1 : 0];
    tls.close(server ? p.client : p.server);
    // The other side is OpenSSL's alone; what it writes is gathered and sent at once.
    const context = ssl.ctxNew(server ? ssl.tlsClientMethod() : ssl.tlsServerMethod());
    if (!server) rig.dress(context);
    const raw = ssl.sslNew(context);
    const out = ssl.bioNew(ssl.bioSMem());
    ssl.sslSetFd(raw, io.fdOf(theirs));
    setWbio(raw, out);
    if (server) ssl.sslSetConnectState(raw);
    else ssl.sslSetAcceptState(BigInt(raw), 0n);
    const flush = (): number => {
      let bytes = 0;
      for (let n = 1; n > 0; bytes += Math.max(0, n)) {
        n = bioRead(out, io.arena.base + at, 65_536);
        if (n > 0) assert.equal(io.send(theirs, at, n), n);
      }
      return bytes;
    };
    let said = -ERRNO.EAGAIN;
    for (let i = 0; i < 6; i++) {
      if (said === -ERRNO.EAGAIN) said = tls.handshake(ours);
      ssl.sslDoHandshake(raw);
      flush();
    }
    assert.equal(said, 1, tls.failure.reason);
    const renew = (bytes: number): void => {
      for (let sent = 0; sent < bytes; sent += 27) {
        keyUpdate(raw, 0);
        assert.equal(ssl.sslDoHandshake(raw), 1);
      }
      flush();
    };
    // Some of them are no harm.
    for (let i = 0; i < 10; i++) {
      renew(3000);
      assert.equal(tls.recv(ours, at, 65_536), -ERRNO.EAGAIN);
    }
    renew(LIMITS.TLS_SILENT_BYTES + 60_000);
    assert.equal(tls.recv(ours, at, 65_536), TLS_FAILED);
    assert.equal(tls.failure.reason, TLS_SILENCE);
    const left = io.recv(p.sockets[server ? 0 : 1], at, 65_536);
    assert.ok(left > 20_000, `${left} bytes are left`);
    ssl.sslFree(BigInt(raw), 0n);
    ssl.ctxFree(context);
    tls.close(ours);
    for (const socket of p.sockets) io.close(socket);
  });
}

test('records of the largest size in a row are no silence', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const p = apart(version);
    let sent = 0;
    for (let i = 0; i < 8; i++) {
      const n = tls.send(p.client, at, 16_384);
      if (n <= 0) break;
      sent += n;
      p.pass(65_536);
    }
    let got = 0;
    for (let n = 1; n > 0; got += Math.max(0, n)) n = tls.recv(p.server, at, 65_536);
    assert.equal(got, sent);
    rig.close(p);
  }
});

test('a handshake in which a server says nothing without end goes on in the next turn', () => {
  const p = pair();
  assert.equal(tls.handshake(p.client), -ERRNO.EAGAIN);
  // HelloRequest, which a client passes over (RFC 5246 section 7.4.1.1).
  const request = Buffer.from([22, 3, 3, 0, 4, 0, 0, 0, 0]);
  const many = Buffer.concat(Array.from({ length: 7000 }, () => request));
  io.mem.set(many, at);
  for (let i = 0; i < 3; i++) assert.equal(io.send(p.sockets[0], at, many.length), many.length);
  assert.equal(tls.handshake(p.client), -ERRNO.EINPROGRESS);
  assert.equal(tls.handshake(p.client), -ERRNO.EINPROGRESS);
  assert.equal(tls.handshake(p.client), -ERRNO.EAGAIN);
  rig.close(p);
});

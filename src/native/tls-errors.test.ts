import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authority, leaf } from '../../tools/certificates.ts';
import { ERRNO } from '../io/io.ts';
import { TLS_FAILED } from '../io/tls.ts';
import { openNative, socketPair } from './index.ts';
import * as ssl from './openssl.ts';
import { NativeTls } from './tls.ts';

const io = openNative({ arenaBytes: 32 * 2 ** 20 });
const tls = new NativeTls(io);
const at = io.alloc(4096);
after(() => {
  tls.dispose();
  io.free(at);
  io.dispose();
});

test('what others left in the error queue explains nothing of ours, within a turn and between two', () => {
  const sockets = socketPair(io);
  const own = leaf(authority('Root'), ['site.example']);
  const plain = {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: '',
    suites: '',
    alpn: [],
    verify: null,
  } as const;
  const server = tls.accept(tls.serverContext(plain), sockets[0]);
  const client = tls.connect(tls.clientContext(plain, 0), sockets[1], { serverName: '', names: [] });
  assert.equal(tls.use(server, tls.certificate([own.der], own.keyDer)), 0);
  for (let i = 0; i < 3; i++) {
    tls.handshake(client);
    tls.handshake(server);
  }
  const spoil = (): void => {
    io.mem.fill(0xff, at, at + 8);
    const cell = at + 16;
    new DataView(io.mem.buffer, io.mem.byteOffset).setBigUint64(cell, BigInt(io.arena.base + at), true);
    assert.equal(ssl.d2iX509(0, io.arena.base + cell, 8), 0);
  };
  const inTurn = (work: () => void): void => {
    io.again({ onReady: work }, 0);
    assert.equal(io.turn(0), 1);
  };
  const nothing = (): void => assert.equal(tls.recv(server, at, 100), -ERRNO.EAGAIN);
  for (let i = 0; i < 3; i++) {
    spoil();
    nothing();
    spoil();
    inTurn(() => {
      nothing();
      nothing();
      assert.equal(tls.use(server, 0), TLS_FAILED, 'a call of ours that fails');
      nothing();
    });
    spoil();
    nothing();
  }
  spoil();
  assert.equal(tls.shutdown(client), 0);
  inTurn(() => assert.equal(tls.recv(server, at, 100), 0, 'the end in order'));
  tls.close(server);
  tls.close(client);
  for (const socket of sockets) io.close(socket);
});

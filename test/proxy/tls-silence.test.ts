// A client that says nothing, and that without end, is cut off and counted; nobody else notices.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { LIMITS } from '../../src/base/limits.ts';
import { symbol } from '../../src/native/ffi.ts';
import * as ssl from '../../src/native/openssl.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import type { NativeNet } from '../support/native-net.ts';
import { nativeOnly } from '../support/net.ts';
import { TlsRig } from './tls-rig.ts';

const keyUpdate = symbol('SSL_key_update', ['long', 'int']);
const setBio = symbol('SSL_set_bio', ['long', 'long', 'long']);
const bioRead = symbol('BIO_read', ['long', 'address', 'int']);
const bioWrite = symbol('BIO_write', ['long', 'address', 'int']);

nativeOnly('new keys and nothing else: so much of it is read, and the client is gone', async (net) => {
  const rig = new TlsRig(net);
  const { io } = net as NativeNet;
  const at = io.alloc(65_536);
  const address = io.arena.base + at;
  const context = ssl.ctxNew(ssl.tlsClientMethod());
  const raw = ssl.sslNew(context);
  const [inward, outward] = [ssl.bioNew(ssl.bioSMem()), ssl.bioNew(ssl.bioSMem())];
  setBio(raw, inward, outward);
  io.mem.set(Buffer.from('a.example\0'), at);
  ssl.sslCtrl(raw, ssl.CTRL.SET_TLSEXT_HOSTNAME, 0, address);
  ssl.sslSetConnectState(raw);
  const socket: Socket = connect(rig.address.port, '127.0.0.1');
  const flush = (): void => {
    for (let n = 1; n > 0; ) {
      n = bioRead(outward, address, 65_536);
      if (n > 0) socket.write(io.mem.slice(at, at + n));
    }
  };
  while (ssl.sslDoHandshake(raw) !== 1) {
    flush();
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    io.mem.set(chunk, at);
    bioWrite(inward, address, chunk.length);
  }
  flush();
  for (let sent = 0; sent < 16 * LIMITS.TLS_SILENT_BYTES; sent += 27) {
    keyUpdate(raw, 0);
    assert.equal(ssl.sslDoHandshake(raw), 1);
  }
  flush();
  socket.on('error', () => {});
  socket.resume();
  await new Promise((resolve) => socket.on('close', resolve));
  assert.equal(rig.get(limitCell('TLS_SILENT_BYTES')), 1);
  assert.equal((await rig.ask('a.example')).status, 200);
  ssl.sslFree(BigInt(raw), 0n);
  ssl.ctxFree(context);
  io.free(at);
  await rig.end();
});

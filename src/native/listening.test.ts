// Letting go of a listening socket: what is established stays, nothing new begins.

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { IpAddress } from '../io/io.ts';
import { ERRNO } from '../io/io.ts';
import { admitNew, holdNew, openNative } from './index.ts';

const ARENA_BYTES = 1 << 20;

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });
}

test('a held socket keeps its queue and takes no new connection until it admits again', async () => {
  const io = openNative({ arenaBytes: ARENA_BYTES });
  const listener = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: true, backlog: 16 });
  const { port } = io.localAddress(listener) as IpAddress;
  const queued = await connected(port);
  assert.equal(holdNew(io, listener), 0);
  let late = false;
  const kept = connected(port).then((socket) => {
    late = true;
    return socket;
  });
  const accepted = io.accept(listener);
  assert.ok(accepted > 0, 'what was established before is there');
  queued.write('x');
  // The handshake of another socket goes through meanwhile: the held one had its chance.
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const through = await connected((other.address() as AddressInfo).port);
  assert.equal(late, false);
  assert.equal(io.accept(listener), -ERRNO.EAGAIN);
  assert.equal(admitNew(io, listener), 0);
  assert.equal(admitNew(io, listener), 0, 'twice is no error');
  const again = await connected(port);
  assert.ok(io.accept(listener) > 0);
  // TCP sends the SYN that was dropped again.
  const second = await kept;
  for (const socket of [queued, again, second, through]) socket.destroy();
  other.close();
  io.close(listener);
  assert.equal(holdNew(io, listener), -ERRNO.EBADF);
  assert.equal(admitNew(io, listener), -ERRNO.EBADF);
  io.dispose();
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PATH, PLACE_BYTES } from '../io/datagrams.ts';
import { ERRNO, type Handle, type IpAddress } from '../io/io.ts';
import { openNative } from './index.ts';

function stage() {
  const io = openNative({ arenaBytes: 16 * 1024 * 1024 });
  const { datagrams } = io;
  const batch = datagrams.open();
  assert.ok(batch !== null);
  const server = datagrams.bind({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { first: true });
  const client = datagrams.connect(io.localAddress(server) as IpAddress);
  assert.ok(server >= 0 && client >= 0);
  return { io, datagrams, batch, server, client };
}

/** Lengths of the datagrams that wait in a socket, runs taken apart; loopback delivers within the call. */
function lengths(it: ReturnType<typeof stage>, handle: Handle, bound: boolean): number[] {
  const { datagrams, batch } = it;
  const all: number[] = [];
  for (;;) {
    const n = bound ? datagrams.receiveFrom(handle, batch, 0, 8) : datagrams.receive(handle, batch, 0, 8);
    if (n < 0) return all;
    for (let i = 0; i < n; i++) {
      const length = batch.lengths[i] as number;
      const step = (batch.segments[i] as number) || length;
      for (let at = 0; at < length; at += step) all.push(Math.min(step, length - at));
    }
  }
}

test('runs go as one call and come as datagrams, there and back', () => {
  const it = stage();
  const { io, datagrams, batch, server, client } = it;
  for (let i = 0; i < 1_050; i++) io.mem[batch.at + i] = Math.floor(i / 100);
  assert.equal(datagrams.send(client, batch.at, 1_050, 100), 0);
  const n = datagrams.receiveFrom(server, batch, 0, 64);
  assert.ok(n > 0);
  let bytes = 0;
  for (let i = 0; i < n; i++) {
    const at = batch.at + i * PLACE_BYTES;
    const length = batch.lengths[i] as number;
    for (let b = 0; b < length; b++) assert.equal(io.mem[at + b], Math.floor((bytes + b) / 100));
    bytes += length;
  }
  assert.equal(bytes, 1_050);
  // Back by the path on which the first of them came.
  batch.lengths[0] = 250;
  batch.segments[0] = 100;
  assert.equal(datagrams.sendTo(server, batch, 0, 1), 1);
  assert.deepEqual(lengths(it, client, false), [100, 100, 50]);
  for (const handle of [server, client]) io.close(handle);
  datagrams.release(batch);
  assert.equal(io.arena.inUse, 0);
  io.dispose();
});

test('a run that the kernel does not take as one goes one by one', () => {
  const it = stage();
  const { io, datagrams, batch, server, client } = it;
  // More than one packet may hold, all told.
  assert.equal(datagrams.send(client, batch.at, PLACE_BYTES, 32_768), 0);
  assert.equal(datagrams.receiveFrom(server, batch, 0, 1), 1);
  assert.deepEqual(
    [batch.lengths[0], ...lengths(it, server, true)].reduce((a: number, b) => a + (b as number), 0),
    PLACE_BYTES,
  );
  batch.lengths[0] = PLACE_BYTES;
  batch.segments[0] = 32_768;
  assert.equal(datagrams.sendTo(server, batch, 0, 1), 1);
  assert.deepEqual(lengths(it, client, false), [32_768, 32_768]);
  assert.equal(datagrams.send(client, batch.at, 65_508, 0), -ERRNO.EMSGSIZE);
  io.dispose();
});

test('what does not fit, or is not open, is refused before the kernel sees it', () => {
  const { io, datagrams, batch, server, client } = stage();
  const { mem } = io;
  assert.throws(() => datagrams.send(client, mem.length - 10, 20, 0), RangeError);
  assert.throws(() => datagrams.send(client, mem.length - 10, 20, 5), RangeError);
  assert.throws(() => datagrams.receive(client, batch, 60, 5), RangeError);
  assert.throws(() => datagrams.receive(client, batch, 0, 0), RangeError);
  batch.lengths[0] = PLACE_BYTES + 1;
  assert.throws(() => datagrams.sendTo(server, batch, 0, 1), RangeError);
  batch.lengths[0] = -1;
  assert.throws(() => datagrams.sendTo(server, batch, 0, 1), RangeError);
  batch.lengths[0] = 1;
  batch.segments[0] = 2;
  assert.throws(() => datagrams.sendTo(server, batch, 0, 1), RangeError);
  io.close(client);
  assert.equal(datagrams.receive(client, batch, 0, 1), -ERRNO.EBADF);
  assert.equal(datagrams.send(client, batch.at, 1, 0), -ERRNO.EBADF);
  datagrams.release(batch);
  assert.throws(() => datagrams.receive(server, batch, 0, 1), RangeError);
  assert.throws(() => datagrams.release(batch), RangeError);
  // A port of a path is 16 bits, whatever stands there.
  const other = datagrams.open();
  assert.ok(other !== null);
  other.paths[PATH.PORT] = -1;
  other.paths[PATH.PEER] = 0x0100007f;
  other.lengths[0] = 1;
  assert.equal(datagrams.sendTo(server, other, 0, 1), 1);
  io.dispose();
});

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ERRNO } from '../io/io.ts';
import { errno, fcntl, ftruncate } from './ffi.ts';
import { closeDescriptor, createShared, errnoName, mapShared, openNative, socketPair } from './index.ts';
import { F, SEAL } from './layout.ts';

const KB = 1024;
const io = openNative({ arenaBytes: 4 * 2 ** 20 });
const at = io.alloc(64 * KB);
after(() => io.dispose());

test('shared memory: two mappings see each other, and nobody can shrink, grow or reseal it', () => {
  const fd = createShared('rauta-test', 64 * KB);
  const one = new Uint32Array(mapShared(fd, 0, 64 * KB));
  const two = new Uint32Array(mapShared(fd, 0, 64 * KB));
  one[0] = 4711;
  assert.equal(two[0], 4711);
  Atomics.add(two, 0, 1);
  assert.equal(one[0], 4712);
  for (const bytes of [KB, 128 * KB]) {
    assert.equal(ftruncate(fd, bytes), -1);
    assert.equal(errnoName(errno()), 'EPERM');
  }
  assert.equal(fcntl(fd, F.ADD_SEALS, SEAL.SHRINK), -1);
  closeDescriptor(fd);
});

test('what cannot be mapped or made says why', () => {
  const fd = createShared('rauta-test', 64 * KB);
  assert.throws(() => mapShared(fd, 1, 64 * KB), { code: 'EINVAL', syscall: 'mmap' });
  closeDescriptor(fd);
  assert.throws(() => mapShared(fd, 0, 64 * KB), { code: 'EBADF' });
  assert.throws(() => createShared('too long a name'.repeat(50), 1), { code: 'EINVAL', syscall: 'memfd_create' });
});

test('splice: bytes go from socket to socket without entering the arena, in order, to the end', () => {
  const [a, b] = socketPair(io);
  const [c, d] = socketPair(io);
  const pipe = io.openPipe();
  assert.equal(io.spliceIn(b, pipe, KB), -ERRNO.EAGAIN);
  assert.equal(io.spliceOut(pipe, c, KB), -ERRNO.EAGAIN);
  for (let i = 0; i < 10_000; i++) io.mem[at + i] = i;
  assert.equal(io.send(a, at, 10_000), 10_000);
  io.mem.fill(0, at, at + 20_000);
  let moved = 0;
  while (moved < 10_000) {
    const n = io.spliceIn(b, pipe, 64 * KB);
    assert.ok(n > 0, errnoName(n));
    moved += io.spliceOut(pipe, c, n);
  }
  assert.equal(io.recv(d, at, 20_000), 10_000);
  for (let i = 0; i < 10_000; i++) assert.equal(io.mem[at + i], i & 0xff);
  io.close(a);
  assert.equal(io.spliceIn(b, pipe, KB), 0, 'the end of the stream');
  io.close(b);
  assert.equal(io.spliceIn(b, pipe, KB), -ERRNO.EBADF);
  assert.equal(io.spliceIn(c, pipe, -1), -ERRNO.EINVAL);
  assert.equal(io.spliceIn(c, d, KB), -ERRNO.EBADF, 'a socket is no pipe');
  for (const handle of [c, d, pipe]) io.close(handle);
  assert.equal(io.spliceOut(pipe, d, KB), -ERRNO.EBADF);
});

test('a pipe is two descriptors, and both go with it', () => {
  const [, last] = socketPair(io);
  const before = io.fdOf(last);
  const pipe = io.openPipe();
  assert.equal(io.fdOf(pipe), before + 1);
  io.close(pipe);
  io.close(pipe);
  assert.equal(io.fdOf(socketPair(io)[0]), before + 1);
});

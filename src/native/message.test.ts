import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fstatSync, readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { ERRNO, type Handle } from '../io/io.ts';
import { errno, sendmsg } from './ffi.ts';
import {
  closeDescriptor,
  errnoName,
  openNative,
  peerCredentials,
  recvMessage,
  sendMessage,
  socketPair,
} from './index.ts';
import { LAYOUT } from './layout.ts';

const io = openNative({ arenaBytes: 4 * 2 ** 20 });
const at = io.alloc(4096);
after(() => io.dispose());

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

const openFiles = (): number => readdirSync('/proc/self/fd').length;

function listener(): Handle {
  const handle = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 16 });
  assert.ok(handle >= 0);
  return handle;
}

test('bytes and descriptors arrive together; ours stay open', () => {
  const [a, b] = socketPair(io);
  const shared = listener();
  const fd = io.fdOf(shared);
  Buffer.from(io.mem.buffer, at).write('take it');
  assert.equal(sendMessage(io, a, at, 7, [fd, fd]), 7);
  assert.equal(sendMessage(io, a, at, 3, []), 3);
  const fds: number[] = [];
  assert.equal(recvMessage(io, b, at + 100, 100, fds), 7, 'a message with descriptors ends before the next');
  assert.equal(Buffer.from(io.mem.buffer, at + 100, 7).toString(), 'take it');
  assert.equal(fds.length, 2);
  const taken = io.adopt(fds[0] as number);
  assert.deepEqual(io.localAddress(taken), io.localAddress(shared));
  closeDescriptor(fds[1] as number);
  assert.equal(recvMessage(io, b, at, 100, fds), 3);
  assert.equal(fds.length, 2);
  assert.equal(recvMessage(io, b, at, 100, fds), -ERRNO.EAGAIN);
  io.close(a);
  assert.equal(recvMessage(io, b, at, 100, fds), 0);
  io.close(b);
  assert.equal(sendMessage(io, a, at, 1, []), -ERRNO.EBADF);
  assert.equal(recvMessage(io, b, at, 1, fds), -ERRNO.EBADF);
  io.close(shared);
  io.close(taken);
});

test('as many descriptors as the limit; more, or bad ones, are refused; ranges are checked', () => {
  const [a, b] = socketPair(io);
  const fd = io.fdOf(a);
  const many = new Array<number>(LIMITS.MESSAGE_DESCRIPTORS).fill(fd);
  assert.equal(sendMessage(io, a, at, 1, many), 1);
  const fds: number[] = [];
  assert.equal(recvMessage(io, b, at, 10, fds), 1);
  assert.equal(fds.length, LIMITS.MESSAGE_DESCRIPTORS);
  for (const f of fds) closeDescriptor(f);
  assert.equal(sendMessage(io, a, at, 1, [...many, fd]), -ERRNO.EINVAL);
  assert.equal(sendMessage(io, a, at, 1, [9999]), -ERRNO.EBADF);
  for (const [offset, length] of [
    [-1, 1],
    [io.mem.length, 1],
    [0, 0],
    [0, Number.NaN],
  ] as const) {
    assert.throws(() => sendMessage(io, a, offset, length, []), RangeError);
    assert.throws(() => recvMessage(io, b, offset, length, []), RangeError);
  }
  io.close(a);
  io.close(b);
});

test('more descriptors than fit are closed and refused', () => {
  const [a, b] = socketPair(io);
  // A peer that follows no limit of ours: two control messages merge into more than the receiver has room for.
  const child = sendRaw(a, LIMITS.MESSAGE_DESCRIPTORS + 8, io.fdOf(a));
  assert.equal(child, 1);
  const before = io.fdOf(listener()) + 1;
  const fds: number[] = [];
  assert.equal(recvMessage(io, b, at, 10, fds), -ERRNO.EINVAL);
  assert.deepEqual(fds, []);
  for (let fd = before; fd < before + LIMITS.MESSAGE_DESCRIPTORS; fd++) assert.ok(!isOpen(fd), `${fd} leaked`);
  io.close(a);
  io.close(b);
});

/** sendmsg(2) by hand with `count` times `fd`; the result, -errno if negative. `controlLength` may lie. */
function sendRaw(handle: Handle, count: number, fd: number, controlLength?: number): number {
  const { msghdr, iovec, cmsghdr } = LAYOUT;
  const block = io.alloc(4096);
  const view = new DataView(io.mem.buffer, block, 4096);
  const address = io.arena.base + block;
  const length = cmsghdr.size + 4 * count;
  view.setBigUint64(msghdr.iov, BigInt(address + 64), true);
  view.setUint32(msghdr.iovLength, 1, true);
  view.setBigUint64(64 + iovec.base, BigInt(address), true);
  view.setUint32(64 + iovec.length, 1, true);
  view.setBigUint64(msghdr.control, BigInt(address + 128), true);
  view.setUint32(msghdr.controlLength, controlLength ?? length, true);
  view.setUint32(128 + cmsghdr.length, length, true);
  view.setInt32(128 + cmsghdr.level, 1, true);
  view.setInt32(128 + cmsghdr.type, 1, true);
  for (let i = 0; i < count; i++) view.setInt32(128 + cmsghdr.size + 4 * i, fd, true);
  const n = sendmsg(io.fdOf(handle), io.arena.base + block, 0x4000);
  const result = n < 0 ? -errno() : n;
  io.free(block);
  return result;
}

test('ENOBUFS, which the kernel gives for control data above its limit, keeps its name on the way', () => {
  // The one way to provoke it without exhausting the machine; recv and send hand errno on by the same line of code.
  const [a, b] = socketPair(io);
  const result = sendRaw(a, 1, io.fdOf(a), 2 ** 31);
  assert.equal(result, -ERRNO.ENOBUFS);
  assert.equal(errnoName(result), 'ENOBUFS');
  io.close(a);
  io.close(b);
});

test('a watched socket that another process holds too stays silent after close', () => {
  const [a, b] = socketPair(io);
  const [c, d] = socketPair(io);
  let calls = 0;
  io.watch(b, {
    onReady() {
      calls++;
    },
  });
  io.turn(0);
  assert.equal(sendMessage(io, c, at, 1, [io.fdOf(b)]), 1);
  const fds: number[] = [];
  recvMessage(io, d, at, 1, fds);
  calls = 0;
  const watched = (): string[] =>
    [...readFileSync(`/proc/self/fdinfo/${io.epollFd}`, 'latin1').matchAll(/^tfd:.*$/gm)].map(String);
  assert.equal(watched().length, 1);
  io.close(b);
  // Its open file lives on in the received descriptor, so the kernel would still report it.
  assert.equal(watched().length, 0);
  assert.equal(io.send(a, at, 1), 1);
  assert.equal(io.turn(0), 0);
  assert.equal(calls, 0);
  const adopted = io.adopt(fds[0] as number);
  assert.equal(io.watch(adopted, { onReady() {} }), 0);
  assert.equal(io.recv(adopted, at, 10), 1);
  for (const handle of [a, c, d, adopted]) io.close(handle);
});

test('a listening socket handed to another process serves there after we closed ours', async () => {
  const [ours, theirs] = socketPair(io);
  const script = `
    const { openNative, recvMessage, Reactor } = await import(${JSON.stringify(new URL('index.ts', import.meta.url).href)});
    const io = openNative({ arenaBytes: 2 ** 20 });
    const at = io.alloc(64);
    const control = io.adopt(3);
    const reactor = new Reactor(io);
    io.watch(control, { onReady() {
      const fds = [];
      if (recvMessage(io, control, at, 64, fds) <= 0 || fds.length === 0) return;
      const listener = io.adopt(fds[0]);
      const accept = () => {
        const client = io.accept(listener);
        if (client < 0) return;
        Buffer.from(io.mem.buffer, at).write('served');
        io.send(client, at, 6);
        io.close(client);
        reactor.stop();
      };
      io.watch(listener, { onReady: accept });
    } });
    reactor.run();
  `;
  const stdio = ['ignore', 'inherit', 'inherit', io.fdOf(theirs)] as const;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: [...stdio] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  io.close(theirs);
  const socket = listener();
  const address = io.localAddress(socket);
  assert.equal(sendMessage(io, ours, at, 1, [io.fdOf(socket)]), 1);
  io.close(socket);
  // The connection waits in the queue of the socket that now only the message holds.
  const client = io.connect(address);
  assert.ok(client >= 0);
  let answer = 0;
  io.watch(client, {
    onReady() {
      const n = io.recv(client, at, 64);
      if (n > 0) answer = n;
    },
  });
  const end = performance.now() + 60_000;
  while (answer === 0 && performance.now() < end) io.turn(50);
  assert.equal(Buffer.from(io.mem.buffer, at, answer).toString(), 'served');
  assert.equal(await ended, 0);
  io.close(client);
  io.close(ours);
});

test('descriptors are dropped by the kernel when none are taken', () => {
  const [a, b] = socketPair(io);
  const before = openFiles();
  assert.equal(sendMessage(io, a, at, 1, [0, 1, 2]), 1);
  assert.equal(errnoName(recvMessage(io, b, at, 16, null)), 'EINVAL');
  assert.equal(openFiles(), before);
  assert.equal(sendMessage(io, a, at, 3, []), 3);
  assert.equal(recvMessage(io, b, at, 16, null), 3, 'bytes alone are fine');
  io.close(a);
  io.close(b);
});

test('the kernel says who is at the other end', () => {
  const [a, b] = socketPair(io);
  assert.deepEqual(peerCredentials(io, a), { pid: process.pid, uid: process.getuid?.() });
  io.close(a);
  assert.throws(() => peerCredentials(io, a), { name: 'NativeError', code: 'EBADF' });
  io.close(b);
});

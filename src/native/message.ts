// Messages between processes of RAUTA with descriptors in them (unix(7), SCM_RIGHTS), over a unix stream.

import { LIMITS } from '../base/limits.ts';
import { ERRNO, type Handle } from '../io/io.ts';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import type { NativeIo } from './io.ts';
import { AF, F, LAYOUT, MSG, SCM_RIGHTS, SO, SOCK, SOL } from './layout.ts';

const { msghdr, iovec, cmsghdr, ucred } = LAYOUT;
const IOVEC_AT = msghdr.size;
const CONTROL_AT = 128;
const CONTROL_BYTES = cmsghdr.size + LIMITS.MESSAGE_DESCRIPTORS * 4;

/** Two connected unix stream sockets, nonblocking, closed on exec. */
export function socketPair(io: NativeIo): [Handle, Handle] {
  const kind = SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC;
  if (c.socketpair(AF.UNIX, kind, 0, io.scratchAddress) < 0) throw new NativeError('socketpair', c.errno(), '');
  const pair = new Int32Array(io.scratch.buffer, io.scratch.byteOffset, 2);
  const [a, b] = [pair[0] as number, pair[1] as number];
  return [io.opened(a), io.opened(b)];
}

/** Lays out a msghdr for mem[offset..+length) with room for `controlBytes` of control data. */
function layMessage(io: NativeIo, offset: number, length: number, controlBytes: number): DataView {
  if (!(offset >= 0 && length > 0 && offset + length <= io.mem.length)) {
    throw new RangeError(`mem[${offset}..+${length}) is outside the arena`);
  }
  const { buffer, byteOffset } = io.scratch.fill(0, 0, CONTROL_AT + CONTROL_BYTES);
  const view = new DataView(buffer, byteOffset, CONTROL_AT + CONTROL_BYTES);
  const address = io.scratchAddress;
  view.setBigUint64(msghdr.iov, BigInt(address + IOVEC_AT), true);
  view.setUint32(msghdr.iovLength, 1, true);
  view.setBigUint64(IOVEC_AT + iovec.base, BigInt(io.arena.base + offset), true);
  view.setUint32(IOVEC_AT + iovec.length, length, true);
  if (controlBytes > 0) {
    view.setBigUint64(msghdr.control, BigInt(address + CONTROL_AT), true);
    view.setUint32(msghdr.controlLength, controlBytes, true);
  }
  return view;
}

/**
 * Sends at least one byte of mem[offset..+length) with the descriptors `fds` attached to the first of them; returns the
 * bytes taken or -errno. The receiver gets duplicates; ours stay open.
 */
export function sendMessage(
  io: NativeIo,
  handle: Handle,
  offset: number,
  length: number,
  fds: readonly number[],
): number {
  if (fds.length > LIMITS.MESSAGE_DESCRIPTORS) return -ERRNO.EINVAL;
  const fd = io.fdOf(handle);
  if (fd < 0) return fd;
  const controlBytes = fds.length === 0 ? 0 : cmsghdr.size + fds.length * 4;
  const view = layMessage(io, offset, length, controlBytes);
  if (controlBytes > 0) {
    view.setUint32(CONTROL_AT + cmsghdr.length, controlBytes, true);
    view.setInt32(CONTROL_AT + cmsghdr.level, SOL.SOCKET, true);
    view.setInt32(CONTROL_AT + cmsghdr.type, SCM_RIGHTS, true);
    fds.forEach((f, i) => {
      view.setInt32(CONTROL_AT + cmsghdr.size + i * 4, f, true);
      io.markSharedFd(f);
    });
  }
  for (;;) {
    const n = c.sendmsg(fd, io.scratchAddress, MSG.NOSIGNAL);
    if (n >= 0) return n;
    const error = c.errno();
    if (error !== ERRNO.EINTR) return -error;
  }
}

/**
 * Receives into mem[offset..+length); returns the bytes (0 at the end of the stream) or -errno. Descriptors that came
 * with them, closed on exec, are appended to `received`: the caller owns them (adopt or close each). When they did not
 * all fit (a peer's mistake) those that did are closed and the answer is -EINVAL. With `received` null none are taken:
 * the kernel drops what comes, and the answer is -EINVAL too.
 */
export function recvMessage(
  io: NativeIo,
  handle: Handle,
  offset: number,
  length: number,
  received: number[] | null,
): number {
  const fd = io.fdOf(handle);
  if (fd < 0) return fd;
  const view = layMessage(io, offset, length, received === null ? 0 : CONTROL_BYTES);
  let n: number;
  do {
    n = c.recvmsg(fd, io.scratchAddress, MSG.CMSG_CLOEXEC);
    if (n < 0) {
      const error = c.errno();
      if (error !== ERRNO.EINTR) return -error;
    }
  } while (n < 0);
  const fds: number[] = [];
  const end = received === null ? 0 : CONTROL_AT + view.getUint32(msghdr.controlLength, true);
  for (let at = CONTROL_AT; at + cmsghdr.size <= end; ) {
    const bytes = view.getUint32(at + cmsghdr.length, true);
    if (bytes < cmsghdr.size) break;
    const isRights =
      view.getInt32(at + cmsghdr.level, true) === SOL.SOCKET && view.getInt32(at + cmsghdr.type, true) === SCM_RIGHTS;
    if (isRights) {
      for (let f = at + cmsghdr.size; f + 4 <= at + bytes; f += 4) fds.push(view.getInt32(f, true));
    }
    at += (bytes + cmsghdr.align - 1) & -cmsghdr.align;
  }
  if ((view.getInt32(msghdr.flags, true) & MSG.CTRUNC) !== 0) {
    for (const f of fds) c.closeFd(f);
    return -ERRNO.EINVAL;
  }
  received?.push(...fds);
  return n;
}

/**
 * Who is at the other end of a connected unix stream (SO_PEERCRED, unix(7)): the process that connected, or the one
 * that listened, as it was then. Throws NativeError.
 */
export function peerCredentials(io: NativeIo, handle: Handle): { pid: number; uid: number } {
  const fd = io.fdOf(handle);
  const view = new DataView(io.scratch.buffer, io.scratch.byteOffset, 4 + ucred.size);
  view.setUint32(0, ucred.size, true);
  const at = io.scratchAddress;
  if (fd < 0 || c.getsockopt(fd, SOL.SOCKET, SO.PEERCRED, at + 4, at) < 0)
    throw new NativeError('getsockopt', fd < 0 ? ERRNO.EBADF : c.errno(), 'SO_PEERCRED');
  return { pid: view.getInt32(4 + ucred.pid, true), uid: view.getUint32(4 + ucred.uid, true) };
}

/** Whatever this process becomes by an exec still has `fd`: Node marks what it was given as its own. */
export function keepOverExec(fd: number): void {
  if (c.fcntl(fd, F.SETFD, 0) < 0) throw new NativeError('fcntl', c.errno(), `descriptor ${fd}`);
}

/** Closes a descriptor that belongs to no handle. */
export function closeDescriptor(fd: number): void {
  c.closeFd(fd);
}

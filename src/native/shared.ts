// Memory shared between processes (memfd_create(2)), wake-ups between them (eventfd(2)), and pipes for splice(2).

import { ERRNO, type Handle } from '../io/io.ts';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import type { NativeIo } from './io.ts';
import { F, MFD, MMAP, SEAL, SOCK, SPLICE } from './layout.ts';

/**
 * Descriptor of `bytes` of zeroed memory that other processes can map; a page is memory once it is touched. Sealed: it
 * can neither shrink (a mapping of it can then never raise SIGBUS) nor grow, and nobody can add seals.
 */
export function createShared(name: string, bytes: number): number {
  const fd = c.memfdCreate(Buffer.from(`${name}\0`), MFD.CLOEXEC | MFD.ALLOW_SEALING);
  if (fd < 0) throw new NativeError('memfd_create', c.errno(), name);
  if (c.ftruncate(fd, bytes) < 0 || c.fcntl(fd, F.ADD_SEALS, SEAL.SHRINK | SEAL.GROW | SEAL.SEAL) < 0) {
    const error = c.errno();
    c.closeFd(fd);
    throw new NativeError('memfd_create', error, `${name}, ${bytes} bytes`);
  }
  return fd;
}

const mappings = new WeakMap<ArrayBuffer, { readonly address: number; readonly length: number }>();

/** Maps [offset, offset+length) of `fd`, both multiples of the page size, seen by every process that does the same. */
export function mapShared(fd: number, offset: number, length: number): ArrayBuffer {
  const address = c.mmap(0, length, MMAP.READ_WRITE, MMAP.SHARED, fd, offset);
  if (address === -1) throw new NativeError('mmap', c.errno(), `${length} bytes at ${offset}`);
  const buffer = c.view(address, length);
  mappings.set(buffer, { address, length });
  return buffer;
}

/** Ends a mapping. The buffer and views on it have length 0 afterwards, so a late access cannot crash. */
export function unmap(buffer: ArrayBuffer): void {
  const mapping = mappings.get(buffer);
  if (mapping === undefined) throw new RangeError('not a mapping of shared memory, or unmapped before');
  mappings.delete(buffer);
  buffer.transfer();
  if (c.munmap(mapping.address, mapping.length) < 0) throw new NativeError('munmap', c.errno(), '');
}

/** A counter that `notify` raises and `drain` takes; READABLE while above zero. Its descriptor may be shared. */
export function createEvent(io: NativeIo): Handle {
  const fd = c.eventfd(0, SOCK.NONBLOCK | SOCK.CLOEXEC);
  if (fd < 0) throw new NativeError('eventfd', c.errno(), '');
  const handle = io.opened(fd);
  io.markShared(handle);
  return handle;
}

/** Wakes whoever watches `event`. 0 or -errno (-EAGAIN: it is raised to the brim already, so they will wake). */
export function notify(io: NativeIo, event: Handle): number {
  const fd = io.fdOf(event);
  if (fd < 0) return fd;
  return c.eventfdWrite(fd, 1) < 0 ? -c.errno() : 0;
}

/** How often it was raised since the last time, or -EAGAIN when it was not. */
export function drain(io: NativeIo, event: Handle): number {
  const fd = io.fdOf(event);
  if (fd < 0) return fd;
  for (;;) {
    if (c.read(fd, io.scratchAddress, 8) === 8)
      return Number(new BigUint64Array(io.scratch.buffer, io.scratch.byteOffset, 1)[0]);
    const error = c.errno();
    if (error !== ERRNO.EINTR) return -error;
  }
}

/** A pipe whose bytes never enter this process: filled by `spliceIn`, emptied by `spliceOut`. */
export interface Pipe {
  readonly read: Handle;
  readonly write: Handle;
  /** What the kernel granted. */
  readonly capacity: number;
}

/** A nonblocking pipe of about `bytes`, or -errno. Unprivileged, more than /proc/sys/fs/pipe-max-size is refused. */
export function openPipe(io: NativeIo, bytes: number): Pipe | number {
  if (c.pipe2(io.scratchAddress, SOCK.NONBLOCK | SOCK.CLOEXEC) < 0) return -c.errno();
  const pair = new Int32Array(io.scratch.buffer, io.scratch.byteOffset, 2);
  const [r, w] = [pair[0] as number, pair[1] as number];
  const capacity = c.fcntl(w, F.SETPIPE_SZ, bytes);
  if (capacity < 0) {
    const error = c.errno();
    c.closeFd(r);
    c.closeFd(w);
    return -error;
  }
  return { read: io.opened(r), write: io.opened(w), capacity };
}

/** Moves up to `length` bytes from a socket into a pipe; 0 at the end of the stream, or -errno. */
export function spliceIn(io: NativeIo, socket: Handle, pipe: Pipe, length: number): number {
  return move(io, socket, pipe.write, length);
}

/** Moves up to `length` bytes from a pipe into a socket, or -errno (-EAGAIN also when the pipe is empty). */
export function spliceOut(io: NativeIo, pipe: Pipe, socket: Handle, length: number): number {
  return move(io, pipe.read, socket, length);
}

function move(io: NativeIo, from: Handle, to: Handle, length: number): number {
  const source = io.fdOf(from);
  const target = io.fdOf(to);
  if (source < 0 || target < 0 || !(length > 0)) return source < 0 || target < 0 ? -ERRNO.EBADF : -ERRNO.EINVAL;
  for (;;) {
    const n = c.splice(source, 0, target, 0, length, SPLICE.MOVE | SPLICE.NONBLOCK);
    if (n >= 0) return n;
    const error = c.errno();
    if (error !== ERRNO.EINTR) return -error;
  }
}

// Memory shared between processes (memfd_create(2)), and wake-ups between them (eventfd(2)).

import { fstatSync } from 'node:fs';
import { ERRNO, type Handle } from '../io/io.ts';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import type { NativeIo } from './io.ts';
import { F, MFD, MMAP, SEAL, SOCK } from './layout.ts';

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

/** Whether `fd` is what createShared() made of `bytes`: a mapping of it cannot be made to end early. */
export function isShared(fd: number, bytes: number): boolean {
  const needed = SEAL.SHRINK | SEAL.GROW;
  const seals = c.fcntl(fd, F.GET_SEALS, 0);
  return seals >= 0 && (seals & needed) === needed && fstatSync(fd).size === bytes;
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

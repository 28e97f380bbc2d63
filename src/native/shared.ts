// Memory shared between processes (memfd_create(2)).

import { fstatSync } from 'node:fs';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import { F, MFD, MMAP, SEAL } from './layout.ts';

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

/**
 * Maps [offset, offset+length) of `fd`, both multiples of the page size, seen by every process that does the same, for
 * as long as this one lives.
 */
export function mapShared(fd: number, offset: number, length: number): ArrayBuffer {
  const address = c.mmap(0, length, MMAP.READ_WRITE, MMAP.SHARED, fd, offset);
  if (address === -1) throw new NativeError('mmap', c.errno(), `${length} bytes at ${offset}`);
  return c.view(address, length);
}

// Letting go of a listening socket without resetting anybody. close(2) resets what waits in its accept queue, and
// between the last accept(2) and close(2) there is always a moment. So first no new handshake may begin there: a socket
// filter drops SYNs (Documentation/networking/filter.rst), whose senders try again a second later and find another
// socket or a refusal. Handshakes under way end, the queue is emptied, and then nothing is lost by closing.

import type { Handle } from '../io/io.ts';
import * as c from './ffi.ts';
import type { NativeIo } from './io.ts';
import { SO, SOL } from './layout.ts';

/** `struct sock_fprog` and its program, in the scratch memory. */
const PROGRAM_AT = 16;
/** Flags in the TCP header (RFC 9293 section 3.1), and two of them. */
const FLAGS_AT = 13;
const SYN = 2;
const ACK = 16;

/** Classic BPF (include/uapi/linux/filter.h): code, jump if true, jump if false, constant. */
const DROP_SYN: readonly (readonly [number, number, number, number])[] = [
  [0x30, 0, 0, FLAGS_AT], // A = byte of the header
  [0x54, 0, 0, SYN | ACK], // A &= SYN|ACK
  [0x15, 0, 1, SYN], // a SYN alone?
  [0x06, 0, 0, 0], // drop
  [0x06, 0, 0, 0xffffffff], // keep all of it
];

/** No connection begins at this listening TCP socket any more, for every process that shares it. 0 or -errno. */
export function holdNew(io: NativeIo, handle: Handle): number {
  const fd = io.fdOf(handle);
  if (fd < 0) return fd;
  const view = new DataView(io.scratch.buffer, io.scratch.byteOffset, io.scratch.byteLength);
  view.setBigUint64(0, BigInt(DROP_SYN.length), true);
  view.setBigUint64(8, BigInt(io.scratchAddress + PROGRAM_AT), true);
  DROP_SYN.forEach(([code, jumpTrue, jumpFalse, k], i) => {
    const at = PROGRAM_AT + i * 8;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jumpTrue);
    view.setUint8(at + 3, jumpFalse);
    view.setUint32(at + 4, k, true);
  });
  return c.setsockopt(fd, SOL.SOCKET, SO.ATTACH_FILTER, io.scratchAddress, 16) < 0 ? -c.errno() : 0;
}

/** Takes `holdNew` back. 0, also when nothing was held, or -errno. */
export function admitNew(io: NativeIo, handle: Handle): number {
  const fd = io.fdOf(handle);
  if (fd < 0) return fd;
  const ENOENT = 2;
  if (c.setsockopt(fd, SOL.SOCKET, SO.DETACH_FILTER, io.scratchAddress, 4) === 0) return 0;
  const error = c.errno();
  return error === ENOENT ? 0 : -error;
}

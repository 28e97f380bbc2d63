// What a supervisor such as systemd and a program of it say to each other (sd_notify(3), sd_listen_fds(3)): states as
// datagrams to a unix socket, and listening sockets that are open already.

import { ERRNO, type Handle } from '../io/io.ts';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import type { NativeIo } from './io.ts';
import { AF, IPV6_V6ONLY, LAYOUT, MSG, SO, SOCK, SOL } from './layout.ts';

const { sockaddrUn } = LAYOUT;
/** In the scratch memory: an integer option with its length, an address. */
const ADDRESS_AT = 64;

/**
 * Sends `text` as one datagram to the unix socket at `path`; `@name` is one of the abstract namespace (unix(7)). 0 or
 * -errno: it neither waits nor tries again.
 */
export function sendToUnix(io: NativeIo, path: string, text: string): number {
  const name = Buffer.from(path);
  const abstract = name[0] === 0x40;
  if (name.length === 0 || name.includes(0) || name.length + (abstract ? 0 : 1) > sockaddrUn.size - sockaddrUn.path)
    return -ERRNO.EINVAL;
  const fd = c.socket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) return -c.errno();
  io.scratch.fill(0, ADDRESS_AT, ADDRESS_AT + sockaddrUn.size);
  io.scratch[ADDRESS_AT] = AF.UNIX;
  io.scratch.set(name, ADDRESS_AT + sockaddrUn.path);
  // The name of an abstract one is all there is up to the length, behind a null byte.
  if (abstract) io.scratch[ADDRESS_AT + sockaddrUn.path] = 0;
  const length = sockaddrUn.path + name.length + (abstract ? 0 : 1);
  const bytes = Buffer.from(text);
  let result = c.connect(fd, io.scratchAddress + ADDRESS_AT, length);
  if (result >= 0) result = c.sendBytes(fd, bytes, bytes.length, MSG.NOSIGNAL | MSG.DONTWAIT);
  const error = result < 0 ? -c.errno() : 0;
  c.closeFd(fd);
  return error;
}

/** A listening TCP socket that this process was started with. */
export interface PassedSocket {
  readonly handle: Handle;
  readonly address: string;
  readonly port: number;
}

/**
 * Takes over the descriptor `fd`, which is this program's from now on. What is no listening TCP socket of one address
 * family stays as it is, and why is said for people.
 */
export function adoptListening(io: NativeIo, fd: number): PassedSocket | string {
  const domain = option(io, fd, SOL.SOCKET, SO.DOMAIN);
  if (domain === -ERRNO.EBADF) return 'is not open';
  if (domain < 0) return 'is no socket';
  if (domain !== AF.INET && domain !== AF.INET6) return 'is no socket of IPv4 or IPv6';
  if (option(io, fd, SOL.SOCKET, SO.TYPE) !== SOCK.STREAM) return 'is no socket of TCP';
  if (option(io, fd, SOL.SOCKET, SO.ACCEPTCONN) !== 1) return 'does not listen';
  if (domain === AF.INET6 && option(io, fd, SOL.IPV6, IPV6_V6ONLY) !== 1)
    return 'listens for IPv4, too: give one of each family (BindIPv6Only=ipv6-only, and 0.0.0.0 beside it)';
  const handle = io.adopt(fd);
  if (handle < 0) throw new NativeError('fcntl', -handle, `descriptor ${fd}`);
  io.tuning.listening(fd);
  const at = io.localAddress(handle);
  if (at.family === 'unix') throw new NativeError('getsockname', ERRNO.EINVAL, `descriptor ${fd}`);
  return { handle, address: at.address, port: at.port };
}

/** An integer option, or -errno. */
function option(io: NativeIo, fd: number, level: number, name: number): number {
  const view = new DataView(io.scratch.buffer, io.scratch.byteOffset, 8);
  view.setInt32(0, 0, true);
  view.setUint32(4, 4, true);
  const at = io.scratchAddress;
  return c.getsockopt(fd, level, name, at, at + 4) < 0 ? -c.errno() : view.getInt32(0, true);
}

// Where lines go: standard error, standard output, a file, a FIFO. Writing to it never waits for whoever reads at the
// other end. O_NONBLOCK belongs to the open file, which others share (a shell, our own children, whose start takes it
// off again), so it is not set there: a pipe or terminal is opened anew for ourselves (proc(5), /proc/self/fd), a
// socket is told with each send(2).

import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { ERRNO } from '../io/io.ts';
import * as c from './ffi.ts';
import { F, MSG, SOCK } from './layout.ts';

type Kind = 'file' | 'stream' | 'socket' | 'shared';

const NONBLOCKING = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_APPEND;

export class Outlet {
  readonly #fd: number;
  readonly #kind: Kind;
  readonly #owned: boolean;

  /**
   * `fd` stays the caller's, unless it is `ours`: opened by ourselves with O_NONBLOCK, and closed by `close`. Another's
   * has to be wrapped before privileges go: what is opened anew may be another user's.
   */
  constructor(fd: number, ours = false) {
    const stat = fstatSync(fd);
    this.#fd = fd;
    this.#owned = ours;
    if (stat.isSocket()) this.#kind = 'socket';
    else if (!stat.isFIFO() && !stat.isCharacterDevice()) this.#kind = 'file';
    else if (ours) this.#kind = 'stream';
    else {
      const anew = reopened(fd);
      this.#kind = anew < 0 ? 'shared' : 'stream';
      if (anew < 0) return;
      this.#fd = anew;
      this.#owned = true;
    }
  }

  /** A regular file: a write takes everything or fails, and may wait for the disk. */
  get isFile(): boolean {
    return this.#kind === 'file';
  }
  get fd(): number {
    return this.#fd;
  }

  /** Bytes taken, or -errno: -EAGAIN when the reader has to read first, -EPIPE when there is none. */
  write(bytes: Uint8Array): number {
    if (bytes.length === 0) return 0;
    if (this.#kind === 'socket') return this.#send(bytes);
    // Nobody else may open it: then the flag is set for all, each time, since a child's start takes it off.
    if (this.#kind === 'shared') c.fcntl(this.#fd, F.SETFL, c.fcntl(this.#fd, F.GETFL, 0) | SOCK.NONBLOCK);
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      return -Math.abs((error as NodeJS.ErrnoException).errno ?? ERRNO.EINVAL);
    }
  }

  close(): void {
    if (this.#owned) closeSync(this.#fd);
  }

  #send(bytes: Uint8Array): number {
    for (;;) {
      const n = c.sendBytes(this.#fd, bytes, bytes.length, MSG.DONTWAIT | MSG.NOSIGNAL);
      if (n >= 0) return n;
      const error = c.errno();
      if (error !== ERRNO.EINTR) return -error;
    }
  }
}

/**
 * The same pipe or terminal as an open file of our own, or -1: it is another user's, or a pipe whose readers are gone.
 */
function reopened(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, NONBLOCKING);
  } catch {
    return -1;
  }
}

// What lies between a transport and its peer: the socket as it is, or a layer over it. A transport knows no more of it
// than this.

import type { Handle, Io } from '../../io/io.ts';

/** Results below zero are -errno, as in `Io`. */
export interface Wire {
  /** It lies over another wire: what the socket has says nothing of what it has. */
  readonly layered: boolean;
  /**
   * The last `recv`, if it gave fewer bytes than were asked for, has left nothing behind (epoll(7), questions and
   * answers, 9). A layer that decrypts record by record does not always know: then only -EAGAIN says that it is empty.
   * Of a layer that just came to stand: nothing came behind what it took to stand.
   */
  readonly shortReadEmpties: boolean;
  /**
   * The socket whose bytes these are as they stand, so that the kernel may move them (splice(2)); NO_HANDLE over a
   * layer.
   */
  readonly plain: Handle;
  /** Bytes read into mem[at..], 0 at the end of the peer's direction. */
  recv(at: number, length: number): number;
  /** Bytes taken from mem[at..]. */
  send(at: number, length: number): number;
  /**
   * Says what a layer has to say at an end in order, behind all that was sent. False when the wire takes nothing now:
   * to be asked again once it is writable, before `shutdown` or `close`, or the peer takes the end for a broken one.
   */
  conclude(): boolean;
  /** Bytes that the socket has taken and its peer has not. */
  unsent(): number;
  /** Ends our direction; reading goes on. */
  shutdown(): number;
  /** Closes in order. */
  close(): void;
  /** Closes so that nobody takes it for an end in order. */
  reset(): void;
  /** While `on`, the death of the process is no end in order either. */
  resetOnExit(on: boolean): void;
  /**
   * Asked when something became ready, until it stands: 0 when it does, -EAGAIN for not yet, -EINPROGRESS for not in
   * this turn (to be asked in the next), -errno when it never will. `broken`: BROKEN is among what it is ready for; a
   * socket that is only writable has come to stand, and need not be asked (connect(2), EINPROGRESS; a failed one is
   * never without EPOLLERR or EPOLLHUP).
   */
  establish(broken: boolean): number;
}

/** A socket as it is. */
export class PlainWire implements Wire {
  readonly layered: boolean = false;
  readonly shortReadEmpties: boolean = true;
  readonly #io: Io;
  readonly plain: Handle;

  constructor(io: Io, handle: Handle) {
    this.#io = io;
    this.plain = handle;
  }

  recv(at: number, length: number): number {
    return this.#io.recv(this.plain, at, length);
  }
  send(at: number, length: number): number {
    return this.#io.send(this.plain, at, length);
  }
  conclude(): boolean {
    return true;
  }
  unsent(): number {
    return this.#io.unsent(this.plain);
  }
  shutdown(): number {
    return this.#io.shutdown(this.plain);
  }
  close(): void {
    this.#io.close(this.plain);
  }
  reset(): void {
    this.#io.reset(this.plain);
  }
  resetOnExit(on: boolean): void {
    this.#io.resetOnExit(this.plain, on);
  }
  establish(broken: boolean): number {
    return broken ? -this.#io.connectError(this.plain) : 0;
  }
}

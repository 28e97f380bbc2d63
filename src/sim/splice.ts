// A pipe through which the program lets bytes pass from one socket to another (pipe(7), splice(2)).

import { ERRNO } from '../io/io.ts';
import type { SimSocket } from './socket.ts';

export class SimPipe {
  readonly #bytes: Uint8Array;
  #start = 0;
  #end = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  get held(): number {
    return this.#end - this.#start;
  }

  /** Moves up to `length` bytes here, at most `most` of them; as SimSocket.recv. */
  fill(from: SimSocket, length: number, most: number): number {
    if (this.#start > 0) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    const room = Math.min(length, most, this.#bytes.length - this.#end);
    if (room === 0) return -ERRNO.EAGAIN;
    const n = from.recv(this.#bytes, this.#end, room);
    if (n > 0) this.#end += n;
    return n;
  }

  /** Moves up to `length` bytes from here, at most `most` of them; as SimSocket.send. */
  empty(to: SimSocket, length: number, most: number): number {
    const n = Math.min(length, this.held);
    if (n === 0) return -ERRNO.EAGAIN;
    const sent = to.send(this.#bytes, this.#start, n, most);
    if (sent > 0) this.#start += sent;
    return sent;
  }
}

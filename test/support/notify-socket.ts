// The socket of a supervisor (sd_notify(3)): datagrams of a unix socket, which Node has not.

import assert from 'node:assert/strict';
import * as c from '../../src/native/ffi.ts';
import type { NativeIo } from '../../src/native/index.ts';
import { AF, SOCK } from '../../src/native/layout.ts';

const AT = 64;
const BYTES = 2048;

export class NotifySocket {
  /** Each datagram so far. */
  readonly messages: string[] = [];
  readonly #fd: number;
  readonly #io: NativeIo;
  readonly #poll: c.PollHandle;
  #closed = false;
  #waiting: { is: (message: string) => boolean; resolve: (message: string) => void }[] = [];

  /** `name`: a path, or `@name` for the abstract namespace. */
  constructor(io: NativeIo, name: string) {
    this.#io = io;
    const bytes = Buffer.from(name);
    this.#fd = c.socket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    io.scratch.fill(0, AT, AT + 110);
    io.scratch[AT] = AF.UNIX;
    io.scratch.set(bytes, AT + 2);
    if (name.startsWith('@')) io.scratch[AT + 2] = 0;
    const length = 2 + bytes.length + (name.startsWith('@') ? 0 : 1);
    assert.equal(c.bind(this.#fd, io.scratchAddress + AT, length), 0, `bind ${name}: ${c.errno()}`);
    // What libuv calls by itself runs no promises behind it.
    this.#poll = c.pollReadable(this.#fd, () => setImmediate(() => this.#read()));
  }

  /** The first message, past or to come, of which `is` holds. */
  said(is: (message: string) => boolean): Promise<string> {
    const past = this.messages.find(is);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => this.#waiting.push({ is, resolve }));
  }

  /** What is there now, too, when nobody turns the loop. */
  read(): readonly string[] {
    this.#read();
    return this.messages;
  }

  close(): void {
    this.#closed = true;
    this.#poll.stop();
    this.#poll.close();
    c.closeFd(this.#fd);
  }

  #read(): void {
    if (this.#closed) return;
    for (;;) {
      const n = c.recv(BigInt(this.#fd), BigInt(this.#io.scratchAddress + BYTES), BigInt(BYTES), 0n);
      if (n < 0) return;
      const message = Buffer.from(this.#io.scratch.subarray(BYTES, BYTES + n)).toString();
      this.messages.push(message);
      for (const waiting of this.#waiting.filter(({ is }) => is(message))) {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        waiting.resolve(message);
      }
    }
  }
}

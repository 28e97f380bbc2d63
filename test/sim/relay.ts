// The smallest program worth simulating: it relays bytes both ways between accepted connections and one address, with
// back-pressure, half-close and resets. It shows that the networks work, before and beside the proxy.

import {
  BROKEN,
  ERRNO,
  type Handle,
  type Io,
  READABLE,
  type ReadySink,
  type SocketAddress,
  WRITABLE,
} from '../../src/io/io.ts';

const BUFFER_BYTES = 16_384;

/** Ways to be wrong, for showing that the checks see them. */
export type Mistake = 'none' | 'flip a byte' | 'end for reset' | 'lose an edge' | 'leak a block';

/** One way: what was read from `from` and not yet written to `to`. */
class Way {
  readonly buffer: number;
  start = 0;
  end = 0;
  ended = false;
  finished = false;
  constructor(buffer: number) {
    this.buffer = buffer;
  }
}

class End implements ReadySink {
  handle: Handle = -1;
  connected = false;
  readonly pair: Pair;
  readonly out: Way;
  readonly in: Way;
  other!: End;
  constructor(pair: Pair, incoming: Way, outgoing: Way) {
    this.pair = pair;
    this.in = incoming;
    this.out = outgoing;
  }
  onReady(events: number): void {
    this.pair.onReady(this, events);
  }
}

class Pair {
  readonly #relay: Relay;
  readonly #io: Io;
  readonly #client: End;
  readonly #server: End;
  #closed = false;

  constructor(relay: Relay, client: Handle, server: Handle, buffers: [number, number]) {
    this.#relay = relay;
    this.#io = relay.io;
    const up = new Way(buffers[0]);
    const down = new Way(buffers[1]);
    this.#client = new End(this, up, down);
    this.#server = new End(this, down, up);
    this.#client.other = this.#server;
    this.#server.other = this.#client;
    this.#client.handle = client;
    this.#client.connected = true;
    this.#server.handle = server;
    this.#io.watch(client, this.#client);
    this.#io.watch(server, this.#server);
  }

  onReady(end: End, events: number): void {
    if (this.#closed) return;
    // Where nothing can be read or written for a while, only this tells of a reset.
    if ((events & BROKEN) !== 0 && this.#io.connectError(end.handle) !== 0) {
      this.close(true);
      return;
    }
    if ((events & WRITABLE) !== 0) end.connected = true;
    // Any edge may have opened either way.
    this.#pump(end);
    if (!this.#closed) this.#pump(end.other);
    if (!this.#closed && this.#client.in.finished && this.#server.in.finished) this.close(false);
  }

  /** Reads from `from` and writes to the other end until one of them would block. */
  #pump(from: End): void {
    const io = this.#io;
    const to = from.other;
    const way = from.in;
    if (!from.connected || !to.connected) return;
    for (;;) {
      while (way.start < way.end) {
        const n = io.send(to.handle, way.buffer + way.start, way.end - way.start);
        if (n === -ERRNO.EAGAIN) return;
        if (n < 0) {
          this.close(true);
          return;
        }
        way.start += n;
      }
      if (way.ended) {
        if (!way.finished) io.shutdown(to.handle);
        way.finished = true;
        return;
      }
      const n = io.recv(from.handle, way.buffer, BUFFER_BYTES);
      if (n === -ERRNO.EAGAIN) return;
      if (n < 0) {
        this.close(true);
        return;
      }
      if (n === 0) way.ended = true;
      if (this.#relay.mistake === 'flip a byte' && n > 3000) io.mem[way.buffer + 2500] = 0;
      way.start = 0;
      way.end = n;
      if (this.#relay.mistake === 'lose an edge' && n > 0 && n < 20) return;
    }
  }

  close(reset: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of [this.#client, this.#server]) {
      if (reset && this.#relay.mistake !== 'end for reset') this.#io.reset(end.handle);
      else this.#io.close(end.handle);
    }
    this.#io.free(this.#client.in.buffer);
    if (this.#relay.mistake !== 'leak a block') this.#io.free(this.#server.in.buffer);
    this.#relay.pairs.delete(this);
  }
}

export class Relay implements ReadySink {
  readonly io: Io;
  readonly pairs = new Set<Pair>();
  readonly #listener: Handle;
  readonly #target: SocketAddress;
  readonly mistake: Mistake;

  constructor(io: Io, listener: Handle, target: SocketAddress, mistake: Mistake = 'none') {
    this.mistake = mistake;
    this.io = io;
    this.#listener = listener;
    this.#target = target;
    io.watch(listener, this);
  }

  onReady(events: number): void {
    if ((events & READABLE) === 0) return;
    for (;;) {
      const client = this.io.accept(this.#listener);
      if (client < 0) return;
      this.#start(client);
    }
  }

  #start(client: Handle): void {
    const first = this.io.alloc(BUFFER_BYTES);
    const second = first < 0 ? -1 : this.io.alloc(BUFFER_BYTES);
    const server = second < 0 ? -1 : this.io.connect(this.#target);
    if (server >= 0) {
      this.pairs.add(new Pair(this, client, server, [first, second]));
      return;
    }
    if (first >= 0) this.io.free(first);
    if (second >= 0) this.io.free(second);
    this.io.reset(client);
  }

  close(): void {
    for (const pair of this.pairs) pair.close(true);
  }
}

// A transport over a socket of the reactor: connecting, layers, ends; reader.ts and output.ts are its two directions.
// Edge-triggered (epoll(7)): read until there is no more, remember when reading was paused before that.

import { BROKEN, ERRNO, type Handle, PEER_CLOSED, READABLE, type ReadySink, WRITABLE } from '../../io/io.ts';
import { BreakingOff } from './breaking.ts';
import { Closing } from './closing.ts';
import { Output } from './output.ts';
import { AGAIN, Reader, type ReaderOwner } from './reader.ts';
import type { Shared } from './shared.ts';
import type { Transport, TransportUser } from './transport.ts';
import type { Wire } from './wire.ts';

export class Tcp implements Transport, ReaderOwner {
  readonly #shared: Shared;
  #wire: Wire;
  readonly #downstream: boolean;
  readonly #out: Output;
  readonly #in: Reader;
  /** Set before the socket is watched. */
  user!: TransportUser;

  /** The wire is closed. */
  #closed = false;
  #connecting: boolean;
  #closing: ReadySink | null = null;

  /** `connecting`: the socket is an outgoing one that does not stand yet. */
  constructor(shared: Shared, wire: Wire, downstream: boolean, connecting: boolean) {
    this.#shared = shared;
    this.#wire = wire;
    this.#downstream = downstream;
    this.#connecting = connecting;
    this.#out = new Output(shared, wire, downstream, this);
    this.#in = new Reader(shared, wire, this.#out, downstream, this);
  }

  get wire(): Wire {
    return this.#wire;
  }
  get open(): boolean {
    return !this.#closed && this.#closing === null;
  }
  get congested(): boolean {
    return this.#out.congested;
  }
  get sentBytes(): number {
    return this.#out.sentBytes;
  }
  get unsentBytes(): number {
    return this.#out.unsent;
  }
  get unread(): boolean {
    return this.#in.unread;
  }
  isQuiet(): boolean {
    return this.open && this.#in.isQuiet();
  }
  get reading(): boolean {
    return this.#in.reading;
  }

  // ---- readiness

  onReady(events: number): void {
    if (this.#closed) return;
    if (this.#closing !== null) {
      this.#closing.onReady(events);
      return;
    }
    if (this.#connecting) {
      this.#onConnectReady(events);
      return;
    }
    if ((events & WRITABLE) !== 0) {
      if (this.#out.congested) {
        if (this.#out.flush()) this.user.onDrained();
        if (!this.open) return;
      } else if (this.#out.concluding) this.#out.conclude();
    }
    if ((events & (READABLE | PEER_CLOSED | BROKEN | AGAIN)) === 0) return;
    this.#in.onReady(events);
  }

  #onConnectReady(events: number): void {
    // What only concerns a wire that stands: nothing was sent on this one, and nothing of it can be read.
    if (!this.#wire.layered && (events & (WRITABLE | BROKEN)) === 0) return;
    if ((events & AGAIN) !== 0) this.#in.answered();
    // Bytes or an end that came with the same edge are read after the user has been told.
    if ((events & (READABLE | PEER_CLOSED | BROKEN)) !== 0) this.#in.note(events);
    const result = this.#wire.establish((events & BROKEN) !== 0);
    if (result === -ERRNO.EAGAIN) return;
    if (result === -ERRNO.EINPROGRESS) {
      this.#in.again();
      return;
    }
    this.#connecting = false;
    if (result !== 0) {
      // A refused handshake has told the peer why: an end in order, or a reset would destroy that.
      if (result === -ERRNO.EPROTO) this.finish(true);
      else this.abort();
      this.user.onLost(-result);
      return;
    }
    // What was ready was the handshake's. A layer may have taken bytes from the socket already that are for us.
    const { layered } = this.#wire;
    const unread = layered && !this.#in.knownEmpty;
    if (layered) this.#in.readable = false;
    this.user.onConnected();
    if (unread) this.#in.readable = true;
    if (this.open && this.#in.reading && this.#in.readable) this.#in.read();
  }

  layer(wire: Wire, decided: boolean): void {
    this.#wire = wire;
    this.#out.wire = wire;
    this.#connecting = true;
    this.#in.layer(wire, decided);
  }

  // ---- reading

  pause(): void {
    this.#in.reading = false;
  }

  resume(): void {
    this.#in.resume();
  }

  yield(): void {
    this.#in.yield();
  }

  relayTo(to: Transport, limit: number): void {
    this.#in.relayTo(to, limit);
  }

  // ---- writing

  write(start: number, end: number, free: number): void {
    this.#out.write(start, end, free);
  }

  reserve(n: number): number {
    return this.#out.reserve(n);
  }

  commit(end: number): void {
    this.#shared.cork.commit(end);
  }

  hold(start: number, end: number): void {
    this.#out.hold(start, end);
  }

  uncork(): void {
    this.#out.uncork();
  }

  discard(): void {
    this.#out.discard();
  }

  mayQueue(bytes: number): void {
    this.#out.mayQueue(bytes);
  }

  writePipe(pipe: Handle, n: number): void {
    this.#out.uncork();
    this.#out.writePipe(pipe, n);
  }

  // ---- ends

  end(): void {
    if (this.open) this.#out.end();
  }

  endsByClosing(): void {
    if (!this.#closed) this.#out.guard(true);
  }

  finish(linger: boolean): void {
    if (!this.open) return;
    this.uncork();
    const { queue, failed, guarded } = this.#out;
    if (failed !== 0 || this.#connecting) {
      this.abort();
      return;
    }
    this.#in.close();
    if ((queue === null || queue.bytes === 0) && (!linger || this.#in.ended) && this.#wire.conclude()) {
      this.#close();
      return;
    }
    const lingers = linger && !this.#in.ended;
    const closing = new Closing(this.#shared, this.#wire, queue, lingers, guarded, this.#downstream, () => {
      this.#closed = true;
    });
    this.#closing = closing;
    closing.begin();
  }

  breakOff(): void {
    if (!this.open) return;
    this.uncork();
    const { queue, failed } = this.#out;
    const nothing = failed !== 0 || this.#connecting || (!this.congested && this.#wire.unsent() === 0);
    if (nothing) {
      this.abort();
      return;
    }
    this.#in.close();
    const closing = new BreakingOff(this.#shared, this.#wire, queue, this.#downstream, () => {
      this.#closed = true;
    });
    this.#closing = closing;
    closing.begin();
  }

  abort(): void {
    if (!this.open) return;
    this.#dropAll();
    this.#wire.reset();
    this.#closed = true;
  }

  #close(): void {
    this.#dropAll();
    this.#out.guard(false);
    this.#wire.close();
    this.#closed = true;
  }

  lose(errno: number): void {
    this.abort();
    this.user.onLost(errno);
  }

  #dropAll(): void {
    this.#in.close();
    this.#out.close();
  }
}

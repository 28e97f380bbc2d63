// A transport over a socket of the reactor. Edge-triggered (epoll(7)): read until there is no more, remember when reading was
// paused before that.

import { LIMITS } from '../../base/limits.ts';
import { BROKEN, ERRNO, type Handle, PEER_CLOSED, READABLE, type ReadySink, WRITABLE } from '../../io/io.ts';
import { limitCell } from '../../telemetry/layout.ts';
import { Closing } from './closing.ts';
import { InputBuffer } from './input.ts';
import { Output } from './output.ts';
import { Relay } from './relay.ts';
import type { Shared } from './shared.ts';
import type { Transport, TransportUser } from './transport.ts';
import type { Wire } from './wire.ts';

/** Beside the bits of `ReadySink.onReady`: our own call, which says nothing about the socket. */
const AGAIN = 16;
const ARENA_LIMIT = limitCell('ARENA_BYTES');
const WORK_LIMIT = limitCell('WORK_PER_TURN');

export class Tcp implements Transport, ReadySink {
  readonly #shared: Shared;
  #wire: Wire;
  readonly #downstream: boolean;
  readonly #out: Output;
  /** Set before the socket is watched. */
  user!: TransportUser;

  /** The wire is closed. */
  #closed = false;
  #connecting: boolean;
  #reading = true;
  /** An edge said so and the wire was not yet read dry. */
  #readable = false;
  /** FIN or an error is behind the readable bytes: a short read does not mean that nothing is left. */
  #endSeen = false;
  /** FIN was seen, and the user was told while it did not read. */
  #peerClosed = false;
  #peerClosedTold = false;
  #eof = false;
  #againAsked = false;
  /** The user had its share of this turn. */
  #yielding = false;

  /** Bytes that the user has not used yet. */
  #input: InputBuffer | null = null;
  /** The user, having been paused, has to see the kept bytes again before anything is read. */
  #keptFresh = false;
  /** The user is looking at bytes: what it leaves of them will be kept. */
  #presenting = false;
  /** Where what arrives goes instead of to the user. */
  #relay: Relay | null = null;

  #closing: Closing | null = null;

  /** `connecting`: the socket is an outgoing one that does not stand yet. */
  constructor(shared: Shared, wire: Wire, downstream: boolean, connecting: boolean) {
    this.#shared = shared;
    this.#wire = wire;
    this.#downstream = downstream;
    this.#connecting = connecting;
    this.#out = new Output(shared, wire, downstream, this);
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
    return this.#readable || this.#kept;
  }
  get reading(): boolean {
    return this.#reading;
  }
  get #kept(): boolean {
    return this.#input?.held === true;
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
    if ((events & WRITABLE) !== 0 && this.#out.congested) {
      if (this.#out.flush()) this.user.onDrained();
      if (!this.open) return;
    }
    if ((events & (READABLE | PEER_CLOSED | BROKEN | AGAIN)) === 0) return;
    if ((events & AGAIN) !== 0) {
      this.#againAsked = false;
      this.#yielding = false;
    } else {
      this.#note(events);
    }
    // After `yield` it goes on when its own call comes.
    if (this.#reading) {
      if (!this.#yielding) this.#read();
    } else if ((events & BROKEN) !== 0 && !this.#out.ending) {
      // Once both directions ended in order the kernel says the same, and reading on will tell which it was.
      this.user.onHangup();
    }
    if (this.#peerClosed && !this.#reading && !this.#peerClosedTold && this.open) {
      this.#peerClosedTold = true;
      this.user.onPeerClosed();
    }
  }

  /** There is something to read. */
  #note(events: number): void {
    this.#readable = true;
    if ((events & (PEER_CLOSED | BROKEN)) !== 0) this.#endSeen = true;
    if ((events & PEER_CLOSED) !== 0) this.#peerClosed = true;
  }

  #onConnectReady(events: number): void {
    // What only concerns a wire that stands: nothing was sent on this one, and nothing of it can be read.
    if (this.#wire.shortReadEmpties && (events & (WRITABLE | BROKEN)) === 0) return;
    if ((events & AGAIN) !== 0) this.#againAsked = false;
    // Bytes or an end that came with the same edge are read after the user has been told.
    if ((events & (READABLE | PEER_CLOSED | BROKEN)) !== 0) this.#note(events);
    const result = this.#wire.establish();
    if (result === -ERRNO.EAGAIN) return;
    this.#connecting = false;
    if (result !== 0) {
      // A refused handshake has told the peer why: an end in order, or a reset would destroy that.
      if (result === -ERRNO.EPROTO) this.finish(true);
      else this.abort();
      this.user.onLost(-result);
      return;
    }
    // A layer may have taken bytes from the socket already that are for us.
    if (!this.#wire.shortReadEmpties) this.#readable = true;
    this.user.onConnected();
    if (this.open && this.#reading && this.#readable) this.#read();
  }

  layer(wire: Wire): void {
    this.#wire = wire;
    this.#out.wire = wire;
    this.#connecting = true;
    this.#readable = false;
    this.#again();
  }

  // ---- reading

  pause(): void {
    this.#reading = false;
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    if (this.#kept || this.#presenting) this.#keptFresh = true;
    if (this.#keptFresh || this.#readable) this.#again();
  }

  yield(): void {
    this.#shared.cells.add(WORK_LIMIT, 1);
    this.#yielding = true;
    this.#keptFresh = true;
    this.#again();
  }

  relayTo(to: Transport, limit: number): void {
    this.#relay = new Relay(this.#shared, this.#wire, to, limit);
    if (!this.#kept && !this.#presenting) return;
    this.#keptFresh = true;
    if (this.#reading) this.#again();
  }

  /** Reading goes on in the next turn. */
  #again(): void {
    if (this.#againAsked) return;
    this.#againAsked = true;
    this.#shared.io.again(this, AGAIN);
  }

  #read(): void {
    const shared = this.#shared;
    const input = this.#input;
    shared.work = LIMITS.WORK_PER_TURN;
    if (this.#keptFresh && input?.held) {
      this.#keptFresh = false;
      this.#present(input.start, input.end);
    }
    let budget: number = LIMITS.BYTES_PER_TURN;
    while (this.#reading && this.#readable && !this.#yielding && !this.#connecting && this.open) {
      if (this.#eof) return;
      if (budget <= 0) {
        this.#again();
        return;
      }
      const n = this.#readOn(shared.readAt);
      if (n > 0) {
        budget -= n;
      } else if (n === -ERRNO.EAGAIN) {
        this.#readable = false;
        this.#endSeen = false;
        // Sending failed, for want of memory, say, and nothing that is read will tell.
        if (this.#out.failed !== 0) this.#lose(this.#out.failed);
      } else if (n === 0 && this.#out.failed === 0) {
        this.#eof = true;
        this.#readable = false;
        this.user.onEnd();
      } else {
        // A send may already have taken the error from the socket, which then reads like an end in order.
        this.#lose(n === 0 ? this.#out.failed : -n);
      }
    }
  }

  /** Reads once, to where what comes belongs. Returns what the wire said. */
  #readOn(at: number): number {
    if (this.#kept) return this.#readMore(this.#input as InputBuffer);
    const relay = this.#relay;
    if (relay === null || !relay.splices) return this.#readFresh(at);
    const n = relay.splice();
    if (n === -ERRNO.ENOBUFS) return this.#readFresh(at);
    if (n > 0) {
      // Of a pipe's move a short one says nothing: `readable` stays.
      this.#tallyRead(n);
      this.#afterRelay(relay);
    }
    return n;
  }

  /** Reads into the block that all share, and presents it. Returns what the wire said. */
  #readFresh(at: number): number {
    const n = this.#wire.recv(at, LIMITS.READ_BYTES);
    if (n > 0) {
      this.#arrived(n, LIMITS.READ_BYTES);
      this.#present(at, at + n);
    }
    return n;
  }

  /** Reads behind what is kept. A codec that uses nothing of a full buffer is not asked again before it is resumed. */
  #readMore(input: InputBuffer): number {
    if (!input.makeRoom()) {
      this.#shared.cells.add(ARENA_LIMIT, 1);
      return -ERRNO.ENOMEM;
    }
    const room = input.room;
    if (room === 0) {
      this.#reading = false;
      return 1;
    }
    const n = this.#wire.recv(input.end, room);
    if (n > 0) {
      this.#arrived(n, room);
      input.end += n;
      this.#present(input.start, input.end);
    }
    return n;
  }

  #tallyRead(n: number): void {
    if (this.#downstream) this.#shared.tally.downstreamRead += n;
    else this.#shared.tally.upstreamRead += n;
  }

  #arrived(n: number, room: number): void {
    this.#tallyRead(n);
    // A short read has emptied the wire, unless the end is behind it.
    if (n < room && !this.#endSeen && this.#wire.shortReadEmpties) this.#readable = false;
  }

  #present(start: number, end: number): void {
    this.#presenting = true;
    const used = this.#relay === null ? this.user.onBytes(start, end) : this.#pass(this.#relay, start, end);
    this.#presenting = false;
    // The bytes that are held may be among those that make room now.
    this.#shared.cork.release();
    if (!this.open) return;
    const input = this.#input;
    if (used === end) {
      this.#keptFresh = false;
      input?.drop();
    } else if (input?.held) {
      input.start = used;
    } else {
      this.#keep(used, end);
    }
  }

  #keep(start: number, end: number): void {
    this.#input ??= new InputBuffer(this.#shared.io);
    // Paused, or resumed meanwhile: presented again by `resume` or by the next bytes.
    if (this.#input.keep(start, end)) return;
    this.#shared.cells.add(ARENA_LIMIT, 1);
    this.#lose(ERRNO.ENOMEM);
  }

  /** What arrived goes on to where it is relayed, up to the limit; returns how far. */
  #pass(relay: Relay, start: number, end: number): number {
    const at = relay.pass(start, end);
    if (!this.#afterRelay(relay)) return at;
    return at < end && this.open && this.#reading && this.#relay === null ? this.user.onBytes(at, end) : at;
  }

  /** Whether it was the last of it: then the user goes on. */
  #afterRelay(relay: Relay): boolean {
    if (relay.left === 0) {
      this.#relay = null;
      this.user.onRelayed();
      return true;
    }
    if (relay.to.congested) this.#reading = false;
    return false;
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
    this.#input?.drop();
    if ((queue === null || queue.bytes === 0) && (!linger || this.#eof)) {
      this.#close();
      return;
    }
    const lingers = linger && !this.#eof;
    this.#closing = new Closing(this.#shared, this.#wire, queue, lingers, guarded, this.#downstream, () => {
      this.#closed = true;
    });
    this.#closing.begin();
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

  #lose(errno: number): void {
    this.abort();
    this.user.onLost(errno);
  }

  #dropAll(): void {
    this.#input?.drop();
    this.#out.close();
  }
}

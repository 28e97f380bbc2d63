// The reading half of a transport: what an edge of the reactor said, what of it was read, and who gets it: the user, a
// buffer until it goes on, or another transport.

import { LIMITS } from '../../base/limits.ts';
import { BROKEN, ERRNO, PEER_CLOSED, type ReadySink, URGENT } from '../../io/io.ts';
import { limitCell } from '../../telemetry/layout.ts';
import { type Backlogged, shareOf } from './backlog.ts';
import { InputBuffer } from './input.ts';
import type { Output } from './output.ts';
import { Relay } from './relay.ts';
import type { Shared } from './shared.ts';
import type { Transport, TransportUser } from './transport.ts';
import type { Wire } from './wire.ts';

/** Beside the bits of `ReadySink.onReady`: our own call, which says nothing about the socket. */
export const AGAIN = 16;
const ARENA_LIMIT = limitCell('ARENA_BYTES');
const WORK_LIMIT = limitCell('WORK_PER_TURN');

/** The transport whose reading it is. */
export interface ReaderOwner extends ReadySink {
  user: TransportUser;
  readonly open: boolean;
  /** The connection is lost. */
  lose(errno: number): void;
}

export class Reader implements Backlogged {
  readonly #shared: Shared;
  readonly #owner: ReaderOwner;
  readonly #out: Output;
  readonly #downstream: boolean;
  wire: Wire;

  reading = true;
  /** An edge said so and the wire was not yet read dry. */
  readable = false;
  /** FIN or an error is behind the readable bytes: a short read does not mean that nothing is left. */
  #endSeen = false;
  /** Urgent data is among them: the same, and no pipe passes it. */
  #urgent = false;
  /** FIN was seen, and the user was told while it did not read. */
  #peerClosed = false;
  #peerClosedTold = false;
  /** The end of the peer's direction was read. */
  ended = false;
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

  constructor(shared: Shared, wire: Wire, out: Output, downstream: boolean, owner: ReaderOwner) {
    this.#shared = shared;
    this.wire = wire;
    this.#out = out;
    this.#downstream = downstream;
    this.#owner = owner;
  }

  get #kept(): boolean {
    return this.#input?.held === true;
  }

  /** Something is known to wait. */
  get unread(): boolean {
    return this.readable || this.#kept;
  }

  /** Nothing came, not even an end: asks the wire. What it finds may be lost. */
  isQuiet(): boolean {
    if (this.unread || this.#endSeen) return false;
    // Into the room in front of what was read, which nobody needs now.
    return this.wire.recv(this.#shared.readAt - LIMITS.READ_HEADROOM_BYTES, 1) === -ERRNO.EAGAIN;
  }

  /** There is something to read. */
  note(events: number): void {
    this.readable = true;
    if ((events & (PEER_CLOSED | BROKEN)) !== 0) this.#endSeen = true;
    if ((events & PEER_CLOSED) !== 0) this.#peerClosed = true;
    if ((events & URGENT) !== 0) this.#urgent = true;
  }

  /** Our own call came. */
  answered(): void {
    this.#againAsked = false;
    // Among those of clients it has a turn of its own.
    if (!this.#downstream) this.#yielding = false;
  }

  onReady(events: number): void {
    if ((events & AGAIN) !== 0) this.answered();
    else this.note(events);
    // After `yield` it goes on when its own call comes.
    if (this.reading && !this.#yielding) this.#readFirst();
    // Whoever reads hears of it so, unless the peer had ended its direction before.
    if ((events & BROKEN) !== 0 && (!this.reading || this.ended) && this.#owner.open) {
      // Once both directions ended in order the kernel says the same, and reading on will tell which it was.
      if (!this.#out.ending || this.#out.failed !== 0) this.#owner.user.onHangup();
    }
    if (this.#peerClosed && !this.reading && !this.#peerClosedTold && this.#owner.open) {
      this.#peerClosedTold = true;
      this.#owner.user.onPeerClosed();
    }
  }

  resume(): void {
    if (this.reading) return;
    this.reading = true;
    if (this.#kept || this.#presenting) this.#keptFresh = true;
    if (this.#keptFresh || this.readable) this.again();
  }

  yield(): void {
    this.#shared.cells.add(WORK_LIMIT, 1);
    this.#yielding = true;
    this.#keptFresh = true;
    if (this.#downstream) this.#shared.backlog.add(this);
    else this.again();
  }

  /** Its turn among those who yielded came. */
  goOn(work: number): number {
    this.#yielding = false;
    if (!this.reading || !this.#owner.open) return 0;
    this.read(work);
    return work - this.#shared.work;
  }

  relayTo(to: Transport, limit: number): void {
    this.#relay = new Relay(this.#shared, this.wire, to, limit);
    if (!this.#kept && !this.#presenting) return;
    this.#keptFresh = true;
    if (this.reading) this.again();
  }

  /** Reading goes on in the next turn. */
  again(): void {
    if (this.#againAsked) return;
    this.#againAsked = true;
    this.#shared.io.again(this.#owner, AGAIN);
  }

  /**
   * Goes on over another wire, from which nothing can be read before it stands. It is asked whether it does when there
   * is more to read below, unless it has `decided` already.
   */
  layer(wire: Wire, decided: boolean): void {
    this.wire = wire;
    const asked = decided || this.readable;
    this.readable = false;
    if (asked) this.again();
  }

  /** The wire has nothing, and what comes is told of. */
  get knownEmpty(): boolean {
    return this.wire.shortReadEmpties && !this.#endSeen && !this.#urgent;
  }

  /** Forgets what is kept. */
  close(): void {
    this.#input?.drop();
  }

  /** Reads by its share of what this turn has for those who were not read yet. */
  #readFirst(): void {
    const shared = this.#shared;
    if (!this.#downstream) {
      this.read(LIMITS.WORK_PER_TURN);
      return;
    }
    const work = shareOf(shared.turnWork);
    this.read(work);
    shared.turnWork -= work - shared.work;
  }

  /** `work`: what the user may cause of it. */
  read(work: number = LIMITS.WORK_PER_TURN): void {
    const shared = this.#shared;
    const input = this.#input;
    shared.work = work;
    if (this.#keptFresh && input?.held) {
      this.#keptFresh = false;
      this.#present(input.start, input.end);
    }
    let budget: number = LIMITS.BYTES_PER_TURN;
    while (this.reading && this.readable && !this.#yielding && this.#owner.open) {
      if (this.ended) return;
      if (budget <= 0) {
        this.again();
        return;
      }
      const moves = this.#relay?.splices === true && !this.#kept && !this.#urgent;
      const n = this.#readOn(shared.readAt);
      if (n > 0) {
        budget -= moves ? shared.costOfMoving(n) : n;
      } else if (n === -ERRNO.EAGAIN) {
        this.readable = false;
        this.#endSeen = false;
        this.#urgent = false;
        // Sending failed, for want of memory, say, and nothing that is read will tell.
        if (this.#out.failed !== 0) this.#owner.lose(this.#out.failed);
      } else if (n === 0 && this.#out.failed === 0) {
        this.ended = true;
        this.readable = false;
        this.#owner.user.onEnd();
      } else {
        // A send may already have taken the error from the socket, which then reads like an end in order.
        this.#owner.lose(n === 0 ? this.#out.failed : -n);
      }
    }
  }

  /** Reads once, to where what comes belongs. Returns what the wire said. */
  #readOn(at: number): number {
    if (this.#kept) return this.#readMore(this.#input as InputBuffer);
    const relay = this.#relay;
    if (relay === null || !relay.splices || this.#urgent) return this.#readFresh(at);
    const n = relay.splice();
    // What looks like the end may be urgent data that came with it.
    if (n === -ERRNO.ENOBUFS || n === 0) return this.#readFresh(at);
    if (n > 0) {
      // Of a pipe's move a short one says nothing: `readable` stays.
      this.#tallyRead(n);
      this.#afterRelay(relay);
    }
    return n;
  }

  /** Reads into the block that all share, and presents it. Returns what the wire said. */
  #readFresh(at: number): number {
    const n = this.wire.recv(at, LIMITS.READ_BYTES);
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
      this.reading = false;
      return 1;
    }
    const n = this.wire.recv(input.end, room);
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
    if (n < room && this.knownEmpty) this.readable = false;
  }

  #present(start: number, end: number): void {
    this.#presenting = true;
    const used = this.#relay === null ? this.#owner.user.onBytes(start, end) : this.#pass(this.#relay, start, end);
    this.#presenting = false;
    // The bytes that are held may be among those that make room now.
    this.#shared.cork.release();
    if (!this.#owner.open) return;
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
    this.#owner.lose(ERRNO.ENOMEM);
  }

  /** What arrived goes on to where it is relayed, up to the limit; returns how far. */
  #pass(relay: Relay, start: number, end: number): number {
    const at = relay.pass(start, end);
    if (!this.#afterRelay(relay)) return at;
    return at < end && this.#owner.open && this.reading && this.#relay === null
      ? this.#owner.user.onBytes(at, end)
      : at;
  }

  /** Whether it was the last of it: then the user goes on. */
  #afterRelay(relay: Relay): boolean {
    if (relay.left === 0) {
      this.#relay = null;
      this.#owner.user.onRelayed();
      return true;
    }
    if (relay.to.congested) this.reading = false;
    return false;
  }
}

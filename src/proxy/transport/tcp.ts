// The plain transport: a socket of the reactor. Edge-triggered (epoll(7)): read until the kernel has no more, remember when
// reading was paused before that.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import { BROKEN, ERRNO, type Handle, NO_HANDLE, PEER_CLOSED, READABLE, type ReadySink, WRITABLE } from '../../io/io.ts';
import { limitCell } from '../../telemetry/layout.ts';
import { Closing } from './closing.ts';
import { ChunkQueue } from './queue.ts';
import type { Shared } from './shared.ts';
import type { Transport, TransportUser } from './transport.ts';

/** Kept bytes never need more: a head as large as allowed, or one read that has to wait. */
const KEEP_BYTES = Math.max(LIMITS.HEAD_BYTES, LIMITS.READ_BYTES);
const KEEP_SMALLEST = 2048;
/** Beside the bits of `ReadySink.onReady`: our own call, which says nothing about the socket. */
const AGAIN = 16;
const ARENA_LIMIT = limitCell('ARENA_BYTES');
const FLOW_LIMIT = limitCell('FLOW_BYTES');

export class Tcp implements Transport, ReadySink {
  readonly #shared: Shared;
  readonly #downstream: boolean;
  user: TransportUser;
  handle: Handle;
  sentBytes = 0;

  #connecting: boolean;
  #reading = true;
  /** An edge said so and the kernel was not yet read dry. */
  #readable = false;
  /** FIN or an error is behind the readable bytes: a short read does not mean that nothing is left. */
  #endSeen = false;
  #eof = false;
  /** errno of a send that failed. Reading goes on: what the peer said before may explain it. */
  #failed = 0;
  #againAsked = false;

  /** Bytes the user has not used yet: [keptStart, keptEnd) in a block of our own, -1 for none. */
  #kept = -1;
  #keptStart = 0;
  #keptEnd = 0;
  /** The user, having been paused, has to see the kept bytes again before anything is read. */
  #keptFresh = false;
  /** The user is looking at bytes: what it leaves of them will be kept. */
  #presenting = false;

  /** The end of the stream is told by nothing but its closing. */
  #guarded = false;

  #queue: ChunkQueue | null = null;
  #closing: Closing | null = null;

  /** `connecting`: the socket is an outgoing one that does not stand yet. */
  constructor(shared: Shared, handle: Handle, user: TransportUser, downstream: boolean, connecting: boolean) {
    this.#shared = shared;
    this.handle = handle;
    this.user = user;
    this.#downstream = downstream;
    this.#connecting = connecting;
  }

  get open(): boolean {
    return this.handle !== NO_HANDLE && this.#closing === null;
  }
  get congested(): boolean {
    return this.#queue !== null && this.#queue.bytes > 0;
  }
  get unread(): boolean {
    return this.#readable || this.#kept !== -1;
  }
  get reading(): boolean {
    return this.#reading;
  }

  // ---- readiness

  onReady(events: number): void {
    if (this.handle === NO_HANDLE) return;
    if (this.#closing !== null) {
      this.#closing.onReady(events);
      return;
    }
    if (this.#connecting) {
      this.#onConnectReady(events);
      return;
    }
    if ((events & WRITABLE) !== 0 && this.#queue !== null && this.#queue.bytes > 0) {
      this.#flushQueue();
      if (this.#queue.bytes === 0 && this.#failed === 0) this.user.onDrained();
      if (!this.open) return;
    }
    if ((events & (READABLE | PEER_CLOSED | BROKEN | AGAIN)) === 0) return;
    if ((events & AGAIN) !== 0) this.#againAsked = false;
    else this.#readable = true;
    if ((events & (PEER_CLOSED | BROKEN)) !== 0) this.#endSeen = true;
    if (this.#reading) this.#read();
    else if ((events & BROKEN) !== 0) this.user.onHangup();
  }

  #onConnectReady(events: number): void {
    if ((events & (WRITABLE | BROKEN)) === 0) return;
    const errno = this.#shared.io.connectError(this.handle);
    this.#connecting = false;
    if (errno !== 0) {
      this.#lose(errno);
      return;
    }
    // Bytes or an end that came with the same edge are read after the user has been told.
    if ((events & (READABLE | PEER_CLOSED | BROKEN)) !== 0) {
      this.#readable = true;
      if ((events & (PEER_CLOSED | BROKEN)) !== 0) this.#endSeen = true;
    }
    this.user.onConnected();
    if (this.open && this.#reading && this.#readable) this.#read();
  }

  // ---- reading

  pause(): void {
    this.#reading = false;
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    if (this.#kept !== -1 || this.#presenting) this.#keptFresh = true;
    if (this.#keptFresh || this.#readable) this.#again();
  }

  /** Reading goes on in the next turn. */
  #again(): void {
    if (this.#againAsked) return;
    this.#againAsked = true;
    this.#shared.io.again(this, AGAIN);
  }

  #read(): void {
    if (this.#keptFresh && this.#kept !== -1) {
      this.#keptFresh = false;
      this.#present(this.#keptStart, this.#keptEnd);
    }
    const io = this.#shared.io;
    let budget: number = LIMITS.BYTES_PER_TURN;
    while (this.#reading && this.#readable && this.handle !== NO_HANDLE && this.#closing === null) {
      if (this.#eof) return;
      if (budget <= 0) {
        this.#again();
        return;
      }
      const kept = this.#kept !== -1;
      if (kept && !this.#roomBehindKept()) return;
      const at = kept ? this.#keptEnd : this.#shared.readAt;
      const room = kept ? this.#kept + io.sizeOf(this.#kept) - at : LIMITS.READ_BYTES;
      const n = io.recv(this.handle, at, room);
      if (n > 0) {
        budget -= n;
        if (this.#downstream) this.#shared.tally.downstreamRead += n;
        else this.#shared.tally.upstreamRead += n;
        // A short read has emptied the socket, unless the end is behind it (epoll(7), question 9).
        if (n < room && !this.#endSeen) this.#readable = false;
        if (kept) this.#keptEnd = at + n;
        this.#present(kept ? this.#keptStart : at, at + n);
      } else if (n === -ERRNO.EAGAIN) {
        this.#readable = false;
        this.#endSeen = false;
        // The send failed for want of memory, say, and nothing that is read will tell.
        if (this.#failed !== 0) this.#lose(this.#failed);
      } else if (n === 0 && this.#failed === 0) {
        this.#eof = true;
        this.#readable = false;
        this.user.onEnd();
      } else {
        // A send may already have taken the error from the socket, which then reads like an end in order.
        this.#lose(n === 0 ? this.#failed : -n);
      }
    }
  }

  #present(start: number, end: number): void {
    this.#presenting = true;
    const used = this.user.onBytes(start, end);
    this.#presenting = false;
    // The bytes that are held may be among those that make room now.
    if (this.#shared.heldAt >= 0) this.#shared.corkOwner?.uncork();
    if (this.handle === NO_HANDLE || this.#closing !== null) return;
    if (used === end) {
      this.#keptFresh = false;
      if (this.#kept !== -1) this.#dropKept();
    } else if (this.#kept !== -1) {
      this.#keptStart = used;
    } else {
      this.#keep(used, end);
    }
  }

  #keep(start: number, end: number): void {
    const io = this.#shared.io;
    const block = io.alloc(Math.max(KEEP_SMALLEST, end - start));
    if (block < 0) {
      this.#shared.cells.add(ARENA_LIMIT, 1);
      this.#lose(ERRNO.ENOMEM);
      return;
    }
    this.#kept = block;
    this.#keptStart = block;
    this.#keptEnd = move(io.mem, block, start, end);
    // Paused, or resumed meanwhile: presented again by `resume` or by the next bytes.
  }

  /** Makes room to read behind the kept bytes; false when there is none to be had. */
  #roomBehindKept(): boolean {
    const io = this.#shared.io;
    const size = io.sizeOf(this.#kept);
    const used = this.#keptEnd - this.#keptStart;
    if (this.#kept + size - this.#keptEnd >= size >> 2) return true;
    if (this.#keptStart > this.#kept) {
      move(io.mem, this.#kept, this.#keptStart, this.#keptEnd);
      this.#keptStart = this.#kept;
      this.#keptEnd = this.#kept + used;
      if (size - used >= size >> 2) return true;
    }
    if (size < KEEP_BYTES) {
      const block = io.alloc(Math.min(size * 4, KEEP_BYTES));
      if (block < 0) {
        this.#shared.cells.add(ARENA_LIMIT, 1);
        this.#lose(ERRNO.ENOMEM);
        return false;
      }
      move(io.mem, block, this.#keptStart, this.#keptEnd);
      io.free(this.#kept);
      this.#kept = block;
      this.#keptStart = block;
      this.#keptEnd = block + used;
      return true;
    }
    return this.#keptEnd < this.#kept + size;
  }

  #dropKept(): void {
    this.#shared.io.free(this.#kept);
    this.#kept = -1;
    this.#keptFresh = false;
  }

  // ---- writing

  write(start: number, end: number, free: number): void {
    if (start === end) return;
    const shared = this.#shared;
    if (shared.corkOwner === this) {
      if (shared.heldAt >= 0) {
        if (start === shared.corkUsed) {
          shared.corkUsed = end;
          return;
        }
        this.#gather();
        if (shared.corkOwner !== this) {
          this.#send(start, end);
          return;
        }
      }
      const waiting = shared.corkUsed - shared.corkAt;
      const n = end - start;
      if (waiting <= free && n > COPY_BYTES) {
        // In front of the new bytes there is room for the ones that wait: one send, and the large part is not copied.
        shared.corkOwner = null;
        move(shared.mem, start - waiting, shared.corkAt, shared.corkUsed);
        this.#send(start - waiting, end);
        return;
      }
      if (n <= shared.corkEnd - shared.corkUsed) {
        shared.corkUsed = move(shared.mem, shared.corkUsed, start, end);
        return;
      }
      this.uncork();
    }
    this.#send(start, end);
  }

  reserve(n: number): number {
    const shared = this.#shared;
    if (shared.heldAt >= 0 && shared.corkOwner === this) this.#gather();
    if (shared.corkOwner !== this || shared.corkEnd - shared.corkUsed < n) {
      if (shared.corkOwner !== null) shared.corkOwner.uncork();
      shared.corkOwner = this;
      shared.corkUsed = shared.corkAt;
    }
    return shared.corkUsed;
  }

  hold(start: number, end: number): void {
    const shared = this.#shared;
    if (shared.corkOwner !== null) shared.corkOwner.uncork();
    shared.corkOwner = this;
    shared.heldAt = start;
    shared.corkUsed = end;
  }

  /** What is held moves into the write block: something follows that does not stand behind it. */
  #gather(): void {
    const shared = this.#shared;
    const start = shared.heldAt;
    const end = shared.corkUsed;
    if (end - start > shared.corkEnd - shared.corkAt) {
      this.uncork();
      return;
    }
    shared.heldAt = -1;
    shared.corkUsed = move(shared.mem, shared.corkAt, start, end);
  }

  commit(end: number): void {
    this.#shared.corkUsed = end;
  }

  uncork(): void {
    const shared = this.#shared;
    if (shared.corkOwner !== this) return;
    shared.corkOwner = null;
    const start = shared.heldAt >= 0 ? shared.heldAt : shared.corkAt;
    shared.heldAt = -1;
    if (shared.corkUsed > start) this.#send(start, shared.corkUsed);
  }

  #send(start: number, end: number): void {
    if (this.handle === NO_HANDLE || this.#failed !== 0) return;
    const shared = this.#shared;
    let at = start;
    if (this.#queue === null || this.#queue.bytes === 0) {
      for (;;) {
        const n = shared.io.send(this.handle, at, end - at);
        if (n > 0) {
          this.#count(n);
          at += n;
          if (at === end) return;
        } else if (n === -ERRNO.EAGAIN || n === 0) {
          break;
        } else {
          this.#fail(-n);
          return;
        }
      }
    }
    this.#queue ??= new ChunkQueue(shared.io);
    if (!this.#queue.push(at, end)) {
      shared.cells.add(this.#queue.bytes + end - at > LIMITS.FLOW_BYTES ? FLOW_LIMIT : ARENA_LIMIT, 1);
      this.#fail(ERRNO.ENOBUFS);
    }
  }

  #flushQueue(): void {
    const queue = this.#queue as ChunkQueue;
    while (queue.bytes > 0) {
      const n = this.#shared.io.send(this.handle, queue.front, queue.frontEnd - queue.front);
      if (n > 0) {
        this.#count(n);
        queue.took(n);
      } else if (n === -ERRNO.EAGAIN || n === 0) {
        return;
      } else {
        this.#fail(-n);
        return;
      }
    }
  }

  #count(sent: number): void {
    this.sentBytes += sent;
    if (this.#downstream) this.#shared.tally.downstreamWritten += sent;
    else this.#shared.tally.upstreamWritten += sent;
  }

  /** A send failed: the user learns it from the reactor, not in the middle of its write. */
  #fail(errno: number): void {
    this.#failed = errno;
    this.#queue?.clear();
    this.#endSeen = true;
    this.#shared.io.again(this, BROKEN);
  }

  // ---- ends

  endsByClosing(): void {
    if (this.#guarded || this.handle === NO_HANDLE) return;
    this.#guarded = true;
    this.#shared.io.resetOnExit(this.handle, true);
  }

  finish(linger: boolean): void {
    if (!this.open) return;
    this.uncork();
    const queue = this.#queue;
    if (this.#failed !== 0 || this.#connecting) {
      this.abort();
      return;
    }
    if (this.#kept !== -1) this.#dropKept();
    if ((queue === null || queue.bytes === 0) && (!linger || this.#eof)) {
      this.#close();
      return;
    }
    const lingers = linger && !this.#eof;
    const closing = new Closing(this.#shared, this.handle, queue, lingers, this.#guarded, this.#downstream, () => {
      this.handle = NO_HANDLE;
    });
    this.#closing = closing;
    closing.begin();
  }

  abort(): void {
    if (this.handle === NO_HANDLE || this.#closing !== null) return;
    this.#dropAll();
    this.#shared.io.reset(this.handle);
    this.handle = NO_HANDLE;
  }

  #close(): void {
    this.#dropAll();
    if (this.#guarded) this.#shared.io.resetOnExit(this.handle, false);
    this.#shared.io.close(this.handle);
    this.handle = NO_HANDLE;
  }

  #lose(errno: number): void {
    this.abort();
    this.user.onLost(errno);
  }

  #dropAll(): void {
    if (this.#shared.corkOwner === this) {
      this.#shared.corkOwner = null;
      this.#shared.heldAt = -1;
    }
    if (this.#kept !== -1) this.#dropKept();
    this.#queue?.clear();
  }
}

/** Up to here copying bytes is cheaper than moving what waits in front of them. */
const COPY_BYTES = 1024;

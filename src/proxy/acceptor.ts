// Takes connections from one listening socket. The socket itself belongs to the keeper.

import { LIMITS } from '../base/limits.ts';
import { ERRNO, type Handle, READABLE, type ReadySink, type SocketAddress } from '../io/io.ts';
import { Timer, type TimerSink } from '../io/wheel.ts';
import { limitCell } from '../telemetry/layout.ts';
import type { Core } from './core.ts';
import type { Listener } from './listener.ts';

const CONNECTIONS_LIMIT = limitCell('DOWNSTREAM_CONNECTIONS');
const PAUSE_LIMIT = limitCell('ACCEPT_PAUSE_MS');

/** Who gets the connections. */
export interface AcceptorOwner {
  readonly connections: number;
  readonly maxConnections: number;
  /** `refused`: there are too many; it is only told so. */
  accepted(listener: Listener, handle: Handle, peer: SocketAddress, refused: boolean): void;
}

/** What our own call says: nothing of the socket. */
const OWN_CALL = 0;

export class Acceptor implements ReadySink, TimerSink {
  readonly #core: Core;
  readonly #owner: AcceptorOwner;
  readonly listener: Listener;
  readonly #handle: Handle;
  readonly #timer = new Timer(this, 0);
  #open = true;
  /** Connections may be waiting although no edge will say so. */
  #pending = false;
  /** Its own call is to come. */
  #asked = false;

  constructor(core: Core, owner: AcceptorOwner, listener: Listener, handle: Handle) {
    this.#core = core;
    this.#owner = owner;
    this.listener = listener;
    this.#handle = handle;
  }

  /** Returns 0 or -errno. */
  start(): number {
    return this.#core.io.watch(this.#handle, this);
  }

  /** Takes what already waits, then no more; whoever owns the socket closes it or keeps it. */
  stop(): void {
    if (this.#open && !this.#core.stopping) this.#empty();
    this.#open = false;
    this.#core.io.timers.cancel(this.#timer);
  }

  /**
   * While its own call is still to come an edge has nothing to add: each would begin a row of calls of its own, and
   * under a flood of connections turns would grow until nobody else got one.
   */
  onReady(events: number): void {
    const { io, cells } = this.#core;
    this.#pending = true;
    if (events === OWN_CALL) this.#asked = false;
    else if (this.#asked) return;
    for (let n = 0; n < LIMITS.ACCEPTS_PER_TURN; n++) {
      if (!this.#open) return;
      const { connections, maxConnections } = this.#owner;
      if (connections >= maxConnections) {
        cells.add(CONNECTIONS_LIMIT, 1);
        // Even refusing has its limit: the rest waits in the kernel's queue until `roomAgain`.
        if (connections >= maxConnections + overload(maxConnections)) return;
      }
      const handle = io.accept(this.#handle);
      if (handle < 0) {
        if (handle === -ERRNO.EAGAIN || handle === -ERRNO.EBADF || handle === -ERRNO.EINVAL) {
          this.#pending = false;
          return;
        }
        // The client left the queue.
        if (handle === -ERRNO.ECONNABORTED) continue;
        // No descriptor or memory is left: some will be soon, and trying at once would only burn time.
        cells.add(PAUSE_LIMIT, 1);
        io.timers.arm(this.#timer, io.nowMs, LIMITS.ACCEPT_PAUSE_MS);
        return;
      }
      this.#take(handle, connections >= maxConnections);
    }
    this.#again();
  }

  #again(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#core.io.again(this, OWN_CALL);
  }

  /** Those in the queue are established: nobody else may be there to take them. */
  #empty(): void {
    for (let n = 0; n < LIMITS.BACKLOG; n++) {
      const { connections, maxConnections } = this.#owner;
      if (connections >= maxConnections + overload(maxConnections)) return;
      const handle = this.#core.io.accept(this.#handle);
      if (handle === -ERRNO.ECONNABORTED) continue;
      if (handle < 0) return;
      this.#take(handle, connections >= maxConnections);
    }
  }

  #take(handle: Handle, refused: boolean): void {
    const { io } = this.#core;
    let peer: SocketAddress;
    try {
      peer = io.peer(handle);
    } catch {
      // It was reset between the queue and here.
      io.close(handle);
      return;
    }
    this.#owner.accepted(this.listener, handle, peer, refused);
  }

  /** Connections were closed: there is room for those that wait. */
  roomAgain(): void {
    if (this.#pending && this.#open && this.#timer.due === -1) this.#again();
  }

  onTimer(): void {
    this.onReady(READABLE);
  }
}

/** Connections that are taken to be refused, in proportion where there are few of the others. */
function overload(maxConnections: number): number {
  return Math.min(LIMITS.OVERLOAD_CONNECTIONS, Math.max(8, maxConnections >> 3));
}

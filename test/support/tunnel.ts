// Two transports joined: bytes pass both ways as they are, each direction ends by itself, and the whole ends when both
// did, when either side is lost, or when nothing moves for too long. The smallest user of
// relayTo that shows all of it.

import { Timer, type TimerSink } from '../../src/io/wheel.ts';
import type { Shared } from '../../src/proxy/transport/shared.ts';
import type { Transport, TransportUser } from '../../src/proxy/transport/transport.ts';

/** How a tunnel ended: both directions in order, a side was lost (reset), nothing moved, or its owner ended it. */
export type TunnelEnd = 'closed' | 'client' | 'backend' | 'idle' | 'destroyed';

export interface TunnelOwner {
  /** Called once, after both sides were let go of; from the reactor, or from `destroy`. */
  onTunnelEnd(end: TunnelEnd): void;
}

/** One side: what arrives here goes to the other. */
class Side implements TransportUser {
  readonly transport: Transport;
  readonly #tunnel: Tunnel;
  readonly #lost: TunnelEnd;
  other: Side = this;
  ended = false;

  constructor(tunnel: Tunnel, transport: Transport, lost: TunnelEnd) {
    this.#tunnel = tunnel;
    this.transport = transport;
    this.#lost = lost;
  }

  begin(): void {
    this.transport.user = this;
    this.transport.relayTo(this.other.transport, Number.POSITIVE_INFINITY);
    this.transport.resume();
  }

  onEnd(): void {
    this.ended = true;
    if (this.other.ended) this.#tunnel.over('closed', true);
    else this.other.transport.end();
  }
  onLost(): void {
    this.#tunnel.over(this.#lost, false);
  }
  onHangup(): void {
    this.#tunnel.over(this.#lost, false);
  }
  onDrained(): void {
    if (!this.other.ended) this.other.transport.resume();
  }

  /** Nothing of it comes here while it is relayed. */
  onBytes(start: number): number {
    return start;
  }
  onRelayed(): void {}
  onPeerClosed(): void {}
  onConnected(): void {}
}

export class Tunnel implements TimerSink {
  readonly #shared: Shared;
  readonly #client: Side;
  readonly #backend: Side;
  readonly #owner: TunnelOwner;
  readonly #idleMs: number;
  readonly #timer = new Timer(this, 0);
  /** Bytes that both sides had taken when last looked at. */
  #moved: number;
  #over = false;

  /**
   * Begins at once, with what either transport has kept; both are the tunnel's from now on, and their users hear
   * nothing any more. `idleMs`: how long nothing may move either way, above 0.
   */
  constructor(shared: Shared, client: Transport, backend: Transport, idleMs: number, owner: TunnelOwner) {
    this.#shared = shared;
    this.#owner = owner;
    this.#idleMs = idleMs;
    this.#client = new Side(this, client, 'client');
    this.#backend = new Side(this, backend, 'backend');
    this.#client.other = this.#backend;
    this.#backend.other = this.#client;
    this.#moved = this.#taken();
    shared.io.timers.arm(this.#timer, shared.io.nowMs, idleMs);
    this.#client.begin();
    this.#backend.begin();
  }

  #taken(): number {
    return this.#client.transport.sentBytes + this.#backend.transport.sentBytes;
  }

  /** A slow reader is not idle while it takes anything at all. */
  onTimer(): void {
    const moved = this.#taken();
    if (moved === this.#moved) {
      this.over('idle', false);
      return;
    }
    this.#moved = moved;
    this.#shared.io.timers.arm(this.#timer, this.#shared.io.nowMs, this.#idleMs);
  }

  /** Ends both sides at once, by a reset, so that neither takes it for an end in order. */
  destroy(): void {
    this.over('destroyed', false);
  }

  /** For its sides. */
  over(end: TunnelEnd, orderly: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#shared.io.timers.cancel(this.#timer);
    for (const { transport } of [this.#client, this.#backend]) {
      // What waits is still sent.
      if (orderly) transport.finish(false);
      else transport.abort();
    }
    this.#owner.onTunnelEnd(end);
  }
}

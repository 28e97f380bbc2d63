// How a connection begins: the steps of its listener one after the other (PROXY header, ClientHello, handshake, ALPN or
// preface), then the protocol that was found. A listener without steps speaks HTTP/1 at once, and costs nothing here.

import { LIMITS } from '../base/limits.ts';
import { Timer, type TimerSink } from '../io/wheel.ts';
import { limitCell } from '../telemetry/layout.ts';
import { type ClientInfo, type OpeningStep, STEP_ENDED, STEP_LAYERED, STEP_MORE, STEP_REFUSED } from './client-info.ts';
import type { Connection, ConnectionOwner } from './connection.ts';
import type { Core } from './core.ts';
import { Http1Server } from './http1/server.ts';
import { Http2Server } from './http2/server.ts';
import type { Http2Servers } from './http2/servers.ts';
import type { Listener } from './listener.ts';
import { RelaySession } from './relay/session.ts';
import type { Shared } from './transport/shared.ts';
import type { Transport, TransportUser } from './transport/transport.ts';

const HEAD_LIMIT = limitCell('HEAD_MS');

/**
 * Opens a connection that `listener` accepted; `transport` is watched by nobody yet. `refused`: past the limit of
 * connections, so that its first request is answered 503.
 */
export function open(
  core: Core,
  http2: Http2Servers,
  owner: ConnectionOwner,
  listener: Listener,
  transport: Transport,
  info: ClientInfo,
  refused: boolean,
): Connection {
  const { proxy, steps } = listener;
  const all = proxy?.has(info.peer) === true ? [proxy, ...steps] : steps;
  return all.length === 0
    ? spoken(core, http2, owner, listener, transport, info, refused)
    : step(core, http2, owner, listener, all, transport, info, refused);
}

/** The connection in its protocol, which takes the transport over. */
function spoken(
  core: Core,
  http2: Http2Servers,
  owner: ConnectionOwner,
  listener: Listener,
  transport: Transport,
  info: ClientInfo,
  refused: boolean,
): Connection {
  const { relayHost } = listener;
  if (relayHost !== null) return new RelaySession(core, owner, listener, relayHost, transport, info, refused);
  if (info.relayed) return new RelaySession(core, owner, listener, info.host, transport, info, refused);
  return info.alpn === 'h2'
    ? new Http2Server(http2, listener, owner, transport, info, refused)
    : new Http1Server(core, listener, owner, transport, info, refused);
}

/** A function of its own: what a closure holds on to is allocated by every call of the function around it. */
function step(
  core: Core,
  http2: Http2Servers,
  owner: ConnectionOwner,
  listener: Listener,
  steps: readonly OpeningStep[],
  transport: Transport,
  info: ClientInfo,
  refused: boolean,
): Connection {
  const speak = (): Connection => spoken(core, http2, owner, listener, transport, info, refused);
  return new Opening(core.shared, owner, listener, steps, transport, info, speak);
}

/** A connection that is still in its steps. */
export class Opening implements Connection, TransportUser, TimerSink {
  readonly #shared: Shared;
  readonly #owner: ConnectionOwner;
  readonly listener: Listener;
  readonly #transport: Transport;
  readonly #info: ClientInfo;
  /** Makes the connection in its protocol, which takes the transport over. */
  readonly #speak: () => Connection;
  readonly #timer = new Timer(this, 0);
  /** The listener's when it began: those of a later configuration are for later connections. */
  readonly #steps: readonly OpeningStep[];
  #step = 0;
  #over = false;
  next: Connection | null = null;
  previous: Connection | null = null;

  constructor(
    shared: Shared,
    owner: ConnectionOwner,
    listener: Listener,
    steps: readonly OpeningStep[],
    transport: Transport,
    info: ClientInfo,
    speak: () => Connection,
  ) {
    this.#shared = shared;
    this.#owner = owner;
    this.listener = listener;
    this.#transport = transport;
    this.#info = info;
    this.#speak = speak;
    this.#steps = steps;
    transport.user = this;
    // What stands in front of the first head has to come as soon as a head.
    shared.io.timers.arm(this.#timer, shared.io.nowMs, LIMITS.HEAD_MS);
  }

  onBytes(start: number, end: number): number {
    let at = start;
    while (this.#step < this.#steps.length) {
      const step = this.#steps[this.#step] as OpeningStep;
      const used = step.read(this.#shared.mem, at, end, this.#info, this.#transport);
      switch (used) {
        case STEP_MORE:
          return at;
        case STEP_REFUSED:
          this.destroy();
          return end;
        case STEP_ENDED:
          this.#leave();
          this.#transport.finish(true);
          return end;
        case STEP_LAYERED:
          this.#step++;
          return end;
        default:
          at = used;
          this.#step++;
      }
    }
    this.#hand();
    return at < end ? this.#transport.user.onBytes(at, end) : at;
  }

  /** A layer stands: what comes from now on is above it. */
  onConnected(): void {
    if (this.#step === this.#steps.length) this.#hand();
  }

  #hand(): void {
    this.#end();
    this.#owner.became(this, this.#speak());
  }

  /** Nothing was asked yet, so there is nothing to answer. */
  onTimer(): void {
    this.#shared.cells.add(HEAD_LIMIT, 1);
    this.destroy();
  }

  drain(ms: number): void {
    const { io } = this.#shared;
    if (this.#timer.due > io.nowMs + ms) io.timers.arm(this.#timer, io.nowMs, ms);
  }

  leave(tunnels: boolean): number {
    if (!tunnels) this.destroy();
    return 0;
  }

  destroy(): void {
    if (this.#over) return;
    this.#leave();
    this.#transport.abort();
  }

  onEnd(): void {
    this.#leave();
    this.#transport.finish(false);
  }
  onLost(): void {
    this.#leave();
  }
  onHangup(): void {
    this.destroy();
  }
  onPeerClosed(): void {}
  onDrained(): void {}
  onRelayed(): void {}

  #leave(): void {
    this.#end();
    this.#owner.closed(this);
  }

  #end(): void {
    this.#over = true;
    this.#shared.io.timers.cancel(this.#timer);
  }
}

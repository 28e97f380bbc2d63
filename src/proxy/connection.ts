// A connection of a client as the engine holds it, whatever protocol it speaks.

import type { ClientInfo } from './client-info.ts';
import type { RequestSide } from './exchange/sides.ts';
import type { Listener } from './listener.ts';
import type { Transport, TransportUser } from './transport/transport.ts';

export interface Connection {
  /** Where it was accepted. */
  readonly listener: Listener;
  // ---- the owner's list
  next: Connection | null;
  previous: Connection | null;

  /** The worker or the listener leaves: what is idle ends after `ms`, what is busy with its next answer. */
  drain(ms: number): void;
  /**
   * The worker waits no longer: for tunnels, or for all that is none. What of it is under way ends now. Returns how
   * many requests, tunnels or sessions that were.
   */
  leave(tunnels: boolean): number;
  /** Ends it now, by a reset. */
  destroy(): void;
}

/** Who keeps the connections of a worker. */
export interface ConnectionOwner {
  /** What takes the next request that came in at `listener`. */
  request(listener: Listener): RequestSide;
  /** It ended. */
  closed(connection: Connection): void;
  /** `after` goes on with what `before` began: the same connection, in the protocol that was found. */
  became(before: Connection, after: Connection): void;
  /**
   * The first that came on `before`, at `at`, may be HTTP/2's preface: returns what goes on with it from its first byte
   * instead of `before`; null when it is not, or must not be spoken here.
   */
  prefaced(
    before: Connection,
    at: number,
    transport: Transport,
    info: ClientInfo,
    refused: boolean,
  ): TransportUser | null;
}

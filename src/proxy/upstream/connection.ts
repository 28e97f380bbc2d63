// Connections to endpoints as a pool sees them, whatever they speak, and what they tell it.

import type { Fault } from '../../base/errors.ts';
import type { ResponseSide, Upstream } from '../exchange/sides.ts';
import type { Transport } from '../transport/transport.ts';

export interface UpstreamConnection {
  /** Exchanges that it can take now: of HTTP/1 one or none, of HTTP/2 the streams that are left. */
  readonly free: number;
  /** Exchanges that it has. */
  readonly busy: number;
  /**
   * It waits for the backend's first word, and takes none yet: `opened` or `failed` of its pool tells how that ends.
   */
  readonly opening: boolean;
  /** Takes one more, which hears of the response by `side`. */
  take(side: ResponseSide): Upstream;
  /** Nothing came from the backend, not even its end: asks the kernel. Only while it has no exchange. */
  isQuiet(): boolean;
  /** It has none, and waits in the pool. */
  rest(): void;
  /** Closes it, whatever it is doing; the pool is told by `gone`. */
  close(): void;
  /** It takes no more, and closes once it has none. */
  leave(): void;
  // ---- the pool's list of those that are free
  listed: boolean;
  next: UpstreamConnection | null;
  previous: UpstreamConnection | null;
}

/** What a connection tells its pool. */
export interface ConnectionPool {
  /** What it can take has changed. */
  released(connection: UpstreamConnection): void;
  /** It is ready; before that it was `opening`. */
  opened(connection: UpstreamConnection): void;
  /** It will never be; it is closed. */
  failed(connection: UpstreamConnection, fault: Fault, error: number): void;
  /** It is closed. `unannounced`: by the backend, while it rested, without having said when. */
  gone(connection: UpstreamConnection, unannounced: boolean): void;
}

/**
 * Makes the codec on a transport that stands; null (and the transport closed) when it cannot be used. `alpn`: the
 * protocol that was agreed on by TLS, '' for none.
 */
export interface Connector {
  /** Exchanges that one connection is taken to be good for before it says so. */
  readonly expected: number;
  connect(transport: Transport, pool: ConnectionPool, alpn: string): UpstreamConnection | null;
}

/** Of clusters whose connections belong to those who dial them: none is ever shared. */
export const NO_CONNECTOR: Connector = {
  expected: 1,
  connect(transport: Transport): null {
    transport.abort();
    return null;
  },
};

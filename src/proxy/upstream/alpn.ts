// The codec of a connection to a backend is the one that was agreed on by TLS (RFC 7301), HTTP/1.1 where none was.

import type { Transport } from '../transport/transport.ts';
import type { ConnectionPool, Connector, UpstreamConnection } from './connection.ts';

export class AlpnConnector implements Connector {
  readonly #http1: Connector;
  readonly #http2: Connector;
  /** Until one stands nobody knows. */
  readonly expected = 1;

  constructor(http1: Connector, http2: Connector) {
    this.#http1 = http1;
    this.#http2 = http2;
  }

  connect(transport: Transport, pool: ConnectionPool, alpn: string): UpstreamConnection | null {
    return (alpn === 'h2' ? this.#http2 : this.#http1).connect(transport, pool, alpn);
  }
}

// Who is at the other end of a client's connection, and what a connection goes through before it speaks its protocol.

import type { SocketAddress } from '../io/io.ts';
import type { Transport } from './transport/transport.ts';

/** What is known of the other end. Its opening may change it: a PROXY header the client, a handshake whether it is secure. */
export class ClientInfo {
  /** The connection's own other end. */
  readonly peer: SocketAddress;
  /** Address of the client, ASCII without port; 'unix' where there is none. The peer's, unless the peer is a proxy that names it. */
  client: Uint8Array;
  /** The peer is a trusted proxy: what it says about its own client is believed. */
  trusted: boolean;
  /** The connection is encrypted. */
  secure = false;

  constructor(peer: SocketAddress, trusted: boolean) {
    this.peer = peer;
    this.client = asciiOf(peer.family === 'unix' ? 'unix' : peer.address);
    this.trusted = trusted;
  }
}

/** As bytesOf, but small arrays made this way lie in the heap of V8 and cost no memory of their own beside it. */
function asciiOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The step needs more bytes than there are. */
export const STEP_MORE = -1;
/** The connection is not to go on: it is reset. */
export const STEP_REFUSED = -2;

/** One step of an opening, shared by all connections of its listener: it keeps nothing of them. */
export interface OpeningStep {
  /**
   * Looks at mem[start..end), all that came and was not used yet, and may change `info`. Returns the offset up to which it used
   * them, which may be `start`, or one of the two above.
   */
  read(mem: Uint8Array, start: number, end: number, info: ClientInfo, transport: Transport): number;
}

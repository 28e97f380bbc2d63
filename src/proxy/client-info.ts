// Who is at the other end of a client's connection, and what a connection goes through before it speaks its protocol.

import { LIMITS } from '../base/limits.ts';
import type { Handle, SocketAddress } from '../io/io.ts';
import type { SocketHost } from '../ir/ir.ts';
import { type Fragment, NO_FRAGMENT } from '../telemetry/fragment.ts';
import type { Transport } from './transport/transport.ts';

/**
 * What is known of the other end. Its opening may change it: a PROXY header the client, a handshake whether it is
 * secure.
 */
export class ClientInfo {
  /** The connection's own other end. */
  readonly peer: SocketAddress;
  /** Of the connection, for as long as it is open. */
  readonly handle: Handle;
  /**
   * Address of the client, ASCII without port; 'unix' where there is none. The peer's, unless the peer is a proxy that
   * names it.
   */
  client: Uint8Array;
  /** Its port, 0 where there is none. */
  clientPort: number;
  /** The peer is a trusted proxy: what it says about its own client is believed. */
  trusted: boolean;
  /** The connection is encrypted. */
  secure = false;
  /** The host that the client named in its handshake, the only one it may speak to; null where none was named. */
  host: SocketHost | null = null;
  /** What the client says is relayed as it is, as `host` has it; nobody's where that is null. */
  relayed = false;
  /** The host that the client named in its handshake, '' for none. */
  serverName = '';
  /** The protocol agreed on by ALPN, '' for none. */
  alpn = '';
  /** What backends are told of the client's certificate: a field line; null for nothing. */
  certificate: Uint8Array | null = null;
  /** What log lines say of the connection. */
  json: Fragment = NO_FRAGMENT;

  constructor(peer: SocketAddress, handle: Handle, trusted: boolean) {
    this.peer = peer;
    this.handle = handle;
    this.client = nameOf(peer.family === 'unix' ? 'unix' : peer.address);
    this.clientPort = peer.family === 'unix' ? 0 : peer.port;
    this.trusted = trusted;
  }
}

/** Clients that were here lately: most connections are of few of them. */
const names = new Map<string, Uint8Array>();

function nameOf(address: string): Uint8Array {
  let name = names.get(address);
  if (name === undefined) {
    name = asciiOf(address);
    if (names.size >= LIMITS.CLIENT_NAMES) names.clear();
    names.set(address, name);
  }
  return name;
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
/** The step put a layer under the transport and used all there was: it goes on when that stands. */
export const STEP_LAYERED = -3;
/** The step wrote what there was to be said: the connection ends in order behind it. */
export const STEP_ENDED = -4;

/** One step of an opening, shared by all connections of its listener: it keeps nothing of them. */
export interface OpeningStep {
  /**
   * Looks at mem[start..end), all that came and was not used yet, and may change `info`. Returns the offset up to which
   * it used them, which may be `start`, or one of those above.
   */
  read(mem: Uint8Array, start: number, end: number, info: ClientInfo, transport: Transport): number;
}

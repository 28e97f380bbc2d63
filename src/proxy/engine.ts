// The data plane of one worker: its configuration, its listening sockets, its connections.

import { LIMITS } from '../base/limits.ts';
import { ERRNO, type Handle, type Io, type SocketAddress } from '../io/io.ts';
import type { TlsIo } from '../io/tls.ts';
import type { Delta, Entry, Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import type { Cells } from '../telemetry/cells.ts';
import { CELL } from '../telemetry/layout.ts';
import type { RecordSink } from '../telemetry/record.ts';
import { Acceptor, type AcceptorOwner } from './acceptor.ts';
import { ClientInfo } from './client-info.ts';
import type { Steps } from './config/pieces.ts';
import { Config } from './config.ts';
import type { Connection, ConnectionOwner } from './connection.ts';
import { Core } from './core.ts';
import { ExchangePool } from './exchange/pool.ts';
import type { RequestSide } from './exchange/sides.ts';
import { Http1Connector } from './http1/client.ts';
import { Http2Connector } from './http2/client.ts';
import { Http2Server } from './http2/server.ts';
import { beginsHttp2, Http2Servers } from './http2/servers.ts';
import { type LeaveTimes, Leaving } from './leaving.ts';
import type { Listener } from './listener.ts';
import { open } from './opening.ts';
import type { LeadsTo } from './relay/loops.ts';
import { Tcp } from './transport/tcp.ts';
import type { Transport, TransportUser } from './transport/transport.ts';
import { PlainWire } from './transport/wire.ts';
import { TrustedProxies } from './trusted.ts';
import { UdpPlane } from './udp/plane.ts';
import { AlpnConnector } from './upstream/alpn.ts';

export { ApplyError } from './config/refused.ts';

export interface EngineSettings {
  /** CIDR ranges whose X-Forwarded-*, Forwarded and X-Request-ID are believed. */
  readonly trustedProxies: readonly string[];
  /** Connections of clients above which requests are answered 503; LIMITS.DOWNSTREAM_CONNECTIONS if not given. */
  readonly maxConnections?: number;
  /** How long a client's connection may stay between two requests; LIMITS.IDLE_MS if not given. */
  readonly clientIdleMs?: number;
  /** A client that has sent FIN still gets its answers (docs/adr/0011-half-close.md); off if not given. */
  readonly halfClose?: boolean;
  /** A request in which no byte moves for so long is ended; LIMITS.STREAM_IDLE_MS if not given. */
  readonly streamIdleMs?: number;
  /** Content of a request comes at least so often; LIMITS.BODY_PROGRESS_MS if not given. */
  readonly bodyProgressMs?: number;
  /** The log has a place for the Referer of requests. */
  readonly notesReferer?: boolean;
  /** Where no connection may go. */
  readonly refuses?: (address: SocketAddress) => boolean;
  /** Which addresses lead to a socket of ours; those that are written alike if not given. */
  readonly leadsTo?: LeadsTo;
}

export interface EngineOptions {
  readonly io: Io;
  readonly cells: Cells;
  readonly records: RecordSink;
  readonly settings: EngineSettings;
  /** Makes TLS ready when the first certificate or TLS listener comes; without it those are refused. */
  readonly tls?: () => TlsIo;
}

export interface EngineStats {
  readonly connections: number;
  readonly requests: number;
  /** Bytes that clients sent by HTTP/2 and that wait here beside the windows of their connections (Lending). */
  readonly held: number;
  readonly rules: number;
  readonly draining: boolean;
}

export class Engine implements ConnectionOwner, AcceptorOwner {
  readonly #core: Core;
  readonly #exchanges: ExchangePool;
  readonly #http2: Http2Servers;
  readonly #config: Config;
  readonly #acceptors = new Map<Key, Acceptor>();
  /** Once a socket for datagrams came. */
  #udp: UdpPlane | null = null;
  /** Listeners whose datagrams are read. */
  readonly #udpListeners = new Map<Key, Listener>();
  /** Connections of clients, a list through Connection.next. */
  #first: Connection | null = null;
  connections = 0;
  readonly maxConnections: number;
  #onDrained: (() => void) | null = null;
  #leaving: Leaving | null = null;
  #stopped = false;

  /** Throws when a setting is malformed. */
  constructor(options: EngineOptions) {
    const { settings, io, cells, records } = options;
    this.maxConnections = settings.maxConnections ?? LIMITS.DOWNSTREAM_CONNECTIONS;
    const trusted = new TrustedProxies(settings.trustedProxies);
    const { clientIdleMs, halfClose, streamIdleMs, bodyProgressMs, refuses, leadsTo, notesReferer } = settings;
    this.#core = new Core({
      io,
      cells,
      records,
      trusted,
      clientIdleMs,
      halfClose,
      streamIdleMs,
      bodyProgressMs,
      refuses,
      leadsTo,
      notesReferer,
    });
    this.#exchanges = new ExchangePool(this.#core);
    this.#http2 = new Http2Servers(this.#core);
    const http2 = new Http2Connector(this.#core, this.#http2.turns);
    const connectors = { http1: new AlpnConnector(new Http1Connector(this.#core), http2), http2 };
    this.#config = new Config(this.#core, connectors, options.tls ?? noTls, (listener) => this.#leave(listener));
    const { shared } = this.#core;
    options.io.onTurn(() => shared.onTurn());
    shared.onEndingsOver = () => this.#checkDrained();
  }

  /**
   * Applies one revision between two requests; all or nothing: throws ApplyError and changes nothing when it cannot.
   */
  apply(delta: Delta): void {
    this.#config.apply(delta);
  }

  /**
   * The same in pieces, one with each `next()`, between which requests are served: by the revision before until the
   * piece that switches, by this one from then on. Nothing else may be applied before it is over.
   */
  applying(delta: Delta): Steps {
    return this.#config.applying(delta);
  }

  /**
   * Of a revision that is still coming, to somebody who has none yet: what of the entry takes time is done meanwhile.
   * Nothing is used of it before it is applied, itself and no equal one; if it never is, the next revision undoes it.
   */
  ahead(entry: Entry): void {
    this.#config.ahead(entry);
  }

  /** Keys of TLS session tickets, TICKET_KEY_BYTES each: the first issues, all are accepted. */
  setTicketKeys(keys: readonly Uint8Array[]): void {
    this.#config.setTicketKeys(keys);
  }

  /**
   * Begins to accept on the listening socket of `listener` (a key of the configuration). The socket stays its owner's.
   */
  addSocket(listener: Key, handle: Handle): void {
    if (isUdp(listener)) {
      this.#addUdp(listener, handle);
      return;
    }
    this.#stopAcceptor(listener);
    const acceptor = new Acceptor(this.#core, this, this.#config.listener(listener), handle);
    const result = acceptor.start();
    if (result < 0) {
      this.#config.dropUnused(acceptor.listener);
      throw new Error(`listening socket ${listener}: cannot be watched (errno ${-result})`);
    }
    acceptor.listener.acceptors++;
    this.#acceptors.set(listener, acceptor);
  }

  /**
   * Stops accepting there; connections that were accepted go on. True: the owner closes the socket; false: answers
   * leave by it still, and it is closed here once there can be none.
   */
  removeSocket(listener: Key): boolean {
    let mayClose = true;
    if (isUdp(listener)) mayClose = this.#removeUdp(listener);
    else this.#stopAcceptor(listener);
    this.#checkDrained();
    return mayClose;
  }

  #addUdp(key: Key, handle: Handle): void {
    const capacity = Math.min(LIMITS.UDP_FLOWS, Math.max(16, this.maxConnections >> 1));
    this.#udp ??= UdpPlane.open(this.#core, { onUdpLeft: () => this.#checkDrained() }, capacity);
    const listener = this.#config.listener(key);
    const result = this.#udp === null ? -ERRNO.ENOMEM : this.#udp.addSocket(listener, handle);
    if (result < 0) {
      this.#config.dropUnused(listener);
      throw new Error(`socket ${key}: cannot be watched (errno ${-result})`);
    }
    if (!this.#udpListeners.has(key)) listener.acceptors++;
    this.#udpListeners.set(key, listener);
  }

  #removeUdp(key: Key): boolean {
    const listener = this.#udpListeners.get(key);
    if (listener === undefined || this.#udp === null) return true;
    this.#udpListeners.delete(key);
    const mayClose = this.#udp.removeSocket(listener);
    listener.acceptors--;
    this.#config.dropUnused(listener);
    return mayClose;
  }

  #stopAcceptor(key: Key): void {
    const acceptor = this.#acceptors.get(key);
    if (acceptor === undefined) return;
    this.#acceptors.delete(key);
    acceptor.stop();
    acceptor.listener.acceptors--;
    this.#config.dropUnused(acceptor.listener);
  }

  /**
   * The worker will leave soon: answers say `Connection: close`, so that clients move while there is time; all else
   * goes on.
   */
  leaveSoon(): void {
    this.#core.leaving = true;
    this.#core.cells.set(CELL.DRAINING, 1);
  }

  /**
   * The worker leaves: answers say `Connection: close`, idle connections end soon. Calls back when no socket and no
   * connection is left (sockets are taken away by their owner, when it is time to). What is under way has its `times`;
   * as long as it likes when there are none.
   */
  drain(onDone: () => void, times: LeaveTimes | null = null): void {
    this.leaveSoon();
    this.#core.draining = true;
    this.#onDrained = onDone;
    for (let c = this.#first; c !== null; c = c.next) c.drain(LIMITS.DRAIN_IDLE_MS);
    if (times !== null) {
      this.#leaving?.cancel();
      this.#leaving = new Leaving(this.#core.io, times, (tunnels) => this.#leaveNow(tunnels));
    }
    this.#checkDrained();
  }

  /** Tunnels and sessions, or all else, have had their time. Returns how many had to be ended. */
  #leaveNow(tunnels: boolean): number {
    const { shared } = this.#core;
    let ended = 0;
    if (tunnels) {
      this.#core.tunnelsOver = true;
      ended += this.#udp?.leave() ?? 0;
    } else {
      // Answers that nobody has taken in all this time.
      for (const ending of [...shared.endings]) ending.destroy();
    }
    const all: Connection[] = [];
    for (let c = this.#first; c !== null; c = c.next) all.push(c);
    for (const c of all) ended += c.leave(tunnels);
    return ended;
  }

  /** Ends everything at once and frees all it holds. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const core = this.#core;
    core.stopping = true;
    for (const acceptor of this.#acceptors.values()) acceptor.stop();
    this.#acceptors.clear();
    this.#leaving?.cancel();
    this.#udp?.stop();
    while (this.#first !== null) this.#first.destroy();
    for (const ref of this.#config.clusters) ref.current?.retire();
    this.#exchanges.dispose();
    this.#http2.dispose();
    this.#config.dispose();
    core.dispose();
  }

  stats(): EngineStats {
    const { shared, draining } = this.#core;
    const held = this.#http2.turns.lending.bytes;
    return { connections: this.connections, requests: shared.tally.active, held, rules: this.#config.rules, draining };
  }

  // ---- for acceptors and connections

  accepted(listener: Listener, handle: Handle, peer: SocketAddress, refused: boolean): void {
    const core = this.#core;
    const transport = new Tcp(core.shared, new PlainWire(core.io, handle), true, false);
    if (core.io.watch(handle, transport) < 0) {
      core.io.reset(handle);
      return;
    }
    const info = new ClientInfo(peer, handle, core.trusted.has(peer));
    const connection = open(core, this.#http2, this, listener, transport, info, refused);
    connection.next = this.#first;
    if (this.#first !== null) this.#first.previous = connection;
    this.#first = connection;
    this.connections++;
    core.cells.add(CELL.CONNECTIONS, 1);
    core.cells.add(CELL.CONNECTIONS_TOTAL, 1);
  }

  became(before: Connection, after: Connection): void {
    const { previous, next } = before;
    after.previous = previous;
    after.next = next;
    if (previous === null) this.#first = after;
    else previous.next = after;
    if (next !== null) next.previous = after;
    before.previous = null;
    before.next = null;
  }

  prefaced(
    before: Connection,
    at: number,
    transport: Transport,
    info: ClientInfo,
    refused: boolean,
  ): TransportUser | null {
    // Over TLS protocols are agreed on by ALPN (RFC 9113 section 3.3).
    if (info.secure || !beginsHttp2(this.#core.mem, at)) return null;
    const after = new Http2Server(this.#http2, before.listener, this, transport, info, refused);
    this.became(before, after);
    return after;
  }

  request(listener: Listener): RequestSide {
    return this.#exchanges.take(listener);
  }

  closed(connection: Connection): void {
    const { previous, next } = connection;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    connection.previous = null;
    connection.next = null;
    this.connections--;
    this.#core.cells.add(CELL.CONNECTIONS, -1);
    if (this.connections >= this.maxConnections - 1) {
      for (const acceptor of this.#acceptors.values()) acceptor.roomAgain();
    }
    this.#checkDrained();
  }

  /** A listener left the configuration: its connections end as when the worker leaves. */
  #leave(listener: Listener): void {
    for (let c = this.#first; c !== null; c = c.next) {
      if (c.listener === listener) c.drain(LIMITS.DRAIN_IDLE_MS);
    }
  }

  #checkDrained(): void {
    if (this.#onDrained === null || this.connections > 0 || this.#acceptors.size > 0) return;
    if (this.#core.shared.endings.size > 0) return;
    if ((this.#udp?.count ?? 0) + this.#udpListeners.size > 0) return;
    const done = this.#onDrained;
    this.#onDrained = null;
    done();
  }
}

function isUdp(listener: Key): boolean {
  const parsed = parseKey(listener);
  return parsed.kind === 'socket' && parsed.transport === 'udp';
}

function noTls(): never {
  throw new Error('TLS is not to be had here');
}

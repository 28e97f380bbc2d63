// The capacity of one worker at one endpoint: connections kept alive, the last one used first (the rest may go idle and
// close), bounded, with a bounded line of those who wait (line.ts). Who waits, waits for capacity, not for a certain
// connection: the first one that is free or new is the next one's. A client that has many requests here gets no more
// when the last connections are near, so that it cannot take them all.

import { isIPv6 } from 'node:net';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { addressText } from '../../base/ip.ts';
import { LIMITS } from '../../base/limits.ts';
import type { SocketAddress } from '../../io/io.ts';
import type { Endpoint } from '../../ir/ir.ts';
import { placeOf } from '../../telemetry/cells.ts';
import { Fragment } from '../../telemetry/fragment.ts';
import { BACKEND_TLS, BLOCK_USED, CELL, ENDPOINT, limitCell, OTHER_ENDPOINT_BLOCK } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR } from '../counts.ts';
import type { Upstream } from '../exchange/sides.ts';
import { type Secured, TlsDialer } from '../tls/dialer.ts';
import type { Transport } from '../transport/transport.ts';
import type { ConnectionPool, Connector, UpstreamConnection } from './connection.ts';
import { Dial, type DialOwner } from './dial.ts';
import { type Fits, type Waiter, WaitingLine } from './line.ts';
import { Silence } from './silence.ts';
import { StalledList, type StalledOwner } from './stalled.ts';

const CONNECTIONS_LIMIT = limitCell('UPSTREAM_CONNECTIONS_PER_ENDPOINT');
const SESSIONS_LIMIT = limitCell('SESSIONS_PER_ENDPOINT');
const PENDING_LIMIT = limitCell('UPSTREAM_PENDING_PER_ENDPOINT');
const SHARE_LIMIT = limitCell('UPSTREAM_RESERVED_PER_ENDPOINT');
const SILENT_LIMIT = limitCell('UPSTREAM_SILENT_MS');
const ANYBODY: Fits = () => true;

/** How an attempt ended, for `finished`: one of BACKEND_ERROR, or one of these. */
export const OUTCOME = { ANSWERED: -1, /** Says nothing of the endpoint: the client left, say. */ NONE: -2 } as const;

/** Hears whether the endpoint of a number is to be picked. */
export interface HealthSink {
  /** What a connection that is no client's says in front of all else; null: nothing. */
  readonly greeting: Uint8Array | null;
  setHealth(index: number, healthy: boolean): void;
}

export class EndpointPool implements ConnectionPool, DialOwner, StalledOwner {
  readonly #core: Core;
  readonly #connector: Connector;
  endpoint: Endpoint;
  /** What its connections are good for: the address, the protocol and whatever else they depend on. */
  readonly identity: string;
  readonly #address: SocketAddress;
  /** `"endpoint":"10.0.0.1:80"` */
  readonly json: Fragment;
  /** Telemetry cells. */
  block: number;
  /** Where they are: each request writes to them three times. */
  #segment: Float64Array;
  #place: number;
  /** While no connection to it stands; kept when the cluster is replaced. */
  #silence: Silence | null = null;
  /** The cluster in use. */
  #cluster: HealthSink | null = null;
  #active = 0;
  /** The same, where the picker of the cluster in use reads it. */
  #view: Int32Array = new Int32Array(1);
  #viewIndex = 0;

  /** Connections that are free, a list; the last one used first. */
  #free: UpstreamConnection | null = null;
  #freeCount = 0;
  /** All connections, those on their way among them. */
  #connections = 0;
  /** Those on their way, the youngest first. */
  #dialing: Dial | null = null;
  #dials = 0;
  /** Connections that stand and wait for their backend's first word; exchanges that one is good for. */
  #opening = 0;
  #expected: number;
  readonly #line = new WaitingLine();
  /** Who will take a connection that has served. */
  readonly #fits: Fits = (waiter) => this.#mayReuse(waiter);
  /** Requests that wait for their clients. */
  readonly stalled: StalledList;
  #filling = false;
  /** Until then a backend is taken for one that closes connections without saying so (monotonic ms). */
  #abruptUntil = 0;
  /** No longer part of the cluster: requests here end, nothing is kept. */
  #retired = false;
  /** null: in the clear. */
  readonly #tls: TlsDialer | null;

  constructor(
    core: Core,
    connector: Connector,
    endpoint: Endpoint,
    identity: string,
    block: number,
    secured: Secured | null,
  ) {
    this.#core = core;
    this.#tls = secured === null ? null : new TlsDialer(core, secured);
    this.#connector = connector;
    this.#expected = connector.expected;
    this.stalled = new StalledList(core.io, this);
    this.endpoint = endpoint;
    this.identity = identity;
    this.#address = addressOf(endpoint);
    this.json = Fragment.members({ endpoint: nameOf(endpoint) });
    this.block = OTHER_ENDPOINT_BLOCK;
    this.#segment = core.cells.segmentOf(this.block);
    this.#place = placeOf(this.block);
    this.setBlock(block);
  }

  /** 0: counted together with others that have none of their own. */
  setBlock(block: number): void {
    this.block = block === 0 ? OTHER_ENDPOINT_BLOCK : block;
    this.#segment = this.#core.cells.segmentOf(this.block);
    this.#place = placeOf(this.block);
    const { cells } = this.#core;
    if (this.#connections > 0) cells.mark(this.block, BLOCK_USED);
    if (!cells.isUsed(this.block)) return;
    // Whoever counted here before, a worker that died or another endpoint, may have left something in the gauges.
    cells.set(this.block + ENDPOINT.ACTIVE, this.#active);
    cells.set(this.block + ENDPOINT.CONNECTIONS, this.#connections);
    this.#showTls();
  }

  /** What its last connection failed for within TLS. */
  #showTls(): void {
    const error = this.#tls?.error ?? null;
    this.#core.cells.set(this.block + ENDPOINT.TLS_ERROR, error === null ? 0 : BACKEND_TLS.indexOf(error) + 1);
  }

  /** For the log, `json` with what TLS failed for, if it did in the turn that is under way. */
  get failedJson(): Fragment {
    const error = this.#tls?.errorNow ?? null;
    if (error === null) return this.json;
    return Fragment.members({ endpoint: nameOf(this.endpoint), upstream_tls: error });
  }

  /** Whether its connections are as good for what `identity` stands for. */
  is(identity: string): boolean {
    return !this.#retired && identity === this.identity;
  }

  /** Whether it is to be picked. */
  get healthy(): boolean {
    return this.#silence === null;
  }

  /** Number `index` of the cluster in use, whose picker reads `view`. */
  use(endpoint: Endpoint, view: Int32Array, index: number, cluster: HealthSink): void {
    this.endpoint = endpoint;
    this.#cluster = cluster;
    this.#view = view;
    this.#viewIndex = index;
    view[index] = this.#active;
    this.#tls?.hold();
    if (endpoint.state === 'draining') this.#closeFree();
  }

  /** The cluster has it no longer. Requests in flight end; those that wait for a connection still get one. */
  retire(): void {
    this.#retired = true;
    this.#silence?.stop();
    this.#closeFree();
    while (this.#dials > 0 && this.#wanted < 0) this.#cancelDial();
    this.#letGo();
  }

  /** Gives the TLS settings back once nobody can ask for a connection any more. */
  #letGo(): void {
    if (!this.#retired || this.#line.size > 0 || this.#active > 0) return;
    this.#tls?.release();
    this.stalled.dispose();
  }

  get retired(): boolean {
    return this.#retired;
  }
  get address(): SocketAddress {
    return this.#address;
  }

  /** Requests here. */
  get active(): number {
    return this.#active;
  }

  // ---- attempts: each is told of twice

  /** One more attempt begins here. */
  begun(): void {
    this.#setActive(this.#active + 1);
    this.#segment[this.#place + ENDPOINT.REQUESTS]! += 1;
  }

  /** An attempt ended: OUTCOME or BACKEND_ERROR. */
  finished(outcome: number): void {
    this.#setActive(this.#active - 1);
    if (outcome >= 0) this.#segment[this.#place + ENDPOINT.ERRORS + outcome]! += 1;
    if (outcome === BACKEND_ERROR.connectTimeout) this.#passOver();
    if (this.#retired) this.#letGo();
  }

  /** It is silent: it is passed over until a connection to it stands. */
  #passOver(): void {
    const cluster = this.#cluster;
    if (this.#retired || this.#silence !== null || cluster === null) return;
    this.#core.cells.add(SILENT_LIMIT, 1);
    const over = (): void => {
      this.#silence = null;
      this.#cluster?.setHealth(this.#viewIndex, true);
    };
    const greeting = (): Uint8Array | null => this.#cluster?.greeting ?? null;
    this.#silence = new Silence(this.#core, this.#address, this.#tls, greeting, over);
    cluster.setHealth(this.#viewIndex, false);
  }

  /** An attempt that ended without one (OUTCOME.NONE) was an error after all. */
  countError(error: number): void {
    this.#segment[this.#place + ENDPOINT.ERRORS + error]! += 1;
  }

  #setActive(active: number): void {
    this.#active = active;
    this.#view[this.#viewIndex] = active;
    this.#segment[this.#place + ENDPOINT.ACTIVE] = active;
  }

  // ---- for sessions, each of which has a connection to itself

  /** Begins `dial`, whose owner hears of it; false past the limit. Until `leftOwn`. `preface`: of its connection. */
  dialOwn(dial: Dial, preface: Uint8Array | null): boolean {
    if (!this.takeOwn()) return false;
    dial.start(this.#address, this.#tls, preface);
    return true;
  }

  /** Counts what its owner makes by itself; false past the limit. Until `leftOwn`. */
  takeOwn(): boolean {
    if (this.#connections >= LIMITS.SESSIONS_PER_ENDPOINT) {
      this.#core.cells.add(SESSIONS_LIMIT, 1);
      return false;
    }
    this.#connections++;
    this.#count(1);
    return true;
  }

  /** It is over, or came to nothing. */
  leftOwn(): void {
    this.#lostOne();
    if (this.#tls !== null) this.#showTls();
  }

  // ---- for attempts

  /**
   * Capacity for `waiter`: at once, or null, and later by onUpstreamReady or onUpstreamFault (which may come before
   * this returns).
   */
  acquire(waiter: Waiter): Upstream | null {
    const many = this.#hasMany(waiter);
    const share = !many || this.#roomForMany > this.#dials + this.#opening;
    if (share && this.#mayReuse(waiter)) {
      for (let free = this.#free; free !== null; free = this.#free) {
        if (!waiter.once || this.#isSound(free)) {
          this.#core.shared.tally.reused++;
          return this.#give(free, waiter);
        }
        free.close();
      }
    }
    if (!this.#mayWait(share, many)) {
      this.#core.cells.add(PENDING_LIMIT, 1);
      waiter.onUpstreamFault(FAULTS.overload, OUTCOME.NONE);
      return null;
    }
    this.#line.add(waiter, many);
    this.#fill();
    if (this.short) this.stalled.ask();
    return null;
  }

  /** `share`: it may have what is free; `many`: its client has many requests here. */
  #mayWait(share: boolean, many: boolean): boolean {
    const full = this.#connections >= LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT && this.#free === null;
    if (share && !full) return true;
    this.#core.cells.add(full ? CONNECTIONS_LIMIT : SHARE_LIMIT, 1);
    const most = LIMITS.UPSTREAM_PENDING_PER_ENDPOINT - (many ? LIMITS.UPSTREAM_RESERVED_PER_ENDPOINT : 0);
    return this.#line.size - this.#dials * this.#expected < most;
  }

  // ---- shares

  /** Whether its client has more requests here than others should have to wait for. Only once that may matter. */
  #hasMany(waiter: Waiter): boolean {
    const busy = this.#connections - this.#freeCount;
    return (
      busy * 2 >= LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT && waiter.requestsAt(this) > LIMITS.UPSTREAM_FEW_REQUESTS
    );
  }

  /** Connections that clients with many requests here may still have. */
  get #roomForMany(): number {
    const busy = this.#connections - this.#freeCount - this.#dials - this.#opening;
    return LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT - LIMITS.UPSTREAM_RESERVED_PER_ENDPOINT - busy;
  }

  get short(): boolean {
    return this.#line.size > (this.#dials + this.#opening) * this.#expected;
  }

  onStallDue(): void {
    for (let left = this.#line.size; left > 0 && this.short; left--) {
      // What one with few has is of no use to one with many while others have more than is left for those.
      const waiter = this.#line.next(ANYBODY, this.#roomForMany >= 0);
      const stalled = waiter === null ? null : this.stalled.find(this, waiter.requestsAt(this));
      if (stalled === null) break;
      stalled.giveWay();
    }
    if (this.short) this.stalled.ask();
  }

  /** `waiter` waits no more. */
  giveUp(waiter: Waiter): void {
    this.#line.remove(waiter, false);
    if (this.#wanted < 0) this.#cancelDial();
    if (this.#retired) this.#letGo();
  }

  /** Connections that those who wait need besides those on their way; below 0: so many of these are not needed. */
  get #wanted(): number {
    const { few, many } = this.#line;
    const served = few + (many === 0 ? 0 : Math.min(many, Math.max(0, this.#roomForMany)));
    return Math.ceil(served / this.#expected) - this.#dials - this.#opening;
  }

  /** Whether a connection that has served will do. */
  #mayReuse(waiter: Waiter): boolean {
    return !waiter.fresh && !(waiter.once && this.#abruptUntil > this.#core.io.nowMs);
  }

  /** Whether its backend has not left it. */
  #isSound(connection: UpstreamConnection): boolean {
    if (connection.busy > 0 || connection.isQuiet()) return true;
    this.#sawAbrupt();
    return false;
  }

  #give(connection: UpstreamConnection, waiter: Waiter): Upstream {
    const up = connection.take(waiter);
    if (connection.listed && connection.free === 0) this.#unlist(connection);
    return up;
  }

  // ---- connections on their way

  /**
   * As many are on their way as those who wait need, as far as there is room. One that fails at once costs its waiter
   * an attempt, as one that fails later does; the loop goes on for the others, and for it if it asks again.
   */
  #fill(): void {
    if (this.#filling) return;
    this.#filling = true;
    while (this.#wanted > 0) {
      if (this.#free !== null && this.#serveFree(this.#free)) continue;
      if (this.#connections >= LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT) {
        // A new one is wanted and there is no place: one that has nothing to do makes it.
        const idle = this.#free;
        if (idle === null || idle.busy > 0) break;
        idle.close();
        continue;
      }
      this.#dial();
    }
    this.#filling = false;
  }

  /** Somebody gets what is free because there is room now; false when that is nobody. */
  #serveFree(free: UpstreamConnection): boolean {
    const waiter = this.#line.next(this.#fits, this.#roomForMany > 0);
    if (waiter === null) return false;
    if (waiter.once && !this.#isSound(free)) {
      free.close();
      return true;
    }
    this.#line.remove(waiter, true);
    this.#core.shared.tally.reused++;
    waiter.onUpstreamReady(this.#give(free, waiter));
    return true;
  }

  #dial(): void {
    const dial = new Dial(this.#core, this);
    dial.next = this.#dialing;
    if (this.#dialing !== null) this.#dialing.previous = dial;
    this.#dialing = dial;
    this.#dials++;
    this.#connections++;
    this.#count(1);
    dial.start(this.#address, this.#tls);
  }

  onDialed(dial: Dial, transport: Transport, alpn: string): void {
    this.#forgetDial(dial);
    if (this.#tls !== null) this.#showTls();
    const connection = this.#connector.connect(transport, this, alpn);
    if (connection === null) {
      this.#lostOne();
      this.#failFirst(FAULTS.connectFailed, BACKEND_ERROR.connect);
    } else if (connection.opening) {
      this.#opening++;
    } else {
      this.#begin(connection);
    }
  }

  /** A new connection goes to those who wait. */
  #begin(connection: UpstreamConnection): void {
    while (connection.free > 0) {
      const waiter = this.#line.next(ANYBODY, this.#hasRoom(connection));
      if (waiter === null) break;
      this.#line.remove(waiter, true);
      waiter.onUpstreamReady(this.#give(connection, waiter));
    }
    if (connection.free > 0 && !connection.listed) this.#keep(connection);
    if (this.#line.size > 0) this.#fill();
  }

  /** Whether clients with many requests may have `connection`, which is not free yet. */
  #hasRoom(connection: UpstreamConnection): boolean {
    return this.#roomForMany + (connection.listed ? 0 : 1) > 0;
  }

  onDialFailed(dial: Dial, fault: Fault, error: number): void {
    this.#forgetDial(dial);
    this.#lostOne();
    if (this.#tls !== null) this.#showTls();
    this.#failFirst(fault, error);
  }

  /** A connection will not come: those whom it was for hear of it. */
  #failFirst(fault: Fault, error: number): void {
    for (let n = this.#expected; n > 0; n--) {
      const waiter = this.#line.next(ANYBODY, true);
      if (waiter === null) break;
      this.#line.remove(waiter, true);
      waiter.onUpstreamFault(fault, error);
    }
    this.#fill();
  }

  #forgetDial(dial: Dial): void {
    const { previous, next } = dial;
    if (previous === null) this.#dialing = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    this.#dials--;
  }

  #cancelDial(): void {
    const dial = this.#dialing;
    if (dial === null) return;
    dial.cancel();
    this.#forgetDial(dial);
    this.#lostOne();
  }

  #lostOne(): void {
    this.#connections--;
    this.#count(-1);
  }

  // ---- for connections

  released(connection: UpstreamConnection): void {
    while (connection.free > 0) {
      const waiter = this.#line.next(this.#fits, this.#hasRoom(connection));
      if (waiter === null) break;
      if (waiter.once && !this.#isSound(connection)) {
        connection.close();
        return;
      }
      this.#line.remove(waiter, true);
      this.#core.shared.tally.reused++;
      waiter.onUpstreamReady(this.#give(connection, waiter));
    }
    if (connection.free > 0) this.#keep(connection);
    else if (connection.listed) this.#unlist(connection);
  }

  opened(connection: UpstreamConnection): void {
    this.#opening--;
    if (connection.free === 0) {
      // The backend takes nobody for now (RFC 9113 section 6.5.2): another connection would hear the same.
      this.#failFirst(FAULTS.connectFailed, BACKEND_ERROR.connect);
      connection.close();
      return;
    }
    // The backend has said how many it takes: the next one will say the same.
    this.#expected = connection.free;
    this.#begin(connection);
  }

  failed(_connection: UpstreamConnection, fault: Fault, error: number): void {
    this.#opening--;
    this.#lostOne();
    this.#failFirst(fault, error);
  }

  /** A connection that is free, and that nobody waits for. */
  #keep(connection: UpstreamConnection): void {
    const idle = connection.busy === 0;
    const leaves = this.#retired || this.endpoint.state === 'draining' || this.#core.stopping;
    if (idle && (leaves || (!connection.listed && this.#freeCount >= LIMITS.UPSTREAM_IDLE_PER_ENDPOINT))) {
      connection.close();
      return;
    }
    if (!connection.listed) this.#list(connection);
    if (idle) connection.rest();
  }

  #list(connection: UpstreamConnection): void {
    connection.next = this.#free;
    connection.previous = null;
    if (this.#free !== null) this.#free.previous = connection;
    this.#free = connection;
    connection.listed = true;
    this.#freeCount++;
    this.#core.shared.tally.idle++;
  }

  #unlist(connection: UpstreamConnection): void {
    const { previous, next } = connection;
    if (previous === null) this.#free = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    connection.next = null;
    connection.previous = null;
    connection.listed = false;
    this.#freeCount--;
    this.#core.shared.tally.idle--;
  }

  gone(connection: UpstreamConnection, unannounced: boolean): void {
    if (unannounced) this.#sawAbrupt();
    if (this.#tls !== null) this.#showTls();
    if (connection.listed) this.#unlist(connection);
    this.#lostOne();
    this.#fill();
  }

  /** For a while, what must not be sent twice goes by a new connection: another may be closing just now. */
  #sawAbrupt(): void {
    this.#abruptUntil = this.#core.io.nowMs + LIMITS.UPSTREAM_ABRUPT_MS;
  }

  #closeFree(): void {
    for (let free = this.#free; free !== null; free = this.#free) {
      if (free.busy > 0) {
        this.#unlist(free);
        free.leave();
      } else {
        free.close();
      }
    }
  }

  #count(n: number): void {
    const { cells } = this.#core;
    cells.add(CELL.UPSTREAM_CONNECTIONS, n);
    // Nothing else is counted for an endpoint without a connection.
    if (n > 0) cells.mark(this.block, BLOCK_USED);
    cells.set(this.block + ENDPOINT.CONNECTIONS, this.#connections);
  }
}

function addressOf(endpoint: Endpoint): SocketAddress {
  const { address, port } = endpoint;
  if (port === 0) return { family: 'unix', path: address };
  return { family: isIPv6(address) ? 'ipv6' : 'ipv4', address, port };
}

/** A unix socket has no port. */
function nameOf({ address, port }: Endpoint): string {
  return port === 0 ? address : addressText(address, port);
}

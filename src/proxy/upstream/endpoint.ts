// The connections of one worker to one endpoint: kept alive, reused last in first out (the rest may go idle and close), bounded,
// with a bounded queue of requests that wait for one.

import { isIPv6 } from 'node:net';
import { FAULTS } from '../../base/errors.ts';
import { addressText } from '../../base/ip.ts';
import { LIMITS } from '../../base/limits.ts';
import { ERRNO, type SocketAddress } from '../../io/io.ts';
import type { Endpoint } from '../../ir/ir.ts';
import { Fragment } from '../../telemetry/fragment.ts';
import { BLOCK_USED, CELL, ENDPOINT, limitCell, OTHER_ENDPOINT_BLOCK } from '../../telemetry/layout.ts';
import type { Core } from '../exchange/core.ts';
import { BACKEND_ERROR } from '../exchange/counts.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { Http1Client } from '../http1/client.ts';

const CONNECTIONS_LIMIT = limitCell('UPSTREAM_CONNECTIONS_PER_ENDPOINT');
const EXHAUSTED: readonly number[] = [ERRNO.EMFILE, ERRNO.ENFILE, ERRNO.ENOMEM, ERRNO.ENOBUFS];
const PENDING_LIMIT = limitCell('UPSTREAM_PENDING_PER_ENDPOINT');

export class EndpointPool {
  readonly #core: Core;
  endpoint: Endpoint;
  readonly address: SocketAddress;
  /** `"endpoint":"10.0.0.1:80"` */
  readonly json: Fragment;
  /** Telemetry cells. */
  block: number;
  /** Requests here. */
  active = 0;
  /** The same, where the picker of the cluster in use reads it. */
  #view: Int32Array = new Int32Array(1);
  #viewIndex = 0;

  /** Idle connections, a list through Http1Client.nextIdle; the last one used first. */
  #idle: Http1Client | null = null;
  #idleCount = 0;
  /** All connections: connecting, busy, idle. */
  #connections = 0;
  #firstWaiting: Exchange | null = null;
  #lastWaiting: Exchange | null = null;
  #waiting = 0;
  /** No longer part of the cluster: requests here end, nothing is kept. */
  #retired = false;

  constructor(core: Core, endpoint: Endpoint, block: number) {
    this.#core = core;
    this.endpoint = endpoint;
    this.address = addressOf(endpoint);
    this.json = Fragment.members({ endpoint: nameOf(endpoint) });
    this.block = OTHER_ENDPOINT_BLOCK;
    this.setBlock(block);
  }

  /** 0: counted together with others that have none of their own. */
  setBlock(block: number): void {
    this.block = block === 0 ? OTHER_ENDPOINT_BLOCK : block;
    const { cells } = this.#core;
    if (this.#connections > 0) cells.mark(this.block, BLOCK_USED);
    if (!cells.isUsed(this.block)) return;
    // Whoever counted here before, a worker that died or another endpoint, may have left something in the gauges.
    cells.set(this.block + ENDPOINT.ACTIVE, this.active);
    cells.set(this.block + ENDPOINT.CONNECTIONS, this.#connections);
  }

  isAt(endpoint: Endpoint): boolean {
    return !this.#retired && endpoint.address === this.endpoint.address && endpoint.port === this.endpoint.port;
  }

  /** Number `index` of the cluster in use, whose picker reads `view`. */
  use(endpoint: Endpoint, view: Int32Array, index: number): void {
    this.endpoint = endpoint;
    this.#view = view;
    this.#viewIndex = index;
    view[index] = this.active;
    if (endpoint.state === 'draining') this.#closeIdle();
  }

  /** The cluster has it no longer. Requests in flight end; those that wait for a connection still get one. */
  retire(): void {
    this.#retired = true;
    this.#closeIdle();
  }

  setActive(active: number): void {
    this.active = active;
    this.#view[this.#viewIndex] = active;
    this.#core.cells.set(this.block + ENDPOINT.ACTIVE, active);
  }

  // ---- for exchanges

  /**
   * Gives `exchange` a connection: at once (Exchange.onUpstream), or later (onUpstreamReady); or fails it. `fresh`: a new one.
   */
  acquire(exchange: Exchange, fresh: boolean): void {
    const idle = this.#idle;
    if (idle !== null && !fresh) {
      this.#take(idle);
      this.#core.shared.tally.reused++;
      idle.assign(exchange);
      exchange.onUpstream(idle);
      return;
    }
    if (this.#connections < LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT) {
      this.#connect(exchange);
      return;
    }
    if (idle !== null) {
      // A new one is wanted and there is no place: an idle one makes it.
      idle.close();
      this.#connect(exchange);
      return;
    }
    this.#core.cells.add(CONNECTIONS_LIMIT, 1);
    if (this.#waiting >= LIMITS.UPSTREAM_PENDING_PER_ENDPOINT) {
      this.#core.cells.add(PENDING_LIMIT, 1);
      exchange.fail(FAULTS.overload);
      return;
    }
    exchange.waitingAt = this;
    exchange.previousWaiting = this.#lastWaiting;
    if (this.#lastWaiting === null) this.#firstWaiting = exchange;
    else this.#lastWaiting.nextWaiting = exchange;
    this.#lastWaiting = exchange;
    this.#waiting++;
  }

  /** `exchange` waits no more. */
  giveUp(exchange: Exchange): void {
    const { previousWaiting, nextWaiting } = exchange;
    if (previousWaiting === null) this.#firstWaiting = nextWaiting;
    else previousWaiting.nextWaiting = nextWaiting;
    if (nextWaiting === null) this.#lastWaiting = previousWaiting;
    else nextWaiting.previousWaiting = previousWaiting;
    exchange.waitingAt = null;
    exchange.nextWaiting = null;
    exchange.previousWaiting = null;
    this.#waiting--;
  }

  #connect(exchange: Exchange): void {
    const { io, cells } = this.#core;
    cells.add(CELL.UPSTREAM_CONNECTS_TOTAL, 1);
    const handle = io.connect(this.address);
    if (handle < 0) {
      cells.add(CELL.UPSTREAM_CONNECT_FAILURES_TOTAL, 1);
      // Without descriptors or memory another endpoint would fare no better.
      const exhausted = EXHAUSTED.includes(-handle);
      exchange.onUpstreamFault(exhausted ? FAULTS.overload : FAULTS.connectFailed, BACKEND_ERROR.connect);
      return;
    }
    this.#connections++;
    this.#count(1);
    const client = new Http1Client(this.#core, this, handle);
    client.assign(exchange);
    exchange.onConnecting(client);
    client.open();
  }

  // ---- for connections

  /** A connection that may serve again. */
  release(client: Http1Client): void {
    const next = this.#firstWaiting;
    if (next !== null) {
      this.giveUp(next);
      this.#core.shared.tally.reused++;
      client.assign(next);
      next.onUpstreamReady(client);
      return;
    }
    if (
      this.#retired ||
      this.endpoint.state === 'draining' ||
      this.#core.stopping ||
      this.#idleCount >= LIMITS.UPSTREAM_IDLE_PER_ENDPOINT
    ) {
      client.close();
      return;
    }
    client.nextIdle = this.#idle;
    client.previousIdle = null;
    if (this.#idle !== null) this.#idle.previousIdle = client;
    this.#idle = client;
    this.#idleCount++;
    this.#core.shared.tally.idle++;
    client.rest();
  }

  /** An idle connection is not idle any more. */
  #take(client: Http1Client): void {
    const { previousIdle, nextIdle } = client;
    if (previousIdle === null) this.#idle = nextIdle;
    else previousIdle.nextIdle = nextIdle;
    if (nextIdle !== null) nextIdle.previousIdle = previousIdle;
    client.nextIdle = null;
    client.previousIdle = null;
    this.#idleCount--;
    this.#core.shared.tally.idle--;
  }

  /** A connection is closed. */
  gone(client: Http1Client, wasIdle: boolean): void {
    if (wasIdle) this.#take(client);
    this.#connections--;
    this.#count(-1);
    const next = this.#firstWaiting;
    if (next !== null && this.#connections < LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT) {
      this.giveUp(next);
      this.#connect(next);
    }
  }

  #closeIdle(): void {
    while (this.#idle !== null) this.#idle.close();
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

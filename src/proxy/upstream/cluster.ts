// A cluster: its endpoints and how one of them is picked. Immutable; a change makes a new one, which takes over the
// pools of the endpoints that stay. A request in flight keeps the one it started with.

import { equal } from '../../base/equal.ts';
import type { ClusterEntry, Endpoint } from '../../ir/ir.ts';
import type { Core } from '../core.ts';
import type { Head } from '../head.ts';
import { proxyHeader } from '../proxy-header.ts';
import type { Secured } from '../tls/dialer.ts';
import { RetryBudget, RetryConstraint } from './budget.ts';
import type { Connector } from './connection.ts';
import { EndpointPool, type HealthSink } from './endpoint.ts';
import { type HashKey, hashKeyOf } from './pick/hash-key.ts';
import { LeastRequest } from './pick/least-request.ts';
import { endpointPicker, type Picker, usableOf } from './pick/picker.ts';

const NOWHERE = { family: 'unix', path: '' } as const;

export class Cluster implements HealthSink {
  readonly entry: ClusterEntry;
  readonly pools: readonly EndpointPool[];
  /** Picking looks at a hash of the request. */
  readonly hashes: boolean;
  readonly #endpoints: readonly Endpoint[];
  /** Replaced as a whole when an endpoint's health changes. */
  #picker: Picker;
  /** 1 for those that are to be picked, by index. */
  readonly #health: Uint8Array;
  /** Of all the clusters that took each other's place. */
  readonly #retries: RetryBudget;
  /** What a policy says instead; null: none does. */
  readonly constraint: RetryConstraint | null;
  readonly #core: Core;
  /** null: picking looks at no request. */
  readonly #key: HashKey | null;
  readonly #active: Int32Array;
  /** null: in the clear. */
  readonly secured: Secured | null;

  /** `previous`: the cluster that this one replaces. Nothing changes until `install`. */
  constructor(
    core: Core,
    connector: Connector,
    entry: ClusterEntry,
    endpoints: readonly Endpoint[],
    previous: Cluster | null,
    blocks: Readonly<Record<string, number>>,
    secured: Secured | null,
  ) {
    this.entry = entry;
    this.secured = secured;
    this.#endpoints = endpoints;
    this.#core = core;
    this.#retries = previous === null ? new RetryBudget() : previous.#retries;
    this.constraint = constraintOf(entry, previous);
    const known = new Map(previous?.pools.map((pool) => [pool.endpoint.id, pool]));
    const active = new Int32Array(endpoints.length);
    this.pools = endpoints.map((endpoint) => {
      const identity = identityOf(entry, endpoint, secured);
      const old = known.get(endpoint.id);
      if (old?.is(identity) === true) return old;
      return new EndpointPool(core, connector, endpoint, identity, blocks[endpoint.id] ?? 0, secured);
    });
    this.#active = active;
    this.#health = Uint8Array.from(this.pools, (pool) => (pool.healthy ? 1 : 0));
    this.#picker = endpointPicker(entry.balancer, endpoints, active, core.io, this.#asked);
    this.#key = hashKeyOf(entry.balancer);
    this.hashes = this.#key !== null;
  }

  /** Makes this the cluster in use. */
  install(previous: Cluster | null): void {
    const kept = new Set(this.pools);
    this.pools.forEach((pool, i) => {
      pool.use(this.#endpoints[i] as Endpoint, this.#active, i, this);
      // It was made some turns ago.
      this.setHealth(i, pool.healthy);
    });
    for (const pool of previous?.pools ?? []) if (!kept.has(pool)) pool.retire();
  }

  /** Telemetry cells by endpoint id, as the controller assigned them. */
  setCells(blocks: Readonly<Record<string, number>>): void {
    for (const pool of this.pools) pool.setBlock(blocks[pool.endpoint.id] ?? 0);
  }

  /** Nothing uses this cluster any more. */
  retire(): void {
    for (const pool of this.pools) pool.retire();
  }

  /** The endpoint for the next request; null when none is ready. */
  pick(hash: number): EndpointPool | null {
    const index = this.#picker.pick(hash);
    return index < 0 ? null : (this.pools[index] as EndpointPool);
  }

  /** Another one than those in `tried`, in proportion to the load; null when there is none. */
  pickOther(hash: number, tried: readonly EndpointPool[]): EndpointPool | null {
    const left = (i: number): boolean => tried.includes(this.pools[i] as EndpointPool);
    let others = usableOf(this.#endpoints, this.#asked, left);
    // One that is passed over is better than none.
    if (others.length === 0) others = usableOf(this.#endpoints, everybody(this.pools.length), left);
    if (others.length === 0) return null;
    // Whoever hashes finds the same second choice each time.
    if (this.hashes) return this.pools[others[hash % others.length] as number] as EndpointPool;
    const weights = others.map((i) => (this.#endpoints[i] as Endpoint).weight);
    const index = new LeastRequest(Int32Array.from(others), weights, this.#active, this.#core.io).pick(hash);
    return this.pools[index] as EndpointPool;
  }

  /** The budget that allows one more request to be sent here again, and wants it back; null when none does. */
  takeRetry(): RetryBudget | null {
    let active = 0;
    for (const pool of this.pools) active += pool.active;
    return this.#retries.take(active) ? this.#retries : null;
  }

  /** Who expects a PROXY header is told that it is a connection of our own. */
  get greeting(): Uint8Array | null {
    const { proxyProtocol } = this.entry;
    return proxyProtocol === null ? null : proxyHeader(proxyProtocol, '', 0, NOWHERE);
  }

  /** Endpoint `index` is to be picked from now on, or to be passed over. */
  setHealth(index: number, healthy: boolean): void {
    const health = healthy ? 1 : 0;
    if (this.#health[index] === health) return;
    this.#health[index] = health;
    this.#picker = endpointPicker(this.entry.balancer, this.#endpoints, this.#active, this.#core.io, this.#asked);
  }

  /** 1 for those that are asked: all when more than half of those that are ready would be passed over. */
  get #asked(): Uint8Array {
    let [ready, passed] = [0, 0];
    for (const [i, { state, weight }] of this.#endpoints.entries()) {
      if (state === 'draining' || weight === 0) continue;
      ready++;
      if (this.#health[i] === 0) passed++;
    }
    return passed * 2 <= ready ? this.#health : everybody(this.#health.length);
  }

  /** What a hashing picker looks at. */
  hash(mem: Uint8Array, head: Head, client: Uint8Array): number {
    return this.#key === null ? 0 : this.#key.hash(mem, head, client, this.#core.io);
  }
}

function everybody(count: number): Uint8Array {
  return new Uint8Array(count).fill(1);
}

/**
 * What connections to an endpoint are good for. Whoever changes the protocol or the settings of a cluster gets new
 * connections, also where the address stays; so does a certificate or an authority that took the place of another.
 */
function identityOf(entry: ClusterEntry, endpoint: Endpoint, secured: Secured | null): string {
  const plain = `${entry.protocol} ${endpoint.address} ${endpoint.port}`;
  return secured === null ? plain : `${plain} ${secured.client.identity}`;
}

/** That of the cluster before goes on counting when it says the same. */
function constraintOf({ retryBudget }: ClusterEntry, previous: Cluster | null): RetryConstraint | null {
  if (retryBudget === undefined) return null;
  const before = previous?.constraint ?? null;
  return before !== null && equal(before.entry, retryBudget) ? before : new RetryConstraint(retryBudget);
}

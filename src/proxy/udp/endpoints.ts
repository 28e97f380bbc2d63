// Which endpoint a flow goes to. By a hash of the client, so that any worker, and a program that takes over, finds the
// same one without being told; kept for as long as the flow and the endpoint are there.

import { LIMITS } from '../../base/limits.ts';
import type { Core } from '../core.ts';
import type { Listener } from '../listener.ts';
import type { CompiledBackend, CompiledRelay } from '../relay/relay.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { EndpointPool } from '../upstream/endpoint.ts';
import { clientHash, endpointHash, flowHash } from './flow-hash.ts';

export class UdpEndpoints {
  readonly #core: Core;
  /** Those that refused a datagram, and until when they get no new flows (monotonic ms). */
  readonly #refused = new Map<EndpointPool, number>();
  /** The backend of the last pick; null: there is none, or its reference is not good. */
  backend: CompiledBackend | null = null;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Where a flow of paths[at..] at `from` goes; null: nowhere. */
  pick(relay: CompiledRelay, from: Listener, paths: Int32Array, at: number): EndpointPool | null {
    const client = clientHash(paths, at);
    const flow = flowHash(paths, at, client);
    this.backend = relay.pickBy(flow);
    const cluster = this.backend?.cluster?.current ?? null;
    if (cluster === null) return null;
    const hash = endpointHash(cluster.entry.balancer, client, flow);
    const first = cluster.pick(hash);
    if (first === null) return null;
    const barred = (pool: EndpointPool): boolean => this.#core.loops.comesBack(pool.address, from, null);
    if (barred(first)) return cluster.pickOther(hash, cluster.pools.filter(barred));
    const found = this.#isRefused(first) ? this.#other(cluster, hash, first, barred) : first;
    return this.#core.refuses(found.address) ? null : found;
  }

  /** Nobody was there. */
  refuse(endpoint: EndpointPool): void {
    this.#refused.set(endpoint, this.#core.io.nowMs + LIMITS.UDP_REFUSED_MS);
  }

  /** Forgets what is over. */
  sweep(): void {
    for (const [endpoint, until] of this.#refused)
      if (until <= this.#core.io.nowMs || endpoint.retired) this.#refused.delete(endpoint);
  }

  #isRefused(endpoint: EndpointPool): boolean {
    if (this.#refused.size === 0) return false;
    return (this.#refused.get(endpoint) ?? 0) > this.#core.io.nowMs;
  }

  #other(cluster: Cluster, hash: number, first: EndpointPool, barred: (pool: EndpointPool) => boolean): EndpointPool {
    const refused = cluster.pools.filter((pool) => this.#isRefused(pool) || barred(pool));
    return cluster.pickOther(hash, refused) ?? first;
  }
}

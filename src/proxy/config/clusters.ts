// Clusters in use, the endpoints that they are made of and the telemetry cells that they count in.

import type { ClientTls, ClusterEntry, Delta, Endpoint, Key } from '../../ir/ir.ts';
import type { Core } from '../core.ts';
import { ClusterRef } from '../exchange/rule.ts';
import type { Secured } from '../tls/dialer.ts';
import { Cluster } from '../upstream/cluster.ts';
import { type Connector, NO_CONNECTOR } from '../upstream/connection.ts';
import { KEY_WORK, type Pieces, type Steps } from './pieces.ts';
import { guarded, type Undo } from './refused.ts';
import { RetiredSecurity } from './retired.ts';
import type { Secrets } from './secrets.ts';

type Blocks = Readonly<Record<string, number>>;
/** null: not any more. */
type ChangedEndpoints = ReadonlyMap<Key, readonly Endpoint[] | null>;

const NO_BLOCKS: Blocks = {};
const NO_ENDPOINTS: readonly Endpoint[] = [];

/** What makes connections of a transport, by the protocol of a cluster. */
export type Connectors = Readonly<Record<Extract<ClusterEntry['protocol'], `http${string}`>, Connector>>;

/** What a key of endpoints stands for now, and the clusters that are made of it. */
class EndpointsRef {
  /** null: not (or no longer) in the configuration. */
  current: readonly Endpoint[] | null = null;
  readonly users = new Set<ClusterRef>();
}

/** Clusters of a revision, not in use yet. */
export interface PreparedClusters {
  readonly clusters: readonly Cluster[];
  readonly endpoints: ChangedEndpoints;
}

export class Clusters {
  readonly #core: Core;
  readonly #connectors: Connectors;
  readonly #secrets: Secrets;
  readonly #refs = new Map<Key, ClusterRef>();
  readonly #endpoints = new Map<Key, EndpointsRef>();
  /** By key of the cluster. */
  readonly #blocks = new Map<Key, Blocks>();
  /** What may have lost its last user in the revision being applied. */
  readonly #loose = new Set<ClusterRef>();
  readonly #retired: RetiredSecurity;
  readonly #looseEndpoints = new Set<Key>();

  constructor(core: Core, connectors: Connectors, secrets: Secrets) {
    this.#core = core;
    this.#connectors = connectors;
    this.#secrets = secrets;
    this.#retired = new RetiredSecurity(core);
  }

  get refs(): IterableIterator<ClusterRef> {
    return this.#refs.values();
  }

  get kept(): { readonly clusters: number; readonly endpoints: number; readonly blocks: number } {
    return { clusters: this.#refs.size, endpoints: this.#endpoints.size, blocks: this.#blocks.size };
  }

  /** What `key` stands for, now and later. */
  ref(key: Key): ClusterRef {
    let ref = this.#refs.get(key);
    if (ref === undefined) {
      ref = new ClusterRef(key);
      this.#refs.set(key, ref);
      this.#loose.add(ref);
    }
    return ref;
  }

  /** One use less of `ref`. */
  release(ref: ClusterRef): void {
    ref.uses--;
    this.#loose.add(ref);
  }

  /**
   * Compiles what the revision says and what is made of something that it changes, each once, without touching what is
   * in use; clusters that go are not made anew, for what they name may go too. Throws ApplyError.
   *
   * @param entries clusters of the revision
   * @param endpoints those of the revision
   */
  *prepare(
    entries: readonly ClusterEntry[],
    endpoints: ChangedEndpoints,
    delta: Delta,
    undo: Undo,
    pieces: Pieces,
  ): Steps<PreparedClusters> {
    const wanted = new Map(entries.map((entry) => [entry.key, entry]));
    const removed = new Set(delta.removals);
    const again = (current: Cluster | null): void => {
      if (current === null || wanted.has(current.entry.key) || removed.has(current.entry.key)) return;
      wanted.set(current.entry.key, current.entry);
    };
    for (const current of this.#securedAnew(delta)) again(current);
    for (const key of endpoints.keys()) {
      for (const { current } of this.#endpoints.get(key)?.users ?? []) again(current);
    }
    const clusters: Cluster[] = [];
    for (const entry of wanted.values()) {
      const cluster = guarded(entry.key, () => this.#compile(entry, endpoints, undo));
      clusters.push(cluster);
      if (pieces.full(1 + cluster.pools.length)) yield;
    }
    return { clusters, endpoints };
  }

  /**
   * Puts those to use that nobody in use names, so that no request can come to them; nothing refuses. Returns the
   * others.
   */
  *settle({ clusters, endpoints }: PreparedClusters, pieces: Pieces): Steps<readonly Cluster[]> {
    for (const [key, changed] of endpoints) this.#endpointsOf(key).current = changed;
    const others: Cluster[] = [];
    for (const cluster of clusters) {
      const ref = this.ref(cluster.entry.key);
      if (ref.uses > 0 || ref.current !== null) others.push(cluster);
      else this.set(cluster);
      if (pieces.full(1)) yield;
    }
    return others;
  }

  setBlocks(cluster: Key, blocks: Blocks | null): void {
    if (blocks === null) this.#blocks.delete(cluster);
    else this.#blocks.set(cluster, blocks);
    this.#refs.get(cluster)?.current?.setCells(blocks ?? NO_BLOCKS);
  }

  /** A rule or relay names it. */
  isNamed(key: Key): boolean {
    return (this.#refs.get(key)?.uses ?? 0) > 0;
  }

  /**
   * What began by an earlier revision (a session accepted in this turn, a request that an authorization server is asked
   * about, a mirror's copy) ends by it: where no rule names it any more, who began finds the cluster still, whose
   * connections nobody keeps.
   */
  remove(key: Key): void {
    const ref = this.#refs.get(key);
    if (ref === undefined || ref.current === null) return;
    this.#leaveEndpoints(ref, ref.current);
    ref.current.retire();
    if (ref.current.secured !== null) this.#retired.keep(ref.current.secured);
    if (ref.uses > 0) ref.current = null;
    else this.#refs.delete(key);
  }

  /** Its clusters were made anew, without any. */
  removeEndpoints(key: Key): void {
    this.#endpointsOf(key).current = null;
    this.#looseEndpoints.add(key);
  }

  /** Drops what nothing names any more. */
  *forget(pieces: Pieces): Steps {
    for (const ref of this.#loose) {
      if (pieces.full(KEY_WORK)) yield;
      if (ref.uses > 0 || ref.current !== null || this.#refs.get(ref.key) !== ref) continue;
      this.#refs.delete(ref.key);
    }
    for (const key of this.#looseEndpoints) {
      if (pieces.full(KEY_WORK)) yield;
      const ref = this.#endpoints.get(key);
      if (ref?.current === null && ref.users.size === 0) this.#endpoints.delete(key);
    }
    this.#loose.clear();
    this.#looseEndpoints.clear();
  }

  /** Gives back what those that left are kept with. */
  dispose(): void {
    this.#retired.dispose();
  }

  /** Clusters in use whose trust or certificate the revision changes: their connections are others then. */
  #securedAnew(delta: Delta): Cluster[] {
    const changed = new Set<Key>();
    for (const { kind, key } of delta.upserts) if (kind === 'trust' || kind === 'certificate') changed.add(key);
    const found: Cluster[] = [];
    if (changed.size === 0) return found;
    for (const { current } of this.#refs.values()) {
      const tls = current?.entry.tls ?? null;
      if (current === null || tls === null) continue;
      if (changed.has(tls.trust) || (tls.certificate !== null && changed.has(tls.certificate))) found.push(current);
    }
    return found;
  }

  #compile(entry: ClusterEntry, changed: ChangedEndpoints, undo: Undo): Cluster {
    const previous = this.#refs.get(entry.key)?.current ?? null;
    const news = changed.get(entry.endpoints);
    const endpoints = news === undefined ? this.#endpoints.get(entry.endpoints)?.current : news;
    return new Cluster(
      this.#core,
      entry.protocol === 'tcp' || entry.protocol === 'udp' ? NO_CONNECTOR : this.#connectors[entry.protocol],
      entry,
      endpoints ?? NO_ENDPOINTS,
      previous,
      this.#blocks.get(entry.key) ?? NO_BLOCKS,
      entry.tls === null ? null : this.#secure(entry.tls, undo),
    );
  }

  /** What the connections of a cluster are secured by; given back if the revision is not applied. */
  #secure(tls: ClientTls, undo: Undo): Secured {
    const { table } = this.#secrets;
    const client = table.acquireClient(tls);
    undo.push(() => table.releaseClient(client));
    return { table, tls, client };
  }

  /** Puts it to use; nothing refuses. */
  set(cluster: Cluster): void {
    const ref = this.ref(cluster.entry.key);
    const previous = ref.current;
    if (previous !== null) this.#leaveEndpoints(ref, previous);
    this.#endpointsOf(cluster.entry.endpoints).users.add(ref);
    cluster.install(previous);
    cluster.setCells(this.#blocks.get(cluster.entry.key) ?? NO_BLOCKS);
    ref.current = cluster;
    if (previous !== null) unsecure(previous);
  }

  #leaveEndpoints(ref: ClusterRef, cluster: Cluster): void {
    const key = cluster.entry.endpoints;
    this.#endpointsOf(key).users.delete(ref);
    this.#looseEndpoints.add(key);
  }

  #endpointsOf(key: Key): EndpointsRef {
    let ref = this.#endpoints.get(key);
    if (ref === undefined) {
      ref = new EndpointsRef();
      this.#endpoints.set(key, ref);
    }
    return ref;
  }
}

/** A cluster that is not in use any more gives back what it was secured by; its pools may have a use of it still. */
function unsecure({ secured }: Cluster): void {
  secured?.table.releaseClient(secured.client);
}

// The configuration in use: what a revision's entries were compiled to, and how the next revision replaces parts of it.

import type { TlsIo } from '../io/tls.ts';
import type {
  CellsEntry,
  ClientTls,
  ClusterEntry,
  Delta,
  Endpoint,
  Entry,
  GatewayEntry,
  Key,
  RelayEntry,
  RuleEntry,
  SocketEntry,
} from '../ir/ir.ts';
import { parseKey, routeCellsKey } from '../ir/keys.ts';
import { OTHER_ROUTE_BLOCK } from '../telemetry/layout.ts';
import type { Core } from './core.ts';
import { Mirrors } from './exchange/mirror.ts';
import { ClusterRef, CompiledRule, type Extras, NO_EXTRAS, RouteCells } from './exchange/rule.ts';
import { Listener } from './listener.ts';
import { ProxyOpening } from './proxy-opening.ts';
import { CompiledRelay } from './relay/relay.ts';
import type { Secured } from './tls/dialer.ts';
import { TlsOpening } from './tls/opening.ts';
import { type Installed, TlsTable } from './tls/table.ts';
import { Cluster } from './upstream/cluster.ts';
import { type Connector, NO_CONNECTOR } from './upstream/connection.ts';

/** A revision that cannot be applied; nothing was changed. */
export class ApplyError extends Error {
  readonly key: Key;
  constructor(key: Key, cause: unknown) {
    super(`${key}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'ApplyError';
    this.key = key;
  }
}

const NO_BLOCKS: Readonly<Record<string, number>> = {};
const NO_ENDPOINTS: readonly Endpoint[] = [];

/** What a key of endpoints stands for now, and the clusters that are made of it. */
class EndpointsRef {
  /** null: not (or no longer) in the configuration. */
  current: readonly Endpoint[] | null = null;
  readonly users = new Set<ClusterRef>();
}

interface Prepared {
  readonly rules: CompiledRule[];
  readonly clusters: Cluster[];
  readonly endpoints: ReadonlyMap<Key, readonly Endpoint[] | null>;
  /** With the steps that connections go through there. */
  readonly sockets: readonly {
    readonly entry: SocketEntry;
    readonly opening: TlsOpening | null;
    readonly proxy: ProxyOpening | null;
  }[];
  readonly gateways: GatewayEntry[];
  readonly cells: CellsEntry[];
  readonly relays: CompiledRelay[];
}

/** What makes connections of a transport, by the protocol of a cluster. */
export type Connectors = Readonly<Record<Extract<ClusterEntry['protocol'], `http${string}`>, Connector>>;

export class Config {
  readonly #core: Core;
  readonly #connectors: Connectors;
  readonly #listeners = new Map<Key, Listener>();
  readonly #gateways = new Map<Key, GatewayEntry>();
  readonly #rules = new Map<Key, CompiledRule>();
  readonly #relays = new Map<Key, CompiledRelay>();
  readonly #clusters = new Map<Key, ClusterRef>();
  readonly #endpoints = new Map<Key, EndpointsRef>();
  /** By key of the CellsEntry. */
  readonly #routeCells = new Map<Key, RouteCells>();
  /** By key of the cluster. */
  readonly #clusterBlocks = new Map<Key, Readonly<Record<string, number>>>();
  /** What may have lost its last user in the revision being applied. */
  readonly #looseClusters = new Set<ClusterRef>();
  readonly #looseEndpoints = new Set<Key>();
  readonly #looseCells = new Set<Key>();
  /** A listener left the configuration. */
  readonly #onRemoved: (listener: Listener) => void;
  readonly #openTls: () => TlsIo;
  /** null until an entry needs it. */
  #tls: TlsTable | null = null;
  #ticketKeys: readonly Uint8Array[] = [];
  readonly #mirrors: Mirrors;
  readonly #openings = new Map<Key, TlsOpening>();

  constructor(core: Core, connectors: Connectors, openTls: () => TlsIo, onRemoved: (listener: Listener) => void) {
    this.#core = core;
    this.#mirrors = new Mirrors(core);
    this.#connectors = connectors;
    this.#openTls = openTls;
    this.#onRemoved = onRemoved;
  }

  get #tlsTable(): TlsTable {
    if (this.#tls === null) {
      this.#tls = new TlsTable(this.#openTls());
      this.#tls.io.setTicketKeys(this.#ticketKeys);
    }
    return this.#tls;
  }

  setTicketKeys(keys: readonly Uint8Array[]): void {
    this.#ticketKeys = keys;
    this.#tls?.io.setTicketKeys(keys);
  }

  get clusters(): IterableIterator<ClusterRef> {
    return this.#clusters.values();
  }
  get rules(): number {
    return this.#rules.size;
  }
  /** Listeners, gateways, clusters, endpoints and cells that are kept: nothing that nobody names is among them. */
  get kept(): Readonly<Record<string, number>> {
    return {
      listeners: this.#listeners.size,
      gateways: this.#gateways.size,
      clusters: this.#clusters.size,
      endpoints: this.#endpoints.size,
      cells: this.#routeCells.size + this.#clusterBlocks.size,
      tls: this.#tls === null ? 0 : this.#tls.kept,
    };
  }

  /** The listener of the key, made when it is first spoken of. */
  listener(key: Key): Listener {
    let listener = this.#listeners.get(key);
    if (listener === undefined) {
      listener = new Listener(key);
      this.#listeners.set(key, listener);
    }
    return listener;
  }

  /** Forgets `listener` when nothing leads to it any more. */
  dropUnused(listener: Listener): void {
    if (listener.isUnused && this.#listeners.get(listener.key) === listener) this.#listeners.delete(listener.key);
  }

  /** All or nothing: throws ApplyError and changes nothing when an entry cannot be used. */
  apply(delta: Delta): void {
    const undo: (() => void)[] = [];
    const installed: Installed[] = [];
    let prepared: Prepared;
    try {
      this.#installTls(delta, installed, undo);
      prepared = this.#prepare(delta, undo);
      for (const rule of prepared.rules) this.#route(rule, undo);
    } catch (error) {
      for (const step of undo.reverse()) step();
      this.#forget();
      throw error;
    }
    // From here on nothing refuses.
    for (const one of installed) one.commit();
    for (const entry of prepared.cells) this.#setCells(entry.key, entry.blocks);
    for (const [key, endpoints] of prepared.endpoints) this.#endpointsOf(key).current = endpoints;
    for (const cluster of prepared.clusters) this.#setCluster(cluster);
    for (const rule of prepared.rules) this.#setRule(rule.entry.key, rule);
    for (const relay of prepared.relays) this.#setRelay(relay.entry.key, relay);
    for (const entry of prepared.gateways) this.#setGateway(entry);
    for (const { entry, opening, proxy } of prepared.sockets) {
      const listener = this.listener(entry.key);
      this.#setSocket(listener, entry);
      this.#setOpening(listener, opening);
      listener.proxy = proxy;
    }
    for (const key of delta.removals) this.#remove(key);
    this.#forget();
  }

  /**
   * Certificates and trust first, for the sockets of the same revision need them; no handshake sees it before the end.
   */
  #installTls(delta: Delta, installed: Installed[], undo: (() => void)[]): void {
    const take = (one: Installed): void => {
      installed.push(one);
      undo.push(() => one.undo());
    };
    for (const key of delta.removals) {
      const { kind } = parseKey(key);
      if (kind === 'certificate' || kind === 'trust') take(this.#tlsTable.remove(kind, key));
    }
    for (const entry of delta.upserts) {
      if (entry.kind !== 'certificate' && entry.kind !== 'trust') continue;
      take(guarded(entry.key, () => this.#tlsTable.install(entry)));
    }
  }

  /** Sockets of the revision, and those whose clients are checked against what changed in it. */
  #openSockets(entries: readonly SocketEntry[], delta: Delta, undo: (() => void)[]): Prepared['sockets'] {
    const sockets = new Map(entries.map((entry) => [entry.key, entry]));
    const trusts = new Set(delta.upserts.filter((entry) => entry.kind === 'trust').map((entry) => entry.key));
    if (trusts.size > 0) {
      for (const { entry } of this.#listeners.values()) {
        const affected = entry?.hosts.some(
          ({ tls }) => tls !== null && tls.clients !== null && trusts.has(tls.clients.trust),
        );
        if (entry !== null && affected === true && !sockets.has(entry.key)) sockets.set(entry.key, entry);
      }
    }
    return [...sockets.values()].map((entry) => {
      const { proxyProtocol: proxied } = entry;
      const proxy = proxied === null ? null : guarded(entry.key, () => new ProxyOpening(this.#core, proxied.trusted));
      if (!entry.hosts.some(({ tls, protocol }) => tls !== null || protocol === 'TLS'))
        return { entry, opening: null, proxy };
      const opening = guarded(entry.key, () => new TlsOpening(this.#core.shared, this.#tlsTable, entry));
      undo.push(() => opening.dispose());
      return { entry, opening, proxy };
    });
  }

  #setOpening(listener: Listener, opening: TlsOpening | null): void {
    this.#openings.get(listener.key)?.dispose(opening);
    if (opening === null) this.#openings.delete(listener.key);
    else this.#openings.set(listener.key, opening);
    listener.steps = opening === null ? [] : [opening];
  }

  /** Compiles what can be compiled without touching what is in use. */
  #prepare(delta: Delta, undo: (() => void)[]): Prepared {
    const rules: CompiledRule[] = [];
    const sockets: SocketEntry[] = [];
    const gateways: GatewayEntry[] = [];
    const cells: CellsEntry[] = [];
    const relays: CompiledRelay[] = [];
    const clusters = new Map<Key, ClusterEntry>();
    const endpoints = new Map<Key, readonly Endpoint[] | null>();
    for (const key of delta.removals) if (parseKey(key).kind === 'endpoints') endpoints.set(key, null);
    for (const entry of delta.upserts) {
      switch (entry.kind) {
        case 'rule':
          rules.push(guarded(entry.key, () => this.#compileRule(entry)));
          break;
        case 'cluster':
          clusters.set(entry.key, entry);
          break;
        case 'endpoints':
          endpoints.set(entry.key, entry.endpoints);
          break;
        case 'socket':
          sockets.push(entry);
          break;
        case 'gateway':
          gateways.push(entry);
          break;
        case 'cells':
          cells.push(entry);
          break;
        case 'relay':
          relays.push(this.#compileRelay(entry));
          break;
        case 'certificate':
        case 'trust':
          break;
        default:
          throw new ApplyError((entry as Entry).key, new Error(`unknown kind ${(entry as Entry).kind}`));
      }
    }
    // Clusters of which something changed are made anew, each once; not those that go, for what they name may go too.
    const removed = new Set(delta.removals);
    const again = (current: Cluster | null): void => {
      if (current === null || clusters.has(current.entry.key) || removed.has(current.entry.key)) return;
      clusters.set(current.entry.key, current.entry);
    };
    for (const current of this.#securedAnew(delta)) again(current);
    for (const key of endpoints.keys()) {
      for (const { current } of this.#endpoints.get(key)?.users ?? []) again(current);
    }
    const compiled = [...clusters.values()].map((entry) =>
      guarded(entry.key, () => this.#compileCluster(entry, endpoints, undo)),
    );
    const opened = this.#openSockets(sockets, delta, undo);
    return { rules, relays, clusters: compiled, endpoints, sockets: opened, gateways, cells };
  }

  /** Clusters in use whose trust or certificate the revision changes: their connections are others then. */
  #securedAnew(delta: Delta): Cluster[] {
    const changed = new Set<Key>();
    for (const { kind, key } of delta.upserts) if (kind === 'trust' || kind === 'certificate') changed.add(key);
    const found: Cluster[] = [];
    if (changed.size === 0) return found;
    for (const { current } of this.#clusters.values()) {
      const tls = current?.entry.tls ?? null;
      if (current === null || tls === null) continue;
      if (changed.has(tls.trust) || (tls.certificate !== null && changed.has(tls.certificate))) found.push(current);
    }
    return found;
  }

  /** What the connections of a cluster are secured by; given back if the revision is not applied. */
  #secure(tls: ClientTls, undo: (() => void)[]): Secured {
    const table = this.#tlsTable;
    const client = table.acquireClient(tls);
    undo.push(() => table.releaseClient(client));
    return { table, tls, client };
  }

  #compileRule(entry: RuleEntry): CompiledRule {
    const cells = this.#cellsOf(routeCellsKey(entry.routeKind, entry.route));
    return new CompiledRule(entry, cells, (key) => this.#refOf(key), this.#extrasOf(entry));
  }

  #compileRelay(entry: RelayEntry): CompiledRelay {
    const cells = this.#cellsOf(routeCellsKey(entry.routeKind, entry.route));
    return new CompiledRelay(entry, cells, (key) => this.#refOf(key));
  }

  #extrasOf({ filters, action }: RuleEntry): Extras {
    if (action.type !== 'forward') return NO_EXTRAS;
    const taps = filters.flatMap((filter) =>
      filter.type === 'mirror' ? this.#mirrors.source(this.#refOf(filter.cluster), filter.share, filter.of) : [],
    );
    return taps.length === 0 ? NO_EXTRAS : { decisions: [], taps };
  }

  /** `changed`: endpoints of the revision being prepared. */
  #compileCluster(
    entry: ClusterEntry,
    changed: ReadonlyMap<Key, readonly Endpoint[] | null>,
    undo: (() => void)[],
  ): Cluster {
    const previous = this.#clusters.get(entry.key)?.current ?? null;
    const news = changed.get(entry.endpoints);
    const endpoints = news === undefined ? this.#endpoints.get(entry.endpoints)?.current : news;
    const blocks = this.#clusterBlocks.get(entry.key) ?? NO_BLOCKS;
    return new Cluster(
      this.#core,
      entry.protocol === 'tcp' || entry.protocol === 'udp' ? NO_CONNECTOR : this.#connectors[entry.protocol],
      entry,
      endpoints ?? NO_ENDPOINTS,
      previous,
      blocks,
      entry.tls === null ? null : this.#secure(entry.tls, undo),
    );
  }

  /** Puts the rule into the routers of its listeners, and takes the one it replaces out of those it leaves. */
  #route(rule: CompiledRule, undo: (() => void)[]): void {
    const { key } = rule.entry;
    const before = this.#rules.get(key);
    const keys = listenersOf(rule.entry);
    for (const listenerKey of keys) {
      const { router } = this.listener(listenerKey);
      try {
        router.set(rule.entry, rule);
      } catch (error) {
        throw new ApplyError(key, error);
      }
      undo.push(() => {
        router.remove(key);
        if (before !== undefined && listenersOf(before.entry).has(listenerKey)) router.set(before.entry, before);
      });
    }
    if (before === undefined) return;
    for (const listenerKey of listenersOf(before.entry)) {
      if (keys.has(listenerKey)) continue;
      const { router } = this.listener(listenerKey);
      router.remove(key);
      undo.push(() => router.set(before.entry, before));
    }
  }

  #setRule(key: Key, rule: CompiledRule | null): void {
    const before = this.#rules.get(key);
    if (before !== undefined) this.#leave(before);
    if (rule === null) {
      this.#rules.delete(key);
      return;
    }
    hold(rule);
    this.#rules.set(key, rule);
  }

  /** Sessions that began by what it replaces go on with what they have. */
  #setRelay(key: Key, relay: CompiledRelay | null): void {
    const before = this.#relays.get(key);
    if (before !== undefined) {
      this.#leave(before);
      for (const listener of listenersOf(before.entry)) this.listener(listener).relays.remove(key);
    }
    if (relay === null) {
      this.#relays.delete(key);
      return;
    }
    hold(relay);
    this.#relays.set(key, relay);
    for (const listener of listenersOf(relay.entry)) this.listener(listener).relays.set(relay);
  }

  #leave({ cells, clusters, entry }: CompiledRule | CompiledRelay): void {
    cells.uses--;
    this.#looseCells.add(routeCellsKey(entry.routeKind, entry.route));
    for (const ref of clusters) {
      ref.uses--;
      this.#looseClusters.add(ref);
    }
  }

  #setCluster(cluster: Cluster): void {
    const ref = this.#refOf(cluster.entry.key);
    const previous = ref.current;
    if (previous !== null) this.#leaveEndpoints(ref, previous);
    this.#endpointsOf(cluster.entry.endpoints).users.add(ref);
    cluster.install(previous);
    cluster.setCells(this.#clusterBlocks.get(cluster.entry.key) ?? NO_BLOCKS);
    ref.current = cluster;
    if (previous !== null) unsecure(previous);
  }

  #leaveEndpoints(ref: ClusterRef, cluster: Cluster): void {
    const key = cluster.entry.endpoints;
    this.#endpointsOf(key).users.delete(ref);
    this.#looseEndpoints.add(key);
  }

  #setCells(key: Key, blocks: Readonly<Record<string, number>>): void {
    const parsed = parseKey(key);
    if (parsed.kind === 'routeCells') {
      this.#cellsOf(key).route = blocks['route'] ?? OTHER_ROUTE_BLOCK;
      this.#looseCells.add(key);
    } else if (parsed.kind === 'clusterCells') {
      if (blocks === NO_BLOCKS) this.#clusterBlocks.delete(parsed.cluster);
      else this.#clusterBlocks.set(parsed.cluster, blocks);
      this.#clusters.get(parsed.cluster)?.current?.setCells(blocks);
    }
  }

  #setGateway(entry: GatewayEntry): void {
    this.#gateways.set(entry.key, entry);
    for (const listener of this.#listeners.values()) {
      if (listener.entry?.hosts.some((host) => host.gateway === entry.key)) this.#setSocket(listener, listener.entry);
    }
  }

  #setSocket(listener: Listener, entry: SocketEntry | null): void {
    listener.setEntry(entry, (gateway) => this.#gateways.get(gateway)?.name ?? gateway);
  }

  #remove(key: Key): void {
    const { kind } = parseKey(key);
    switch (kind) {
      case 'routeCells':
      case 'clusterCells':
        this.#setCells(key, NO_BLOCKS);
        break;
      case 'rule':
        this.#removeRule(key);
        break;
      case 'cluster':
        this.#removeCluster(key);
        break;
      case 'endpoints':
        // Its clusters were made anew, without any.
        this.#endpointsOf(key).current = null;
        this.#looseEndpoints.add(key);
        break;
      case 'gateway':
        this.#gateways.delete(key);
        break;
      case 'socket':
        this.#removeSocket(key);
        break;
      case 'relay':
        this.#setRelay(key, null);
        break;
      case 'certificate':
      case 'trust':
      case 'unknown':
        break;
    }
  }

  #removeRule(key: Key): void {
    const rule = this.#rules.get(key);
    if (rule === undefined) return;
    for (const listenerKey of listenersOf(rule.entry)) this.listener(listenerKey).router.remove(key);
    this.#setRule(key, null);
  }

  #removeCluster(key: Key): void {
    const ref = this.#clusters.get(key);
    if (ref === undefined || ref.current === null) return;
    this.#leaveEndpoints(ref, ref.current);
    ref.current.retire();
    unsecure(ref.current);
    ref.current = null;
    this.#looseClusters.add(ref);
  }

  #removeSocket(key: Key): void {
    const listener = this.#listeners.get(key);
    if (listener === undefined || listener.entry === null) return;
    this.#setSocket(listener, null);
    this.#setOpening(listener, null);
    listener.proxy = null;
    this.#onRemoved(listener);
  }

  /** Gives back what TLS holds; nothing may be under way. */
  dispose(): void {
    this.#mirrors.stop();
    this.#tls?.dispose();
  }

  /** Drops what nothing names any more. */
  #forget(): void {
    for (const ref of this.#looseClusters) {
      if (ref.uses === 0 && ref.current === null) this.#clusters.delete(ref.key);
    }
    for (const key of this.#looseEndpoints) {
      const ref = this.#endpoints.get(key);
      if (ref?.current === null && ref.users.size === 0) this.#endpoints.delete(key);
    }
    for (const key of this.#looseCells) {
      const cells = this.#routeCells.get(key);
      if (cells?.uses === 0 && cells.route === OTHER_ROUTE_BLOCK) this.#routeCells.delete(key);
    }
    this.#looseClusters.clear();
    this.#looseEndpoints.clear();
    this.#looseCells.clear();
    for (const listener of this.#listeners.values()) this.dropUnused(listener);
  }

  #refOf(key: Key): ClusterRef {
    let ref = this.#clusters.get(key);
    if (ref === undefined) {
      ref = new ClusterRef(key);
      this.#clusters.set(key, ref);
      this.#looseClusters.add(ref);
    }
    return ref;
  }

  #endpointsOf(key: Key): EndpointsRef {
    let ref = this.#endpoints.get(key);
    if (ref === undefined) {
      ref = new EndpointsRef();
      this.#endpoints.set(key, ref);
    }
    return ref;
  }

  #cellsOf(key: Key): RouteCells {
    let cells = this.#routeCells.get(key);
    if (cells === undefined) {
      cells = new RouteCells();
      this.#routeCells.set(key, cells);
      this.#looseCells.add(key);
    }
    return cells;
  }
}

/** A cluster that is not in use any more gives back what it was secured by; its pools may have a use of it still. */
function unsecure({ secured }: Cluster): void {
  secured?.table.releaseClient(secured.client);
}

function hold({ cells, clusters }: CompiledRule | CompiledRelay): void {
  cells.uses++;
  for (const ref of clusters) ref.uses++;
}

function guarded<T>(key: Key, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ApplyError(key, error);
  }
}

function listenersOf(entry: RuleEntry | RelayEntry): ReadonlySet<Key> {
  return new Set(entry.attachments.map((attachment) => attachment.socket));
}

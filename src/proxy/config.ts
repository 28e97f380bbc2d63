// The configuration in use: what a revision's entries were compiled to, and how the next revision replaces parts of it.
// Each kind is kept by a table of its own in config/; here is the order in which a revision goes through them.

import type { TlsIo } from '../io/tls.ts';
import type { CellsEntry, ClusterEntry, Delta, Endpoint, Entry, Key, SocketEntry } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { OTHER_ROUTE_BLOCK } from '../telemetry/layout.ts';
import { Clusters, type Connectors, type PreparedClusters } from './config/clusters.ts';
import { KEY_WORK, Pieces, type Steps, workOf } from './config/pieces.ts';
import { ApplyError, type Undo } from './config/refused.ts';
import { type Placement, type PreparedRule, Routes } from './config/routes.ts';
import { Secrets } from './config/secrets.ts';
import { type PreparedGateway, type PreparedSocket, Sockets } from './config/sockets.ts';
import type { Core } from './core.ts';
import type { ClusterRef } from './exchange/rule.ts';
import type { Listener } from './listener.ts';
import type { CompiledRelay } from './relay/relay.ts';
import type { Installed } from './tls/table.ts';

interface Prepared {
  readonly installed: readonly Installed[];
  readonly relays: readonly CompiledRelay[];
  readonly clusters: PreparedClusters;
  readonly sockets: readonly PreparedSocket[];
  readonly gateways: readonly PreparedGateway[];
  readonly cells: readonly CellsEntry[];
  readonly placement: Placement;
  readonly removed: Removed;
}

export class Config {
  readonly #secrets: Secrets;
  readonly #clusters: Clusters;
  readonly #sockets: Sockets;
  readonly #routes: Routes;

  /**
   * @param openTls called once, when an entry needs TLS
   * @param onRemoved a listener left the configuration
   */
  constructor(core: Core, connectors: Connectors, openTls: () => TlsIo, onRemoved: (listener: Listener) => void) {
    this.#secrets = new Secrets(openTls);
    this.#clusters = new Clusters(core, connectors, this.#secrets);
    this.#sockets = new Sockets(core, this.#secrets, onRemoved);
    this.#routes = new Routes(core, this.#clusters, this.#sockets);
  }

  setTicketKeys(keys: readonly Uint8Array[]): void {
    this.#secrets.setTicketKeys(keys);
  }

  get clusters(): IterableIterator<ClusterRef> {
    return this.#clusters.refs;
  }
  get rules(): number {
    return this.#routes.rules;
  }
  /** Listeners, gateways, clusters, endpoints and cells that are kept: nothing that nobody names is among them. */
  get kept(): Readonly<Record<string, number>> {
    const { clusters, endpoints, blocks } = this.#clusters.kept;
    const cells = this.#routes.cells + blocks;
    return { ...this.#sockets.kept, clusters, endpoints, cells, tls: this.#secrets.kept };
  }

  /** The listener of the key, made when it is first spoken of. */
  listener(key: Key): Listener {
    return this.#sockets.listener(key);
  }

  /** Forgets `listener` when nothing leads to it any more. */
  dropUnused(listener: Listener): void {
    this.#sockets.dropUnused(listener);
  }

  /** An entry of the next revision, before that is whole: what takes time and is seen by nobody is done with it. */
  ahead(entry: Entry): void {
    this.#secrets.ahead(entry);
  }

  /** All or nothing: throws ApplyError and changes nothing when an entry cannot be used. */
  apply(delta: Delta): void {
    const steps = this.applying(delta);
    while (steps.next().done !== true);
  }

  /**
   * The same, a piece with each step; between two of them requests may be served, by what was in use before or, once
   * that is switched, by what is in use then. Until it is over nothing else may change the configuration.
   */
  *applying(delta: Delta): Steps {
    const undo: Undo = [];
    const pieces = new Pieces();
    let prepared: Prepared;
    try {
      prepared = yield* this.#prepare(delta, undo, pieces);
    } catch (error) {
      for (const step of undo.reverse()) step();
      yield* this.#forget(pieces);
      throw error;
    }
    // From here on nothing refuses. First what no request can see yet,
    const clusters = yield* this.#clusters.settle(prepared.clusters, pieces);
    for (const { key, blocks } of prepared.cells) {
      this.#setCells(key, blocks);
      if (pieces.full(1)) yield;
    }
    const { removed } = prepared;
    yield* this.#routes.settle(prepared.placement.rules, removed.rule, pieces);
    const named = removed.cluster.filter((key) => this.#clusters.isNamed(key));
    // then, at once, what all of them see,
    for (const one of prepared.installed) one.commit();
    for (const cluster of clusters) this.#clusters.set(cluster);
    for (const relay of prepared.relays) this.#routes.setRelay(relay);
    const routers = this.#routes.swap(prepared.placement);
    // Hosts behind routers: they are those routers' to know.
    this.#sockets.set(prepared.gateways, prepared.sockets);
    for (const key of removed.relay) this.#routes.removeRelay(key);
    for (const key of named) this.#clusters.remove(key);
    for (const key of removed.gateway) this.#sockets.removeGateway(key);
    for (const key of removed.socket) this.#sockets.remove(key);
    // and last what none sees any more.
    for (const router of routers) for (const _ of router.drop()) if (pieces.full(1)) yield;
    for (const key of removed.cluster) {
      this.#clusters.remove(key);
      if (pieces.full(1)) yield;
    }
    for (const key of removed.endpoints) this.#clusters.removeEndpoints(key);
    for (const key of removed.cells) {
      this.#setCells(key, null);
      if (pieces.full(KEY_WORK)) yield;
    }
    yield* this.#forget(pieces);
  }

  /** Compiles what can be compiled without touching what is in use. */
  *#prepare(delta: Delta, undo: Undo, pieces: Pieces): Steps<Prepared> {
    // Certificates and trust first, for the sockets of the same revision need them.
    const removed = yield* byKind(delta.removals, pieces);
    const installed = yield* this.#secrets.install(delta.upserts, removed, undo, pieces);
    const rules: PreparedRule[] = [];
    const relays: CompiledRelay[] = [];
    const sockets: SocketEntry[] = [];
    const gateways: PreparedGateway[] = [];
    const cells: CellsEntry[] = [];
    const clusters: ClusterEntry[] = [];
    const endpoints = new Map<Key, readonly Endpoint[] | null>();
    for (const key of removed.endpoints) endpoints.set(key, null);
    for (const entry of delta.upserts) {
      switch (entry.kind) {
        case 'rule':
          rules.push(this.#routes.compileRule(entry));
          if (pieces.full(workOf(entry))) yield;
          break;
        case 'relay':
          relays.push(this.#routes.compileRelay(entry));
          break;
        case 'cluster':
          clusters.push(entry);
          break;
        case 'endpoints':
          endpoints.set(entry.key, entry.endpoints);
          break;
        case 'socket':
          sockets.push(entry);
          break;
        case 'gateway':
          gateways.push(this.#sockets.prepareGateway(entry));
          break;
        case 'cells':
          cells.push(entry);
          break;
        case 'certificate':
        case 'trust':
          break;
        default:
          throw new ApplyError((entry as Entry).key, new Error(`unknown kind ${(entry as Entry).kind}`));
      }
    }
    return {
      installed,
      removed,
      relays,
      gateways,
      cells,
      clusters: yield* this.#clusters.prepare(clusters, endpoints, delta, undo, pieces),
      sockets: yield* this.#sockets.prepare(sockets, delta, undo, pieces),
      // Last: whatever is refused was by now.
      placement: yield* this.#routes.place(rules, removed.rule, pieces),
    };
  }

  /** `blocks`: null when the entry goes. */
  #setCells(key: Key, blocks: CellsEntry['blocks'] | null): void {
    const parsed = parseKey(key);
    if (parsed.kind === 'routeCells') this.#routes.setCells(key, blocks?.['route'] ?? OTHER_ROUTE_BLOCK);
    else if (parsed.kind === 'clusterCells') this.#clusters.setBlocks(parsed.cluster, blocks);
  }

  /** Gives back what TLS holds; nothing may be under way. */
  dispose(): void {
    this.#routes.dispose();
    this.#clusters.dispose();
    this.#secrets.dispose();
  }

  /** Drops what nothing names any more. */
  *#forget(pieces: Pieces): Steps {
    yield* this.#clusters.forget(pieces);
    yield* this.#routes.forget(pieces);
    this.#sockets.forget();
  }
}

type Removed = Readonly<Record<Entry['kind'], Key[]>>;

function* byKind(removals: readonly Key[], pieces: Pieces): Steps<Removed> {
  const none = { certificate: [], trust: [], cluster: [], endpoints: [] };
  const found: Removed = { ...none, rule: [], relay: [], gateway: [], socket: [], cells: [] };
  for (const key of removals) {
    const { kind } = parseKey(key);
    if (kind === 'routeCells' || kind === 'clusterCells') found.cells.push(key);
    else if (kind !== 'unknown') found[kind].push(key);
    if (pieces.full(KEY_WORK)) yield;
  }
  return found;
}

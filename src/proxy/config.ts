// The configuration in use: what a revision's entries were compiled to, and how the next revision replaces parts of it.
// Each kind is kept by a table of its own in config/; here is the order in which a revision goes through them.

import type { TlsIo } from '../io/tls.ts';
import type { CellsEntry, ClusterEntry, Delta, Endpoint, Entry, Key, SocketEntry } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { OTHER_ROUTE_BLOCK } from '../telemetry/layout.ts';
import { Clusters, type Connectors, type PreparedClusters } from './config/clusters.ts';
import { ApplyError, type Undo } from './config/refused.ts';
import { Routes } from './config/routes.ts';
import { Secrets } from './config/secrets.ts';
import { type PreparedGateway, type PreparedSocket, Sockets } from './config/sockets.ts';
import type { Core } from './core.ts';
import type { ClusterRef, CompiledRule } from './exchange/rule.ts';
import type { Listener } from './listener.ts';
import type { CompiledRelay } from './relay/relay.ts';
import type { Installed } from './tls/table.ts';

interface Prepared {
  readonly installed: readonly Installed[];
  readonly rules: readonly CompiledRule[];
  readonly relays: readonly CompiledRelay[];
  readonly clusters: PreparedClusters;
  readonly sockets: readonly PreparedSocket[];
  readonly gateways: readonly PreparedGateway[];
  readonly cells: readonly CellsEntry[];
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

  /** All or nothing: throws ApplyError and changes nothing when an entry cannot be used. */
  apply(delta: Delta): void {
    const undo: Undo = [];
    let prepared: Prepared;
    try {
      prepared = this.#prepare(delta, undo);
      for (const rule of prepared.rules) this.#routes.route(rule, undo);
    } catch (error) {
      for (const step of undo.reverse()) step();
      this.#forget();
      throw error;
    }
    // From here on nothing refuses.
    for (const one of prepared.installed) one.commit();
    for (const { key, blocks } of prepared.cells) this.#setCells(key, blocks);
    this.#clusters.set(prepared.clusters);
    for (const rule of prepared.rules) this.#routes.setRule(rule);
    for (const relay of prepared.relays) this.#routes.setRelay(relay);
    for (const gateway of prepared.gateways) this.#sockets.setGateway(gateway);
    for (const socket of prepared.sockets) this.#sockets.set(socket);
    for (const key of delta.removals) this.#remove(key);
    this.#forget();
  }

  /** Compiles what can be compiled without touching what is in use. */
  #prepare(delta: Delta, undo: Undo): Prepared {
    // Certificates and trust first, for the sockets of the same revision need them.
    const installed = this.#secrets.install(delta, undo);
    const rules: CompiledRule[] = [];
    const relays: CompiledRelay[] = [];
    const sockets: SocketEntry[] = [];
    const gateways: PreparedGateway[] = [];
    const cells: CellsEntry[] = [];
    const clusters: ClusterEntry[] = [];
    const endpoints = new Map<Key, readonly Endpoint[] | null>();
    for (const key of delta.removals) if (parseKey(key).kind === 'endpoints') endpoints.set(key, null);
    for (const entry of delta.upserts) {
      switch (entry.kind) {
        case 'rule':
          rules.push(this.#routes.compileRule(entry));
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
      rules,
      relays,
      clusters: this.#clusters.prepare(clusters, endpoints, delta, undo),
      sockets: this.#sockets.prepare(sockets, delta, undo),
      gateways,
      cells,
    };
  }

  /** `blocks`: null when the entry goes. */
  #setCells(key: Key, blocks: CellsEntry['blocks'] | null): void {
    const parsed = parseKey(key);
    if (parsed.kind === 'routeCells') this.#routes.setCells(key, blocks?.['route'] ?? OTHER_ROUTE_BLOCK);
    else if (parsed.kind === 'clusterCells') this.#clusters.setBlocks(parsed.cluster, blocks);
  }

  #remove(key: Key): void {
    switch (parseKey(key).kind) {
      case 'routeCells':
      case 'clusterCells':
        this.#setCells(key, null);
        break;
      case 'rule':
        this.#routes.removeRule(key);
        break;
      case 'relay':
        this.#routes.removeRelay(key);
        break;
      case 'cluster':
        this.#clusters.remove(key);
        break;
      case 'endpoints':
        this.#clusters.removeEndpoints(key);
        break;
      case 'gateway':
        this.#sockets.removeGateway(key);
        break;
      case 'socket':
        this.#sockets.remove(key);
        break;
      case 'certificate':
      case 'trust':
      case 'unknown':
        break;
    }
  }

  /** Gives back what TLS holds; nothing may be under way. */
  dispose(): void {
    this.#routes.dispose();
    this.#clusters.dispose();
    this.#secrets.dispose();
  }

  /** Drops what nothing names any more. */
  #forget(): void {
    this.#clusters.forget();
    this.#routes.forget();
    this.#sockets.forget();
  }
}

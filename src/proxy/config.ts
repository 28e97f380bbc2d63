// The configuration in use: what a revision's entries were compiled to, and how the next revision replaces parts of it.

import type { CellsEntry, ClusterEntry, Delta, Entry, Key, ListenerEntry, RuleEntry } from '../ir/ir.ts';
import { OTHER_ROUTE_BLOCK } from '../telemetry/layout.ts';
import type { Core } from './exchange/core.ts';
import { ClusterRef, CompiledRule, RouteCells } from './exchange/rule.ts';
import { Listener } from './listener.ts';
import { Cluster } from './upstream/cluster.ts';

/** A revision that cannot be applied; nothing was changed. */
export class ApplyError extends Error {
  readonly key: Key;
  constructor(key: Key, cause: unknown) {
    super(`${key}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'ApplyError';
    this.key = key;
  }
}

const ROUTE_CELLS = 'cells/route/';
const CELLS = 'cells/';
const NO_BLOCKS: Readonly<Record<string, number>> = {};

interface Prepared {
  readonly rules: CompiledRule[];
  readonly clusters: Cluster[];
  readonly listeners: ListenerEntry[];
  readonly cells: CellsEntry[];
}

export class Config {
  readonly #core: Core;
  readonly #listeners = new Map<Key, Listener>();
  readonly #rules = new Map<Key, CompiledRule>();
  readonly #clusters = new Map<Key, ClusterRef>();
  readonly #routeCells = new Map<string, RouteCells>();
  readonly #clusterBlocks = new Map<Key, Readonly<Record<string, number>>>();
  /** A listener left the configuration. */
  readonly #onRemoved: (listener: Listener) => void;

  constructor(core: Core, onRemoved: (listener: Listener) => void) {
    this.#core = core;
    this.#onRemoved = onRemoved;
  }

  get clusters(): IterableIterator<ClusterRef> {
    return this.#clusters.values();
  }
  get rules(): number {
    return this.#rules.size;
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

  /** All or nothing: throws ApplyError and changes nothing when an entry cannot be used. */
  apply(delta: Delta): void {
    const prepared = this.#prepare(delta.upserts);
    const undo: (() => void)[] = [];
    try {
      for (const rule of prepared.rules) this.#route(rule, undo);
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
    // From here on nothing refuses.
    for (const entry of prepared.cells) this.#setCells(entry.key, entry.blocks);
    for (const cluster of prepared.clusters) this.#setCluster(cluster);
    for (const rule of prepared.rules) this.#setRule(rule.entry.key, rule);
    for (const entry of prepared.listeners) this.listener(entry.key).setEntry(entry);
    for (const key of delta.removals) this.#remove(key);
    this.#forget();
  }

  /** Compiles what can be compiled without touching what is in use. */
  #prepare(upserts: readonly Entry[]): Prepared {
    const prepared: Prepared = { rules: [], clusters: [], listeners: [], cells: [] };
    for (const entry of upserts) {
      try {
        switch (entry.kind) {
          case 'rule':
            prepared.rules.push(this.#compileRule(entry));
            break;
          case 'cluster':
            prepared.clusters.push(this.#compileCluster(entry));
            break;
          case 'listener':
            prepared.listeners.push(entry);
            break;
          case 'cells':
            prepared.cells.push(entry);
            break;
          default:
            throw new Error(`unknown kind ${JSON.stringify((entry as Entry).kind)}`);
        }
      } catch (error) {
        throw new ApplyError(entry.key, error);
      }
    }
    return prepared;
  }

  #compileRule(entry: RuleEntry): CompiledRule {
    return new CompiledRule(entry, this.#cellsOf(entry.route), (key) => this.#refOf(key));
  }

  #compileCluster(entry: ClusterEntry): Cluster {
    const current = this.#clusters.get(entry.key)?.current ?? null;
    return new Cluster(this.#core, entry, current, this.#clusterBlocks.get(entry.key) ?? NO_BLOCKS);
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
    if (before !== undefined) {
      before.cells.uses--;
      for (const ref of before.clusters) ref.uses--;
    }
    if (rule === null) {
      this.#rules.delete(key);
      return;
    }
    rule.cells.uses++;
    for (const ref of rule.clusters) ref.uses++;
    this.#rules.set(key, rule);
  }

  #setCluster(cluster: Cluster): void {
    const ref = this.#refOf(cluster.entry.key);
    const previous = ref.current;
    cluster.install(previous);
    cluster.setCells(this.#clusterBlocks.get(cluster.entry.key) ?? NO_BLOCKS);
    ref.current = cluster;
  }

  #setCells(key: Key, blocks: Readonly<Record<string, number>>): void {
    if (key.startsWith(ROUTE_CELLS)) {
      this.#cellsOf(key.slice(ROUTE_CELLS.length)).route = blocks['route'] ?? OTHER_ROUTE_BLOCK;
      return;
    }
    const cluster = key.slice(CELLS.length);
    if (blocks === NO_BLOCKS) this.#clusterBlocks.delete(cluster);
    else this.#clusterBlocks.set(cluster, blocks);
    this.#clusters.get(cluster)?.current?.setCells(blocks);
  }

  #remove(key: Key): void {
    if (key.startsWith(CELLS)) {
      this.#setCells(key, NO_BLOCKS);
      return;
    }
    const rule = this.#rules.get(key);
    if (rule !== undefined) {
      for (const listenerKey of listenersOf(rule.entry)) this.listener(listenerKey).router.remove(key);
      this.#setRule(key, null);
      return;
    }
    const ref = this.#clusters.get(key);
    if (ref !== undefined) {
      ref.current?.retire();
      ref.current = null;
      return;
    }
    const listener = this.#listeners.get(key);
    if (listener !== undefined && listener.entry !== null) {
      listener.setEntry(null);
      this.#onRemoved(listener);
    }
  }

  /** Drops what nothing names any more. */
  #forget(): void {
    for (const [key, ref] of this.#clusters) if (ref.uses === 0 && ref.current === null) this.#clusters.delete(key);
    for (const [route, cells] of this.#routeCells) {
      if (cells.uses === 0 && cells.route === OTHER_ROUTE_BLOCK) this.#routeCells.delete(route);
    }
  }

  #refOf(key: Key): ClusterRef {
    let ref = this.#clusters.get(key);
    if (ref === undefined) {
      ref = new ClusterRef(key);
      this.#clusters.set(key, ref);
    }
    return ref;
  }

  #cellsOf(route: string): RouteCells {
    let cells = this.#routeCells.get(route);
    if (cells === undefined) {
      cells = new RouteCells();
      this.#routeCells.set(route, cells);
    }
    return cells;
  }
}

function listenersOf(entry: RuleEntry): ReadonlySet<Key> {
  return new Set(entry.attachments.map((attachment) => attachment.listener));
}

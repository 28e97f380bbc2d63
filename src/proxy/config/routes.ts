// Rules and relays in use: how they stand in the routers of their listeners, which clusters they hold, and the
// telemetry cells of their routes.

import type { Key, RelayEntry, RuleEntry } from '../../ir/ir.ts';
import { routeCellsKey } from '../../ir/keys.ts';
import { OTHER_ROUTE_BLOCK } from '../../telemetry/layout.ts';
import { ExternalAuths } from '../auth/external-auth.ts';
import type { Core } from '../core.ts';
import type { Decision } from '../exchange/decision.ts';
import { Mirrors } from '../exchange/mirror.ts';
import { CompiledRule, type Extras, NO_EXTRAS, RouteCells } from '../exchange/rule.ts';
import type { TapSource } from '../exchange/tap.ts';
import { CompiledRelay } from '../relay/relay.ts';
import type { Clusters } from './clusters.ts';
import { guarded, type Undo } from './refused.ts';
import type { Sockets } from './sockets.ts';

export class Routes {
  readonly #clusters: Clusters;
  readonly #sockets: Sockets;
  readonly #mirrors: Mirrors;
  readonly #auths: ExternalAuths;
  readonly #rules = new Map<Key, CompiledRule>();
  readonly #relays = new Map<Key, CompiledRelay>();
  /** By key of the CellsEntry. */
  readonly #cells = new Map<Key, RouteCells>();
  /** What may have lost its last user in the revision being applied. */
  readonly #looseCells = new Set<Key>();

  constructor(core: Core, clusters: Clusters, sockets: Sockets) {
    this.#mirrors = new Mirrors(core);
    this.#auths = new ExternalAuths(core);
    this.#clusters = clusters;
    this.#sockets = sockets;
  }

  get rules(): number {
    return this.#rules.size;
  }

  /** Of routes. */
  get cells(): number {
    return this.#cells.size;
  }

  /** Throws ApplyError. */
  compileRule(entry: RuleEntry): CompiledRule {
    return guarded(entry.key, () => {
      const cells = this.#cellsOf(routeCellsKey(entry.routeKind, entry.route));
      return new CompiledRule(entry, cells, (key) => this.#clusters.ref(key), this.#extrasOf(entry));
    });
  }

  compileRelay(entry: RelayEntry): CompiledRelay {
    const cells = this.#cellsOf(routeCellsKey(entry.routeKind, entry.route));
    return new CompiledRelay(entry, cells, (key) => this.#clusters.ref(key));
  }

  /**
   * Puts the rule into the routers of its listeners, and takes the one it replaces out of those it leaves. Throws
   * ApplyError.
   */
  route(rule: CompiledRule, undo: Undo): void {
    const { key } = rule.entry;
    const before = this.#rules.get(key);
    const keys = listenersOf(rule.entry);
    for (const listenerKey of keys) {
      const { router } = this.#sockets.listener(listenerKey);
      guarded(key, () => router.set(rule.entry, rule));
      undo.push(() => {
        router.remove(key);
        if (before !== undefined && listenersOf(before.entry).has(listenerKey)) router.set(before.entry, before);
      });
    }
    if (before === undefined) return;
    for (const listenerKey of listenersOf(before.entry)) {
      if (keys.has(listenerKey)) continue;
      const { router } = this.#sockets.listener(listenerKey);
      router.remove(key);
      undo.push(() => router.set(before.entry, before));
    }
  }

  /** The rule that `route` has put where it belongs is in use. */
  setRule(rule: CompiledRule): void {
    const { key } = rule.entry;
    const before = this.#rules.get(key);
    if (before !== undefined) this.#leave(before);
    hold(rule);
    this.#rules.set(key, rule);
  }

  removeRule(key: Key): void {
    const rule = this.#rules.get(key);
    if (rule === undefined) return;
    for (const listener of listenersOf(rule.entry)) this.#sockets.listener(listener).router.remove(key);
    this.#leave(rule);
    this.#rules.delete(key);
  }

  /** Sessions that began by what it replaces go on with what they have. */
  setRelay(relay: CompiledRelay): void {
    const { key } = relay.entry;
    this.removeRelay(key);
    hold(relay);
    this.#relays.set(key, relay);
    for (const listener of listenersOf(relay.entry)) this.#sockets.listener(listener).relays.set(relay);
  }

  removeRelay(key: Key): void {
    const relay = this.#relays.get(key);
    if (relay === undefined) return;
    this.#leave(relay);
    for (const listener of listenersOf(relay.entry)) this.#sockets.listener(listener).relays.remove(key);
    this.#relays.delete(key);
  }

  /** `key`: of the CellsEntry. */
  setCells(key: Key, block: number): void {
    this.#cellsOf(key).route = block;
    this.#looseCells.add(key);
  }

  /** Drops what nothing names any more. */
  forget(): void {
    for (const key of this.#looseCells) {
      const cells = this.#cells.get(key);
      if (cells?.uses === 0 && cells.route === OTHER_ROUTE_BLOCK) this.#cells.delete(key);
    }
    this.#looseCells.clear();
  }

  dispose(): void {
    this.#auths.stop();
    this.#mirrors.stop();
  }

  /** Who is asked is asked whatever the rule does then, unless it is broken; copies are of what goes to a backend. */
  #extrasOf({ filters, action }: RuleEntry): Extras {
    if (action.type === 'respond') return NO_EXTRAS;
    const decisions: Decision[] = [];
    const taps: TapSource[] = [];
    for (const filter of filters) {
      if (filter.type === 'externalAuth') {
        const cluster = filter.cluster === null ? null : this.#clusters.ref(filter.cluster);
        decisions.push(this.#auths.decision(filter, cluster));
      } else if (filter.type === 'mirror' && action.type === 'forward') {
        taps.push(this.#mirrors.source(this.#clusters.ref(filter.cluster), filter.share, filter.of));
      }
    }
    return decisions.length + taps.length === 0 ? NO_EXTRAS : { decisions, taps };
  }

  #leave({ cells, clusters, entry }: CompiledRule | CompiledRelay): void {
    cells.uses--;
    this.#looseCells.add(routeCellsKey(entry.routeKind, entry.route));
    for (const ref of clusters) this.#clusters.release(ref);
  }

  #cellsOf(key: Key): RouteCells {
    let cells = this.#cells.get(key);
    if (cells === undefined) {
      cells = new RouteCells();
      this.#cells.set(key, cells);
      this.#looseCells.add(key);
    }
    return cells;
  }
}

function hold({ cells, clusters }: CompiledRule | CompiledRelay): void {
  cells.uses++;
  for (const ref of clusters) ref.uses++;
}

function listenersOf(entry: RuleEntry | RelayEntry): ReadonlySet<Key> {
  return new Set(entry.attachments.map((attachment) => attachment.socket));
}

// Rules and relays in use: how they stand in the routers of their listeners, which clusters they hold, and the
// telemetry cells of their routes.

import { LIMITS } from '../../base/limits.ts';
import type { Key, RelayEntry, RuleEntry } from '../../ir/ir.ts';
import { routeCellsKey } from '../../ir/keys.ts';
import { OTHER_ROUTE_BLOCK } from '../../telemetry/layout.ts';
import { ExternalAuths } from '../auth/external-auth.ts';
import type { Core } from '../core.ts';
import type { Decision } from '../exchange/decision.ts';
import { Mirrors } from '../exchange/mirror.ts';
import { CompiledRule, type Extras, NO_EXTRAS, RouteCells } from '../exchange/rule.ts';
import type { TapSource } from '../exchange/tap.ts';
import type { Listener } from '../listener.ts';
import { CompiledRelay } from '../relay/relay.ts';
import { candidatesOf } from '../route/candidate.ts';
import { type Placed, Router } from '../route/router.ts';
import type { Clusters } from './clusters.ts';
import { KEY_WORK, type Pieces, placesOf, type Steps } from './pieces.ts';
import { guarded } from './refused.ts';
import type { Sockets } from './sockets.ts';

/** A rule of a revision. */
export interface PreparedRule extends Placed<CompiledRule> {
  readonly compiled: CompiledRule;
}

/** Where the rules of a revision go. */
export interface Placement {
  readonly rules: readonly PreparedRule[];
  /** Rules that leave a listener, with what goes or is another. */
  readonly leaving: readonly (readonly [listener: Key, rule: Key])[];
  /** What takes the place of routers that much changes in; null: little changes, in those that are in use. */
  readonly routers: ReadonlyMap<Listener, Router<CompiledRule>> | null;
}

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
  compileRule(entry: RuleEntry): PreparedRule {
    return guarded(entry.key, () => {
      const cells = this.#cellsOf(routeCellsKey(entry.routeKind, entry.route));
      const compiled = new CompiledRule(entry, cells, (key) => this.#clusters.ref(key), this.#extrasOf(entry));
      return { rule: entry, compiled, candidates: candidatesOf(entry, compiled) };
    });
  }

  compileRelay(entry: RelayEntry): CompiledRelay {
    const cells = this.#cellsOf(routeCellsKey(entry.routeKind, entry.route));
    return new CompiledRelay(entry, cells, (key) => this.#clusters.ref(key));
  }

  /**
   * Where the `rules` go, and what they and those `removed` leave. Much is put into routers beside those in use, which
   * take their place at once.
   */
  *place(rules: readonly PreparedRule[], removed: readonly Key[], pieces: Pieces): Steps<Placement> {
    const leaving: [Key, Key][] = [];
    const changed = new Set<Key>(removed);
    const listeners = new Set<Key>();
    let work = 0;
    const leaves = (key: Key, stays: ReadonlySet<Key>): void => {
      const before = this.#rules.get(key);
      if (before === undefined) return;
      work += placesOf(before.entry);
      for (const listener of listenersOf(before.entry)) {
        listeners.add(listener);
        if (!stays.has(listener)) leaving.push([listener, key]);
      }
    };
    for (const { rule } of rules) {
      work += placesOf(rule);
      changed.add(rule.key);
      const stays = listenersOf(rule);
      for (const listener of stays) listeners.add(listener);
      leaves(rule.key, stays);
      if (pieces.full(1)) yield;
    }
    for (const key of removed) {
      leaves(key, NO_LISTENERS);
      if (pieces.full(1)) yield;
    }
    if (work <= LIMITS.REVISION_WORK_PER_TURN) return { rules, leaving, routers: null };
    return { rules, leaving, routers: yield* this.#beside(rules, changed, listeners, pieces) };
  }

  /** Routers of `listeners` that hold the `rules`, and of those that are in use the ones that are not `changed`. */
  *#beside(
    rules: readonly PreparedRule[],
    changed: ReadonlySet<Key>,
    listeners: ReadonlySet<Key>,
    pieces: Pieces,
  ): Steps<Map<Listener, Router<CompiledRule>>> {
    const routers = new Map<Listener, Router<CompiledRule>>();
    for (const key of listeners) {
      const listener = this.#sockets.listener(key);
      const router = new Router<CompiledRule>(key);
      router.setHosts(listener.entry?.hosts ?? []);
      routers.set(listener, router);
      for (const placed of listener.router.placed) {
        if (changed.has(placed.rule.key)) continue;
        router.put(placed);
        if (pieces.full(placesOf(placed.rule))) yield;
      }
    }
    for (const placed of rules) {
      for (const key of listenersOf(placed.rule)) routers.get(this.#sockets.listener(key))?.put(placed);
      if (pieces.full(placesOf(placed.rule))) yield;
    }
    return routers;
  }

  /** Puts a revision's rules where they belong, all at once; returns the routers that have no use any more. */
  swap({ rules, leaving, routers }: Placement): readonly Router<CompiledRule>[] {
    if (routers !== null) {
      const old: Router<CompiledRule>[] = [];
      for (const [listener, router] of routers) {
        old.push(listener.router);
        listener.router = router;
      }
      return old;
    }
    for (const [listener, rule] of leaving) this.#sockets.listener(listener).router.remove(rule);
    for (const placed of rules) {
      for (const key of listenersOf(placed.rule)) this.#sockets.listener(key).router.put(placed);
    }
    return [];
  }

  /** What the rules of a revision hold they hold from now on; those that they replace, and those removed, no more. */
  *settle(rules: readonly PreparedRule[], removed: readonly Key[], pieces: Pieces): Steps {
    for (const { compiled } of rules) {
      const { key } = compiled.entry;
      const before = this.#rules.get(key);
      if (before !== undefined) this.#leave(before);
      hold(compiled);
      this.#rules.set(key, compiled);
      if (pieces.full(1)) yield;
    }
    for (const key of removed) {
      const rule = this.#rules.get(key);
      if (rule === undefined) continue;
      this.#leave(rule);
      this.#rules.delete(key);
      if (pieces.full(1)) yield;
    }
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
  *forget(pieces: Pieces): Steps {
    for (const key of this.#looseCells) {
      const cells = this.#cells.get(key);
      if (cells?.uses === 0 && cells.route === OTHER_ROUTE_BLOCK) this.#cells.delete(key);
      if (pieces.full(KEY_WORK)) yield;
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

const NO_LISTENERS: ReadonlySet<Key> = new Set();

function listenersOf(entry: RuleEntry | RelayEntry): ReadonlySet<Key> {
  return new Set(entry.attachments.map((attachment) => attachment.socket));
}

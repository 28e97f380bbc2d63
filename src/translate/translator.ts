// From the desired world to the data plane's configuration, the objects' statuses and what is wrong with them: pure and
// incremental. Work is cut into units (units.ts); each notes what it reads, and a change recomputes the units that read
// it. Between units stand three things only: the plan of sockets, which all Gateways share; a Gateway's view, which its
// routes read; and counts, of a cluster's users and a listener's routes.

import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { Entry, Ir } from '../ir/ir.ts';
import { bucketsOf } from '../store/index.ts';
import type { Changes, World } from '../store/world.ts';
import type { Status } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import type { Unit } from './dependencies.ts';
import type { Generated } from './exposure.ts';
import { type SocketFaults, unopenedListeners } from './gateway-status.ts';
import { setStatusUnit } from './listener-set-units.ts';
import type { Early, Update } from './output.ts';
import { State, shadowsUnit, statusUnit } from './state.ts';
import { objectOf } from './unit.ts';
import { FIRST_TOLD, socketsOf, UNITS } from './units.ts';
import { ownerOf, type Unsent, unsentSockets } from './unsent.ts';

const KINDS = new Map(UNITS.map((kind) => [kind.kind, kind]));
const PHASES = Math.max(...UNITS.map(({ phase }) => phase)) + 1;

export class Translator {
  readonly #state: State;
  /** Buckets that each object lay in when last seen: a change touches those it left as well. */
  readonly #buckets = new Map<ObjectKey, readonly string[]>();
  /** Why sockets could not be opened, by key. */
  #unopened: SocketFaults = new Map();
  /** By phase: units to be computed in the update being made. */
  readonly #dirty: readonly Set<Unit>[] = Array.from({ length: PHASES }, () => new Set<Unit>());

  constructor(options: TranslatorOptions) {
    this.#state = new State(options, (unit) => {
      const kind = KINDS.get(kindOf(unit));
      if (kind !== undefined) (this.#dirty[kind.phase] as Set<Unit>).add(unit);
    });
  }

  /** The whole configuration as of the last update. */
  get ir(): Ir {
    return this.#state.out.entries;
  }
  get statuses(): ReadonlyMap<ObjectKey, Status> {
    return this.#state.out.statuses;
  }
  get generated(): ReadonlyMap<ObjectKey, Generated> {
    return this.#state.out.generated;
  }
  get diagnostics(): ReadonlyMap<ObjectKey, readonly Problem[]> {
    return this.#state.out.diagnostics;
  }

  /**
   * By kind that is fetched by reference, the keys that are read now, where that has changed since this was last asked.
   */
  takeWanted(): Map<string, ReadonlySet<ObjectKey>> {
    return this.#state.takeWanted();
  }

  /** To be called before the first update, by who comes after another: what that one handed out, and is served. */
  succeed(served: Iterable<Entry>): void {
    this.#state.incumbents = socketsOf(served);
  }

  /**
   * Everything there was at the start is taken in and goes out. From now on whoever has a hostname keeps it against
   * Gateways of its age; before, the order in which objects come means nothing.
   */
  settle(): void {
    this.#state.incumbents = null;
  }

  /** Takes in what changed in `world`. Never throws: what cannot be translated is a diagnostic of its object. */
  update(world: World, changes: Changes, early: Early | null = null): Update {
    for (const key of changes.keys) this.#touch(world, key);
    this.#state.early = early;
    const update = this.#compute(world);
    this.#state.early = null;
    return update;
  }

  /** Takes in which sockets of the last update could not be opened: all of them, at each change. */
  sockets(world: World, faults: SocketFaults): Update {
    this.#unopened = faults;
    this.#takeFaults();
    return this.#compute(world);
  }

  /** Takes in which entries of the last update were too large to be handed on: all of them, at each change. */
  unsent(world: World, unsent: Unsent): Update {
    const state = this.#state;
    const before = state.unsent;
    state.unsent = unsent;
    for (const key of new Set([...before.keys(), ...unsent.keys()])) {
      const owner = ownerOf(key);
      if (owner === null || before.get(key) === unsent.get(key)) continue;
      state.mark(key.startsWith('endpoints/') ? key : shadowsUnit(owner));
    }
    this.#takeFaults();
    return this.#compute(world);
  }

  #takeFaults(): void {
    const state = this.#state;
    const before = state.socketFaults;
    const faults = new Map([...this.#unopened, ...unsentSockets(state.unsent)]);
    state.socketFaults = faults;
    for (const [key, { plan }] of state.gateways) {
      const keys = plan.placements.flatMap(({ sockets }) => sockets);
      if (keys.some((socket) => !equal(before.get(socket), faults.get(socket)))) state.mark(statusUnit(key));
    }
    for (const [key, { plan }] of state.listenerSets) {
      const keys = plan.placements.flatMap(({ sockets }) => sockets);
      if (keys.some((socket) => !equal(before.get(socket), faults.get(socket)))) state.mark(setStatusUnit(key));
    }
  }

  /**
   * Of the last update's sockets: how many there are, how many are open, and what is said of listeners that lack some.
   */
  openness(): { readonly sockets: number; readonly open: number; readonly unopened: readonly string[] } {
    const { plan, socketFaults, gateways, listenerSets, shared } = this.#state;
    const all = shared === null ? [...gateways.values()] : [...gateways.values(), shared];
    const sets = [...listenerSets.values()].flatMap(({ draft, plan }) => {
      const gateway = gateways.get(draft.gateway)?.draft;
      return gateway === undefined ? [] : unopenedListeners(gateway, draft, plan, socketFaults);
    });
    const sockets = [...plan.entries.values()].filter(({ kind }) => kind === 'socket');
    return {
      sockets: sockets.length,
      open: sockets.filter(({ key }) => !socketFaults.has(key)).length,
      unopened: [...all.flatMap(({ draft, plan }) => unopenedListeners(draft, draft, plan, socketFaults)), ...sets],
    };
  }

  #compute(world: World): Update {
    const { early } = this.#state;
    for (const [phase, units] of this.#dirty.entries()) {
      if (phase === FIRST_TOLD) early?.entries();
      for (const unit of units) {
        this.#guarded(world, unit);
        if (phase >= FIRST_TOLD) early?.between();
      }
      units.clear();
    }
    return this.#state.out.take();
  }

  /** Marks every unit that a changed object can reach. */
  #touch(world: World, key: ObjectKey): void {
    const object = objectOf(world, key);
    const buckets = object === undefined ? [] : bucketsOf(object);
    const state = this.#state;
    state.mark(key);
    state.changed(key);
    for (const bucket of this.#buckets.get(key) ?? []) state.changed(bucket);
    for (const bucket of buckets) state.changed(bucket);
    if (buckets.length > 0) this.#buckets.set(key, buckets);
    else this.#buckets.delete(key);
  }

  /** The last line: a fault of ours costs one object and says so, and no neighbour. */
  #guarded(world: World, unit: Unit): void {
    const { update, objectOf: of } = KINDS.get(kindOf(unit)) as (typeof UNITS)[number];
    try {
      update(this.#state, world, unit);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const object = of === undefined ? unit : of(unit);
      this.#state.out.diagnose(object, [
        { severity: 'error', message: `Cannot be translated: ${why}`, place: { object } },
      ]);
    }
  }
}

function kindOf(unit: Unit): string {
  return unit.slice(0, unit.indexOf('/'));
}

// From the desired world to the data plane's configuration, the objects' statuses and what is wrong with them: pure and
// incremental. Work is cut into units (a class, a Gateway, a route, a cluster); each notes what it reads, and a change
// recomputes the units that read it. Between units stand three things only: the plan of sockets, which all Gateways
// share; a Gateway's view, which its routes read; and counts, of a cluster's users and a listener's routes.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import type { ClusterEntry, Delta, Entry, Ir, Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { bucketsOf } from '../store/index.ts';
import type { Changes, World } from '../store/world.ts';
import { translateEndpoints } from './backend.ts';
import type { Status } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import type { Fact, Unit } from './dependencies.ts';
import { compare, Dependencies, Reader } from './dependencies.ts';
import type { GatewayDraft, GatewayPlan, GatewayView } from './gateway.ts';
import { draftGateway, gatewayStatus, planProblems, viewOf } from './gateway.ts';
import { translateClass } from './gateway-class.ts';
import type { RouteResult } from './http-route.ts';
import { translateHttpRoute } from './http-route.ts';
import type { Plan } from './sockets.ts';
import { planSockets } from './sockets.ts';

/** What one revision changes. Statuses and diagnostics are whole per object; null or [] takes back what was said before. */
export interface Update {
  readonly delta: Delta;
  readonly statuses: ReadonlyMap<ObjectKey, Status | null>;
  /** By the object they are about. */
  readonly diagnostics: ReadonlyMap<ObjectKey, readonly Problem[]>;
}

interface Gateway {
  readonly draft: GatewayDraft;
  /** Of the draft by itself. */
  readonly problems: readonly Problem[];
  view: GatewayView | null;
  plan: GatewayPlan;
  /** Accepted routes by listener name. */
  readonly attached: Map<string, number>;
}

/** The fact that stands for a Gateway's view: it changes when the view does. */
function viewFact(gateway: ObjectKey): Fact {
  return `view of ${gateway}`;
}

const NO_PLAN: Plan = { gateways: new Map(), entries: new Map() };
const UNPLANNED: GatewayPlan = { addresses: { bound: [], status: [], fault: null }, placements: [] };

export class Translator {
  readonly #options: TranslatorOptions;
  readonly #dependencies = new Dependencies();
  /** Buckets that each object lay in when last seen: a change touches those it left as well. */
  readonly #buckets = new Map<ObjectKey, readonly string[]>();

  readonly #entries = new Map<Key, Entry>();
  readonly #statuses = new Map<ObjectKey, Status>();
  readonly #diagnostics = new Map<ObjectKey, readonly Problem[]>();

  readonly #gateways = new Map<ObjectKey, Gateway>();
  readonly #routes = new Map<ObjectKey, RouteResult>();
  /** How many routes send to each; equal keys are equal entries. */
  readonly #clusters = new Map<Key, { readonly entry: ClusterEntry; readonly users: number }>();
  /** Clusters that are made of each key of endpoints. */
  readonly #endpointsUsers = new Map<Key, number>();
  readonly #endpointsProblems = new Map<ObjectKey, Map<Key, readonly Problem[]>>();
  #plan: Plan = NO_PLAN;

  // One update's work, empty between updates.
  readonly #dirtyClasses = new Set<ObjectKey>();
  readonly #dirtyGateways = new Set<ObjectKey>();
  readonly #dirtyRoutes = new Set<ObjectKey>();
  readonly #dirtyClusters = new Set<Key>();
  readonly #dirtyEndpoints = new Set<Key>();
  readonly #dirtyStatuses = new Set<ObjectKey>();
  // (Each entry belongs to one unit, and a unit is computed once: no key comes up twice.)
  #upserts: Entry[] = [];
  #removals: Key[] = [];
  #changedStatuses = new Map<ObjectKey, Status | null>();
  #changedDiagnostics = new Map<ObjectKey, readonly Problem[]>();

  constructor(options: TranslatorOptions) {
    this.#options = options;
  }

  /** The whole configuration as of the last update. */
  get ir(): Ir {
    return this.#entries;
  }
  get statuses(): ReadonlyMap<ObjectKey, Status> {
    return this.#statuses;
  }
  get diagnostics(): ReadonlyMap<ObjectKey, readonly Problem[]> {
    return this.#diagnostics;
  }

  /** Takes in what changed in `world`. Never throws: what cannot be translated is a diagnostic of its object. */
  update(world: World, changes: Changes): Update {
    this.#upserts = [];
    this.#removals = [];
    this.#changedStatuses = new Map();
    this.#changedDiagnostics = new Map();

    for (const key of changes.keys) this.#touch(world, key);
    for (const key of this.#dirtyClasses) this.#guard(key, () => this.#updateClass(world, key));
    let replan = false;
    for (const key of this.#dirtyGateways) {
      this.#guard(key, () => {
        if (this.#updateGateway(world, key)) replan = true;
      });
    }
    if (replan) this.#place();
    for (const key of this.#dirtyRoutes) this.#guard(key, () => this.#updateRoute(world, key));
    for (const key of this.#dirtyClusters) this.#updateCluster(key);
    for (const key of this.#dirtyEndpoints) this.#guard(key, () => this.#updateEndpoints(world, key));
    for (const key of this.#dirtyStatuses) this.#guard(key, () => this.#updateGatewayStatus(key));

    this.#dirtyClasses.clear();
    this.#dirtyGateways.clear();
    this.#dirtyRoutes.clear();
    this.#dirtyClusters.clear();
    this.#dirtyEndpoints.clear();
    this.#dirtyStatuses.clear();
    return {
      delta: { upserts: this.#upserts, removals: this.#removals },
      statuses: this.#changedStatuses,
      diagnostics: this.#changedDiagnostics,
    };
  }

  /** Marks every unit that a changed object can reach. */
  #touch(world: World, key: ObjectKey): void {
    const object = objectOf(world, key);
    const buckets = object === undefined ? [] : bucketsOf(object);
    this.#mark(key);
    for (const reader of this.#dependencies.readersOf(key)) this.#mark(reader);
    for (const bucket of this.#buckets.get(key) ?? []) this.#markReaders(bucket);
    for (const bucket of buckets) this.#markReaders(bucket);
    if (buckets.length > 0) this.#buckets.set(key, buckets);
    else this.#buckets.delete(key);
  }

  #markReaders(fact: Fact): void {
    for (const unit of this.#dependencies.readersOf(fact)) this.#mark(unit);
  }

  #mark(unit: Unit): void {
    switch (kindOf(unit)) {
      case 'GatewayClass':
        this.#dirtyClasses.add(unit);
        break;
      case 'Gateway':
        this.#dirtyGateways.add(unit);
        break;
      case 'HTTPRoute':
        this.#dirtyRoutes.add(unit);
        break;
      case 'endpoints':
        this.#dirtyEndpoints.add(unit);
        break;
    }
  }

  /** The last line: a fault of ours costs one object and says so, and no neighbour. */
  #guard(unit: Unit, work: () => void): void {
    try {
      work();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const object = objectOfEndpoints(unit) ?? unit;
      this.#setDiagnostics(object, [{ severity: 'error', message: `Cannot be translated: ${why}`, place: { object } }]);
    }
  }

  #updateClass(world: World, key: ObjectKey): void {
    const object = objectOf(world, key);
    if (object === undefined) {
      this.#dependencies.forget(key);
      this.#setStatus(key, null);
      this.#setDiagnostics(key, []);
      return;
    }
    const reader = new Reader(world);
    const { status, problems } = translateClass(reader, object, this.#options);
    this.#dependencies.set(key, reader.facts);
    this.#setStatus(key, status);
    this.#setDiagnostics(key, problems.found);
  }

  /** Whether the Gateway's claim on sockets may have changed. */
  #updateGateway(world: World, key: ObjectKey): boolean {
    const object = objectOf(world, key);
    const before = this.#gateways.get(key);
    let draft: GatewayDraft | null = null;
    let problems: readonly Problem[] = [];
    if (object === undefined) this.#dependencies.forget(key);
    else {
      const reader = new Reader(world);
      const result = draftGateway(reader, object, this.#options);
      this.#dependencies.set(key, reader.facts);
      problems = result.problems.found;
      draft = result.draft;
    }
    if (draft === null) {
      this.#setDiagnostics(key, problems);
      if (before === undefined) return false;
      this.#gateways.delete(key);
      this.#setStatus(key, null);
      this.#markReaders(viewFact(key));
      return true;
    }
    if (before !== undefined && equal(before.draft, draft) && equal(before.problems, problems)) return false;
    this.#gateways.set(key, {
      draft,
      problems,
      view: before?.view ?? null,
      plan: before?.plan ?? UNPLANNED,
      attached: before?.attached ?? new Map(),
    });
    this.#dirtyStatuses.add(key);
    return true;
  }

  /** Plans the sockets anew and passes on what came out differently. */
  #place(): void {
    const plan = planSockets(
      [...this.#gateways.values()].map(({ draft }) => draft),
      this.#options,
    );
    for (const key of this.#plan.entries.keys()) if (!plan.entries.has(key)) this.#remove(key);
    for (const entry of plan.entries.values()) this.#upsert(entry);
    this.#plan = plan;
    for (const [key, gateway] of this.#gateways) {
      const mine = plan.gateways.get(key) ?? UNPLANNED;
      if (!equal(mine, gateway.plan)) {
        gateway.plan = mine;
        this.#dirtyStatuses.add(key);
      }
      const view = viewOf(gateway.draft, mine);
      if (equal(view, gateway.view)) continue;
      gateway.view = view;
      this.#markReaders(viewFact(key));
    }
  }

  #updateRoute(world: World, key: ObjectKey): void {
    const object = objectOf(world, key);
    const before = this.#routes.get(key);
    let after: RouteResult | undefined;
    if (object === undefined) {
      this.#dependencies.forget(key);
      this.#routes.delete(key);
    } else {
      const reader = new Reader(world);
      after = translateHttpRoute(reader, (r, gateway) => this.#view(r, gateway), object, this.#options);
      this.#dependencies.set(key, reader.facts);
      this.#routes.set(key, after);
    }
    const kept = new Set<Key>(after?.entries.map((entry) => entry.key));
    for (const entry of before?.entries ?? []) if (!kept.has(entry.key)) this.#remove(entry.key);
    for (const entry of after?.entries ?? []) this.#upsert(entry);
    for (const { gateway, listener } of before?.attached ?? []) this.#count(gateway, listener, -1);
    for (const { gateway, listener } of after?.attached ?? []) this.#count(gateway, listener, 1);
    for (const cluster of after?.clusters ?? []) this.#use(cluster, 1);
    for (const cluster of before?.clusters ?? []) this.#use(cluster, -1);
    this.#setStatus(key, after?.status ?? null);
    this.#setDiagnostics(key, after?.problems.found ?? []);
  }

  #view(reader: Reader, gateway: ObjectKey): GatewayView | undefined {
    reader.note(viewFact(gateway));
    return this.#gateways.get(gateway)?.view ?? undefined;
  }

  #count(gateway: ObjectKey, listener: string, by: number): void {
    const attached = this.#gateways.get(gateway)?.attached;
    // A Gateway that went took its counts along.
    if (attached === undefined) return;
    const count = (attached.get(listener) ?? 0) + by;
    if (count > 0) attached.set(listener, count);
    else attached.delete(listener);
    this.#dirtyStatuses.add(gateway);
  }

  #use(cluster: ClusterEntry, by: number): void {
    const users = (this.#clusters.get(cluster.key)?.users ?? 0) + by;
    if (users > 0) this.#clusters.set(cluster.key, { entry: cluster, users });
    else this.#clusters.delete(cluster.key);
    this.#dirtyClusters.add(cluster.key);
  }

  #updateCluster(key: Key): void {
    const before = this.#entries.get(key);
    const after = this.#clusters.get(key)?.entry;
    if (before?.kind === 'cluster' && before.endpoints !== after?.endpoints) this.#useEndpoints(before.endpoints, -1);
    if (after === undefined) this.#remove(key);
    else {
      if (before?.kind !== 'cluster' || before.endpoints !== after.endpoints) this.#useEndpoints(after.endpoints, 1);
      this.#upsert(after);
    }
  }

  #useEndpoints(key: Key, by: number): void {
    const users = (this.#endpointsUsers.get(key) ?? 0) + by;
    if (users > 0) this.#endpointsUsers.set(key, users);
    else this.#endpointsUsers.delete(key);
    this.#dirtyEndpoints.add(key);
  }

  #updateEndpoints(world: World, key: Key): void {
    const reader = new Reader(world);
    const result = this.#endpointsUsers.has(key) ? translateEndpoints(reader, key) : null;
    if (result === null) {
      this.#dependencies.forget(key);
      this.#remove(key);
      this.#setEndpointsProblems(key, []);
      return;
    }
    this.#dependencies.set(key, reader.facts);
    this.#upsert(result.entry);
    this.#setEndpointsProblems(key, result.problems.found);
  }

  /** Several may be of one object (the ports of a Service): what is wrong with it is said once. */
  #setEndpointsProblems(key: Key, problems: readonly Problem[]): void {
    const object = objectOfEndpoints(key) as ObjectKey;
    const byKey = this.#endpointsProblems.get(object) ?? new Map<Key, readonly Problem[]>();
    if (problems.length > 0) byKey.set(key, problems);
    else byKey.delete(key);
    if (byKey.size > 0) this.#endpointsProblems.set(object, byKey);
    else this.#endpointsProblems.delete(object);
    const sorted = [...byKey].sort(([a], [b]) => compare(a, b));
    this.#setDiagnostics(
      object,
      sorted.flatMap(([, found]) => found),
    );
  }

  #updateGatewayStatus(key: ObjectKey): void {
    const gateway = this.#gateways.get(key);
    if (gateway === undefined) return;
    const { draft, plan, attached, problems } = gateway;
    this.#setStatus(key, gatewayStatus(draft, plan, attached));
    this.#setDiagnostics(key, [...problems, ...planProblems(draft, plan)]);
  }

  #upsert(entry: Entry): void {
    if (equal(this.#entries.get(entry.key), entry)) return;
    this.#entries.set(entry.key, entry);
    this.#upserts.push(entry);
  }

  #remove(key: Key): void {
    if (!this.#entries.delete(key)) return;
    this.#removals.push(key);
  }

  #setStatus(key: ObjectKey, status: Status | null): void {
    if (status === null) {
      if (this.#statuses.delete(key)) this.#changedStatuses.set(key, null);
    } else if (!equal(this.#statuses.get(key), status)) {
      this.#statuses.set(key, status);
      this.#changedStatuses.set(key, status);
    }
  }

  #setDiagnostics(key: ObjectKey, problems: readonly Problem[]): void {
    if (problems.length === 0) {
      if (this.#diagnostics.delete(key)) this.#changedDiagnostics.set(key, []);
    } else if (!equal(this.#diagnostics.get(key), problems)) {
      this.#diagnostics.set(key, problems);
      this.#changedDiagnostics.set(key, problems);
    }
  }
}

/** What the endpoints under `key` are of; null when it is a key of something else. */
function objectOfEndpoints(key: Key): ObjectKey | null {
  const parsed = parseKey(key);
  return parsed.kind === 'endpoints' ? objectKey(parsed.objectKind, parsed.namespace, parsed.name) : null;
}

function kindOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

function objectOf(world: World, key: ObjectKey): KubeObject | undefined {
  const [kind, namespace, ...name] = key.split('/');
  return world.get(kind as string, namespace, name.join('/'));
}

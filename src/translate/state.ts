// What the translator remembers between updates, besides what it has handed out (output.ts): what each unit read, the
// drafts and the plan, and who uses what.

import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import type { ClusterEntry, Key, RelayEntry, RuleEntry, SocketEntry } from '../ir/ir.ts';
import type { World } from '../store/world.ts';
import type { GatewayAddress } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import type { Fact, Unit } from './dependencies.ts';
import { Dependencies, Reader } from './dependencies.ts';
import type { Exposed } from './exposure.ts';
import type { GatewayDraft, GatewayPlan, GatewayView } from './gateway.ts';
import type { SocketFaults } from './gateway-status.ts';
import type { IngressDraft, IngressView, SharedDraft } from './ingress.ts';
import type { IngressRules } from './ingress-rule.ts';
import type { ListenerSetDraft } from './listener-set.ts';
import { type Early, Output } from './output.ts';
import type { Claim, Rival, Rivals } from './rivals.ts';
import type { RouteResult } from './route.ts';
import { Shadows } from './shadows.ts';
import type { Plan } from './sockets.ts';
import type { Unsent } from './unsent.ts';

export interface GatewayState {
  readonly draft: GatewayDraft;
  /** Of the draft by itself. */
  readonly problems: readonly Problem[];
  view: GatewayView | null;
  plan: GatewayPlan;
  /** Accepted routes by listener name. */
  readonly attached: Map<string, number>;
}

export interface ListenerSetState {
  readonly draft: ListenerSetDraft;
  /** Of the draft by itself. */
  readonly problems: readonly Problem[];
  view: GatewayView | null;
  plan: GatewayPlan;
  /** Accepted routes by listener name. */
  readonly attached: Map<string, number>;
  /** Whether it counts among those that are attached to its Gateway. */
  accepted: boolean;
}

interface RuleSet {
  readonly entries: readonly (RuleEntry | RelayEntry)[];
  readonly clusters: readonly ClusterEntry[];
}

export interface IngressState {
  readonly draft: IngressDraft;
  /** Of the draft by itself. */
  readonly problems: readonly Problem[];
}

/** What Ingresses ask for together, and got. */
export interface SharedState extends SharedDraft {
  readonly plan: GatewayPlan;
  readonly view: IngressView;
}

/** The facts that stand for where Ingress rules can be put: on port 80, and on port 443 under a hostname. */
export const INGRESS_HTTP: Fact = 'ingress over http';
/** Where Ingresses are reached. */
export const INGRESS_REACH: Fact = 'where ingresses are reached';
export function ingressFact(hostname: string): Fact {
  return `ingress over https for ${hostname}`;
}

/** The fact that stands for the view of a Gateway or ListenerSet: it changes when the view does. */
export function viewFact(gateway: ObjectKey): Fact {
  return `view of ${gateway}`;
}

/** The status of a Gateway is a unit of its own: it follows from routes and sockets as well. */
export function statusUnit(gateway: ObjectKey): Unit {
  return `gatewayStatus/${gateway}`;
}

/** What is said of a route or Ingress follows from others with the same matches as well. */
export function shadowsUnit(object: ObjectKey): Unit {
  return `shadows/${object}`;
}

export function rulesOf(set: RuleSet | undefined): readonly RuleEntry[] {
  return (set?.entries ?? []).filter((entry) => entry.kind === 'rule');
}

export class State {
  readonly options: TranslatorOptions;
  readonly out = new Output();
  readonly gateways = new Map<ObjectKey, GatewayState>();
  /** Of Gateways of ours. */
  readonly listenerSets = new Map<ObjectKey, ListenerSetState>();
  /** What is made for each Gateway of ours. */
  readonly exposed = new Map<ObjectKey, Exposed>();
  /** Gateways whose Service would have that key. */
  readonly claims = new Map<ObjectKey, Set<ObjectKey>>();
  /** As handed out. */
  readonly routes = new Map<ObjectKey, RouteResult>();
  /** Translated in this update and not handed out yet; null: it is no more. */
  readonly routeDrafts = new Map<ObjectKey, RouteResult | null>();
  /** By listener, what HTTPRoutes and GRPCRoutes ask for there. */
  readonly rivals = new Map<string, Rivals>();
  /** By listener, routes that do not get it. */
  readonly losers = new Map<string, ReadonlyMap<ObjectKey, Rival>>();
  readonly shadows = new Shadows();
  /** Of those that are ours. */
  readonly ingresses = new Map<ObjectKey, IngressState>();
  /** What they ask for, and what they got; null while there is none. */
  wishes: SharedDraft | null = null;
  shared: SharedState | null = null;
  ingressAddresses: readonly GatewayAddress[] = [];
  /** What Ingresses came to. */
  readonly ingressRules = new Map<ObjectKey, IngressRules>();
  /** What is wrong with them by themselves. */
  readonly ingressProblems = new Map<ObjectKey, readonly Problem[]>();
  /** How many routes send to each; equal keys are equal entries. */
  readonly clusters = new Map<Key, { readonly entry: ClusterEntry; readonly users: number }>();
  /** Clusters that are made of each key of endpoints. */
  readonly endpointsUsers = new Map<Key, number>();
  /** What names each key of trust or of a certificate: clusters, and the plan of sockets. */
  readonly tlsUsers = new Map<Key, number>();
  /**
   * For each policy of backends the Gateways whose routes have to do with it, and how many of each; that of Ingresses
   * among them.
   */
  readonly policyGateways = new Map<ObjectKey, Map<ObjectKey, number>>();
  readonly endpointsProblems = new Map<ObjectKey, Map<Key, readonly Problem[]>>();
  plan: Plan = { gateways: new Map(), entries: new Map(), certificates: new Set() };
  /** Sockets whose holders keep them against Gateways of their age; null: those of the plan. */
  incumbents: readonly SocketEntry[] | null = [];
  socketFaults: SocketFaults = new Map();
  /** Entries that were too large to be handed on. */
  unsent: Unsent = new Map();
  /** Of the update being made. */
  early: Early | null = null;
  readonly #dependencies = new Dependencies();
  readonly #mark: (unit: Unit) => void;

  /** `mark`: the unit is to be computed in this update. */
  constructor(options: TranslatorOptions, mark: (unit: Unit) => void) {
    this.options = options;
    this.#mark = mark;
  }

  mark(unit: Unit): void {
    this.#mark(unit);
  }

  /** Marks all units that read `fact`. */
  changed(fact: Fact): void {
    for (const unit of this.#dependencies.readersOf(fact)) this.#mark(unit);
  }

  /** Computes something of `unit`; it depends on what is read for it from now on. */
  read<T>(world: World, unit: Unit, compute: (reader: Reader) => T): T {
    const reader = new Reader(world);
    const result = compute(reader);
    this.#dependencies.set(unit, reader.facts);
    this.#markUses();
    return result;
  }

  /** Whether something that is served needs the object. */
  isUsed(object: ObjectKey): boolean {
    return this.#dependencies.isUsed(object);
  }

  /** What may have to be said of an object that came into use, or is used no more. */
  #markUses(): void {
    for (const object of this.#dependencies.takeUses()) this.mark(object);
  }

  /** By kind that is fetched by reference, the keys that are read now, where that has changed. */
  takeWanted(): Map<string, ReadonlySet<ObjectKey>> {
    return this.#dependencies.takeWanted();
  }

  /** What routes of that kind ask for at a listener. */
  rivalsAt(listener: string, kind: keyof Rivals): Map<ObjectKey, Claim> {
    const rivals = this.rivals.get(listener) ?? { HTTPRoute: new Map(), GRPCRoute: new Map() };
    this.rivals.set(listener, rivals);
    return rivals[kind];
  }

  /** Hands out the rules of an object in place of those before, and counts who uses which cluster. */
  replaceRules(before: RuleSet | undefined, after: RuleSet | undefined): void {
    for (const object of this.shadows.replace(rulesOf(before), rulesOf(after))) this.mark(shadowsUnit(object));
    this.out.replace(before?.entries ?? [], after?.entries ?? []);
    for (const cluster of after?.clusters ?? []) {
      const users = this.clusters.get(cluster.key)?.users ?? 0;
      this.clusters.set(cluster.key, { entry: cluster, users: users + 1 });
      this.mark(cluster.key);
    }
    for (const { key: cluster } of before?.clusters ?? []) this.#leave(cluster);
  }

  #leave(cluster: Key): void {
    const before = this.clusters.get(cluster);
    if (before === undefined) return;
    if (before.users > 1) this.clusters.set(cluster, { entry: before.entry, users: before.users - 1 });
    else this.clusters.delete(cluster);
    this.mark(cluster);
  }

  /** `unit` is no more, and depends on nothing. */
  forget(unit: Unit): void {
    this.#dependencies.forget(unit);
    this.#markUses();
  }
}

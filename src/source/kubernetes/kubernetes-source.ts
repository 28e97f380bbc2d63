// Resources from an API server: every kind that is served, followed by reflectors; kinds that are not installed are
// waited for; of Secrets and ConfigMaps only those that something refers to.

import { groupOf, isOwnGroup, kindInfo } from '../../api/kinds.ts';
import type { KubeObject, ObjectKey } from '../../api/object.ts';
import { objectKey } from '../../api/object.ts';
import type { Problem } from '../../api/problem.ts';
import { checkObject } from '../../api/schema.ts';
import type { KindInfo } from '../../api/shape.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { one, tight } from '../../base/tight.ts';
import type { Source, SourceSink } from '../source.ts';
import { backoffMs } from './backoff.ts';
import { collectionPath, discover, type Served } from './discovery.ts';
import { Named } from './named.ts';
import { Own, type OwnPlace } from './own.ts';
import {
  type Collection,
  type RawName,
  type RawObject,
  Reflector,
  type ReflectorTools,
  type RelistCause,
} from './reflector.ts';
import { Unfollowed } from './unfollowed.ts';

export interface KubernetesOptions {
  /** Kinds that are followed as a whole. */
  readonly kinds: readonly KindInfo[];
  /** Kinds of which only what is wanted is fetched. */
  readonly named: readonly KindInfo[];
  /** Empty: all of them. */
  readonly namespaces: readonly string[];
  /** The only GatewayClass that counts; null: every one. */
  readonly gatewayClass: string | null;
  readonly own: OwnPlace;
}

/** How it stands with one kind. */
export interface KindHealth {
  readonly kind: string;
  /** Null: not installed, or not known yet. */
  readonly apiVersion: string | null;
  readonly synced: boolean;
  /** Why the server is not followed just now, or null. */
  readonly reason: string | null;
  /** Milliseconds since the last event; null: none yet. */
  readonly lastEventAgoMs: number | null;
  readonly relists: ReadonlyMap<RelistCause, number>;
  readonly objects: number;
}

/** The installed Gateway API says its version and channel there (GEP-1709, annotations of its definitions). */
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const DEFINITION = 'gatewayclasses.gateway.networking.k8s.io';
const DEFINED_KIND = 'GatewayClass';
const BEHIND = 'its definition is installed, but the API server does not serve it yet';

/** We may not. */
function isRefused({ health }: Reflector): boolean {
  return health.reason?.startsWith('Forbidden') === true;
}

/** Whether a server knows the kind by a definition only. */
function isDefinedKind(kind: string): boolean {
  const info = kindInfo(kind);
  return info !== undefined && isOwnGroup(groupOf(info.apiVersion));
}

interface Followed {
  readonly info: KindInfo;
  /** Null: not installed, as far as is known. */
  served: Served | null;
  reflectors: readonly Reflector[];
  /** When it was first not found any more; null while it is. */
  doubtedMs: number | null;
}

export class KubernetesSource implements Source {
  readonly #options: KubernetesOptions;
  readonly #tools: ReflectorTools;
  readonly #followed: readonly Followed[];
  readonly #named: readonly Named[];
  readonly #definition: Reflector;
  readonly #own: Own;
  readonly #unfollowed: Unfollowed;
  #sink: SourceSink | null = null;
  #synced = false;
  /** All kinds that are followed as a whole have been delivered, and what they refer to is known. */
  #settled = false;
  #cancelSettling: (() => void) | null = null;
  #cancelReading: (() => void) | null = null;
  #stopped = false;
  #discovered = false;
  /** Since when the server does not serve what its own definitions say that there is; null: it does. */
  #behindMs: number | null = null;
  /** When it last said what it serves. */
  #lookedMs = 0;
  /** A definition of the Gateway API stands, and is not being deleted. */
  #isDefined = false;
  #discovering = false;
  #again = false;
  #failures = 0;
  /** Why the kinds are not known. */
  #reason = 'not asked yet';
  #cancelDiscovery: (() => void) | null = null;

  constructor(options: KubernetesOptions, tools: ReflectorTools) {
    this.#options = options;
    this.#tools = tools;
    this.#followed = options.kinds.map((info) => ({ info, served: null, reflectors: [], doubtedMs: null }));
    this.#named = options.named.map(
      (info) =>
        new Named(info.kind, options.namespaces, (namespace, name) => {
          const served: Served = {
            apiVersion: info.apiVersion,
            plural: `${info.kind.toLowerCase()}s`,
            namespaced: true,
          };
          return this.#reflector(info, served, namespace, name, (raw) => this.#wanted(info.kind, raw));
        }),
    );
    this.#own = new Own(
      options.own,
      {
        apply: (objects, gone) => this.#sink?.apply(objects, gone),
        changed: () => this.#changed(),
      },
      tools,
    );
    this.#unfollowed = new Unfollowed(
      tools.timers,
      () => this.#following(),
      (problems) => this.#sink?.problems('kubernetes', problems),
    );
    this.#definition = new Reflector(
      {
        kind: 'CustomResourceDefinition',
        apiVersion: 'apiextensions.k8s.io/v1',
        path: DEFINITIONS,
        fieldSelector: `metadata.name=${DEFINITION}`,
        metadataOnly: true,
      },
      {
        apply: (objects, gone) => this.#definitions(objects, gone),
        changed: () => this.#changed(),
        missing: () => this.#changed(),
      },
      tools,
    );
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.#definition.start();
    this.#own.start();
    void this.#discover();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelDiscovery?.();
    this.#cancelSettling?.();
    this.#cancelReading?.();
    this.#unfollowed.stop();
    this.#own.stop();
    for (const reflector of this.#reflectors()) reflector.stop();
  }

  rescan(): void {
    for (const reflector of this.#reflectors()) reflector.relist('asked');
    void this.#discover();
  }

  /** Of `kind` exactly these are wanted from now on (keys as objectKey makes them). */
  want(kind: string, keys: Iterable<ObjectKey>): void {
    const named = this.#named.find((n) => n.kind === kind);
    for (const key of named?.want(keys) ?? []) this.#sink?.apply([], [key]);
  }

  /** Path of an object in the API server; null: its kind is not served (any more). */
  pathOf({ kind, metadata }: KubeObject): string | null {
    const served = this.#followed.find((f) => f.info.kind === kind)?.served ?? null;
    if (served === null) return null;
    return `${collectionPath(served, served.namespaced ? (metadata.namespace ?? null) : null)}/${metadata.name}`;
  }

  health(): KindHealth[] {
    const now = this.#tools.now();
    return [
      ...this.#followed.map(({ info, served, reflectors }) => this.#healthOf(info.kind, served, reflectors, now)),
      ...this.#named.map((named) => {
        const served = { apiVersion: 'v1', plural: '', namespaced: true };
        return this.#healthOf(named.kind, served, named.reflectors, now);
      }),
      ...this.#ownHealth(now),
    ];
  }

  /** `KIND: REASON` of the first kind that has not been delivered yet; null: everything has. */
  waiting(): string | null {
    if (this.#synced) return null;
    if (this.#isBehind()) return `${DEFINED_KIND}: ${BEHIND}`;
    const kind = this.health().find((k) => !k.synced && (k.apiVersion !== null || !this.#discovered));
    if (kind !== undefined) return `${kind.kind}: ${kind.reason ?? 'being listed'}`;
    return this.#mayBeBehind() ? `${DEFINED_KIND}: whether it is installed` : null;
  }

  /** Of the kinds that there are, or may be as far as is known. */
  *#following(): Iterable<{ kind: string; synced: boolean; reason: string | null }> {
    const behind = this.#isBehind();
    for (const { kind, apiVersion, synced, reason } of this.health()) {
      const asked = this.#discovered ? behind && isDefinedKind(kind) : this.#failures > 0;
      const expected = apiVersion !== null || asked;
      yield { kind, synced, reason: expected ? reason : null };
    }
  }

  #ownHealth(now: number): KindHealth[] {
    if (this.#options.own.pod === null) return [];
    const { reflector, reason } = this.#own;
    const served = { apiVersion: 'v1', plural: 'pods', namespaced: true };
    const health = this.#healthOf('Pod', served, reflector === null ? [] : [reflector], now);
    return [reflector === null ? { ...health, synced: false, reason } : health];
  }

  #healthOf(kind: string, served: Served | null, reflectors: readonly Reflector[], now: number): KindHealth {
    const relists = new Map<RelistCause, number>();
    let last: number | null = null;
    let objects = 0;
    for (const { health, names } of reflectors) {
      for (const [cause, n] of health.relists) relists.set(cause, (relists.get(cause) ?? 0) + n);
      if (health.lastEventMs !== null) last = Math.max(last ?? 0, health.lastEventMs);
      objects += names.size;
    }
    const failing = reflectors.find((r) => r.health.reason !== null)?.health.reason ?? null;
    return {
      kind,
      apiVersion: served?.apiVersion ?? null,
      synced: served !== null && reflectors.every((r) => r.health.synced),
      reason: served === null ? (this.#discovered ? this.#absent(kind) : this.#reason) : failing,
      lastEventAgoMs: last === null ? null : Math.round(now - last),
      relists,
      objects,
    };
  }

  // ---- which kinds there are

  async #discover(): Promise<void> {
    this.#cancelDiscovery?.();
    this.#cancelDiscovery = null;
    if (this.#discovering) {
      this.#again = true;
      return;
    }
    this.#discovering = true;
    const found = await discover((q) => this.#tools.client.ask(q), this.#options.kinds);
    this.#discovering = false;
    if (this.#stopped) return;
    if ('code' in found) {
      this.#failures++;
      // A server that comes back may have begun anew.
      if (this.#behindMs !== null) this.#behindMs = this.#tools.now();
      this.#reason = `${found.reason}: ${found.message}`;
      this.#unfollowed.changed();
      const asked = Math.min(found.retryAfterMs ?? 0, LIMITS.KUBERNETES_RETRY_MAX_MS);
      this.#later(Math.max(asked, backoffMs(this.#failures, this.#tools.random())));
      return;
    }
    this.#failures = 0;
    this.#discovered = true;
    const isKnown = found.has(DEFINED_KIND) || !this.#followed.some(({ info }) => info.kind === DEFINED_KIND);
    this.#lookedMs = this.#tools.now();
    this.#behindMs = isKnown ? null : (this.#behindMs ?? this.#lookedMs);
    for (const followed of this.#followed) this.#found(followed, found.get(followed.info.kind));
    if (this.#again) {
      this.#again = false;
      void this.#discover();
    } else if (this.#mayBeBehind()) this.#later(LIMITS.KUBERNETES_BEHIND_LOOK_MS * (0.5 + this.#tools.random()));
    else if (this.#followed.some((f) => f.doubtedMs !== null)) this.#later(LIMITS.KUBERNETES_MISSING_MS);
    else if (this.#followed.some((f) => f.served === null))
      this.#later(LIMITS.KUBERNETES_MISSING_MS * (0.5 + this.#tools.random()));
    this.#changed();
  }

  /** Its definition stands, and the server does not serve it: it has just begun, or is one of several and behind. */
  #isBehind(): boolean {
    return this.#behindMs !== null && this.#isDefined;
  }

  /**
   * The same at a start, while what is not served may be all there is: for a while, or until it is known that there is
   * no definition. Who may not see definitions waits for as long as a kind has to be missing.
   */
  #mayBeBehind(): boolean {
    if (this.#behindMs === null) return false;
    const waitedMs = this.#lookedMs - this.#behindMs;
    if (this.#isDefined) return this.#synced || waitedMs < LIMITS.KUBERNETES_BEHIND_MS;
    if (this.#synced || this.#definition.health.synced || this.#definition.ended) return false;
    return waitedMs < (isRefused(this.#definition) ? LIMITS.KUBERNETES_MISSING_MS : LIMITS.KUBERNETES_BEHIND_MS);
  }

  #absent(kind: string): string {
    return this.#isBehind() && isDefinedKind(kind) ? BEHIND : 'not installed';
  }

  #later(ms: number): void {
    this.#cancelDiscovery?.();
    this.#cancelDiscovery = this.#tools.timers.after(ms, () => void this.#discover());
  }

  #found(followed: Followed, served: Served | undefined): void {
    const before = followed.served;
    if (before !== null && served === undefined && !this.#isGone(followed)) return;
    followed.doubtedMs = null;
    if (before !== null && served !== undefined && before.apiVersion === served.apiVersion) {
      // It may have been away for a moment, and its reflectors have ended over it.
      for (const reflector of followed.reflectors) if (reflector.ended) reflector.start();
      return;
    }
    const old = followed.reflectors;
    for (const reflector of old) {
      reflector.stop();
      if (served === undefined) this.#deliver(followed.info, before as Served, [], [...reflector.names]);
    }
    followed.served = served ?? null;
    followed.reflectors = served === undefined ? [] : this.#follow(followed.info, served);
    followed.reflectors.forEach((reflector, i) => {
      // Another version of a kind delivers the same objects again.
      reflector.adopt(old[i]?.names ?? []);
      reflector.start();
    });
  }

  /**
   * A server that has just begun may not know its kinds yet, and one of several may be behind: what it holds of them
   * is all that is served. Where a definition is really deleted, its objects are, too, one by one.
   */
  #isGone(followed: Followed): boolean {
    const now = this.#tools.now();
    followed.doubtedMs ??= now;
    if (this.#isBehind() && isDefinedKind(followed.info.kind)) return false;
    return now - followed.doubtedMs >= LIMITS.KUBERNETES_MISSING_MS;
  }

  #follow(info: KindInfo, served: Served): Reflector[] {
    const { namespaces, gatewayClass } = this.#options;
    if (info.kind === 'GatewayClass' && gatewayClass !== null)
      return [this.#reflector(info, served, null, gatewayClass)];
    if (namespaces.length === 0) return [this.#reflector(info, served, null, null)];
    if (served.namespaced) return namespaces.map((namespace) => this.#reflector(info, served, namespace, null));
    if (info.kind === 'Namespace') return namespaces.map((name) => this.#reflector(info, served, null, name));
    return [this.#reflector(info, served, null, null)];
  }

  #reflector(
    info: KindInfo,
    served: Served,
    namespace: string | null,
    name: string | null,
    counts: (raw: RawName) => boolean = () => true,
  ): Reflector {
    const collection: Collection = {
      kind: info.kind,
      apiVersion: served.apiVersion,
      path: collectionPath(served, namespace),
      ...(name === null ? {} : { fieldSelector: `metadata.name=${name}` }),
    };
    return new Reflector(
      collection,
      {
        apply: (objects, gone) =>
          this.#deliver(
            info,
            served,
            objects.filter(({ metadata }) => counts(`${metadata.namespace ?? ''}/${metadata.name}`)),
            gone,
          ),
        changed: () => this.#changed(),
        missing: () => void this.#discover(),
      },
      this.#tools,
    );
  }

  #changed(): void {
    for (const named of this.#named) named.prune();
    this.#unfollowed.changed();
    this.#maybeSynced();
  }

  // ---- what comes

  #deliver(info: KindInfo, served: Served, objects: readonly RawObject[], gone: readonly RawName[]): void {
    const upserts: KubeObject[] = [];
    const removals: ObjectKey[] = gone.map((name) => `${info.kind}/${name}`);
    for (const key of removals) this.#complain(key, []);
    for (const raw of objects) {
      const key = objectKey(info.kind, raw.metadata.namespace, raw.metadata.name);
      // The server has pruned what it does not know. What only we do not know may narrow what a route matches: it is
      // told, for the Gateway API's own kinds; of the others we know only what we need.
      const own = isOwnGroup(groupOf(info.apiVersion));
      const value = { ...raw, apiVersion: served.apiVersion, kind: info.kind };
      const checked = checkObject(value, { lenient: true, accepted: true });
      this.#complain(
        key,
        checked.problems.filter((p) => p.severity === 'error' || own),
      );
      if (checked.object !== null) upserts.push(kept(checked.object));
      else removals.push(key);
    }
    if (upserts.length > 0 || removals.length > 0) this.#sink?.apply(upserts, removals);
  }

  readonly #complained = new Set<ObjectKey>();
  #complain(key: ObjectKey, problems: readonly Problem[]): void {
    if (problems.length === 0 && !this.#complained.delete(key)) return;
    if (problems.length > 0) this.#complained.add(key);
    this.#sink?.problems(`kubernetes ${key}`, problems);
  }

  #wanted(kind: string, raw: RawName): boolean {
    return this.#named.find((n) => n.kind === kind)?.wants(`${kind}/${raw}`) === true;
  }

  #definitions(objects: readonly RawObject[], gone: readonly RawName[]): void {
    if (gone.length > 0) this.#isDefined = false;
    for (const { metadata } of objects) this.#isDefined = fields(metadata)['deletionTimestamp'] === undefined;
    const upserts = objects.map(({ metadata }): KubeObject => {
      const { name, annotations } = metadata as KubeObject['metadata'];
      return {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name, ...(annotations === undefined ? {} : { annotations }) },
      };
    });
    this.#sink?.apply(
      upserts,
      gone.map((name) => `CustomResourceDefinition/${name}`),
    );
    // It came, went or changed: so may have the kinds.
    if (this.#discovered) void this.#discover();
  }

  #maybeSynced(): void {
    if (this.#synced || !this.#discovered || this.#mayBeBehind()) return;
    if (this.#followed.some((f) => f.reflectors.some((r) => !r.health.synced))) return;
    if (!this.#settled) {
      // What is delivered becomes a revision after REVISION_MAX_MS at the latest, and only then is known what it refers
      // to.
      this.#cancelSettling ??= this.#tools.timers.after(LIMITS.REVISION_MAX_MS, () => {
        this.#settled = true;
        this.#maybeSynced();
      });
      return;
    }
    // A Secret that may not be read is like one that is not there: whoever refers to it is told so.
    if (
      this.#named.some((n) => n.reflectors.some((r) => !r.health.synced && !isRefused(r) && !this.#isUnreadable(r)))
    ) {
      this.#cancelReading ??= this.#tools.timers.after(LIMITS.KUBERNETES_UNREAD_LOOK_MS, () => {
        this.#cancelReading = null;
        this.#maybeSynced();
      });
      return;
    }
    if (!this.#own.settled) return;
    this.#synced = true;
    this.#sink?.synced();
  }

  /**
   * One object that the server itself cannot read (encrypted with a key that is lost, say), while it answers all other
   * questions, is not to keep everybody else from being served.
   */
  #isUnreadable({ health: { failingMs } }: Reflector): boolean {
    if (failingMs === null || this.#tools.now() - failingMs < LIMITS.KUBERNETES_UNREAD_MS) return false;
    return this.#followed.every(({ reflectors }) => reflectors.every(({ health }) => health.reason === null));
  }

  *#reflectors(): Iterable<Reflector> {
    yield this.#definition;
    for (const { reflectors } of this.#followed) yield* reflectors;
    for (const { reflectors } of this.#named) yield* reflectors;
    if (this.#own.reflector !== null) yield this.#own.reflector;
  }
}

/**
 * As it stays in memory: thousands of objects say the same words, and routes of one Gateway that were written within a
 * second have the same status.
 */
function kept(object: KubeObject): KubeObject {
  const small = tight(object);
  return small.status === undefined ? small : { ...small, status: one(small.status) };
}

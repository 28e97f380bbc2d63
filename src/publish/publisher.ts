// Turns what the translator changed into one revision on the config stream: entries as bytes, the cells they count in, the
// sockets they need. Equal bytes are no change, so a controller that comes back says nothing new when nothing is new.

import { LIMITS } from '../base/limits.ts';
import {
  type CellsEntry,
  type ClusterEntry,
  type Delta,
  type Entry,
  type Key,
  type ListenerEntry,
  STATE_PREFIX,
} from '../ir/ir.ts';
import type { CellBook } from './cells.ts';

/** Where a revision goes. */
export interface Downstream {
  begin(revision: number): void;
  put(key: Key, value: Buffer): void;
  remove(key: Key): void;
  sockets(listeners: readonly ListenerEntry[]): void;
  commit(revision: number): void;
}

/** Its key stands in the same frame. */
const LARGEST_ENTRY = LIMITS.FRAME_BYTES - 4096;

export class Publisher {
  readonly #out: Downstream;
  readonly #book: CellBook;
  readonly #encode: (entry: Entry) => Buffer;
  readonly #refused: (key: Key, bytes: number) => void;
  /** What the keeper has. */
  readonly #sent = new Map<Key, Buffer>();
  readonly #listeners = new Map<Key, ListenerEntry>();
  /** Rules of each route, endpoints of each cluster: to see when the last one goes. */
  readonly #rules = new Map<string, Set<Key>>();
  readonly #routeOf = new Map<Key, string>();
  readonly #clusters = new Map<Key, ClusterEntry>();
  /** Routes that lost their last rule in the revision being made. */
  readonly #gone = new Set<string>();
  #revision = 0;

  /** `refused` is told of an entry that is too large to be sent, with its size in bytes. */
  constructor(
    out: Downstream,
    book: CellBook,
    encode: (entry: Entry) => Buffer,
    refused: (key: Key, bytes: number) => void,
  ) {
    this.#out = out;
    this.#book = book;
    this.#encode = encode;
    this.#refused = refused;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Takes over what the keeper has; to be called before the first `publish`, which then must be given everything. */
  adopt(entries: ReadonlyMap<Key, Buffer>, revision: number): void {
    this.#revision = revision;
    for (const [key, value] of entries) this.#sent.set(key, value);
    const prefix = `${STATE_PREFIX}cells/`;
    this.#book.restore(
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value.toString()] as const),
      revision,
    );
  }

  /** The first revision after `adopt`: `entries` is all there is, whatever else the keeper has goes. */
  publishAll(entries: readonly Entry[]): number {
    const routes = new Set(entries.flatMap((e) => (e.kind === 'rule' ? [e.route] : [])));
    const endpoints = new Set(
      entries.flatMap((e) => (e.kind === 'cluster' ? e.endpoints.map((p) => endpointOwner(e, p.id)) : [])),
    );
    const revision = this.#revision + 1;
    for (const { owner } of [...this.#book.owners('route')])
      if (!routes.has(owner)) this.#book.release('route', owner, revision);
    for (const { owner } of [...this.#book.owners('endpoint')])
      if (!endpoints.has(owner)) this.#book.release('endpoint', owner, revision);
    const keep = new Set(
      entries.flatMap((e) => (e.kind === 'rule' ? [e.key, routeCellsKey(e.route)] : [e.key, `cells/${e.key}`])),
    );
    const removals = [...this.#sent.keys()].filter((key) => !key.startsWith(STATE_PREFIX) && !keep.has(key));
    return this.publish({ upserts: entries, removals });
  }

  /** Sends `delta` as a revision of its own; returns its number, or the present one when nothing is new. */
  publish(delta: Delta): number {
    const revision = this.#revision + 1;
    const change = new Map<Key, Buffer | null>();
    let sockets = false;
    for (const key of delta.removals) {
      change.set(key, null);
      if (this.#listeners.delete(key)) sockets = true;
      this.#forgetRule(key);
      this.#forgetCluster(key, revision, change);
    }
    for (const entry of delta.upserts) {
      const value = this.#encode(entry);
      if (value.length > LARGEST_ENTRY) {
        // It cannot travel: whatever stood under its key goes, its neighbours are not harmed.
        this.#refused(entry.key, value.length);
        change.set(entry.key, null);
        continue;
      }
      change.set(entry.key, value);
      if (entry.kind === 'listener') {
        this.#listeners.set(entry.key, entry);
        sockets = true;
      } else if (entry.kind === 'rule') this.#keepRule(entry.key, entry.route, change);
      else if (entry.kind === 'cluster') this.#keepCluster(entry, change, revision);
    }
    for (const route of this.#gone) {
      if (this.#rules.has(route)) continue;
      this.#book.release('route', route, revision);
      change.set(routeCellsKey(route), null);
    }
    this.#gone.clear();
    for (const [key, value] of this.#book.changes())
      change.set(`${STATE_PREFIX}cells/${key}`, value === null ? null : Buffer.from(value));
    return this.#send(revision, change, sockets);
  }

  #send(revision: number, change: ReadonlyMap<Key, Buffer | null>, sockets: boolean): number {
    const news = [...change].filter(([key, value]) => {
      const before = this.#sent.get(key);
      return value === null ? before !== undefined : before === undefined || !before.equals(value);
    });
    if (news.length === 0 && !sockets) return this.#revision;
    this.#out.begin(revision);
    if (sockets) this.#out.sockets([...this.#listeners.values()]);
    for (const [key, value] of news) {
      if (value === null) {
        this.#sent.delete(key);
        this.#out.remove(key);
      } else {
        this.#sent.set(key, value);
        this.#out.put(key, value);
      }
    }
    this.#revision = revision;
    this.#out.commit(revision);
    return revision;
  }

  #keepRule(key: Key, route: string, change: Map<Key, Buffer | null>): void {
    const before = this.#routeOf.get(key);
    if (before !== undefined && before !== route) this.#forgetRule(key);
    this.#routeOf.set(key, route);
    let rules = this.#rules.get(route);
    if (rules === undefined) {
      rules = new Set();
      this.#rules.set(route, rules);
      const entry: CellsEntry = {
        kind: 'cells',
        key: routeCellsKey(route),
        blocks: { route: this.#book.assign('route', route) },
      };
      change.set(entry.key, this.#encode(entry));
    }
    rules.add(key);
  }

  #forgetRule(key: Key): void {
    const route = this.#routeOf.get(key);
    if (route === undefined) return;
    this.#routeOf.delete(key);
    const rules = this.#rules.get(route) as Set<Key>;
    rules.delete(key);
    if (rules.size > 0) return;
    this.#rules.delete(route);
    this.#gone.add(route);
  }

  #keepCluster(entry: ClusterEntry, change: Map<Key, Buffer | null>, revision: number): void {
    const before = this.#clusters.get(entry.key);
    this.#clusters.set(entry.key, entry);
    const ids = new Set(entry.endpoints.map((e) => e.id));
    for (const e of before?.endpoints ?? [])
      if (!ids.has(e.id)) this.#book.release('endpoint', endpointOwner(before as ClusterEntry, e.id), revision);
    const blocks: Record<string, number> = {};
    for (const id of [...ids].sort()) blocks[id] = this.#book.assign('endpoint', endpointOwner(entry, id));
    const cells: CellsEntry = { kind: 'cells', key: `cells/${entry.key}`, blocks };
    change.set(cells.key, this.#encode(cells));
  }

  #forgetCluster(key: Key, revision: number, change: Map<Key, Buffer | null>): void {
    const before = this.#clusters.get(key);
    if (before === undefined) return;
    this.#clusters.delete(key);
    for (const e of before.endpoints) this.#book.release('endpoint', endpointOwner(before, e.id), revision);
    change.set(`cells/${key}`, null);
  }

  get clusters(): ReadonlyMap<Key, ClusterEntry> {
    return this.#clusters;
  }
}

export function routeCellsKey(route: string): Key {
  return `cells/route/${route}`;
}

/** Name of an endpoint's block: the cluster's key and the endpoint's id. */
export function endpointOwner(cluster: ClusterEntry, id: string): string {
  return `${cluster.key} ${id}`;
}

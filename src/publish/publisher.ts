// Turns what the translator changed into one revision on the config stream: entries as bytes, the cells they count in,
// the sockets they need. Equal bytes are no change, so a controller that comes back says nothing new when nothing is
// new.

import { hash } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import type {
  CellsEntry,
  ClusterEntry,
  Delta,
  Endpoint,
  Entry,
  Key,
  RelayEntry,
  RuleEntry,
  SocketEntry,
} from '../ir/ir.ts';
import { clusterCellsKey, isSocketKey, parseKey, routeCellsKey, STATE_PREFIX } from '../ir/keys.ts';
import type { CellBook } from './cells.ts';

/** Where a revision goes. */
export interface Downstream {
  begin(revision: number): void;
  put(key: Key, value: Buffer): void;
  remove(key: Key): void;
  sockets(sockets: readonly SocketEntry[]): void;
  commit(revision: number): void;
  /** Tries to get on with what is on its way: nobody else does while this process is busy. */
  push(): void;
}

/** A cluster and where it is to be found. */
export interface Backend {
  readonly cluster: ClusterEntry;
  readonly endpoints: readonly Endpoint[];
}

/** Its key stands in the same frame. */
const LARGEST_ENTRY = LIMITS.FRAME_BYTES - 4096;

export class Publisher {
  readonly #out: Downstream;
  readonly #book: CellBook;
  readonly #encode: (entry: Entry) => Buffer;
  readonly #refused: (key: Key, bytes: number) => void;
  /** Entries that are too large to be sent, with their bytes. */
  readonly #unsent = new Map<Key, number>();
  #unsentChanged = false;
  /** What the keeper has: of each value its digest, which is all that is asked of it, and a tenth of the memory. */
  readonly #sent = new Map<Key, string>();
  readonly #sockets = new Map<Key, SocketEntry>();
  /** How many rules each route has, by the key of its cells: to see when the last one goes. */
  readonly #rules = new Map<Key, number>();
  readonly #cellsOf = new Map<Key, Key>();
  readonly #clusters = new Map<Key, Backend>();
  readonly #endpoints = new Map<Key, readonly Endpoint[]>();
  /** Clusters that are made of each key of endpoints. */
  readonly #users = new Map<Key, Set<Key>>();

  // ---- of the revision being made, empty between revisions
  /** Cells of routes that lost their last rule. */
  readonly #goneRoutes = new Set<Key>();
  /** Clusters whose endpoints may be others. */
  readonly #changedClusters = new Set<Key>();
  /** What went before the rest was there, by key. */
  readonly #ahead = new Map<Key, Entry>();
  /** Something of it has been sent, and so its beginning. */
  #begun = false;
  /** Of that something is a socket. */
  #socketsChanged = false;
  #revision = 0;
  /** What is to be remembered, and has not been sent. */
  readonly #memory = new Map<Key, Buffer | null>();

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

  /** No socket is asked for: nothing is served. */
  get idle(): boolean {
    return this.#sockets.size === 0;
  }

  /** Takes over what the keeper has; to be called before the first `publish`, which then must be given everything. */
  adopt(entries: ReadonlyMap<Key, Buffer>, revision: number): void {
    this.#revision = revision;
    for (const [key, value] of entries) this.#sent.set(key, digest(value));
    const prefix = `${STATE_PREFIX}cells/`;
    this.#book.restore(
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value.toString()] as const),
      revision,
    );
  }

  /**
   * Something that the next controller of this program is to know, by name; null forgets it. Goes with the next
   * revision.
   */
  remember(name: string, value: string | null): void {
    this.#memory.set(`${STATE_PREFIX}${name}`, value === null ? null : Buffer.from(value));
  }

  /**
   * Sends what will probably be in the next revision, so that whoever reads it need not wait for the rest; what is not
   * in it then, `publishAll` takes back within it.
   */
  ahead(entry: Entry): void {
    if (this.#ahead.get(entry.key) === entry) return;
    const value = this.#encode(entry);
    if (value.length > LARGEST_ENTRY) return;
    this.#ahead.set(entry.key, entry);
    this.#send(entry.key, value, this.#revision + 1);
  }

  /** Of what was sent: what did not go at once may go now. */
  push(): void {
    this.#out.push();
  }

  /** The first revision after `adopt`: `entries` is all there is, whatever else the keeper has goes. */
  publishAll(entries: readonly Entry[]): number {
    const endpoints = new Map(entries.flatMap((e) => (e.kind === 'endpoints' ? [[e.key, e.endpoints] as const] : [])));
    const keep = new Set<Key>();
    const owners = new Set<string>();
    for (const entry of entries) {
      keep.add(entry.key);
      if (entry.kind === 'rule' || entry.kind === 'relay') {
        const cells = cellsOfRule(entry);
        keep.add(cells);
        owners.add(cells);
      } else if (entry.kind === 'cluster') {
        keep.add(clusterCellsKey(entry.key));
        for (const { id } of endpoints.get(entry.endpoints) ?? []) owners.add(endpointOwner(entry, id));
      }
    }
    for (const kind of ['route', 'endpoint'] as const) {
      for (const { owner } of [...this.#book.owners(kind)]) {
        if (!owners.has(owner)) this.#book.release(kind, owner, this.#revision + 1);
      }
    }
    const removals = [...this.#sent.keys()].filter((key) => !key.startsWith(STATE_PREFIX) && !keep.has(key));
    return this.publish({ upserts: entries, removals });
  }

  /**
   * Sends `delta` as a revision of its own; returns its number, or the present one when nothing is new. Each entry goes
   * as soon as it is bytes, so that whoever reads them need not wait for the last.
   */
  publish(delta: Delta): number {
    const revision = this.#revision + 1;
    for (const key of delta.removals) {
      this.#noteUnsent(key, null);
      this.#takeBack(key, revision);
    }
    for (const entry of delta.upserts) {
      if (this.#ahead.get(entry.key) === entry) continue;
      const value = this.#encode(entry);
      if (value.length > LARGEST_ENTRY) {
        // It cannot travel: whatever stood under its key goes, its neighbours are not harmed.
        this.#refused(entry.key, value.length);
        this.#noteUnsent(entry.key, value.length);
        this.#takeBack(entry.key, revision);
        continue;
      }
      this.#noteUnsent(entry.key, null);
      this.#send(entry.key, value, revision);
      if (entry.kind === 'socket') this.#sockets.set(entry.key, entry);
      else this.#keep(entry, revision);
    }
    for (const key of this.#changedClusters) this.#assignEndpoints(key, revision);
    this.#changedClusters.clear();
    for (const key of this.#goneRoutes) {
      if (this.#rules.has(key)) continue;
      this.#book.release('route', key, revision);
      this.#send(key, null, revision);
    }
    this.#goneRoutes.clear();
    for (const [key, value] of this.#book.changes())
      this.#send(`${STATE_PREFIX}cells/${key}`, value === null ? null : Buffer.from(value), revision);
    for (const [key, value] of this.#memory) this.#send(key, value, revision);
    this.#memory.clear();
    this.#ahead.clear();
    return this.#end(revision);
  }

  /** Nothing stands under `key` any more. */
  #takeBack(key: Key, revision: number): void {
    this.#send(key, null, revision);
    this.#sockets.delete(key);
    this.#forget(key, revision);
  }

  /** Entries that were too large to be sent, with their bytes: all of them, where that has changed since last asked. */
  takeUnsent(): ReadonlyMap<Key, number> | null {
    if (!this.#unsentChanged) return null;
    this.#unsentChanged = false;
    return new Map(this.#unsent);
  }

  /** `bytes`: null for one that is not too large, or is no more. */
  #noteUnsent(key: Key, bytes: number | null): void {
    if (bytes === null) {
      if (this.#unsent.delete(key)) this.#unsentChanged = true;
    } else if (this.#unsent.get(key) !== bytes) {
      this.#unsent.set(key, bytes);
      this.#unsentChanged = true;
    }
  }

  /** What stands under `key` in `revision`; null: nothing any more. Goes out if the keeper has something else there. */
  #send(key: Key, value: Buffer | null, revision: number): void {
    if (!this.#note(key, value)) return;
    this.#begin(revision);
    // Also one that went while no controller was there: what the keeper has decides, not what this one remembers.
    if (isSocketKey(key)) this.#socketsChanged = true;
    if (value === null) this.#out.remove(key);
    else this.#out.put(key, value);
  }

  #begin(revision: number): void {
    if (!this.#begun) this.#out.begin(revision);
    this.#begun = true;
  }

  #end(revision: number): number {
    // The first one goes out even when it says nothing: that there is nothing is news then.
    if (this.#revision === 0) this.#begin(revision);
    if (!this.#begun) return this.#revision;
    if (this.#socketsChanged) this.#out.sockets([...this.#sockets.values()]);
    this.#begun = false;
    this.#socketsChanged = false;
    this.#revision = revision;
    this.#out.commit(revision);
    return revision;
  }

  /** Notes that the keeper has `value` from now on; false if it had it already. */
  #note(key: Key, value: Buffer | null): boolean {
    if (value === null) return this.#sent.delete(key);
    const now = digest(value);
    if (this.#sent.get(key) === now) return false;
    this.#sent.set(key, now);
    return true;
  }

  /** Notes what the cells of the revision follow from. */
  #keep(entry: Entry, revision: number): void {
    if (entry.kind === 'rule' || entry.kind === 'relay') this.#keepRule(entry, revision);
    else if (entry.kind === 'cluster') this.#keepCluster(entry);
    else if (entry.kind === 'endpoints') {
      this.#endpoints.set(entry.key, entry.endpoints);
      this.#changeUsers(entry.key);
    }
  }

  #forget(key: Key, revision: number): void {
    this.#forgetRule(key);
    this.#forgetCluster(key, revision);
    if (this.#endpoints.delete(key)) this.#changeUsers(key);
  }

  #keepRule(entry: RuleEntry | RelayEntry, revision: number): void {
    const cells = cellsOfRule(entry);
    const before = this.#cellsOf.get(entry.key);
    if (before === cells) return;
    if (before !== undefined) this.#forgetRule(entry.key);
    this.#cellsOf.set(entry.key, cells);
    const rules = this.#rules.get(cells) ?? 0;
    this.#rules.set(cells, rules + 1);
    if (rules === 0) {
      const blocks = { route: this.#book.assign('route', cells) };
      this.#send(cells, this.#encode({ kind: 'cells', key: cells, blocks }), revision);
    }
  }

  #forgetRule(key: Key): void {
    const cells = this.#cellsOf.get(key);
    if (cells === undefined) return;
    this.#cellsOf.delete(key);
    const rules = (this.#rules.get(cells) as number) - 1;
    if (rules > 0) {
      this.#rules.set(cells, rules);
      return;
    }
    this.#rules.delete(cells);
    this.#goneRoutes.add(cells);
  }

  #keepCluster(entry: ClusterEntry): void {
    const before = this.#clusters.get(entry.key);
    if (before !== undefined) this.#leave(before.cluster);
    this.#clusters.set(entry.key, { cluster: entry, endpoints: before?.endpoints ?? [] });
    const users = this.#users.get(entry.endpoints);
    if (users === undefined) this.#users.set(entry.endpoints, new Set([entry.key]));
    else users.add(entry.key);
    this.#changedClusters.add(entry.key);
  }

  #forgetCluster(key: Key, revision: number): void {
    const before = this.#clusters.get(key);
    if (before === undefined) return;
    this.#clusters.delete(key);
    this.#leave(before.cluster);
    for (const { id } of before.endpoints) this.#book.release('endpoint', endpointOwner(before.cluster, id), revision);
    this.#send(clusterCellsKey(key), null, revision);
  }

  /** `cluster` is no longer made of its endpoints. */
  #leave(cluster: ClusterEntry): void {
    const users = this.#users.get(cluster.endpoints);
    users?.delete(cluster.key);
    if (users?.size === 0) this.#users.delete(cluster.endpoints);
  }

  #changeUsers(endpoints: Key): void {
    for (const cluster of this.#users.get(endpoints) ?? []) this.#changedClusters.add(cluster);
  }

  /** Gives each endpoint of the cluster a block of cells, and takes back those of endpoints that left. */
  #assignEndpoints(key: Key, revision: number): void {
    const before = this.#clusters.get(key);
    if (before === undefined) return;
    const { cluster } = before;
    const endpoints = this.#endpoints.get(cluster.endpoints) ?? [];
    this.#clusters.set(key, { cluster, endpoints });
    const ids = new Set(endpoints.map(({ id }) => id));
    for (const { id } of before.endpoints) {
      if (!ids.has(id)) this.#book.release('endpoint', endpointOwner(cluster, id), revision);
    }
    const blocks: Record<string, number> = {};
    for (const id of ids) blocks[id] = this.#book.assign('endpoint', endpointOwner(cluster, id));
    const cells: CellsEntry = { kind: 'cells', key: clusterCellsKey(key), blocks };
    this.#send(cells.key, this.#encode(cells), revision);
  }

  /** Clusters with their endpoints, as the last revision has them. */
  get backends(): Iterable<Backend> {
    return this.#clusters.values();
  }
}

function digest(value: Buffer): string {
  return hash('sha256', value, 'latin1');
}

function cellsOfRule(entry: RuleEntry | RelayEntry): Key {
  return routeCellsKey(entry.routeKind, entry.route);
}

/** `namespace/name` and kind of the route that a block of cells is owned by. */
export function routeOfOwner(owner: string): { route: string; kind: string } {
  const parsed = parseKey(owner);
  if (parsed.kind !== 'routeCells') return { route: owner, kind: '' };
  return { route: `${parsed.namespace}/${parsed.name}`, kind: parsed.objectKind };
}

/** Name of an endpoint's block: the cluster's key and the endpoint's id. */
export function endpointOwner(cluster: ClusterEntry, id: string): string {
  return `${cluster.key} ${id}`;
}

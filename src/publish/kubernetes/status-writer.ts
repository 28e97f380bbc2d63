// Statuses into the API server: what the stream (publish/status.ts) says of objects, merged into what stands there, by
// the leader alone. Written only when it differs, Gateways first, each object at most every 250 ms; conflicts are
// solved on fresh copies; what others take away again and again is left to them.

import { type KubeObject, type ObjectKey, objectKey } from '../../api/object.ts';
import { equal } from '../../base/equal.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { conditionTable, type IngressStatus, type Status } from '../../translate/conditions.ts';
import type { Failed } from './api.ts';
import { type MergeOptions, mergeStatus, speaksOf } from './merge.ts';
import {
  ObjectWriter,
  type ObjectWriterTools,
  type Trouble,
  type WriteEntry,
  type WriteResult,
} from './object-writer.ts';

export interface WriterTools extends ObjectWriterTools {
  readonly wall: () => Date;
  /** The newest copy at hand; undefined: there is no such object. */
  readonly find: (key: ObjectKey) => KubeObject | undefined;
  /** Path of the object in the API server; null: its kind is not served. */
  readonly pathOf: (object: KubeObject) => string | null;
  /** Written, with what it said before and says now (null: nothing). */
  readonly onWritten: (object: KubeObject, before: unknown, after: unknown) => void;
  /** Something is wrong with writing: one line for people. */
  readonly onTrouble: (key: ObjectKey, message: string) => void;
}

/** What our last write was made onto. */
interface Echo {
  /** Of the object: another one of the same name begins anew. */
  readonly uid: string | undefined;
  readonly from: string;
  /** What came of it; null once the watch has brought something newer. */
  readonly made: { readonly version: string | undefined; readonly status: unknown } | null;
}
type Entry = WriteEntry<Status, Echo>;

/** Those many routes wait for. */
const FIRST: ReadonlySet<string> = new Set(['GatewayClass', 'Gateway', 'ListenerSet']);

export class StatusWriter extends ObjectWriter<Status, Echo> {
  readonly #tools: WriterTools;
  readonly #controllerName: string;
  /** Of Ingresses that nothing is said of any more: what was. */
  readonly #withdrawn = new Map<ObjectKey, IngressStatus>();
  readonly #types: ReadonlySet<string> = new Set(conditionTable().map(({ type }) => type));

  constructor(controllerName: string, tools: WriterTools) {
    super(tools, FIRST);
    this.#controllerName = controllerName;
    this.#tools = tools;
  }

  /** StatusSink: the whole of our part; null: nothing is said of it any more. */
  write(key: ObjectKey, status: Status | null): void {
    const said = this.entries.get(key)?.wanted ?? null;
    if (status !== null) this.#withdrawn.delete(key);
    else if (said !== null && 'loadBalancer' in said) this.#withdrawn.set(key, said);
    if (status === null && this.#tools.find(key) === undefined) this.#forget(key);
    else this.want(key, status);
  }

  /**
   * The objects came anew from the server, or went: somebody may have changed what we said of them. What is wanted of
   * one that is gone stays until the stream takes it back: when it is there again before anybody looked, the stream has
   * nothing new to say.
   */
  seen(keys: Iterable<ObjectKey>): void {
    for (const key of keys) {
      const entry = this.entries.get(key);
      if (entry !== undefined && entry.wanted !== null) this.queue(key);
    }
  }

  /**
   * After what is wanted was told: what an earlier program said of objects that nothing is said of any more goes, as of
   * a route that left our Gateways while nobody was there.
   */
  forgotten(objects: Iterable<KubeObject>): void {
    for (const object of objects) {
      const key = objectKey(object.kind, object.metadata.namespace, object.metadata.name);
      if (!this.entries.has(key) && speaksOf(object.status, this.#controllerName)) this.want(key, null);
    }
  }

  protected override due(key: ObjectKey, entry: Entry): (() => Promise<WriteResult | null>) | null {
    const base = this.#base(entry, key);
    if (base !== undefined && entry.echo !== null && entry.echo.uid !== base.metadata.uid)
      Object.assign(entry, { echo: null, written: 0, failures: 0 });
    const next = base === undefined ? null : this.#next(key, base, entry);
    if (base !== undefined && next !== null) return () => this.#write(key, entry, base, next);
    if (entry.wanted === null) this.#forget(key);
    return null;
  }

  #forget(key: ObjectKey): void {
    this.entries.delete(key);
    this.#withdrawn.delete(key);
  }

  protected override trouble(key: ObjectKey, _entry: Entry, trouble: Trouble, cause: string): void {
    if (trouble === 'LeftAlone')
      this.#tools.onTrouble(key, 'somebody takes away what is written into its status; it is left so');
    else this.#tools.onTrouble(key, `its status cannot be written: ${cause}`);
  }

  /** The store's copy, or our own newer one. */
  #base(entry: Entry, key: ObjectKey): KubeObject | undefined {
    const stored = this.#tools.find(key);
    const { echo } = entry;
    if (stored === undefined || echo === null || echo.made === null) return stored;
    if (stored.metadata.resourceVersion === echo.from) {
      const { version: resourceVersion, status } = echo.made;
      return { ...stored, metadata: { ...stored.metadata, resourceVersion }, status } as KubeObject;
    }
    // Versions never come back: of thousands of routes nothing is kept twice.
    entry.echo = { uid: echo.uid, from: '', made: null };
    return stored;
  }

  #next(key: ObjectKey, base: KubeObject, entry: Entry): Readonly<Record<string, unknown>> | null {
    const withdrawn = this.#withdrawn.get(key);
    const options: MergeOptions = {
      controllerName: this.#controllerName,
      types: this.#types,
      time: `${this.#tools.wall().toISOString().slice(0, 19)}Z`,
      ...(withdrawn === undefined ? {} : { withdrawn }),
    };
    return mergeStatus(base.status, entry.wanted, options);
  }

  async #write(key: ObjectKey, entry: Entry, from: KubeObject, status: unknown): Promise<WriteResult | null> {
    const { wanted } = entry;
    let base = from;
    let next = status;
    for (let conflicts = 0; ; conflicts++) {
      const path = this.#tools.pathOf(base);
      if (path === null) return this.failed(key, entry, notServed(base.kind));
      const kind = base.kind;
      const reply = await this.#tools.api.ask({
        verb: 'patch',
        kind,
        path: `${path}/status`,
        contentType: 'application/merge-patch+json',
        body: { metadata: { resourceVersion: base.metadata.resourceVersion }, status: patchOf(base.status, next) },
        mayStart: this.#tools.leads,
      });
      if (reply.ok) {
        const { metadata, status: made } = reply.body as KubeObject;
        this.took(entry, {
          uid: metadata.uid,
          from: from.metadata.resourceVersion ?? '',
          made: { version: metadata.resourceVersion, status: made },
        });
        this.#tools.onWritten(base, base.status, next);
        break;
      }
      if (reply.failure.code === 404 && this.#isGone(key, from)) break;
      if (reply.failure.code !== 409 || conflicts === LIMITS.STATUS_CONFLICTS)
        return this.failed(key, entry, reply.failure);
      this.count(key, 'conflict');
      const fresh = await this.#tools.api.ask({ verb: 'get', kind, path });
      if (!fresh.ok && fresh.failure.code === 404 && this.#isGone(key, from)) break;
      if (!fresh.ok) return this.failed(key, entry, fresh.failure);
      // Of another object by that name nothing has been said yet.
      if ((fresh.body as KubeObject).metadata.uid !== from.metadata.uid) return this.failed(key, entry, reply.failure);
      base = { ...(fresh.body as KubeObject), kind };
      const again = this.#next(key, base, entry);
      if (again === null) break;
      next = again;
    }
    // What is to be taken back since it began may still wait for its turn.
    if (wanted === null && entry.wanted === null && !entry.again) this.#forget(key);
    return 'ok';
  }

  /**
   * A 404 may come of a server that does not serve the kind yet, or is behind: as long as the watch does not say that
   * the object went, it is tried again.
   */
  #isGone(key: ObjectKey, { metadata: { uid } }: KubeObject): boolean {
    const stored = this.#tools.find(key);
    return stored === undefined || stored.metadata.uid !== uid;
  }
}

function notServed(kind: string): Failed {
  return { code: 0, reason: 'NotServed', message: `the API server has no kind ${kind}`, retryAfterMs: null };
}

/** As a merge patch (RFC 7396): only fields that change, null for one that goes. Lists are replaced as a whole. */
function patchOf(before: unknown, after: unknown): Record<string, unknown> {
  const [old, next] = [fields(before), fields(after)];
  const patch: Record<string, unknown> = {};
  for (const name of Object.keys(next)) if (!equal(old[name], next[name])) patch[name] = next[name];
  for (const name of Object.keys(old)) if (!(name in next)) patch[name] = null;
  return patch;
}

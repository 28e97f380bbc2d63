// Statuses into the API server: what the stream (publish/status.ts) says of objects, merged into what stands there, by
// the leader alone. Written only when it differs, Gateways first, each object at most every 250 ms; conflicts are
// solved on fresh copies; what others take away again and again is left to them.

import type { KubeObject, ObjectKey } from '../../api/object.ts';
import { equal } from '../../base/equal.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import { conditionTable, type Status } from '../../translate/conditions.ts';
import type { Answer, Api } from './api.ts';
import { type MergeOptions, mergeStatus } from './merge.ts';

export interface WriterTools {
  readonly api: Api;
  readonly timers: Timers;
  readonly now: () => number;
  readonly wall: () => Date;
  /** Whether this program writes, now. */
  readonly leads: () => boolean;
  /** The newest copy at hand; undefined: there is no such object. */
  readonly find: (key: ObjectKey) => KubeObject | undefined;
  /** Path of the object in the API server; null: its kind is not served. */
  readonly pathOf: (object: KubeObject) => string | null;
  /** Written, with what it said before and says now (null: nothing). */
  readonly onWritten: (object: KubeObject, before: unknown, after: unknown) => void;
  /** Something is wrong with writing: one line for people. */
  readonly onTrouble: (key: ObjectKey, message: string) => void;
}

/** `ok`, `conflict`, `refused` (the server will not have it), `failed` (try again), `left` (given up to others). */
export type WriteResult = 'ok' | 'conflict' | 'refused' | 'failed' | 'left';

interface Entry {
  wanted: Status | null;
  /** Of the object that was written last: another of the same name begins anew. */
  uid: string | undefined;
  /** When it may be written again. */
  notBeforeMs: number;
  /** Failures in a row. */
  failures: number;
  /** Writes since `wanted` changed, and when the last one was. */
  written: number;
  writtenMs: number;
  /** Our last write: what it was made of, and what came of it. Used until the watch brings something newer. */
  echo: { readonly from: string; readonly object: KubeObject } | null;
  writing: boolean;
  /** It changed while it was being written. */
  again: boolean;
}

/** Those many routes wait for. */
const FIRST: ReadonlySet<string> = new Set(['GatewayClass', 'Gateway', 'ListenerSet']);

export class StatusWriter {
  readonly #tools: WriterTools;
  readonly #controllerName: string;
  readonly #types: ReadonlySet<string> = new Set(conditionTable().map(({ type }) => type));
  readonly #entries = new Map<ObjectKey, Entry>();
  /** Waiting for a write, in order. */
  readonly #first = new Set<ObjectKey>();
  readonly #rest = new Set<ObjectKey>();
  readonly #results = new Map<string, number>();
  #running = 0;
  #stopped = false;

  constructor(controllerName: string, tools: WriterTools) {
    this.#controllerName = controllerName;
    this.#tools = tools;
  }

  /** Writes by kind and result. */
  *counts(): Iterable<{ readonly kind: string; readonly result: string; readonly count: number }> {
    for (const [key, count] of this.#results) {
      const [kind = '', result = ''] = key.split(' ');
      yield { kind, result, count };
    }
  }

  /** StatusSink: the whole of our part; null: nothing is said of it any more. */
  write(key: ObjectKey, status: Status | null): void {
    const entry = this.#entries.get(key);
    if (status === null && this.#tools.find(key) === undefined) {
      this.#entries.delete(key);
      return;
    }
    if (entry === undefined) {
      this.#entries.set(key, {
        wanted: status,
        uid: undefined,
        notBeforeMs: 0,
        failures: 0,
        written: 0,
        writtenMs: 0,
        echo: null,
        writing: false,
        again: false,
      });
    } else {
      entry.wanted = status;
      entry.written = 0;
      entry.failures = 0;
    }
    this.#queue(key);
  }

  /**
   * The objects came anew from the server, or went: somebody may have changed what we said of them. What is wanted of
   * one that is gone stays until the stream takes it back: when it is there again before anybody looked, the stream has
   * nothing new to say.
   */
  seen(keys: Iterable<ObjectKey>): void {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && entry.wanted !== null) this.#queue(key);
    }
  }

  /** This program leads from now on: whatever is not as it should be is written. */
  lead(): void {
    for (const key of this.#entries.keys()) this.#queue(key);
  }

  stop(): void {
    this.#stopped = true;
    this.#first.clear();
    this.#rest.clear();
  }

  #queue(key: ObjectKey): void {
    (FIRST.has(key.slice(0, key.indexOf('/'))) ? this.#first : this.#rest).add(key);
    this.#pump();
  }

  #pump(): void {
    if (this.#stopped || !this.#tools.leads()) {
      // Whoever leads later goes over everything.
      this.#first.clear();
      this.#rest.clear();
      return;
    }
    for (const queue of [this.#first, this.#rest]) {
      for (const key of queue) {
        if (this.#running >= LIMITS.STATUS_WRITES_AT_ONCE) return;
        queue.delete(key);
        this.#begin(key);
      }
    }
  }

  #begin(key: ObjectKey): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    if (entry.writing) {
      entry.again = true;
      return;
    }
    const wait = entry.notBeforeMs - this.#tools.now();
    if (wait > 0) {
      entry.writing = true;
      this.#tools.timers.after(wait, () => {
        entry.writing = false;
        this.#queue(key);
      });
      return;
    }
    const base = this.#base(entry, key);
    if (base !== undefined && base.metadata.uid !== entry.uid) {
      entry.uid = base.metadata.uid;
      entry.written = 0;
      entry.failures = 0;
    }
    const next = base === undefined ? null : this.#next(base, entry);
    if (base === undefined || next === null) {
      if (entry.wanted === null) this.#entries.delete(key);
      return;
    }
    if (this.#takenAway(entry, key)) return;
    entry.writing = true;
    this.#running++;
    void this.#write(key, entry, base, next).then((result) => this.#ended(key, entry, result));
  }

  /** The store's copy, or our own newer one. */
  #base(entry: Entry, key: ObjectKey): KubeObject | undefined {
    const stored = this.#tools.find(key);
    const { echo } = entry;
    if (stored === undefined || echo === null) return stored;
    if (stored.metadata.resourceVersion === echo.from) return { ...stored, ...statusOf(echo.object) };
    return stored;
  }

  #next(base: KubeObject, entry: Entry): Readonly<Record<string, unknown>> | null {
    const options: MergeOptions = {
      controllerName: this.#controllerName,
      types: this.#types,
      time: `${this.#tools.wall().toISOString().slice(0, 19)}Z`,
    };
    return mergeStatus(base.status, entry.wanted, options);
  }

  /** What we wrote was changed by somebody (or never stored as it was): put back a few times, then left. */
  #takenAway(entry: Entry, key: ObjectKey): boolean {
    if (this.#tools.now() - entry.writtenMs > LIMITS.STATUS_FORGET_MS) entry.written = 0;
    if (entry.written <= LIMITS.STATUS_REASSERTIONS) return false;
    if (entry.written++ === LIMITS.STATUS_REASSERTIONS + 1) {
      this.#count(key, 'left');
      this.#tools.onTrouble(key, 'somebody takes away what is written into its status; it is left so');
    }
    return true;
  }

  async #write(key: ObjectKey, entry: Entry, from: KubeObject, status: unknown): Promise<WriteResult> {
    let base = from;
    let next = status;
    for (let conflicts = 0; ; conflicts++) {
      const path = this.#tools.pathOf(base);
      if (path === null) return 'refused';
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
        entry.written++;
        entry.writtenMs = this.#tools.now();
        entry.echo = { from: from.metadata.resourceVersion ?? '', object: reply.body as KubeObject };
        this.#tools.onWritten(base, base.status, next);
        return 'ok';
      }
      if (reply.failure.code === 404) return 'ok';
      if (reply.failure.code !== 409 || conflicts === LIMITS.STATUS_CONFLICTS) return this.#failed(key, entry, reply);
      this.#count(key, 'conflict');
      const fresh = await this.#tools.api.ask({ verb: 'get', kind, path });
      if (!fresh.ok) return fresh.failure.code === 404 ? 'ok' : this.#failed(key, entry, fresh);
      base = { ...(fresh.body as KubeObject), kind };
      const again = this.#next(base, entry);
      if (again === null) return 'ok';
      next = again;
    }
  }

  #failed(key: ObjectKey, entry: Entry, reply: Answer): WriteResult {
    if (reply.ok) return 'ok';
    const { code, reason, message, retryAfterMs } = reply.failure;
    if (reason === 'Stopped') this.stop();
    if (reason === 'NotSent' || reason === 'Stopped') return 'failed';
    entry.failures++;
    const wait = Math.min(
      LIMITS.STATUS_INTERVAL_MS * 2 ** Math.min(entry.failures, 16),
      LIMITS.KUBERNETES_RETRY_MAX_MS,
    );
    entry.notBeforeMs = this.#tools.now() + Math.max(wait, retryAfterMs ?? 0);
    // The server answered, and will answer the same again.
    const final = code >= 400 && code < 500 && ![401, 403, 408, 409, 429].includes(code);
    if (final || entry.failures === 3)
      this.#tools.onTrouble(key, `its status cannot be written: ${reason}: ${message}`);
    return final ? 'refused' : 'failed';
  }

  #ended(key: ObjectKey, entry: Entry, result: WriteResult): void {
    this.#running--;
    entry.writing = false;
    this.#count(key, result);
    if (result === 'ok') {
      entry.failures = 0;
      entry.notBeforeMs = this.#tools.now() + LIMITS.STATUS_INTERVAL_MS;
      if (entry.wanted === null && !entry.again) this.#entries.delete(key);
    }
    const again = entry.again || result === 'failed';
    entry.again = false;
    if (again) this.#queue(key);
    else this.#pump();
  }

  #count(key: ObjectKey, result: WriteResult): void {
    const name = `${key.slice(0, key.indexOf('/'))} ${result}`;
    this.#results.set(name, (this.#results.get(name) ?? 0) + 1);
  }
}

function statusOf(object: KubeObject): Pick<KubeObject, 'status' | 'metadata'> {
  return { status: object.status, metadata: object.metadata };
}

/** As a merge patch (RFC 7396): only fields that change, null for one that goes. Lists are replaced as a whole. */
function patchOf(before: unknown, after: unknown): Record<string, unknown> {
  const [old, next] = [fields(before), fields(after)];
  const patch: Record<string, unknown> = {};
  for (const name of Object.keys(next)) if (!equal(old[name], next[name])) patch[name] = next[name];
  for (const name of Object.keys(old)) if (!(name in next)) patch[name] = null;
  return patch;
}

// What is made for Gateways (translate/exposure.ts), written by server-side apply under a field manager of our own, by
// the leader alone: when it differs from what stands, never onto what somebody else made, and taken away when it is no
// longer wanted. The digest in an annotation tells what was written last, so that what is to go is seen as well.

import type { KubeObject, ObjectKey } from '../../api/object.ts';
import { equal } from '../../base/equal.ts';
import { fields, isFields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { APPLIED_ANNOTATION, type Generated, UID_ANNOTATION } from '../../translate/exposure.ts';
import type { Answer } from './api.ts';
import type { WriterTools } from './status-writer.ts';

/** What of the tools of statuses is needed here. */
export type GeneratedTools = Pick<WriterTools, 'api' | 'timers' | 'now' | 'leads' | 'find' | 'pathOf'> & {
  /** Of a Gateway: something is wrong with what is made for it. `reason` is an Event's. */
  readonly onTrouble: (gateway: ObjectKey, reason: string, message: string) => void;
};

/** As of statuses (status-writer.ts); `removed` counts what was taken away. */
type Result = 'ok' | 'removed' | 'conflict' | 'refused' | 'failed' | 'left';

interface Entry {
  wanted: Generated | null;
  /** What was told of it, that it is not told again. */
  told: string;
  notBeforeMs: number;
  failures: number;
  /** Writes since `wanted` changed, and when the last one was. */
  written: number;
  writtenMs: number;
  /** The version that our last write was made onto, until the watch brings another; null: none. */
  echo: { readonly from: string; readonly wanted: Generated } | null;
  writing: boolean;
  again: boolean;
}

const FIELD_MANAGER = 'rauta';
const APPLY = 'application/apply-patch+yaml';

export class GeneratedWriter {
  readonly #tools: GeneratedTools;
  readonly #entries = new Map<ObjectKey, Entry>();
  readonly #waiting = new Set<ObjectKey>();
  readonly #results = new Map<string, number>();
  #running = 0;
  #stopped = false;

  constructor(tools: GeneratedTools) {
    this.#tools = tools;
  }

  /** Writes by kind and result. */
  *counts(): Iterable<{ readonly kind: string; readonly result: string; readonly count: number }> {
    for (const [key, count] of this.#results) {
      const [kind = '', result = ''] = key.split(' ');
      yield { kind, result, count };
    }
  }

  /** What is to become of the object under `key`; null: it is none of our business any more. */
  write(key: ObjectKey, wanted: Generated | null): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      if (wanted === null) return;
      this.#entries.set(key, {
        wanted,
        told: '',
        notBeforeMs: 0,
        failures: 0,
        written: 0,
        writtenMs: 0,
        echo: null,
        writing: false,
        again: false,
      });
    } else Object.assign(entry, { wanted, written: 0, failures: 0 });
    this.#queue(key);
  }

  /** The objects came anew from the server. */
  seen(keys: Iterable<ObjectKey>): void {
    for (const key of keys) if (this.#entries.has(key)) this.#queue(key);
  }

  /** This program leads from now on. */
  lead(): void {
    for (const [key, entry] of this.#entries) {
      entry.told = '';
      // What the watch brought while another one led was not looked at.
      entry.echo = null;
      this.#queue(key);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
  }

  #queue(key: ObjectKey): void {
    this.#waiting.add(key);
    this.#pump();
  }

  #pump(): void {
    if (this.#stopped || !this.#tools.leads()) {
      // Whoever leads later goes over everything.
      this.#waiting.clear();
      return;
    }
    for (const key of this.#waiting) {
      if (this.#running >= LIMITS.STATUS_WRITES_AT_ONCE) return;
      this.#waiting.delete(key);
      this.#begin(key);
    }
  }

  #begin(key: ObjectKey): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    if (entry.writing) {
      entry.again = true;
      return;
    }
    const { wanted } = entry;
    if (wanted === null) {
      this.#entries.delete(key);
      return;
    }
    if (wanted.refused !== null) {
      this.#tell(entry, 'NotMade', wanted.refused);
      return;
    }
    const standing = this.#tools.find(key);
    const version = standing?.metadata.resourceVersion ?? '';
    // Once the watch has brought what was written, what it brings later is news: also that nothing stands any more.
    if (entry.echo !== null && entry.echo.from !== version) entry.echo = null;
    if (entry.echo !== null && equal(entry.echo.wanted, wanted)) return;
    if (!this.#toBeWritten(wanted, standing)) return;
    const wait = entry.notBeforeMs - this.#tools.now();
    if (wait > 0) {
      entry.writing = true;
      this.#tools.timers.after(wait, () => {
        entry.writing = false;
        this.#queue(key);
      });
      return;
    }
    if (this.#takenAway(entry, key)) return;
    entry.writing = true;
    this.#running++;
    void this.#write(wanted, standing).then((answer) => this.#ended(key, entry, wanted, version, answer));
  }

  #toBeWritten({ object }: Generated, standing: KubeObject | undefined): boolean {
    if (object === null) return standing !== undefined;
    // The world says so before it can be another's; this is for the moment in between.
    if (standing !== undefined && uidOf(standing) !== uidOf(object)) return false;
    return standing === undefined || appliedOf(standing) !== appliedOf(object) || !holds(standing, object, true);
  }

  /** What we wrote is changed by somebody again and again: put back a few times, then left. */
  #takenAway(entry: Entry, key: ObjectKey): boolean {
    if (this.#tools.now() - entry.writtenMs > LIMITS.STATUS_FORGET_MS) entry.written = 0;
    if (entry.written <= LIMITS.STATUS_REASSERTIONS) return false;
    if (entry.written++ === LIMITS.STATUS_REASSERTIONS + 1) {
      this.#count(key, 'left');
      this.#tell(entry, 'LeftAlone', `${named(key)}: somebody changes what is written into it; it is left so.`);
    }
    return true;
  }

  async #write({ object, gateway }: Generated, standing: KubeObject | undefined): Promise<Answer> {
    const { api, leads, pathOf } = this.#tools;
    const target = object ?? (standing as KubeObject);
    const { kind } = target;
    const path = pathOf(target);
    if (path === null) return failed('NotServed', `the API server has no kind ${kind}`);
    if (object === null) {
      const { uid, resourceVersion } = target.metadata;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
      return await api.ask({ verb: 'delete', kind, path, body, mayStart: leads });
    }
    const query = { fieldManager: FIELD_MANAGER };
    const contentType = APPLY;
    if (standing !== undefined) {
      // The uid is a condition: it is the object that was looked at, or none.
      const body = { ...object, metadata: { ...object.metadata, uid: standing.metadata.uid } };
      return await api.ask({
        verb: 'patch',
        kind,
        path,
        query: { ...query, force: 'true' },
        body,
        contentType,
        mayStart: leads,
      });
    }
    // An apply cannot say "only if there is none": so it is asked, and nothing of anybody's is overruled.
    const taken = failed('AlreadyExists', `it was made by somebody else, not for ${named(gateway)}`, 409);
    const fresh = await api.ask({ verb: 'get', kind, path });
    if (fresh.ok && uidOf(fresh.body as KubeObject) !== uidOf(object)) return taken;
    if (!fresh.ok && fresh.failure.code !== 404) return fresh;
    const apply = { verb: 'patch', kind, path, contentType, mayStart: leads } as const;
    const reply = await api.ask({ ...apply, query, body: object });
    if (fresh.ok || !reply.ok || !hasOthers(reply.body as KubeObject)) return reply;
    // It came in between, and nothing in it contradicted: to apply nothing takes back what is ours alone.
    const { apiVersion, metadata } = object;
    const nothing = { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace } };
    await api.ask({ ...apply, query: { ...query, force: 'true' }, body: nothing });
    return taken;
  }

  #ended(key: ObjectKey, entry: Entry, wanted: Generated, version: string, answer: Answer): void {
    this.#running--;
    entry.writing = false;
    const now = this.#tools.now();
    const gone = wanted.object === null && !answer.ok && answer.failure.code === 404;
    let again = entry.again;
    entry.again = false;
    if (answer.ok || gone) {
      entry.failures = 0;
      entry.told = '';
      entry.written++;
      entry.writtenMs = now;
      entry.notBeforeMs = now + LIMITS.STATUS_INTERVAL_MS;
      entry.echo = { from: version, wanted };
      this.#count(key, wanted.object === null ? 'removed' : 'ok');
    } else again = this.#failed(key, entry, answer.failure) || again;
    if (again) this.#queue(key);
    else this.#pump();
  }

  /** Whether it is tried again by itself. */
  #failed(
    key: ObjectKey,
    entry: Entry,
    { code, reason, message, retryAfterMs }: (Answer & { ok: false })['failure'],
  ): boolean {
    if (reason === 'Stopped') this.stop();
    if (reason === 'NotSent' || reason === 'Stopped') return false;
    entry.failures++;
    const wait = Math.min(
      LIMITS.STATUS_INTERVAL_MS * 2 ** Math.min(entry.failures, 16),
      LIMITS.KUBERNETES_RETRY_MAX_MS,
    );
    entry.notBeforeMs = this.#tools.now() + Math.max(wait, retryAfterMs ?? 0);
    // The server will answer the same again; rights and what others made may change.
    const final = code >= 400 && code < 500 && ![401, 403, 404, 408, 409, 429].includes(code);
    this.#count(key, code === 409 ? 'conflict' : final ? 'refused' : 'failed');
    if (final || code === 403 || entry.failures === 3)
      this.#tell(entry, 'NotWritten', `${named(key)} cannot be written: ${reason}: ${message}`);
    return !final;
  }

  #tell(entry: Entry, reason: string, message: string): void {
    if (entry.told === message) return;
    entry.told = message;
    this.#tools.onTrouble((entry.wanted as Generated).gateway, reason, message);
  }

  #count(key: ObjectKey, result: Result): void {
    const name = `${key.slice(0, key.indexOf('/'))} ${result}`;
    this.#results.set(name, (this.#results.get(name) ?? 0) + 1);
  }
}

function failed(reason: string, message: string, code = 0): Answer {
  return { ok: false, failure: { code, reason, message, retryAfterMs: null } };
}

function named(key: ObjectKey): string {
  return key.replace('/', ' ');
}

/** Somebody else has fields of it: what was made by one apply is all of its manager. */
function hasOthers({ metadata }: KubeObject): boolean {
  const { managedFields } = fields(metadata);
  return Array.isArray(managedFields) && managedFields.some((entry) => fields(entry)['manager'] !== FIELD_MANAGER);
}

function uidOf({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[UID_ANNOTATION];
}

function appliedOf({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[APPLIED_ANNOTATION];
}

/** Whether all of `wanted` stands in `current`, which may hold more. Owners are not read, and never change. */
function holds(current: unknown, wanted: unknown, top = false): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(current)) return false;
    return wanted.every((item, i) => holds(current[i], item) || current.some((other) => holds(other, item)));
  }
  if (!isFields(wanted)) return equal(current, wanted);
  if (!isFields(current)) return false;
  for (const [name, value] of Object.entries(wanted)) {
    if (name === 'ownerReferences') continue;
    const there = current[name];
    // A list of endpoints is ours as a whole.
    if (top && name === 'endpoints' && (!Array.isArray(there) || there.length !== (value as unknown[]).length))
      return false;
    if (!holds(there, value)) return false;
  }
  return true;
}

// What is made for Gateways (translate/exposure.ts), written by server-side apply under a field manager of our own, by
// the leader alone: when it differs from what stands, never onto what somebody else made, and taken away when it is no
// longer wanted. The digest in an annotation tells what was written last, so that what is to go is seen as well.

import type { KubeObject, ObjectKey } from '../../api/object.ts';
import { equal } from '../../base/equal.ts';
import { fields, isFields } from '../../base/fields.ts';
import { APPLIED_ANNOTATION, type Generated, UID_ANNOTATION } from '../../translate/exposure.ts';
import type { Answer } from './api.ts';
import {
  ObjectWriter,
  type ObjectWriterTools,
  type Trouble,
  type WriteEntry,
  type WriteResult,
} from './object-writer.ts';
import type { WriterTools } from './status-writer.ts';

/** What of the tools of statuses is needed here. */
export type GeneratedTools = ObjectWriterTools &
  Pick<WriterTools, 'find' | 'pathOf'> & {
    /** Of a Gateway: something is wrong with what is made for it. `reason` is an Event's. */
    readonly onTrouble: (gateway: ObjectKey, reason: string, message: string) => void;
  };

/** The version that our last write was made onto. */
interface Echo {
  readonly from: string;
  readonly wanted: Generated;
}
type Entry = WriteEntry<Generated, Echo>;

const FIELD_MANAGER = 'rauta';
const APPLY = 'application/apply-patch+yaml';

export class GeneratedWriter extends ObjectWriter<Generated, Echo> {
  readonly #tools: GeneratedTools;

  constructor(tools: GeneratedTools) {
    super(tools, new Set());
    this.#tools = tools;
  }

  /** What is to become of the object under `key`; null: it is none of our business any more. */
  write(key: ObjectKey, wanted: Generated | null): void {
    if (wanted !== null || this.entries.has(key)) this.want(key, wanted);
  }

  /** The objects came anew from the server. */
  seen(keys: Iterable<ObjectKey>): void {
    for (const key of keys) if (this.entries.has(key)) this.queue(key);
  }

  protected override due(key: ObjectKey, entry: Entry): (() => Promise<WriteResult | null>) | null {
    const { wanted } = entry;
    if (wanted === null) {
      this.entries.delete(key);
      return null;
    }
    if (wanted.refused !== null) {
      this.tell(key, entry, 'NotMade', wanted.refused);
      return null;
    }
    const standing = this.#tools.find(key);
    const version = standing?.metadata.resourceVersion ?? '';
    // Once the watch has brought what was written, what it brings later is news: also that nothing stands any more.
    if (entry.echo !== null && entry.echo.from !== version) entry.echo = null;
    if (entry.echo !== null && equal(entry.echo.wanted, wanted)) return null;
    if (!this.#toBeWritten(wanted, standing)) return null;
    return async () => {
      const answer = await this.#write(wanted, standing);
      const gone = wanted.object === null && !answer.ok && answer.failure.code === 404;
      if (!answer.ok && !gone) return this.failed(key, entry, answer.failure);
      this.took(entry, { from: version, wanted });
      return wanted.object === null ? 'removed' : 'ok';
    };
  }

  protected override trouble(key: ObjectKey, { wanted }: Entry, trouble: Trouble, cause: string): void {
    const messages: Readonly<Record<Trouble, string>> = {
      NotMade: cause,
      LeftAlone: `${named(key)}: somebody changes what is written into it; it is left so.`,
      NotWritten: `${named(key)} cannot be written: ${cause}`,
    };
    // What is told is of something wanted: due() has seen it.
    this.#tools.onTrouble((wanted as Generated).gateway, trouble, messages[trouble]);
  }

  #toBeWritten({ object }: Generated, standing: KubeObject | undefined): boolean {
    if (object === null) return standing !== undefined;
    // The world says so before it can be another's; this is for the moment in between.
    if (standing !== undefined && uidOf(standing) !== uidOf(object)) return false;
    return standing === undefined || appliedOf(standing) !== appliedOf(object) || !holds(standing, object, true);
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

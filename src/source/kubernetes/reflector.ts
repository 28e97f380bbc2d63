// Keeps what one collection of the API server holds: filled by a stream of initial events (KEP-3157) or by pages of a
// LIST, followed by a WATCH that is resumed from the last version seen, filled anew only when that version is gone.
// Reads are the most recent ones (no resourceVersion), so that no object ever goes back in time.

import { fields, isFields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import { backoffMs } from './backoff.ts';
import type { Question } from './client.ts';
import { type Failure, failure, failureOf, isExpired, type Reply } from './failure.ts';
import type { Clock } from './token-bucket.ts';

/** An object as it came: it has a name, and that is all that is known of it. */
export interface RawObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion?: string };
  readonly [field: string]: unknown;
}

/** `namespace/name`; the namespace is empty where there is none. */
export type RawName = string;

export interface Collection {
  readonly kind: string;
  readonly apiVersion: string;
  readonly path: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** Only metadata is asked for. */
  readonly metadataOnly?: boolean;
}

export interface ReflectorSink {
  apply(upserts: readonly RawObject[], removals: readonly RawName[]): void;
  /** The health has changed. */
  changed(): void;
  /** There is no such collection (404): the reflector has ended, what it delivered stands. */
  missing(): void;
}

export interface Asker {
  ask(question: Question): Promise<Reply>;
  watch(question: Question, idleMs: number, onEvent: (event: unknown) => void): Promise<Reply>;
}

export interface ReflectorTools {
  readonly client: Asker;
  readonly timers: Timers;
  readonly now: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Whether the server streams initial events; shared by all reflectors, false after it refused once. */
  readonly server: { streams: boolean };
}

export interface Health {
  /** All there was has been delivered once. */
  synced: boolean;
  /** Why it does not follow the server just now; null while it does. */
  reason: string | null;
  /** Since when every try failed, on the tools' clock; null: the last one did not. */
  failingMs: number | null;
  /** On the tools' clock; null before the first. */
  lastEventMs: number | null;
  /** How often everything was fetched anew, by cause. */
  readonly relists: Map<RelistCause, number>;
}

/** `expired`: 410; `refused`: resuming failed again and again; `asked`: by the operator. */
export type RelistCause = 'expired' | 'refused' | 'asked';

const INITIAL_END = 'k8s.io/initial-events-end';

export class Reflector {
  readonly collection: Collection;
  readonly health: Health = {
    synced: false,
    reason: null,
    failingMs: null,
    lastEventMs: null,
    relists: new Map(),
  };
  /** Its collection was missing. */
  ended = false;
  readonly #sink: ReflectorSink;
  readonly #tools: ReflectorTools;
  /** What the sink was given and not told to forget. */
  readonly #known = new Set<RawName>();
  /** Names seen since the filling under way began; null between fillings. */
  #seen: Set<RawName> | null = null;
  /** The page of a LIST to go on with, its token; empty: the first. */
  #page = '';
  /** A filling is under way, and another is to follow it. */
  #isFilling = false;
  #again = false;
  /** Where to go on from; null: fill. */
  #version: string | null = null;
  /** Failures in a row without a sign of life in between. */
  #failures = 0;
  /** Fillings in a row that were needed too soon after the one before, whatever signs of life there were. */
  #hasty = 0;
  #filledMs = 0;
  /** Something came by the watch under way. */
  #lively = false;
  /** The last filling by stream did not come to its end: the next one is a LIST. */
  #streamFailed = false;
  #stopped = false;
  /** Ends what is under way: a question, or a wait. */
  #interrupt: AbortController = new AbortController();

  constructor(collection: Collection, sink: ReflectorSink, tools: ReflectorTools) {
    this.collection = collection;
    this.#sink = sink;
    this.#tools = tools;
  }

  /** Also takes up one that ended because its collection was missing. */
  start(): void {
    this.ended = false;
    void this.#run();
  }

  /** Delivers nothing from now on. */
  stop(): void {
    this.#stopped = true;
    this.#interrupt.abort();
  }

  /**
   * What another has delivered of the same objects: it goes unless it is found here too. To be called before `start`.
   */
  adopt(names: Iterable<RawName>): void {
    for (const name of names) this.#known.add(name);
  }

  /** Fetches everything anew; what is being fetched is so first, or whoever asks often would never get to its end. */
  relist(cause: RelistCause): void {
    if (this.#isFilling) {
      this.#again = true;
      return;
    }
    this.#forgetVersion(cause);
    this.#interrupt.abort();
  }

  get names(): ReadonlySet<RawName> {
    return this.#known;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#interrupt = new AbortController();
      this.#lively = false;
      const startedMs = this.#tools.now();
      const listed = this.#version === null && !this.#mayStream;
      const said = this.#version === null ? await this.#fill() : await this.#follow();
      if (this.#stopped) return;
      if (said === null) {
        if (!listed) await this.#ended(this.#tools.now() - startedMs);
        continue;
      }
      if (said.reason === 'Stopped') {
        if (this.#interrupt.signal.aborted) continue;
        // Not we: the client itself was stopped.
        return;
      }
      await this.#failed(said, this.#tools.now() - startedMs);
      if (said.code !== 404 || this.#stopped) continue;
      this.#version = null;
      this.ended = true;
      this.#sink.missing();
      return;
    }
  }

  /** A watch came to its end, as it is meant to. */
  async #ended(lastedMs: number): Promise<void> {
    // A server that ends every watch at once, without a word, is not asked again at once.
    if (this.#lively || lastedMs >= LIMITS.KUBERNETES_SHORT_WATCH_MS) this.#alive();
    else if (this.#failures++ > 0) await this.#sleep(backoffMs(this.#failures, this.#tools.random()));
  }

  async #failed(said: Failure, lastedMs: number): Promise<void> {
    // A watch that was held for a while and then broke off says nothing against the version.
    if (this.#version !== null && said.code === 0 && lastedMs >= LIMITS.KUBERNETES_SHORT_WATCH_MS) this.#failures = 0;
    this.#failures++;
    this.health.failingMs ??= this.#tools.now();
    // One watch that broke off and is taken up again is nothing to speak of.
    if (this.#failures > 1 || !this.health.synced) this.#say(`${said.reason}: ${said.message}`);
    if (this.#version !== null) {
      if (isExpired(said)) this.#forgetVersion('expired');
      else if (mayBeTheVersion(said) && this.#failures >= LIMITS.KUBERNETES_RESUMES) this.#forgetVersion('refused');
    }
    const asked = Math.min(said.retryAfterMs ?? 0, LIMITS.KUBERNETES_RETRY_MAX_MS);
    // Who can go on from where it was costs the server nothing: only fillings are put off the longer.
    const row = this.#version === null ? Math.max(this.#failures, this.#hasty) : this.#failures;
    await this.#sleep(Math.max(asked, backoffMs(row, this.#tools.random())));
  }

  /** Null when it went well and the watch that may follow has ended. */
  async #fill(): Promise<Failure | null> {
    if (this.#page === '') this.#seen = new Set();
    this.#isFilling = true;
    const said = this.#mayStream ? await this.#fillByStream() : await this.#fillByPages();
    this.#isFilling = false;
    return said;
  }

  get #mayStream(): boolean {
    return this.#tools.server.streams && !this.#streamFailed;
  }

  async #fillByStream(): Promise<Failure | null> {
    // A server that knows nothing of it may send events and never say that these were all.
    const cancel = this.#tools.timers.after(LIMITS.KUBERNETES_FILL_MS, () => {
      this.#streamFailed = true;
      this.#interrupt.abort();
    });
    const query = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
    const reply = await this.#watch(query, cancel);
    cancel();
    if (this.#version !== null) return reply.ok ? null : reply.failure;
    this.#streamFailed = true;
    if (reply.ok) return failure('Broken', 'the stream of initial events ended before its end');
    const { code } = reply.failure;
    if (code !== 400 && code !== 422) return reply.failure;
    this.#tools.server.streams = false;
    return await this.#fillByPages();
  }

  /** Pages that have come stay: after a failure it goes on with the next one, as long as the server still has it. */
  async #fillByPages(): Promise<Failure | null> {
    do {
      const reply = await this.#tools.client.ask({
        verb: 'list',
        kind: this.collection.kind,
        path: this.collection.path,
        query: {
          limit: String(LIMITS.KUBERNETES_PAGE),
          ...(this.#page === '' ? {} : { continue: this.#page }),
          ...this.#selector(),
        },
        ...this.#accept('List'),
        signal: this.#interrupt.signal,
      });
      if (!reply.ok) {
        // A busy server may well have the page later; one that says no may have forgotten it.
        const { code } = reply.failure;
        const refused = code >= 400 && code < 500 && code !== 429;
        if (refused || this.#failures + 1 >= LIMITS.KUBERNETES_RESUMES) this.#page = '';
        return reply.failure;
      }
      const { metadata, items } = fields(reply.body);
      const { continue: more, resourceVersion } = fields(metadata);
      if ((!Array.isArray(items) && items !== null) || typeof resourceVersion !== 'string')
        return failure('Broken', 'the answer is no list');
      if (this.#stopped || this.#interrupt.signal.aborted) return failure('Stopped', 'stopped');
      this.#upsert((items ?? []).filter(isObject));
      this.#failures = 0;
      this.#page = typeof more === 'string' ? more : '';
      if (this.#page === '') this.#filled(resourceVersion);
    } while (this.#page !== '');
    return null;
  }

  async #follow(): Promise<Failure | null> {
    const reply = await this.#watch({ resourceVersion: this.#version as string }, () => {});
    return reply.ok ? null : reply.failure;
  }

  #watch(query: Readonly<Record<string, string>>, onFilled: () => void): Promise<Reply> {
    const { random } = this.#tools;
    // Not all watches of all replicas at once, and never for ever.
    const seconds = Math.floor(LIMITS.KUBERNETES_WATCH_S * (1 + random()));
    return this.#tools.client.watch(
      {
        verb: 'watch',
        kind: this.collection.kind,
        path: this.collection.path,
        query: {
          watch: 'true',
          allowWatchBookmarks: 'true',
          timeoutSeconds: String(seconds),
          ...query,
          ...this.#selector(),
        },
        ...this.#accept(''),
        signal: this.#interrupt.signal,
      },
      LIMITS.KUBERNETES_IDLE_MS,
      (event) => this.#event(event, onFilled),
    );
  }

  /** Throws a Failure for what is no event, or an ERROR. */
  #event(event: unknown, onFilled: () => void): void {
    if (this.#stopped || this.#interrupt.signal.aborted) throw failure('Stopped', 'stopped');
    const { type, object } = fields(event);
    if (type === 'ERROR') {
      const { code } = fields(object);
      throw failureOf(typeof code === 'number' ? code : 0, object, null);
    }
    // Only what comes after the filling shows that the server can be followed.
    const live = this.#seen === null;
    const { metadata } = fields(object);
    const { resourceVersion, annotations } = fields(metadata);
    if (typeof resourceVersion !== 'string') throw failure('Broken', 'an event without a version');
    if (type === 'BOOKMARK') {
      if (this.#seen === null) this.#version = resourceVersion;
      else if (fields(annotations)[INITIAL_END] === 'true') {
        onFilled();
        this.#filled(resourceVersion);
      }
    } else {
      if (!isObject(object)) throw failure('Broken', 'an event without a name');
      if (type === 'ADDED' || type === 'MODIFIED') this.#upsert([object]);
      else if (type === 'DELETED') this.#remove(nameOf(object));
      if (this.#seen === null) this.#version = resourceVersion;
    }
    this.health.lastEventMs = this.#tools.now();
    if (!live) return;
    this.#lively = true;
    this.#alive();
  }

  #upsert(objects: readonly RawObject[]): void {
    for (const object of objects) {
      const name = nameOf(object);
      this.#known.add(name);
      this.#seen?.add(name);
    }
    if (objects.length > 0) this.#sink.apply(objects, []);
  }

  #remove(name: RawName): void {
    this.#seen?.delete(name);
    if (this.#known.delete(name)) this.#sink.apply([], [name]);
  }

  /** Everything there is has come: what has not is gone. */
  #filled(version: string): void {
    const seen = this.#seen ?? new Set();
    const gone = [...this.#known].filter((name) => !seen.has(name));
    for (const name of gone) this.#known.delete(name);
    this.#seen = null;
    this.#version = version;
    this.#filledMs = this.#tools.now();
    this.#streamFailed = false;
    this.#isFilling = false;
    if (gone.length > 0) this.#sink.apply([], gone);
    const first = !this.health.synced;
    this.health.synced = true;
    this.health.failingMs = null;
    if (first || this.health.reason !== null) {
      this.health.reason = null;
      this.#sink.changed();
    }
    if (!this.#again) return;
    this.#again = false;
    this.relist('asked');
  }

  #alive(): void {
    this.#failures = 0;
    this.health.failingMs = null;
    if (this.health.reason === null) return;
    this.health.reason = null;
    this.#sink.changed();
  }

  #say(reason: string): void {
    if (this.health.reason === reason) return;
    this.health.reason = reason;
    this.#sink.changed();
  }

  #forgetVersion(cause: RelistCause): void {
    this.#version = null;
    this.#page = '';
    const soon = this.#tools.now() - this.#filledMs < LIMITS.KUBERNETES_RELIST_MS;
    this.#hasty = soon && cause !== 'asked' ? this.#hasty + 1 : 0;
    this.health.relists.set(cause, (this.health.relists.get(cause) ?? 0) + 1);
  }

  #sleep(ms: number): Promise<void> {
    const { signal } = this.#interrupt;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const cancel = this.#tools.timers.after(ms, resolve);
      signal.addEventListener(
        'abort',
        () => {
          cancel();
          resolve();
        },
        { once: true },
      );
    });
  }

  #selector(): Record<string, string> {
    const { fieldSelector, labelSelector } = this.collection;
    return {
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
    };
  }

  #accept(list: 'List' | ''): { accept?: string } {
    if (this.collection.metadataOnly !== true) return {};
    return { accept: `application/json;as=PartialObjectMetadata${list};g=meta.k8s.io;v=v1` };
  }
}

/** The server answered, and not that it is busy or that we may not: perhaps it can do nothing with our version. */
function mayBeTheVersion({ code, reason }: Failure): boolean {
  return reason === 'Broken' || (code > 0 && ![401, 403, 429, 503].includes(code));
}

function isObject(value: unknown): value is RawObject {
  if (!isFields(value) || !isFields(value['metadata'])) return false;
  const { name, namespace } = value['metadata'];
  return typeof name === 'string' && name !== '' && (namespace === undefined || typeof namespace === 'string');
}

function nameOf({ metadata }: RawObject): RawName {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

// What every writer into the API server does alike: objects wait for their turn, some kinds before others, a few are
// written at once, each at most every 250 ms; failures back off; what somebody changes again and again is left to them;
// only the leader writes, and whoever leads later goes over everything. What is written is the writer's own.

import type { ObjectKey } from '../../api/object.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import type { Api, Failed } from './api.ts';

export interface ObjectWriterTools {
  readonly api: Api;
  readonly timers: Timers;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Whether this program writes, now. */
  readonly leads: () => boolean;
}

/**
 * `ok`, `removed` (taken away), `conflict` (tried again), `refused` (the server will not have it: tried again when the
 * object changes, or much later), `failed` (tried again), `left` (given up to others).
 */
export type WriteResult = 'ok' | 'removed' | 'conflict' | 'refused' | 'failed' | 'left';

/** What is known of one object. `Echo` is of our last write, used until the watch brings something newer. */
export interface WriteEntry<Wanted, Echo> {
  wanted: Wanted | null;
  echo: Echo | null;
  /** What was told of it, that it is not told again. */
  told: string;
  /** When it may be written again. */
  notBeforeMs: number;
  /** Failures in a row. */
  failures: number;
  /** Writes since `wanted` changed, and when the last one was. */
  written: number;
  writtenMs: number;
  writing: boolean;
  /** Puts off for good that what the server refused is tried again; null: nothing waits for it. */
  retry: (() => void) | null;
  /** It changed while it was being written. */
  again: boolean;
}

/** The reason of an Event: the writer's own first, then that it was taken away again and again, or not taken. */
export type Trouble = 'NotMade' | 'LeftAlone' | 'NotWritten';

/** Sends one write; null: it did not start, because this program leads no more. */
type Write = () => Promise<WriteResult | null>;

export abstract class ObjectWriter<Wanted, Echo> {
  protected readonly entries = new Map<ObjectKey, WriteEntry<Wanted, Echo>>();
  readonly #base: ObjectWriterTools;
  /** Kinds whose objects are written before all others: those many wait for. */
  readonly #urgent: ReadonlySet<string>;
  /** Waiting for a write, in order. */
  readonly #first = new Set<ObjectKey>();
  readonly #rest = new Set<ObjectKey>();
  readonly #results = new Map<string, number>();
  #running = 0;
  #stopped = false;

  constructor(tools: ObjectWriterTools, urgent: ReadonlySet<string>) {
    this.#base = tools;
    this.#urgent = urgent;
  }

  /** What has to be written of it now; null: nothing, and an entry that nobody needs any more is gone then. */
  protected abstract due(key: ObjectKey, entry: WriteEntry<Wanted, Echo>): Write | null;
  /** Something is wrong with it, told once; `cause` is of a write that the server did not take. */
  protected abstract trouble(key: ObjectKey, entry: WriteEntry<Wanted, Echo>, trouble: Trouble, cause: string): void;

  /** Writes by kind and result. */
  *counts(): Iterable<{ readonly kind: string; readonly result: string; readonly count: number }> {
    for (const [key, count] of this.#results) {
      const [kind = '', result = ''] = key.split(' ');
      yield { kind, result, count };
    }
  }

  /** This program leads from now on: whatever is not as it should be is written. */
  lead(): void {
    for (const [key, entry] of this.entries) {
      entry.told = '';
      // What the watch brought while another one led was not looked at.
      entry.echo = null;
      this.queue(key);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#first.clear();
    this.#rest.clear();
  }

  /** Another thing is wanted of the object from now on. */
  protected want(key: ObjectKey, wanted: Wanted | null): void {
    const entry = this.entries.get(key);
    if (entry === undefined) {
      this.entries.set(key, {
        wanted,
        echo: null,
        told: '',
        notBeforeMs: 0,
        failures: 0,
        written: 0,
        writtenMs: 0,
        writing: false,
        retry: null,
        again: false,
      });
    } else Object.assign(entry, { wanted, written: 0, failures: 0 });
    this.queue(key);
  }

  protected queue(key: ObjectKey): void {
    (this.#urgent.has(kindOf(key)) ? this.#first : this.#rest).add(key);
    this.#pump();
  }

  #pump(): void {
    if (this.#stopped || !this.#base.leads()) {
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
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    if (entry.writing) {
      entry.again = true;
      return;
    }
    // Looked at before it may be written, so that nothing the watch brings in between is missed.
    const write = this.due(key, entry);
    if (write === null) return;
    const wait = entry.notBeforeMs - this.#base.now();
    if (wait > 0) {
      entry.writing = true;
      this.#base.timers.after(wait, () => {
        entry.writing = false;
        entry.again = false;
        this.queue(key);
      });
      return;
    }
    if (this.#takenAway(key, entry)) return;
    entry.writing = true;
    this.#running++;
    void write().then((result) => this.#ended(key, entry, result));
  }

  /** What we wrote was changed by somebody (or never stored as it was): put back a few times, then left. */
  #takenAway(key: ObjectKey, entry: WriteEntry<Wanted, Echo>): boolean {
    if (this.#base.now() - entry.writtenMs > LIMITS.STATUS_FORGET_MS) entry.written = 0;
    if (entry.written <= LIMITS.STATUS_REASSERTIONS) return false;
    if (entry.written++ === LIMITS.STATUS_REASSERTIONS + 1) {
      this.count(key, 'left');
      this.tell(key, entry, 'LeftAlone', '');
    }
    return true;
  }

  #ended(key: ObjectKey, entry: WriteEntry<Wanted, Echo>, result: WriteResult | null): void {
    this.#running--;
    entry.writing = false;
    let { again } = entry;
    entry.again = false;
    if (result !== null) this.count(key, result);
    if (result === 'ok' || result === 'removed') {
      entry.failures = 0;
      entry.told = '';
      entry.notBeforeMs = this.#base.now() + LIMITS.STATUS_INTERVAL_MS;
    } else again ||= result === 'failed' || result === 'conflict';
    entry.retry?.();
    // Who refuses may be a webhook that is being mended, or a definition that is older than its objects.
    entry.retry =
      result === 'refused' ? this.#base.timers.after(refusedMs(entry.failures), () => this.queue(key)) : null;
    if (again) this.queue(key);
    else this.#pump();
  }

  /** The server took it. */
  protected took(entry: WriteEntry<Wanted, Echo>, echo: Echo | null): void {
    entry.written++;
    entry.writtenMs = this.#base.now();
    entry.echo = echo;
  }

  /** The server did not take it, or there was none. */
  protected failed(
    key: ObjectKey,
    entry: WriteEntry<Wanted, Echo>,
    { code, reason, message, retryAfterMs }: Failed,
  ): WriteResult | null {
    if (reason === 'Stopped') this.stop();
    if (reason === 'NotSent' || reason === 'Stopped') return null;
    entry.failures++;
    const wait = Math.min(
      LIMITS.STATUS_INTERVAL_MS * 2 ** Math.min(entry.failures, 16),
      LIMITS.KUBERNETES_RETRY_MAX_MS,
    );
    const asked = Math.min(retryAfterMs ?? 0, LIMITS.KUBERNETES_RETRY_MAX_MS);
    entry.notBeforeMs = this.#base.now() + Math.max(wait, asked);
    // The server will answer the same again, for now; rights and what others made may change at any time.
    const final = code >= 400 && code < 500 && ![401, 403, 404, 408, 409, 429].includes(code);
    if (final || code === 403 || entry.failures === 3) this.tell(key, entry, 'NotWritten', `${reason}: ${message}`);
    if (final) return 'refused';
    return code === 409 ? 'conflict' : 'failed';
  }

  protected tell(key: ObjectKey, entry: WriteEntry<Wanted, Echo>, trouble: Trouble, cause: string): void {
    const told = `${trouble} ${cause}`;
    if (entry.told === told) return;
    entry.told = told;
    this.trouble(key, entry, trouble, cause);
  }

  protected count(key: ObjectKey, result: WriteResult): void {
    const name = `${kindOf(key)} ${result}`;
    this.#results.set(name, (this.#results.get(name) ?? 0) + 1);
  }
}

/** How long after that many failures in a row what was refused is left alone, unless its object changes. */
function refusedMs(failures: number): number {
  return Math.min(LIMITS.STATUS_REFUSED_MS * 2 ** Math.min(failures - 1, 16), LIMITS.STATUS_REFUSED_MAX_MS);
}

function kindOf(key: ObjectKey): string {
  return key.slice(0, key.indexOf('/'));
}

// Who of several replicas writes: the holder of a Lease (coordination.k8s.io/v1), after client-go's leaderelection,
// with its timings. All of them serve; only writing is led. The version of an object does not fence off a leader that
// stood still, so each write asks `leads()` when its first byte goes out: time since the last renewal was begun, by a
// clock that nobody sets.

import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import type { Answer, Api } from './api.ts';

export interface LeaseTools {
  readonly api: Api;
  readonly timers: Timers;
  /** Milliseconds that never go back; they go on while the process stands still. */
  readonly now: () => number;
  /** For renewTime, which only people read. */
  readonly wall: () => Date;
  /** In [0, 1). */
  readonly random: () => number;
  /** The lease cannot be had or held, and why, once for each cause; null: it can again, or another has it. */
  readonly onTrouble: (reason: string | null) => void;
}

export interface LeasePlace {
  readonly namespace: string;
  readonly name: string;
  /** Of this program, and of no other. */
  readonly identity: string;
}

interface Seen {
  readonly object: Record<string, unknown>;
  readonly text: string;
  /** When the record was first seen as it is. */
  readonly atMs: number;
}

export class Lease {
  readonly #place: LeasePlace;
  readonly #tools: LeaseTools;
  readonly #onChange: (leads: boolean) => void;
  #seen: Seen | null = null;
  /** Writing is allowed until then. */
  #untilMs = Number.NEGATIVE_INFINITY;
  /** What onChange was told last. */
  #told = false;
  #stopped = false;
  #wake: () => void = () => {};
  /** The try under way, or the last one. */
  #trying: Promise<void> = Promise.resolve();
  #cancelEnd: () => void = () => {};
  /** Why the lease could not be had or held, or null. */
  reason: string | null = null;
  /** Failures in a row, and the first word of the reason that was told. */
  #failures = 0;
  #trouble: string | null = null;

  constructor(place: LeasePlace, tools: LeaseTools, onChange: (leads: boolean) => void) {
    this.#place = place;
    this.#tools = tools;
    this.#onChange = onChange;
  }

  /** Whether this program may write, now. */
  leads(): boolean {
    return this.#tools.now() < this.#untilMs;
  }

  /** Who holds it, as far as was seen; empty: nobody. */
  get holder(): string {
    return textOf(fields(this.#seen?.object['spec'])['holderIdentity']);
  }

  start(): void {
    void this.#run();
  }

  /** Gives it back, so that the next one need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    this.#lose();
    // A renewal under way would make the version another, or the lease ours.
    await this.#trying;
    if (this.#seen === null || this.holder !== this.#place.identity) return;
    // As client-go has it: nobody's, and not for long.
    const { holderIdentity: _, ...rest } = this.#spec(this.#seen.object);
    const spec = { ...rest, leaseDurationSeconds: 1 };
    await this.#write('update', { ...this.#seen.object, spec });
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#trying = this.#attempt();
      await this.#trying;
      if (this.#stopped) return;
      // Those who wait do not all come at once.
      const jitter = this.leads() ? 1 : 1 + 0.2 * this.#tools.random();
      await new Promise<void>((resolve) => {
        const cancel = this.#tools.timers.after(LIMITS.LEASE_RETRY_MS * jitter, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  async #attempt(): Promise<void> {
    const startedMs = this.#tools.now();
    // Whoever leads renews by the version it wrote; everybody else looks first.
    if (!this.leads() || this.#seen === null) {
      const read = await this.#ask('get', undefined);
      if (!read.ok && read.failure.code === 404)
        return void this.#won(startedMs, await this.#write('create', this.#fresh()));
      if (!read.ok) return void this.#failed(read);
      this.#look(read.body);
      if (!this.#free()) {
        this.#well();
        this.#lose();
        return;
      }
    }
    const { object } = this.#seen as Seen;
    this.#won(startedMs, await this.#write('update', { ...object, spec: this.#spec(object) }));
  }

  /** Ours, nobody's, or not renewed for as long as its holder said that it would be. */
  #free(): boolean {
    const { object, atMs } = this.#seen as Seen;
    const { leaseDurationSeconds } = fields(object['spec']);
    const seconds = typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds : LIMITS.LEASE_MS / 1000;
    if (this.holder === '' || this.holder === this.#place.identity) return true;
    return this.#tools.now() >= atMs + seconds * 1000;
  }

  #won(startedMs: number, reply: Answer): void {
    if (!reply.ok) return void this.#failed(reply);
    this.#look(reply.body);
    if (this.#stopped) return;
    this.#well();
    // Who stood still may have it back before the timer says that it ended: what was not written then is due again.
    if (!this.leads()) this.#tell(false);
    this.#untilMs = startedMs + LIMITS.LEASE_RENEW_MS;
    this.#cancelEnd();
    this.#cancelEnd = this.#tools.timers.after(this.#untilMs - this.#tools.now(), () => this.#lose());
    this.#tell(true);
  }

  #failed(reply: Answer): void {
    if (reply.ok) return;
    const { code, reason, message } = reply.failure;
    this.reason = `${reason}: ${message}`;
    // One that failed now and then is nothing to speak of, and who has no right will have none at the next try.
    if ((++this.#failures >= LIMITS.LEASE_FAILURES_TOLD || code === 403) && this.#trouble !== reason) {
      this.#trouble = reason;
      this.#tools.onTrouble(this.reason);
    }
    // Somebody else wrote it, or removed it: the next try looks first.
    if (code === 409 || code === 404) this.#seen = null;
  }

  #well(): void {
    this.reason = null;
    this.#failures = 0;
    if (this.#trouble !== null) this.#tools.onTrouble(null);
    this.#trouble = null;
  }

  #lose(): void {
    this.#cancelEnd();
    this.#untilMs = Number.NEGATIVE_INFINITY;
    this.#tell(false);
  }

  #tell(leads: boolean): void {
    if (leads === this.#told) return;
    this.#told = leads;
    this.#onChange(leads);
  }

  #look(body: unknown): void {
    const object = { ...fields(body) };
    const text = JSON.stringify(object['spec']);
    if (this.#seen?.text === text) this.#seen = { ...this.#seen, object };
    else this.#seen = { object, text, atMs: this.#tools.now() };
  }

  #fresh(): Record<string, unknown> {
    const { name, namespace } = this.#place;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace },
      spec: this.#spec({}),
    };
  }

  #spec(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const before = fields(object['spec']);
    const { identity } = this.#place;
    const time = microTime(this.#tools.wall());
    const ours = before['holderIdentity'] === identity;
    const transitions = typeof before['leaseTransitions'] === 'number' ? before['leaseTransitions'] : 0;
    const first = before['acquireTime'] === undefined;
    return {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: LIMITS.LEASE_MS / 1000,
      acquireTime: ours ? before['acquireTime'] : time,
      renewTime: time,
      leaseTransitions: ours || first ? transitions : transitions + 1,
    };
  }

  #write(verb: 'create' | 'update', body: unknown): Promise<Answer> {
    return this.#ask(verb, body);
  }

  #ask(verb: 'get' | 'create' | 'update', body: unknown): Promise<Answer> {
    const { namespace, name } = this.#place;
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
    return this.#tools.api.ask({
      verb,
      kind: 'Lease',
      path: verb === 'create' ? path : `${path}/${name}`,
      ...(body === undefined ? {} : { body }),
      urgent: true,
      timeoutMs: LIMITS.LEASE_RENEW_MS / 2,
    });
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** metav1.MicroTime. */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}

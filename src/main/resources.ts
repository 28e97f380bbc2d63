// The way of a resource through the controller: sources deliver, the store keeps, a revision closes, the translator says
// what it means, the publisher sends it.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { shownEntry } from '../ir/shown.ts';
import type { Publisher } from '../publish/publisher.ts';
import type { Source, SourceSink } from '../source/source.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import { Batch } from '../store/batch.ts';
import { Store } from '../store/store.ts';
import type { Changes } from '../store/world.ts';
import { AddressPool } from '../translate/addresses.ts';
import { type Condition, type Status, settled } from '../translate/conditions.ts';
import type { TranslatorOptions } from '../translate/context.ts';
import { Translator } from '../translate/translator.ts';
import type { Options } from './options.ts';
import { createSources, type Sources } from './sources.ts';
import type { Readiness } from './state.ts';

/** How resources are understood when no flag says otherwise. */
export const DEFAULT_TRANSLATION: TranslatorOptions = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  defaultAddresses: ['0.0.0.0', '::'],
  portMap: new Map(),
};

export class Resources implements SourceSink {
  readonly #log: Logger;
  readonly #publisher: Publisher;
  readonly #store = new Store();
  readonly #translator: Translator;
  readonly #batch: Batch;
  readonly #sources: Sources;
  /** Problems that sources have, by origin. */
  readonly #sourceProblems = new Map<string, readonly Problem[]>();
  #published = false;

  constructor(options: Options, log: Logger, publisher: Publisher, cluster: Source | null) {
    this.#log = log;
    this.#publisher = publisher;
    this.#translator = new Translator({
      controllerName: options.controllerName,
      // In a cluster a class has to exist.
      implicitClass: options.kubernetes === null ? options.gatewayClass : null,
      defaultAddresses: options.listen,
      ...(options.addressPool.length === 0 ? {} : { addressPool: new AddressPool(options.addressPool) }),
      portMap: new Map(Object.entries(options.portMap).map(([a, b]) => [Number(a), b])),
    });
    this.#batch = new Batch(SYSTEM_TIMERS, (changes) => this.#revise(changes));
    this.#sources = createSources(options, cluster);
  }

  get readiness(): Readiness {
    if (this.#published) return { waitingFor: null, nothingToServe: this.#publisher.idle ? this.#whyIdle() : null };
    const [origin] = [...this.#sourceProblems.entries()];
    return { waitingFor: origin === undefined ? '' : `${origin[0]}: ${origin[1][0]?.message}`, nothingToServe: null };
  }

  #whyIdle(): string {
    const gateways = this.counts().get('Gateway') ?? 0;
    return gateways === 0 ? 'there is no Gateway' : 'no listener of a Gateway is ours and valid (/config/problems)';
  }

  start(): void {
    this.#sources.source.start(this);
  }

  rescan(): void {
    this.#sources.source.rescan();
  }

  // ---- SourceSink

  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    this.#batch.add(this.#store.apply(upserts, removals));
  }

  problems(origin: string, problems: readonly Problem[]): void {
    const before = new Set((this.#sourceProblems.get(origin) ?? []).map(describe));
    if (problems.length === 0) this.#sourceProblems.delete(origin);
    else this.#sourceProblems.set(origin, problems);
    this.#tell(problems.filter((p) => !before.has(describe(p))));
  }

  /** Everything there is has been delivered: the first revision goes out, whole. */
  synced(): void {
    if (this.#published) return;
    this.#batch.flush();
    this.#published = true;
    this.#publisher.publishAll([...this.#translator.ir.values()]);
  }

  // ---- what the admin server shows

  /** Everything that is wrong, with its place. */
  allProblems(): Problem[] {
    return [...this.#sourceProblems.values(), ...this.#translator.diagnostics.values()]
      .flat()
      .map((p) => this.#located(p));
  }

  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { kind } of this.#store.all()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Objects with the status computed for them; `acked`: whether every worker serves the newest revision. */
  objects(acked: boolean): unknown[] {
    return [...this.#store.all()]
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
      .map((object) => {
        const status = this.#translator.statuses.get(keyOf(object));
        return { ...withoutSecrets(object), ...(status === undefined ? {} : { status: settledStatus(status, acked) }) };
      });
  }

  ir(): unknown[] {
    return [...this.#translator.ir.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).map(shownEntry);
  }

  // ---- revisions

  #revise(changes: Changes): void {
    const { delta, diagnostics } = this.#translator.update(this.#store, changes);
    for (const problems of diagnostics.values()) this.#tell(problems);
    for (const [kind, keys] of this.#translator.takeWanted()) this.#sources.source.want?.(kind, keys);
    if (!this.#published) return;
    this.#publisher.publish(delta);
  }

  #tell(problems: readonly Problem[]): void {
    for (const problem of problems.slice(0, LIMITS.PROBLEMS_LOGGED)) {
      const { severity, message, place } = this.#located(problem);
      this.#log[severity === 'error' ? 'error' : 'warn'](message, { ...place });
    }
    if (problems.length > LIMITS.PROBLEMS_LOGGED)
      this.#log.warn('more problems at /config/problems', { more: problems.length - LIMITS.PROBLEMS_LOGGED });
  }

  /** With file, line and column where the object came from a file. */
  #located(problem: Problem): Problem {
    const { object, field, file } = problem.place;
    if (object === undefined || file !== undefined) return problem;
    const place = this.#sources.placeOf(object, field);
    return place === null ? problem : { ...problem, place: { ...place, ...problem.place } };
  }
}

function describe(problem: Problem): string {
  return JSON.stringify([problem.severity, problem.message, problem.place]);
}

/** Names of a Secret's keys stay, their values do not. */
function withoutSecrets(object: KubeObject): KubeObject {
  if (object.kind !== 'Secret') return object;
  const hide = (value: unknown): Record<string, string> =>
    Object.fromEntries(Object.keys((value ?? {}) as Record<string, unknown>).map((key) => [key, '(hidden)']));
  return {
    ...object,
    data: hide(object['data']),
    ...(object['stringData'] === undefined ? {} : { stringData: hide(object['stringData']) }),
  };
}

function settledStatus(status: Status, acked: boolean): unknown {
  const settle = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(settle);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        name,
        name === 'conditions' ? settled(inner as readonly Condition[], acked) : settle(inner),
      ]),
    );
  };
  return settle(status);
}

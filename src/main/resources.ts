// The way of a resource through the controller: sources deliver, the store keeps, a revision closes, the translator
// says what it means, the publisher sends it.

import { causesOnly, withHint } from '../api/causes.ts';
import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { type Problem, problemText } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { Seldom } from '../base/seldom.ts';
import type { Scene } from '../explain/explain.ts';
import type { Entry } from '../ir/ir.ts';
import { KEPT_KEY, STATE_PREFIX } from '../ir/keys.ts';
import { shownEntry } from '../ir/shown.ts';
import type { Publisher } from '../publish/publisher.ts';
import { StatusStream } from '../publish/status.ts';
import { HOST_ORIGIN } from '../source/dns/stage.ts';
import type { SourceSink } from '../source/source.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import { Batch } from '../store/batch.ts';
import { Store } from '../store/store.ts';
import type { FailedSocket, Held } from '../stream/messages.ts';
import { Propagation } from '../telemetry/propagation.ts';
import { AddressPool } from '../translate/addresses.ts';
import {
  type CertificateFacts,
  type CertificateNumbers,
  certificateFacts,
  certificateNumbers,
  expiryProblems,
} from '../translate/certificate-facts.ts';
import type { Status } from '../translate/conditions.ts';
import type { TranslatorOptions } from '../translate/context.ts';
import type { Early, Update } from '../translate/output.ts';
import { revocationProblems } from '../translate/revocation.ts';
import { Translator } from '../translate/translator.ts';
import { readOfStatus } from '../translate/unit.ts';
import { withoutEffect } from '../translate/without-effect.ts';
import { isLocal, reachableAddresses } from './addresses.ts';
import { whyIdle } from './idle.ts';
import { Journal } from './journal.ts';
import type { KeyPair } from './key-pair.ts';
import type { Cluster } from './kubernetes.ts';
import type { Options } from './options.ts';
import { Points } from './points.ts';
import { practise } from './practice.ts';
import { createSources, ownDomain, type Sources } from './sources.ts';
import type { Readiness } from './state.ts';
import { systemTrust } from './system-trust.ts';

/** How resources are understood when no flag says otherwise. */
export const DEFAULT_TRANSLATION: TranslatorOptions = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  fromFiles: true,
  defaultAddresses: ['0.0.0.0', '::'],
  portMap: new Map(),
  systemTrust,
};

/** What there was before this controller. */
export interface Beginning {
  /** `first`: nothing; `takeover`: another program serves; `again`: this program serves, its controller ended. */
  readonly origin: 'first' | 'takeover' | 'again';
  /** Creation times that an earlier controller of this program gave to objects of files. */
  readonly ages: ReadonlyMap<ObjectKey, string>;
  /** Of --tls-cert and --tls-key. */
  readonly pair: KeyPair | null;
  /** The program is not to serve this configuration, and why. */
  refuse(message: string): void;
}

/** Kinds among which the older one wins. */
const AGED = /^Gateway$|^ListenerSet$|Route$|Policy$/;
/** Under this the keeper remembers their ages. */
export const AGES = 'age/';
/** Under this, what is known of the state file that is served. */
export const KEPT = KEPT_KEY.slice(STATE_PREFIX.length);

const NO_KEYS: ReadonlySet<ObjectKey> = new Set();

export class Resources implements SourceSink {
  readonly #log: Logger;
  readonly #beginning: Beginning;
  readonly #lenient: boolean;
  /** Name of this controller. */
  readonly #ours: string;
  readonly #publisher: Publisher;
  readonly #store = new Store(readOfStatus);
  readonly #translator: Translator;
  readonly #batch: Batch;
  readonly #sources: Sources;
  readonly #journal: Journal;
  /** Problems that sources have, by origin. */
  readonly #sourceProblems = new Map<string, readonly Problem[]>();
  /** As they are written: the sink of files is what /config shows. */
  readonly #written = new Map<ObjectKey, Status>();
  readonly propagation = new Propagation();
  readonly statuses = new StatusStream({
    write: (key, status) => {
      if (status === null) this.#written.delete(key);
      else this.#written.set(key, status);
      this.#cluster?.write(key, status);
    },
  });
  /** With --kubernetes: where statuses go besides. */
  readonly #cluster: Cluster | null;
  /** Of keys that are read, until all is. */
  readonly #points = new Points();
  #published = false;
  /** While the first revision is being made. */
  #early: Early | null = null;
  /** All of them are looked at for each change. */
  readonly #certificatesChanged = new Seldom(SYSTEM_TIMERS, LIMITS.CERTIFICATE_TELL_MS, () =>
    this.#tellOfCertificates(),
  );
  /** Until certificates have been looked at once. */
  #cancelFirstLook: (() => void) | null = null;
  readonly #effectsChanged = new Seldom(SYSTEM_TIMERS, LIMITS.EFFECTS_TELL_MS, () => this.#tellOfEffects());
  /** Why nothing is served, as it was last said. */
  #idle: string | null = null;
  /**
   * Everything has been read, but is not published: its files have errors, and what is served does not follow from
   * them.
   */
  #holding = false;

  constructor(options: Options, log: Logger, publisher: Publisher, cluster: Cluster | null, beginning: Beginning) {
    this.#log = log;
    this.#cluster = cluster;
    this.#beginning = beginning;
    this.#lenient = options.lenient;
    this.#ours = options.controllerName;
    this.#publisher = publisher;
    const domain = ownDomain();
    this.#translator = new Translator({
      controllerName: options.controllerName,
      // In a cluster a class has to exist.
      implicitClass: options.kubernetes === null ? options.gatewayClass : null,
      fromFiles: options.kubernetes === null,
      // Whoever may write a Backend or XBackend in a cluster would reach the admin, or the node's own services, through
      // the proxy.
      ...(options.kubernetes?.backends === 'on' ? { forbidden: isLocal } : {}),
      ...(options.kubernetes?.backends === 'off' ? { withoutBackends: true } : {}),
      ...(options.kubernetes === null || domain === undefined ? {} : { clusterDomain: domain }),
      defaultAddresses: options.listen,
      defaultCertificate: nameOf(options.defaultCertificate),
      proxyProtocol: options.proxyProtocol,
      trustsProxies: options.trustedProxies.length > 0,
      ...(options.kubernetes === null
        ? {}
        : {
            statusAddresses: reachableAddresses(options.listen),
            exposure: {
              serviceType: options.kubernetes.gatewayService,
              published: nameOf(options.kubernetes.publishService),
            },
          }),
      systemTrust,
      ...(options.addressPool.length === 0 ? {} : { addressPool: new AddressPool(options.addressPool) }),
      zone: options.zone,
      node: options.kubernetes?.node ?? null,
      portMap: new Map(Object.entries(options.portMap).map(([a, b]) => [Number(a), b])),
    });
    this.#journal = new Journal(log, SYSTEM_TIMERS, (problem) => this.#hinted(problem));
    const now = (): number => performance.now();
    this.#batch = new Batch(SYSTEM_TIMERS, now, ({ keys }) => {
      const before = publisher.revision;
      this.propagation.closed(now());
      this.#revise(this.#translator.update(this.#store, { keys }, this.#early), keys);
      const { revision } = publisher;
      // A start is none: what was there before it has no time at which it came.
      this.propagation.sent(this.#published && revision > before ? revision : null, now());
    });
    const { ages, pair } = beginning;
    const found = (object: KubeObject): void => this.#points.found(object);
    this.#sources = createSources(options, { cluster: cluster?.source ?? null, pair, ages, found });
  }

  get readiness(): Readiness {
    if (this.#published)
      return { waitingFor: null, nothingToServe: this.#publisher.idle ? whyIdle(this.#store.all()) : null };
    for (const [origin, problems] of this.#sourceProblems) {
      const error = problems.find((problem) => problem.severity === 'error');
      if (error !== undefined) return { waitingFor: `${origin}: ${error.message}`, nothingToServe: null };
    }
    return { waitingFor: '', nothingToServe: null };
  }

  /** To be called before `start`: what workers serve already. */
  succeed(served: Iterable<Entry>): void {
    this.#translator.succeed(served);
  }

  start(): void {
    this.#cluster?.start({
      find: (key) => this.#get(key),
      all: () => this.#store.all(),
    });
    this.#sources.source.start(this);
  }

  rescan(): void {
    this.#log.info('everything is read again');
    this.#sources.source.rescan();
  }

  // ---- SourceSink

  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    const restated = new Set<ObjectKey>();
    const changed = this.#store.apply(upserts, removals, restated);
    // What a status says back to who wrote it is no change, and no change waits for it.
    const meant = [...changed].filter((key) => !restated.has(key));
    if (meant.length > 0) this.propagation.event(performance.now());
    this.#batch.add(meant);
    this.#cluster?.seen(changed);
    // A write whose answer was lost may have come to pass behind what was said since.
    if (this.#published) this.#cluster?.told(this.#present(restated));
  }

  problems(origin: string, problems: readonly Problem[]): void {
    if (problems.length === 0) this.#sourceProblems.delete(origin);
    else this.#sourceProblems.set(origin, problems);
    this.#journal.problems(origin, problems);
    if (origin.startsWith(HOST_ORIGIN)) this.#cluster?.unresolved(origin, problems);
    if (this.#holding && this.#fileErrors().length === 0) {
      this.#holding = false;
      this.#publishFirst();
    }
  }

  /** Everything there is has been delivered: the first revision goes out, whole. */
  synced(): void {
    if (this.#published || this.#holding) return;
    const errors = this.#fileErrors();
    if (errors.length === 0 || this.#lenient || this.#begin(errors)) this.#publishFirst();
    this.#points.end();
  }

  #publishFirst(): void {
    // Workers have work of their own while this process finds out what is to be told.
    let sent: number | null = null;
    this.#early = {
      certificate: (entry) => this.#publisher.ahead(entry),
      entries: () => {
        sent = this.#sendWhole();
      },
      between: () => this.#publisher.push(),
    };
    this.#batch.flush();
    this.#early = null;
    const revision = sent ?? this.#sendWhole();
    this.#published = true;
    // All there is has been read: what is wrong now will be wrong in a moment.
    this.#journal.settled();
    this.#translator.settle();
    this.statuses.note(revision, this.#translator.statuses);
    this.#cluster?.told(this.#store.all());
    this.#tellUnsent();
    this.#cluster?.make(this.#translator.generated);
    this.#cluster?.diagnosed(this.#translator.diagnostics);
    this.#tellIdle();
    this.#effectsChanged.ask();
    this.#cancelFirstLook = SYSTEM_TIMERS.after(LIMITS.CERTIFICATE_FIRST_MS, () => this.#lookAtCertificates());
    if (this.#cluster !== null && this.#translator.ir.size < LIMITS.PRACTICE_CHANGES) this.#practise();
  }

  /** Of all there is, in place of whatever is served. */
  #sendWhole(): number {
    for (const key of this.#beginning.ages.keys()) this.#rememberAge(key);
    this.#publisher.remember(KEPT, null);
    return this.#publisher.publishAll([...this.#translator.ir.values()]);
  }

  /** Others have their turn between two steps. */
  #practise(): void {
    const steps = practise({ ...DEFAULT_TRANSLATION, implicitClass: null, fromFiles: false });
    const next = (): void => {
      if (steps.next().done !== true) setImmediate(next);
    };
    setImmediate(next);
  }

  /** What is said of a certificate that ends is another thing each day, so that it is logged once a day. */
  #lookAtCertificates(): void {
    this.#cancelFirstLook = null;
    this.#tellOfCertificates();
    SYSTEM_TIMERS.after(LIMITS.CERTIFICATE_LOOK_MS, () => this.#lookAtCertificates());
  }
  #tellOfCertificates(): void {
    const now = Date.now();
    this.problems('certificates', [
      ...expiryProblems(this.certificates(now), now),
      ...revocationProblems(this.#translator.ir.values(), now),
    ]);
  }

  /**
   * Files have no creation time: what this controller gave as one has to outlive it, or who serves would be decided
   * anew.
   */
  #rememberAge(key: ObjectKey): void {
    const [kind = '', namespace, name = ''] = key.split('/');
    if (this.#cluster !== null || !AGED.test(kind)) return;
    const age = this.#store.get(kind, namespace, name)?.metadata.creationTimestamp ?? null;
    this.#publisher.remember(`${AGES}${key}`, age);
  }

  /** The newest revision is held back, or no longer. */
  held(held: Held | null): void {
    if (held !== null) this.propagation.held();
    this.statuses.held(held);
  }

  /** Every worker serves this revision. */
  acked(revision: number): void {
    this.propagation.acked(revision, performance.now());
    this.statuses.acked(revision);
    this.#journal.served(revision);
  }

  /**
   * Of objects that are right and do nothing. In a cluster that is the rule: what others serve, and what is to come.
   */
  #tellOfEffects(): void {
    if (this.#cluster !== null || this.#store.size > LIMITS.EFFECTS_OBJECTS) return;
    const problems = [...this.#sourceProblems.values(), ...this.#translator.diagnostics.values()];
    const complete = problems.every((some) => some.every(({ severity }) => severity !== 'error'));
    const whole = { objects: this.#store.all(), entries: this.#translator.ir.values(), controllerName: this.#ours };
    this.problems('without effect', withoutEffect({ ...whole, complete }));
  }

  /** That nothing is served is said when it begins and when it ends. */
  #tellIdle(): void {
    const { nothingToServe } = this.readiness;
    if (nothingToServe === this.#idle) return;
    if (nothingToServe !== null) this.#log.warn('nothing to serve', { reason: nothingToServe });
    else this.#log.info('there is something to serve');
    this.#idle = nothingToServe;
  }

  #present(keys: Iterable<ObjectKey>): KubeObject[] {
    return [...keys].flatMap((key) => this.#get(key) ?? []);
  }
  #get(key: ObjectKey): KubeObject | undefined {
    const [kind = '', namespace, name = ''] = key.split('/');
    return this.#store.get(kind, namespace, name);
  }
  #has(key: ObjectKey): boolean {
    return this.#get(key) !== undefined;
  }

  /**
   * Whether a configuration whose files have errors is published at a start. What they last said is not known here, so
   * it would be taken away: not from a program that serves it.
   */
  #begin(errors: readonly Problem[]): boolean {
    const more = errors.length === 1 ? '' : ` (and ${errors.length - 1} errors more)`;
    const first = `${problemText(errors[0] as Problem)}${more}`;
    switch (this.#beginning.origin) {
      case 'first':
        this.#log.error('the configuration has errors: what they stand in is not served', { errors: errors.length });
        return true;
      case 'takeover':
        this.#beginning.refuse(`not taking over with errors in the configuration (--lenient does): ${first}`);
        return false;
      case 'again':
        this.#holding = true;
        this.#log.error('the configuration has errors: what was served goes on until they are mended', {
          errors: errors.length,
          first,
        });
        return false;
    }
  }

  /**
   * Errors of files as such: not of what their objects mean together, which is the same for everybody who reads them.
   */
  #fileErrors(): Problem[] {
    return [...this.#sourceProblems.values()]
      .flat()
      .filter((p) => p.severity === 'error' && p.place.file !== undefined);
  }

  // ---- what the admin server shows

  /** Everything that is wrong, with its place; what may have been meant is looked for as often as it is logged. */
  allProblems(): Problem[] {
    if (this.#cancelFirstLook !== null) {
      this.#cancelFirstLook();
      this.#lookAtCertificates();
    }
    this.#effectsChanged.settle();
    const all = [...this.#sourceProblems.values(), ...this.#translator.diagnostics.values()].flat();
    let hints = 0;
    return causesOnly(all).map((problem) => {
      const hint = problem.absent !== undefined && hints++ < LIMITS.PROBLEMS_LOGGED;
      const { absent: _, hides: __, idle: ___, ...told } = hint ? this.#hinted(problem) : this.#located(problem);
      return told;
    });
  }

  /** Whether there is a socket open where there should be one, and which listeners have none. */
  listening(): { readonly ready: boolean; readonly reason: string } {
    const { sockets, open, unopened } = this.#translator.openness();
    const more = unopened.length > 1 ? ` (and ${unopened.length - 1} more at /config/problems)` : '';
    const reason = unopened[0] === undefined ? '' : `${unopened[0]}${more}`;
    return { ready: sockets === 0 || open > 0, reason };
  }

  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { kind } of this.#store.all()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Which sockets could not be opened, all of them. */
  socketsFailed(failed: readonly FailedSocket[]): void {
    const faults = new Map(failed.map(({ key, code, reason }) => [key, { code, reason }]));
    this.#revise(this.#translator.sockets(this.#store, faults), NO_KEYS);
  }

  /** Objects with the status written for them. */
  objects(): unknown[] {
    return [...this.#store.all()]
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
      .map((object) => {
        const status = this.#written.get(keyOf(object));
        const kept = this.#sources.keeps(keyOf(object)) ? { kept: 'goes on as before' } : {};
        return { ...kept, ...withoutSecrets(object), ...(status === undefined ? {} : { status }) };
      });
  }

  /** What `/status` tells of each object. */
  *reports(): Generator<{ readonly key: ObjectKey; readonly kept: boolean; readonly status: Status | undefined }> {
    for (const object of this.#store.all()) {
      const key = keyOf(object);
      yield { key, kept: this.#sources.keeps(key), status: this.#written.get(key) };
    }
  }

  /** What `/explain` looks at. */
  scene(): Pick<Scene, 'entries' | 'written'> {
    const written = [...this.#store.all()].map((object) => ({ object, status: this.#written.get(keyOf(object)) }));
    return { entries: this.#translator.ir.values(), written };
  }

  /** Of certificates that listeners show, at a time in Unix milliseconds. */
  certificates(nowMs: number): CertificateFacts[] {
    return certificateFacts(this.#translator.ir.values(), nowMs);
  }

  /** The same for a scrape, which leaves no garbage behind for each of thousands. */
  certificateNumbers(nowMs: number): CertificateNumbers {
    return certificateNumbers(this.#translator.ir.values(), nowMs);
  }

  ir(): unknown[] {
    return [...this.#translator.ir.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).map(shownEntry);
  }

  // ---- revisions

  /** `keys`: of the objects that changed. */
  #revise({ delta, statuses, diagnostics, generated }: Update, keys: ReadonlySet<ObjectKey>): void {
    const causes = [...this.#sourceProblems.values()].flat();
    for (const [key, problems] of diagnostics) {
      this.#journal.meaning(`meaning of ${key}`, causesOnly(problems, causes));
    }
    for (const [kind, keys] of this.#translator.takeWanted()) this.#sources.source.want?.(kind, keys);
    if (!this.#published) return;
    this.#cluster?.diagnosed(diagnostics);
    for (const key of keys) this.#rememberAge(key);
    const before = this.#publisher.revision;
    const revision = this.#publisher.publish(delta);
    this.statuses.note(revision, statuses);
    this.#cluster?.told(this.#present(keys));
    this.#tellUnsent();
    this.#cluster?.make(generated);
    const [removed, changed] = [[...keys].filter((key) => !this.#has(key)), [...keys].filter((key) => this.#has(key))];
    if (revision > before) this.#journal.revised({ revision, changed, removed });
    else this.#journal.unchanged({ revision, changed, removed });
    this.#tellIdle();
    const touched = [...delta.removals, ...delta.upserts.map(({ key }) => key)];
    if (touched.some((key) => key.startsWith('certificate/'))) this.#certificatesChanged.ask();
    this.#effectsChanged.ask();
  }

  /** What could not be handed on is told of its objects. */
  #tellUnsent(): void {
    const unsent = this.#publisher.takeUnsent();
    if (unsent !== null) this.#revise(this.#translator.unsent(this.#store, unsent), NO_KEYS);
  }

  /** With its place, and with what may have been meant where an object is missing. */
  #hinted(problem: Problem): Problem {
    const located = this.#located(problem);
    return withHint(
      located,
      (kind) => this.#store.keysOf(kind),
      (key) => this.#sources.placeOf(key, undefined),
    );
  }

  #located(problem: Problem): Problem {
    const { object, field, file } = problem.place;
    if (object === undefined || file !== undefined) return problem;
    const place = this.#sources.placeOf(object, field);
    return place === null ? problem : { ...problem, place: { ...place, ...problem.place } };
  }
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

function nameOf(text: string | null): { readonly namespace: string; readonly name: string } | null {
  const [namespace = '', name = ''] = text?.split('/') ?? [];
  return text === null ? null : { namespace, name };
}

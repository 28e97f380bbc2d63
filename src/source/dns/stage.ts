// Resolves the hostnames of Backends and XBackends (A and AAAA, by their TTL) and delivers what they resolve to as
// ResolvedHost objects beside the objects of the source it stands around. Each name and family is asked by a schedule
// of its own, so no name waits for another; the last good addresses are kept when a name server fails.

import { isIP } from 'node:net';
import { type Backend, type ResolvedHost, wholeName } from '../../api/backend.ts';
import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../../api/object.ts';
import type { Problem } from '../../api/problem.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import type { Source, SourceSink } from '../source.ts';
import type { Answer, Family, NameResolver } from './resolver.ts';

/** What is asked of one name for one family, again and again. */
interface Question {
  readonly name: Name;
  readonly family: Family;
  /** Of the last answer; null before the first. */
  outcome: 'some' | 'none' | 'failed' | null;
  code: string;
  /** Last good ones. */
  addresses: readonly string[];
  /** In a row. */
  failures: number;
  /** Ends the wait for the next time; null while it is being asked or stands in line. */
  cancel: (() => void) | null;
}

interface Name {
  readonly hostname: string;
  /** Where it is written: key of a Backend or XBackend to field path. */
  readonly uses: Map<ObjectKey, string>;
  questions: readonly Question[];
  delivered: string | null;
  /** What was last said to be wrong with it. */
  told: string | null;
}

export class DnsStage implements Source {
  readonly #inner: Source;
  readonly #resolver: NameResolver;
  readonly #timers: Timers;
  readonly #names = new Map<string, Name>();
  /** Hostnames of each Backend and XBackend. */
  readonly #backends = new Map<ObjectKey, readonly string[]>();
  #sink: SourceSink | null = null;
  /** Questions in line: of names that answered or are new, and of those that failed. */
  readonly #line: readonly [Question[], Question[]] = [[], []];
  readonly #asking: [number, number] = [0, 0];
  #innerSynced = false;
  /** Names whose first answer the first configuration waits for. */
  readonly #first = new Set<string>();
  #cancelWait: (() => void) | null = null;
  #synced = false;
  #stopped = false;

  constructor(inner: Source, resolver: NameResolver, timers: Timers) {
    this.#inner = inner;
    this.#resolver = resolver;
    this.#timers = timers;
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.#inner.start({
      apply: (upserts, removals) => this.#apply(upserts, removals),
      problems: (origin, problems) => sink.problems(origin, problems),
      synced: () => this.#waitForFirst(),
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelWait?.();
    for (const name of this.#names.values()) forget(name);
    await this.#inner.stop();
  }

  rescan(): void {
    this.#inner.rescan();
    for (const { questions } of this.#names.values()) {
      for (const question of questions) {
        if (question.cancel === null) continue;
        question.cancel();
        this.#ask(question);
      }
    }
  }

  want(kind: string, keys: ReadonlySet<ObjectKey>): void {
    this.#inner.want?.(kind, keys);
  }

  #apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    const gone: ObjectKey[] = [];
    for (const object of upserts)
      if (object.kind === 'Backend' || object.kind === 'XBackend') this.#use(keyOf(object), hostnames(object), gone);
    for (const key of removals) if (this.#backends.has(key)) this.#use(key, [], gone);
    this.#sink?.apply(upserts, [...removals, ...gone]);
  }

  /** A Backend names these hosts now. */
  #use(key: ObjectKey, hosts: readonly (readonly [string, string])[], gone: ObjectKey[]): void {
    const before = this.#backends.get(key) ?? [];
    const wanted = new Map(hosts);
    for (const hostname of before) {
      const name = this.#names.get(hostname);
      if (wanted.has(hostname) || name === undefined) continue;
      name.uses.delete(key);
      if (name.uses.size > 0) continue;
      forget(name);
      this.#names.delete(hostname);
      this.#firstAnswered(hostname);
      if (name.delivered !== null) gone.push(objectKey('ResolvedHost', undefined, hostname));
      if (name.told !== null) this.#sink?.problems(origin(hostname), []);
    }
    if (hosts.length === 0) this.#backends.delete(key);
    else this.#backends.set(key, [...wanted.keys()]);
    for (const [hostname, field] of wanted) {
      const known = this.#names.get(hostname);
      if (known !== undefined) known.uses.set(key, field);
      else this.#add(hostname, key, field);
    }
  }

  #add(hostname: string, key: ObjectKey, field: string): void {
    const name: Name = { hostname, uses: new Map([[key, field]]), questions: [], delivered: null, told: null };
    const question = { name, outcome: null, code: '', addresses: [], failures: 0, cancel: null } as const;
    name.questions = [
      { ...question, family: 4 },
      { ...question, family: 6 },
    ];
    this.#names.set(hostname, name);
    if (!this.#synced) this.#first.add(hostname);
    for (const each of name.questions) this.#ask(each);
  }

  #ask(question: Question): void {
    question.cancel = null;
    this.#line[question.failures === 0 ? 0 : 1].push(question);
    this.#next();
  }

  /** Asks what stands in line, as long as there is room. */
  #next(): void {
    const [well, failing] = this.#line;
    while (well.length > 0 && this.#asking[0] + this.#asking[1] < LIMITS.DNS_QUESTIONS) this.#send(0);
    while (failing.length > 0 && this.#asking[1] < LIMITS.DNS_QUESTIONS / 2) this.#send(1);
  }

  #send(line: 0 | 1): void {
    const question = this.#line[line].shift() as Question;
    if (!this.#isAsked(question)) return;
    this.#asking[line]++;
    void this.#resolver.resolve(question.name.hostname, question.family).then((answer) => {
      this.#asking[line]--;
      // Meanwhile the name may have been removed, and even come back as another.
      if (this.#isAsked(question)) this.#take(question, answer);
      this.#next();
    });
  }

  #isAsked({ name }: Question): boolean {
    return !this.#stopped && this.#names.get(name.hostname) === name;
  }

  #take(question: Question, answer: Answer): void {
    const { name } = question;
    if (answer.kind === 'failed') {
      question.outcome = 'failed';
      question.code = answer.code;
    } else {
      question.outcome = answer.addresses.length > 0 ? 'some' : 'none';
      question.addresses = answer.addresses;
    }
    const well = name.questions.some((q) => q.outcome === 'some');
    question.failures =
      question.outcome === 'some' || (question.outcome === 'none' && well) ? 0 : question.failures + 1;
    this.#deliver(name);
    this.#tell(name, well);
    const ttl = answer.kind === 'failed' ? 0 : Math.max(answer.ttl, LIMITS.DNS_TTL_MIN_S);
    const retry = 2 ** Math.min(question.failures - 1, 10);
    const seconds =
      question.failures === 0 ? Math.min(ttl, LIMITS.DNS_TTL_MAX_S) : Math.min(retry, LIMITS.DNS_RETRY_MAX_S);
    question.cancel = this.#timers.after(seconds * 1000, () => this.#ask(question));
    // One family is enough to begin with.
    if (well || name.questions.every((q) => q.outcome !== null)) this.#firstAnswered(name.hostname);
  }

  #deliver(name: Name): void {
    const addresses = name.questions
      .flatMap(({ family, addresses }) => addresses.map((address) => ({ address, family })))
      .sort((a, b) => a.family - b.family || (a.address < b.address ? -1 : 1))
      .slice(0, LIMITS.DNS_ADDRESSES);
    const text = JSON.stringify(addresses);
    if (addresses.length === 0 || text === name.delivered) return;
    name.delivered = text;
    const metadata = { name: name.hostname };
    const host: ResolvedHost = { apiVersion: 'rauta.io/internal', kind: 'ResolvedHost', metadata, addresses };
    this.#sink?.apply([host], []);
  }

  /**
   * Says what is wrong with a name once both families were answered and neither has an address, and when that is over.
   */
  #tell(name: Name, well: boolean): void {
    if (!well && name.questions.some((q) => q.outcome === null)) return;
    const failed = name.questions.find((q) => q.outcome === 'failed')?.code ?? 'it has no address';
    const kept = name.delivered === null ? 'it has no addresses yet' : 'its last addresses are kept';
    const message = well ? null : `${name.hostname.replace(/\.$/, '')} cannot be resolved (${failed}); ${kept}`;
    if (message === null && name.told === null) return;
    name.told = message;
    const problems: Problem[] = [];
    for (const [object, field] of message === null ? [] : name.uses) {
      problems.push({ severity: 'error', message: message as string, place: { object, field } });
    }
    this.#sink?.problems(origin(name.hostname), problems);
  }

  #waitForFirst(): void {
    this.#innerSynced = true;
    if (this.#first.size === 0) this.#say();
    else this.#cancelWait = this.#timers.after(LIMITS.DNS_FIRST_WAIT_MS, () => this.#say());
  }

  #firstAnswered(hostname: string): void {
    if (this.#first.delete(hostname) && this.#first.size === 0 && this.#innerSynced) this.#say();
  }

  #say(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#cancelWait?.();
    this.#sink?.synced();
  }
}

function forget(name: Name): void {
  for (const question of name.questions) question.cancel?.();
}

/** What is wrong with a name has an origin that begins so. */
export const HOST_ORIGIN = 'dns ';

function origin(hostname: string): string {
  return `${HOST_ORIGIN}${hostname}`;
}

/**
 * Hostnames in lower case with the field they stand in. Those of an XBackend are whole names; an address is none, and
 * is refused where it is translated.
 */
function hostnames(object: KubeObject): [string, string][] {
  if (object.kind === 'XBackend') {
    const { hostname } = fields(fields(object.spec)['externalHostname']);
    if (typeof hostname !== 'string' || isIP(hostname) !== 0) return [];
    return [[wholeName(hostname.toLowerCase()), 'spec.externalHostname.hostname']];
  }
  const found = new Map<string, string>();
  (object as Backend).spec.endpoints.forEach(({ hostname, weight }, i) => {
    if (hostname === undefined || weight === 0) return;
    const lower = hostname.toLowerCase();
    if (!found.has(lower)) found.set(lower, `spec.endpoints[${i}].hostname`);
  });
  return [...found];
}

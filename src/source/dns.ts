// Resolves the hostnames of Backends (A and AAAA, by their TTL) and delivers what they resolve to as ResolvedHost
// objects beside the objects of the sources it stands around. The last good addresses are kept when a name server fails.

import { Resolver } from 'node:dns';
import { lookup } from 'node:dns/promises';
import type { Backend, ResolvedHost } from '../api/backend.ts';
import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { Timers } from '../base/timers.ts';
import type { Source, SourceSink } from './source.ts';

export type Family = 4 | 6;

/** What one question for one family was answered. */
export type Answer =
  /** `ttl` in seconds; no addresses: the name has none of this family. */
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly ttl: number }
  | { readonly kind: 'failed'; readonly code: string };

export interface NameResolver {
  resolve(hostname: string, family: Family): Promise<Answer>;
}

interface Name {
  readonly hostname: string;
  /** Where it is written: Backend key to field path. */
  readonly uses: Map<ObjectKey, string>;
  /** Last good addresses of IPv4 and IPv6. */
  readonly good: { 4: readonly string[]; 6: readonly string[] };
  delivered: string | null;
  failures: number;
  cancel: (() => void) | null;
}

export class DnsSource implements Source {
  readonly #inner: readonly Source[];
  readonly #resolver: NameResolver;
  readonly #timers: Timers;
  readonly #names = new Map<string, Name>();
  /** Hostnames of each Backend. */
  readonly #backends = new Map<ObjectKey, readonly string[]>();
  #sink: SourceSink | null = null;
  #waitingFor: number;
  /** Names whose first answer the first configuration waits for. */
  readonly #first = new Set<string>();
  #cancelWait: (() => void) | null = null;
  #synced = false;
  #stopped = false;

  constructor(inner: readonly Source[], resolver: NameResolver, timers: Timers) {
    this.#inner = inner;
    this.#resolver = resolver;
    this.#timers = timers;
    this.#waitingFor = inner.length;
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    for (const source of this.#inner) {
      source.start({
        apply: (upserts, removals) => this.#apply(upserts, removals),
        problems: (origin, problems) => sink.problems(origin, problems),
        synced: () => this.#innerSynced(),
      });
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelWait?.();
    for (const name of this.#names.values()) name.cancel?.();
    await Promise.all(this.#inner.map((source) => source.stop()));
  }

  rescan(): void {
    for (const source of this.#inner) source.rescan();
    for (const name of this.#names.values()) {
      // One that is being asked for now has no timer.
      if (name.cancel === null) continue;
      name.cancel();
      void this.#ask(name);
    }
  }

  #apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    const gone: ObjectKey[] = [];
    for (const object of upserts)
      if (object.kind === 'Backend') this.#use(keyOf(object), hostnames(object as Backend), gone);
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
      name.cancel?.();
      this.#names.delete(hostname);
      this.#firstAnswered(hostname);
      if (name.delivered !== null) gone.push(objectKey('ResolvedHost', undefined, hostname));
      if (name.failures > 0) this.#sink?.problems(origin(hostname), []);
    }
    if (hosts.length === 0) this.#backends.delete(key);
    else this.#backends.set(key, [...wanted.keys()]);
    for (const [hostname, field] of wanted) {
      const known = this.#names.get(hostname);
      if (known !== undefined) {
        known.uses.set(key, field);
        continue;
      }
      const name: Name = {
        hostname,
        uses: new Map([[key, field]]),
        good: { 4: [], 6: [] },
        delivered: null,
        failures: 0,
        cancel: null,
      };
      this.#names.set(hostname, name);
      if (!this.#synced) this.#first.add(hostname);
      void this.#ask(name);
    }
  }

  async #ask(name: Name): Promise<void> {
    name.cancel = null;
    const answers = await Promise.all([
      this.#resolver.resolve(name.hostname, 4),
      this.#resolver.resolve(name.hostname, 6),
    ]);
    // Meanwhile it may have been removed, and even come back as another.
    if (this.#stopped || this.#names.get(name.hostname) !== name) return;
    let ttl: number = LIMITS.DNS_TTL_MAX_S;
    let some = false;
    let code = 'it has no address';
    answers.forEach((answer, i) => {
      if (answer.kind === 'failed') code = answer.code;
      else {
        name.good[i === 0 ? 4 : 6] = answer.addresses;
        if (answer.addresses.length === 0) return;
        some = true;
        ttl = Math.min(ttl, answer.ttl);
      }
    });
    // One family is enough to be reached by; the other keeps its last good addresses.
    const failed = some ? null : code;
    this.#deliver(name);
    this.#tell(name, failed);
    const clamped = Math.min(Math.max(ttl, LIMITS.DNS_TTL_MIN_S), LIMITS.DNS_TTL_MAX_S);
    const retry = Math.min(2 ** Math.min(name.failures - 1, 10), LIMITS.DNS_RETRY_MAX_S);
    name.cancel = this.#timers.after((failed === null ? clamped : retry) * 1000, () => void this.#ask(name));
    this.#firstAnswered(name.hostname);
  }

  #deliver(name: Name): void {
    const addresses = ([4, 6] as const)
      .flatMap((family) => name.good[family].map((address) => ({ address, family })))
      .sort((a, b) => a.family - b.family || (a.address < b.address ? -1 : 1))
      .slice(0, LIMITS.DNS_ADDRESSES);
    const text = JSON.stringify(addresses);
    if (addresses.length === 0 || text === name.delivered) return;
    name.delivered = text;
    const metadata = { name: name.hostname };
    const host: ResolvedHost = { apiVersion: 'rauta.io/internal', kind: 'ResolvedHost', metadata, addresses };
    this.#sink?.apply([host], []);
  }

  #tell(name: Name, failed: string | null): void {
    if (failed === null) {
      if (name.failures > 0) this.#sink?.problems(origin(name.hostname), []);
      name.failures = 0;
      return;
    }
    name.failures++;
    const kept = name.delivered === null ? 'it has no addresses yet' : 'its last addresses are kept';
    const message = `${name.hostname} cannot be resolved (${failed}); ${kept}`;
    const problems: Problem[] = [...name.uses].map(([object, field]) => ({
      severity: 'error',
      message,
      place: { object, field },
    }));
    this.#sink?.problems(origin(name.hostname), problems);
  }

  #innerSynced(): void {
    if (--this.#waitingFor > 0) return;
    if (this.#first.size === 0) this.#say();
    else this.#cancelWait = this.#timers.after(LIMITS.DNS_FIRST_WAIT_MS, () => this.#say());
  }

  #firstAnswered(hostname: string): void {
    if (this.#first.delete(hostname) && this.#first.size === 0 && this.#waitingFor <= 0) this.#say();
  }

  #say(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#cancelWait?.();
    this.#sink?.synced();
  }
}

function origin(hostname: string): string {
  return `dns ${hostname}`;
}

/** Hostnames in lower case with the field they stand in. */
function hostnames(backend: Backend): [string, string][] {
  const found = new Map<string, string>();
  backend.spec.endpoints.forEach(({ hostname, weight }, i) => {
    if (hostname === undefined || weight === 0) return;
    const lower = hostname.toLowerCase();
    if (!found.has(lower)) found.set(lower, `spec.endpoints[${i}].hostname`);
  });
  return [...found];
}

/** Of these the name server has spoken: there is no such address. Everything else is a failure to ask. */
const NONE: ReadonlySet<string> = new Set(['ENODATA', 'ENOTFOUND']);

/** Asks the system's name servers, and the hosts file where they know nothing. */
export class SystemResolver implements NameResolver {
  readonly #resolver = new Resolver({ timeout: 1_000, tries: 2 });

  async resolve(hostname: string, family: Family): Promise<Answer> {
    // RFC 6761 section 6.3: localhost is never asked of a name server.
    const local = hostname === 'localhost' || hostname.endsWith('.localhost');
    const asked: Answer = local ? { kind: 'failed', code: 'ENOTFOUND' } : await this.#query(hostname, family);
    if (asked.kind === 'addresses' && asked.addresses.length > 0) return asked;
    const known = await this.#hostsFile(hostname, family);
    if (known.length > 0) return { kind: 'addresses', addresses: known, ttl: LIMITS.DNS_NO_TTL_S };
    return asked.kind === 'failed' && local ? { kind: 'addresses', addresses: [], ttl: LIMITS.DNS_NO_TTL_S } : asked;
  }

  #query(hostname: string, family: Family): Promise<Answer> {
    return new Promise((resolve) => {
      const done = (error: NodeJS.ErrnoException | null, records: { address: string; ttl: number }[]): void => {
        if (error === null) {
          const ttl = Math.min(...records.map((r) => r.ttl));
          resolve({ kind: 'addresses', addresses: [...new Set(records.map((r) => r.address))], ttl });
        } else if (NONE.has(error.code ?? '')) resolve({ kind: 'addresses', addresses: [], ttl: LIMITS.DNS_NO_TTL_S });
        else resolve({ kind: 'failed', code: error.code ?? 'unknown error' });
      };
      if (family === 4) this.#resolver.resolve4(hostname, { ttl: true }, done);
      else this.#resolver.resolve6(hostname, { ttl: true }, done);
    });
  }

  async #hostsFile(hostname: string, family: Family): Promise<string[]> {
    try {
      const found = await lookup(hostname, { all: true, family });
      return [...new Set(found.map((f) => f.address))];
    } catch {
      return [];
    }
  }
}

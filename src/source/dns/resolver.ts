// Asks what a name means as the system would: the hosts file, then the name servers of resolv.conf in its search
// domains. Nothing here blocks: questions go out side by side and each ends by its own deadline (getaddrinfo would hold
// one of few threads for each name that nobody answers for).

import { Resolver } from 'node:dns';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import { SYSTEM_TIMERS } from '../timers.ts';
import { SmallFile } from './small-file.ts';
import { candidates, parseHosts, parseResolvConf } from './system-files.ts';

export type Family = 4 | 6;

/** What one question for one family was answered. */
export type Answer =
  /** `ttl` in seconds; no addresses: the name has none of this family. */
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly ttl: number }
  | { readonly kind: 'failed'; readonly code: string };

export interface NameResolver {
  /** Never rejects, and ends within a bounded time. */
  resolve(hostname: string, family: Family): Promise<Answer>;
}

export interface SystemResolverOptions {
  readonly hosts?: string;
  readonly resolvConf?: string;
  /** `ADDRESS:PORT`, instead of the servers that resolv.conf names. */
  readonly servers?: readonly string[];
  readonly timers?: Timers;
}

/** Of these the name server has spoken: there is no such address. */
const NONE: ReadonlySet<string> = new Set(['ENODATA', 'ENOTFOUND']);
/** And with these it has not, but the next search domain may be another's to answer for, as glibc has it. */
const GOES_ON: ReadonlySet<string> = new Set(['ESERVFAIL', 'EREFUSED', 'ENOTIMP', 'EFORMERR']);

const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const;

export class SystemResolver implements NameResolver {
  readonly #hosts;
  readonly #conf;
  readonly #given: readonly string[] | null;
  readonly #timers: Timers;
  #resolver: Resolver | null = null;
  #servers = '';

  constructor(options: SystemResolverOptions = {}) {
    this.#hosts = new SmallFile(options.hosts ?? '/etc/hosts', LIMITS.HOSTS_FILE_BYTES, parseHosts);
    this.#conf = new SmallFile(options.resolvConf ?? '/etc/resolv.conf', LIMITS.RESOLV_CONF_BYTES, parseResolvConf);
    this.#given = options.servers ?? null;
    this.#timers = options.timers ?? SYSTEM_TIMERS;
  }

  async resolve(name: string, family: Family): Promise<Answer> {
    // With a dot at its end it is a whole name: no search domain is put behind it.
    const hostname = name.replace(/\.$/, '');
    const known = this.#hosts.value.get(hostname);
    if (known !== undefined) return { kind: 'addresses', addresses: known[family], ttl: LIMITS.DNS_NO_TTL_S };
    // RFC 6761 section 6.3: localhost and what is below it is never asked of a name server.
    if (hostname === 'localhost' || hostname.endsWith('.localhost')) {
      return { kind: 'addresses', addresses: [LOOPBACK[family]], ttl: LIMITS.DNS_NO_TTL_S };
    }
    const conf = this.#conf.value;
    const resolver = this.#asking(this.#given ?? conf.servers);
    let failed: Answer | null = null;
    for (const asked of hostname === name ? candidates(hostname, conf) : [hostname]) {
      const answer = await this.#query(resolver, asked, family);
      if (answer.kind === 'addresses') {
        if (answer.addresses.length > 0) return answer;
      } else if (GOES_ON.has(answer.code)) failed = answer;
      else return answer;
    }
    return failed ?? { kind: 'addresses', addresses: [], ttl: LIMITS.DNS_NO_TTL_S };
  }

  /** One that asks these servers. Another one is made when they change, for questions may be under way. */
  #asking(servers: readonly string[]): Resolver {
    const text = servers.join(' ');
    if (this.#resolver !== null && text === this.#servers) return this.#resolver;
    const resolver = new Resolver({ timeout: LIMITS.DNS_TRY_MS, tries: LIMITS.DNS_TRIES });
    resolver.setServers(servers);
    this.#resolver = resolver;
    this.#servers = text;
    return resolver;
  }

  #query(resolver: Resolver, hostname: string, family: Family): Promise<Answer> {
    return new Promise((resolve) => {
      const late = this.#timers.after(LIMITS.DNS_QUESTION_MS, () => resolve({ kind: 'failed', code: 'ETIMEOUT' }));
      const done = (error: NodeJS.ErrnoException | null, records: { address: string; ttl: number }[]): void => {
        late();
        resolve(error === null ? found(records) : failure(error.code ?? 'unknown error'));
      };
      if (family === 4) resolver.resolve4(hostname, { ttl: true }, done);
      else resolver.resolve6(hostname, { ttl: true }, done);
    });
  }
}

function found(records: readonly { address: string; ttl: number }[]): Answer {
  // Of more than are taken always the same: servers give them in another order each time.
  const addresses = [...new Set(records.map((r) => r.address))].sort().slice(0, LIMITS.DNS_ADDRESSES);
  return {
    kind: 'addresses',
    addresses,
    ttl: Math.min(LIMITS.DNS_TTL_MAX_S, ...records.map((r) => r.ttl)),
  };
}

function failure(code: string): Answer {
  return NONE.has(code) ? { kind: 'addresses', addresses: [], ttl: LIMITS.DNS_NO_TTL_S } : { kind: 'failed', code };
}

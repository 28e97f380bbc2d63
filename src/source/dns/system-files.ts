// hosts(5) and resolv.conf(5), as far as they decide what a name means.

import { isIP } from 'node:net';
import { LIMITS } from '../../base/limits.ts';

/** Addresses of a name in the hosts file, by family. */
export interface HostAddresses {
  readonly 4: readonly string[];
  readonly 6: readonly string[];
}

/** `ADDRESS NAME...` a line, `#` begins a comment; names in lower case. Addresses with a zone are left out. */
export function parseHosts(text: string): ReadonlyMap<string, HostAddresses> {
  const hosts = new Map<string, { 4: string[]; 6: string[] }>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = (line.split('#', 1)[0] as string).trim().split(/\s+/);
    const family = address.includes('%') ? 0 : isIP(address);
    if (family === 0) continue;
    for (const name of names) {
      const lower = name.toLowerCase();
      const known = hosts.get(lower) ?? { 4: [], 6: [] };
      hosts.set(lower, known);
      const list = known[family as 4 | 6];
      if (!list.includes(address) && list.length < LIMITS.DNS_ADDRESSES) list.push(address);
    }
  }
  return hosts;
}

export interface ResolvConf {
  /** Addresses of name servers, in order; the machine itself where none is named. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  /** A name with fewer dots is looked for in the search domains first. */
  readonly ndots: number;
}

/** glibc asks at most three servers; more than 15 dots are 15. */
const SERVERS = 3;
const NDOTS_MAX = 15;

export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: string[] = [];
  let ndots = 1;
  for (const line of text.split('\n')) {
    if (/^[#;]/.test(line)) continue;
    const [word, ...values] = line.trim().split(/\s+/);
    const [first = ''] = values;
    if (word === 'nameserver' && isIP(first) !== 0 && servers.length < SERVERS) servers.push(first);
    else if (word === 'domain' && first !== '') search = [first];
    else if (word === 'search') search = values;
    else if (word === 'options') {
      for (const option of values)
        if (/^ndots:\d{1,3}$/.test(option)) ndots = Math.min(Number(option.slice(6)), NDOTS_MAX);
    }
  }
  const domains = search.map((domain) => domain.toLowerCase().replace(/^\.+|\.+$/g, '')).filter((d) => d !== '');
  return {
    servers: servers.length === 0 ? ['127.0.0.1'] : servers,
    search: domains.slice(0, LIMITS.DNS_SEARCH),
    ndots,
  };
}

/** The names to ask for in turn (resolver(5), search and ndots), without a dot at the end. */
export function candidates(hostname: string, { search, ndots }: ResolvConf): string[] {
  const dots = hostname.split('.').length - 1;
  const longer = search.map((domain) => `${hostname}.${domain}`).filter((name) => name.length <= 253);
  return dots >= ndots ? [hostname, ...longer] : [...longer, hostname];
}

/**
 * Under which a cluster's own names stand, by the search domains that it gives to pods (NAMESPACE.svc.DOMAIN,
 * svc.DOMAIN and DOMAIN); undefined where they are not of a cluster.
 */
export function clusterDomain({ search }: ResolvConf): string | undefined {
  return search.find((domain) => domain.startsWith('svc.'))?.slice('svc.'.length);
}

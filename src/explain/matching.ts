// Whether single conditions of a rule hold, each asked of the very code that routes: a router, or a candidate, of which
// everything but the condition in question is left open.

import type { Key, Match, RuleEntry, SocketHost } from '../ir/ir.ts';
import type { Head } from '../proxy/head.ts';
import { Candidate } from '../proxy/route/candidate.ts';
import { Router } from '../proxy/route/router.ts';

const ANY_PATH: Match['path'] = { type: 'PathPrefix', value: '/' };
const ANY: Match = { path: ANY_PATH, method: '', headers: [], query: [] };
const SOCKET: Key = 'explain';
const HOST: SocketHost = {
  hostname: '*',
  gateway: '',
  listener: '',
  port: 0,
  protocol: 'HTTP',
  tls: null,
};

/** A rule of nobody, of which everything that matters is put in. */
const RULE: RuleEntry = {
  kind: 'rule',
  key: 'explain',
  routeKind: 'HTTPRoute',
  route: '',
  index: 0,
  name: '',
  created: 0,
  attachments: [],
  matches: [],
  filters: [],
  action: { type: 'respond', status: 500 },
  timeouts: { requestMs: null, backendMs: null },
  retry: null,
};

/** A request, parsed and normalised, and what may be asked of it. */
export class Matching {
  readonly #mem: Uint8Array;
  readonly #head: Head;
  readonly #router = new Router<true>(SOCKET);

  constructor(mem: Uint8Array, head: Head) {
    this.#mem = mem;
    this.#head = head;
    this.#router.setHosts([HOST]);
  }

  /** Whether a rule under these hostnames would be asked. */
  host(hostnames: readonly string[]): boolean {
    return this.#taken(hostnames, ANY);
  }

  path(path: Match['path']): boolean {
    return this.#taken(['*'], { ...ANY, path });
  }

  /** What of method, headers and query does not hold, as text. */
  others({ method, headers, query }: Match): string[] {
    const unmet: string[] = [];
    if (!this.#holds({ ...ANY, method })) unmet.push(`method is not ${method}`);
    for (const one of headers)
      if (!this.#holds({ ...ANY, headers: [one] })) unmet.push(`no ${valueText('header', one)}`);
    for (const one of query) if (!this.#holds({ ...ANY, query: [one] })) unmet.push(`no ${valueText('query', one)}`);
    return unmet;
  }

  #holds(match: Match): boolean {
    return new Candidate({ ...RULE, matches: [match] }, 0, true).holds(this.#mem, this.#head);
  }

  #taken(hostnames: readonly string[], match: Match): boolean {
    const attachments = [{ socket: SOCKET, host: '*', hostnames }];
    this.#router.set({ ...RULE, attachments, matches: [match] }, true);
    const taken = this.#router.find(this.#mem, this.#head) !== null;
    this.#router.remove(RULE.key);
    return taken;
  }
}

/** `header x-user = anna`, `query q ~ ^a+$`. */
function valueText(what: string, { name, type, value }: Match['headers'][number]): string {
  return `${what} ${name} ${type === 'Exact' ? '=' : '~'} ${value}`;
}

const PATH_WORDS: Readonly<Record<Match['path']['type'], string>> = {
  Exact: 'path is',
  PathPrefix: 'path is under',
  RegularExpression: 'path ~',
};

/** `path is under /api, method GET, header x-user = anna`. */
export function matchText({ path, method, headers, query }: Match): string {
  return [
    `${PATH_WORDS[path.type]} ${path.value}`,
    ...(method === '' ? [] : [`method ${method}`]),
    ...headers.map((one) => valueText('header', one)),
    ...query.map((one) => valueText('query', one)),
  ].join(', ');
}

export function ruleText({ routeKind, route, index, name }: RuleEntry): string {
  return `${routeKind} ${route} rule ${name === '' ? index : `${index} (${name})`}`;
}

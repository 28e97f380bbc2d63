// The rules of an Ingress (networking.k8s.io/v1 HTTPIngressPath): each path is a rule of its own; cleartext requests
// for hosts that it has a certificate for are sent to https, as ingress-nginx does.

import { hostForm } from '../api/forms.ts';
import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { Action, Attachment, ClusterEntry, Filter, Match, Redirect, RuleEntry, ValueMatch } from '../ir/ir.ts';
import { ruleKey } from '../ir/keys.ts';
import { resolveBackend } from './backend.ts';
import { createdOf, type TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { compare } from './dependencies.ts';
import { isHostname } from './hostname.ts';
import type { IngressDraft, IngressPlace } from './ingress.ts';
import { type IngressSettings, readAnnotations } from './ingress-annotations.ts';
import type { IngressAuth } from './ingress-auth.ts';
import {
  type Canary,
  type CanaryTerms,
  canariesOf,
  canaryMatches,
  checkCanary,
  pathsOf,
  placeOf,
} from './ingress-canary.ts';
import { ingressOfHost, takenText } from './ingress-hosts.ts';
import { NGINX } from './ingress-nginx.ts';
import { ALL, type IngressPath, isChallenge, matchOf, readPath } from './ingress-path.ts';
import { ALIAS, otherOfWww, WWW_REDIRECT } from './ingress-redirect.ts';
import { rewriteFilters } from './ingress-rewrite.ts';
import { list, port, shown, text } from './read.ts';

const ANY = '*';
/** What ingress-nginx sends where it sends to https, and from www. or to it. */
const MOVED: Redirect = { scheme: null, hostname: null, port: null, path: null, status: 308 };
const TO_HTTPS: Action = { type: 'redirect', redirect: { ...MOVED, scheme: 'https' } };
/** Of a request whose TLS ended at a proxy that is believed; nobody else's word of it is seen by rules. */
const OVER_TLS: ValueMatch = { name: 'x-forwarded-proto', type: 'Exact', value: 'https' };
const ROOT = matchOf('Exact', '/');
/** Nobody to ask: what ingress-nginx answers for a Service that is not there. */
const UNAVAILABLE: Action = { type: 'respond', status: 503 };
const ANSWER = 'Its requests are answered 503.';
const REFUSE: Action = { type: 'respond', status: 500 };

/** Asks where rules can be put, noting that the caller depends on the answer. */
export interface Places {
  http(): IngressPlace;
  /** Of port 443 and exactly this hostname; undefined when no Ingress has TLS for it. */
  https(hostname: string): IngressPlace | undefined;
}

export interface IngressRules {
  readonly entries: readonly RuleEntry[];
  readonly clusters: readonly ClusterEntry[];
  /** Policies that are for its backends. */
  readonly policies: readonly ObjectKey[];
  readonly problems: Problems;
}

/** What a canary has of a path. */
interface Share {
  readonly terms: CanaryTerms;
  readonly action: Extract<Action, { readonly type: 'forward' }>;
}

/** A rule's number, null for the next one, and the expression that its path is. */
interface Named {
  readonly expression?: string | null;
  readonly index?: number | null;
}

/** One host of spec.rules, with where it is to be reached. */
interface Host {
  /** Lower case; '*' for any. */
  readonly name: string;
  /** This Ingress has TLS for it. */
  readonly secured: boolean;
}

export function translateIngress(
  reader: Reader,
  object: KubeObject,
  draft: IngressDraft,
  places: Places,
  options: TranslatorOptions,
): IngressRules {
  return new Rules(reader, object, draft, places, options).translate();
}

class Rules {
  readonly #reader: Reader;
  readonly #object: KubeObject;
  readonly #draft: IngressDraft;
  readonly #places: Places;
  readonly #options: TranslatorOptions;
  readonly #problems: Problems;
  readonly #namespace: string;
  readonly #settings: IngressSettings;
  /** Who is asked about each request. */
  readonly #auth: readonly Filter[];
  /** By host. */
  readonly #canaries = new Map<unknown, readonly Canary[]>();
  readonly #entries: RuleEntry[] = [];
  /** Paths of all rules. A path's rule has its number, so that a canary, a redirect or a wrong path shifts none. */
  readonly #paths: number;
  /** Number of the next rule that is not a path's. */
  #next: number;
  readonly #clusters = new Map<string, ClusterEntry>();
  readonly #policies = new Set<ObjectKey>();
  readonly #faults = new Set<string>();

  constructor(reader: Reader, object: KubeObject, draft: IngressDraft, places: Places, options: TranslatorOptions) {
    this.#reader = reader;
    this.#object = object;
    this.#draft = draft;
    this.#places = places;
    this.#options = options;
    this.#problems = new Problems(keyOf(object));
    this.#namespace = object.metadata.namespace ?? '';
    this.#settings = readAnnotations(object, this.#problems, options.clusterDomain);
    this.#auth = this.#authOf(this.#settings.auth);
    this.#paths = pathsOf(object).length;
    this.#next = this.#paths + (fields(object.spec)['defaultBackend'] === undefined ? 0 : 1);
  }

  translate(): IngressRules {
    if (this.#settings.canary) return this.#canary();
    const spec = fields(this.#object.spec);
    /** What of each host's cleartext requests is sent to https. */
    const redirected = new Map<string, Match[]>();
    let first = 0;
    for (const [i, value] of list(spec['rules']).entries()) {
      this.#rule(fields(value), `spec.rules[${i}]`, first, redirected);
      first += list(fields(fields(value)['http'])['paths']).length;
    }
    if (spec['defaultBackend'] !== undefined) this.#defaultBackend(spec['defaultBackend'], redirected);
    else if (list(spec['rules']).length === 0) {
      this.#problems.warning('spec', 'It has neither rules nor a defaultBackend and serves nothing.');
    }
    for (const [name, matches] of redirected) this.#push(matches, TO_HTTPS, this.#cleartext(name));
    return {
      entries: this.#entries,
      clusters: [...this.#clusters.values()],
      policies: [...this.#policies],
      problems: this.#problems,
    };
  }

  /** Its rules are those of the Ingresses that it has a share of. */
  #canary(): IngressRules {
    checkCanary(this.#reader, this.#object, this.#options, this.#problems);
    for (const { backend, field } of pathsOf(this.#object)) this.#action(backend, field);
    return { entries: [], clusters: [], policies: [...this.#policies], problems: this.#problems };
  }

  /** What a canary has of a path; one whose backend cannot be had is told of that, and gets nothing. */
  #shareOf(host: unknown, place: string): Share | null {
    let canaries = this.#canaries.get(host);
    if (canaries === undefined) {
      canaries = canariesOf(this.#reader, this.#namespace, host, this.#options);
      this.#canaries.set(host, canaries);
    }
    for (const { terms, paths } of canaries) {
      const found = paths.find((path) => path.place === place);
      if (found === undefined) continue;
      const action = this.#action(found.backend, found.field, new Problems(null));
      return action.type === 'forward' ? { terms, action } : null;
    }
    return null;
  }

  /** `first`: number of its first path among those of all rules. */
  #rule(spec: Fields, field: string, first: number, redirected: Map<string, Match[]>): void {
    const host = this.#hostOf(spec['host'], `${field}.host`);
    if (host === null) return;
    const { aliases, appRoot, refused } = this.#settings;
    const others = aliases.filter((name) => name !== host.name && this.#isFree(name, ALIAS));
    const hosts = [host, ...others.map((name) => this.#named(name))];
    const root: Action | null = appRoot === null || refused !== null ? null : { type: 'redirect', redirect: appRoot };
    for (const [j, value] of list(fields(spec['http'])['paths']).entries()) {
      const at = `${field}.http.paths[${j}]`;
      const path = readPath(fields(value), at, this.#settings, this.#problems);
      if (path === null) continue;
      // As there it comes before whatever is for / alone.
      if (root !== null && equal(path.match, ROOT)) continue;
      const action = this.#action(fields(value)['backend'], `${at}.backend`);
      const { path: written, pathType } = fields(value);
      const share =
        action.type === 'forward' ? this.#shareOf(spec['host'], placeOf(spec['host'], written, pathType)) : null;
      this.#put(path, hosts, action, redirected, { index: first + j, share });
    }
    if (refused !== null) return;
    if (root !== null) this.#put({ match: ROOT, expression: null }, hosts, root, redirected);
    this.#www(host);
  }

  /** Nobody else's rule is for a host that `annotation` says; who has one is told. */
  #isFree(host: string, annotation: string): boolean {
    const owner = ingressOfHost(this.#reader, host, this.#options);
    if (owner === null) return true;
    const message = takenText(host, owner, this.#object);
    const field = `metadata.annotations[${annotation}]`;
    if (!this.#faults.has(message)) this.#problems.warning(field, message);
    this.#faults.add(message);
    return false;
  }

  /** Who asks the other one of a pair of hosts is sent to this one. */
  #www({ name }: Host): void {
    const other = this.#settings.www ? otherOfWww(name) : null;
    if (other === null || !this.#isFree(other, WWW_REDIRECT)) return;
    const redirect: Action = { type: 'redirect', redirect: { ...MOVED, hostname: name } };
    this.#push([ALL], redirect, [...this.#cleartext(other), ...this.#secured(other)]);
  }

  #defaultBackend(backend: unknown, redirected: Map<string, Match[]>): void {
    const host = { name: ANY, secured: this.#draft.hosts.some(({ hostname }) => hostname === ANY) };
    const action = this.#action(backend, 'spec.defaultBackend');
    this.#put({ match: ALL, expression: null }, [host], action, redirected, { index: this.#paths });
  }

  #put(
    { match, expression }: IngressPath,
    hosts: readonly Host[],
    action: Action,
    redirected: Map<string, Match[]>,
    { index = null, share = null }: { readonly index?: number | null; readonly share?: Share | null } = {},
  ): void {
    const { forceSslRedirect, sslRedirect } = this.#settings;
    /** Where what comes in the clear is sent to https. */
    const behind: Attachment[] = [];
    const attachments = hosts.flatMap((host) => {
      const cleartext = this.#cleartext(host.name);
      const toHttps = (forceSslRedirect || (sslRedirect && host.secured)) && !isChallenge(match);
      if (toHttps && cleartext.length > 0) {
        const matches = redirected.get(host.name);
        if (matches === undefined) redirected.set(host.name, [match]);
        else matches.push(match);
        behind.push(...cleartext);
      }
      return [...(toHttps ? [] : cleartext), ...this.#secured(host.name)];
    });
    this.#share(match, action, joined(attachments), { expression, index }, share);
    if (this.#options.trustsProxies !== true || behind.length === 0) return;
    const overTls = { ...match, headers: [...match.headers, OVER_TLS] };
    const own = attachments.length === 0 ? index : null;
    this.#share(overTls, action, joined(behind), { expression, index: own }, share);
  }

  /** A path at some places; what a canary has of it there. */
  #share(match: Match, action: Action, places: readonly Attachment[], as: Named, share: Share | null): void {
    if (share === null || action.type !== 'forward') {
      this.#push([match], action, places, as);
      return;
    }
    const { terms } = share;
    const { expression = null } = as;
    for (const said of canaryMatches(match, terms))
      this.#push([said.match], said.canary ? share.action : action, places, { expression });
    const backends = [
      ...action.backends.map((backend) => ({ ...backend, weight: terms.total - terms.weight })),
      ...share.action.backends.map((backend) => ({ ...backend, weight: terms.weight })),
    ];
    const shared: Action = terms.weight === 0 ? action : { type: 'forward', backends };
    this.#push([match], shared, places, as);
  }

  #hostOf(value: unknown, field: string): Host | null {
    const name = (text(value) ?? ANY).toLowerCase();
    if (name !== ANY && !isHostname(name)) {
      const { must, write } = hostForm(String(value), true);
      const form = write === '' ? '' : `: write ${write}`;
      this.#problems.error(field, `${must}, not ${shown(value)}${form}`);
      return null;
    }
    return this.#named(name);
  }

  #named(name: string): Host {
    return { name, secured: this.#draft.hosts.some(({ hostname }) => hostname === ANY || covers(hostname, name)) };
  }

  /** What becomes of requests for a backend that cannot be had. */
  get #answer(): string {
    return this.#settings.canary ? 'It gets no requests.' : ANSWER;
  }

  #action(value: unknown, field: string, problems = this.#problems): Action {
    const { refused, redirect } = this.#settings;
    if (refused !== null) return REFUSE;
    if (redirect !== null) return { type: 'redirect', redirect };
    const backend = fields(value);
    const resource = backend['resource'] === undefined ? null : fields(backend['resource']);
    const service = fields(backend['service']);
    const name = text(service['name']) ?? '';
    const portName = text(fields(service['port'])['name']);
    const number = portName === undefined ? port(fields(service['port'])['number']) : this.#portOf(name, portName);
    const exists = this.#reader.get('Service', this.#namespace, name) !== undefined;
    if (resource === null && number === undefined && portName !== undefined && exists) {
      const where = `Service ${this.#namespace}/${name}`;
      problems.error(`${field}.service.port.name`, `${where} has no port named ${shown(portName)}. ${this.#answer}`);
      return UNAVAILABLE;
    }
    const ref =
      resource === null
        ? { name, ...(number === undefined ? {} : { port: number }) }
        : { group: resource['apiGroup'] ?? '', kind: resource['kind'], name: resource['name'] };
    const { protocol: asked, balancer } = this.#settings;
    const how = { asked, balancer };
    const resolved = resolveBackend(this.#reader, 'Ingress', this.#namespace, ref, this.#options, how);
    const { cluster, label, fault, untrusted } = resolved;
    for (const policy of resolved.policies) this.#policies.add(policy);
    if (cluster === null) {
      const why = fault?.message ?? untrusted;
      if (why !== null) problems.error(field, `${why} ${this.#answer}`, fault?.absent);
      return UNAVAILABLE;
    }
    this.#clusters.set(cluster.key, cluster);
    return { type: 'forward', backends: [{ cluster: cluster.key, backend: label, weight: 1, filters: [] }] };
  }

  /** Who is asked; where the Service cannot be, nobody is let in. */
  #authOf(auth: IngressAuth | null): Filter[] {
    if (auth === null) return [];
    const { backendRef, secured, subrequest, responseHeaders } = auth;
    const asked = secured ? ({ spoken: 'http1', secured, by: 'https of auth-url' } as const) : null;
    const resolved = resolveBackend(this.#reader, 'Ingress', this.#namespace, backendRef, this.#options, { asked });
    const { cluster, label, fault, untrusted, policies } = resolved;
    for (const policy of policies) this.#policies.add(policy);
    if (cluster !== null) this.#clusters.set(cluster.key, cluster);
    const why = fault?.message ?? untrusted;
    const field = `metadata.annotations[${NGINX}auth-url]`;
    if (why !== null) this.#problems.error(field, `${why} Requests answer 500.`, fault?.absent);
    return [
      {
        type: 'externalAuth',
        protocol: 'http',
        cluster: cluster?.key ?? null,
        backend: label,
        path: '',
        requestHeaders: [],
        responseHeaders,
        bodyBytes: 0,
        failOpen: false,
        subrequest,
      },
    ];
  }

  /** Undefined where the Service, or its port of that name, does not exist. */
  #portOf(service: string, name: string): number | undefined {
    const ports = list(fields(this.#reader.get('Service', this.#namespace, service)?.spec)['ports']).map(fields);
    return port(ports.find((item) => item['name'] === name)?.['port']);
  }

  /** Where cleartext requests for a host come in. */
  #cleartext(name: string): Attachment[] {
    const place = this.#places.http();
    this.#tell(place);
    return place.sockets.map((socket) => ({ socket, host: ANY, hostnames: [oneLabel(name)] }));
  }

  /** Where those over TLS do: at the most specific host of 443 that covers it, and for any host at all of its own. */
  #secured(name: string): Attachment[] {
    const hosts = new Set<string>();
    const found = hostsOver(name).find((host) => this.#places.https(host) !== undefined);
    if (found !== undefined) hosts.add(found);
    if (name === ANY) for (const { hostname } of this.#draft.hosts) hosts.add(hostname);
    const attachments: Attachment[] = [];
    for (const host of hosts) {
      const place = this.#places.https(host);
      if (place === undefined) continue;
      this.#tell(place);
      for (const socket of place.sockets) attachments.push({ socket, host, hostnames: [oneLabel(name)] });
    }
    return attachments;
  }

  #tell({ fault }: IngressPlace): void {
    if (fault === null || this.#faults.has(fault)) return;
    this.#faults.add(fault);
    this.#problems.error('spec', fault);
  }

  #push(
    matches: readonly Match[],
    action: Action,
    attachments: readonly Attachment[],
    { expression = null, index = null }: Named = {},
  ): void {
    if (attachments.length === 0) return;
    const { name } = this.#object.metadata;
    const number = index ?? this.#next++;
    const { filters, rewrite } = this.#settings;
    const auth = matches.every(isChallenge) ? [] : this.#auth;
    this.#entries.push({
      kind: 'rule',
      key: ruleKey('Ingress', this.#namespace, name, number),
      routeKind: 'Ingress',
      route: `${this.#namespace}/${name}`,
      index: number,
      name: '',
      created: createdOf(this.#object),
      attachments: [...attachments].sort((a, b) => compare(a.socket, b.socket) || compare(a.host, b.host)),
      matches,
      filters: action.type === 'forward' ? [...rewriteFilters(rewrite, expression), ...filters, ...auth] : [],
      action,
      timeouts: this.#settings.timeouts,
      retry: action.type === 'forward' ? this.#settings.retry : null,
    });
  }
}

/** Those of one listener as one. */
function joined(attachments: readonly Attachment[]): Attachment[] {
  const groups = Map.groupBy(attachments, ({ socket, host }) => `${socket} ${host}`);
  return [...groups.values()].map((group) => {
    const [first] = group as [Attachment];
    return { ...first, hostnames: [...new Set(group.flatMap(({ hostnames }) => hostnames))] };
  });
}

/** Of an Ingress a wildcard stands for one label (IngressRule.host). */
function oneLabel(name: string): string {
  return name.startsWith('*.') ? `?${name.slice(1)}` : name;
}

/** Whether a host of spec.tls is for a host of a rule. */
function covers(tls: string, name: string): boolean {
  return tls === name || (tls.startsWith('*.') && tls.slice(2) === name.slice(name.indexOf('.') + 1));
}

/** Hosts of port 443 under which a host can be, the most specific first. */
function hostsOver(name: string): string[] {
  if (name === ANY) return [ANY];
  const parent = `*.${name.slice(name.indexOf('.') + 1)}`;
  return name === parent || !name.includes('.') ? [name, ANY] : [name, parent, ANY];
}

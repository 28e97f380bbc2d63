// What becomes of a request, told by the code that routes: the head is parsed, normalised and matched by the proxy's
// own parser, router and edits over the entries that workers are given. No socket is opened and nothing is sent.

import { type Problem, problemText } from '../api/problem.ts';
import { bytesOf, textOf } from '../base/bytes.ts';
import { FAULTS, type Fault } from '../base/errors.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import { newMemory } from '../base/memory.ts';
import type { ClusterEntry, Endpoint, Entry, Key, RelayEntry, RuleEntry, SocketEntry, SocketHost } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { markForwarded, toldClient } from '../proxy/exchange/forwarded.ts';
import { type Found, findRule } from '../proxy/exchange/route.ts';
import { ClusterRef, CompiledRule, RouteCells, STEP } from '../proxy/exchange/rule.ts';
import type { CompiledRedirect } from '../proxy/filter/redirect.ts';
import { type GatewayPolicy, NO_POLICY, policyOf } from '../proxy/gateway-policy.ts';
import { Head } from '../proxy/head.ts';
import { parseRequest } from '../proxy/http1/request.ts';
import { DONE } from '../proxy/http1/scan.ts';
import { Listener } from '../proxy/listener.ts';
import { ServerNames } from '../proxy/tls/names.ts';
import type { TrustedProxies } from '../proxy/trusted.ts';
import { AccessRecord } from '../telemetry/record.ts';
import { type Backends, backendParts, filterTexts, type Taken } from './effects.ts';
import type { Explanation, ListenerPart, RulePart } from './explanation.ts';
import { Matching, matchText } from './matching.ts';
import { isSaid, keptOut, listed, nearestMisses, type Written, wrongWith } from './misses.ts';
import type { Question } from './question.ts';
import { relayed, relayHostOf } from './relayed.ts';

/** What there is to look at. */
export interface Scene {
  /** All entries, as workers are given them. */
  readonly entries: Iterable<Entry>;
  readonly written: Written;
  /** What is wrong with the objects. */
  readonly problems: readonly Problem[];
  readonly trusted: TrustedProxies;
  /** What a running program knows of an endpoint, '' for nothing. */
  readonly load: (cluster: ClusterEntry, endpoint: Endpoint) => string;
  /** Names of backends are not looked up here. */
  readonly offline: boolean;
}

const NOTHING: Explanation = {
  outcome: '',
  status: null,
  flag: '',
  socket: null,
  listener: null,
  rule: null,
  filters: [],
  location: null,
  backends: [],
  misses: [],
  keptOut: [],
  problems: [],
  notes: [],
};

interface Entries {
  readonly sockets: readonly SocketEntry[];
  readonly rules: readonly RuleEntry[];
  readonly relays: readonly RelayEntry[];
  readonly clusters: ReadonlyMap<Key, ClusterEntry>;
  readonly endpoints: ReadonlyMap<Key, readonly Endpoint[]>;
  readonly policies: ReadonlyMap<Key, GatewayPolicy>;
}

export function explain(question: Question, scene: Scene): Explanation {
  const told = explained(question, scene);
  const { status, keptOut } = told;
  const good = status === null || (status >= 200 && status < 400);
  // What is left out may be what the request was meant for: it has neither hosts nor ports, so nobody knows.
  const others = scene.problems.filter(
    ({ message, effect }) => (!good || effect !== undefined) && !isSaid(keptOut, message),
  );
  const first = [
    ...others.filter(({ severity }) => severity === 'error'),
    ...others.filter(({ severity }) => severity !== 'error'),
  ];
  return { ...told, problems: first.slice(0, LIMITS.EXPLAIN_MISSES).map(problemText) };
}

function explained(question: Question, scene: Scene): Explanation {
  const entries = sorted(scene.entries);
  const socket = socketOf(entries.sockets, question);
  if (socket === null) return { ...NOTHING, ...nobodyListens(entries.sockets, question) };
  const base = { ...NOTHING, socket: { address: socket.address, port: socket.port } };
  const host = relayHostOf(socket, question);
  if (host !== undefined) {
    const listener = host === null ? null : listenerPart(host);
    const from = backendsOf(entries, scene);
    return { ...base, listener, ...relayed(socket, host, question, entries, from, scene) };
  }
  const named = opened(socket, question);
  if (typeof named === 'string') return { ...base, outcome: named, status: 0 };
  return new Course(entries, scene, socket, question, base).run(named);
}

function sorted(all: Iterable<Entry>): Entries {
  const sockets: SocketEntry[] = [];
  const rules: RuleEntry[] = [];
  const relays: RelayEntry[] = [];
  const clusters = new Map<Key, ClusterEntry>();
  const endpoints = new Map<Key, readonly Endpoint[]>();
  const policies = new Map<Key, GatewayPolicy>();
  for (const entry of all) {
    if (entry.kind === 'socket') sockets.push(entry);
    else if (entry.kind === 'rule') rules.push(entry);
    else if (entry.kind === 'relay') relays.push(entry);
    else if (entry.kind === 'cluster') clusters.set(entry.key, entry);
    else if (entry.kind === 'endpoints') endpoints.set(entry.key, entry.endpoints);
    else if (entry.kind === 'gateway') policies.set(entry.key, policyOf(entry));
  }
  return { sockets: sockets.sort((a, b) => (a.key < b.key ? -1 : 1)), rules, relays, clusters, endpoints, policies };
}

/**
 * The socket that a client would reach: by the port that is bound, or that the Gateway writes; the only one there is
 * for a URL that names none. Of several the one on the URL's own address comes first, then one on any.
 */
function socketOf(
  sockets: readonly SocketEntry[],
  { transport, port, portNamed, address, secure, listener }: Question,
): SocketEntry | null {
  const distance = (socket: SocketEntry): number =>
    socket.address === address ? 0 : ANY_ADDRESS.has(socket.address) || address === '' ? 1 : 2;
  const named = sockets
    .filter((socket) => socket.transport === transport)
    .filter(({ hosts }) => listener === null || hosts.some((host) => listenerName(host) === listener))
    .sort((a, b) => distance(a) - distance(b));
  const bound = named.find((socket) => socket.port === port);
  const found = bound ?? named.find(({ hosts }) => hosts.some((host) => host.port === port));
  if (found !== undefined) return found;
  const speaking = named.filter(({ hosts }) =>
    hosts.some(({ tls, protocol }) => (tls !== null || protocol === 'TLS') === secure),
  );
  const alone = new Set(speaking.map((socket) => socket.port)).size === 1;
  return alone && !portNamed ? (speaking[0] ?? null) : null;
}

const ANY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function listenerName({ gateway, listener }: SocketHost): string {
  return `${gatewayName(gateway)}/${listener}`;
}

function gatewayName(key: Key): string {
  const parsed = parseKey(key);
  return parsed.kind === 'gateway' ? `${parsed.namespace}/${parsed.name}` : key;
}

function nobodyListens(sockets: readonly SocketEntry[], { transport, port, listener }: Question): Partial<Explanation> {
  const here = sockets.filter((socket) => socket.transport === transport);
  const ports = [...new Set(here.map((socket) => socket.port))].slice(0, LIMITS.NAMES_LISTED);
  const protocol = transport === 'udp' ? ' of UDP' : '';
  const what = listener === null ? `port ${port}` : `listener ${listener} with port ${port}`;
  const others = ports.length === 0 ? 'nothing listens at all' : `there are the ports ${ports.join(', ')}`;
  // One number is two ports.
  const other = sockets.find((socket) => socket.port === port && socket.transport !== transport);
  const notes = other === undefined ? [] : [`${port} is a port of ${other.transport.toUpperCase()} here`];
  return { outcome: `refused: nobody listens at ${what}${protocol}; ${others}`, status: 0, notes };
}

/** The host that the handshake leads to (null: any), or why there is no request. */
function opened({ hosts, fallback }: SocketEntry, { secure, sni }: Question): SocketHost | null | string {
  const names = new ServerNames<SocketHost>();
  for (const host of hosts) if (host.tls !== null) names.add(host.hostname, host);
  const speaksTls = hosts.some((host) => host.tls !== null);
  if (!speaksTls) return secure ? 'refused: TLS is not spoken here, use http://' : null;
  if (!secure) return '400 in the clear: TLS is spoken here, use https://';
  const host = names.find(sni);
  if (host !== null || fallback !== null) return host;
  const known = hosts.map(({ hostname }) => hostname).slice(0, LIMITS.NAMES_LISTED);
  const named = sni === '' ? 'a handshake without a server name' : `the server name ${sni}`;
  return `handshake refused (unrecognized_name): ${named} is none of ${known.join(', ')}`;
}

/** One request on its way. */
class Course {
  readonly #entries: Entries;
  readonly #scene: Scene;
  readonly #socket: SocketEntry;
  readonly #question: Question;
  readonly #base: Explanation;
  readonly #mem = newMemory(LIMITS.EXPLAIN_BYTES);
  readonly #head = new Head();

  constructor(entries: Entries, scene: Scene, socket: SocketEntry, question: Question, base: Explanation) {
    this.#entries = entries;
    this.#scene = scene;
    this.#socket = socket;
    this.#question = question;
    this.#base = base;
  }

  /** `named`: whom the handshake led to. */
  run(named: SocketHost | null): Explanation {
    const { secure, head: text } = this.#question;
    const mem = this.#mem;
    const head = this.#head;
    const bytes = bytesOf(text);
    if (bytes.length * 4 > mem.length) return this.#answered(FAULTS.headTooLarge);
    mem.set(bytes);
    if (parseRequest(mem, 0, bytes.length, head) !== DONE) return this.#answered(head.fault ?? FAULTS.headTooLarge);
    const listener = new Listener(this.#socket.key);
    listener.setEntry(this.#socket, gatewayName, (key) => this.#entries.policies.get(key) ?? NO_POLICY);
    const asking = this.#client(listener);
    const rules = this.#entries.rules.filter(({ attachments }) =>
      attachments.some(({ socket }) => socket === this.#socket.key),
    );
    for (const rule of rules) {
      listener.router.set(rule, new CompiledRule(rule, new RouteCells(), (key) => new ClusterRef(key)));
    }
    const found: Found = { rule: null, prefixLength: 0, port: 0 };
    const fault = findRule(mem, new AccessRecord(), listener, head, { secure, host: named }, false, found);
    const { host, match } = listener.router;
    const part = host === null ? null : listenerPart(host);
    if (fault === null && found.rule !== null) {
      const taken = { mem, head, prefixLength: found.prefixLength, client: asking, free: bytes.length };
      const rule = rulePart(found.rule.entry, match === null ? '' : matchText(match));
      return { ...this.#base, listener: part, rule, ...this.#course(found.rule, found.port, taken) };
    }
    const told = { ...this.#answered(fault ?? FAULTS.noRoute), listener: part };
    if (fault !== FAULTS.noRoute) return { ...told, notes: misdirectedNotes(fault, named, host) };
    const matching = new Matching(mem, head);
    return {
      ...told,
      misses: nearestMisses(rules, this.#socket.key, host, matching),
      keptOut: keptOut(this.#scene.written, (names) => matching.host(names), ['Accepted']),
      notes: host === null ? [`no listener of this port is for the host: ${this.#hostnames()}`] : [],
    };
  }

  /** Whose request it is, for those who ask for the address; what is not believed of the head is marked. */
  #client(listener: Listener): Uint8Array {
    const { trusted: all } = this.#scene;
    const mem = this.#mem;
    const head = this.#head;
    const peer = bytesOf(this.#question.client);
    const { clients } = listener.policyFor(mem, head);
    const trusted = clients === null ? all.hasText(this.#question.client) : clients.trusts(peer);
    markForwarded(mem, head, trusted, clients);
    return trusted ? toldClient(all, clients, mem, head, peer) : peer;
  }

  #hostnames(): string {
    const names = this.#socket.hosts.map(({ hostname }) => hostname);
    return names.slice(0, LIMITS.NAMES_LISTED).join(', ') || 'it has none';
  }

  #answered({ status, flag, text }: Fault): Explanation {
    return { ...this.#base, outcome: `${status}: ${text}`, status, flag };
  }

  /** What the rule's chain makes of it. */
  #course(rule: CompiledRule, port: number, taken: Taken): Partial<Explanation> {
    const { entry } = rule;
    const { action } = entry;
    const filters = filterTexts(entry.filters);
    const { mem, head } = taken;
    if (rule.cors?.isPreflight(mem, head) === true)
      return { filters, status: 204, outcome: '204: the preflight is answered here, by the CORS filter' };
    const refuses = rule.chain.find(
      (step) => step.kind === STEP.ACCESS && !step.access.permits(mem, head, taken.client),
    );
    if (refuses !== undefined) {
      const { status, flag, text } = FAULTS.accessDenied;
      return { filters, status, flag, outcome: `${status}: ${text}, by an AccessControlFilter` };
    }
    const unasked = action.type === 'respond' ? null : unaskable(entry);
    if (unasked !== null) {
      const outcome = `500: ${unasked} is to be asked about it, and cannot be`;
      return { filters, status: 500, outcome, keptOut: this.#ofRoute(entry) };
    }
    if (action.type === 'static') {
      const outcome = `${action.status}: answered here, by a StaticResponseFilter`;
      return { filters, status: action.status, location: locationIn(rule), outcome };
    }
    if (action.type === 'respond') {
      const whole = { filters, status: action.status, outcome: `${action.status}: the rule could not be made whole` };
      return { ...whole, keptOut: this.#ofRoute(entry) };
    }
    if (rule.redirect !== null) return { filters, ...this.#redirected(rule, rule.redirect, port, taken) };
    const from = backendsOf(this.#entries, this.#scene);
    const backends = backendParts(entry, taken, from);
    const usable = backends.filter(({ broken }) => broken === '');
    const outcome =
      usable.length === 0
        ? `${backends[0]?.broken ?? '500: the rule has no backend'}`
        : `forwarded to ${usable.map(({ backend }) => backend).join(' or ')}`;
    const notes = backends.flatMap(({ backend }) => {
      const names = from.named(backend);
      if (names.length === 0) return [];
      return [`${listed(names)} of ${backend}: not looked up here, ask a running program (--admin)`];
    });
    const broken = backends.some((backend) => backend.broken.startsWith('500'));
    const status = usable.length === 0 ? Number.parseInt(outcome, 10) || 500 : null;
    return { filters, outcome, status, backends, notes, keptOut: broken ? this.#ofRoute(entry) : [] };
  }

  #redirected(rule: CompiledRule, redirect: CompiledRedirect, port: number, taken: Taken): Partial<Explanation> {
    const { mem, head, prefixLength, free } = taken;
    const { status } = redirect;
    // Where a filter says Location, or removes it, the answer is as that has it.
    if (rule.chain.at(-1)?.kind === STEP.RESPOND) {
      const location = locationIn(rule);
      const where =
        location === null ? 'without Location, which a filter removes' : `to ${location}, as a filter has it`;
      return { status, location, outcome: `${status} ${where}` };
    }
    const end = redirect.putLocation(mem, free, head, prefixLength, this.#question.secure, port);
    const location = textOf(mem, free, end);
    return { status, location, outcome: `${status} to ${location}` };
  }

  #ofRoute(entry: RuleEntry): Explanation['keptOut'] {
    return wrongWith(entry, this.#scene.written, this.#scene.problems);
  }
}

/** Location of what a rule answers by itself; null where it says none. */
function locationIn({ answer }: CompiledRule): string | null {
  const lines = answer?.fields?.lines ?? [];
  return lines.find(({ name }) => name.toLowerCase() === 'location')?.value ?? null;
}

/** The server of decisions that its rule names and that cannot be asked; null where there is none. */
function unaskable({ filters }: RuleEntry): string | null {
  for (const filter of filters) if (filter.type === 'externalAuth' && filter.cluster === null) return filter.backend;
  return null;
}

function backendsOf({ clusters, endpoints }: Entries, { load, offline, written }: Scene): Backends {
  const named = (backend: string): readonly string[] => (offline ? namesOf(written, backend) : []);
  return { cluster: (key) => clusters.get(key) ?? null, endpoints: (key) => endpoints.get(key) ?? [], load, named };
}

/** Host names among the endpoints of a Backend or XBackend. */
function namesOf(written: Written, backend: string): string[] {
  for (const { object } of written) {
    const { kind, metadata, spec } = object;
    if (`${metadata.namespace}/${metadata.name}` !== backend) continue;
    if (kind !== 'Backend' && kind !== 'XBackend') continue;
    const { endpoints, externalHostname } = fields(spec);
    if (kind === 'XBackend') {
      const name = fields(externalHostname)['hostname'];
      return typeof name === 'string' ? [name] : [];
    }
    const names = (Array.isArray(endpoints) ? endpoints : []).map((endpoint) => fields(endpoint)['hostname']);
    return names.filter((name) => typeof name === 'string');
  }
  return [];
}

function listenerPart({ gateway, listener, hostname, port, protocol }: SocketHost): ListenerPart {
  return { gateway: gatewayName(gateway), name: listener, hostname, port, protocol };
}

function rulePart({ routeKind, route, index, name, timeouts, retry }: RuleEntry, match: string): RulePart {
  const { requestMs, backendMs, idleMs } = timeouts;
  const times = [
    ...(requestMs === null ? [] : [`request ${requestMs} ms`]),
    ...(backendMs === null ? [] : [`backend ${backendMs} ms`]),
    ...(idleMs === undefined ? [] : [`idle ${idleMs} ms`]),
  ];
  const again = retry === null ? '' : `${retry.attempts} more on ${retry.codes.join(', ') || 'connection errors'}`;
  const kept = retry?.idempotent === true ? ', of idempotent methods' : '';
  return { kind: routeKind, route, index, name, match, timeouts: times.join(', '), retry: `${again}${kept}` };
}

function misdirectedNotes(fault: Fault | null, named: SocketHost | null, host: SocketHost | null): string[] {
  if (fault !== FAULTS.misdirected || host === null) return [];
  const asked = `the request's host leads to listener ${host.listener} (${host.hostname})`;
  return named === null ? [asked] : [`the handshake named ${named.listener} (${named.hostname}), but ${asked}`];
}

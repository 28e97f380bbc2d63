// What becomes of a session of layer 4, told by the table and the hashes that workers ask: by the port, and where TLS
// is spoken by the name in the handshake; of datagrams a flow's client says which backend and endpoint it has.

import type { Problem } from '../api/problem.ts';
import { bytesOf } from '../base/bytes.ts';
import { FAULTS } from '../base/errors.ts';
import { fields } from '../base/fields.ts';
import { hash32 } from '../base/hash.ts';
import { LIMITS } from '../base/limits.ts';
import type { ClusterEntry, Endpoint, RelayBackend, RelayEntry, SocketEntry, SocketHost } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import type { CompiledRelay } from '../proxy/relay/relay.ts';
import { ServerNames } from '../proxy/tls/names.ts';
import { clientHash, endpointHash, flowHash, isByClient, pathFrom } from '../proxy/udp/flow-hash.ts';
import { hashKeyOf } from '../proxy/upstream/pick/hash-key.ts';
import { circling, type Served, tableOf } from './circles.ts';
import { type Backends, endpointParts } from './effects.ts';
import type { BackendPart, Explanation, KeptOut } from './explanation.ts';
import { keptOut, listed, type Written, wrongWith } from './misses.ts';
import type { Question } from './question.ts';

/** The host of layer 4 that a client reaches; null: nobody's name on a port that has such; undefined: none of these. */
export function relayHostOf(
  { hosts, transport }: SocketEntry,
  { secure, sni }: Question,
): SocketHost | null | undefined {
  if (transport === 'udp') return hosts[0] ?? null;
  const tcp = hosts.find(({ protocol }) => protocol === 'TCP');
  if (tcp !== undefined) return tcp;
  if (!secure || !hosts.some(({ protocol }) => protocol === 'TLS')) return undefined;
  const names = new ServerNames<SocketHost>();
  for (const host of hosts) names.add(host.hostname, host);
  const host = names.find(sni);
  return host === null || host.protocol === 'TLS' ? host : undefined;
}

/** What is written, and what of it is wrong. */
interface Texts {
  readonly written: Written;
  readonly problems: readonly Problem[];
}

type Told = Pick<Explanation, 'outcome' | 'status' | 'flag' | 'backends' | 'rule' | 'keptOut' | 'notes'>;

/** The rest of it: who takes the session, and what becomes of it. */
export function relayed(
  socket: SocketEntry,
  host: SocketHost | null,
  question: Question,
  served: Served,
  from: Backends,
  texts: Texts,
): Told {
  const { sni } = question;
  const { relays } = served;
  const refused = socket.transport === 'udp' ? 'dropped' : 'reset';
  const here = relays.filter(({ attachments }) => attachments.some((at) => at.socket === socket.key));
  const table = tableOf(socket, relays);
  const byPort = host !== null && host.protocol !== 'TLS';
  const found = host === null ? null : table.find(host, byPort ? '' : sni);
  if (found === null) {
    const who = byPort ? 'the port' : sni === '' ? 'a handshake without a name' : `the name ${sni}`;
    const { flag } = FAULTS.noRoute;
    const out = host === null ? [] : notAccepted(host, question, texts.written);
    const outcome = `${refused}: no route takes ${who}`;
    return { outcome, status: 0, flag, rule: null, backends: [], keptOut: out, notes: [] };
  }
  const { entry } = found;
  const { routeKind: kind, route, index, name, idleMs } = entry;
  const timeouts = idleMs === null ? '' : `idle ${idleMs} ms`;
  const rule = { kind, route, index, name, match: byPort ? '' : sni, timeouts, retry: '' };
  const back = circling(socket, byPort || sni === '' ? null : sni, served, from);
  const course = new Course(found, socket.transport, question, from, back);
  const broken = course.backends.some(({ broken }) => broken.startsWith(refused));
  const notes = [...(byPort ? unserved(entry, here) : []), ...course.notes()];
  return { ...course.told(), rule, keptOut: broken ? wrongWith(entry, texts.written, texts.problems) : [], notes };
}

/** Routes that name the host's Gateway, or a part of it, and were not let in. */
function notAccepted({ gateway }: SocketHost, { sni }: Question, written: Written): readonly KeptOut[] {
  const parsed = parseKey(gateway);
  const named = parsed.kind === 'gateway' ? parsed.name : '';
  const own = [...written].filter(({ object: { spec } }) => {
    const parents = fields(spec)['parentRefs'];
    return Array.isArray(parents) && parents.some((parent) => fields(parent)['name'] === named);
  });
  const isFor = (hostnames: readonly string[]): boolean => {
    const names = new ServerNames<true>();
    for (const hostname of hostnames) names.add(hostname, true);
    return names.find(sni) !== null;
  };
  return keptOut(own, isFor, ['Accepted']);
}

/** Of several routes at one port all but one are accepted for nothing. */
function unserved(served: RelayEntry, here: readonly RelayEntry[]): string[] {
  const others = here.filter((relay) => relay !== served).map(({ routeKind, route }) => `${routeKind} ${route}`);
  if (others.length === 0) return [];
  return [`attached here too, and not served: ${listed(others)} (the oldest is, then the first by name)`];
}

/** A session at the route that took it. */
class Course {
  readonly backends: readonly BackendPart[];
  readonly #refused: string;
  readonly #question: Question;
  /** Which backend this very flow gets; -1 when none does, null where nobody knows. */
  readonly #chosen: number | null;
  readonly #byFlow: boolean;
  /** Whether an endpoint leads back to where the session came in. */
  readonly #back: (endpoint: Endpoint) => boolean;

  constructor(
    relay: CompiledRelay,
    transport: 'tcp' | 'udp',
    question: Question,
    from: Backends,
    back: (endpoint: Endpoint) => boolean,
  ) {
    this.#back = back;
    const { backends } = relay.entry;
    this.#refused = transport === 'udp' ? 'dropped' : 'reset';
    this.#question = question;
    this.#byFlow = transport === 'udp';
    const hashes = this.#byFlow ? flowHashes(question) : null;
    this.#chosen = hashes === null || hashes.flow === null ? null : relay.indexBy(hashes.flow);
    const sum = backends.reduce((total, { weight }) => total + weight, 0);
    this.backends = backends.map((backend, i) => {
      const cluster = backend.cluster === null ? null : from.cluster(backend.cluster);
      const hash = cluster === null ? null : hashes === null ? ofClient(cluster, question) : ofFlow(cluster, hashes);
      const part = this.#partOf(backend, sum, cluster, hash, from);
      if (this.#chosen === null || this.#chosen === i) return part;
      return { ...part, endpoints: part.endpoints.map((endpoint) => ({ ...endpoint, turn: '' as const })) };
    });
  }

  told(): Pick<Told, 'outcome' | 'status' | 'flag' | 'backends'> {
    const { backends } = this;
    const asked = this.#chosen === null ? backends : backends.filter((_, i) => i === this.#chosen);
    const usable = asked.filter(({ broken }) => broken === '');
    if (usable.length > 0) {
      const outcome = `relayed to ${usable.map(({ backend }) => backend).join(' or ')}`;
      return { outcome, status: null, flag: '', backends };
    }
    const back = !this.#byFlow && asked.some(({ endpoints }) => endpoints.some(this.#back));
    const fault = asked.some(({ protocol }) => protocol !== '') ? FAULTS.noEndpoint : FAULTS.noCluster;
    const { flag } = back ? FAULTS.connectFailed : fault;
    const [one] = asked;
    const what = this.#chosen === null || one === undefined ? 'no backend can be had' : `it would go to ${one.backend}`;
    return { outcome: `${this.#refused}: ${what}`, status: 0, flag, backends };
  }

  notes(): string[] {
    if (!this.#byFlow || this.backends.every(({ broken }) => broken !== '')) return [];
    const refusing = `an endpoint that refuses a datagram gets no new flows of that worker for ${LIMITS.UDP_REFUSED_MS} ms`;
    const kept = `a flow that is open keeps its endpoint while that is there; ${refusing}`;
    if (this.#question.clientPort > 0) return [kept];
    return [`which of them a flow gets follows from its client's address and port: --client 192.0.2.1:40000`, kept];
  }

  #partOf(
    { backend, weight }: RelayBackend,
    sum: number,
    cluster: ClusterEntry | null,
    hash: number | null,
    from: Backends,
  ): BackendPart {
    const all = cluster === null ? [] : endpointParts(cluster, hash, from);
    const endpoints = all.map((one) => (this.#back(one) ? { ...one, turn: '' as const } : one));
    return {
      backend,
      share: sum === 0 ? 0 : weight / sum,
      filters: [],
      broken: this.#brokenText(weight, cluster, endpoints),
      protocol: cluster === null ? '' : cluster.protocol,
      tls: cluster === null || cluster.tls === null ? '' : `TLS for ${cluster.tls.hostname}`,
      balancer: cluster === null ? '' : cluster.balancer.type,
      sent: [],
      endpoints,
    };
  }

  #brokenText(weight: number, cluster: ClusterEntry | null, endpoints: BackendPart['endpoints']): string {
    if (weight === 0) return 'its weight is 0: it gets no session';
    if (cluster === null) return `${this.#refused}: its reference is not usable`;
    if (endpoints.some(({ turn }) => turn !== '')) return '';
    if (endpoints.some(this.#back)) return `${this.#refused}: its endpoints lead back to this listener`;
    return `${this.#refused}: it has no ready endpoint`;
  }
}

/** As a session of TCP is hashed. */
function ofClient({ balancer }: ClusterEntry, { client }: Question): number | null {
  if (hashKeyOf(balancer) === null) return null;
  const bytes = bytesOf(client);
  return hash32(bytes, 0, bytes.length);
}

interface FlowHashes {
  readonly client: number;
  /** null: the client's port is not known. */
  readonly flow: number | null;
}

function flowHashes({ client, clientPort }: Question): FlowHashes {
  const path = pathFrom(client, clientPort);
  const hash = clientHash(path, 0);
  return { client: hash, flow: clientPort === 0 ? null : flowHash(path, 0, hash) };
}

function ofFlow({ balancer }: ClusterEntry, { client, flow }: FlowHashes): number | null {
  if (hashKeyOf(balancer) === null) return null;
  if (flow === null) return isByClient(balancer) ? client : null;
  return endpointHash(balancer, client, flow);
}

// The engine on a test network, with one listener and a handful of rules written in shorthand.

import assert from 'node:assert/strict';
import type { SocketAddress } from '../../src/io/io.ts';
import type { TlsIo } from '../../src/io/tls.ts';
import type {
  Action,
  CertificateEntry,
  ClientTls,
  ClusterEntry,
  Delta,
  Endpoint,
  EndpointsEntry,
  Entry,
  Filter,
  GatewayEntry,
  Key,
  Match,
  RelayEntry,
  Retry,
  RuleEntry,
  ServerTls,
  SocketEntry,
  TrustEntry,
} from '../../src/ir/ir.ts';
import type { Steps } from '../../src/proxy/config/pieces.ts';
import { Engine, type EngineSettings } from '../../src/proxy/engine.ts';
import { METHOD } from '../../src/proxy/head.ts';
import { SimTls } from '../../src/sim/tls.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { METHODS } from '../../src/telemetry/layout.ts';
import type { AccessRecord, RecordSink } from '../../src/telemetry/record.ts';
import type { Peer, TestNet } from '../support/net.ts';

export const LISTENER = 'socket/127.0.0.1/80/tcp';

/** What is kept of an AccessRecord, as text. */
export interface Logged {
  /** SESSION_PROTOCOLS; -1 for a request. */
  readonly session: number;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly agent: string;
  readonly id: string;
  readonly client: string;
  readonly status: number;
  readonly grpcStatus: number;
  readonly flags: string;
  readonly limit: string;
  readonly auth: string;
  readonly end: string;
  readonly upgrade: string;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly attempts: number;
  readonly connection: string;
  readonly listener: string;
  readonly route: string;
  readonly backend: string;
  readonly endpoint: string;
  readonly durationUs: number;
  readonly upstreamUs: number;
}

export class Records implements RecordSink {
  readonly all: Logged[] = [];
  /** Route block of each. */
  readonly blocks: number[] = [];
  /** Who else gets each. */
  also: RecordSink | null = null;

  record(r: AccessRecord): void {
    this.also?.record(r);
    const text = (start: number, end: number): string => Buffer.from(r.bytes.subarray(start, end)).toString('latin1');
    this.blocks.push(r.routeBlock);
    this.all.push({
      session: r.session,
      method: r.method < METHOD.OTHER ? METHODS[r.method] : text(r.methodStart, r.methodEnd),
      host: text(r.hostStart, r.hostEnd),
      path: text(r.pathStart, r.pathEnd),
      query: text(r.queryStart, r.queryEnd),
      agent: text(r.agentStart, r.agentEnd),
      id: text(r.idStart, r.idEnd),
      client: Buffer.from(r.client).toString('latin1'),
      status: r.status,
      grpcStatus: r.grpcStatus,
      flags: r.flags,
      limit: r.limit,
      auth: r.auth,
      end: r.end,
      upgrade: text(r.upgradeStart, r.upgradeEnd),
      requestBytes: r.requestBytes,
      responseBytes: r.responseBytes,
      attempts: r.attempts,
      connection: r.connectionJson.text.slice(1),
      listener: r.listenerJson.text.slice(1),
      route: r.routeJson.text.slice(1),
      backend: r.backendJson.text.slice(1),
      endpoint: r.endpointJson.text.slice(1),
      durationUs: r.endUs - r.startUs,
      upstreamUs: r.upstreamUs,
    });
  }

  get last(): Logged {
    const last = this.all.at(-1);
    assert.ok(last !== undefined, 'nothing was logged');
    return last;
  }
}

export interface RuleOptions {
  readonly name?: string;
  readonly path?: string;
  readonly hostname?: string;
  readonly match?: Partial<Match>;
  readonly filters?: readonly Filter[];
  readonly action?: Action;
  /** Cluster names for a forwarding rule, each with equal weight. */
  readonly to?: readonly string[];
  readonly requestTimeoutMs?: number;
  readonly backendTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly retry?: Retry;
}

export function rule(options: RuleOptions): RuleEntry {
  const name = options.name ?? 'r';
  const hostname = options.hostname ?? '*';
  const backends = (options.to ?? ['app']).map((to) => ({
    cluster: clusterKey(to),
    backend: `default/${to}:80`,
    weight: 1,
    filters: [],
  }));
  const path = { type: 'PathPrefix' as const, value: options.path ?? '/' };
  return {
    kind: 'rule',
    key: `rule/HTTPRoute/default/${name}/0`,
    routeKind: 'HTTPRoute',
    route: `default/${name}`,
    index: 0,
    name: '',
    created: 0,
    attachments: [{ socket: LISTENER, host: '*', hostnames: [hostname] }],
    matches: [{ path, method: '', headers: [], query: [], ...options.match }],
    filters: options.filters ?? [],
    action: options.action ?? { type: 'forward', backends },
    timeouts: {
      requestMs: options.requestTimeoutMs ?? null,
      backendMs: options.backendTimeoutMs ?? null,
      ...(options.idleTimeoutMs === undefined ? {} : { idleMs: options.idleTimeoutMs }),
    },
    retry: options.retry ?? null,
  };
}

export interface RelayOptions {
  readonly name?: string;
  readonly hostname?: string;
  readonly created?: number;
  /** Cluster names; null for a reference that is not good. */
  readonly to?: readonly (string | null)[];
  readonly weights?: readonly number[];
  readonly idleMs?: number;
}

/** A TCPRoute at the listener. */
export function relay({ name = 'db', hostname = '*', to = ['app'], ...options }: RelayOptions = {}): RelayEntry {
  return {
    kind: 'relay',
    key: `relay/TCPRoute/default/${name}/0`,
    routeKind: 'TCPRoute',
    route: `default/${name}`,
    index: 0,
    name: '',
    created: options.created ?? 0,
    attachments: [{ socket: LISTENER, host: '*', hostnames: [hostname] }],
    backends: to.map((one, i) => ({
      cluster: one === null ? null : clusterKey(one),
      backend: `default/${one}:80`,
      weight: options.weights?.[i] ?? 1,
    })),
    idleMs: options.idleMs ?? null,
  };
}

/** The listener, of TCP. */
export function tcpListener(): SocketEntry {
  const http = listener(5432);
  return { ...http, hosts: http.hosts.map((host) => ({ ...host, listener: 'tcp', protocol: 'TCP' as const })) };
}

export function clusterKey(name: string): string {
  return `cluster/Service/default/${name}/80/000000000000`;
}

export function endpointsKey(name: string): string {
  return `endpoints/Service/default/${name}/80`;
}

export function endpoint(address: SocketAddress, more: Partial<Endpoint> = {}): Endpoint {
  const at = address.family === 'unix' ? { address: address.path, port: 0 } : address;
  return {
    id: `${at.address}:${at.port}`,
    address: at.address,
    port: at.port,
    zone: '',
    weight: 1,
    state: 'ready',
    ...more,
  };
}

/** A cluster and where it is to be found. */
export function cluster(
  name: string,
  endpoints: readonly Endpoint[],
  more: Partial<ClusterEntry> = {},
): readonly [ClusterEntry, EndpointsEntry] {
  return [
    {
      kind: 'cluster',
      key: clusterKey(name),
      backend: `default/${name}`,
      endpoints: endpointsKey(name),
      protocol: 'http1',
      proxyProtocol: null,
      tls: null,
      balancer: { type: 'roundRobin' },
      ...more,
    },
    { kind: 'endpoints', key: endpointsKey(name), endpoints },
  ];
}

export const GATEWAY: GatewayEntry = { kind: 'gateway', key: 'gateway/default/gw', name: 'default/gw' };

export function listener(port = 80): SocketEntry {
  return {
    kind: 'socket',
    key: LISTENER,
    address: '127.0.0.1',
    port,
    transport: 'tcp',
    hosts: [{ hostname: '*', gateway: GATEWAY.key, listener: 'http', port, protocol: 'HTTP', tls: null }],
    fallback: null,
    proxyProtocol: null,
  };
}

const TOY_CERTIFICATE: CertificateEntry = {
  kind: 'certificate',
  key: 'certificate/default/toy',
  chain: ['toy'],
  privateKey: 'toy',
  fingerprint: '00',
  staple: '',
  stapleFrom: 0,
  stapleUntil: 0,
};
const TOY_TLS: ServerTls = {
  certificates: [TOY_CERTIFICATE.key],
  minVersion: 'TLSv1.3',
  ciphers: [],
  suites: [],
  alpn: ['h2', 'http/1.1'],
  clients: null,
};

const TOY_TRUST: TrustEntry = { kind: 'trust', key: 'trust/default/toy', authorities: ['dG95'], revoked: [] };
const TOY_CLIENT: ClientTls = {
  trust: TOY_TRUST.key,
  hostname: 'app.internal',
  subjectAltNames: [],
  certificate: null,
  alpn: ['http/1.1'],
  minVersion: 'TLSv1.3',
};

/**
 * The same cluster by TLS; the same listener for clients that speak it and name no host: that of the request decides,
 * as in the clear.
 */
function overTls(entry: Entry): Entry {
  if (entry.kind === 'cluster') {
    const alpn = entry.protocol === 'http2' ? ['h2'] : TOY_CLIENT.alpn;
    return { ...entry, tls: entry.tls ?? { ...TOY_CLIENT, alpn } };
  }
  if (entry.kind !== 'socket') return entry;
  // What relays bytes does so behind a handshake, too.
  const relays = entry.hosts.some(({ protocol }) => protocol === 'TCP');
  const protocol = relays ? ('TLS' as const) : ('HTTPS' as const);
  const hosts = entry.hosts.map((host) => ({ ...host, protocol, tls: host.tls ?? TOY_TLS }));
  return { ...entry, hosts, fallback: entry.fallback ?? (relays ? null : TOY_TLS) };
}

/** Entries, one by one or as `cluster` makes them. */
type Entries = readonly (Entry | readonly Entry[])[];

interface Revision {
  readonly upserts: Entries;
  readonly removals: readonly Key[];
}

export class Rig {
  readonly net: TestNet;
  readonly engine: Engine;
  readonly records = new Records();
  readonly cells = Cells.local();
  readonly listening: Parameters<TestNet['connect']>[0];
  /** The simulation's TLS, where the net's clients speak it. */
  readonly #toy: SimTls | null;

  /** One rule '/' to the cluster 'app' of `backends`, unless `entries` say otherwise. */
  constructor(
    net: TestNet,
    backends: readonly SocketAddress[],
    entries: Entries = [rule({})],
    settings: Partial<EngineSettings> = {},
    tls?: () => TlsIo,
  ) {
    this.net = net;
    const { sim } = net;
    const toy = net.tls && sim !== null ? new SimTls(sim) : null;
    this.#toy = toy;
    const open = toy === null ? tls : (): TlsIo => toy;
    this.engine = new Engine({
      io: net.io,
      cells: this.cells,
      records: this.records,
      settings: { trustedProxies: [], ...settings },
      ...(open === undefined ? {} : { tls: open }),
    });
    const app = cluster(
      'app',
      backends.map((b) => endpoint(b)),
    );
    const shown = toy === null ? [] : [TOY_CERTIFICATE, TOY_TRUST];
    this.apply({ upserts: [GATEWAY, ...shown, listener(), app, ...entries], removals: [] });
    const { handle, address } = net.listen();
    this.listening = address;
    this.engine.addSocket(LISTENER, handle);
  }

  apply(revision: Revision): void {
    this.engine.apply(this.#delta(revision));
  }

  /** The same in pieces. */
  applying(revision: Revision): Steps {
    return this.engine.applying(this.#delta(revision));
  }

  #delta({ upserts, removals }: Revision): Delta {
    const entries = upserts.flat();
    return { upserts: this.#toy === null ? entries : entries.map(overTls), removals };
  }

  connect(from?: string, alpn?: readonly string[]): Promise<Peer> {
    return this.net.connect(this.listening, from, alpn);
  }

  get(id: number): number {
    return this.cells.get(id);
  }

  /** Ends the engine and checks that it holds nothing any more and that every request was logged exactly once. */
  async end(): Promise<void> {
    await this.net.settle();
    this.engine.stop();
    await this.net.settle();
    assert.deepEqual(this.net.leaks(), []);
    if (this.#toy !== null) assert.equal(this.#toy.counts.connections, 0, 'connections of TLS');
    assert.equal(this.engine.stats().requests, 0);
    assert.equal(this.engine.stats().held, 0);
  }
}

/** A backend that answers each request by what `answer` makes of it, one after the other on a connection. */
export function answering(
  net: TestNet,
  answer: (request: { target: string; method: string; head: string; body: Uint8Array }) => string | Uint8Array,
): SocketAddress {
  return net.serve(async (peer) => {
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      await peer.send(answer(request));
    }
  });
}

export function ok(body: string, more = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
}

export function get(target = '/', more = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: a.example\r\n${more}\r\n`;
}

export function bodyText(message: { readonly body: Uint8Array }): string {
  return Buffer.from(message.body).toString('latin1');
}

// A world of a few names in which everything changes by chance: objects that come, change, go and come back, others
// that write into the same statuses, and all that may befall an API server meanwhile.

import { LIMITS } from '../../src/base/limits.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import type { ApiObject, FakeApi, Fault, Seen } from './fake-api.ts';
import type { VirtualTime } from './memory-api.ts';
import { CONTROLLER } from './replica.ts';

type Value = Record<string, unknown>;

const GROUP = 'gateway.networking.k8s.io';
export const DEFINITION = 'gatewayclasses.gateway.networking.k8s.io';
/** Kinds that are there by definitions. */
const DEFINED = /^(gateway\.networking\.k8s\.io|gateway\.networking\.x-k8s\.io|rauta\.io)\//;

const ISSUER = authority('Issuer');
const LEAVES: readonly Leaf[] = [leaf(ISSUER, ['www.example.com']), leaf(ISSUER, ['*.example.com'])];
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** What chance decides. */
export class Chance {
  readonly random: () => number;
  constructor(random: () => number) {
    this.random = random;
  }
  below(n: number): number {
    return Math.floor(this.random() * n);
  }
  one<T>(...items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }
  is(share: number): boolean {
    return this.random() < share;
  }
}

const HOSTS = ['www.example.com', '*.example.com', 'api.example.com', 'other.test'] as const;
const PORTS = [80, 8080, 443] as const;

function gatewayClass(c: Chance): Value {
  return {
    spec: {
      controllerName: c.is(0.8) ? CONTROLLER : 'example.com/other',
      ...(c.is(0.2) ? { parametersRef: { group: 'rauta.io', kind: 'GatewayClassParameters', name: 'p' } } : {}),
    },
  };
}

function listener(c: Chance, i: number): Value {
  const protocol = c.one('HTTP', 'HTTP', 'HTTPS', 'TCP', 'TLS');
  return {
    name: `l${i}`,
    port: protocol === 'HTTP' ? c.one(80, 8080) : protocol === 'TCP' ? 9000 : c.one(...PORTS),
    protocol,
    ...(c.is(0.5) && protocol !== 'TCP' ? { hostname: c.one(...HOSTS) } : {}),
    ...(protocol === 'HTTPS' || protocol === 'TLS'
      ? {
          tls: {
            mode: protocol === 'TLS' ? 'Passthrough' : 'Terminate',
            ...(protocol === 'TLS'
              ? {}
              : { certificateRefs: [{ name: c.one('c1', 'c2'), ...(c.is(0.4) ? { namespace: 'b' } : {}) }] }),
          },
        }
      : {}),
    allowedRoutes: {
      namespaces: c.one<Value>(
        { from: 'Same' },
        { from: 'All' },
        { from: 'Selector', selector: { matchLabels: { tier: 'front' } } },
      ),
    },
  };
}

function listeners(c: Chance): Value[] {
  const found = [0, 1, 2].slice(0, 1 + c.below(3)).map((i) => listener(c, i));
  // As the definition has it: port, protocol and hostname are no other's.
  const keys = found.map(({ port, protocol, hostname }) => `${port} ${protocol} ${hostname}`);
  return found.filter((_, i) => keys.indexOf(keys[i] as string) === i);
}

function gateway(c: Chance): Value {
  return {
    spec: {
      gatewayClassName: c.one('rauta', 'rauta', 'rauta', 'second'),
      listeners: listeners(c),
      ...(c.is(0.5) ? { allowedListeners: { namespaces: { from: 'All' } } } : {}),
      ...(c.is(0.2) ? { infrastructure: { labels: { team: c.one('x', 'y') } } } : {}),
    },
  };
}

function parentRef(c: Chance): Value {
  const set = c.is(0.15);
  return {
    ...(set ? { kind: 'ListenerSet' } : {}),
    name: set ? 'set' : c.one('g1', 'g1', 'g2', 'missing'),
    ...(c.is(0.6) ? { namespace: c.one('a', 'b') } : {}),
    ...(c.is(0.3) ? { sectionName: c.one('l0', 'l1') } : {}),
  };
}

function parentRefs(c: Chance): Value[] {
  const found = c.some(2, () => parentRef(c));
  found.push(parentRef(c));
  const keys = found.map(({ kind, name, namespace }) => `${kind} ${namespace}/${name}`);
  return found.filter((_, i) => keys.indexOf(keys[i] as string) === i);
}

function backendRef(c: Chance): Value {
  return {
    name: c.one('s1', 's2', 'missing'),
    ...(c.is(0.3) ? { namespace: 'b' } : {}),
    port: c.one(80, 81),
    ...(c.is(0.2) ? { weight: c.below(3) } : {}),
  };
}

function httpRoute(c: Chance): Value {
  const rules = [0, 1].slice(0, 1 + c.below(2)).map(() => ({
    matches: [{ path: { type: 'PathPrefix', value: c.one('/', '/a', '/b') } }],
    ...(c.is(0.2)
      ? { filters: [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: 'X', value: '1' }] } }] }
      : {}),
    ...(c.is(0.1)
      ? {
          filters: [
            { type: 'ExtensionRef', extensionRef: { group: 'rauta.io', kind: 'AccessControlFilter', name: 'f' } },
          ],
        }
      : {}),
    backendRefs: c.some(2, () => backendRef(c)),
  }));
  return { spec: { parentRefs: parentRefs(c), hostnames: c.is(0.5) ? [c.one(...HOSTS)] : [], rules } };
}

function otherRoute(c: Chance, kind: string): Value {
  const hostnames = kind === 'TCPRoute' ? {} : { hostnames: [c.one(...HOSTS)] };
  return { spec: { parentRefs: parentRefs(c), ...hostnames, rules: [{ backendRefs: [backendRef(c)] }] } };
}

function service(c: Chance): Value {
  const ports = c.one([80], [80, 81], [81]);
  const external = c.is(0.1) ? { type: 'ExternalName', externalName: 'x.example' } : {};
  return {
    spec: {
      ...external,
      ports: ports.map((port) => ({
        name: `p${c.is(0.1) ? 'x' : port}${port}`,
        port,
        ...(c.is(0.2) ? { appProtocol: c.one('kubernetes.io/h2c', 'http', 'x.example/odd') } : {}),
      })),
    },
  };
}

function slice(c: Chance): Value {
  const six = c.is(0.2);
  return {
    addressType: six ? 'IPv6' : 'IPv4',
    ports: c.is(0.1) ? null : [80, 81].map((port) => ({ name: `p${port}${port}`, port: port + 8000, protocol: 'TCP' })),
    endpoints: c.some(3, () => {
      const n = 1 + c.below(4);
      return {
        addresses: [six ? `2001:db8::${n}` : `10.0.0.${n}`],
        conditions: { ready: c.is(0.7), serving: c.is(0.8), terminating: c.is(0.2) },
        ...(c.is(0.7) ? { targetRef: { kind: 'Pod', name: `pod-${n}` } } : {}),
      };
    }),
  };
}

function secret(c: Chance): Value {
  const [own, key] = [c.one(...LEAVES), c.one(...LEAVES)];
  if (c.is(0.15)) return { type: 'Opaque', data: {} };
  return {
    type: 'kubernetes.io/tls',
    data: {
      'tls.crt': base64(pem('CERTIFICATE', own.der) + pem('CERTIFICATE', ISSUER.der)),
      'tls.key': base64(pem('PRIVATE KEY', (c.is(0.8) ? own : key).keyDer)),
    },
  };
}

function ingress(c: Chance): Value {
  const backend = (): Value => ({ service: { name: c.one('s1', 's2'), port: { number: 80 } } });
  return {
    ...(c.is(0.2) ? { metadata: { annotations: { 'nginx.ingress.kubernetes.io/canary': 'true' } } } : {}),
    spec: {
      ...(c.is(0.8) ? { ingressClassName: c.one('rauta', 'other') } : {}),
      ...(c.is(0.3) ? { defaultBackend: backend() } : {}),
      ...(c.is(0.3) ? { tls: [{ hosts: [c.one(...HOSTS)], secretName: c.one('c1', 'c2') }] } : {}),
      rules: [
        {
          ...(c.is(0.7) ? { host: c.one(...HOSTS) } : {}),
          http: { paths: [{ path: c.one('/', '/a'), pathType: c.one('Prefix', 'Exact'), backend: backend() }] },
        },
      ],
    },
  };
}

function grant(c: Chance): Value {
  const from = c.one('HTTPRoute', 'Gateway', 'TCPRoute', 'ListenerSet');
  return {
    spec: {
      from: [{ group: GROUP, kind: from, namespace: 'a' }],
      to: [{ group: '', kind: /Route$/.test(from) ? 'Service' : 'Secret' }],
    },
  };
}

function policy(c: Chance, traffic: boolean): Value {
  const targetRefs = c.one(['s1'], ['s2'], ['s1', 'missing']).map((name) => ({ group: '', kind: 'Service', name }));
  if (traffic) return { spec: { targetRefs, retryConstraint: { budget: { percent: 20, interval: '10s' } } } };
  const caCertificateRefs = [{ group: '', kind: 'ConfigMap', name: c.one('ca', 'missing') }];
  return { spec: { targetRefs, validation: { caCertificateRefs, hostname: 'app.example' } } };
}

interface Kind {
  readonly kind: string;
  readonly namespaces: readonly string[];
  readonly names: readonly string[];
  readonly weight: number;
  readonly make: (c: Chance, name: string) => Value;
}

const BOTH = ['a', 'b'];
const KINDS: readonly Kind[] = [
  { kind: 'GatewayClass', namespaces: [''], names: ['rauta', 'second'], weight: 1, make: gatewayClass },
  { kind: 'Gateway', namespaces: BOTH, names: ['g1', 'g2'], weight: 3, make: gateway },
  { kind: 'HTTPRoute', namespaces: BOTH, names: ['r1', 'r2', 'r3'], weight: 8, make: httpRoute },
  { kind: 'GRPCRoute', namespaces: BOTH, names: ['r1'], weight: 1, make: (c) => otherRoute(c, 'GRPCRoute') },
  { kind: 'TCPRoute', namespaces: BOTH, names: ['r1'], weight: 1, make: (c) => otherRoute(c, 'TCPRoute') },
  { kind: 'TLSRoute', namespaces: BOTH, names: ['r1'], weight: 1, make: (c) => otherRoute(c, 'TLSRoute') },
  { kind: 'Service', namespaces: BOTH, names: ['s1', 's2'], weight: 3, make: service },
  { kind: 'EndpointSlice', namespaces: BOTH, names: ['e1', 'e2', 'e3'], weight: 5, make: slice },
  { kind: 'Secret', namespaces: BOTH, names: ['c1', 'c2', 'unused'], weight: 2, make: secret },
  {
    kind: 'ConfigMap',
    namespaces: BOTH,
    names: ['ca'],
    weight: 1,
    make: (c) => ({ data: { 'ca.crt': c.is(0.8) ? pem('CERTIFICATE', ISSUER.der) : 'none' } }),
  },
  {
    kind: 'Namespace',
    namespaces: [''],
    names: BOTH,
    weight: 1,
    make: (c) => ({ metadata: { labels: c.is(0.5) ? { tier: 'front' } : {} } }),
  },
  { kind: 'ReferenceGrant', namespaces: ['b'], names: ['t1', 't2'], weight: 2, make: grant },
  { kind: 'Ingress', namespaces: BOTH, names: ['i1', 'i2'], weight: 3, make: ingress },
  {
    kind: 'IngressClass',
    namespaces: [''],
    names: ['rauta', 'other'],
    weight: 1,
    make: (c, name) => ({
      ...(c.is(0.3) ? { metadata: { annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } } } : {}),
      spec: { controller: name === 'rauta' ? 'rauta.io/ingress-controller' : 'example.com/other' },
    }),
  },
  { kind: 'BackendTLSPolicy', namespaces: BOTH, names: ['p1', 'p2'], weight: 2, make: (c) => policy(c, false) },
  { kind: 'XBackendTrafficPolicy', namespaces: BOTH, names: ['p1'], weight: 1, make: (c) => policy(c, true) },
  {
    kind: 'ListenerSet',
    namespaces: BOTH,
    names: ['set'],
    weight: 2,
    make: (c) => ({
      spec: {
        parentRef: { name: c.one('g1', 'g2'), ...(c.is(0.5) ? { namespace: c.one(...BOTH) } : {}) },
        listeners: listeners(c),
      },
    }),
  },
  { kind: 'GatewayClassParameters', namespaces: [''], names: ['p'], weight: 1, make: () => ({ spec: {} }) },
  {
    kind: 'AccessControlFilter',
    namespaces: BOTH,
    names: ['f'],
    weight: 1,
    make: (c) => ({ spec: { action: c.one('Allow', 'Deny'), sourceRanges: ['10.0.0.0/8'] } }),
  },
];
const WEIGHTED = KINDS.flatMap((kind) => Array.from({ length: kind.weight }, () => kind));

/** Changes to what there is. */
export class Edits {
  readonly #api: FakeApi;
  readonly #time: VirtualTime;
  readonly #chance: Chance;

  constructor(api: FakeApi, time: VirtualTime, chance: Chance) {
    this.#api = api;
    this.#time = time;
    this.#chance = chance;
  }

  /** Something is made, changed or deleted, or made anew under its name. */
  edit(): void {
    const c = this.#chance;
    const { kind, namespaces, names, make } = c.one(...WEIGHTED);
    const [namespace, name] = [c.one(...namespaces), c.one(...names)];
    const there = this.#api.get(kind, namespace, name) !== undefined;
    const fate = c.random();
    if (there && fate < 0.25) this.#api.delete(kind, namespace, name);
    if (!there || fate >= 0.15) this.put(kind, namespace, name, make(c, name));
  }

  /** As whoever writes a spec: the status stays. */
  put(kind: string, namespace: string, name: string, fields: Value): void {
    const old = this.#api.get(kind, namespace, name);
    const labels = kind === 'EndpointSlice' ? { 'kubernetes.io/service-name': this.#chance.one('s1', 's2') } : {};
    const metadata = {
      labels,
      ...(fields['metadata'] as Value | undefined),
      name,
      ...(namespace === '' ? {} : { namespace }),
      creationTimestamp: old?.metadata['creationTimestamp'] ?? this.#now(),
    };
    this.#api.put(kind, { ...fields, metadata, ...(old?.['status'] === undefined ? {} : { status: old['status'] }) });
  }

  /** Another controller has its say in a route's status, before or behind ours. */
  foreign(): void {
    const c = this.#chance;
    const route = this.#route();
    if (route === null) return;
    const { parents = [] } = (route['status'] ?? {}) as { parents?: Value[] };
    const others = parents.filter(({ controllerName }) => controllerName !== 'example.com/other');
    const theirs = c.is(0.7)
      ? [{ controllerName: 'example.com/other', parentRef: { name: 'x' }, conditions: [] as unknown[] }]
      : [];
    const next = c.is(0.5) ? [...theirs, ...others] : [...others, ...theirs];
    this.#api.putStatus('HTTPRoute', route, { parents: next });
  }

  /** What we said is taken away. */
  wipe(): void {
    const route = this.#route();
    if (route !== null) this.#api.putStatus('HTTPRoute', route, { parents: [] });
  }

  /** The kinds go with all their objects, and come back empty. */
  reinstall(): void {
    for (const kind of this.#chance.one(['HTTPRoute'], ['ListenerSet', 'TCPRoute'])) {
      for (const { metadata } of this.#api.all(kind)) this.#api.delete(kind, metadata.namespace ?? '', metadata.name);
    }
  }

  #route(): ApiObject | null {
    const all = this.#api.all('HTTPRoute');
    return all.length === 0 ? null : this.#chance.one(...all);
  }
  #now(): string {
    return new Date(Date.UTC(2026, 10, 21) + Math.floor(this.#time.ms / 1000) * 1000)
      .toISOString()
      .replace('.000Z', 'Z');
  }
}

/** What lies between two times that a server is behind, for them to be two. */
const BEHIND_APART_MS = 20_000;

/** What befalls the server, and for how long. */
export class Weather {
  readonly #api: FakeApi;
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  /** Until when, by what goes wrong. */
  readonly #until = new Map<string, number>();
  #behindSince = 0;

  constructor(api: FakeApi, time: VirtualTime, chance: Chance) {
    this.#api = api;
    this.#time = time;
    this.#chance = chance;
    api.fault = (seen) => this.#fault(seen);
  }

  get down(): boolean {
    return this.#is('down');
  }

  /** Something begins, or happens at once. */
  change(): string {
    const c = this.#chance;
    const how = c.one(
      'end',
      'reset',
      'half',
      'garbage',
      'bookmark',
      'compact',
      'down',
      'errors',
      'behind',
      'forbidden',
      'unknown',
      'slow',
    );
    if (how === 'bookmark') this.#api.bookmark();
    else if (how === 'compact') {
      this.#api.compact();
      this.#api.expiry = c.one('status', 'event');
    } else if (how === 'end' || how === 'reset' || how === 'half' || how === 'garbage') this.#api.cut(how);
    else {
      const until = this.#time.ms + c.random() ** 2 * 40_000;
      this.#until.set(how, how === 'behind' ? this.#patiently(until) : until);
      // Whoever goes down or begins anew has no watches.
      if (how === 'down' || how === 'behind') this.#api.cut('reset');
    }
    return how;
  }

  /** One time behind another is one to who looks seldom: who waits for KUBERNETES_BEHIND_MS sees its end. */
  #patiently(until: number): number {
    if (this.#time.ms > (this.#until.get('behind') ?? 0) + BEHIND_APART_MS) this.#behindSince = this.#time.ms;
    return Math.min(until, this.#behindSince + LIMITS.KUBERNETES_BEHIND_MS - BEHIND_APART_MS);
  }

  calm(): void {
    this.#until.clear();
  }

  latency(): number {
    const c = this.#chance;
    return c.is(0.9) ? c.random() * 5 : c.random() * (this.#is('slow') ? 3_000 : 200);
  }

  #is(what: string): boolean {
    return this.#time.ms < (this.#until.get(what) ?? 0);
  }

  #fault({ path, query }: Seen): Fault | null {
    const c = this.#chance;
    if (this.#is('behind')) {
      if (path === '/apis') return { body: JSON.stringify(this.#api.groups((version) => !DEFINED.test(version))) };
      if (DEFINED.test(path.replace(/^\/apis\//, ''))) return { status: 404, reason: 'NotFound' };
    }
    if (this.#is('forbidden') && /httproutes|secrets/.test(path)) return { status: 403, reason: 'Forbidden' };
    if (this.#is('unknown') && c.is(0.5)) return { status: 401, reason: 'Unauthorized' };
    if (!this.#is('errors') || c.is(0.5)) return null;
    return c.one<Fault | null>(
      { status: 429, reason: 'TooManyRequests', retryAfter: c.below(20) },
      { status: 500, reason: 'InternalError' },
      { status: 503 },
      { status: 504, reason: 'Timeout' },
      { truncate: c.below(2_000) },
      { body: '{"kind":' },
      { silent: true },
      query.has('limit') ? { status: 410, reason: 'Expired' } : null,
    );
  }
}

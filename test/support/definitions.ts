// Objects that the definitions of the Gateway API refuse, and such as may be refused: for who asks whether our checks
// agree with them (src/api/cel.test.ts) and whether an API server does (test/kubernetes/real-outside.ts).

import { knownKinds } from '../../src/api/kinds.ts';
import type { KubeObject } from '../../src/api/object.ts';
import { goldenNames, readGolden } from '../../tools/golden.ts';
import { mulberry32 } from './mulberry32.ts';

type Slot = [holder: Record<string, unknown>, name: string];

/** Every field and item of a value. Lists are held by their indexes. */
function slots(value: unknown, found: Slot[] = []): Slot[] {
  if (typeof value !== 'object' || value === null) return found;
  const holder = value as Record<string, unknown>;
  for (const name of Object.keys(holder)) {
    found.push([holder, name]);
    slots(holder[name], found);
  }
  return found;
}

const WORDS = [
  ...['', '*', 'a', '/a//b', '/a/./b', '/a/../b', '/a%2fb', '/a%2Fb', '/x#y', '/a/..', '/a/.', '/ü', 'A_', 'a/b'],
  ...['1.2.3.4', '::1', '::ffff:1.2.3.4', '10.0.0.0/8', '10.0.0.0/33', '*.a.example', 'a.*', '*.1.2.3.4'],
  ...['0s', '500ms', '2h', 'Exact', 'RegularExpression', 'HTTP', 'HTTPS', 'TLS', 'TCP', 'Hostname', 'IPAddress', 'URI'],
];

/** Kinds that have rules. */
const RULED = new Set(
  knownKinds()
    .map(({ kind }) => kind)
    .filter((kind) => !['Secret', 'ConfigMap', 'Service', 'EndpointSlice', 'Namespace', 'Ingress'].includes(kind)),
);
const SEEDS: readonly KubeObject[] = goldenNames()
  .flatMap((name) => [...readGolden(name).objects])
  .filter(({ kind }) => RULED.has(kind));

/** Changes objects of the golden pairs here and there, by fields and items that others of them have. */
export class Mutator {
  readonly #next: () => number;
  readonly #pool = new Map<string, unknown[]>();
  readonly #names: readonly string[];

  constructor(seed: number) {
    this.#next = mulberry32(seed);
    for (const { spec } of SEEDS as readonly { spec?: unknown }[])
      for (const [holder, name] of slots(spec)) {
        if (Array.isArray(holder)) continue;
        const known = this.#pool.get(name);
        if (known === undefined) this.#pool.set(name, [holder[name]]);
        else known.push(holder[name]);
      }
    this.#names = [...this.#pool.keys()];
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#next() * from.length)] as T;
  }

  object(): unknown {
    const object = structuredClone(this.#pick(SEEDS)) as { spec?: unknown };
    for (let n = 1 + Math.floor(this.#next() * 3); n > 0; n--) {
      const all = slots(object.spec);
      if (all.length > 0) this.#change(this.#pick(all));
    }
    return object;
  }

  #change([holder, name]: Slot): void {
    const what = this.#next();
    const value = holder[name];
    const others = this.#pool.get(name);
    if (Array.isArray(holder) && what < 0.5) {
      if (what < 0.2) holder.splice(Number(name), 1);
      else holder.push(structuredClone(value));
    } else if (what < 0.15) delete holder[name];
    else if (what < 0.4) {
      const other = this.#pick(this.#names);
      holder[other] = structuredClone(this.#pick(this.#pool.get(other) ?? []));
    } else if (what < 0.6 && others !== undefined) holder[name] = structuredClone(this.#pick(others));
    else if (typeof value === 'string') holder[name] = this.#pick(WORDS);
    else if (typeof value === 'number') holder[name] = this.#pick([0, 1, 80, 443, 65_536]);
    else if (Array.isArray(value)) value.push(...structuredClone(value));
  }
}

export const GATEWAY_API = 'gateway.networking.k8s.io/v1';

export function object(kind: string, spec: object, apiVersion = GATEWAY_API): unknown {
  return { apiVersion, kind, metadata: { name: 'x' }, spec };
}

function gateway(more: object, listeners: readonly object[] = [{ name: 'a', port: 80, protocol: 'HTTP' }]): unknown {
  return object('Gateway', { gatewayClassName: 'rauta', listeners, ...more });
}

function filtered(kind: string, ...filters: readonly object[]): unknown {
  return object(kind, { rules: [{ filters }] });
}

const MODIFIER = { set: [{ name: 'a', value: 'b' }] };
const TO = { name: 'app', port: 80 };
const VALIDATION = { hostname: 'a.example', wellKnownCACertificates: 'System' };

function policy(
  validation: object,
  targetRefs: readonly object[] = [{ group: '', kind: 'Service', name: 'a' }],
): unknown {
  return object('BackendTLSPolicy', { targetRefs, validation });
}

function traffic(spec: object): unknown {
  const targetRefs = [{ group: '', kind: 'Service', name: 'a' }];
  return object('XBackendTrafficPolicy', { targetRefs, ...spec }, 'gateway.networking.x-k8s.io/v1alpha1');
}

const OUT = { type: 'ExternalHostname', port: { port: 443 }, externalHostname: { hostname: 'api.example.com' } };

function external(spec: object): unknown {
  return object('XBackend', { ...OUT, ...spec }, 'gateway.networking.x-k8s.io/v1alpha1');
}

function matching(path: object): unknown {
  return object('HTTPRoute', { rules: [{ matches: [{ path }] }] });
}

function replacing(filter: object, inBackend: boolean): unknown {
  const backendRefs = inBackend ? { backendRefs: [{ ...TO, filters: [filter] }] } : { filters: [filter] };
  return object('HTTPRoute', { rules: [{ matches: [{ path: { type: 'Exact', value: '/a' } }], ...backendRefs }] });
}

const PREFIX = { type: 'ReplacePrefixMatch', replacePrefixMatch: '/b' };
const REWRITE = { type: 'URLRewrite', urlRewrite: { path: PREFIX } };
const REDIRECT = { type: 'RequestRedirect', requestRedirect: { path: PREFIX } };
const MIRROR = { backendRef: TO };
const AUTH = { protocol: 'HTTP', backendRef: TO, http: {} };

/** Of these a rule may have several. */
const MANY = new Set(['RequestMirror', 'ExtensionRef', 'ExternalAuth']);

/** For each rule an object that breaks it. */
export const BREAKING: readonly unknown[] = [
  gateway({ infrastructure: { labels: { 'a//b': 'x' } } }),
  gateway({ infrastructure: { labels: { [`${'a'.repeat(253)}/b`]: 'x' } } }),
  gateway({ infrastructure: { annotations: { 'a//b': 'x' } } }),
  gateway({ infrastructure: { annotations: { [`${'a'.repeat(253)}/b`]: 'x' } } }),
  gateway({ addresses: [{ value: '192.0.2.1' }, { value: '192.0.2.1' }] }),
  gateway({ addresses: ['a.example', 'a.example'].map((value) => ({ type: 'Hostname', value })) }),
  gateway({ addresses: [{ type: 'Hostname', value: 'a_b' }] }),
  gateway({}, [{ name: 'a', port: 80, protocol: 'HTTP', tls: { certificateRefs: [{ name: 'c' }] } }]),
  gateway({}, [{ name: 'a', port: 80, protocol: 'HTTPS', tls: { mode: 'Passthrough' } }]),
  gateway({}, [{ name: 'a', port: 80, protocol: 'TLS' }]),
  gateway({}, [{ name: 'a', port: 80, protocol: 'TCP', hostname: 'a.example' }]),
  gateway({}, [{ name: 'a', port: 80, protocol: 'HTTPS', tls: {} }]),
  gateway(
    {},
    ['a', 'b'].map((name) => ({ name, port: 80, protocol: 'HTTP' })),
  ),
  object('ListenerSet', {
    parentRef: { name: 'edge' },
    listeners: ['a', 'b'].map((name) => ({ name, port: 80, protocol: 'HTTP' })),
  }),
  object('HTTPRoute', { parentRefs: [{ name: 'edge' }, { name: 'edge', sectionName: 'a' }] }),
  object('HTTPRoute', { parentRefs: [{ name: 'edge' }, { name: 'edge' }] }),
  object('HTTPRoute', { rules: [{ name: 'a' }, { name: 'a' }] }),
  ...['HTTPRoute', 'GRPCRoute'].map((kind) => {
    const match = kind === 'HTTPRoute' ? { method: 'GET' } : { method: { service: 'a' } };
    return object(kind, { rules: Array.from({ length: 3 }, () => ({ matches: new Array(64).fill(match) })) });
  }),
  object('HTTPRoute', { rules: [{ backendRefs: [{ name: 'app' }] }] }),
  object('HTTPRoute', { rules: [{ backendRefs: [TO], filters: [REDIRECT], matches: [{ path: { value: '/' } }] }] }),
  object('HTTPRoute', { rules: [{ timeouts: { request: '1s', backendRequest: '2s' } }] }),
  object('HTTPRoute', { rules: [{ sessionPersistence: { type: 'Header', cookieConfig: {} } }] }),
  object('HTTPRoute', { rules: [{ sessionPersistence: { cookieConfig: { lifetimeType: 'Permanent' } } }] }),
  ...['HTTPRoute', 'GRPCRoute'].flatMap((kind) =>
    [
      ['RequestHeaderModifier', 'requestHeaderModifier', MODIFIER],
      ['ResponseHeaderModifier', 'responseHeaderModifier', MODIFIER],
      ['RequestMirror', 'requestMirror', MIRROR],
      ['ExtensionRef', 'extensionRef', { group: 'a', kind: 'B', name: 'c' }],
      ...(kind === 'GRPCRoute'
        ? []
        : ([
            ['RequestRedirect', 'requestRedirect', { port: 80 }],
            ['URLRewrite', 'urlRewrite', { hostname: 'a.example' }],
            ['CORS', 'cors', {}],
            ['ExternalAuth', 'externalAuth', AUTH],
          ] as const)),
    ].flatMap(([type, field, value]) => {
      const other = type === 'RequestMirror' ? 'RequestHeaderModifier' : 'RequestMirror';
      const rest = type === 'RequestMirror' ? { requestHeaderModifier: MODIFIER } : { requestMirror: MIRROR };
      const good = { type, [field as string]: value };
      const twice = MANY.has(type as string) ? [] : [filtered(kind, good, good)];
      return [filtered(kind, { type }), filtered(kind, { type: other, ...rest, [field as string]: value }), ...twice];
    }),
  ),
  filtered('HTTPRoute', REWRITE, REDIRECT),
  filtered('HTTPRoute', {
    type: 'RequestMirror',
    requestMirror: { ...MIRROR, percent: 1, fraction: { numerator: 1 } },
  }),
  filtered('HTTPRoute', { type: 'RequestMirror', requestMirror: { ...MIRROR, fraction: { numerator: 101 } } }),
  filtered('HTTPRoute', { type: 'CORS', cors: { allowHeaders: ['*', 'a'] } }),
  filtered('HTTPRoute', { type: 'CORS', cors: { allowMethods: ['*', 'GET'] } }),
  filtered('HTTPRoute', { type: 'CORS', cors: { allowOrigins: ['*', 'https://a.example'] } }),
  filtered('HTTPRoute', { type: 'ExternalAuth', externalAuth: { protocol: 'HTTP', backendRef: TO, grpc: {} } }),
  filtered('HTTPRoute', { type: 'ExternalAuth', externalAuth: { protocol: 'GRPC', backendRef: TO, http: {} } }),
  filtered('HTTPRoute', { type: 'ExternalAuth', externalAuth: { protocol: 'HTTP', backendRef: TO } }),
  filtered('HTTPRoute', {
    type: 'ExternalAuth',
    externalAuth: { protocol: 'GRPC', backendRef: TO, grpc: {}, http: {} },
  }),
  ...[{ type: 'ReplacePrefixMatch' }, { type: 'ReplaceFullPath', replaceFullPath: '/', replacePrefixMatch: '/' }].map(
    (path) => filtered('HTTPRoute', { type: 'URLRewrite', urlRewrite: { path } }),
  ),
  ...[REWRITE, REDIRECT].flatMap((filter) => [replacing(filter, false), replacing(filter, true)]),
  filtered('HTTPRoute', {
    type: 'URLRewrite',
    urlRewrite: { path: { type: 'ReplaceFullPath', replacePrefixMatch: '/' } },
  }),
  filtered('HTTPRoute', {
    type: 'URLRewrite',
    urlRewrite: { path: { type: 'ReplacePrefixMatch', replaceFullPath: '/' } },
  }),
  ...['a', '/a//b', '/a/./b', '/a/../b', '/%2f', '/%2F', '/#', '/a/..', '/a/.', '/ä'].map((value) =>
    matching({ value }),
  ),
  object('GRPCRoute', { rules: [{ matches: [{ method: {} }] }] }),
  object('GRPCRoute', { rules: [{ matches: [{ method: { service: 'a/b' } }] }] }),
  object('GRPCRoute', { rules: [{ matches: [{ method: { method: 'a/b' } }] }] }),
  object('TLSRoute', { hostnames: ['1.2.3.4'], rules: [{ backendRefs: [TO] }] }),
  policy(VALIDATION, [
    { group: '', kind: 'Service', name: 'a' },
    { group: '', kind: 'Service', name: 'a' },
  ]),
  policy(VALIDATION, [
    { group: '', kind: 'Service', name: 'a' },
    { group: '', kind: 'Service', name: 'a', sectionName: 'b' },
  ]),
  policy({ hostname: 'a.example' }),
  policy({ ...VALIDATION, caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'a' }] }),
  ...[{ type: 'Hostname' }, { type: 'URI' }, { type: 'Hostname', hostname: 'a.b', uri: 'spiffe://a/b' }].map((name) =>
    policy({ ...VALIDATION, subjectAltNames: [name] }),
  ),
  policy({ ...VALIDATION, subjectAltNames: [{ type: 'URI', hostname: 'a.b', uri: 'spiffe://a/b' }] }),
  external({ externalHostname: undefined }),
  external({ externalHostname: { hostname: 'app.default.svc.cluster.local' } }),
  external({ port: { name: 'https', port: 443 } }),
  external({ tls: { mode: 'ClientAndServer' } }),
  external({ tls: { mode: 'ServerOnly', clientCertificateRef: { name: 'client' } } }),
  external({ tls: { mode: 'ServerOnly', validation: { hostname: 'a.example' } } }),
  traffic({ retryConstraint: { budget: { percent: 10, interval: '2h' } } }),
  traffic({ retryConstraint: { minRetryRate: { count: 10, interval: '0s' } } }),
];

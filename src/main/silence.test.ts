// No silence: every state in which something that its author wrote has no effect is said, once, with its place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '../cli/check.ts';
import { meaningOf } from './check.ts';
import { fileRules } from './file-rules.ts';

function object(kind: string, version: string, name: string, rest: string): string {
  return `apiVersion: ${version}\nkind: ${kind}\nmetadata: { name: ${name} }\n${rest}\n---\n`;
}
const API = 'gateway.networking.k8s.io/v1';
const PORT = '{ name: http, port: 80, protocol: HTTP }';
const gateway = (name: string, className = 'rauta', listener = PORT): string =>
  object('Gateway', API, name, `spec: { gatewayClassName: ${className}, listeners: [${listener}] }`);
const BACKEND_REF = '{ group: rauta.io, kind: Backend, name: app }';
const rules = (path: string, more = `backendRefs: [${BACKEND_REF}]`): string =>
  `rules: [{ matches: [{ path: { type: PathPrefix, value: ${path} } }], ${more} }]`;
const route = (name: string, spec: string, kind = 'HTTPRoute'): string => object(kind, API, name, `spec: { ${spec} }`);
const backend = (name: string, endpoints = '[{ address: 127.0.0.1, port: 9001 }]'): string =>
  object('Backend', 'rauta.io/v1alpha1', name, `spec: { endpoints: ${endpoints} }`);
const service = object('Service', 'v1', 'svc', 'spec: { ports: [{ port: 80 }] }');
const toService = `backendRefs: [{ name: svc, port: 80 }]`;
const WEB = 'parentRefs: [{ name: web }]';
/** Serves, without a word. */
const GOOD = gateway('web') + backend('app') + route('app', `${WEB}, ${rules('/')}`);
const OTHER_CLASS = object('GatewayClass', API, 'nginx', 'spec: { controllerName: example.com/nginx }');
const slice = (labels: string): string =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: s, labels: { ${labels} } }
addressType: IPv4\nports: [{ port: 1 }]\nendpoints: [{ addresses: [127.0.0.1] }]\n---\n`;
const ingress = (spec: string): string =>
  object(
    'Ingress',
    'networking.k8s.io/v1',
    'i',
    `spec: { ${spec} defaultBackend: { resource: { apiGroup: rauta.io, kind: Backend, name: app } } }`,
  );
const policy = (version: string, kind: string, spec: string): string =>
  object(kind, version, 'p', `spec: { targetRefs: [{ group: "", kind: Service, name: gone }], ${spec} }`);

/** By what it is: what is written, and what is said of it. */
const STATES: Readonly<Record<string, readonly [yaml: string, ...said: RegExp[]]>> = {
  'nothing at all': ['', /nothing of this is served: there is no Gateway/],
  'nothing that is read here': [
    object('Deployment', 'apps/v1', 'a', ''),
    /nothing of this is served: there is no Gateway/,
    /:1:1: warning: not read here, ignored: Deployment of apps\/v1/,
  ],
  'a class of another controller, with a Gateway and a route of it, beside ours': [
    GOOD + OTHER_CLASS + gateway('other', 'nginx') + route('lost', `parentRefs: [{ name: other }], ${rules('/x')}`),
    /GatewayClass nginx: spec\.controllerName: controllerName "example\.com\/nginx" is not ours/,
    /Gateway default\/other: spec\.gatewayClassName: GatewayClass nginx is another controller's/,
    /HTTPRoute default\/lost: spec\.parentRefs: Gateway default\/other is another controller's: nothing of this/,
  ],
  'a ListenerSet of another controller’s Gateway, with a route of its own': [
    GOOD +
      OTHER_CLASS +
      gateway('other', 'nginx') +
      object(
        'ListenerSet',
        'gateway.networking.k8s.io/v1',
        'set',
        'spec: { parentRef: { name: other }, listeners: [{ name: http, port: 81, protocol: HTTP }] }',
      ) +
      route('lost', `parentRefs: [{ name: set, kind: ListenerSet }], ${rules('/x')}`),
    /GatewayClass nginx: .* is not ours/,
    /Gateway default\/other: spec\.gatewayClassName: GatewayClass nginx is another controller's/,
    /ListenerSet default\/set: spec\.parentRef: Gateway default\/other is another controller's: nothing of this/,
    /HTTPRoute default\/lost: spec\.parentRefs: ListenerSet default\/set is another controller's: nothing of this/,
  ],
  'what a cluster has, with its own class, and no EndpointSlices': [
    OTHER_CLASS +
      gateway('other', 'nginx') +
      service +
      route('app', `parentRefs: [{ name: other }], ${rules('/', toService)}`),
    /GatewayClass nginx: .* is not ours .*: nothing of this class is served here\. Write that, or name class rauta/,
    /Gateway default\/other: spec\.gatewayClassName: GatewayClass nginx is another controller's/,
    /Service default\/svc: spec\.ports: No EndpointSlice has the label kubernetes\.io\/service-name: svc; from files/,
    /HTTPRoute default\/app: spec\.parentRefs: Gateway default\/other is another controller's/,
  ],
  'a class that does not exist': [
    GOOD + gateway('other', 'nope'),
    /Gateway default\/other: spec\.gatewayClassName: GatewayClass "nope" does not exist/,
  ],
  'a route without parents': [
    GOOD + route('lost', rules('/x')),
    /HTTPRoute default\/lost: spec\.parentRefs: There are none/,
  ],
  'a route whose Gateway does not exist': [
    GOOD + route('lost', `parentRefs: [{ name: nope }], ${rules('/x')}`),
    /HTTPRoute default\/lost: spec\.parentRefs\[0\]: Gateway default\/nope does not exist/,
  ],
  'a route that attaches to a Service': [
    GOOD + service + route('lost', `parentRefs: [{ kind: Service, group: "", name: svc }], ${rules('/x')}`),
    /spec\.parentRefs\[0\]: Routes attach to Gateways and ListenerSets/,
  ],
  'a listener that does not exist': [
    GOOD + route('lost', `parentRefs: [{ name: web, sectionName: nope }], ${rules('/x')}`),
    /has no listener named nope/,
  ],
  'a port without a listener': [
    GOOD + route('lost', `parentRefs: [{ name: web, port: 99 }], ${rules('/x')}`),
    /has no listener on port 99/,
  ],
  'a namespace that is not let in': [
    gateway(
      'web',
      'rauta',
      `{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector, selector: { matchLabels: { a: b } } } } }`,
    ) +
      backend('app') +
      route('app', `${WEB}, ${rules('/')}`),
    /No listener of Gateway default\/web \(http\) allows this route from namespace default/,
  ],
  'hostnames that are no listener’s': [
    gateway('web', 'rauta', '{ name: http, port: 80, protocol: HTTP, hostname: a.example }') +
      backend('app') +
      route('app', `${WEB}, hostnames: [b.example], ${rules('/')}`),
    /No hostname of the route \(b\.example\) matches a listener/,
  ],
  'a rule without backends': [GOOD + route('lost', `${WEB}, ${rules('/x', 'backendRefs: []')}`), /they answer 500/],
  'backends without a share': [
    GOOD +
      route(
        'lost',
        `${WEB}, ${rules('/x', `backendRefs: [{ group: rauta.io, kind: Backend, name: app, weight: 0 }]`)}`,
      ),
    /No backend has a share of the requests: they answer 500/,
  ],
  'a backend that does not exist': [
    GOOD + route('lost', `${WEB}, ${rules('/x', 'backendRefs: [{ name: gone, port: 80 }]')}`),
    /HTTPRoute default\/lost: spec\.rules\[0\]\.backendRefs\[0\].*gone/,
  ],
  'a Service without endpoints': [
    GOOD + service + route('lost', `${WEB}, ${rules('/x', toService)}`),
    /Service default\/svc: spec\.ports\[0\]: Port 80 has no endpoint, requests answer 503/,
  ],
  'a Backend without endpoints': [
    gateway('web') + backend('app', '[]') + route('app', `${WEB}, ${rules('/')}`),
    /Backend default\/app: spec\.endpoints: It lists no endpoint: requests answer 503/,
  ],
  'an EndpointSlice of no Service': [
    GOOD + slice(''),
    /EndpointSlice default\/s: metadata\.labels: It belongs to no Service/,
  ],
  'an EndpointSlice of a Service that does not exist': [
    GOOD + slice('kubernetes.io/service-name: gone'),
    /It belongs to no Service: Service default\/gone does not exist/,
  ],
  'a Backend that nobody refers to': [
    GOOD + backend('spare'),
    /Backend default\/spare: No route refers to it: it does nothing\. Write backendRefs: \[\{ group: rauta\.io, kind: Backend, name: spare \}\] in a route\./,
  ],
  'a filter that nobody refers to': [
    GOOD + object('StaticResponseFilter', 'rauta.io/v1alpha1', 'f', 'spec: { statusCode: 200 }'),
    /StaticResponseFilter default\/f: No route refers to it: it does nothing\. Write filters: \[\{ type: ExtensionRef/,
  ],
  'parameters that no Gateway refers to': [
    GOOD + object('GatewayParameters', 'rauta.io/v1alpha1', 'p', 'spec: {}'),
    /GatewayParameters default\/p: No Gateway refers to it: it does nothing\. Write infrastructure: \{ parametersRef: /,
  ],
  'parameters that no class refers to': [
    GOOD + object('GatewayClassParameters', 'rauta.io/v1alpha1', 'p', 'spec: {}'),
    /GatewayClassParameters p: No GatewayClass refers to it: it does nothing\. Write parametersRef: /,
  ],
  'a grant that nobody needs': [
    GOOD +
      object(
        'ReferenceGrant',
        API,
        'g',
        `spec: { from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: team }], to: [{ group: "", kind: Service }] }`,
      ),
    /ReferenceGrant default\/g: spec: Nothing refers to what it permits: it has no effect/,
  ],
  'a hostname of two that is no listener’s': [
    gateway('web', 'rauta', '{ name: http, port: 80, protocol: HTTP, hostname: a.example }') +
      backend('app') +
      route('app', `${WEB}, hostnames: [a.example, b.example], ${rules('/')}`),
    /HTTPRoute default\/app: spec\.hostnames\[1\]: No listener that the route is attached to is for it/,
  ],
  'a route that asks for what another one has': [
    GOOD + route('twin', `${WEB}, ${rules('/')}`),
    /HTTPRoute default\/twin: spec\.rules\[0\]\.matches\[0\]: HTTPRoute default\/app, rule 0, matches the same and comes first by name: this match gets no request\. Give/,
  ],
  'a rule that asks for what one before it has': [
    gateway('web') +
      backend('app') +
      route(
        'app',
        `${WEB}, rules: [{ backendRefs: [${BACKEND_REF}] }, { name: again, backendRefs: [${BACKEND_REF}] }]`,
      ),
    /HTTPRoute default\/app: spec\.rules\[1\]\.matches\[0\]: Rule 0 matches the same and comes first/,
  ],
  'a second route of TCP on one listener': [
    gateway('tcp', 'rauta', '{ name: tcp, port: 90, protocol: TCP }') +
      backend('app') +
      ['a', 'b']
        .map((name) =>
          route(name, `parentRefs: [{ name: tcp }], rules: [{ backendRefs: [${BACKEND_REF}] }]`, 'TCPRoute'),
        )
        .join(''),
    /TCPRoute default\/b: spec\.rules\[0\]: Nothing ever comes to it: TCPRoute default\/a, rule 0,/,
  ],
  'an Ingress of a class that does not exist': [
    GOOD + ingress('ingressClassName: nginx,'),
    /Ingress default\/i: spec\.ingressClassName: IngressClass "nginx" does not exist/,
  ],
  'an Ingress of another controller’s class': [
    GOOD +
      ingress('ingressClassName: nginx,') +
      object('IngressClass', 'networking.k8s.io/v1', 'nginx', 'spec: { controller: k8s.io/ingress-nginx }'),
    /IngressClass nginx: spec\.controller: controller "k8s\.io\/ingress-nginx" is not ours/,
    /Ingress default\/i: spec\.ingressClassName: IngressClass nginx is another controller's: the Ingress is not served here/,
  ],
  'a ListenerSet that is not let in': [
    GOOD +
      object(
        'ListenerSet',
        API,
        'ls',
        `spec: { parentRef: { name: web }, listeners: [{ name: x, port: 82, protocol: HTTP }] }`,
      ),
    /ListenerSet default\/ls: spec\.parentRef: Gateway default\/web lets no ListenerSets attach/,
  ],
  'a policy without a target': [
    GOOD + policy(API, 'BackendTLSPolicy', 'validation: { hostname: a.example, wellKnownCACertificates: System }'),
    /BackendTLSPolicy default\/p: spec\.targetRefs\[0\]: Service default\/gone does not exist: the policy has no effect/,
  ],
  'a policy of traffic without a target': [
    GOOD +
      policy(
        'gateway.networking.x-k8s.io/v1alpha1',
        'XBackendTrafficPolicy',
        'retryConstraint: { budget: { percent: 20, interval: 10s } }',
      ),
    /XBackendTrafficPolicy default\/p: spec\.targetRefs\[0\]: Service default\/gone does not exist: the policy has no effect/,
  ],
  'an object that is there twice': [GOOD + backend('app'), /Backend default\/app: .*already defined/],
  'a field that is not known': [
    GOOD + route('lost', `${WEB}, hostname: a, ${rules('/x')}`),
    /HTTPRoute default\/lost: spec\.hostname: unknown field/,
  ],
};

async function said(yaml: string): Promise<string[]> {
  const given = new Map([['a.yaml', Buffer.from(yaml)]]);
  return (await check([], { translate: meaningOf, given, cel: await fileRules() })).lines.slice(0, -1);
}

test('what has an effect is passed over in silence', async () => {
  assert.deepEqual(await said(GOOD), []);
  // What may be meant for others, and what is only kept at hand.
  for (const [kind, version, rest] of [
    ['Service', 'v1', 'spec: { ports: [{ port: 80 }] }'],
    ['Secret', 'v1', 'data: {}'],
    ['ConfigMap', 'v1', 'data: {}'],
    ['Namespace', 'v1', ''],
  ] as const)
    assert.deepEqual(await said(GOOD + object(kind, version, 'spare', rest)), [], kind);
});

for (const [name, [yaml, ...patterns]] of Object.entries(STATES))
  test(`${name}: is said, each once`, async () => {
    const lines = await said(yaml);
    assert.equal(lines.length, patterns.length, lines.join('\n'));
    for (const pattern of patterns)
      assert.equal(lines.filter((line) => pattern.test(line)).length, 1, `${pattern}\n${lines.join('\n')}`);
  });

test('of what may only look unused, since what refers to it cannot be read, nothing is said', async () => {
  const lines = await said(GOOD.replace('name: app }] }]', 'name: app, wieght: 1 }] }]'));
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0] ?? '', /wieght: unknown field/);
});

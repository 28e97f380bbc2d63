// One case a rule: the CEL rules of the CRDs and the API server's own for core kinds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationMs } from './duration.ts';
import { checkObject } from './schema.ts';

const GATEWAY_API = 'gateway.networking.k8s.io/v1';

function complaints(apiVersion: string, kind: string, body: object): string[] {
  const { problems } = checkObject({ apiVersion, kind, metadata: { name: 'x' }, ...body });
  return problems.filter((p) => p.severity === 'error').map((p) => `${p.place.field}: ${p.message}`);
}
const route = (spec: object): string[] => complaints(GATEWAY_API, 'HTTPRoute', { spec });
const oneRule = (rule: object): string[] => route({ rules: [rule] });
const filters = (...list: object[]): string[] => oneRule({ filters: list });
const path = (value: string, type = 'PathPrefix'): string[] => oneRule({ matches: [{ path: { type, value } }] });
const gateway = (spec: object): string[] =>
  complaints(GATEWAY_API, 'Gateway', {
    spec: { gatewayClassName: 'rauta', listeners: [{ name: 'a', port: 80, protocol: 'HTTP' }], ...spec },
  });
const listeners = (...list: object[]): string[] => gateway({ listeners: list });

function same(actual: readonly string[], expected: readonly (string | RegExp)[]): void {
  assert.equal(actual.length, expected.length, actual.join('\n'));
  for (const [i, want] of expected.entries()) {
    if (typeof want === 'string') assert.ok(actual[i]?.startsWith(want), `${actual[i]} is not ${want}`);
    else assert.match(actual[i] as string, want);
  }
}

test('HTTPRoute path values', () => {
  for (const good of ['/', '/a', '/a/', '/a.b/~c;d=1,2/%20', "/!$&'()*+,;=:@-._~", '/...', '/a/.b', '/..a']) {
    assert.deepEqual(path(good), []);
    assert.deepEqual(path(good, 'Exact'), []);
  }
  const at = 'spec.rules[0].matches[0].path.value: ';
  same(path('a'), [`${at}must be a path that begins with '/', not "a": write /a`]);
  same(path('/a//b'), [`${at}must be a path without '//', '/./' and '/../', which are resolved before it is c`]);
  same(path('/a/./b'), [`${at}must be a path without '//', '/./' and '/../', which are resolved before it is c`]);
  same(path('/a/../b'), [`${at}must be a path without '//', '/./' and '/../', which are resolved before it is c`]);
  same(path('/a%2fb'), [`${at}must be a path without an escaped '/', which only type RegularExpression can mat`]);
  same(path('/a%2Fb'), [`${at}must be a path without an escaped '/', which only type RegularExpression can mat`]);
  same(path('/a#b'), [`${at}must be a path without '#', which clients never send, not "/a#b": write /a`]);
  same(path('/a/..'), [`${at}must be a path without '//', '/./' and '/../', which are resolved before it is c`]);
  same(path('/a/.'), [`${at}must be a path without '//', '/./' and '/../', which are resolved before it is c`]);
  same(path('/a b'), [
    `${at}must be a path of characters that URLs have, the others escaped, not "/a b": write /a%20b`,
  ]);
  same(path('/%zz'), [
    `${at}must be a path of characters that URLs have, the others escaped, not "/%zz": write /%25zz`,
  ]);
  assert.deepEqual(path('a//b#.*', 'RegularExpression'), []);
});

test('HTTPRoute filters', () => {
  const set = { set: [{ name: 'a', value: 'b' }] };
  same(filters({ type: 'URLRewrite' }), [
    'spec.rules[0].filters[0].urlRewrite: is missing, which type URLRewrite needs: write urlRewrite: { hostname: app.example.com }',
  ]);
  same(filters({ type: 'RequestHeaderModifier', requestHeaderModifier: set, responseHeaderModifier: set }), [
    'spec.rules[0].filters[0].responseHeaderModifier: responseHeaderModifier is for type ResponseHeaderModifier, not RequestHeaderModi',
  ]);
  const modifier = { type: 'RequestHeaderModifier', requestHeaderModifier: set };
  same(filters(modifier, modifier), [
    'spec.rules[0].filters[1]: RequestHeaderModifier may stand once in a list: put this into that of [0]',
  ]);
  const redirect = { type: 'RequestRedirect', requestRedirect: { hostname: 'a.example' } };
  same(filters(redirect, { type: 'URLRewrite', urlRewrite: { hostname: 'b.example' } }), [
    'spec.rules[0].filters: RequestRedirect and URLRewrite exclude each other: leave one out',
  ]);
  same(oneRule({ filters: [redirect], backendRefs: [{ name: 's', port: 80 }] }), [
    'spec.rules[0].filters[0]: a rule that redirects sends nothing to backends: leave out backendRefs, or Reque',
  ]);
  same(oneRule({ backendRefs: [{ name: 's', port: 80, filters: [{ type: 'CORS' }] }] }), [
    'spec.rules[0].backendRefs[0].filters[0].cors: is missing, which type CORS needs: write cors: { allowOrigins: ["https://www.exa',
  ]);
  same(filters({ type: 'CORS', cors: { allowOrigins: ['*', 'https://a.example'] } }), [
    'spec.rules[0].filters[0].cors.allowOrigins: "*" means all of them and must stand alone: leave out the others, or "*"',
  ]);
  const mirror = (extra: object): object => ({
    type: 'RequestMirror',
    requestMirror: { backendRef: { name: 's', port: 80 }, ...extra },
  });
  same(filters(mirror({ percent: 1, fraction: { numerator: 1 } })), [
    /percent and fraction say the same: leave out one of them/,
  ]);
  same(filters(mirror({ fraction: { numerator: 3, denominator: 2 } })), [/must be at most the denominator, 2, not 3/]);
  same(filters(mirror({ backendRef: { name: 's' } })), [
    /is missing, which a reference to a Service needs: write port/,
  ]);
  same(
    filters({ type: 'ExternalAuth', externalAuth: { protocol: 'GRPC', http: {}, backendRef: { name: 's', port: 1 } } }),
    [/http is for protocol HTTP: write protocol: HTTP/],
  );
});

test('HTTPRoute path modifiers', () => {
  const rewrite = (path: object, matches: object[]): string[] =>
    oneRule({ matches, filters: [{ type: 'URLRewrite', urlRewrite: { path } }] });
  const prefix = { path: { type: 'PathPrefix', value: '/a' } };
  const replace = { type: 'ReplacePrefixMatch', replacePrefixMatch: '/b' };
  assert.deepEqual(rewrite(replace, [prefix]), []);
  same(rewrite(replace, [prefix, prefix]), [
    'spec.rules[0].filters[0]: URLRewrite replaces a prefix, and the rule has 2 matches: it needs exactly one m',
  ]);
  same(rewrite(replace, [{ path: { type: 'Exact', value: '/a' } }]), [
    'spec.rules[0].filters[0]: URLRewrite replaces a prefix, and the rule has a match of type Exact: it needs e',
  ]);
  same(rewrite({ type: 'ReplaceFullPath' }, [prefix]), [
    /is missing, which type ReplaceFullPath needs: write replaceF/,
  ]);
  same(rewrite({ type: 'ReplaceFullPath', replaceFullPath: '/x', replacePrefixMatch: '/' }, [prefix]), [
    /replacePrefixMatch is for type ReplacePrefixMatch, not Repla/,
  ]);
});

test('HTTPRoute: timeouts, names, matches, references', () => {
  same(oneRule({ timeouts: { request: '1s', backendRequest: '1001ms' } }), [
    "spec.rules[0].timeouts.backendRequest: must be at most the request's 1s, of which it is a part, not 1001ms",
  ]);
  assert.deepEqual(oneRule({ timeouts: { request: '0s', backendRequest: '1h' } }), []);
  same(route({ rules: [{ name: 'a' }, { name: 'a' }] }), [
    'spec.rules[1].name: "a" is the name of an earlier rule: each may stand once',
  ]);
  const matches = Array.from({ length: 64 }, (_, i) => ({ path: { value: `/${i}` } }));
  same(route({ rules: [{ matches }, { matches }, {}] }), [/^spec.rules: the total number of matches .* not 129/]);
  same(oneRule({ backendRefs: [{ name: 's' }] }), [
    'spec.rules[0].backendRefs[0].port: is missing, which a reference to a Service needs: write port: 80 (or, for a Back',
  ]);
  assert.deepEqual(oneRule({ backendRefs: [{ group: 'rauta.io', kind: 'Backend', name: 'b' }] }), []);
  same(oneRule({ sessionPersistence: { type: 'Header', cookieConfig: { lifetimeType: 'Permanent' } } }), [
    /cookieConfig is for type Cookie, not Header: write type: Cookie/,
    /is missing, which lifetimeType Permanent needs: write absolu/,
  ]);
  same(route({ parentRefs: [{ name: 'g' }, { name: 'g' }] }), [
    'spec.parentRefs[1]: refers to the same as an earlier one: leave it out, or name another sectionName',
  ]);
  same(route({ parentRefs: [{ name: 'g', sectionName: 'a' }, { name: 'g' }] }), [
    'spec.parentRefs[1]: refers to the same parent as an earlier one: each then has to name a sectionName',
  ]);
  assert.deepEqual(
    route({ parentRefs: [{ name: 'g', sectionName: 'a' }, { name: 'g', sectionName: 'b' }, { name: 'h' }] }),
    [],
  );
});

test('Gateway listeners, TLS and addresses', () => {
  const refs = { certificateRefs: [{ name: 'c' }] };
  same(listeners({ name: 'a', port: 80, protocol: 'HTTP', tls: refs }), [
    'spec.listeners[0].tls: protocol HTTP has no TLS: write protocol: HTTPS, or leave tls out',
  ]);
  same(listeners({ name: 'a', port: 443, protocol: 'HTTPS', tls: { mode: 'Passthrough' } }), [
    'spec.listeners[0].tls.mode: must be Terminate for protocol HTTPS, not Passthrough: protocol TLS with a TLSRo',
  ]);
  same(listeners({ name: 'a', port: 443, protocol: 'HTTPS', tls: {} }), [
    'spec.listeners[0].tls.certificateRefs: is missing, which mode Terminate needs: write certificateRefs: [{ name: cert }]',
  ]);
  same(listeners({ name: 'a', port: 443, protocol: 'TLS' }), [
    'spec.listeners[0].tls: is missing, which protocol TLS needs: write tls: { mode: Passthrough }',
  ]);
  same(listeners({ name: 'a', port: 53, protocol: 'UDP', hostname: 'a.example' }), [
    'spec.listeners[0].hostname: protocol UDP knows no hostnames: "a.example": leave it out',
  ]);
  same(listeners({ name: 'a', port: 80, protocol: 'HTTP' }, { name: 'b', port: 80, protocol: 'HTTP' }), [
    'spec.listeners[1]: [0] has port 80, protocol HTTP and every hostname, too: give this one another po',
  ]);
  same(gateway({ addresses: [{ value: 'nonsense' }] }), ['spec.addresses[0].value: must be an IPv4 or IPv6 address']);
  same(gateway({ addresses: [{ value: '::1' }, { value: '::1' }] }), [/stands there more than once: "::1"/]);
  same(gateway({ addresses: [{ type: 'Hostname', value: 'a_b' }] }), [
    /must be a host name like app\.example\.com, not "a_b": write a-b/,
  ]);
});

test('other routes and policies', () => {
  same(
    complaints(GATEWAY_API, 'TLSRoute', {
      spec: { hostnames: ['10.0.0.1'], rules: [{ backendRefs: [{ name: 's', port: 1 }] }] },
    }),
    ['spec.hostnames[0]: must be a host name in lower case, not "10.0.0.1": write 10.0.0.1'],
  );
  same(complaints(GATEWAY_API, 'GRPCRoute', { spec: { rules: [{ matches: [{ method: { service: 'a b' } }] }] } }), [
    'spec.rules[0].matches[0].method.service: must be the name of a gRPC service like shop.Cart, not "a b": write a b',
  ]);
  const policy = { targetRefs: [{ group: '', kind: 'Service', name: 's' }], validation: { hostname: 'a.example' } };
  same(complaints(GATEWAY_API, 'BackendTLSPolicy', { spec: policy }), [
    'spec.validation: the authorities are missing: write wellKnownCACertificates: System, or caCertificateRefs',
  ]);
});

test('policies: targets and intervals', () => {
  const tls = (...targetRefs: object[]): string[] =>
    complaints(GATEWAY_API, 'BackendTLSPolicy', {
      spec: {
        targetRefs: targetRefs.map((ref) => ({ group: '', kind: 'Service', name: 's', ...ref })),
        validation: { hostname: 'a.example', wellKnownCACertificates: 'System' },
      },
    });
  assert.deepEqual(tls({ sectionName: 'a' }, { sectionName: 'b' }, { name: 't' }), []);
  same(tls({}, {}), [
    'spec.targetRefs[1].sectionName: refers to the same as an earlier one: leave it out, or name another sectionName',
  ]);
  same(tls({ sectionName: 'a' }, { sectionName: 'a' }), [
    'spec.targetRefs[1].sectionName: refers to the same as an earlier one: leave it out, or name another sectionName',
  ]);
  same(tls({ sectionName: 'a' }, {}), [
    'spec.targetRefs[1].sectionName: refers to the same target as an earlier one: each then has to name a sectionName',
  ]);
  const retry = (budget: string, rate: string): string[] =>
    complaints('gateway.networking.x-k8s.io/v1alpha1', 'XBackendTrafficPolicy', {
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name: 's' }],
        retryConstraint: { budget: { interval: budget }, minRetryRate: { interval: rate } },
      },
    });
  assert.deepEqual(retry('1s', '1ms'), []);
  assert.deepEqual(retry('1h', '1h'), []);
  for (const wrong of ['1ms', '999ms', '2h', '1h1ms']) {
    same(retry(wrong, '1s'), [/must be a duration from 1s to 1h/]);
  }
  for (const wrong of ['0s', '1h1ms']) same(retry('1s', wrong), [/must be a duration from 1ms to 1h/]);
});

test('keys of what a Gateway labels', () => {
  const keys = (labels: object, annotations: object = {}): string[] =>
    gateway({ infrastructure: { labels, annotations } });
  const dns = 'a.'.repeat(125);
  assert.deepEqual(keys({ a: 'b', 'example.com/a_b.c': '', [`${dns}b/k`]: 'x' }, { 'example.com/a': '{}' }), []);
  const form = 'keys must be a name of at most 63 letters';
  same(keys({ 'key~@@@': 'v' }), [`spec.infrastructure.labels[key~@@@]: Label ${form}`]);
  same(keys({ [`${'a'.repeat(64)}`]: 'v' }), [new RegExp(`Label ${form}`)]);
  same(keys({ '@@/k': 'v' }), [new RegExp(`Label ${form}`)]);
  same(keys({ [`${'a'.repeat(254)}/k`]: 'v' }), [
    /Label keys may have at most 253 characters in front of '\/', not 254/,
  ]);
  same(keys({}, { '-a': 'v' }), [`spec.infrastructure.annotations.-a: Annotation ${form}`]);
  same(keys({}, { [`${'a'.repeat(254)}/k`]: 'v' }), [/Annotation keys may have at most 253 characters in front of /]);
});

test('paths that are right and can never match what was meant are warned of, with the right form', () => {
  const warned = (apiVersion: string, kind: string, spec: object): string[] =>
    checkObject({ apiVersion, kind, metadata: { name: 'x' }, spec })
      .problems.filter((p) => p.severity === 'warning' && p.place.field !== 'kind')
      .map((p) => `${p.place.field}: ${p.message}`);
  const path = (type: string, value: string): string[] =>
    warned(GATEWAY_API, 'HTTPRoute', { rules: [{ matches: [{ path: { type, value } }] }] });
  const star =
    'spec.rules[0].matches[0].path.value: "*" stands for itself here: for everything below it write type PathPrefix';
  same(path('PathPrefix', '/api/*'), [`${star}, value /api`]);
  same(path('Exact', '/api/**'), [`${star}, value /api`]);
  same(path('PathPrefix', '/*'), [`${star}, value /`]);
  same(path('PathPrefix', '/api/.*'), [`${star}, value /api`]);
  same(path('PathPrefix', '/a/*/b'), [/"\*" stands for itself here: for any one segment write type R/]);
  same(path('RegularExpression', 'api/.*'), [/never matches, for no path begins with "a": write \/api\/\.\*/]);
  same(path('RegularExpression', '^api'), [/write \/api/]);
  for (const fine of ['/api/.*', '^/api', '.*foo', '(/a|/b)', '[/]a', '\\/a', '(?i)/x']) {
    assert.deepEqual(path('RegularExpression', fine), [], fine);
  }
  for (const fine of ['/', '/api', '/a.b']) assert.deepEqual(path('PathPrefix', fine), [], fine);
  const ingress = {
    rules: [
      {
        http: {
          paths: [{ pathType: 'Prefix', path: '/a/*', backend: { service: { name: 's', port: { number: 1 } } } }],
        },
      },
    ],
  };
  assert.match(warned('networking.k8s.io/v1', 'Ingress', ingress).join(), /"\*" stands for itself here/);
});

test('core kinds', () => {
  same(complaints('v1', 'Service', { spec: { type: 'ExternalName' } }), [
    'spec.externalName: is missing, which type ExternalName needs: write externalName: app.example.com',
  ]);
  same(complaints('v1', 'Service', { spec: { ports: [{ port: 1 }, { port: 2, name: 'b' }] } }), [
    'spec.ports[0].name: is missing, which each of several ports needs: write name: http',
  ]);
  same(complaints('v1', 'Secret', { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }), [
    'data[tls.key]: is missing, which type kubernetes.io/tls needs: write tls.key: BASE64 (or plain ',
  ]);
  same(
    complaints('discovery.k8s.io/v1', 'EndpointSlice', {
      addressType: 'IPv6',
      endpoints: [{ addresses: ['1.2.3.4'] }],
    }),
    ['endpoints[0].addresses[0]: must be of addressType IPv6'],
  );
  const ingress = { rules: [{ http: { paths: [{ pathType: 'Prefix', path: 'a', backend: {} }] } }] };
  same(complaints('networking.k8s.io/v1', 'Ingress', { spec: ingress }), [
    'spec.rules[0].http.paths[0].path: must be a path that begins with \'/\', not "a": write /a',
    'spec.rules[0].http.paths[0].backend: must name one of service and resource: write service: { name: app, port: { number: 80 } }',
  ]);
});

test('XBackends: whole names of hosts outside, and TLS as its mode says', () => {
  const external = (more: object, hostname = 'api.example.com'): string[] =>
    complaints('gateway.networking.x-k8s.io/v1alpha1', 'XBackend', {
      spec: { type: 'ExternalHostname', port: { port: 443 }, externalHostname: { hostname }, ...more },
    });
  const validation = { hostname: 'a.example', wellKnownCACertificates: 'System' };
  assert.deepEqual(external({}), []);
  assert.deepEqual(external({ tls: { mode: 'ServerOnly', validation }, port: { port: 1, name: '' } }), []);
  const clientCertificateRef = { name: 'client' };
  assert.deepEqual(external({ tls: { mode: 'ClientAndServer', clientCertificateRef, validation } }), []);
  assert.deepEqual(external({}, 'cluster.local.example.com'), []);
  same(external({ externalHostname: undefined }), [
    'spec.externalHostname: is missing, which type ExternalHostname needs: write externalHostname: { hostname: api.example.com }',
  ]);
  same(external({}, 'app.shop.svc.cluster.local'), [
    'spec.externalHostname.hostname: app.shop.svc.cluster.local is of the cluster itself: refer to the Service, like backendRefs: [{ name: app, namespace: shop, port: 80 }]',
  ]);
  same(external({ type: 'EndpointSelector' }), [/^spec\.type: must be one of ExternalHostname/]);
  // (test/kubernetes/real-definitions.ts holds that an API server refuses it.)
  same(external({ port: { port: 443, name: 'https' } }), [
    'spec.port.name: "https": leave it out: it means nothing, and API servers refuse any name here',
  ]);
  same(external({ tls: { mode: 'ClientAndServer' } }), [/^spec\.tls\.clientCertificateRef: is missing/]);
  same(external({ tls: { mode: 'None', clientCertificateRef } }), [
    /clientCertificateRef: is for mode ClientAndServer/,
  ]);
  same(external({ tls: { mode: 'ServerOnly', validation: { hostname: 'a.example' } } }), [/authorities are missing/]);
});

test('Backend endpoints', () => {
  const backend = (endpoint: object): string[] =>
    complaints('rauta.io/v1alpha1', 'Backend', { spec: { endpoints: [endpoint] } });
  assert.deepEqual(backend({ address: '::1', port: 1, zone: 'a', weight: 0 }), []);
  assert.deepEqual(backend({ hostname: 'app.internal', port: 1 }), []);
  assert.deepEqual(backend({ unix: '/run/app.sock' }), []);
  same(backend({ port: 1 }), [
    'spec.endpoints[0]: its address is missing: write address: 127.0.0.1 (or hostname, or unix)',
  ]);
  same(backend({ address: '1.2.3.4', unix: '/a' }), [
    'spec.endpoints[0]: address and unix exclude each other: write one of address, hostname and unix',
  ]);
  same(backend({ address: 'app.internal', port: 1 }), ['spec.endpoints[0].address: must be an IPv4 or IPv6 address']);
  same(backend({ address: '1.2.3.4' }), ['spec.endpoints[0].port: is missing: write port: 9001']);
  same(backend({ unix: '/a', port: 1 }), ['spec.endpoints[0].port: 1: a unix socket has no port: leave it out']);
  same(backend({ unix: 'a.sock' }), [
    'spec.endpoints[0].unix: must be a path that begins with \'/\', not "a.sock": write /a.sock',
  ]);
});

test('durations (GEP-2257)', () => {
  assert.equal(durationMs('1h2m3s4ms'), 3_723_004);
  assert.equal(durationMs('10s'), 10_000);
  assert.equal(durationMs('500ms'), 500);
  for (const bad of ['', '1', '1.5s', '1d', '100000s', '1s1s1s1s1s', '-1s', ' 1s'])
    assert.ok(Number.isNaN(durationMs(bad)), bad);
});

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
  same(path('a'), [`${at}value must be an absolute path and start with '/'`]);
  same(path('/a//b'), [`${at}must not contain '//'`]);
  same(path('/a/./b'), [`${at}must not contain '/./'`]);
  same(path('/a/../b'), [`${at}must not contain '/../'`]);
  same(path('/a%2fb'), [`${at}must not contain '%2f'`]);
  same(path('/a%2Fb'), [`${at}must not contain '%2F'`]);
  same(path('/a#b'), [`${at}must not contain '#'`]);
  same(path('/a/..'), [`${at}must not end with '/..'`]);
  same(path('/a/.'), [`${at}must not end with '/.'`]);
  same(path('/a b'), [`${at}must only contain valid characters`]);
  same(path('/%zz'), [`${at}must only contain valid characters`]);
  assert.deepEqual(path('a//b#.*', 'RegularExpression'), []);
});

test('HTTPRoute filters', () => {
  const set = { set: [{ name: 'a', value: 'b' }] };
  same(filters({ type: 'URLRewrite' }), [
    'spec.rules[0].filters[0].urlRewrite: filter.urlRewrite must be specified for',
  ]);
  same(filters({ type: 'RequestHeaderModifier', requestHeaderModifier: set, responseHeaderModifier: set }), [
    'spec.rules[0].filters[0].responseHeaderModifier: filter.responseHeaderModifier must be nil if the filter.type is not',
  ]);
  const modifier = { type: 'RequestHeaderModifier', requestHeaderModifier: set };
  same(filters(modifier, modifier), ['spec.rules[0].filters[1]: RequestHeaderModifier filter cannot be repeated']);
  const redirect = { type: 'RequestRedirect', requestRedirect: { hostname: 'a.example' } };
  same(filters(redirect, { type: 'URLRewrite', urlRewrite: { hostname: 'b.example' } }), [
    'spec.rules[0].filters: May specify either',
  ]);
  same(oneRule({ filters: [redirect], backendRefs: [{ name: 's', port: 80 }] }), [
    'spec.rules[0].filters[0]: RequestRedirect filter must not be used together with backendRefs',
  ]);
  same(oneRule({ backendRefs: [{ name: 's', port: 80, filters: [{ type: 'CORS' }] }] }), [
    'spec.rules[0].backendRefs[0].filters[0].cors: filter.cors must be specified',
  ]);
  same(filters({ type: 'CORS', cors: { allowOrigins: ['*', 'https://a.example'] } }), [
    "spec.rules[0].filters[0].cors.allowOrigins: AllowOrigins cannot contain '*'",
  ]);
  const mirror = (extra: object): object => ({
    type: 'RequestMirror',
    requestMirror: { backendRef: { name: 's', port: 80 }, ...extra },
  });
  same(filters(mirror({ percent: 1, fraction: { numerator: 1 } })), [/Only one of percent or fraction/]);
  same(filters(mirror({ fraction: { numerator: 3, denominator: 2 } })), [/fraction.numerator: numerator must be less/]);
  same(filters(mirror({ backendRef: { name: 's' } })), [/backendRef.port: Must have port/]);
  same(
    filters({ type: 'ExternalAuth', externalAuth: { protocol: 'GRPC', http: {}, backendRef: { name: 's', port: 1 } } }),
    [/grpc must be specified when protocol is set to 'GRPC'/, /protocol must be 'HTTP' when http is set/],
  );
});

test('HTTPRoute path modifiers', () => {
  const rewrite = (path: object, matches: object[]): string[] =>
    oneRule({ matches, filters: [{ type: 'URLRewrite', urlRewrite: { path } }] });
  const prefix = { path: { type: 'PathPrefix', value: '/a' } };
  const replace = { type: 'ReplacePrefixMatch', replacePrefixMatch: '/b' };
  assert.deepEqual(rewrite(replace, [prefix]), []);
  same(rewrite(replace, [prefix, prefix]), ['spec.rules[0].filters[0]: When using URLRewrite filter']);
  same(rewrite(replace, [{ path: { type: 'Exact', value: '/a' } }]), [
    'spec.rules[0].filters[0]: When using URLRewrite',
  ]);
  same(rewrite({ type: 'ReplaceFullPath' }, [prefix]), [/replaceFullPath must be specified when type is set/]);
  same(rewrite({ type: 'ReplaceFullPath', replaceFullPath: '/x', replacePrefixMatch: '/' }, [prefix]), [
    /type must be 'ReplacePrefixMatch' when replacePrefixMatch is set/,
  ]);
});

test('HTTPRoute: timeouts, names, matches, references', () => {
  same(oneRule({ timeouts: { request: '1s', backendRequest: '1001ms' } }), [
    'spec.rules[0].timeouts.backendRequest: backendRequest timeout cannot be longer than request timeout',
  ]);
  assert.deepEqual(oneRule({ timeouts: { request: '0s', backendRequest: '1h' } }), []);
  same(route({ rules: [{ name: 'a' }, { name: 'a' }] }), ['spec.rules[1].name: Rule name must be unique']);
  const matches = Array.from({ length: 64 }, (_, i) => ({ path: { value: `/${i}` } }));
  same(route({ rules: [{ matches }, { matches }, {}] }), [/^spec.rules: the total number of matches .* not 129/]);
  same(oneRule({ backendRefs: [{ name: 's' }] }), ['spec.rules[0].backendRefs[0].port: Must have port for Service']);
  assert.deepEqual(oneRule({ backendRefs: [{ group: 'rauta.io', kind: 'Backend', name: 'b' }] }), []);
  same(oneRule({ sessionPersistence: { type: 'Header', cookieConfig: { lifetimeType: 'Permanent' } } }), [
    /cookieConfig can only be set with type Cookie/,
    /AbsoluteTimeout must be specified/,
  ]);
  same(route({ parentRefs: [{ name: 'g' }, { name: 'g' }] }), [
    'spec.parentRefs[1]: sectionName or port must be unique',
  ]);
  same(route({ parentRefs: [{ name: 'g', sectionName: 'a' }, { name: 'g' }] }), [
    'spec.parentRefs[1]: sectionName or port must be specified',
  ]);
  assert.deepEqual(
    route({ parentRefs: [{ name: 'g', sectionName: 'a' }, { name: 'g', sectionName: 'b' }, { name: 'h' }] }),
    [],
  );
});

test('Gateway listeners, TLS and addresses', () => {
  const refs = { certificateRefs: [{ name: 'c' }] };
  same(listeners({ name: 'a', port: 80, protocol: 'HTTP', tls: refs }), [
    'spec.listeners[0].tls: tls must not be specified',
  ]);
  same(listeners({ name: 'a', port: 443, protocol: 'HTTPS', tls: { mode: 'Passthrough' } }), [
    'spec.listeners[0].tls.mode: tls mode must be Terminate for protocol HTTPS',
  ]);
  same(listeners({ name: 'a', port: 443, protocol: 'HTTPS', tls: {} }), [
    'spec.listeners[0].tls.certificateRefs: certificateRefs or options must be specified',
  ]);
  same(listeners({ name: 'a', port: 443, protocol: 'TLS' }), [
    'spec.listeners[0].tls: tls mode must be set for protocol TLS',
  ]);
  same(listeners({ name: 'a', port: 53, protocol: 'UDP', hostname: 'a.example' }), [
    "spec.listeners[0].hostname: hostname must not be specified for protocols ['TCP', 'UDP']",
  ]);
  same(listeners({ name: 'a', port: 80, protocol: 'HTTP' }, { name: 'b', port: 80, protocol: 'HTTP' }), [
    'spec.listeners[1]: Combination of port, protocol and hostname must be unique',
  ]);
  same(gateway({ addresses: [{ value: 'nonsense' }] }), ['spec.addresses[0].value: must be an IPv4 or IPv6 address']);
  same(gateway({ addresses: [{ value: '::1' }, { value: '::1' }] }), [
    /addresses\[1\].value: IPAddress values must be unique/,
  ]);
  same(gateway({ addresses: [{ type: 'Hostname', value: 'a_b' }] }), [/Hostname value must be empty or contain only/]);
});

test('other routes and policies', () => {
  same(
    complaints(GATEWAY_API, 'TLSRoute', {
      spec: { hostnames: ['10.0.0.1'], rules: [{ backendRefs: [{ name: 's', port: 1 }] }] },
    }),
    ['spec.hostnames[0]: Hostnames cannot contain an IP'],
  );
  same(complaints(GATEWAY_API, 'GRPCRoute', { spec: { rules: [{ matches: [{ method: { service: 'a b' } }] }] } }), [
    'spec.rules[0].matches[0].method.service: service must only contain valid characters',
  ]);
  const policy = { targetRefs: [{ group: '', kind: 'Service', name: 's' }], validation: { hostname: 'a.example' } };
  same(complaints(GATEWAY_API, 'BackendTLSPolicy', { spec: policy }), [
    'spec.validation: must specify either CACertificateRefs or WellKnownCACertificates',
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
  same(tls({}, {}), ['spec.targetRefs[1].sectionName: sectionName must be unique when targetRefs']);
  same(tls({ sectionName: 'a' }, { sectionName: 'a' }), ['spec.targetRefs[1].sectionName: sectionName must be unique']);
  same(tls({ sectionName: 'a' }, {}), ['spec.targetRefs[1].sectionName: sectionName must be specified when']);
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
    same(retry(wrong, '1s'), [/budget\.interval: interval cannot be greater than one hour or less than one second/]);
  }
  for (const wrong of ['0s', '1h1ms']) same(retry('1s', wrong), [/minRetryRate\.interval: interval cannot be greater/]);
});

test('keys of what a Gateway labels', () => {
  const keys = (labels: object, annotations: object = {}): string[] =>
    gateway({ infrastructure: { labels, annotations } });
  const dns = 'a.'.repeat(125);
  assert.deepEqual(keys({ a: 'b', 'example.com/a_b.c': '', [`${dns}b/k`]: 'x' }, { 'example.com/a': '{}' }), []);
  const form = 'keys must be in the form of an optional DNS subdomain prefix';
  same(keys({ 'key~@@@': 'v' }), [`spec.infrastructure.labels[key~@@@]: Label ${form}`]);
  same(keys({ [`${'a'.repeat(64)}`]: 'v' }), [new RegExp(`Label ${form}`)]);
  same(keys({ '@@/k': 'v' }), [new RegExp(`Label ${form}`)]);
  same(keys({ [`${'a'.repeat(254)}/k`]: 'v' }), [/the label key's prefix must be a DNS subdomain not longer than 253/]);
  same(keys({}, { '-a': 'v' }), [`spec.infrastructure.annotations.-a: Annotation ${form}`]);
  same(keys({}, { [`${'a'.repeat(254)}/k`]: 'v' }), [/the annotation key's prefix must be a DNS subdomain/]);
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
  same(path('PathPrefix', '/a/*/b'), [/for patterns write type RegularExpression/]);
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
  same(complaints('v1', 'Service', { spec: { type: 'ExternalName' } }), ['spec.externalName: required']);
  same(complaints('v1', 'Service', { spec: { ports: [{ port: 1 }, { port: 2, name: 'b' }] } }), [
    'spec.ports[0].name: required',
  ]);
  same(complaints('v1', 'Secret', { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }), ['data[tls.key]: required']);
  same(
    complaints('discovery.k8s.io/v1', 'EndpointSlice', {
      addressType: 'IPv6',
      endpoints: [{ addresses: ['1.2.3.4'] }],
    }),
    ['endpoints[0].addresses[0]: must be of addressType IPv6'],
  );
  const ingress = { rules: [{ http: { paths: [{ pathType: 'Prefix', path: 'a', backend: {} }] } }] };
  same(complaints('networking.k8s.io/v1', 'Ingress', { spec: ingress }), [
    'spec.rules[0].http.paths[0].path: must be an absolute path',
    'spec.rules[0].http.paths[0].backend: exactly one of service and resource',
  ]);
});

test('Backend endpoints', () => {
  const backend = (endpoint: object): string[] =>
    complaints('rauta.io/v1alpha1', 'Backend', { spec: { endpoints: [endpoint] } });
  assert.deepEqual(backend({ address: '::1', port: 1, zone: 'a', weight: 0 }), []);
  assert.deepEqual(backend({ hostname: 'app.internal', port: 1 }), []);
  assert.deepEqual(backend({ unix: '/run/app.sock' }), []);
  same(backend({ port: 1 }), ['spec.endpoints[0]: exactly one of address, hostname and unix']);
  same(backend({ address: '1.2.3.4', unix: '/a' }), ['spec.endpoints[0]: exactly one of']);
  same(backend({ address: 'app.internal', port: 1 }), ['spec.endpoints[0].address: must be an IPv4 or IPv6 address']);
  same(backend({ address: '1.2.3.4' }), ['spec.endpoints[0].port: required']);
  same(backend({ unix: '/a', port: 1 }), ['spec.endpoints[0].port: must not be specified']);
  same(backend({ unix: 'a.sock' }), ['spec.endpoints[0].unix: must match ^/']);
});

test('durations (GEP-2257)', () => {
  assert.equal(durationMs('1h2m3s4ms'), 3_723_004);
  assert.equal(durationMs('10s'), 10_000);
  assert.equal(durationMs('500ms'), 500);
  for (const bad of ['', '1', '1.5s', '1d', '100000s', '1s1s1s1s1s', '-1s', ' 1s'])
    assert.ok(Number.isNaN(durationMs(bad)), bad);
});

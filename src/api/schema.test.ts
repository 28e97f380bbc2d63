import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HTTPRoute } from './generated/index.ts';
import { checkObject } from './schema.ts';

/** `severity field: message` of every problem. */
function complaints(value: unknown): string[] {
  return checkObject(value).problems.map((p) => `${p.severity} ${p.place.field}: ${p.message}`);
}

function route(spec: unknown, metadata: unknown = { name: 'app' }): unknown {
  return { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata, spec };
}

test('fills in the defaults of the CRD', () => {
  const { object, key, problems } = checkObject(
    route({
      parentRefs: [{ name: 'gw' }],
      rules: [
        { backendRefs: [{ name: 'svc', port: 80 }], filters: null },
        { matches: [{ headers: [{ name: 'a', value: 'b' }] }] },
      ],
    }),
  );
  assert.deepEqual(problems, []);
  assert.equal(key, 'HTTPRoute/default/app');
  const { spec, metadata } = object as HTTPRoute;
  assert.deepEqual(metadata, { name: 'app', namespace: 'default' });
  assert.deepEqual(spec.parentRefs, [{ name: 'gw', group: 'gateway.networking.k8s.io', kind: 'Gateway' }]);
  assert.deepEqual(spec.rules[0], {
    backendRefs: [{ name: 'svc', port: 80, group: '', kind: 'Service', weight: 1 }],
    matches: [{ path: { type: 'PathPrefix', value: '/' } }],
  });
  assert.deepEqual(spec.rules[1]?.matches[0]?.path, { type: 'PathPrefix', value: '/' });
  assert.equal(spec.rules[1]?.matches[0]?.headers?.[0]?.type, 'Exact');
});

test('a route without rules has the default rule', () => {
  const { spec } = checkObject(route({})).object as HTTPRoute;
  assert.deepEqual(spec.rules, [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }]);
});

test('every served version is read as the main one', () => {
  for (const [kind, spec] of [
    ['GatewayClass', { controllerName: 'rauta.io/gateway-controller' }],
    ['Gateway', { gatewayClassName: 'rauta', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] }],
    ['HTTPRoute', {}],
    [
      'ReferenceGrant',
      {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'a' }],
        to: [{ group: '', kind: 'Service' }],
      },
    ],
  ] as const) {
    const objects = ['v1', 'v1beta1'].map((v) =>
      checkObject({ apiVersion: `gateway.networking.k8s.io/${v}`, kind, metadata: { name: 'x' }, spec }),
    );
    assert.deepEqual(objects[1], objects[0]);
    assert.equal(objects[0]?.object?.apiVersion, 'gateway.networking.k8s.io/v1');
    assert.deepEqual(objects[0]?.problems, []);
  }
});

test('unknown fields are pruned with a warning that names the nearest', () => {
  const value = route({ hostname: ['a.example'], rules: [{ backendRef: [] }] }, { name: 'app', lables: {} });
  assert.deepEqual(complaints(value), [
    'warning metadata.lables: unknown field, ignored',
    'warning spec.hostname: unknown field, ignored; did you mean hostnames?',
    'warning spec.rules[0].backendRef: unknown field, ignored; did you mean backendRefs?',
  ]);
  assert.ok(!('hostname' in ((checkObject(value).object as HTTPRoute).spec as object)));
});

test('types, enums, bounds and patterns', () => {
  assert.deepEqual(
    complaints(
      route({
        hostnames: ['Example.com', 'a.example'],
        rules: [
          {
            backendRefs: [
              { name: 'svc', port: '80' },
              { name: 'b', port: 70_000 },
              { name: '', port: 1.5 },
            ],
          },
          { matches: [{ path: { type: 'Prefix', value: '/' }, method: 'get' }], timeouts: { request: '10 s' } },
          { filters: [{ type: 'RequestRedirect', requestRedirect: { statusCode: 300 } }] },
          'rule',
        ],
      }),
    ),
    [
      'error spec.hostnames[0]: must match ^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$, not "Example.com"',
      'error spec.rules[0].backendRefs[0].port: must be a whole number, not a string',
      'error spec.rules[0].backendRefs[1].port: must be at most 65535, not 70000',
      'error spec.rules[0].backendRefs[2].name: must not be empty',
      'error spec.rules[0].backendRefs[2].port: must be a whole number, not 1.5',
      'error spec.rules[1].matches[0].path.type: must be one of Exact, PathPrefix, RegularExpression, not "Prefix"',
      'error spec.rules[1].matches[0].method: must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, not "get"',
      'error spec.rules[1].timeouts.request: must match ^([0-9]{1,5}(h|m|s|ms)){1,4}$, not "10 s"',
      'error spec.rules[2].filters[0].requestRedirect.statusCode: must be one of 301, 302, 303, 307, 308, not 300',
      'error spec.rules[3]: must be a mapping, not a string',
    ],
  );
});

test('lists that are maps refuse a second item of the same key', () => {
  const gateway = (listeners: unknown): unknown => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'gw' },
    spec: { gatewayClassName: 'rauta', listeners },
  });
  const http = { name: 'http', port: 80, protocol: 'HTTP' };
  assert.deepEqual(complaints(gateway([http, { ...http, port: 81 }])), [
    'error spec.listeners[1]: duplicate of item 0 (same name)',
  ]);
  assert.deepEqual(complaints(gateway([])), ['error spec.listeners: must have at least 1 items']);
  assert.deepEqual(complaints(gateway(undefined)), ['error spec.listeners: required']);
});

test('lengths are counted in characters', () => {
  const named = (value: string): string[] =>
    complaints(route({ rules: [{ matches: [{ queryParams: [{ name: 'a', value }] }] }] }));
  assert.deepEqual(named('\u{1f600}'.repeat(1024)), []);
  assert.equal(named('x'.repeat(1025)).length, 1);
});

test('metadata: names, namespaces, labels, annotations', () => {
  assert.deepEqual(complaints(route({}, null)), ['error metadata: required']);
  assert.deepEqual(complaints(route({}, {})), ['error metadata.name: required']);
  assert.deepEqual(
    complaints(
      route(
        {},
        {
          name: 'A_b',
          namespace: 'x.y',
          labels: { 'a b': 'c', ok: 'not ok!', 'example.com/n': 1 },
          annotations: { 'rauta.io/x': 'any text at all' },
          creationTimestamp: 'yesterday',
        },
      ),
    ),
    [
      'error metadata.name: must be a DNS subdomain (RFC 1123): lower-case letters, digits and \'-\', not "A_b"',
      'error metadata.namespace: must be a DNS label (RFC 1123), not "x.y"',
      'error metadata.creationTimestamp: must be a date and time as RFC 3339 has it, not "yesterday"',
      'error metadata.labels[example.com/n]: must be a string, not a number (quote it)',
      'error metadata.labels[a b]: the key must be a name of at most 63 characters, with an optional DNS prefix and /',
      'error metadata.labels.ok: must be a label value of at most 63 characters, not "not ok!"',
    ],
  );
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'a', namespace: 'b', labels: { x: 'y' } },
  };
  const checked = checkObject(namespace);
  assert.equal(checked.key, 'Namespace//a');
  assert.deepEqual(checked.object?.metadata, { name: 'a', labels: { x: 'y' } });
  assert.match(complaints(namespace)[0] ?? '', /^warning metadata.namespace: kind Namespace has no namespace/);
});

test('a kind that is not served is a warning, not an error', () => {
  const of = (apiVersion: unknown, kind: unknown): string[] =>
    complaints({ apiVersion, kind, metadata: { name: 'a' } });
  assert.deepEqual(of('apps/v1', 'Deployment'), ['warning kind: kind Deployment of apps/v1 is not served, ignored']);
  assert.deepEqual(of('gateway.networking.k8s.io/v1', 'HttpRoutes'), [
    'warning kind: kind HttpRoutes of gateway.networking.k8s.io/v1 is not served, ignored; did you mean HTTPRoute?',
  ]);
  assert.deepEqual(of('gateway.networking.k8s.io/v1alpha2', 'HTTPRoute'), [
    'warning kind: kind HTTPRoute of gateway.networking.k8s.io/v1alpha2 is not served, ignored (served: gateway.networking.k8s.io/v1)',
  ]);
  assert.deepEqual(of('v1', undefined), ['error : kind is required, as a string']);
  assert.deepEqual(of(undefined, 'Service'), ['error : apiVersion is required, as a string']);
  assert.deepEqual(complaints([]), ['error : must be a Kubernetes object, not a list']);
  assert.match(of('networking.k8s.io/v1', 'Ingress')[0] ?? '', /^warning kind: kind Ingress is checked but not served/);
});

test('what is in a Secret never gets into a message', () => {
  const secret = (fields: object): unknown => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'tls' },
    ...fields,
  });
  const wrong = [
    secret({ data: { 'tls.key': 'hunter2 hunter2' } }),
    secret({ data: 'hunter2' }),
    secret({ data: { password: ['hunter2'] } }),
    secret({ stringData: { password: { deep: 'hunter2' } } }),
    secret({ type: ['hunter2'] }),
    { ...(secret({}) as object), kind: 'Secrets', spec: 'hunter2' },
    { ...(secret({}) as object), metadata: { name: 'hunter2 hunter2' } },
  ];
  for (const value of wrong) {
    const { problems } = checkObject(value);
    assert.ok(problems.length > 0);
    assert.ok(!JSON.stringify(problems.map((p) => p.message)).includes('hunter2'), JSON.stringify(problems));
  }
});

test('stringData is folded into data, over it', () => {
  const { object } = checkObject({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":1}' } },
    data: { a: 'b2xk', b: 'a2VwdA==\n' },
    stringData: { a: 'new' },
  });
  assert.deepEqual(object, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default', annotations: {} },
    type: 'Opaque',
    data: { a: 'bmV3', b: 'a2VwdA==' },
  });
});

test('core kinds: defaults and lists', () => {
  const service = checkObject({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'svc', namespace: 'a' },
    spec: { selector: { app: 'x' }, ports: [{ port: 80 }], ipFamilies: ['IPv4'] },
  });
  assert.deepEqual(service.problems, []);
  assert.deepEqual(service.object?.spec, {
    type: 'ClusterIP',
    sessionAffinity: 'None',
    selector: { app: 'x' },
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    ipFamilies: ['IPv4'],
  });
  const slice = checkObject({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'svc-1', labels: { 'kubernetes.io/service-name': 'svc' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    ports: [{ port: 9001 }],
  });
  assert.deepEqual(slice.problems, []);
  assert.deepEqual(slice.object?.['ports'], [{ name: '', protocol: 'TCP', port: 9001 }]);
});

test('a name like __proto__ is a name like any other', () => {
  const data = JSON.parse('{"__proto__":"eA=="}') as unknown;
  const { object } = checkObject({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data });
  assert.deepEqual(Object.keys(object?.['data'] as object), ['__proto__']);
  assert.equal(Object.getPrototypeOf(object?.['data']), Object.prototype);
});

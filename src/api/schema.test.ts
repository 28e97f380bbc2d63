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

test('a field that is not known is an error that names what may have been meant', () => {
  const value = route({ hostname: ['a.example'], rules: [{ backendRef: [] }] }, { name: 'app', lables: {} });
  assert.deepEqual(complaints(value), [
    'error metadata.lables: unknown field; did you mean labels?',
    'error spec.hostname: unknown field; did you mean hostnames?',
    'error spec.rules[0].backendRef: unknown field; did you mean backendRefs?',
  ]);
  const { object, key } = checkObject(value);
  assert.deepEqual([object, key], [null, 'HTTPRoute/default/app']);
  const matches = [{ methods: ['GET'], query: [], url: '/a', path: { prefix: '/api' } }];
  assert.deepEqual(complaints({ ...(route({ rules: [{ matches }] }) as object), rules: [], x: null }), [
    'error spec.rules[0].matches[0].methods: unknown field; did you mean method?',
    'error spec.rules[0].matches[0].query: unknown field; did you mean queryParams?',
    'error spec.rules[0].matches[0].url: unknown field; known here: headers, method, path, queryParams',
    'error spec.rules[0].matches[0].path.prefix: unknown field; write type: PathPrefix, value: /api',
    'error rules: unknown field; it belongs under spec',
    'error x: unknown field; known here: spec',
  ]);
});

test('a field that is passed over stands for no other that has to be there', () => {
  const filter = (spec: unknown): unknown => ({
    apiVersion: 'rauta.io/v1alpha1',
    kind: 'StaticResponseFilter',
    metadata: { name: 'f', namespace: 'default' },
    spec,
  });
  const value = filter({ statusCode: 200, headers: [{ value: 'x', gatewayName: 'y' }] });
  assert.equal(checkObject(value).object, null);
  const { object, problems } = checkObject(value, { lenient: true });
  assert.equal(object, null);
  assert.ok(problems.some((p) => p.severity === 'error' && p.place.field === 'spec.headers[0].name'));
});

test('where it is asked for, fields that are not known are pruned with a warning, as an API server does', () => {
  const value = route({ hostname: ['a.example'] }, { name: 'app', lables: {} });
  const { object, problems } = checkObject(value, { lenient: true });
  assert.ok(!('hostname' in ((object as HTTPRoute).spec as object)));
  assert.deepEqual(
    problems.map((p) => `${p.severity} ${p.place.field}: ${p.message}`),
    [
      'warning metadata.lables: unknown field; did you mean labels? (ignored)',
      'warning spec.hostname: unknown field; did you mean hostnames? (ignored)',
    ],
  );
  const kind = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HttpRoutes', metadata: { name: 'a' } };
  const { key, foreign, problems: said } = checkObject(kind, { lenient: true });
  assert.deepEqual([key, foreign, said[0]?.severity], [null, null, 'warning']);
});

test('an XBackend that an API server took by a newer definition is as it is: its status will say what is wrong', () => {
  const external = (spec: object): unknown => ({
    apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
    kind: 'XBackend',
    metadata: { name: 'x', namespace: 'a', managedFields: [{}] },
    spec,
    status: {},
  });
  const pods = { type: 'EndpointSelector', endpointSelector: { matchLabels: { app: 'a' } }, port: { number: 80 } };
  const { object, problems } = checkObject(external(pods), { lenient: true, accepted: true });
  assert.deepEqual([object?.spec, object?.metadata, problems], [pods, { name: 'x', namespace: 'a' }, []]);
  const good = { type: 'ExternalHostname', externalHostname: { hostname: 'a.example' }, port: { port: 80 } };
  for (const spec of [
    { ...good, protocol: 'WSS' },
    { ...good, port: { port: 80, name: 'https' } },
  ]) {
    assert.deepEqual(checkObject(external(spec), { lenient: true, accepted: true }).object?.spec, spec);
    assert.equal(checkObject(external(spec), { lenient: true }).object, null, 'from a file');
  }
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
      'error spec.hostnames[0]: must be a host name in lower case, not "Example.com": write example.com',
      'error spec.rules[0].backendRefs[0].port: must be a whole number from 1 to 65535, without quotes, not "80": write 80',
      'error spec.rules[0].backendRefs[1].port: must be a whole number from 1 to 65535, not 70000',
      'error spec.rules[0].backendRefs[2].name: must not be empty, not "": write name: app',
      'error spec.rules[0].backendRefs[2].port: must be a whole number from 1 to 65535, not 1.5',
      'error spec.rules[1].matches[0].path.type: must be one of Exact, PathPrefix, RegularExpression, not "Prefix": write PathPrefix',
      'error spec.rules[1].matches[0].method: must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, not "get": write GET',
      'error spec.rules[1].timeouts.request: must be a duration like 10s, 1m30s or 500ms, not "10 s": write 10s',
      'error spec.rules[2].filters[0].requestRedirect.statusCode: must be one of 301, 302, 303, 307, 308, not 300: write 301',
      'error spec.rules[3]: must be a mapping (NAME: VALUE), not "rule": write { name: rule }',
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
    'error spec.listeners[1]: stands there more than once: [0] has the same name "http"; each may stand there once',
  ]);
  assert.deepEqual(complaints(gateway([])), [
    'error spec.listeners: must have at least 1 items, not none: write listeners: [{ name: http, port: 8080, protocol: HTTP }]',
  ]);
  assert.deepEqual(complaints(gateway(undefined)), [
    'error spec.listeners: is missing: write listeners: [{ name: http, port: 8080, protocol: HTTP }]',
  ]);
});

test('lengths are counted in characters', () => {
  const named = (value: string): string[] =>
    complaints(route({ rules: [{ matches: [{ queryParams: [{ name: 'a', value }] }] }] }));
  assert.deepEqual(named('\u{1f600}'.repeat(1024)), []);
  assert.equal(named('x'.repeat(1025)).length, 1);
});

test('metadata: names, namespaces, labels, annotations', () => {
  assert.deepEqual(complaints(route({}, null)), ['error metadata: is missing: write metadata: { name: app }']);
  assert.deepEqual(complaints(route({}, {})), ['error metadata.name: is missing: write name: app']);
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
      "error metadata.name: must be a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends, not \"A_b\": write a-b",
      'error metadata.namespace: must be a name of lower-case letters, digits and \'-\', with a letter or digit at both ends, not "x.y": write x-y',
      'error metadata.creationTimestamp: must be a date and time (RFC 3339) like 2026-11-27T10:00:00Z, not "yesterday"',
      'error metadata.labels[example.com/n]: must be text, not 1: write "1"',
      "error metadata.labels[a b]: the key must be at most 63 letters, digits, '-', '_' and '.', perhaps behind a domain and '/' (example.com/tier): write a-b",
      "error metadata.labels.ok: must be at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, not \"not ok!\": write not-ok",
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

test('kinds of others are none of our business, kinds that nobody knows are errors', () => {
  const of = (apiVersion: unknown, kind: unknown): string[] =>
    complaints({ apiVersion, kind, metadata: { name: 'a' } });
  const foreign = (apiVersion: string, kind: string): string | null => {
    const checked = checkObject({ apiVersion, kind, metadata: { name: 'a' } });
    assert.deepEqual(checked.problems, []);
    return checked.foreign;
  };
  assert.equal(foreign('apps/v1', 'Deployment'), 'Deployment of apps/v1');
  assert.equal(foreign('v1', 'Pod'), 'Pod of v1');
  assert.equal(foreign('networking.k8s.io/v1', 'NetworkPolicy'), 'NetworkPolicy of networking.k8s.io/v1');
  assert.equal(foreign('serving.knative.dev/v1', 'Service'), 'Service of serving.knative.dev/v1');
  assert.equal(foreign('networking.istio.io/v1', 'Gateway'), 'Gateway of networking.istio.io/v1');
  assert.deepEqual(of('gateway.networking.k8s.io/v1', 'HttpRoutes'), [
    'error kind: HttpRoutes is not known in gateway.networking.k8s.io/v1: write kind: HTTPRoute',
  ]);
  assert.deepEqual(of('rauta.io/v1alpha1', 'Upstream'), [
    'error kind: Upstream is not known in rauta.io/v1alpha1: known of this group: ' +
      'StaticResponseFilter, AccessControlFilter, GatewayClassParameters, GatewayParameters, Backend',
  ]);
  assert.deepEqual(of('v1', 'Servcie'), ['error kind: Servcie is not known in v1: write kind: Service']);
  assert.deepEqual(of('gateway.networking.k8s.io/v1alpha2', 'HTTPRoute'), [
    'error apiVersion: gateway.networking.k8s.io/v1alpha2 knows no kind HTTPRoute: write apiVersion: gateway.networking.k8s.io/v1',
  ]);
  for (const apiVersion of ['v1', 'gateway.networkin.k8s.io/v1', 'rauta.io/v1alpha1']) {
    assert.match(of(apiVersion, 'HTTPRoute')[0] ?? '', /^error apiVersion: .* write apiVersion: gateway/, apiVersion);
  }
  assert.deepEqual(of('v1', undefined), [
    'error kind: is missing: write kind: Service (of this group: Namespace, Service, Secret, ConfigMap)',
  ]);
  assert.deepEqual(of(undefined, 'Service'), ['error apiVersion: is missing: write apiVersion: v1']);
  assert.deepEqual(complaints([]), [
    'error : must be a Kubernetes resource, which begins with apiVersion and kind (apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute), not a list: write each without "- ", with a line --- between them',
  ]);
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

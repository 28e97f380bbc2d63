import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KubeObject, keyOf } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { TrustedProxies } from '../proxy/trusted.ts';
import { Store } from '../store/store.ts';
import { Translator } from '../translate/translator.ts';
import { explain, type Scene } from './explain.ts';
import type { Explanation } from './explanation.ts';
import { questionOf, type Words } from './question.ts';
import { explanationText } from './text.ts';

const API = 'gateway.networking.k8s.io/v1';

function object(kind: string, name: string, spec: unknown, apiVersion = API): KubeObject {
  return { apiVersion, kind, metadata: { name, namespace: 'default', generation: 1 }, spec };
}

const GATEWAY = object('Gateway', 'edge', {
  gatewayClassName: 'rauta',
  listeners: [
    {
      name: 'any',
      port: 8080,
      protocol: 'HTTP',
      hostname: '*.example.com',
      allowedRoutes: { namespaces: { from: 'Same' } },
    },
    {
      name: 'api',
      port: 8080,
      protocol: 'HTTP',
      hostname: 'api.example.com',
      allowedRoutes: { namespaces: { from: 'Same' } },
    },
  ],
});

function backend(name: string, ...ports: readonly number[]): KubeObject {
  const endpoints = ports.map((port) => ({ address: '10.0.0.1', port, weight: 1 }));
  return object('Backend', name, { endpoints, loadBalancing: { type: 'RoundRobin' } }, 'rauta.io/v1alpha1');
}

function ref(name: string, weight = 1): unknown {
  return { group: 'rauta.io', kind: 'Backend', name, weight };
}

function route(name: string, hostnames: readonly string[], rules: readonly unknown[], parent: object = {}): KubeObject {
  const parentRef = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge', ...parent };
  return object('HTTPRoute', name, { parentRefs: [parentRef], hostnames, rules });
}

function prefix(value: string, more: object = {}): unknown[] {
  return [{ path: { type: 'PathPrefix', value }, ...more }];
}

function sceneOf(objects: readonly KubeObject[], trusted: readonly string[] = []): Scene {
  const store = new Store();
  const keys = store.apply(objects, []);
  const translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    fromFiles: true,
    defaultAddresses: ['0.0.0.0', '::'],
    portMap: new Map(),
    systemTrust: () => [],
  });
  translator.update(store, { keys });
  return {
    entries: [...translator.ir.values()],
    written: objects.map((o) => ({ object: o, status: translator.statuses.get(keyOf(o)) })),
    problems: [...translator.diagnostics.values()].flat(),
    trusted: new TrustedProxies(trusted),
    load: () => '',
    offline: false,
  };
}

function ask(scene: Scene, method: string, url: string, more: Partial<Words> = {}): Explanation {
  const question = questionOf({ method, url, headers: [], sni: null, client: null, listener: null, ...more });
  assert.ok(typeof question !== 'string', String(question));
  return explain(question, scene);
}

const SHOP = sceneOf([
  GATEWAY,
  backend('app', 1, 2),
  backend('old', 3),
  route(
    'shop',
    ['www.example.com'],
    [
      {
        matches: prefix('/cart', { method: 'POST', headers: [{ type: 'Exact', name: 'X-User', value: 'anna' }] }),
        backendRefs: [ref('app')],
      },
      {
        name: 'all',
        matches: prefix('/shop'),
        filters: [
          { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/v2' } } },
          {
            type: 'RequestHeaderModifier',
            requestHeaderModifier: { set: [{ name: 'X-Shop', value: '1' }], add: [], remove: ['Cookie'] },
          },
        ],
        backendRefs: [ref('app', 3), ref('old', 1), ref('none', 0)],
      },
      {
        matches: prefix('/moved'),
        filters: [{ type: 'RequestRedirect', requestRedirect: { statusCode: 301, hostname: 'new.example.com' } }],
      },
      ...[{ set: [{ name: 'LOCATION', value: 'https://filter.example/' }] }, { remove: ['location'] }].map(
        (edits, i) => ({
          matches: prefix(`/moved-${i}`),
          filters: [
            { type: 'RequestRedirect', requestRedirect: { statusCode: 302, hostname: 'new.example.com' } },
            { type: 'ResponseHeaderModifier', responseHeaderModifier: edits },
          ],
        }),
      ),
    ],
    { sectionName: 'any' },
  ),
  route('api', ['api.example.com'], [{ matches: prefix('/'), backendRefs: [ref('app')] }], { sectionName: 'any' }),
  route('stray', ['lost.example.com'], [{ matches: prefix('/'), backendRefs: [ref('app')] }], { name: 'nobody' }),
  route('far', ['www.example.org'], [{ matches: prefix('/'), backendRefs: [ref('app')] }], { sectionName: 'any' }),
]);

test('a request is told its rule, what it is made to, and the share and endpoints of each backend', () => {
  const told = ask(SHOP, 'GET', 'http://www.example.com:8080/shop/../shop/%61?b=1', { headers: ['Cookie: a=b'] });
  assert.equal(told.status, null);
  assert.deepEqual([told.rule?.route, told.rule?.index, told.rule?.name], ['default/shop', 1, 'all']);
  assert.deepEqual([told.listener?.gateway, told.listener?.name], ['default/edge', 'any']);
  assert.deepEqual(
    told.backends.map(({ backend: name, share, broken }) => [name, share, broken]),
    [
      ['default/app', 0.75, ''],
      ['default/old', 0.25, ''],
      ['default/none', 0, 'its weight is 0: it gets no request'],
    ],
  );
  assert.deepEqual(told.backends[0]?.sent, [
    'GET /v2/a?b=1 HTTP/1.1',
    'Host: www.example.com:8080',
    'X-Shop: 1',
    'without Cookie',
  ]);
  assert.deepEqual(
    told.backends[0]?.endpoints.map(({ port, turn }) => [port, turn]),
    [
      [1, 'may'],
      [2, 'may'],
    ],
  );
  assert.ok(explanationText(told).some((line) => line.includes('~> 10.0.0.1:1')));
});

test('a redirect is told with its Location', () => {
  const told = ask(SHOP, 'GET', 'http://www.example.com/moved/x?y=1');
  assert.deepEqual([told.status, told.location], [301, 'http://new.example.com:8080/moved/x?y=1']);
});

test('so is one whose Location a filter says, or removes', () => {
  const said = ask(SHOP, 'GET', 'http://www.example.com/moved-0');
  const filtered = [302, 'https://filter.example/', '302 to https://filter.example/, as a filter has it'];
  assert.deepEqual([said.status, said.location, said.outcome], filtered);
  const removed = ask(SHOP, 'GET', 'http://www.example.com/moved-1');
  assert.deepEqual([removed.status, removed.location], [302, null]);
  assert.match(removed.outcome, /without Location/);
});

test('of a 404 the nearest rules are told, the nearest first, with each condition that did not hold', () => {
  const told = ask(SHOP, 'POST', 'http://www.example.com/cart', { headers: ['X-User: bert'] });
  assert.deepEqual([told.status, told.flag], [404, 'NR']);
  assert.deepEqual(told.misses[0], {
    rule: 'HTTPRoute default/shop rule 0',
    match: 'path is under /cart, method POST, header x-user = anna',
    why: ['no header x-user = anna'],
  });
  assert.deepEqual(told.misses[1]?.why, ['the path is another']);
});

test('a more specific listener that takes the host is told to those who attached to another', () => {
  const told = ask(SHOP, 'GET', 'http://api.example.com/x');
  assert.equal(told.listener?.name, 'api');
  assert.match(String(told.misses[0]?.why), /attached to the listener for \*\.example\.com, but that for api/);
});

test('a route for the host that nobody accepted is told with its reason, those of other hosts are not', () => {
  const told = ask(SHOP, 'GET', 'http://www.example.org:8080/');
  assert.match(told.notes.join(), /no listener of this port is for the host/);
  assert.match(
    told.keptOut.map(({ object: name, why }) => `${name} ${why}`).join(),
    /^HTTPRoute default\/far at Gateway edge\/any: Accepted is False \(NoMatchingListenerHostname\)/,
  );
  assert.deepEqual(ask(SHOP, 'GET', 'http://www.example.com:8080/nothing').keptOut, []);
});

test('a rule that cannot be made whole is told with what is wrong with its route', () => {
  const scene = sceneOf([
    GATEWAY,
    route('broken', ['www.example.com'], [{ matches: prefix('/'), backendRefs: [ref('missing')] }]),
  ]);
  const told = ask(scene, 'GET', 'http://www.example.com:8080/');
  assert.equal(told.status, 500);
  assert.match(told.keptOut.map(({ why }) => why).join(), /ResolvedRefs is False \(BackendNotFound\)/);
});

test('a rule whose server of decisions cannot be asked is answered 500, whatever else it would do', () => {
  const externalAuth = { protocol: 'HTTP', backendRef: ref('gone'), http: {} };
  const filters = [{ type: 'ExternalAuth', externalAuth }];
  const rules = [{ matches: prefix('/'), filters, backendRefs: [ref('app')] }];
  const scene = sceneOf([GATEWAY, backend('app', 1), route('asked', ['www.example.com'], rules)]);
  const told = ask(scene, 'GET', 'http://www.example.com:8080/');
  assert.equal(told.outcome, '500: default/gone is to be asked about it, and cannot be');
  assert.match(told.keptOut.map(({ why }) => why).join(), /Backend default\/gone does not exist/);
});

test('nothing that a client may not say leads anywhere: what is dropped in front of the router is dropped here', () => {
  const scene = sceneOf(
    [
      GATEWAY,
      backend('app', 1),
      route(
        'inner',
        ['www.example.com'],
        [
          {
            matches: prefix('/', { headers: [{ type: 'Exact', name: 'X-Forwarded-Proto', value: 'https' }] }),
            backendRefs: [ref('app')],
          },
        ],
      ),
    ],
    ['10.0.0.0/8'],
  );
  const headers = ['X-Forwarded-Proto: https'];
  assert.equal(ask(scene, 'GET', 'http://www.example.com:8080/', { headers }).status, 404);
  assert.equal(ask(scene, 'GET', 'http://www.example.com:8080/', { headers, client: '10.1.2.3' }).status, null);
});

test('who is believed about clients is asked of the Gateway that the request is for', () => {
  const parameters = object(
    'GatewayParameters',
    'edge',
    { clientAddresses: { source: 'Proxies', proxies: { trustLocalRanges: false, trustedIps: ['192.0.2.1'] } } },
    'rauta.io/v1alpha1',
  );
  const infrastructure = { parametersRef: { group: 'rauta.io', kind: 'GatewayParameters', name: 'edge' } };
  const office = object(
    'AccessControlFilter',
    'office',
    { effect: 'Allow', clients: { ips: ['203.0.113.9'], ipRanges: [] }, methods: [], paths: [] },
    'rauta.io/v1alpha1',
  );
  const filters = [
    { type: 'ExtensionRef', extensionRef: { group: 'rauta.io', kind: 'AccessControlFilter', name: 'office' } },
  ];
  const scene = sceneOf(
    [
      { ...GATEWAY, spec: { ...(GATEWAY.spec as object), infrastructure } },
      parameters,
      office,
      backend('app', 1),
      route('inner', ['www.example.com'], [{ filters, backendRefs: [ref('app')] }]),
    ],
    ['10.0.0.0/8'],
  );
  const asked = (client: string): number | null =>
    ask(scene, 'GET', 'http://www.example.com:8080/', { headers: ['X-Forwarded-For: 203.0.113.9'], client }).status;
  assert.equal(asked('192.0.2.1'), null, 'it is forwarded');
  assert.equal(asked('10.1.2.3'), 403, 'the program trusts it, the Gateway does not');
});

test('what does not come to a rule is told as the proxy answers it', () => {
  assert.equal(ask(SHOP, 'GET', 'http://www.example.com:8080/../x').status, 400);
  assert.equal(ask(SHOP, 'GET', 'http://www.example.com:8080/', { headers: ['Host: a b'] }).status, 400);
  assert.match(
    ask(SHOP, 'GET', 'http://www.example.com:81/').outcome,
    /nobody listens at port 81; there are the ports 8080/,
  );
  assert.match(ask(SHOP, 'GET', 'https://www.example.com:8080/').outcome, /TLS is not spoken here/);
  assert.match(
    ask(SHOP, 'GET', 'http://www.example.com/', { listener: 'default/edge/none' }).outcome,
    /nobody listens/,
  );
  assert.match(ask(sceneOf([]), 'GET', 'http://www.example.com/').outcome, /nothing listens at all/);
});

test('a question that is none is a sentence', () => {
  const words: Words = { method: 'GET', url: 'http://a/', headers: [], sni: null, client: null, listener: null };
  for (const [change, expected] of [
    [{ method: 'G T' }, /method/],
    [{ url: 'a/b' }, /is not http:\/\/HOST.*; write http:\/\/a\/b$/],
    [{ url: 'http://:80/' }, /no host/],
    [{ url: 'http://a:0/' }, /bad port/],
    [{ url: 'http://a:99999/' }, /bad port/],
    [{ url: 'http://a/\r\nX: y' }, /is not http/],
    [{ headers: ['novalue'] }, /NAME: VALUE/],
    [{ headers: ['a: b\r\nc: d'] }, /NAME: VALUE/],
    [{ client: '192.0.2.1:0' }, /is not an IP address/],
    [{ client: '2001:db8::1:99999' }, /is not an IP address/],
    [{ client: '[192.0.2.1]:53' }, /is not an IP address/],
    [{ client: 'nobody' }, /is not an IP address/],
    [{ listener: 'a/b' }, /NAMESPACE\/GATEWAY\/LISTENER/],
  ] as const) {
    const question = questionOf({ ...words, ...change });
    assert.ok(typeof question === 'string');
    assert.match(question, expected);
  }
});

test('a session of layer 4: by its port, or by the name in the handshake', () => {
  const gateway = object('Gateway', 'bytes', {
    gatewayClassName: 'rauta',
    listeners: [
      { name: 'db', port: 5432, protocol: 'TCP', allowedRoutes: { namespaces: { from: 'Same' } } },
      {
        name: 'through',
        port: 8443,
        protocol: 'TLS',
        hostname: '*.example.com',
        tls: { mode: 'Passthrough' },
        allowedRoutes: { namespaces: { from: 'Same' } },
      },
    ],
  });
  const of = (kind: string, name: string, section: string, to: readonly unknown[], more: object = {}): KubeObject => {
    const parentRefs = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'bytes', sectionName: section }];
    return object(kind, name, { parentRefs, rules: [{ backendRefs: to }], ...more });
  };
  const scene = sceneOf([
    gateway,
    backend('pg', 5432),
    of('TCPRoute', 'db', 'db', [ref('pg', 3), ref('missing')]),
    of('TLSRoute', 'shop', 'through', [ref('pg')], { hostnames: ['shop.example.com'] }),
  ]);
  const ask = (url: string): Explanation => {
    const question = questionOf({ method: 'GET', url, headers: [], sni: null, client: null, listener: null });
    assert.ok(typeof question !== 'string', String(question));
    return explain(question, scene);
  };
  const tcp = ask('tcp://any:5432');
  assert.equal(tcp.outcome, 'relayed to default/pg');
  assert.deepEqual(
    tcp.backends.map(({ share, broken, protocol }) => [share, broken, protocol]),
    [
      [0.75, '', 'tcp'],
      [0.25, 'reset: its reference is not usable', ''],
    ],
  );
  assert.match(explanationText(tcp).join('\n'), /rule +TCPRoute default\/db rule 0\n/);
  assert.equal(ask('https://shop.example.com:8443/').outcome, 'relayed to default/pg');
  assert.deepEqual(
    ['tls://other.example.com:8443', 'tls://other.org:8443'].map((url) => `${ask(url).outcome} ${ask(url).flag}`),
    ['reset: no route takes the name other.example.com NR', 'reset: no route takes the name other.org NR'],
  );
});

test('an endpoint that leads back to its own listener gets nothing, and that is said', () => {
  const listeners = [1, 2, 3].map((port) => ({ name: `l${port}`, port, protocol: 'TCP' }));
  const gateway = object('Gateway', 'bytes', { gatewayClassName: 'rauta', listeners });
  const at = (name: string, ...ports: readonly number[]): KubeObject => {
    const endpoints = ports.map((port) => ({ address: '127.0.0.1', port }));
    return object('Backend', name, { endpoints, loadBalancing: { type: 'RoundRobin' } }, 'rauta.io/v1alpha1');
  };
  const of = (name: string, section: string, to: string): KubeObject => {
    const parentRefs = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'bytes', sectionName: section }];
    return object('TCPRoute', name, { parentRefs, rules: [{ backendRefs: [ref(to)] }] });
  };
  const routes = [of('one', 'l1', 'two'), of('two', 'l2', 'both'), of('three', 'l3', 'row')];
  const scene = sceneOf([gateway, ...routes, at('two', 2), at('both', 1, 9), at('row', 9)]);
  const ask = (port: number): Explanation => {
    const url = `tcp://any:${port}`;
    const question = questionOf({ method: 'GET', url, headers: [], sni: null, client: null, listener: null });
    assert.ok(typeof question !== 'string', String(question));
    return explain(question, scene);
  };
  const { outcome, flag, backends } = ask(1);
  assert.deepEqual([outcome, flag], ['reset: no backend can be had', 'UF']);
  assert.equal(backends[0]?.broken, 'reset: its endpoints lead back to this listener');
  const second = ask(2);
  assert.equal(second.outcome, 'relayed to default/both');
  assert.deepEqual(
    second.backends[0]?.endpoints.map(({ port, turn }) => [port, turn]),
    [
      [1, ''],
      [9, 'may'],
    ],
  );
  assert.equal(ask(3).outcome, 'relayed to default/row');
});

/** A Gateway `bytes` of one UDP listener `dns` on 5353, and these. */
function datagrams(...objects: readonly KubeObject[]): Scene {
  const listeners = [{ name: 'dns', port: 5353, protocol: 'UDP' }];
  return sceneOf([object('Gateway', 'bytes', { gatewayClassName: 'rauta', listeners }), ...objects]);
}

function udpRoute(name: string, to: readonly unknown[], section = 'dns'): KubeObject {
  const parentRefs = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'bytes', sectionName: section }];
  return object('UDPRoute', name, { parentRefs, rules: [{ backendRefs: to }] });
}

/** Backend and port of the endpoint that is said to get the flow. */
function flowOf(scene: Scene, client: string): string {
  const { backends } = ask(scene, 'GET', 'udp://any:5353', { client });
  const next = backends.flatMap(({ backend, endpoints }) =>
    endpoints.filter(({ turn }) => turn === 'next').map(({ port }) => `${backend} ${port}`),
  );
  assert.equal(next.length, 1, client);
  return next[0] as string;
}

test('of a flow of datagrams its client says which backend and endpoint it has', () => {
  const both = [ref('a', 3), ref('b')];
  const scene = datagrams(udpRoute('dns', both), backend('a', 1, 2), backend('b', 3));
  const told = ask(scene, 'GET', 'udp://any:5353', { client: '192.0.2.1:40000' });
  assert.equal(told.listener?.protocol, 'UDP');
  assert.deepEqual([told.rule?.kind, told.rule?.route, told.status], ['UDPRoute', 'default/dns', null]);
  assert.match(told.outcome, /^relayed to default\/[ab]$/);
  assert.deepEqual(
    told.backends.map(({ share, protocol, balancer }) => [share, protocol, balancer]),
    [
      [0.75, 'udp', 'maglev'],
      [0.25, 'udp', 'maglev'],
    ],
  );
  const flows = Array.from({ length: 400 }, (_, i) => flowOf(scene, `192.0.2.1:${40_000 + i}`));
  const of = (what: string): number => flows.filter((flow) => flow.startsWith(what)).length;
  assert.ok(of('default/a') > 260 && of('default/a') < 340, `${of('default/a')} of 400 by a weight of three in four`);
  assert.ok(of('default/a 1') > 90 && of('default/a 2') > 90);
  assert.equal(flowOf(scene, '[2001:db8::1]:40000'), flowOf(scene, '[2001:db8:0::1]:40000'));
  const anyone = ask(scene, 'GET', 'udp://any:5353');
  assert.equal(anyone.outcome, 'relayed to default/a or default/b');
  assert.ok(anyone.backends.every(({ endpoints }) => endpoints.every(({ turn }) => turn === 'may')));
  assert.match(explanationText(anyone).join('\n'), /note +which of them a flow gets follows from .* --client/);
});

test('where the balancer asks for the address of a client only, all its flows have one endpoint', () => {
  const balancer = { type: 'maglev', key: 'clientAddress', name: '' } as const;
  const byFlow = datagrams(udpRoute('dns', [ref('a')]), backend('a', 1, 2, 3));
  const entries = [...byFlow.entries].map((entry) => (entry.kind === 'cluster' ? { ...entry, balancer } : entry));
  const scene = { ...byFlow, entries };
  const one = flowOf(scene, '192.0.2.1:40000');
  for (let port = 40_001; port < 40_020; port++) assert.equal(flowOf(scene, `192.0.2.1:${port}`), one);
  assert.equal(flowOf(scene, '192.0.2.1'), one);
  const clients = Array.from({ length: 40 }, (_, i) => flowOf(scene, `192.0.2.${i + 1}`));
  assert.equal(new Set(clients).size, 3);
});

test('datagrams that nobody gets: why', () => {
  const at = (scene: Scene, url = 'udp://any:5353', client = '192.0.2.1:40000'): Explanation =>
    ask(scene, 'GET', url, { client });
  const said = ({ outcome, flag, status }: Explanation): unknown[] => [outcome, flag, status];
  const lost = datagrams(udpRoute('dns', [ref('a'), ref('missing')]), backend('a', 1));
  const told = Array.from({ length: 32 }, (_, i) => at(lost, undefined, `192.0.2.1:${40_000 + i}`));
  const dropped = told.find(({ status }) => status === 0);
  assert.deepEqual(said(dropped as Explanation), ['dropped: it would go to default/missing', 'NC', 0]);
  assert.match((dropped?.keptOut ?? []).map(({ why }) => why).join(), /ResolvedRefs is False \(BackendNotFound\)/);
  assert.ok(told.some(({ status }) => status === null));
  const empty = datagrams(udpRoute('dns', [ref('a')]), backend('a'));
  assert.deepEqual(said(at(empty)).slice(0, 2), ['dropped: it would go to default/a', 'UH']);
  const none = datagrams(udpRoute('dns', [ref('a')], 'other'), backend('a', 1));
  assert.deepEqual(said(at(none)), ['dropped: no route takes the port', 'NR', 0]);
  assert.match(
    at(none)
      .keptOut.map(({ object, why }) => `${object} ${why}`)
      .join(),
    /UDPRoute default\/dns .*NoMatchingParent/,
  );
  const two = datagrams(udpRoute('b', [ref('a')]), udpRoute('a', [ref('a')]), backend('a', 1));
  assert.equal(at(two).rule?.route, 'default/a');
  assert.match(at(two).notes[0] as string, /^attached here too, and not served: UDPRoute default\/b /);
  assert.match(at(two, 'udp://any:5354').outcome, /nobody listens at port 5354 of UDP; there are the ports 5353$/);
  const byTcp = at(two, 'tcp://any:5353');
  assert.equal(byTcp.outcome, 'refused: nobody listens at port 5353; nothing listens at all');
  assert.deepEqual(byTcp.notes, ['5353 is a port of UDP here']);
  assert.equal(at(two, 'udp://any').rule?.route, 'default/a', 'the only one there is');
});

test('of two sockets of one port the one on the address that is asked is explained, else the one on any', () => {
  const gatewayAt = (name: string, addresses: readonly object[]): KubeObject =>
    object('Gateway', name, {
      gatewayClassName: 'rauta',
      addresses,
      listeners: [{ name: 'http', port: 8080, protocol: 'HTTP' }],
    });
  const to = (name: string): KubeObject =>
    object('HTTPRoute', name, {
      parentRefs: [{ name }],
      rules: [{ backendRefs: [{ group: 'rauta.io', kind: 'Backend', name }] }],
    });
  const scene = sceneOf([
    gatewayAt('any', [{ type: 'IPAddress' }]),
    gatewayAt('own', [{ type: 'IPAddress', value: '127.0.0.2' }]),
    ...['any', 'own'].flatMap((name) => [backend(name, 1), to(name)]),
  ]);
  const socketFor = (host: string): string | undefined => ask(scene, 'GET', `http://${host}:8080/`).socket?.address;
  assert.equal(socketFor('127.0.0.2'), '127.0.0.2');
  assert.equal(socketFor('127.0.0.1'), '0.0.0.0');
  assert.equal(ask(scene, 'GET', 'http://127.0.0.2:8080/').rule?.route, 'default/own');
});

test('documents that are left out are told whatever is answered, other problems where no answer is a good one', () => {
  const left: Problem = {
    severity: 'error',
    message: 'unknown field',
    place: { file: 'a.yaml', line: 3, column: 5, object: 'HTTPRoute/default/lost' },
    effect: 'is not served',
  };
  const idle: Problem = { severity: 'warning', message: 'It does nothing.', place: { object: 'Backend/default/x' } };
  const scene = { ...SHOP, problems: [idle, left] };
  const text = 'a.yaml:3:5: error: HTTPRoute default/lost: unknown field';
  assert.deepEqual(ask(scene, 'GET', 'http://www.example.com:8080/shop/a').problems, [text]);
  assert.deepEqual(ask(scene, 'GET', 'http://www.example.com:8080/nowhere').problems, [
    text,
    'warning: Backend default/x: It does nothing.',
  ]);
});

test('host names that are not looked up in files are told, and are no lack of endpoints', () => {
  const named = object('Backend', 'app', { endpoints: [{ hostname: 'app.internal', port: 1 }] }, 'rauta.io/v1alpha1');
  const objects = [GATEWAY, named, route('shop', [], [{ backendRefs: [ref('app')] }], { sectionName: 'any' })];
  const told = ask({ ...sceneOf(objects), offline: true }, 'GET', 'http://www.example.com:8080/');
  assert.equal(told.outcome, 'forwarded to default/app');
  assert.match(told.notes.join('\n'), /^app\.internal of default\/app: not looked up here/);
  const running = ask(sceneOf(objects), 'GET', 'http://www.example.com:8080/');
  assert.match(running.outcome, /^503/);
});

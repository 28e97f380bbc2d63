// Gateways and their listeners: what is accepted, counted and told of them, and what changes under way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf } from '../../tools/certificates.ts';
import { defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, when } from '../kubernetes/site.ts';
import { Rauta } from '../process/support.ts';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { client, secret } from './certificates.ts';
import {
  answers,
  backend,
  becomes,
  GOOD_GATEWAY,
  GOOD_LISTENER,
  gateway,
  heldPort,
  type Made,
  open,
  prefix,
  route,
  Site,
  service,
  to,
  who,
} from './site.ts';

const ca = authority('Test');
const site = new Site(async () => [
  ...service('v1', await backend('v1')),
  ...service('v2', await backend('v2')),
  secret('own', leaf(ca, ['a.test'])),
]);

const rules = [{ backendRefs: to('v1') }];
const HTTP_KINDS = 'of HTTPRoute GRPCRoute:';

/** The four listeners of one port, with or without hostnames of the routes. */
function isolated(name: string, port: number, hostnames: boolean): Made[] {
  const listeners = [
    ['empty', undefined],
    ['wide', '*.example.com'],
    ['narrow', '*.foo.example.com'],
    ['exact', 'abc.foo.example.com'],
  ] as const;
  const theirs = ['bar.com', '*.example.com', '*.foo.example.com', 'abc.foo.example.com'];
  return [
    gateway(
      name,
      listeners.map(([own, hostname]) => ({ ...open(own, port), ...(hostname === undefined ? {} : { hostname }) })),
    ),
    ...listeners.map(([own]) =>
      route(
        `${name}-${own}`,
        `${name}#${own}`,
        [{ matches: [prefix(`/${own}`)], backendRefs: to('v1') }],
        hostnames ? { hostnames: theirs } : {},
      ),
    ),
  ];
}

const [plain, crossing] = [heldPort(), heldPort()];
site.situation(
  'GatewayHTTPListenerIsolation',
  [...isolated('isolated', plain, false), ...isolated('crossing', crossing, true)],
  async () => {
    for (const port of [plain, crossing]) {
      for (const [host, own] of [
        ['bar.com', 'empty'],
        ['bar.example.com', 'wide'],
        ['bar.foo.example.com', 'narrow'],
        ['abc.foo.example.com', 'exact'],
      ]) {
        for (const path of ['empty', 'wide', 'narrow', 'exact']) {
          await answers(port, [`${host}/${path}`, path === own ? 'v1' : '404']);
        }
      }
    }
  },
);

const served = heldPort();
site.situation(
  'GatewayListenerUnsupportedProtocol',
  [
    gateway('only-unserved', [{ name: 'other', port: heldPort(), protocol: 'example.com/other' }]),
    gateway('partly-served', [
      open('http', served),
      { name: 'other', port: heldPort(), protocol: 'example.com/other' },
    ]),
    route('partly-served', 'partly-served', rules),
  ],
  async () => {
    const unserved =
      '0 of no kind: Accepted=False UnsupportedProtocol, Programmed=False Invalid, ResolvedRefs=True ResolvedRefs, Conflicted=False NoConflicts';
    await becomes(() => site.listener('only-unserved', 'other'), unserved);
    assert.match((await site.said('Gateway', 'only-unserved'))[0] ?? '', /Accepted=False ListenersNotValid/);
    await becomes(() => site.listener('partly-served', 'http'), `1 ${HTTP_KINDS} ${GOOD_LISTENER}`);
    await becomes(() => site.listener('partly-served', 'other'), unserved);
    assert.match((await site.said('Gateway', 'partly-served'))[0] ?? '', /Accepted=True ListenersNotValid/);
    await answers(served, ['any.test/', 'v1']);
  },
);

site.situation(
  'GatewayInvalidParametersRef',
  [
    gateway('parameters', [open('http', heldPort())], {
      infrastructure: { parametersRef: { group: 'example.com', kind: 'Unknown', name: 'nobodys' } },
    }),
  ],
  () =>
    becomes(
      async () => (await site.said('Gateway', 'parameters'))[0]?.split(', ')[0],
      'Accepted=False InvalidParameters',
    ),
);

const kinds = (...names: readonly string[]): object => ({
  allowedRoutes: { namespaces: { from: 'All' }, kinds: names.map((kind) => ({ kind })) },
});
const partly = heldPort();
site.situation(
  'GatewayInvalidRouteKind',
  [
    gateway('wrong-kind', [{ ...open('http', heldPort()), ...kinds('InvalidRoute') }]),
    gateway('partly-kind', [{ ...open('http', partly), ...kinds('InvalidRoute', 'HTTPRoute') }]),
    route('partly-kind', 'partly-kind', rules),
  ],
  async () => {
    const wrong = (status: string): string =>
      `Accepted=True Accepted, Programmed=${status}, ResolvedRefs=False InvalidRouteKinds, Conflicted=False NoConflicts`;
    await becomes(() => site.listener('wrong-kind', 'http'), `0 of no kind: ${wrong('False Invalid')}`);
    await becomes(() => site.listener('partly-kind', 'http'), `1 of HTTPRoute: ${wrong('True Programmed')}`);
    await answers(partly, ['any.test/', 'v1']);
  },
);

const https = (port: number): object => ({
  ...open('https', port, 'HTTPS', { hostname: 'a.test', tls: { certificateRefs: [{ name: 'own' }] } }),
});
const [one, two] = [heldPort(), heldPort()];
site.situation(
  'GatewayModifyListeners',
  [gateway('growing', [https(one)]), route('growing', 'growing', rules)],
  async () => {
    const good = `1 ${HTTP_KINDS} ${GOOD_LISTENER}`;
    await becomes(() => site.listener('growing', 'https'), good);
    site.put(gateway('growing', [https(one), open('http', two)]));
    await becomes(() => site.listener('growing', 'http'), good);
    await site.observed('Gateway', 'growing', 2);
    assert.equal(await who(two, 'a.test/'), 'v1');
    assert.equal(await who(one, 'a.test/', { tls: client(ca) }), 'v1');
    site.put(gateway('growing', [open('http', two)]));
    await becomes(() => site.listener('growing', 'https'), 'none');
    await site.observed('Gateway', 'growing', 3);
    assert.equal(await who(two, 'a.test/'), 'v1');
    await becomes(() => who(one, 'a.test/', { tls: client(ca) }).catch((error) => error.code), 'ECONNREFUSED');
  },
);

const bumped = (port: number, extra: readonly object[] = []): Made => gateway('bumped', [open('http', port), ...extra]);
const bumpedPort = heldPort();
site.situation('GatewayObservedGenerationBump', [bumped(bumpedPort)], async () => {
  await site.observed('Gateway', 'bumped', 1);
  site.put(bumped(bumpedPort, [{ name: 'alternate', port: heldPort(), protocol: 'HTTP' }]));
  await site.observed('Gateway', 'bumped', 2);
});

const unvalued = heldPort();
site.situation(
  'GatewayOptionalAddressValue',
  [
    gateway('unvalued', [open('http', unvalued)], { addresses: [{ type: 'IPAddress' }] }),
    route('unvalued', 'unvalued', rules),
  ],
  async () => {
    await site.says('Gateway', 'unvalued', GOOD_GATEWAY);
    await becomes(async () => (await site.shown('Gateway', 'unvalued'))?.status?.addresses?.[0]?.value, '127.0.0.1');
    await answers(unvalued, ['any.test/', 'v1']);
  },
);

const staticPort = ownPort();
const statics = (...addresses: readonly object[]): Made => gateway('static', [open('http', staticPort)], { addresses });
const [unknown, unusable, usable] = [
  { type: 'example.com/imaginary', value: 'anywhere' },
  // Of a range that is for examples (RFC 5737).
  { type: 'IPAddress', value: '192.0.2.1' },
  { type: 'IPAddress', value: OWN_ADDRESS },
];
site.situation('GatewayStaticAddresses', [statics(unknown, unusable, usable)], async () => {
  const said = async (): Promise<string[]> => (await site.said('Gateway', 'static'))[0]?.split(', ').slice(0, 2) ?? [];
  await becomes(async () => (await said())[0], 'Accepted=False UnsupportedAddress');
  site.put(statics(unusable, usable));
  await becomes(said, ['Accepted=True Accepted', 'Programmed=False AddressNotUsable']);
  site.put(statics(usable));
  await becomes(said, ['Accepted=True Accepted', 'Programmed=True Programmed']);
  await becomes(async () => (await site.shown('Gateway', 'static'))?.status?.addresses, [usable]);
});

const here = [{ name: 'http', port: heldPort(), protocol: 'HTTP' }];
site.situation(
  'GatewayWithAttachedRoutes',
  [
    gateway('attached-one', here),
    route('attached-1', 'attached-one', rules),
    gateway('attached-two', [{ ...here[0], port: heldPort(), hostname: '*.example.com' }]),
    route('attached-2', 'attached-two', rules, { hostnames: ['a.example.com'] }),
    route('attached-3', 'attached-two', rules, { hostnames: ['b.example.com'] }),
    route('attached-not', 'attached-two', rules, { hostnames: ['c.example.org'] }),
    gateway('attached-broken', [
      { ...open('tls', heldPort(), 'HTTPS'), tls: { certificateRefs: [{ name: 'nobodys' }] } },
    ]),
    route('attached-broken', 'attached-broken', [{ backendRefs: to('nobody') }]),
  ],
  async () => {
    await becomes(() => site.listener('attached-one', 'http'), `1 ${HTTP_KINDS} ${GOOD_LISTENER}`);
    await becomes(() => site.listener('attached-two', 'http'), `2 ${HTTP_KINDS} ${GOOD_LISTENER}`);
    await site.says(
      'HTTPRoute',
      'attached-not',
      'Accepted=False NoMatchingListenerHostname, ResolvedRefs=True ResolvedRefs',
    );
    const broken =
      'Accepted=True Accepted, Programmed=False Invalid, ResolvedRefs=False InvalidCertificateRef, Conflicted=False NoConflicts';
    await becomes(() => site.listener('attached-broken', 'tls'), `1 ${HTTP_KINDS} ${broken}`);
    await site.says('HTTPRoute', 'attached-broken', 'Accepted=True Accepted, ResolvedRefs=False BackendNotFound');
  },
);

site.situation(
  'GatewayWithAttachedRoutesWithPort8080',
  [
    gateway('attached-section', [open('unattached', heldPort()), open('http', heldPort())]),
    route('attached-section', 'attached-section#http', rules),
  ],
  async () => {
    await becomes(() => site.listener('attached-section', 'unattached'), `0 ${HTTP_KINDS} ${GOOD_LISTENER}`);
    await becomes(() => site.listener('attached-section', 'http'), `1 ${HTTP_KINDS} ${GOOD_LISTENER}`);
  },
);

// What is made for a Gateway is made in a cluster: the program, and an API server of our own.
test('GatewayInfrastructure', async (t) => {
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  t.after(() => api.close());
  const infrastructure = { labels: { team: 'x' }, annotations: { size: 'small' } };
  const spec = {
    gatewayClassName: 'rauta',
    infrastructure,
    listeners: [{ name: 'http', port: heldPort(), protocol: 'HTTP' }],
  };
  api.put('GatewayClass', { metadata: { name: 'rauta' }, spec: { controllerName: 'rauta.io/gateway-controller' } });
  api.put('Gateway', { metadata: { name: 'described', namespace: 'infra' }, spec });
  const args = ['--kubernetes', '--kubeconfig', kubeconfig(t, url), '--gateway-service', 'ClusterIP'];
  const own = { POD_NAMESPACE: 'rauta-system', POD_NAME: 'rauta-1', NODE_NAME: 'node-a' };
  const rauta = await Rauta.start({}, args, own);
  t.after(() => rauta.stop());
  await when(api, () => api.get('Service', 'infra', 'described-rauta') !== undefined);
  const made = api.get('Service', 'infra', 'described-rauta');
  const [labels, annotations] = [made?.metadata['labels'], made?.metadata['annotations']] as Record<string, string>[];
  assert.deepEqual(
    [labels?.['team'], labels?.['gateway.networking.k8s.io/gateway-name'], annotations?.['size']],
    ['x', 'described', 'small'],
  );
});

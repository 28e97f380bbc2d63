// What a route names: Gateways, listeners, Services, other namespaces; and what is said where that is not to be had.

import assert from 'node:assert/strict';
import {
  answers,
  backend,
  becomes,
  exact,
  GOOD_ROUTE,
  gateway,
  grant,
  heldPort,
  made,
  open,
  prefix,
  route,
  Site,
  service,
  to,
  who,
} from './site.ts';

const [port, closed] = [heldPort(), heldPort()];
const site = new Site(async () => {
  const names = ['v1', 'web/page', 'app/one', 'app/two'];
  const ports = await Promise.all(names.map((name) => backend(name)));
  return [
    gateway('shared', [open('http', port)]),
    gateway('own', [{ name: 'http', port: closed, protocol: 'HTTP' }]),
    ...names.flatMap((name, i) => service(name, ports[i] as number)),
  ];
});

const at = (host: string) => ({ hostnames: [host] });
const accepted = (refs: string): string => `Accepted=True Accepted, ResolvedRefs=${refs}`;
const FROM_HERE = { kind: 'HTTPRoute', namespace: 'infra' };

site.situation(
  'HTTPRouteDisallowedKind',
  [
    gateway('tls-only', [
      { name: 'tls', port: heldPort(), protocol: 'TLS', hostname: 'a.test', tls: { mode: 'Passthrough' } },
    ]),
    route('disallowed-kind', 'tls-only', [{ backendRefs: to('v1') }]),
  ],
  async () => {
    await site.says(
      'HTTPRoute',
      'disallowed-kind',
      'Accepted=False NotAllowedByListeners, ResolvedRefs=True ResolvedRefs',
    );
    await becomes(async () => (await site.listener('tls-only', 'tls')).slice(0, 13), '0 of TLSRoute');
  },
);

site.situation(
  'HTTPRouteInvalidBackendRefUnknownKind',
  [
    route(
      'unknown-kind',
      'shared',
      [{ backendRefs: [{ group: 'unknown.example', kind: 'NonExistent', name: 'v1', port: 80 }] }],
      at('unknown-kind.test'),
    ),
  ],
  async () => {
    await site.says('HTTPRoute', 'unknown-kind', accepted('False InvalidKind'));
    await answers(port, ['unknown-kind.test/', '500']);
  },
);

site.situation(
  'HTTPRouteInvalidCrossNamespaceBackendRef',
  [route('not-granted', 'shared', [{ backendRefs: to('web/page') }], at('not-granted.test'))],
  async () => {
    await site.says('HTTPRoute', 'not-granted', accepted('False RefNotPermitted'));
    await answers(port, ['not-granted.test/', '500']);
  },
);

site.situation(
  'HTTPRouteInvalidCrossNamespaceParentRef',
  [route('web/elsewhere', 'own', [{ backendRefs: to('page') }])],
  async () => {
    await site.says(
      'HTTPRoute',
      'web/elsewhere',
      'Accepted=False NotAllowedByListeners, ResolvedRefs=True ResolvedRefs',
    );
    await answers(closed, ['any.test/', '404']);
  },
);

site.situation(
  'HTTPRouteInvalidNonExistentBackendRef',
  [route('missing', 'shared', [{ backendRefs: to('nobody') }], at('missing.test'))],
  async () => {
    await site.says('HTTPRoute', 'missing', accepted('False BackendNotFound'));
    await answers(port, ['missing.test/', '500']);
  },
);

const NO_PARENT = 'Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs';
site.situation(
  'HTTPRouteInvalidParentRefNotMatchingListenerPort',
  [route('wrong-port', 'shared:81', [{ backendRefs: to('v1') }], at('wrong-port.test'))],
  async () => {
    await site.says('HTTPRoute', 'wrong-port', NO_PARENT);
    await answers(port, ['wrong-port.test/', '404']);
  },
);

site.situation(
  'HTTPRouteInvalidParentRefNotMatchingSectionName',
  [route('wrong-section', 'shared#other', [{ backendRefs: to('v1') }], at('wrong-section.test'))],
  async () => {
    await site.says('HTTPRoute', 'wrong-section', NO_PARENT);
    await answers(port, ['wrong-section.test/', '404']);
  },
);

site.situation(
  'HTTPRouteInvalidParentRefSectionNameNotMatchingPort',
  [route('wrong-pair', 'shared#http:81', [{ backendRefs: to('v1') }], at('wrong-pair.test'))],
  async () => {
    await site.says('HTTPRoute', 'wrong-pair', NO_PARENT);
    await answers(port, ['wrong-pair.test/', '404']);
  },
);

/** Each is wrong in one thing. */
const wrong = [
  grant('wrong/page', FROM_HERE, { kind: 'Service', name: 'page' }),
  grant('web/wrong-namespace', { kind: 'HTTPRoute', namespace: 'elsewhere' }, { kind: 'Service', name: 'page' }),
  grant('web/wrong-kind', { kind: 'TLSRoute', namespace: 'infra' }, { kind: 'Service', name: 'page' }),
  grant('web/wrong-group', { ...FROM_HERE, group: 'not.networking' }, { kind: 'Service', name: 'page' }),
  grant('web/wrong-name', FROM_HERE, { kind: 'Service', name: 'other' }),
  grant('web/wrong-target', FROM_HERE, { kind: 'Secret', name: 'page' }),
];
site.situation(
  'HTTPRouteInvalidReferenceGrant',
  [...wrong, route('wrong-grants', 'shared', [{ backendRefs: to('web/page') }], at('wrong-grants.test'))],
  async () => {
    await site.says('HTTPRoute', 'wrong-grants', accepted('False RefNotPermitted'));
    await answers(port, ['wrong-grants.test/', '500']);
  },
);

const permitted = grant('app/one', FROM_HERE, { kind: 'Service', name: 'one' });
site.situation(
  'HTTPRoutePartiallyInvalidViaInvalidReferenceGrant',
  [
    permitted,
    route(
      'partly-granted',
      'shared',
      [
        { matches: [prefix('/v1')], backendRefs: to('app/one') },
        { matches: [prefix('/v2')], backendRefs: to('app/two') },
        { matches: [prefix('/half')], backendRefs: to(['app/one', 1], ['app/two', 1]) },
      ],
      at('partly.test'),
    ),
  ],
  async () => {
    await site.says('HTTPRoute', 'partly-granted', accepted('False RefNotPermitted'));
    await answers(port, ['partly.test/v1', 'app/one'], ['partly.test/v2', '500']);
    const seen = new Set<string>();
    for (let i = 0; i < 8; i++) seen.add(await who(port, 'partly.test/half'));
    assert.deepEqual([...seen].sort(), ['500', 'app/one'], 'the share of what is not granted is answered with 500');
  },
);

site.situation(
  'HTTPRouteReferenceGrant',
  [route('granted', 'shared', [{ backendRefs: to('app/two') }], at('granted.test'))],
  async () => {
    const two = grant('app/two', FROM_HERE, { kind: 'Service', name: 'two' });
    await answers(port, ['granted.test/', '500']);
    site.put(two);
    await site.says('HTTPRoute', 'granted', GOOD_ROUTE);
    await becomes(() => who(port, 'granted.test/'), 'app/two');
    site.remove(two);
    await site.says('HTTPRoute', 'granted', accepted('False RefNotPermitted'));
    await becomes(() => who(port, 'granted.test/'), '500');
  },
);

site.situation(
  'HTTPRouteNoBackendRefs',
  [
    route(
      'no-backends',
      'shared',
      [{ matches: [exact('/omitted')] }, { matches: [exact('/empty')], backendRefs: [] }],
      at('no-backends.test'),
    ),
  ],
  async () => {
    await site.says('HTTPRoute', 'no-backends', GOOD_ROUTE);
    await answers(
      port,
      ['no-backends.test/omitted', '500'],
      ['no-backends.test/empty', '500'],
      ['no-backends.test/', '404'],
    );
  },
);

const bumped = (path: string) =>
  route('bumped', 'shared', [{ matches: [prefix(path)], backendRefs: to('v1') }], at('bumped.test'));
site.situation('HTTPRouteObservedGenerationBump', [bumped('/one')], async () => {
  await site.observed('HTTPRoute', 'bumped', 1);
  site.put(bumped('/two'));
  await site.observed('HTTPRoute', 'bumped', 2);
  await becomes(() => who(port, 'bumped.test/two'), 'v1');
  await answers(port, ['bumped.test/one', '404']);
});

site.situation(
  'GatewayClassObservedGenerationBump',
  [
    {
      ...made('GatewayClass', 'other', { spec: { controllerName: 'rauta.io/gateway-controller' } }),
      metadata: { name: 'other' },
    },
  ],
  async () => {
    await site.observed('GatewayClass', 'other', 1);
    const spec = { controllerName: 'rauta.io/gateway-controller', description: 'said anew' };
    site.put({ ...made('GatewayClass', 'other', { spec }), metadata: { name: 'other' } });
    await site.observed('GatewayClass', 'other', 2);
  },
);

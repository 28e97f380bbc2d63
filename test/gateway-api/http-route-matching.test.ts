// What of a request finds its rule: paths, methods, headers, query, hosts, ports, and who comes first.

import {
  answers,
  backend,
  exact,
  GOOD_ROUTE,
  gateway,
  header,
  heldPort,
  open,
  prefix,
  route,
  Site,
  service,
  to,
} from './site.ts';

const [port, second, third] = [heldPort(), heldPort(), heldPort()];
const BACKENDS = ['v1', 'v2', 'v3', 'web/page'];

const site = new Site(async () => {
  const ports = await Promise.all(BACKENDS.map((name) => backend(name)));
  return [gateway('shared', [open('http', port)]), ...BACKENDS.flatMap((name, i) => service(name, ports[i] as number))];
});

const rule = (name: string, ...matches: readonly object[]): object => ({ matches, backendRefs: to(name) });
const at = (host: string) => ({ hostnames: [host] });

site.situation(
  'HTTPRouteSimpleSameNamespace',
  [route('simple', 'shared', [{ backendRefs: to('v1') }], at('simple.test'))],
  async () => {
    await site.says('HTTPRoute', 'simple', GOOD_ROUTE);
    await answers(port, ['simple.test/', 'v1'], ['simple.test/any/path?x=1', 'v1'], ['POST simple.test/', 'v1']);
  },
);

site.situation(
  'HTTPRouteCrossNamespace',
  [route('web/cross', 'shared', [{ backendRefs: to('page') }], at('cross.test'))],
  async () => {
    await site.says('HTTPRoute', 'web/cross', GOOD_ROUTE);
    await answers(port, ['cross.test/', 'web/page']);
  },
);

site.situation(
  'HTTPRouteExactPathMatching',
  [
    route(
      'exact-paths',
      'shared',
      [rule('v1', exact('/one')), rule('v2', exact('/two')), rule('v3', exact('/three/'))],
      at('exact.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['exact.test/one', 'v1'],
      ['exact.test/two', 'v2'],
      ['exact.test/two?query=1', 'v2'],
      ['exact.test/', '404'],
      ['exact.test/one/example', '404'],
      ['exact.test/two/', '404'],
      ['exact.test/Two', '404'],
      ['exact.test/three/', 'v3'],
      ['exact.test/three', '404'],
    ),
);

site.situation(
  'HTTPRouteHeaderMatching',
  [
    route(
      'headers',
      'shared',
      [
        rule('v1', header('version', 'one')),
        rule('v2', header('version', 'two')),
        rule('v1', {
          headers: [
            { name: 'version', value: 'two' },
            { name: 'color', value: 'orange' },
          ],
        }),
        rule('v1', header('color', 'blue'), header('Color', 'green')),
        rule('v2', header('color', 'red'), header('color', 'yellow')),
      ],
      at('headers.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['headers.test/', 'v1', { Version: 'one' }],
      ['headers.test/', 'v2', { VERSION: 'two' }],
      ['headers.test/', 'v1', { version: 'two', color: 'orange' }],
      ['headers.test/', 'v2', { version: 'two', color: 'blue' }],
      ['headers.test/', '404'],
      ['headers.test/', '404', { color: 'orange' }],
      ['headers.test/', '404', { version: 'One' }],
      ['headers.test/', '404', { version: 'one, two' }],
      ['headers.test/v2', 'v1', { color: 'blue' }],
      ['headers.test/', 'v1', { color: 'green' }],
      ['headers.test/', 'v2', { color: 'red' }],
      ['headers.test/', 'v2', { color: 'yellow' }],
      ['headers.test/', '404', { color: 'purple' }],
    ),
);

site.situation(
  'HTTPRouteMatching',
  [
    route(
      'matching',
      'shared',
      [rule('v1', prefix('/'), header('version', 'one')), rule('v2', prefix('/v2'), header('version', 'two'))],
      at('matching.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['matching.test/', 'v1'],
      ['matching.test/example', 'v1'],
      ['matching.test/', 'v1', { version: 'one' }],
      ['matching.test/v2', 'v2'],
      ['matching.test/v2/', 'v2'],
      ['matching.test/v2/example', 'v2'],
      ['matching.test/v2example', 'v1'],
      ['matching.test/foo/v2/example', 'v1'],
      ['matching.test/', 'v2', { version: 'two' }],
      ['matching.test/v2/', 'v2', { version: 'one' }],
    ),
);

site.situation(
  'HTTPRouteMatchingAcrossRoutes',
  [
    route('across-1', 'shared', [rule('v1', prefix('/'), header('version', 'one'))], {
      hostnames: ['across.test', 'across-2.test'],
    }),
    route('across-2', 'shared', [rule('v2', prefix('/v2'), header('version', 'two'))], at('across.test')),
  ],
  () =>
    answers(
      port,
      ['across.test/', 'v1'],
      ['across.test/example', 'v1'],
      ['across.test/', 'v1', { version: 'one' }],
      ['across-2.test/v2', 'v1'],
      ['across-2.test/v2/example', 'v1', { version: 'two' }],
      ['across.test/v2', 'v2'],
      ['across.test/v2/', 'v2'],
      ['across.test/v2example', 'v1'],
      ['across.test/foo', 'v2', { version: 'two' }],
    ),
);

site.situation(
  'HTTPRoutePathMatchOrder',
  [
    route(
      'order',
      'shared',
      [
        rule('v3', exact('/match/exact/one')),
        rule('v2', exact('/match/exact')),
        rule('v1', prefix('/match')),
        rule('v2', prefix('/match/prefix/one')),
        rule('v1', prefix('/match/prefix')),
        rule('v3', prefix('/match/prefix/')),
      ],
      at('order.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['order.test/match/exact/one', 'v3'],
      ['order.test/match/exact', 'v2'],
      ['order.test/match', 'v1'],
      ['order.test/match/any', 'v1'],
      ['order.test/match/prefix/one/any', 'v2'],
      // Of equal prefixes (a slash at the end means nothing) the first rule has it.
      ['order.test/match/prefix/any', 'v1'],
    ),
);

site.situation(
  'HTTPRouteMethodMatching',
  [
    route(
      'methods',
      'shared',
      [
        rule('v1', { method: 'POST' }),
        rule('v2', { method: 'GET' }),
        rule('v1', prefix('/path1', { method: 'GET' })),
        rule('v2', { method: 'PUT', ...header('version', 'one') }),
        rule('v3', prefix('/path2', { method: 'POST', ...header('version', 'two') })),
        rule(
          'v1',
          prefix('/path3', { method: 'PATCH' }),
          prefix('/path4', { method: 'DELETE', ...header('version', 'three') }),
        ),
        rule('v1', prefix('/path5')),
        rule('v2', { method: 'PATCH' }),
        rule('v3', header('version', 'four')),
      ],
      at('methods.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['POST methods.test/', 'v1'],
      ['methods.test/', 'v2'],
      ['HEAD methods.test/', '404'],
      ['methods.test/path1', 'v1'],
      ['PUT methods.test/', 'v2', { version: 'one' }],
      ['POST methods.test/path2', 'v3', { version: 'two' }],
      ['PUT methods.test/', '404'],
      ['PATCH methods.test/path3', 'v1'],
      ['DELETE methods.test/path4', 'v1', { version: 'three' }],
      // The path comes before the method, the method before headers.
      ['PATCH methods.test/path5', 'v1'],
      ['PATCH methods.test/', 'v2', { version: 'four' }],
    ),
);

const query = (...pairs: readonly (readonly [string, string])[]): object => ({
  queryParams: pairs.map(([name, value]) => ({ name, value })),
});

site.situation(
  'HTTPRouteQueryParamMatching',
  [
    route(
      'query',
      'shared',
      [
        rule('v1', query(['animal', 'whale'])),
        rule('v2', query(['animal', 'dolphin'])),
        rule('v3', query(['animal', 'dolphin'], ['color', 'blue'])),
        rule('v3', query(['ANIMAL', 'Whale'])),
        rule('v1', prefix('/path1', query(['animal', 'whale'])), {
          ...header('version', 'one'),
          ...query(['animal', 'whale']),
        }),
        rule('v2', prefix('/path2', { ...header('version', 'two'), ...query(['animal', 'whale']) })),
        rule(
          'v3',
          prefix('/path3', query(['animal', 'shark'])),
          prefix('/path4', { ...header('version', 'three'), ...query(['animal', 'kraken']) }),
        ),
        rule('v1', prefix('/path5')),
        rule('v2', { ...header('version', 'four'), ...query(['animal', 'seal']) }),
        rule('v3', header('version', 'four')),
      ],
      at('query.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['query.test/?animal=whale', 'v1'],
      ['query.test/?animal=dolphin', 'v2'],
      ['query.test/?animal=whale&otherparam=irrelevant', 'v1'],
      ['query.test/?animal=dolphin&color=yellow', 'v2'],
      ['query.test/?color=blue&animal=dolphin', 'v3'],
      ['query.test/?ANIMAL=Whale', 'v3'],
      ['query.test/?animal=wh%61le', 'v1'],
      // Of a name that comes twice the first value counts.
      ['query.test/?animal=whale&animal=dolphin', 'v1'],
      ['query.test/', '404'],
      ['query.test/?animal=shark', '404'],
      ['query.test/path1?animal=whale', 'v1'],
      ['query.test/?animal=whale', 'v1', { version: 'one' }],
      ['query.test/path2?animal=whale', 'v2', { version: 'two' }],
      ['query.test/path3?animal=shark', 'v3'],
      ['query.test/path4?animal=kraken', 'v3', { version: 'three' }],
      ['query.test/path5?animal=hydra', 'v1'],
      ['query.test/?animal=seal', 'v2', { version: 'four' }],
      ['query.test/?animal=cat', 'v3', { version: 'four' }],
    ),
);

site.situation(
  'HTTPRouteNamedRule',
  [
    route(
      'named',
      'shared',
      [{ name: 'named-rule', ...rule('v1', prefix('/named')) }, rule('v2', prefix('/unnamed'))],
      at('named.test'),
    ),
  ],
  async () => {
    await site.says('HTTPRoute', 'named', GOOD_ROUTE);
    await answers(port, ['named.test/named', 'v1'], ['named.test/unnamed', 'v2']);
  },
);

site.situation(
  'HTTPRouteListenerHostnameMatching',
  [
    gateway('hosts', [
      { ...open('exact', second), hostname: 'bar.com' },
      { ...open('narrow', second), hostname: 'foo.bar.com' },
      { ...open('wild', second), hostname: '*.bar.com' },
      { ...open('wilder', second), hostname: '*.foo.com' },
    ]),
    route('host-1', 'hosts#exact', [rule('v1', prefix('/'))]),
    route('host-2', 'hosts#narrow', [rule('v2', prefix('/'))]),
    route('host-3', ['hosts#wild', 'hosts#wilder'], [rule('v3', prefix('/'))]),
  ],
  () =>
    answers(
      second,
      ['bar.com/', 'v1'],
      ['foo.bar.com/', 'v2'],
      ['baz.bar.com/', 'v3'],
      ['boo.bar.com/', 'v3'],
      ['multiple.prefixes.bar.com/', 'v3'],
      ['multiple.prefixes.foo.com/', 'v3'],
      ['foo.com/', '404'],
      ['no.matching.host/', '404'],
    ),
);

site.situation(
  'HTTPRouteHostnameIntersection',
  [
    gateway('meeting', [
      { ...open('one', third), hostname: 'very.specific.com' },
      { ...open('two', third), hostname: '*.wildcard.io' },
      { ...open('three', third), hostname: '*.anotherwildcard.io' },
    ]),
    route('meet-exact', 'meeting', [rule('v1', prefix('/s1'))], {
      hostnames: ['non.matching.com', '*.nonmatchingwildcard.io', 'very.specific.com'],
    }),
    route('meet-under', 'meeting', [rule('v2', prefix('/s2'))], {
      hostnames: ['non.matching.com', 'wildcard.io', 'foo.wildcard.io', 'bar.wildcard.io', 'foo.bar.wildcard.io'],
    }),
    route('meet-over', 'meeting', [rule('v3', prefix('/s3'))], { hostnames: ['non.matching.com', '*.specific.com'] }),
    route('meet-wild', 'meeting', [rule('v1', prefix('/s4'))], { hostnames: ['*.anotherwildcard.io'] }),
    route('meet-not', 'meeting', [rule('v2', prefix('/s5'))], { hostnames: ['specific.but.wrong.com', 'wildcard.io'] }),
  ],
  async () => {
    await answers(
      third,
      ['very.specific.com/s1', 'v1'],
      ['very.specific.com:1234/s1', 'v1'],
      ['non.matching.com/s1', '404'],
      ['foo.nonmatchingwildcard.io/s1', '404'],
      ['foo.wildcard.io/s2', 'v2'],
      ['bar.wildcard.io/s2', 'v2'],
      ['foo.bar.wildcard.io/s2', 'v2'],
      ['wildcard.io/s2', '404'],
      ['baz.wildcard.io/s2', '404'],
      ['very.specific.com/s3', 'v3'],
      ['other.specific.com/s3', '404'],
      ['one.anotherwildcard.io/s4', 'v1'],
      ['one.two.anotherwildcard.io/s4', 'v1'],
      ['anotherwildcard.io/s4', '404'],
      ['specific.but.wrong.com/s5', '404'],
    );
    for (const name of ['exact', 'under', 'over', 'wild']) await site.says('HTTPRoute', `meet-${name}`, GOOD_ROUTE);
    const none = 'Accepted=False NoMatchingListenerHostname, ResolvedRefs=True ResolvedRefs';
    await site.says('HTTPRoute', 'meet-not', none);
  },
);

const ports = [heldPort(), heldPort(), heldPort()] as const;
site.situation(
  'HTTPRouteListenerPortMatching',
  [
    gateway(
      'ports',
      ports.map((number, i) => open(`listener-${i}`, number)),
    ),
    route('port-0', `ports:${ports[0]}`, [rule('v1', prefix('/'))]),
    route('port-1', `ports#listener-1:${ports[1]}`, [rule('v2', prefix('/'))]),
    route('port-2', 'ports', [rule('v3', prefix('/everywhere'))]),
  ],
  async () => {
    await answers(ports[0], ['any.test/', 'v1'], ['any.test/everywhere', 'v3']);
    await answers(ports[1], ['any.test/', 'v2'], ['any.test/everywhere', 'v3']);
    await answers(ports[2], ['any.test/', '404'], ['any.test/everywhere', 'v3']);
  },
);

const [left, right] = [heldPort(), heldPort()];
site.situation(
  'HTTPRouteMultipleGateways',
  [
    gateway('left', [open('http', left)]),
    gateway('right', [open('http', right)]),
    route('both', ['left', 'right'], [rule('v1', prefix('/both'))]),
    route('only-left', 'left', [rule('v2', prefix('/left'))]),
    route('only-right', 'right', [rule('v3', prefix('/right'))]),
  ],
  async () => {
    await site.says('HTTPRoute', 'both', GOOD_ROUTE, GOOD_ROUTE);
    await answers(left, ['a.test/both', 'v1'], ['a.test/left', 'v2'], ['a.test/right', '404']);
    await answers(right, ['a.test/both', 'v1'], ['a.test/left', '404'], ['a.test/right', 'v3']);
  },
);

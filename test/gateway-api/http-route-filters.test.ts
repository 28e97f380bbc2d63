// What is done to a request and its answer: redirects, rewrites, header edits, mirrors, CORS.

import assert from 'node:assert/strict';
import {
  answers,
  ask,
  backend,
  becomes,
  GOOD_ROUTE,
  gateway,
  heldPort,
  open,
  prefix,
  route,
  type Seen,
  Site,
  service,
  to,
} from './site.ts';

const [port, low] = [heldPort(), heldPort()];
const mirrored: Seen[] = [];

const site = new Site(async () => {
  const names = ['v1', 'v2', 'v3'];
  const ports = await Promise.all(names.map((name) => backend(name)));
  const watchers = await Promise.all(
    ['mirror-1', 'mirror-2'].map((name) =>
      backend(name, (own, incoming, response) => {
        mirrored.push({
          backend: own,
          method: incoming.method ?? '',
          path: incoming.url ?? '',
          headers: incoming.headers,
          body: '',
        });
        response.writeHead(500).end("what a mirror says is nobody's business");
      }),
    ),
  );
  return [
    gateway('shared', [open('http', port)]),
    ...names.flatMap((name, i) => service(name, ports[i] as number)),
    ...watchers.flatMap((own, i) => service(`mirror-${i + 1}`, own)),
  ];
});

const at = (host: string) => ({ hostnames: [host] });
const redirect = (requestRedirect: object): object => ({ type: 'RequestRedirect', requestRedirect });
const redirected = (path: string, how: object): object => ({ matches: [prefix(path)], filters: [redirect(how)] });
const fullPath = (value: string): object => ({ path: { type: 'ReplaceFullPath', replaceFullPath: value } });
const prefixPath = (value: string): object => ({ path: { type: 'ReplacePrefixMatch', replacePrefixMatch: value } });

/** Each row: what is asked, and `status location`. */
async function moves(port: number, ...rows: readonly (readonly [string, string])[]): Promise<void> {
  for (const [what, expected] of rows) {
    const { status, headers } = await ask(port, what);
    assert.equal(`${status} ${headers.location}`, expected, what);
  }
}

for (const [status, name] of [
  [303, 'HTTPRoute303Redirect'],
  [307, 'HTTPRoute307Redirect'],
  [308, 'HTTPRoute308Redirect'],
] as const) {
  site.situation(
    name,
    [
      route(
        `redirect-${status}`,
        'shared',
        [
          redirected('/host', { hostname: 'example.org', statusCode: status }),
          redirected('/path', { ...fullPath('/new'), statusCode: status }),
        ],
        at(`moved-${status}.test`),
      ),
    ],
    () =>
      moves(
        port,
        [`moved-${status}.test/host`, `${status} http://example.org:${port}/host`],
        [`moved-${status}.test/path/deep?x=1`, `${status} http://moved-${status}.test:${port}/new?x=1`],
      ),
  );
}

site.situation(
  'HTTPRouteRedirectHostAndStatus',
  [
    route(
      'redirect-host',
      'shared',
      [
        redirected('/hostname', { hostname: 'example.org' }),
        redirected('/both', { hostname: 'example.org', statusCode: 301 }),
      ],
      at('host-moved.test'),
    ),
  ],
  () =>
    moves(
      port,
      ['host-moved.test/hostname', `302 http://example.org:${port}/hostname`],
      ['host-moved.test/both', `301 http://example.org:${port}/both`],
    ),
);

site.situation(
  'HTTPRouteRedirectPath',
  [
    route(
      'redirect-path',
      'shared',
      [
        redirected('/original-prefix', prefixPath('/replacement-prefix')),
        redirected('/full', fullPath('/full-path-replacement')),
        redirected('/path-and-host', { hostname: 'example.org', ...prefixPath('/replacement-prefix') }),
        redirected('/path-and-status', { ...prefixPath('/replacement-prefix'), statusCode: 301 }),
        redirected('/full-path-and-host', { hostname: 'example.org', ...fullPath('/replacement-full-path') }),
        redirected('/root', prefixPath('/')),
        redirected('/slash/', prefixPath('/with-slash/')),
      ],
      at('path-moved.test'),
    ),
  ],
  () =>
    moves(
      port,
      ['path-moved.test/original-prefix/lemon', `302 http://path-moved.test:${port}/replacement-prefix/lemon`],
      ['path-moved.test/original-prefix', `302 http://path-moved.test:${port}/replacement-prefix`],
      ['path-moved.test/full/path/original', `302 http://path-moved.test:${port}/full-path-replacement`],
      ['path-moved.test/path-and-host', `302 http://example.org:${port}/replacement-prefix`],
      ['path-moved.test/path-and-status', `301 http://path-moved.test:${port}/replacement-prefix`],
      ['path-moved.test/full-path-and-host', `302 http://example.org:${port}/replacement-full-path`],
      ['path-moved.test/root/lemon', `302 http://path-moved.test:${port}/lemon`],
      ['path-moved.test/root', `302 http://path-moved.test:${port}/`],
      ['path-moved.test/slash/a', `302 http://path-moved.test:${port}/with-slash/a`],
    ),
);

site.situation(
  'HTTPRouteRedirectPort',
  [
    route(
      'redirect-port',
      'shared',
      [
        redirected('/port', { port: 8083 }),
        redirected('/port-and-host', { port: 8083, hostname: 'example.org' }),
        redirected('/port-and-status', { port: 8083, statusCode: 301 }),
        redirected('/port-host-status', { port: 8083, hostname: 'example.org', statusCode: 302 }),
      ],
      at('port-moved.test'),
    ),
  ],
  () =>
    moves(
      port,
      ['port-moved.test/port', '302 http://port-moved.test:8083/port'],
      ['port-moved.test/port-and-host', '302 http://example.org:8083/port-and-host'],
      ['port-moved.test/port-and-status', '301 http://port-moved.test:8083/port-and-status'],
      ['port-moved.test/port-host-status', '302 http://example.org:8083/port-host-status'],
    ),
);

site.situation(
  'HTTPRouteRedirectScheme',
  [
    route(
      'redirect-scheme',
      'shared',
      [
        redirected('/scheme', { scheme: 'https' }),
        redirected('/scheme-and-host', { scheme: 'https', hostname: 'example.org' }),
        redirected('/scheme-and-status', { scheme: 'https', statusCode: 301 }),
      ],
      at('scheme-moved.test'),
    ),
  ],
  // With another scheme its own port holds, whatever the listener's is.
  () =>
    moves(
      port,
      ['scheme-moved.test/scheme', '302 https://scheme-moved.test/scheme'],
      ['scheme-moved.test/scheme-and-host', '302 https://example.org/scheme-and-host'],
      ['scheme-moved.test/scheme-and-status', '301 https://scheme-moved.test/scheme-and-status'],
    ),
);

site.situation(
  'HTTPRouteRedirectPortAndScheme',
  [
    gateway('low', [open('http', low)]),
    route(
      'redirect-both',
      ['shared', 'low'],
      [
        redirected('/http-80', { scheme: 'http', port: 80 }),
        redirected('/http-8080', { scheme: 'http', port: 8080 }),
        redirected('/https-443', { scheme: 'https', port: 443 }),
        redirected('/https-8443', { scheme: 'https', port: 8443 }),
        redirected('/only-80', { port: 80 }),
        redirected('/only-http', { scheme: 'http' }),
        redirected('/only-https', { scheme: 'https' }),
        redirected('/nothing', { hostname: 'example.org' }),
      ],
      at('both-moved.test'),
    ),
  ],
  async () => {
    for (const listening of [port, low]) {
      await moves(
        listening,
        ['both-moved.test/http-80', '302 http://both-moved.test/http-80'],
        ['both-moved.test/http-8080', '302 http://both-moved.test:8080/http-8080'],
        ['both-moved.test/https-443', '302 https://both-moved.test/https-443'],
        ['both-moved.test/https-8443', '302 https://both-moved.test:8443/https-8443'],
        ['both-moved.test/only-80', '302 http://both-moved.test/only-80'],
        ['both-moved.test/only-http', '302 http://both-moved.test/only-http'],
        ['both-moved.test/only-https', '302 https://both-moved.test/only-https'],
        ['both-moved.test/nothing', `302 http://example.org:${listening}/nothing`],
      );
    }
  },
);

const rewrite = (path: string, urlRewrite: object, more: readonly object[] = []): object => ({
  matches: [prefix(path)],
  filters: [{ type: 'URLRewrite', urlRewrite }, ...more],
  backendRefs: to('v1'),
});

/** Each row: what is asked, and `host path` as the backend has it. */
async function arrives(...rows: readonly (readonly [string, string])[]): Promise<void> {
  for (const [what, expected] of rows) {
    const { seen } = await ask(port, what);
    assert.equal(`${seen?.headers.host} ${seen?.path}`, expected, what);
  }
}

site.situation(
  'HTTPRouteRewriteHost',
  [
    route(
      'rewrite-host',
      'shared',
      [rewrite('/one', { hostname: 'one.example.org' }), rewrite('/two', { hostname: 'two.example.org' })],
      at('rewrite.test'),
    ),
  ],
  () => arrives(['rewrite.test/one', 'one.example.org /one'], ['rewrite.test/two?x', 'two.example.org /two?x']),
);

site.situation(
  'HTTPRouteRewritePath',
  [
    route(
      'rewrite-path',
      'shared',
      [
        rewrite('/prefix/one', prefixPath('/one')),
        rewrite('/full/one', fullPath('/one')),
        rewrite('/full/rewrite-path-and-modify-headers', fullPath('/test'), [
          {
            type: 'RequestHeaderModifier',
            requestHeaderModifier: { set: [{ name: 'X-Set', value: 'set' }], remove: ['X-Gone'] },
          },
        ]),
        rewrite('/strip-prefix', prefixPath('/')),
      ],
      at('rewrite-path.test'),
    ),
  ],
  async () => {
    await arrives(
      ['rewrite-path.test/prefix/one/two', 'rewrite-path.test /one/two'],
      ['rewrite-path.test/prefix/one', 'rewrite-path.test /one'],
      ['rewrite-path.test/strip-prefix/three', 'rewrite-path.test /three'],
      ['rewrite-path.test/strip-prefix', 'rewrite-path.test /'],
      ['rewrite-path.test/full/one/two', 'rewrite-path.test /one'],
    );
    const what = 'rewrite-path.test/full/rewrite-path-and-modify-headers/test';
    const { seen } = await ask(port, what, { headers: { 'X-Gone': 'here', 'X-Set': 'before' } });
    assert.deepEqual([seen?.path, seen?.headers['x-set'], seen?.headers['x-gone']], ['/test', 'set', undefined]);
  },
);

const edits = { set: [{ name: 'X-Set', value: 'set' }], add: [{ name: 'X-Add', value: 'add' }], remove: ['X-Remove'] };
const sent = { 'x-set': 'before', 'x-add': 'before', 'x-remove': 'before', 'X-Other': 'kept' };
const edited = { 'x-set': 'set', 'x-add': 'before, add', 'x-remove': undefined, 'x-other': 'kept' };
const picked = (headers: Seen['headers'] | undefined): object =>
  Object.fromEntries(Object.keys(edited).map((name) => [name, headers?.[name]]));

site.situation(
  'HTTPRouteRequestHeaderModifier',
  [
    route(
      'request-headers',
      'shared',
      [{ filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: edits }], backendRefs: to('v1') }],
      at('request-headers.test'),
    ),
  ],
  async () => {
    assert.deepEqual(picked((await ask(port, 'request-headers.test/', { headers: sent })).seen?.headers), edited);
    const bare = (await ask(port, 'request-headers.test/')).seen?.headers;
    assert.deepEqual([bare?.['x-set'], bare?.['x-add']], ['set', 'add']);
  },
);

site.situation(
  'HTTPRouteBackendRequestHeaderModifier',
  [
    route(
      'backend-headers',
      'shared',
      [
        {
          backendRefs: to('v1').map((ref) => ({
            ...ref,
            filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: edits }],
          })),
        },
      ],
      at('backend-headers.test'),
    ),
  ],
  async () => {
    assert.deepEqual(picked((await ask(port, 'backend-headers.test/', { headers: sent })).seen?.headers), edited);
  },
);

site.situation(
  'HTTPRouteRequestHeaderModifierBackendWeights',
  [
    route(
      'backend-shares',
      'shared',
      [
        {
          backendRefs: to(['v1', 1], ['v2', 1]).map((ref, i) => ({
            ...ref,
            filters: [
              {
                type: 'RequestHeaderModifier',
                requestHeaderModifier: { set: [{ name: 'Backend', value: `v${i + 1}` }] },
              },
            ],
          })),
        },
      ],
      at('backend-shares.test'),
    ),
  ],
  async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const answer = await ask(port, 'backend-shares.test/');
      assert.equal(answer.seen?.headers['backend'], answer.seen?.backend, 'each backend has its own edits');
      seen.add(String(answer.seen?.backend));
    }
    assert.deepEqual([...seen].sort(), ['v1', 'v2']);
  },
);

site.situation(
  'HTTPRouteResponseHeaderModifier',
  [
    route(
      'response-headers',
      'shared',
      [{ filters: [{ type: 'ResponseHeaderModifier', responseHeaderModifier: edits }], backendRefs: to('v1') }],
      at('response-headers.test'),
    ),
  ],
  async () => {
    const asked = Object.fromEntries(Object.entries(sent).map(([name, value]) => [`x-answer-${name}`, value]));
    assert.deepEqual(picked((await ask(port, 'response-headers.test/', { headers: asked })).headers), edited);
  },
);

const mirror = (name: string, more: object = {}): object => ({
  type: 'RequestMirror',
  requestMirror: { backendRef: to(name)[0], ...more },
});
const mirroredTo = (path: string): string[] =>
  mirrored
    .filter((one) => one.path === path)
    .map((one) => one.backend)
    .sort();

site.situation(
  'HTTPRouteRequestMirror',
  [
    route(
      'mirror',
      'shared',
      [
        { matches: [prefix('/mirror')], filters: [mirror('mirror-1')], backendRefs: to('v1') },
        {
          matches: [prefix('/edited')],
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'X-Set', value: 'set' }] } },
            mirror('mirror-1'),
          ],
          backendRefs: to('v2'),
        },
      ],
      at('mirror.test'),
    ),
  ],
  async () => {
    await site.says('HTTPRoute', 'mirror', GOOD_ROUTE);
    await answers(port, ['mirror.test/mirror', 'v1'], ['mirror.test/edited', 'v2']);
    await becomes(() => mirroredTo('/mirror'), ['mirror-1']);
    await becomes(() => mirroredTo('/edited'), ['mirror-1']);
    assert.equal(mirrored.find((one) => one.path === '/edited')?.headers['x-set'], 'set');
  },
);

site.situation(
  'HTTPRouteRequestMultipleMirrors',
  [
    route(
      'mirrors',
      'shared',
      [{ matches: [prefix('/both')], filters: [mirror('mirror-1'), mirror('mirror-2')], backendRefs: to('v1') }],
      at('mirrors.test'),
    ),
  ],
  async () => {
    await answers(port, ['mirrors.test/both', 'v1']);
    await becomes(() => mirroredTo('/both'), ['mirror-1', 'mirror-2']);
  },
);

site.situation(
  'HTTPRouteRequestPercentageMirror',
  [
    route(
      'mirror-shares',
      'shared',
      [
        { matches: [prefix('/percent')], filters: [mirror('mirror-1', { percent: 20 })], backendRefs: to('v1') },
        {
          matches: [prefix('/fraction')],
          filters: [mirror('mirror-1', { fraction: { numerator: 1, denominator: 2 } })],
          backendRefs: to('v1'),
        },
        { matches: [prefix('/none')], filters: [mirror('mirror-1', { percent: 0 })], backendRefs: to('v1') },
        { matches: [prefix('/all')], filters: [mirror('mirror-1', { percent: 100 })], backendRefs: to('v1') },
      ],
      at('mirror-shares.test'),
    ),
  ],
  async () => {
    const COUNT = 200;
    for (let i = 0; i < COUNT; i++) {
      for (const path of ['/percent', '/fraction', '/none', '/all'])
        await answers(port, [`mirror-shares.test${path}`, 'v1']);
    }
    await becomes(() => mirroredTo('/all').length, COUNT);
    assert.equal(mirroredTo('/none').length, 0);
    const [fifth, half] = [mirroredTo('/percent').length, mirroredTo('/fraction').length];
    // Each by chance: six deviations to either side.
    assert.ok(fifth > 5 && fifth < 75, String(fifth));
    assert.ok(half > 57 && half < 143, String(half));
  },
);

site.situation(
  'HTTPRouteCORS',
  [
    route(
      'cors',
      'shared',
      [
        {
          matches: [prefix('/cors')],
          filters: [
            {
              type: 'CORS',
              cors: {
                allowOrigins: ['https://www.foo.com', 'https://*.bar.com'],
                allowMethods: ['GET', 'OPTIONS'],
                allowHeaders: ['x-header-1', 'x-header-2'],
                exposeHeaders: ['x-header-3'],
                allowCredentials: true,
                maxAge: 3600,
              },
            },
          ],
          backendRefs: to('v1'),
        },
      ],
      at('cors.test'),
    ),
  ],
  async () => {
    const preflight = (origin: string, method: string) =>
      ask(port, 'OPTIONS cors.test/cors', {
        headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'x-header-1' },
      });
    for (const origin of ['https://www.foo.com', 'https://www.bar.com', 'https://a.b.bar.com']) {
      const { status, headers } = await preflight(origin, 'GET');
      assert.ok(status === 200 || status === 204, String(status));
      assert.equal(headers['access-control-allow-origin'], origin);
      assert.deepEqual(headers['access-control-allow-methods']?.split(/, ?/).sort(), ['GET', 'OPTIONS']);
      assert.deepEqual(headers['access-control-allow-headers']?.split(/, ?/).sort(), ['x-header-1', 'x-header-2']);
      assert.equal(headers['access-control-allow-credentials'], 'true');
      assert.equal(headers['access-control-max-age'], '3600');
      const plain = await ask(port, 'cors.test/cors', { headers: { origin } });
      assert.equal(plain.seen?.backend, 'v1');
      assert.equal(plain.headers['access-control-allow-origin'], origin);
      assert.equal(plain.headers['access-control-expose-headers'], 'x-header-3');
    }
    for (const origin of ['https://foo.com', 'https://bar.com', 'http://www.foo.com']) {
      const { headers } = await preflight(origin, 'GET');
      assert.equal(headers['access-control-allow-origin'], undefined, origin);
      const plain = await ask(port, 'cors.test/cors', { headers: { origin } });
      assert.deepEqual([plain.seen?.backend, plain.headers['access-control-allow-origin']], ['v1', undefined]);
    }
  },
);

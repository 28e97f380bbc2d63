// TLSRoutes: sessions that are passed on as they are, by the name that their ClientHello asks for, or ended here; and
// what is said of the routes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { authority, leaf } from '../../tools/certificates.ts';
import { certPem, keyPem, secret } from './certificates.ts';
import {
  becomes,
  GOOD_LISTENER,
  GOOD_ROUTE,
  gateway,
  grant,
  heldPort,
  type Made,
  open,
  route,
  Site,
  service,
  tcpBackend,
  to,
} from './site.ts';

const ca = authority('Test');
const own = leaf(ca, ['a.test', 'passed.test', 'ended.test', '*.wild.test']);

async function tlsBackend(name: string): Promise<number> {
  const server = createTlsServer({ cert: certPem(own), key: keyPem(own) }, (socket) => {
    socket.on('error', () => {});
    socket.end(name);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

async function overTls(port: number, servername: string): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, servername, ca: certPem(ca) }).setEncoding('utf8');
  try {
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text === '' ? 'closed' : text;
  } catch {
    return 'closed';
  }
}

const site = new Site(async () => {
  const plain = await Promise.all(['t1', 't2', 'web/t'].map(tcpBackend));
  const secured = await Promise.all(['s1', 's2'].map(tlsBackend));
  return [
    secret('own', own),
    ...['t1', 't2', 'web/t'].flatMap((name, i) => service(name, plain[i] as number)),
    ...['s1', 's2'].flatMap((name, i) => service(name, secured[i] as number)),
  ];
});

const NOT_ALLOWED = 'Accepted=False NotAllowedByListeners, ResolvedRefs=True ResolvedRefs';

const tls = (name: string, port: number, hostname: string | undefined, mode: 'Passthrough' | 'Terminate'): object =>
  open(name, port, 'TLS', {
    ...(hostname === undefined ? {} : { hostname }),
    tls: { mode, ...(mode === 'Terminate' ? { certificateRefs: [{ name: 'own' }] } : {}) },
  });
const tlsRoute = (name: string, parents: string, hostnames: readonly string[], backends: readonly object[]): Made =>
  route(name, parents, [{ backendRefs: backends }], { kind: 'TLSRoute', hostnames });

const passing = heldPort();
site.situation(
  'TLSRouteSimpleSameNamespace',
  [
    gateway('passing', [tls('tls', passing, undefined, 'Passthrough')]),
    tlsRoute('passing', 'passing', ['passed.test'], to('s1')),
  ],
  async () => {
    await site.says('TLSRoute', 'passing', GOOD_ROUTE);
    assert.equal(await overTls(passing, 'passed.test'), 's1');
    assert.equal(await overTls(passing, 'a.test'), 'closed');
  },
);

const ending = heldPort();
site.situation(
  'TLSRouteTerminateSimpleSameNamespace',
  [
    gateway('ending', [tls('tls', ending, 'ended.test', 'Terminate')]),
    tlsRoute('ending', 'ending', ['ended.test'], to('t1')),
  ],
  async () => {
    await site.says('TLSRoute', 'ending', GOOD_ROUTE);
    assert.equal(await overTls(ending, 'ended.test'), 't1');
  },
);

const mixed = heldPort();
site.situation(
  'TLSRouteMixedTerminationSameNamespace',
  [
    gateway('mixed', [tls('pass', mixed, 'passed.test', 'Passthrough'), tls('end', mixed, 'ended.test', 'Terminate')]),
    tlsRoute('mixed-pass', 'mixed#pass', ['passed.test'], to('s1')),
    tlsRoute('mixed-end', 'mixed#end', ['ended.test'], to('t2')),
  ],
  async () => {
    assert.equal(await overTls(mixed, 'passed.test'), 's1');
    assert.equal(await overTls(mixed, 'ended.test'), 't2');
    for (const name of ['pass', 'end']) {
      await becomes(() => site.listener('mixed', name), `1 of TLSRoute: ${GOOD_LISTENER}`);
    }
  },
);

// RAUTA supports what these two of the suite are skipped for: their listeners are served.
site.situation(
  'TLSRouteListenerMixedTerminationNotSupported, TLSRouteListenerTerminateNotSupported: both are supported',
  [
    gateway('supported', [
      tls('pass', heldPort(), 'passed.test', 'Passthrough'),
      tls('end', heldPort(), 'ended.test', 'Terminate'),
    ]),
  ],
  async () => {
    for (const name of ['pass', 'end']) {
      await becomes(() => site.listener('supported', name), `0 of TLSRoute: ${GOOD_LISTENER}`);
    }
  },
);

for (const [name, mode] of [
  ['TLSRouteListenerPassthroughSupportedKinds', 'Passthrough'],
  ['TLSRouteListenerTerminateSupportedKinds', 'Terminate'],
] as const) {
  const low = mode.toLowerCase();
  const kinds = (...list: readonly string[]): object => ({ allowedRoutes: { kinds: list.map((kind) => ({ kind })) } });
  site.situation(
    name,
    [
      gateway(`kinds-${low}`, [
        { ...tls('silent', heldPort(), 'a.test', mode) },
        { ...tls('right', heldPort(), 'a.test', mode), ...kinds('TLSRoute') },
        { ...tls('wrong', heldPort(), 'a.test', mode), ...kinds('HTTPRoute') },
        { ...tls('half', heldPort(), 'a.test', mode), ...kinds('HTTPRoute', 'TLSRoute') },
      ]),
    ],
    async () => {
      const wrong = (status: string): string =>
        `Accepted=True Accepted, Programmed=${status}, ResolvedRefs=False InvalidRouteKinds, Conflicted=False NoConflicts`;
      await becomes(() => site.listener(`kinds-${low}`, 'silent'), `0 of TLSRoute: ${GOOD_LISTENER}`);
      await becomes(() => site.listener(`kinds-${low}`, 'right'), `0 of TLSRoute: ${GOOD_LISTENER}`);
      await becomes(() => site.listener(`kinds-${low}`, 'wrong'), `0 of no kind: ${wrong('False Invalid')}`);
      await becomes(() => site.listener(`kinds-${low}`, 'half'), `0 of TLSRoute: ${wrong('True Programmed')}`);
    },
  );
}

const meeting = heldPort();
site.situation(
  'TLSRouteHostnameIntersection',
  [
    gateway('meeting', [
      tls('exact', meeting, 'a.test', 'Passthrough'),
      tls('wild', meeting, '*.wild.test', 'Passthrough'),
    ]),
    tlsRoute('meet-exact', 'meeting#exact', ['other.test', 'a.test'], to('s1')),
    tlsRoute('meet-under', 'meeting#wild', ['wild.test', 'one.wild.test'], to('s2')),
    tlsRoute('meet-wild', 'meeting#wild', ['*.wild.test'], to('s1')),
    tlsRoute('meet-not', 'meeting', ['other.test', 'wild.test'], to('s1')),
  ],
  async () => {
    for (const [name, expected] of [
      ['a.test', 's1'],
      ['other.test', 'closed'],
      ['one.wild.test', 's2'],
      ['two.wild.test', 's1'],
      ['wild.test', 'closed'],
    ] as const) {
      assert.equal(await overTls(meeting, name), expected, name);
    }
    for (const name of ['exact', 'under', 'wild']) await site.says('TLSRoute', `meet-${name}`, GOOD_ROUTE);
    await site.says(
      'TLSRoute',
      'meet-not',
      'Accepted=False NoMatchingListenerHostname, ResolvedRefs=True ResolvedRefs',
    );
  },
);

site.situation(
  'TLSRouteInvalidNoMatchingListenerHostname',
  [
    gateway('named', [tls('tls', heldPort(), 'a.test', 'Passthrough')]),
    tlsRoute('named-not', 'named#tls', ['other.test'], to('s1')),
  ],
  () => site.says('TLSRoute', 'named-not', 'Accepted=False NoMatchingListenerHostname, ResolvedRefs=True ResolvedRefs'),
);

site.situation(
  'TLSRouteInvalidNoMatchingListener',
  [
    gateway('no-tls', [open('http', heldPort())]),
    tlsRoute('no-section', 'no-tls#other', ['a.test'], to('s1')),
    tlsRoute('no-tls', 'no-tls', ['a.test'], to('s1')),
  ],
  async () => {
    await site.says('TLSRoute', 'no-section', 'Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs');
    await site.says('TLSRoute', 'no-tls', NOT_ALLOWED);
  },
);

const faults = heldPort();
site.situation(
  'TLSRouteInvalidBackendRefNonexistent, TLSRouteInvalidBackendRefUnknownKind, TLSRouteInvalidReferenceGrant',
  [
    gateway('faults', [tls('tls', faults, '*.wild.test', 'Passthrough')]),
    tlsRoute('tls-missing', 'faults', ['one.wild.test'], to('nobodys')),
    tlsRoute(
      'tls-unknown',
      'faults',
      ['two.wild.test'],
      [{ group: 'wrong.example', kind: 'Unknown', name: 's1', port: 80 }],
    ),
    tlsRoute('tls-elsewhere', 'faults', ['three.wild.test'], to('web/t')),
    grant('web/tls-wrong', { kind: 'TLSRoute', namespace: 'elsewhere' }, { kind: 'Service', name: 't' }),
  ],
  async () => {
    for (const [name, host, reason] of [
      ['missing', 'one', 'BackendNotFound'],
      ['unknown', 'two', 'InvalidKind'],
      ['elsewhere', 'three', 'RefNotPermitted'],
    ] as const) {
      await site.says('TLSRoute', `tls-${name}`, `Accepted=True Accepted, ResolvedRefs=False ${reason}`);
      assert.equal(await overTls(faults, `${host}.wild.test`), 'closed', name);
    }
  },
);

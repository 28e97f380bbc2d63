// HTTPS listeners: whose certificate they show, from which namespace, whose they ask for, and 421.

import assert from 'node:assert/strict';
import { authority, leaf } from '../../tools/certificates.ts';
import { client, configMap, secret } from './certificates.ts';
import {
  ask,
  backend,
  becomes,
  GOOD_LISTENER,
  GOOD_ROUTE,
  gateway,
  grant,
  heldPort,
  made,
  route,
  Site,
  service,
  to,
  who,
} from './site.ts';

const ca = authority('Test');
const own = leaf(ca, ['example.org', 'second-example.org', '*.wildcard.org', 'unknown-example.org', 'a.test']);
const [port, misdirected] = [heldPort(), heldPort()];

const site = new Site(async () => {
  const names = ['v1', 'v2', 'v3'];
  const ports = await Promise.all(names.map((name) => backend(name)));
  return [secret('own', own), secret('web/own', own), ...names.flatMap((name, i) => service(name, ports[i] as number))];
});

/** An HTTPS listener with that certificate. */
function https(name: string, number: number, hostname?: string, certificate: object = { name: 'own' }): object {
  return {
    ...{ name, port: number, protocol: 'HTTPS', tls: { certificateRefs: [certificate] } },
    ...(hostname === undefined ? {} : { hostname }),
    allowedRoutes: { namespaces: { from: 'All' } },
  };
}

site.situation(
  'HTTPRouteHTTPSListener',
  [
    gateway('https', [https('https', port, 'a.test')]),
    route('https', 'https', [{ backendRefs: to('v1') }], { hostnames: ['a.test'] }),
    route('https-any', 'https', [{ matches: [{ path: { type: 'Exact', value: '/any' } }], backendRefs: to('v2') }]),
  ],
  async () => {
    await site.says('HTTPRoute', 'https', GOOD_ROUTE);
    assert.equal(await who(port, 'a.test/', { tls: client(ca) }), 'v1');
    assert.equal(await who(port, 'a.test/any', { tls: client(ca) }), 'v2');
    const answer = await ask(port, 'a.test/', { tls: client(ca) });
    assert.equal(answer.seen?.headers['x-forwarded-proto'], 'https');
    await assert.rejects(ask(port, 'other.test/', { tls: client(ca) }), /handshake|unrecognized/i);
  },
);

site.situation(
  'HTTPRouteHTTPSListenerDetectMisdirectedRequests',
  [
    gateway('misdirected', [
      https('one', misdirected, 'example.org'),
      https('two', misdirected, 'second-example.org'),
      https('wild', misdirected, '*.wildcard.org'),
      https('narrow', misdirected, 'fourth-example.wildcard.org'),
      https('any', misdirected),
    ]),
    ...(
      [
        ['one', 'v1'],
        ['two', 'v2'],
        ['wild', 'v3'],
        ['narrow', 'v1'],
      ] as const
    ).map(([name, to1]) => route(`misdirected-${name}`, `misdirected#${name}`, [{ backendRefs: to(to1) }])),
    route('misdirected-any', 'misdirected#any', [{ backendRefs: to('v2') }], { hostnames: ['known.test'] }),
  ],
  async () => {
    for (const [servername, host, expected] of [
      ['example.org', 'example.org', 'v1'],
      ['example.org', 'second-example.org', '421'],
      ['example.org', 'x.wildcard.org', '421'],
      ['example.org', 'fourth-example.wildcard.org', '421'],
      ['second-example.org', 'second-example.org', 'v2'],
      ['second-example.org', 'example.org', '421'],
      ['third-example.wildcard.org', 'third-example.wildcard.org', 'v3'],
      ['third-example.wildcard.org', 'fifth-example.wildcard.org', 'v3'],
      ['third-example.wildcard.org', 'fourth-example.wildcard.org', '421'],
      ['third-example.wildcard.org', 'second-example.org', '421'],
      ['fourth-example.wildcard.org', 'fourth-example.wildcard.org', 'v1'],
      ['fourth-example.wildcard.org', 'fifth-example.wildcard.org', '421'],
      ['unknown-example.org', 'unknown-example.org', '404'],
      ['unknown-example.org', 'known.test', 'v2'],
      ['unknown-example.org', 'example.org', '421'],
    ] as const) {
      const tls = client(ca, null, servername);
      assert.equal(await who(misdirected, `${host}/`, { tls }), expected, `${servername} asks for ${host}`);
    }
  },
);

const unresolved = (reason: string): string =>
  `Accepted=True Accepted, Programmed=False Invalid, ResolvedRefs=False ${reason}, Conflicted=False NoConflicts`;
const KINDS = '0 of HTTPRoute GRPCRoute:';

const faults = [
  ['missing', { name: 'nobodys' }, 'InvalidCertificateRef'],
  ['of-another-group', { group: 'wrong.example', kind: 'Secret', name: 'own' }, 'InvalidCertificateRef'],
  ['of-another-kind', { kind: 'WrongKind', name: 'own' }, 'InvalidCertificateRef'],
  ['malformed', { name: 'malformed' }, 'InvalidCertificateRef'],
] as const;
site.situation(
  'GatewayInvalidTLSConfiguration',
  [
    made(
      'Secret',
      'malformed',
      { type: 'kubernetes.io/tls', data: { 'tls.crt': 'SGVsbG8=', 'tls.key': 'SGVsbG8=' } },
      'v1',
    ),
    ...faults.map(([name, ref]) => gateway(`tls-${name}`, [https('https', heldPort(), 'a.test', ref)])),
  ],
  async () => {
    for (const [name, , reason] of faults) {
      await becomes(() => site.listener(`tls-${name}`, 'https'), `${KINDS} ${unresolved(reason)}`, name);
      const [said] = await site.said('Gateway', `tls-${name}`);
      assert.match(String(said), /Programmed=False/, name);
    }
  },
);

const NOT_PERMITTED = `${KINDS} ${unresolved('RefNotPermitted')}`;
const PERMITTED = `${KINDS} ${GOOD_LISTENER}`;
const elsewhere = (name: string, of: string, number = heldPort()) =>
  gateway(name, [https('https', number, 'a.test', { name: 'own', namespace: of })]);
const FROM_HERE = { kind: 'Gateway', namespace: 'infra' };

site.situation('GatewaySecretMissingReferenceGrant', [elsewhere('not-granted', 'web')], () =>
  becomes(() => site.listener('not-granted', 'https'), NOT_PERMITTED),
);

site.situation(
  'GatewaySecretInvalidReferenceGrant',
  [
    elsewhere('wrongly-granted', 'web'),
    grant('web/wrong-namespace', { kind: 'Gateway', namespace: 'elsewhere' }, { kind: 'Secret', name: 'own' }),
    grant('web/wrong-kind', { kind: 'HTTPRoute', namespace: 'infra' }, { kind: 'Secret', name: 'own' }),
    grant('web/wrong-group', { ...FROM_HERE, group: 'wrong.example' }, { kind: 'Secret', name: 'own' }),
    grant('web/wrong-name', FROM_HERE, { kind: 'Secret', name: 'other' }),
    grant('web/wrong-target', FROM_HERE, { kind: 'ConfigMap', name: 'own' }),
    grant('elsewhere/own', FROM_HERE, { kind: 'Secret', name: 'own' }),
  ],
  () => becomes(() => site.listener('wrongly-granted', 'https'), NOT_PERMITTED),
);

site.situation(
  'GatewaySecretReferenceGrantAllInNamespace',
  [secret('every/own', own), elsewhere('all-granted', 'every'), grant('every/secrets', FROM_HERE, { kind: 'Secret' })],
  () => becomes(() => site.listener('all-granted', 'https'), PERMITTED),
);

const named = grant('one/own', FROM_HERE, { kind: 'Secret', name: 'own' });
const grantedPort = heldPort();
site.situation(
  'GatewaySecretReferenceGrantSpecific',
  [secret('one/own', own), elsewhere('granted', 'one', grantedPort), named],
  async () => {
    await becomes(() => site.listener('granted', 'https'), PERMITTED);
    assert.equal(await who(grantedPort, 'a.test/', { tls: client(ca) }), '404');
    site.remove(named);
    await becomes(() => site.listener('granted', 'https'), NOT_PERMITTED);
    site.put(named);
    await becomes(() => site.listener('granted', 'https'), PERMITTED);
  },
);

const setPort = heldPort();
const listenerSet = (name: string, hostname: string) =>
  made('ListenerSet', name, {
    spec: {
      parentRef: { name: 'with-sets', namespace: 'infra' },
      listeners: [https('https', setPort, hostname, { name: 'own', namespace: 'vault' })],
    },
  });
site.situation(
  'ListenerSetReferenceGrant',
  [
    secret('vault/own', own),
    gateway('with-sets', [{ name: 'http', port: heldPort(), protocol: 'HTTP' }], {
      allowedListeners: { namespaces: { from: 'All' } },
    }),
    listenerSet('team/granted', 'a.test'),
    listenerSet('other/granted', 'example.org'),
    grant('vault/sets', { kind: 'ListenerSet', namespace: 'team' }, { kind: 'Secret', name: 'own' }),
    // For what is of Gateways it is none.
    grant('vault/gateways', { kind: 'Gateway', namespace: 'other' }, { kind: 'Secret', name: 'own' }),
  ],
  async () => {
    await becomes(() => site.listener('team/granted', 'https', 'ListenerSet'), PERMITTED);
    await becomes(() => site.listener('other/granted', 'https', 'ListenerSet'), NOT_PERMITTED);
    assert.equal(await who(setPort, 'a.test/', { tls: client(ca) }), '404');
    await assert.rejects(who(setPort, 'example.org/', { tls: client(ca) }));
  },
);

const clients = authority('Clients');
const strangers = authority('Strangers');
const good = leaf(clients, ['good'], { client: true });
const bad = leaf(strangers, ['bad'], { client: true });
const authorities = (name: string, more: object = {}): object => ({
  validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name }], ...more },
});

/** What becomes of one who shows `shown`. */
async function shows(number: number, shown: typeof good | null): Promise<string> {
  try {
    return await who(number, 'a.test/', { tls: client(ca, shown) });
  } catch {
    return 'refused';
  }
}

const [asked, perPort] = [heldPort(), heldPort()];
site.situation(
  'GatewayFrontendClientCertificateValidation',
  [
    configMap('clients', clients),
    configMap('strangers', strangers),
    gateway('asking', [https('default', asked, 'a.test'), https('other', perPort, 'a.test')], {
      tls: {
        frontend: { default: authorities('clients'), perPort: [{ port: perPort, tls: authorities('strangers') }] },
      },
    }),
    route('asking', 'asking', [{ backendRefs: to('v1') }]),
  ],
  async () => {
    assert.deepEqual(
      [await shows(asked, good), await shows(asked, bad), await shows(asked, null)],
      ['v1', 'refused', 'refused'],
    );
    assert.deepEqual(
      [await shows(perPort, good), await shows(perPort, bad), await shows(perPort, null)],
      ['refused', 'v1', 'refused'],
    );
  },
);

const anybody = heldPort();
site.situation(
  'GatewayFrontendClientCertificateValidationInsecureFallback',
  [
    gateway('easy', [https('https', anybody, 'a.test')], {
      tls: { frontend: { default: authorities('clients', { mode: 'AllowInsecureFallback' }) } },
    }),
    route('easy', 'easy', [{ backendRefs: to('v1') }]),
  ],
  async () => {
    assert.deepEqual(
      [await shows(anybody, good), await shows(anybody, bad), await shows(anybody, null)],
      ['v1', 'v1', 'v1'],
    );
    const [said] = await site.said('Gateway', 'easy');
    assert.match(String(said), /InsecureFrontendValidationMode=True ConfigurationChanged/);
  },
);

const [invalidHttp, invalidHttps, invalidOther] = [heldPort(), heldPort(), heldPort()];
site.situation(
  'GatewayFrontendInvalidDefaultClientCertificateValidation',
  [
    gateway(
      'half',
      [
        { name: 'http', port: invalidHttp, protocol: 'HTTP' },
        https('https', invalidHttps, 'a.test'),
        https('fine', invalidOther, 'a.test'),
      ],
      {
        tls: {
          frontend: { default: authorities('nobodys'), perPort: [{ port: invalidOther, tls: authorities('clients') }] },
        },
      },
    ),
    route('half', 'half', [{ backendRefs: to('v1') }]),
  ],
  async () => {
    await becomes(async () => (await site.listener('half', 'http')).split(': ')[1], GOOD_LISTENER);
    await becomes(async () => (await site.listener('half', 'fine')).split(': ')[1], GOOD_LISTENER);
    const broken =
      'Accepted=False NoValidCACertificate, Programmed=False Invalid, ResolvedRefs=False InvalidCACertificateRef, Conflicted=False NoConflicts';
    await becomes(async () => (await site.listener('half', 'https')).split(': ')[1], broken);
    assert.equal(await who(invalidHttp, 'a.test/'), 'v1');
    assert.equal(await shows(invalidOther, good), 'v1');
    assert.equal(await shows(invalidHttps, good), 'refused');
  },
);

const refs = [
  ['ca-missing', { kind: 'ConfigMap', name: 'nobodys' }, 'InvalidCACertificateRef'],
  ['ca-kind', { kind: 'Secret', name: 'own' }, 'InvalidCACertificateKind'],
  ['ca-empty', { kind: 'ConfigMap', name: 'empty' }, 'InvalidCACertificateRef'],
  ['ca-elsewhere', { kind: 'ConfigMap', name: 'clients', namespace: 'web' }, 'RefNotPermitted'],
] as const;
site.situation(
  'GatewayInvalidFrontendClientCertificateValidation',
  [
    made('ConfigMap', 'empty', { data: {} }, 'v1'),
    configMap('web/clients', clients),
    ...refs.map(([name, ref]) =>
      gateway(name, [https('https', heldPort(), 'a.test')], {
        tls: { frontend: { default: { validation: { caCertificateRefs: [{ group: '', ...ref }] } } } },
      }),
    ),
  ],
  async () => {
    for (const [name, , reason] of refs) {
      const said = `Accepted=False NoValidCACertificate, Programmed=False Invalid, ResolvedRefs=False ${reason}, Conflicted=False NoConflicts`;
      await becomes(async () => (await site.listener(name, 'https')).split(': ')[1], said, name);
    }
    const permitted = grant('web/clients', FROM_HERE, { kind: 'ConfigMap', name: 'clients' });
    site.put(permitted);
    await becomes(async () => (await site.listener('ca-elsewhere', 'https')).split(': ')[1], GOOD_LISTENER);
  },
);

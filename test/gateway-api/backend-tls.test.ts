// TLS to backends: policies that say whom to trust, what is wrong with them, and who RAUTA says it is.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { authority, type Leaf, leaf } from '../../tools/certificates.ts';
import { certPem, configMap, keyPem, secret } from './certificates.ts';
import {
  aged,
  ask,
  becomes,
  echo,
  GOOD_LISTENER,
  GOOD_ROUTE,
  gateway,
  grant,
  heldPort,
  type Made,
  made,
  open,
  route,
  Site,
  service,
  to,
  who,
} from './site.ts';

const [ca, strangers] = [authority('Backends'), authority('Strangers')];
const own = leaf(ca, ['abc.example.com', 'spiffe://abc.example.com/test-identity', 'other.example.com']);
const port = heldPort();
/** Names that were asked for, and certificates that were shown. */
const asked: { servername: string | false; client: string }[] = [];

async function tlsBackend(name: string, certificate: Leaf, options: TlsOptions = {}): Promise<number> {
  const server = createServer(
    { cert: certPem(certificate), key: keyPem(certificate), ...options },
    (incoming, response) => {
      const socket = incoming.socket as TLSSocket & { servername: string | false };
      asked.push({
        servername: socket.servername,
        client: String(socket.getPeerCertificate().subject?.CN ?? 'nobody'),
      });
      echo(name, incoming, response);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

let secured = 0;
/** Services that all lead to the same server: a policy is for a Service. */
const SERVICES = [
  'plain',
  'conflicted',
  'missing-ca',
  'wrong-kind',
  'bumped',
  'san',
  'wrong-san',
  'stranger',
  'wrong-name',
  'invalid',
];
const site = new Site(async () => {
  secured = await tlsBackend('secured', own);
  const strict = await tlsBackend('strict', own, { requestCert: true, rejectUnauthorized: true, ca: certPem(ca) });
  return [
    gateway('shared', [open('http', port)]),
    configMap('ca', ca),
    configMap('strangers', strangers),
    ...SERVICES.flatMap((name) => service(name, secured)),
    ...service('strict', strict),
    ...service('strict-2', strict),
    route(
      'all',
      'shared',
      SERVICES.map((name) => ({ matches: [{ path: { type: 'Exact', value: `/${name}` } }], backendRefs: to(name) })),
      { hostnames: ['tls.test'] },
    ),
  ];
});

/** For the Service of its name, if not for another. */
function policy(name: string, validation: object = {}, of = name): Made {
  return made('BackendTLSPolicy', name, {
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: of }],
      validation: {
        caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }],
        hostname: 'abc.example.com',
        ...validation,
      },
    },
  });
}

const trusting = (kind: string, name: string): object => ({ caCertificateRefs: [{ group: '', kind, name }] });
/** A Gateway's answer where a backend cannot be trusted. */
const serverError = async (path: string): Promise<boolean> => Number(await who(port, `tls.test/${path}`)) >= 500;

site.situation(
  'BackendTLSPolicy',
  [
    policy('plain'),
    policy('stranger', trusting('ConfigMap', 'strangers')),
    policy('wrong-name', { hostname: 'unknown.example.com' }),
  ],
  async () => {
    await site.says('BackendTLSPolicy', 'plain', GOOD_ROUTE);
    assert.equal(await who(port, 'tls.test/plain'), 'secured');
    assert.equal(asked.at(-1)?.servername, 'abc.example.com');
    assert.equal(await serverError('stranger'), true, 'of an authority that is not trusted');
    assert.equal(await serverError('wrong-name'), true, 'for another name');
  },
);

site.situation(
  'BackendTLSPolicySANValidation',
  [
    policy('san', {
      subjectAltNames: [
        { type: 'Hostname', hostname: 'other.example.com' },
        { type: 'URI', uri: 'spiffe://abc.example.com/test-identity' },
      ],
    }),
    policy('wrong-san', {
      subjectAltNames: [
        { type: 'Hostname', hostname: 'third.example.com' },
        { type: 'URI', uri: 'spiffe://def.example.com/test-identity' },
      ],
    }),
  ],
  async () => {
    await site.says('BackendTLSPolicy', 'san', GOOD_ROUTE);
    assert.equal(await who(port, 'tls.test/san'), 'secured');
    // Its own hostname, which the certificate has, is the name that is asked for and no more, then.
    assert.equal(await serverError('wrong-san'), true);
  },
);

site.situation(
  'BackendTLSPolicyConflictResolution',
  [
    aged(policy('b-older', {}, 'conflicted'), '2026-01-01T00:00:00Z'),
    aged(policy('a-younger', { hostname: 'unknown.example.com' }, 'conflicted'), '2026-01-02T00:00:00Z'),
  ],
  async () => {
    await site.says('BackendTLSPolicy', 'b-older', GOOD_ROUTE);
    await becomes(
      async () => (await site.said('BackendTLSPolicy', 'a-younger'))[0]?.split(',')[0],
      'Accepted=False Conflicted',
    );
    assert.equal(await who(port, 'tls.test/conflicted'), 'secured');
    site.remove(policy('b-older', {}, 'conflicted'));
    await site.says('BackendTLSPolicy', 'a-younger', GOOD_ROUTE);
    await becomes(() => serverError('conflicted'), true, 'the other one holds now');
  },
);

site.situation(
  'BackendTLSPolicyInvalidCACertificateRef',
  [policy('missing-ca', trusting('ConfigMap', 'nobodys'))],
  async () => {
    const refused = 'Accepted=False NoValidCACertificate, ResolvedRefs=False InvalidCACertificateRef';
    await site.says('BackendTLSPolicy', 'missing-ca', refused);
    assert.equal(await serverError('missing-ca'), true);
  },
);

site.situation('BackendTLSPolicyInvalidKind', [policy('wrong-kind', trusting('WrongKind', 'ca'))], async () => {
  await site.says(
    'BackendTLSPolicy',
    'wrong-kind',
    'Accepted=False NoValidCACertificate, ResolvedRefs=False InvalidKind',
  );
  assert.equal(await serverError('wrong-kind'), true);
});

site.situation('BackendTLSPolicyObservedGenerationBump', [policy('bumped')], async () => {
  await site.observed('BackendTLSPolicy', 'bumped', 1);
  site.put(policy('bumped', { hostname: 'other.example.com' }));
  await site.observed('BackendTLSPolicy', 'bumped', 2);
  await becomes(
    async () => [await who(port, 'tls.test/bumped'), asked.at(-1)?.servername],
    ['secured', 'other.example.com'],
  );
});

const shown = leaf(ca, ['rauta'], { client: true });
const [showing, silent] = [heldPort(), heldPort()];
const toStrict = (name: string, gatewayName: string, of: string): Made =>
  route(name, gatewayName, [{ backendRefs: to(of) }]);
site.situation(
  'GatewayTLSBackendClientCertificate',
  [
    secret('shown', shown),
    policy('strict'),
    gateway('showing', [open('http', showing)], { tls: { backend: { clientCertificateRef: { name: 'shown' } } } }),
    gateway('silent', [open('http', silent)]),
    toStrict('strict', 'showing', 'strict'),
    toStrict('strict-silent', 'silent', 'strict'),
  ],
  async () => {
    assert.equal(await who(showing, 'any.test/'), 'strict');
    assert.equal(asked.at(-1)?.client, 'rauta');
    assert.ok((await ask(silent, 'any.test/')).status >= 500, 'shows nothing');
  },
);

const wrongRefs = [
  ['missing', { name: 'nobodys' }, 'InvalidClientCertificateRef'],
  ['kind', { group: 'wrong.example', kind: 'WrongKind', name: 'shown' }, 'InvalidClientCertificateRef'],
  ['malformed', { name: 'malformed' }, 'InvalidClientCertificateRef'],
  ['elsewhere', { name: 'shown', namespace: 'web' }, 'RefNotPermitted'],
] as const;
const wrongPorts = wrongRefs.map(() => heldPort());
site.situation(
  'GatewayInvalidTLSBackendConfiguration',
  [
    secret('web/shown', shown),
    made(
      'Secret',
      'malformed',
      { type: 'kubernetes.io/tls', data: { 'tls.crt': 'SGVsbG8=', 'tls.key': 'SGVsbG8=' } },
      'v1',
    ),
    policy('strict-2'),
    ...wrongRefs.map(([name, ref], i) =>
      gateway(`wrong-${name}`, [open('http', wrongPorts[i] as number)], {
        tls: { backend: { clientCertificateRef: ref } },
      }),
    ),
    ...wrongRefs.map(([name]) => toStrict(`wrong-${name}`, `wrong-${name}`, 'strict-2')),
  ],
  async () => {
    for (const [i, [name, , reason]] of wrongRefs.entries()) {
      await becomes(
        async () => (await site.said('Gateway', `wrong-${name}`))[0]?.split(', ')[2],
        `ResolvedRefs=False ${reason}`,
        name,
      );
      // Its listener has nothing to do with it.
      await becomes(async () => (await site.listener(`wrong-${name}`, 'http')).split(': ')[1], GOOD_LISTENER);
      assert.ok((await ask(wrongPorts[i] as number, 'any.test/')).status >= 500, name);
    }
    site.put(grant('web/shown', { kind: 'Gateway', namespace: 'infra' }, { kind: 'Secret', name: 'shown' }));
    await becomes(() => who(wrongPorts[3] as number, 'any.test/'), 'strict');
  },
);

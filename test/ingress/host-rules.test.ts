// Features "Host rules" (six scenarios) and "Ingress class" (one) of the Ingress conformance suite.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf } from '../../tools/certificates.ts';
import { client, secret } from '../gateway-api/certificates.ts';
import { ask, backend, heldPort, Site, service } from '../gateway-api/site.ts';
import { ingress, prefix } from './site.ts';

const [port, tlsPort] = [heldPort(), heldPort()];
const ca = authority('Conformance');

const site = new Site(
  async () => [
    ...service('wildcard-foo-com', await backend('wildcard-foo-com')),
    ...service('foo-bar-com', await backend('foo-bar-com')),
    ...service('ingress-class-prefix', await backend('ingress-class-prefix')),
    secret('conformance-tls', leaf(ca, ['foo.bar.com'])),
    ingress(
      'host-rules',
      {
        '*.foo.com': [prefix('/', 'wildcard-foo-com')],
        'foo.bar.com': [
          { path: '/', pathType: 'Prefix', backend: { service: { name: 'foo-bar-com', port: { name: 'main' } } } },
        ],
      },
      {
        spec: { tls: [{ hosts: ['foo.bar.com'], secretName: 'conformance-tls' }] },
        // The suite asks in the clear for a host that has a certificate, and expects no redirect: ADR 27.
        annotations: { 'rauta.io/ssl-redirect': 'false' },
      },
    ),
    ingress(
      'test-ingress-class',
      { 'ingress-class': [prefix('/', 'ingress-class-prefix')] },
      { spec: { ingressClassName: 'some-invalid-class-name' } },
    ),
  ],
  ['--port-map', `80=${port},443=${tlsPort}`],
);

const addresses = async (name: string): Promise<unknown> => {
  const status = (await site.shown('Ingress', name))?.status as { loadBalancer?: { ingress?: unknown } } | undefined;
  return status?.loadBalancer?.ingress ?? null;
};

test('Host rules: host foo.bar.com matches request foo.bar.com (TLS)', async () => {
  const { status, seen } = await ask(tlsPort, 'foo.bar.com', { tls: client(ca) });
  assert.equal(status, 200, 'by a client that verifies the name and the authority');
  assert.equal(seen?.backend, 'foo-bar-com');
  assert.equal(seen?.headers.host, 'foo.bar.com');
});

const SCENARIOS: readonly (readonly [says: string, host: string, service: string | null])[] = [
  ['host foo.bar.com matches request foo.bar.com', 'foo.bar.com', 'foo-bar-com'],
  ['host foo.bar.com does not match request subdomain.bar.com', 'subdomain.bar.com', null],
  ['a wildcard host matches by the suffix', 'bar.foo.com', 'wildcard-foo-com'],
  ['a wildcard host does not match two DNS labels', 'baz.bar.foo.com', null],
  ['a wildcard host does not match no DNS label', 'foo.com', null],
];

for (const [says, host, name] of SCENARIOS) {
  test(`Host rules: ${says}`, async () => {
    const { status, seen } = await ask(port, host);
    assert.equal(status, name === null ? 404 : 200);
    assert.equal(seen?.backend ?? null, name);
    if (name !== null) assert.equal(seen?.headers.host, host);
  });
}

test('Ingress class: an Ingress with an invalid class is not served, and its status shows no address', async () => {
  assert.equal((await ask(port, 'ingress-class')).status, 404);
  assert.equal(await addresses('test-ingress-class'), null);
  assert.match(site.rauta.text(), /IngressClass \\"some-invalid-class-name\\" does not exist/);
  assert.ok(Array.isArray(await addresses('host-rules')), 'that of the others does');
});

test('a host is compared without case and port', async () => {
  assert.equal((await ask(port, 'FOO.bar.com:80/')).seen?.backend, 'foo-bar-com');
  assert.equal((await ask(port, 'foo.bar.com.org/')).status, 404);
});

// Certificates of clients: what backends are told of them, and those that were revoked.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { LIMITS } from '../../src/base/limits.ts';
import type { CertificatePart, ClientValidation, TrustEntry } from '../../src/ir/ir.ts';
import { tlsRefusalCell } from '../../src/telemetry/layout.ts';
import { authority, type Leaf, leaf, pem, revocations } from '../../tools/certificates.ts';
import { nativeOnly, onBoth, type TestNet } from '../support/net.ts';
import { answering, get, ok, Rig, rule } from './rig.ts';
import { certificate, certificates, refusal, socket, TlsRig, tls } from './tls-rig.ts';

const clients = authority('Clients');
const anna = leaf(clients, ['anna.example', 'spiffe://example/ns/a', 'mail.anna.example'], {
  client: true,
  commonName: 'anna "the; great"',
});
const bert = leaf(clients, ['bert.example'], { client: true });
const foreign = leaf(authority('Others'), ['anna.example'], { client: true });

const shown = (own: Leaf): { cert: string; key: string } => ({
  cert: pem('CERTIFICATE', own.der),
  key: pem('PRIVATE KEY', own.keyDer),
});

function trust(revoked: readonly Leaf[] | null): TrustEntry {
  return {
    kind: 'trust',
    key: 'trust/default/clients',
    authorities: [clients.der.toString('base64')],
    revoked: revoked === null ? [] : [revocations(clients, revoked).toString('base64')],
  };
}

const STRICT = { trust: 'trust/default/clients', mode: 'AllowValidOnly' } as const;

function rigOf(
  net: TestNet,
  mode: ClientValidation['mode'],
  forward: readonly CertificatePart[],
  revoked: readonly Leaf[] | null = null,
): TlsRig {
  const hosts = { 'a.example': tls(['a'], { clients: { trust: 'trust/default/clients', mode, forward } }) };
  return new TlsRig(net, [trust(revoked), certificate('a', certificates.a), socket(hosts)]);
}

/** The field that the backend got, null for none. */
async function told(rig: TlsRig, own: Leaf | null): Promise<string | null> {
  rig.heads.length = 0;
  const answer = await rig.ask('a.example', own === null ? {} : shown(own));
  assert.equal(answer.status, 200);
  const lines = [...(rig.heads[0] ?? '').matchAll(/^x-forwarded-client-cert: (.*)\r$/gim)];
  assert.ok(lines.length <= 1);
  return lines[0]?.[1] ?? null;
}

nativeOnly('backends are told of a certificate that is good what was asked for, as Envoy writes it', async (net) => {
  const rig = rigOf(net, 'AllowValidOnly', ['Hash', 'Subject', 'URI', 'DNS', 'Cert']);
  const { fingerprint256 } = new X509Certificate(anna.der);
  const hash = fingerprint256.replaceAll(':', '').toLowerCase();
  const said = (await told(rig, anna)) ?? '';
  assert.ok(
    said.startsWith(
      `Hash=${hash};Subject="CN=anna \\\\\\"the\\\\; great\\\\\\"";URI=spiffe://example/ns/a;DNS=anna.example;DNS=mail.anna.example;Cert="`,
    ),
    said,
  );
  const [, quoted = ''] = /Cert="([^"]*)"$/.exec(said) ?? [];
  assert.equal(new X509Certificate(decodeURIComponent(quoted)).fingerprint256, fingerprint256);
  await rig.end();
});

nativeOnly(
  'an authority need not be a root: what it issued is good, with it or without, and nothing above it',
  async (net) => {
    const middle = authority('Clients below', clients);
    const below = leaf(middle, ['below.example'], { client: true });
    const hosts = { 'a.example': tls(['a'], { clients: { ...STRICT, forward: ['Subject'] } }) };
    const anchor: TrustEntry = { ...trust(null), authorities: [middle.der.toString('base64')] };
    const rig = new TlsRig(net, [anchor, certificate('a', certificates.a), socket(hosts)]);
    assert.equal(await told(rig, below), 'Subject="CN=below.example"');
    const whole = { ...shown(below), cert: shown(below).cert + pem('CERTIFICATE', middle.der) };
    assert.equal((await rig.ask('a.example', whole)).status, 200);
    const refused = rig.client('a.example', shown(anna));
    assert.match(await refusal(refused), /alert unknown ca/i);
    await rig.end();
  },
);

nativeOnly('of a certificate that is not good, and where nobody asked, nobody is told', async (net) => {
  const lenient = rigOf(net, 'AllowInsecureFallback', ['Hash', 'Subject']);
  assert.match((await told(lenient, bert)) ?? '', /^Hash=[0-9a-f]{64};Subject="CN=bert\.example"$/);
  assert.equal(await told(lenient, foreign), null);
  assert.equal(await told(lenient, null), null);
  await lenient.end();
  const silent = rigOf(net, 'AllowValidOnly', []);
  assert.equal(await told(silent, anna), null);
  await silent.end();
});

onBoth(
  "a client's own X-Forwarded-Client-Cert goes to nobody, however it is written, from trusted proxies too",
  async (net) => {
    for (const trustedProxies of [[], ['127.0.0.0/8']]) {
      const heads: string[] = [];
      const backend = answering(net, ({ head }) => {
        heads.push(head);
        return ok('x');
      });
      const rig = new Rig(net, [backend], [rule({})], { trustedProxies });
      const client = await rig.connect();
      await client.send(
        get(
          '/',
          'X-Forwarded-Client-Cert: a\r\nx-forwarded-client-cert: b\r\nX_Forwarded_Client_Cert: c\r\nX-Forwarded-Client-Certs: d\r\n',
        ),
      );
      await client.readMessage();
      assert.doesNotMatch(heads[0] ?? '', /client.cert:/i);
      assert.equal(/client-certs: d/i.test(heads[0] ?? ''), trustedProxies.length > 0);
      client.close();
      await rig.end();
    }
  },
);

nativeOnly('a list of revoked certificates that is none refuses whom it may be of, and no revision', async (net) => {
  const rig = rigOf(net, 'AllowValidOnly', ['Hash'], []);
  assert.notEqual(await told(rig, anna), null);
  const none = Buffer.from('3003020101', 'hex').toString('base64');
  rig.apply({ upserts: [{ ...trust([]), revoked: [none] }], removals: [] });
  await assert.rejects(rig.ask('a.example', shown(anna)), /alert|ECONNRESET/);
  // Beside the one that is needed it changes nothing.
  rig.apply({ upserts: [{ ...trust([]), revoked: [none, ...trust([]).revoked] }], removals: [] });
  assert.notEqual(await told(rig, anna), null);
  await rig.end();
});

nativeOnly('a list of revoked certificates may be as long as its authority makes it', async (net) => {
  const rig = rigOf(net, 'AllowValidOnly', ['Hash'], []);
  const list = revocations(clients, [bert, ...Array.from({ length: 10_000 }, () => foreign)]);
  assert.ok(list.length > LIMITS.TLS_OBJECT_BYTES, String(list.length));
  rig.apply({ upserts: [{ ...trust([]), revoked: [list.toString('base64')] }], removals: [] });
  assert.notEqual(await told(rig, anna), null);
  await assert.rejects(rig.ask('a.example', shown(bert)), /revoked|alert|ECONNRESET/);
  await rig.end();
});

nativeOnly('a certificate that is on the list of revoked ones is refused, its neighbours are not', async (net) => {
  const rig = rigOf(net, 'AllowValidOnly', ['Hash'], [bert]);
  assert.notEqual(await told(rig, anna), null);
  await assert.rejects(rig.ask('a.example', shown(bert)), /revoked|alert|ECONNRESET/);
  assert.equal(rig.get(tlsRefusalCell('client_certificate')), 1);
  // The next revision takes it off the list, and puts the other one on.
  rig.apply({ upserts: [trust([anna])], removals: [] });
  assert.notEqual(await told(rig, bert), null);
  await assert.rejects(rig.ask('a.example', shown(anna)), /revoked|alert|ECONNRESET/);
  await rig.end();
});

// TLS with clients: names, certificates, refusals, replacement.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { TrustEntry } from '../../src/ir/ir.ts';
import { handshakeCell, tlsRefusalCell } from '../../src/telemetry/layout.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { nativeOnly } from '../support/net.ts';
import { certificate, certificates, ENTRIES, HOSTS, middle, refusal, root, socket, TlsRig, tls } from './tls-rig.ts';

nativeOnly('a request over TLS: the certificate of its name, the backend told so, the log too', async (net) => {
  const rig = new TlsRig(net);
  const answer = await rig.ask('a.example', { ALPNProtocols: ['http/1.1'], body: 'x'.repeat(100_000) });
  assert.deepEqual(answer, {
    protocol: 'TLSv1.3',
    alpn: 'http/1.1',
    subject: 'a.example',
    status: 200,
    body: 'https 100000',
  });
  assert.equal((await rig.ask('shop.wild.example')).subject, '*.wild.example');
  assert.match(rig.records.last.connection, /"tls":"TLSv1.3","cipher":"TLS_AES_\w+","sni":"shop.wild.example"/);
  assert.match(rig.records.last.listener, /https-\*\.wild\.example/);
  assert.equal(rig.get(handshakeCell('downstream', true, false)), 2);
  await rig.end();
});

nativeOnly('TLS 1.2 clients, with ECDSA or with RSA, each gets a certificate it can check', async (net) => {
  const rig = new TlsRig(net);
  for (const [options, key] of [
    [{}, 'EC'],
    [{ sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' }, 'RSA'],
  ] as const) {
    const client = rig.client('a.example', { maxVersion: 'TLSv1.2', ...options });
    await once(client, 'secureConnect');
    assert.equal(client.getProtocol(), 'TLSv1.2');
    assert.equal(client.getPeerX509Certificate()?.publicKey.asymmetricKeyType, key.toLowerCase());
    client.destroy();
  }
  assert.equal(rig.get(handshakeCell('downstream', false, false)), 2);
  await rig.end();
});

nativeOnly('a name that nobody serves, no name, no common protocol, plain HTTP: each told in its way', async (net) => {
  const rig = new TlsRig(net);
  assert.match(await refusal(rig.client('other.example')), /unrecognized name/);
  assert.match(await refusal(rig.client('')), /unrecognized name/);
  assert.match(await refusal(rig.client('wild.example')), /unrecognized name/);
  assert.match(await refusal(rig.client('a.example', { ALPNProtocols: ['h3'] })), /no application protocol/);
  const plain = connectTcp(rig.address.port, '127.0.0.1');
  plain.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  let text = '';
  for await (const chunk of plain) text += chunk;
  assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*this port speaks TLS\n$/);
  assert.equal(rig.get(tlsRefusalCell('no_name')), 3);
  assert.equal(rig.get(tlsRefusalCell('no_protocol')), 1);
  assert.equal(rig.get(tlsRefusalCell('not_tls')), 1);
  assert.equal((await rig.ask('a.example')).status, 200, 'and nobody else is harmed');
  await rig.end();
});

nativeOnly(
  'who names no host gets the default certificate, and the host of the request decides; not where clients must show one',
  async (net) => {
    const strict = tls(['any'], { clients: { trust: 'trust/default/clients', mode: 'AllowValidOnly', forward: [] } });
    const trust: TrustEntry = {
      kind: 'trust',
      key: 'trust/default/clients',
      authorities: [root.der.toString('base64')],
      revoked: [],
    };
    const hosts = { ...HOSTS, 'strict.example': strict };
    const any = certificate('any', certificates.any);
    const rig = new TlsRig(net, [...ENTRIES.slice(0, 3), any, trust, socket(hosts, tls(['any']))]);
    for (const name of ['', 'unknown.example']) {
      const answer = await rig.ask(name, { host: 'a.example' });
      assert.equal(answer.status, 200, name);
      assert.equal(answer.subject, 'any.example');
      assert.equal((await rig.ask(name, { host: 'x.wild.example' })).status, 200);
      assert.equal((await rig.ask(name, { host: 'nobody.example' })).status, 404);
      assert.equal((await rig.ask(name, { host: 'strict.example' })).status, 421, 'nobody asked for a certificate');
    }
    assert.equal((await rig.ask('a.example')).subject, 'a.example');
    await rig.end();
  },
);

nativeOnly('a connection is good for its own listener only: another host is misdirected', async (net) => {
  const rig = new TlsRig(net);
  assert.equal((await rig.ask('x.wild.example', { host: 'y.wild.example' })).status, 200, 'the same listener');
  assert.equal((await rig.ask('x.wild.example', { host: 'a.example' })).status, 421);
  assert.equal((await rig.ask('a.example', { host: 'x.wild.example' })).status, 421);
  await rig.end();
});

nativeOnly('a replaced certificate is shown by the next handshake; connections that stand go on', async (net) => {
  const rig = new TlsRig(net);
  const kept = rig.client('a.example');
  await once(kept, 'secureConnect');
  const other = leaf(middle, ['a.example', 'new.example']);
  rig.apply({ upserts: [certificate('a', other)], removals: [] });
  const fresh = rig.client('a.example');
  await once(fresh, 'secureConnect');
  assert.match(fresh.getPeerCertificate().subjectaltname ?? '', /new\.example/);
  for (const client of [kept, fresh]) {
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    const [chunk] = (await once(client, 'data')) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1\.1 200/);
    client.destroy();
  }
  await rig.end();
});

nativeOnly('client certificates: required, and let through where that is wished', async (net) => {
  const clients = authority('Clients');
  const good = leaf(clients, [], { client: true });
  const foreign = leaf(authority('Others'), [], { client: true });
  const trust: TrustEntry = {
    kind: 'trust',
    key: 'trust/default/clients',
    authorities: [clients.der.toString('base64')],
    revoked: [],
  };
  const shown = (own: Leaf): { cert: string; key: string } => ({
    cert: pem('CERTIFICATE', own.der),
    key: pem('PRIVATE KEY', own.keyDer),
  });
  for (const mode of ['AllowValidOnly', 'AllowInsecureFallback'] as const) {
    const hosts = { 'a.example': tls(['a'], { clients: { trust: trust.key, mode, forward: [] } }) };
    const rig = new TlsRig(net, [trust, certificate('a', certificates.a), socket(hosts)]);
    assert.equal((await rig.ask('a.example', shown(good))).status, 200);
    assert.match(rig.records.last.connection, /"client_cert_sha256":"[0-9a-f]{64}"/);
    for (const options of [{}, shown(foreign)]) {
      if (mode === 'AllowInsecureFallback') assert.equal((await rig.ask('a.example', options)).status, 200);
      else await assert.rejects(rig.ask('a.example', options), /certificate required|unknown ca|alert|ECONNRESET/);
    }
    if (mode === 'AllowValidOnly') assert.equal(rig.get(tlsRefusalCell('client_certificate')), 2);
    await rig.end();
  }
});

nativeOnly('a revision whose certificate or settings cannot be used is refused whole', async (net) => {
  const rig = new TlsRig(net);
  const broken = { ...certificate('a', certificates.a), chain: [certificates.a.der.toString('base64'), 'AAAA'] };
  const wrong = socket({ ...HOSTS, 'b.example': tls(['a'], { ciphers: ['NO-SUCH'] }) });
  for (const entry of [broken, wrong]) {
    assert.throws(
      () => rig.apply({ upserts: [certificate('wild', certificates.any), entry], removals: [] }),
      /certificate|ciphers/,
    );
    assert.equal((await rig.ask('x.wild.example')).subject, '*.wild.example', 'what came with it neither');
    assert.equal((await rig.ask('a.example')).status, 200);
  }
  await rig.end();
});

nativeOnly('a ClientHello that comes in pieces, and one that stops', async (net) => {
  const rig = new TlsRig(net);
  const half = connectTcp(rig.address.port, '127.0.0.1');
  half.write(Buffer.from([22, 3, 1, 1, 0, 1]));
  assert.equal((await rig.ask('a.example')).status, 200);
  half.end();
  await once(half, 'close');
  await rig.end();
});
